"""What a calendar says, as plain data, before it is compiled.

Local times are text ("09:00", "22:30:15", "24:00"), dates are text ("2025-12-24", every year "12-24"), so that a spec
can be stored and compared as JSON. Making a spec checks nothing: `compile_calendar` does, and says what to mend.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

DAY = 86_400
_TIME = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_LEAP_YEAR = 2000  # in which every yearly date exists


class CalendarError(ValueError):
    """A calendar, or a question to one, that has no answer as it stands: says what is wrong, where, and what to do."""


class CountryHolidays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public holidays of a country (ISO 3166-1, "DE") and, where given, of a subdivision (ISO 3166-2, "BY")."""

    country: str
    subdivision: str | None = None


class CalendarSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a desk works, in the local time of `zone` (IANA).

    hours     weekday (0 = Monday … 6 = Sunday) → windows (from, to). A window that ends before its start, or
              past 24:00 ("25:00"), ends on the next day. It belongs, whole, to the day it starts on.
    holidays  each "YYYY-MM-DD", "MM-DD" (every year), a country's, or the text of an iCalendar file, whose all-day
              events count, recurring ones included. No window starts on a holiday.
    special   "YYYY-MM-DD" or "MM-DD" → the windows that start on that day, in place of its weekday's; none: closed.
              An exact date goes before a yearly one, and a special day before a holiday.
    """

    name: str
    zone: str
    hours: Mapping[int, Sequence[tuple[str, str]]]
    holidays: Sequence[str | CountryHolidays] = ()
    special: Mapping[str, Sequence[tuple[str, str]]] = {}


class LocalWindow(NamedTuple):
    """A window in seconds of local time since the midnight that starts its day; `end` may lie on the next day."""

    start: int
    end: int


class YearlyDate(NamedTuple):
    month: int
    day: int


def spec_from(data: Mapping[str, Any]) -> CalendarSpec:
    """The spec that plain data (as JSON or YAML give it, weekdays also as text) holds; CalendarError if none."""
    try:
        return msgspec.convert(data, CalendarSpec, strict=False)
    except msgspec.ValidationError as error:
        raise CalendarError(f"calendar {data.get('name', '')!r} cannot be read: {error}") from None


def parse_windows(texts: object, where: str) -> tuple[LocalWindow, ...]:
    """The windows of one day in order; CalendarError names `where`."""
    if not isinstance(texts, Sequence) or isinstance(texts, str):
        raise CalendarError(f'{where}: {texts!r} is not a list of windows; write [["09:00", "17:00"]]')
    windows = []
    for text in texts:
        if not isinstance(text, Sequence) or isinstance(text, str) or len(text) != 2:
            raise CalendarError(f'{where}: {text!r} is not a window; write ["09:00", "17:00"]')
        start, end = (_seconds(part, where) for part in text)
        if start == end:
            raise CalendarError(
                f'{where}: the window {text[0]}–{text[1]} is empty; write ["00:00", "24:00"] for a whole day'
            )
        if start >= DAY:
            raise CalendarError(f"{where}: {text[0]} is past the day's end; put the window on the day it starts on")
        if end < start:
            end += DAY
        if end > 2 * DAY:
            raise CalendarError(f"{where}: the window {text[0]}–{text[1]} ends after 48:00; split it over its days")
        windows.append(LocalWindow(start, end))
    return tuple(sorted(windows))


def parse_date(text: object, where: str) -> dt.date | YearlyDate:
    """The date in "YYYY-MM-DD" or "MM-DD"; CalendarError names `where`."""
    try:
        if isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return dt.date.fromisoformat(text)
        if isinstance(text, str) and re.fullmatch(r"\d{2}-\d{2}", text, re.ASCII):
            yearly = dt.date.fromisoformat(f"{_LEAP_YEAR}-{text}")
            return YearlyDate(yearly.month, yearly.day)
    except ValueError:
        raise CalendarError(f"{where}: {text} is not in any year") from None
    raise CalendarError(f'{where}: {text!r} is not a date; write "2025-12-24", or "12-24" for every year')


def _seconds(text: object, where: str) -> int:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise CalendarError(f'{where}: {text!r} is not a time of day; write "09:00" (in YAML with the quotes)')
    hour, minute, second = (int(part or 0) for part in match.groups())
    if minute > 59 or second > 59 or hour * 3600 + minute * 60 + second > 2 * DAY:
        raise CalendarError(
            f"{where}: {text} is not a time of day; hours go to 24 (48 on the next day), the rest to 59"
        )
    return hour * 3600 + minute * 60 + second
