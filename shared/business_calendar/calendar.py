"""Working time of one calendar. Instants are integer unix seconds (UTC), amounts are real seconds, also across DST."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

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
from business_calendar.zones import EPOCH, format_instant, local_time, zone

Pauses = Sequence[tuple[int, int]]
"""Intervals (from, to) that do not count, in any order; they may overlap."""

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
_SECOND = dt.timedelta(seconds=1)
_A_DAY = dt.timedelta(days=1)
_EPOCH_DAY = EPOCH.toordinal()


def _year_start(year: int) -> int:
    return (dt.date(year, 1, 1).toordinal() - _EPOCH_DAY) * DAY


_EARLIEST: Final = _year_start(FIRST_YEAR)
_LATEST: Final = _year_start(LAST_YEAR + 1)


class Day(NamedTuple):
    """One local date as a person reads it: its windows as instants, and why they are not its weekday's."""

    date: dt.date
    windows: tuple[tuple[int, int], ...]
    holiday: str | None
    special: bool


class Calendar:
    """Answers questions about working time; made by `compile_calendar`.

    Compiled by calendar years, when first asked for, into three sorted lists: where windows open, where they close, and
    the working seconds before each. Any question is then a binary search, whatever the distance. Years are kept: some
    60 kB each with two windows a day, and nothing lies outside 1900–2199 (CalendarError).
    """

    def __init__(self, spec: CalendarSpec, days: _LocalDays) -> None:
        self.spec = spec
        self.zone: ZoneInfo = days.zone
        self._days = days
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._before: list[int] = [0]  # one longer than the others: the last is the sum
        self._low = self._high = 0  # the compiled span, [low, high); empty at first
        if days.always_open:
            self._opens, self._closes, self._before = [_EARLIEST], [_LATEST], [0, _LATEST - _EARLIEST]
            self._low, self._high = _EARLIEST, _LATEST

    @property
    def name(self) -> str:
        return self.spec.name

    def is_open(self, at: int) -> bool:
        """Whether `at` lies in a window. A window holds the instant it opens at, not the one it closes at."""
        self._cover(at)
        i = bisect_right(self._opens, at) - 1
        return i >= 0 and at < self._closes[i]

    def next_open(self, at: int) -> int | None:
        """The first open instant from `at` on, `at` itself when open; None if it never opens again."""
        i = self._window_closing_after(at)
        return None if i is None else max(at, self._opens[i])

    def next_close(self, at: int) -> int | None:
        """The first closing instant after `at`, of this window or the next; None if it never closes again."""
        i = self._window_closing_after(at)
        if i is None:
            return None
        while self._closes[i] == self._high:  # the window may go on into the next year
            if self._high >= _LATEST:
                return None
            self._compile_next_year()
        return self._closes[i]

    def add(self, start: int, seconds: int, pauses: Pauses = ()) -> int:
        """The first instant at which `seconds` of working time have passed since `start`.

        So a budget that ends exactly at closing is due at that closing, and one of 0 at `start`, open or not. A
        negative amount goes back, as `subtract`.
        """
        if pauses:
            return self._add_around(start, seconds, _merged(pauses))
        if seconds <= 0:
            return self.subtract(start, -seconds)
        self._cover(start)
        target = self._worked(start) + seconds
        while target > self._before[-1]:
            if self._high >= _LATEST:
                raise CalendarError(
                    f"calendar {self.name!r} has no {seconds} s of working time between {format_instant(start)} and "
                    f"the end of {LAST_YEAR}; give it hours, or a smaller budget"
                )
            self._compile_next_year()
        i = bisect_left(self._before, target) - 1
        return self._opens[i] + target - self._before[i]

    def subtract(self, end: int, seconds: int, pauses: Pauses = ()) -> int:
        """The last instant from which `seconds` of working time lie before `end`.

        The mirror of `add`: time that reaches back exactly to an opening begins at that opening.
        """
        if pauses:
            return self._subtract_around(end, seconds, _merged(pauses))
        if seconds <= 0:
            return end if seconds == 0 else self.add(end, -seconds)
        self._cover(end)
        while (target := self._worked(end) - seconds) < 0:
            if self._low <= _EARLIEST:
                raise CalendarError(
                    f"calendar {self.name!r} has no {seconds} s of working time between the start of {FIRST_YEAR} and "
                    f"{format_instant(end)}; give it hours, or a smaller budget"
                )
            self._compile_previous_year()
        i = bisect_right(self._before, target) - 1
        return self._opens[i] + target - self._before[i]

    def elapsed(self, start: int, end: int, pauses: Pauses = ()) -> int:
        """Working seconds from `start` to `end`, less those inside pauses; negative if `end` lies before `start`."""
        self._cover(start)
        self._cover(end)
        worked = self._worked(end) - self._worked(start)
        if pauses:
            first, last, sign = (start, end, 1) if start <= end else (end, start, -1)
            for begin, until in _merged(pauses):
                if begin < last and until > first:
                    worked -= sign * self.elapsed(max(begin, first), min(until, last))
        return worked

    def add_business_days(self, start: int, days: int) -> int:
        """The end of the `days`-th business day after that of `start`; with 0, the end of that of `start` itself.

        A business day is a local date on which a window starts, and ends when the last of them closes, be it after
        midnight. The day of `start` is the one whose window it lies in, else its local date; when that is no business
        day, or over, 0 means the next. It is never a number of hours: over DST or a weekend it has what it has.
        """
        if days < 0:
            raise ValueError(f"{days} business days: count forward from an instant, with 0 or more")
        self._cover(start)
        date = local_time(start, self.zone).date()
        for earlier in (date - 2 * _A_DAY, date - _A_DAY):
            if any(opens <= start < closes for opens, closes in self._days.windows(earlier)):
                date = earlier
                break
        if days == 0:
            end = max((closes for _, closes in self._days.windows(date)), default=start)
            if end > start:
                return end
            days = 1
        while date.year <= LAST_YEAR:
            date += _A_DAY
            if windows := self._days.windows(date):
                days -= 1
                if days == 0:
                    return max(closes for _, closes in windows)
        raise CalendarError(
            f"calendar {self.name!r} has too few business days from {format_instant(start)} to the end of {LAST_YEAR}"
        )

    def windows(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The open intervals (from, to) from `start` to `end`, cut to them, in order; adjoining ones are joined."""
        if start >= end:
            return
        self._cover(start)
        self._cover(end - 1)
        at = start
        while at < end:
            # Searched anew after each yield: meanwhile another question may have put earlier years in front.
            i = bisect_right(self._closes, at)
            if i == len(self._opens) or self._opens[i] >= end:
                return
            opens, closes = max(self._opens[i], at), min(self._closes[i], end)
            yield opens, closes
            at = closes

    def days(self, start: int, count: int) -> Iterator[Day]:
        """`count` local dates in order, from that of `start` on, with the windows that start on each."""
        _refuse_outside(start)
        date = local_time(start, self.zone).date()
        for ahead in range(count):
            yield self._days.day(date + ahead * _A_DAY)

    def _worked(self, at: int) -> int:
        """Working seconds from the compiled span's start to `at`, which lies in that span or at its end."""
        i = bisect_right(self._opens, at) - 1
        if i < 0:
            return 0
        return self._before[i] + min(at, self._closes[i]) - self._opens[i]

    def _window_closing_after(self, at: int) -> int | None:
        self._cover(at)
        while (i := bisect_right(self._closes, at)) == len(self._closes):
            if self._high >= _LATEST:
                return None
            self._compile_next_year()
        return i

    def _add_around(self, start: int, seconds: int, pauses: list[tuple[int, int]]) -> int:
        if seconds < 0:
            return self._subtract_around(start, -seconds, pauses)
        at = start
        for begin, until in pauses:
            if until <= at:
                continue
            if begin > at:
                free = self.elapsed(at, begin)
                if free >= seconds:
                    break
                seconds -= free
            elif seconds == 0:
                break
            at = until
        return self.add(at, seconds)

    def _subtract_around(self, end: int, seconds: int, pauses: list[tuple[int, int]]) -> int:
        if seconds < 0:
            return self._add_around(end, -seconds, pauses)
        at = end
        for begin, until in reversed(pauses):
            if begin >= at:
                continue
            if until < at:
                free = self.elapsed(until, at)
                if free >= seconds:
                    break
                seconds -= free
            elif seconds == 0:
                break
            at = begin
        return self.subtract(at, seconds)

    def _cover(self, at: int) -> None:
        """Compile up to the year of `at`."""
        if self._low <= at < self._high:
            return
        _refuse_outside(at)
        if self._low == self._high:
            self._low = self._high = _year_start((EPOCH + dt.timedelta(seconds=at)).year)
        while at >= self._high:
            self._compile_next_year()
        while at < self._low:
            self._compile_previous_year()

    def _compile_next_year(self) -> None:
        start = self._high
        self._high = _year_start((EPOCH + dt.timedelta(seconds=start)).year + 1)
        for opens, closes in self._days.between(start, self._high):
            if self._closes and self._closes[-1] == opens:
                self._closes[-1] = closes
                self._before[-1] += closes - opens
            else:
                self._opens.append(opens)
                self._closes.append(closes)
                self._before.append(self._before[-1] + closes - opens)

    def _compile_previous_year(self) -> None:
        end = self._low
        self._low = _year_start((EPOCH + dt.timedelta(seconds=end)).year - 1)
        windows = list(self._days.between(self._low, end))
        if windows and self._opens and windows[-1][1] == self._opens[0]:
            windows[-1] = (windows[-1][0], self._closes[0])
            del self._opens[0], self._closes[0]
        self._opens[:0] = [opens for opens, _ in windows]
        self._closes[:0] = [closes for _, closes in windows]
        self._before = [0]
        for opens, closes in zip(self._opens, self._closes, strict=True):
            self._before.append(self._before[-1] + closes - opens)


def _refuse_outside(at: int) -> None:
    if not _EARLIEST <= at < _LATEST:
        raise CalendarError(f"the instant {at} s lies outside {FIRST_YEAR}–{LAST_YEAR}, where calendars are compiled")


class _LocalDays:
    """A spec, read and checked: which windows start on a local date, and the instants they mean."""

    def __init__(self, spec: CalendarSpec) -> None:
        where = f"calendar {spec.name!r}"
        try:
            self.zone = zone(spec.zone)
        except CalendarError as error:
            raise CalendarError(f"{where}: zone: {error}") from None
        # Years in which the zone may skip a date, and with it the work of that date, by crossing the date line (Samoa
        # had no 30 December 2011). Only there is each date looked at.
        new_years = [
            self._instant(dt.date(year, 1, 1), 0) - _year_start(year) for year in range(FIRST_YEAR, LAST_YEAR + 3)
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
        whole = all(_unite(week) == [(0, DAY)] for week in self._week)
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
        return _unite(found)

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


def _unite(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same instants in order, as intervals that neither overlap nor adjoin."""
    united: list[tuple[int, int]] = []
    for begin, until in sorted(intervals):
        if united and begin <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], until))
        else:
            united.append((begin, until))
    return united


def _merged(pauses: Pauses) -> list[tuple[int, int]]:
    for begin, until in pauses:
        if until < begin:
            raise ValueError(f"the pause from {format_instant(begin)} ends before, at {format_instant(until)}")
    return _unite([(begin, until) for begin, until in pauses if begin < until])


def compile_calendar(spec: CalendarSpec) -> Calendar:
    """The calendar that `spec` describes.

    CalendarError for a zone, country or date that does not exist, a window or iCalendar text that cannot be read, and
    a calendar that never opens.
    """
    return Calendar(spec, _LocalDays(spec))


ALWAYS_OPEN: Final = compile_calendar(
    CalendarSpec(name="24x7", zone="UTC", hours={day: [("00:00", "24:00")] for day in range(7)})
)
"""Wall time: every second counts."""
