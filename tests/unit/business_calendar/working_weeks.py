"""Calendars and instants as the tests of working time write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from business_calendar import Calendar, CalendarSpec, CountryHolidays, compile_calendar, local_time, parse_instant, zone

MON_FRI = range(5)
EVERY_DAY = range(7)


def week(
    *windows: str,
    days: Iterable[int] = MON_FRI,
    tz: str = "UTC",
    holidays: Sequence[str | CountryHolidays] = (),
    special: Mapping[str, Sequence[str]] | None = None,
) -> Calendar:
    """The calendar with the same windows ("09:00-17:00") on each of `days`."""
    return compile_calendar(
        CalendarSpec(
            name="desk",
            zone=tz,
            hours={day: [_window(text) for text in windows] for day in days},
            holidays=holidays,
            special={date: [_window(text) for text in texts] for date, texts in (special or {}).items()},
        )
    )


def at(text: str, tz: str = "UTC") -> int:
    """The instant of a local time ("2025-06-02 09:00") or of one with an offset."""
    return parse_instant(text, zone(tz))


def shown(instant: int | None, tz: str = "UTC") -> str | None:
    """The instant on the clocks of a zone, as "2025-06-02 09:00"; with seconds where there are any."""
    if instant is None:
        return None
    local = local_time(instant, zone(tz))
    return local.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _window(text: str) -> tuple[str, str]:
    start, end = text.split("-")
    return start, end
