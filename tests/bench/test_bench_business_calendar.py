"""A deadline of 40 working hours: this calendar beside the `businesstimedelta` package, on the same questions.

Both are warm; each round times one after the other, and the ratio is the median of the rounds. The goal is held on the
calendar of that package's own 40-hour case: 9–12 and 13–18 from Monday to Friday. The other calendars are for the
reader: its cost grows with what a calendar has (lunch, holidays, a zone), the compiled calendar's does not.
"""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import businesstimedelta  # type: ignore[import-untyped]
import holidays
import pytest
import pytz  # type: ignore[import-untyped]

from business_calendar import CalendarSpec, CountryHolidays, compile_calendar

pytestmark = pytest.mark.bench

GOAL = 100
ROUNDS = 15
HOURS = 40
MONDAY = dt.datetime(2016, 1, 18, 9, tzinfo=dt.UTC)
FRIDAY = dt.datetime(2016, 1, 22, 18, tzinfo=dt.UTC)
WEEKDAYS = [0, 1, 2, 3, 4]
LUNCH_WEEK = [("09:00", "12:00"), ("13:00", "18:00")]


def test_bench_business_calendar_is_100_times_faster_than_businesstimedelta() -> None:
    ratio = compare("9–12, 13–18", LUNCH_WEEK, MONDAY, FRIDAY)
    assert ratio >= GOAL


def test_bench_business_calendar_on_other_calendars() -> None:
    compare("9–17, no break", [("09:00", "17:00")], MONDAY, MONDAY.replace(day=22, hour=17))
    compare("9–12, 13–18, German holidays", LUNCH_WEEK, MONDAY, FRIDAY, country="DE")
    compare("9–12, 13–18, in Berlin", LUNCH_WEEK, MONDAY, MONDAY.replace(day=25, hour=9), tz="Europe/Berlin")


def compare(
    what: str,
    windows: Sequence[tuple[str, str]],
    start: dt.datetime,
    due: dt.datetime,
    *,
    country: str | None = None,
    tz: str = "UTC",
) -> float:
    """How many times faster ours finds `due`, 40 working hours after `start`; prints it."""
    calendar = compile_calendar(
        CalendarSpec(
            name="bench",
            zone=tz,
            hours=dict.fromkeys(WEEKDAYS, windows),
            holidays=[CountryHolidays(country)] if country else [],
        )
    )
    zone = pytz.timezone(tz)  # the zones that package works with
    first, last = (dt.time.fromisoformat(text) for text in (windows[0][0], windows[-1][1]))
    rules = [businesstimedelta.WorkDayRule(first, last, WEEKDAYS, tz=zone)]
    for (_, ends), (begins, _) in itertools.pairwise(windows):
        off = (dt.time.fromisoformat(text) for text in (ends, begins))
        rules.append(businesstimedelta.LunchTimeRule(*off, WEEKDAYS, tz=zone))
    if country:
        rules.append(businesstimedelta.HolidayRule(holidays.country_holidays(country), tz=zone))
    budget = businesstimedelta.BusinessTimeDelta(businesstimedelta.Rules(rules), hours=HOURS)
    local = start.astimezone(zone)
    at = int(start.timestamp())
    assert calendar.add(at, HOURS * 3600) == int(due.timestamp())
    assert local + budget == due

    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds_each(lambda: calendar.add(at, HOURS * 3600), 20_000))
        theirs.append(seconds_each(lambda: local + budget, 50))
    ratio = statistics.median(slow / fast for slow, fast in zip(theirs, ours, strict=True))
    print(  # noqa: T201 - the figures are the result
        f"\n{what}: {statistics.median(ours) * 1e6:.2f} µs, "
        f"businesstimedelta {statistics.median(theirs) * 1e6:.0f} µs: {ratio:.0f} times",
        end="",
    )
    return ratio


def seconds_each(call: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times
