"""Every opening and closing of a year, read back on the zone's own clocks.

Sampled zones and years always; every zone of tzdata from 1970 to 2100 as a campaign, by `pytest -m long`.
"""

from __future__ import annotations

import datetime as dt
import importlib.resources
import itertools
from collections.abc import Iterable

import pytest

from business_calendar import Calendar, local_time
from business_calendar.zones import zone_names
from unit.business_calendar.working_weeks import EVERY_DAY, week

HOUR = 3600
DAY = 86_400
# Through the hours at which clocks change, an office day, and over midnight.
WINDOWS = (("01:30", "03:30"), ("09:00", "17:00"), ("22:00", "00:30"))
SAMPLED = (
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Godthab",
    "America/Havana",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Kwajalein",
)


@pytest.mark.parametrize("tz", SAMPLED)
def test_business_calendar_opens_and_closes_by_the_clocks_of_sampled_zones(tz: str) -> None:
    for year in (1970, 1993, 2011, 2025, 2038):
        check_zone(tz, (year,))


def distinct_zones() -> list[str]:
    """One name of each zone: many are other names of the same file."""
    folder = importlib.resources.files("tzdata") / "zoneinfo"
    names = {folder.joinpath(*name.split("/")).read_bytes(): name for name in sorted(zone_names(), reverse=True)}
    return sorted(names.values())


@pytest.mark.long
@pytest.mark.parametrize("tz", distinct_zones())
def test_business_calendar_opens_and_closes_by_the_clocks_of_every_zone(tz: str) -> None:
    check_zone(tz, range(1970, 2101))


def check_zone(tz: str, years: Iterable[int]) -> None:
    calendar = week(*("-".join(window) for window in WINDOWS), days=EVERY_DAY, tz=tz)
    for year in years:
        start, end = _utc(year), _utc(year + 1)
        found = list(calendar.windows(start, end))
        assert all(start <= opens < closes <= end for opens, closes in found)
        assert all(closes < opens for (_, closes), (opens, _) in itertools.pairwise(found)), year
        # Three windows a day, but for those that a clock change swallows or joins.
        assert abs(len(found) - 3 * (end - start) // DAY) <= 6, year
        for opens, closes in found:
            assert opens == start or _is_edge(calendar, opens, OPENINGS), (year, opens)
            assert closes == end or _is_edge(calendar, closes, CLOSINGS), (year, closes)
        worked = sum(closes - opens for opens, closes in found)
        assert calendar.elapsed(start, end) == worked
        for opens, closes in found[::50]:
            before = calendar.elapsed(start, opens)
            assert calendar.add(start, before + 1) == opens + 1
            assert calendar.subtract(end, worked - before) == opens
            assert calendar.add(opens, closes - opens) == closes
            assert calendar.subtract(closes, closes - opens) == opens


OPENINGS = {dt.time.fromisoformat(opens) for opens, _ in WINDOWS}
CLOSINGS = {dt.time.fromisoformat(closes) for _, closes in WINDOWS}


def _is_edge(calendar: Calendar, at: int, edges: set[dt.time]) -> bool:
    """Whether the clocks show one of those times, for the first time; or have just skipped it."""
    local = local_time(at, calendar.zone)
    if local.time() in edges:
        return local.fold == 0
    # Read with the offset before the gap: what the clocks would show had they gone on as before.
    for back in (HOUR // 2, HOUR, 2 * HOUR, 3 * HOUR, DAY):
        earlier = local_time(at - back, calendar.zone)
        skipped = (earlier.replace(tzinfo=None) + dt.timedelta(seconds=back)).time()
        if earlier.utcoffset() != local.utcoffset() and skipped in edges:
            return True
    return False


def _utc(year: int) -> int:
    return int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp())
