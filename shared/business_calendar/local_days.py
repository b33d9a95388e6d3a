"""What a calendar's spec means on each local date: which windows start on it, as instants."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final, NamedTuple

from business_calendar.free_days import FreeDays
from business_calendar.spec import (
    DAY,
    CalendarError,
    CalendarSpec,
    LocalWindow,
    YearlyDate,
    parse_date,
    parse_windows,
)
from business_calendar.zones import EPOCH, zone

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
_SECOND: Final = dt.timedelta(seconds=1)
_A_DAY: Final = dt.timedelta(days=1)
_EPOCH_DAY: Final = EPOCH.toordinal()


class Day(NamedTuple):
    """One local date as a person reads it: its windows as instants, and why they are not its weekday's."""

    date: dt.date
    windows: tuple[tuple[int, int], ...]
    holiday: str | None
    special: bool


def year_start(year: int) -> int:
    """The instant at which a year begins in UTC."""
    return (dt.date(year, 1, 1).toordinal() - _EPOCH_DAY) * DAY


class LocalDays:
    """A spec, read and checked; CalendarError if it cannot be used."""

    def __init__(self, spec: CalendarSpec) -> None:
        where = f"calendar {spec.name!r}"
        try:
            self.zone = zone(spec.zone)
        except CalendarError as error:
            raise CalendarError(f"{where}: zone: {error}") from None
        # Years in which the zone may skip a date, and with it the work of that date, by crossing the date line (Samoa
        # had no 30 December 2011). Only there is each date looked at.
        new_years = [
            self._instant(dt.date(year, 1, 1), 0) - year_start(year) for year in range(FIRST_YEAR, LAST_YEAR + 3)
        ]
        self._date_line_years = {
            FIRST_YEAR + i for i in range(LAST_YEAR + 2 - FIRST_YEAR) if new_years[i] - new_years[i + 1] > DAY * 3 // 4
        }
        self._week: list[tuple[LocalWindow, ...]] = [()] * 7
        for weekday, texts in spec.hours.items():
            if type(weekday) is not int or not 0 <= weekday <= 6:
                raise CalendarError(f"{where}: hours: {weekday!r} is not a weekday; 0 is Monday, 6 is Sunday")
            self._week[weekday] = parse_windows(texts, f"{where}: hours[{weekday}]")
        self._free = FreeDays(spec.holidays, f"{where}: holidays")
        self._special: dict[dt.date, tuple[LocalWindow, ...]] = {}
        self._special_yearly: dict[YearlyDate, tuple[LocalWindow, ...]] = {}
        for text, texts in spec.special.items():
            date, windows = parse_date(text, f"{where}: special"), parse_windows(texts, f"{where}: special[{text}]")
            if isinstance(date, YearlyDate):
                self._special_yearly[date] = windows
            else:
                self._special[date] = windows
        self._refuse_if_never_open(where)

    @property
    def always_open(self) -> bool:
        whole = all(unite(week) == [(0, DAY)] for week in self._week)
        return whole and not self._free and not self._special and not self._special_yearly

    def windows(self, date: dt.date) -> list[tuple[int, int]]:
        """The windows that start on a date, as instants; in order, none empty."""
        local, _, _ = self._on(date)
        if not local or (date.year in self._date_line_years and self._instant(date, 0) == self._instant(date, DAY)):
            return []
        instants = ((self._instant(date, start), self._instant(date, end)) for start, end in local)
        return [(opens, closes) for opens, closes in instants if opens < closes]

    def day(self, date: dt.date) -> Day:
        _, holiday, special = self._on(date)
        return Day(date, tuple(self.windows(date)), holiday, special)

    def between(self, start: int, end: int) -> list[tuple[int, int]]:
        """The open intervals inside two midnights of UTC, in order, overlapping and adjoining ones united."""
        first = dt.date.fromordinal(_EPOCH_DAY + start // DAY - 4)  # 48:00 of that date, in any zone, is before `start`
        found = []
        for ahead in range((end - start) // DAY + 6):
            for opens, closes in self.windows(first + ahead * _A_DAY):
                if closes > start and opens < end:
                    found.append((max(opens, start), min(closes, end)))
        return unite(found)

    def _on(self, date: dt.date) -> tuple[tuple[LocalWindow, ...], str | None, bool]:
        """The local windows of a date, the holiday's name, and whether it is a special day."""
        holiday = self._free.name_of(date) if self._free else None
        windows = self._special.get(date)
        if windows is None and self._special_yearly:
            windows = self._special_yearly.get(YearlyDate(date.month, date.day))
        if windows is not None:
            return windows, holiday, True
        return (self._week[date.weekday()] if holiday is None else ()), holiday, False

    def _instant(self, date: dt.date, seconds: int) -> int:
        """A local time, given in seconds since a date's midnight. A time that the clocks skip is read with the offset
        before the gap, one that they repeat is the first: `fold=0` means just that."""
        days, rest = divmod(seconds, DAY)
        ordinal = date.toordinal() + days
        # Naive on purpose: the zone is asked what such a local time means.
        local = dt.datetime.fromordinal(ordinal).replace(hour=rest // 3600, minute=rest // 60 % 60, second=rest % 60)
        offset = self.zone.utcoffset(local)
        assert offset is not None
        return (ordinal - _EPOCH_DAY) * DAY + rest - offset // _SECOND

    def _refuse_if_never_open(self, where: str) -> None:
        if any(FIRST_YEAR <= date.year <= LAST_YEAR and self.windows(date) for date in self._special):
            return
        if any(self._week) or any(self._special_yearly.values()):
            first = dt.date(2000, 1, 1)
            if any(self.windows(first + ahead * _A_DAY) for ahead in range(100 * 366)):
                return
        raise CalendarError(f"{where} never opens; give hours to a weekday that is not always a holiday")


def unite(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same instants in order, as intervals that neither overlap nor adjoin."""
    united: list[tuple[int, int]] = []
    for begin, until in sorted(intervals):
        if united and begin <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], until))
        else:
            united.append((begin, until))
    return united
