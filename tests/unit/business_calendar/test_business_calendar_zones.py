"""Where the clocks change: gaps, repeated times, days of 23 and 25 hours, in both hemispheres."""

from __future__ import annotations

import datetime as dt
import importlib.resources
import zoneinfo
from pathlib import Path

import pytest

from business_calendar import CalendarError, OffsetChange, offset_changes, zone
from business_calendar.zones import format_instant, parse_instant, zone_names
from unit.business_calendar.working_weeks import EVERY_DAY, at, shown, week

HOUR = 3600


@pytest.mark.parametrize(
    ("tz", "date", "next_date", "hours"),
    [
        ("Europe/Berlin", "2025-03-30", "2025-03-31", 23),
        ("Europe/Berlin", "2025-10-26", "2025-10-27", 25),
        ("America/New_York", "2025-03-09", "2025-03-10", 23),
        ("America/New_York", "2025-11-02", "2025-11-03", 25),
        ("Australia/Sydney", "2025-10-05", "2025-10-06", 23),
        ("Australia/Sydney", "2025-04-06", "2025-04-07", 25),
        ("America/Santiago", "2025-09-07", "2025-09-08", 23),  # 00:00 does not exist
        ("Asia/Beirut", "2025-03-30", "2025-03-31", 23),  # 00:00 does not exist
        ("America/Havana", "2025-11-02", "2025-11-03", 25),  # 00:00 comes twice
        ("Australia/Lord_Howe", "2025-10-05", "2025-10-06", 23.5),
        ("Australia/Lord_Howe", "2025-04-06", "2025-04-07", 24.5),
        ("Asia/Kolkata", "2025-03-30", "2025-03-31", 24),
    ],
)
def test_business_calendar_counts_the_real_seconds_of_a_whole_day(
    tz: str, date: str, next_date: str, hours: float
) -> None:
    calendar = week("00:00-24:00", days=EVERY_DAY, tz=tz, holidays=["01-01"])
    start, end = at(date, tz), at(next_date, tz)
    assert calendar.elapsed(start, end) == hours * HOUR
    assert calendar.add(start, int(hours * HOUR)) == end
    assert list(calendar.windows(start - HOUR, end + HOUR)) == [(start - HOUR, end + HOUR)]  # no hole at midnight


# Berlin skips 02:00–03:00 on 2025-03-30 and repeats it on 2025-10-26; both are Sundays.
@pytest.mark.parametrize(
    ("window", "date", "opens", "closes"),
    [
        pytest.param("09:00-17:00", "2025-03-30", "07:00Z", "15:00Z", id="after the gap"),
        pytest.param("01:00-04:00", "2025-03-30", "00:00Z", "02:00Z", id="around the gap, 2 h"),
        pytest.param("02:30-05:00", "2025-03-30", "01:30Z", "03:00Z", id="opens inside the gap, that is at 03:30"),
        pytest.param("01:00-02:30", "2025-03-30", "00:00Z", "01:30Z", id="closes inside the gap, that is at 03:30"),
        pytest.param("02:00-03:00", "2025-03-30", None, None, id="is the gap"),
        pytest.param("02:45-03:15", "2025-03-30", None, None, id="opens inside the gap, past its close"),
        pytest.param("01:00-04:00", "2025-10-26", "-23:00Z", "03:00Z", id="around the repeated hour, 4 h"),
        pytest.param("02:30-03:30", "2025-10-26", "00:30Z", "02:30Z", id="opens at the first 02:30"),
        pytest.param("01:00-02:30", "2025-10-26", "-23:00Z", "00:30Z", id="closes at the first 02:30"),
        pytest.param("02:00-03:00", "2025-10-26", "00:00Z", "02:00Z", id="is the repeated hour, 2 h"),
    ],
)
def test_business_calendar_windows_at_clock_changes(
    window: str, date: str, opens: str | None, closes: str | None
) -> None:
    calendar = week(window, days=(6,), tz="Europe/Berlin")
    midnight = at(date, "Europe/Berlin")
    found = list(calendar.windows(midnight, midnight + 30 * HOUR))
    assert found == ([] if opens is None or closes is None else [(_utc(date, opens), _utc(date, closes))])


def test_business_calendar_overnight_windows_over_clock_changes() -> None:
    nights = week("22:00-06:00", days=EVERY_DAY, tz="Europe/Berlin")
    for evening, hours in (("2025-03-29 22:00", 7), ("2025-10-25 22:00", 9)):
        start = at(evening, "Europe/Berlin")
        assert nights.next_close(start) == start + hours * HOUR
        assert nights.add(start, hours * HOUR) == start + hours * HOUR


@pytest.mark.parametrize(
    ("tz", "text", "utc"),
    [
        pytest.param("Europe/Berlin", "2025-03-30 02:30", "2025-03-30T01:30:00Z", id="skipped: the offset before"),
        pytest.param("Europe/Berlin", "2025-10-26 02:30", "2025-10-26T00:30:00Z", id="repeated: the first"),
        pytest.param("Europe/Berlin", "2025-10-26 02:30+01:00", "2025-10-26T01:30:00Z", id="an offset decides"),
        pytest.param("Australia/Sydney", "2025-10-05 02:30", "2025-10-04T16:30:00Z", id="skipped, in the south"),
        pytest.param("Australia/Sydney", "2025-04-06 02:30", "2025-04-05T15:30:00Z", id="repeated, in the south"),
        pytest.param("Europe/Berlin", "1900-01-01", "1899-12-31T23:00:00Z", id="a date alone is its midnight"),
        pytest.param("Africa/Monrovia", "1960-01-01 00:00", "1960-01-01T00:44:30Z", id="an offset with seconds"),
    ],
)
def test_business_calendar_parse_instant(tz: str, text: str, utc: str) -> None:
    assert format_instant(parse_instant(text, zone(tz))) == utc


@pytest.mark.parametrize("text", ["yesterday", "", "2025-13-01", 5, None, "2025-06-02T08:00:00.5Z"])
def test_business_calendar_refuses_what_is_no_instant(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not an instant|fraction of a second"):
        parse_instant(text, zone("UTC"))


def test_business_calendar_a_date_that_a_zone_skipped_has_no_work() -> None:
    """Samoa crossed the date line: Thursday 29 December 2011 was followed by Saturday 31."""
    calendar = week("09:00-17:00", tz="Pacific/Apia")
    thursday = at("2011-12-29 09:00", "Pacific/Apia")
    assert shown(calendar.add(thursday, 9 * HOUR), "Pacific/Apia") == "2012-01-02 10:00"
    assert shown(calendar.add_business_days(thursday, 1), "Pacific/Apia") == "2012-01-02 17:00"
    assert not calendar.is_open(at("2011-12-31 12:00", "Pacific/Apia"))
    around_the_clock = week("00:00-24:00", days=EVERY_DAY, tz="Pacific/Apia", holidays=["12-25"])
    assert around_the_clock.elapsed(thursday, at("2011-12-31 09:00", "Pacific/Apia")) == 24 * HOUR


def test_business_calendar_lists_offset_changes() -> None:
    changes = list(offset_changes(zone("Europe/Berlin"), at("2025-01-01"), at("2026-01-01")))
    assert changes == [
        OffsetChange(at("2025-03-30T01:00:00Z"), HOUR, 2 * HOUR),
        OffsetChange(at("2025-10-26T01:00:00Z"), 2 * HOUR, HOUR),
    ]
    assert list(offset_changes(zone("Asia/Kolkata"), at("2025-01-01"), at("2026-01-01"))) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("../../etc/passwd", "IANA"),
        ("", "IANA"),
    ],
)
def test_business_calendar_refuses_an_unknown_zone(name: str, hint: str) -> None:
    with pytest.raises(CalendarError, match="is not a time zone") as refused:
        zone(name)
    assert hint in str(refused.value)


def test_business_calendar_reads_the_packaged_zones_whatever_the_machine_has(tmp_path: Path) -> None:
    """A machine whose database gives Berlin the rules of Tokyo changes nothing here."""
    tokyo = importlib.resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    zone.cache_clear()
    try:
        noon = dt.datetime(2025, 6, 2, 12, tzinfo=dt.UTC)
        assert noon.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).hour == 21
        assert noon.astimezone(zone("Europe/Berlin")).hour == 14
    finally:
        zoneinfo.reset_tzpath(before)
        zoneinfo.ZoneInfo.clear_cache()


def test_business_calendar_every_zone_can_be_read() -> None:
    assert len(zone_names()) > 400
    for name in zone_names():
        assert zone(name).key == name


def _utc(date: str, text: str) -> int:
    """ "07:00Z" of that date, or "-23:00Z" of the evening before."""
    instant = at(f"{date}T{text.removeprefix('-')}")
    return instant - 24 * HOUR if text.startswith("-") else instant
