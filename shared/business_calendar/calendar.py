"""Working time of one calendar. Instants are integer unix seconds (UTC), amounts are real seconds, also across DST."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from business_calendar.local_days import FIRST_YEAR, LAST_YEAR, Day, LocalDays, unite, year_start
from business_calendar.spec import CalendarError, CalendarSpec
from business_calendar.zones import EPOCH, format_instant, local_time

Pauses = Sequence[tuple[int, int]]
"""Intervals (from, to) that do not count, in any order; they may overlap."""

_EARLIEST: Final = year_start(FIRST_YEAR)
_LATEST: Final = year_start(LAST_YEAR + 1)
_A_DAY: Final = dt.timedelta(days=1)


class Calendar:
    """Answers questions about working time; made by `compile_calendar`.

    Compiled by the year, when first asked for, into sorted lists with an entry for each window, so that a question is
    a binary search whatever the distance. Years are kept, and nothing lies outside 1900–2199 (CalendarError).
    """

    def __init__(self, spec: CalendarSpec, days: LocalDays) -> None:
        self.spec = spec
        self.zone: ZoneInfo = days.zone
        self._days = days
        self._low = self._high = 0  # the compiled span, [low, high); empty at first
        # Inside window i: instant = idle[i] + working seconds since low. It opens at opens[i], and before[i] working
        # seconds lie before it; `before` is one longer than the others and ends with the sum.
        self._opens: list[int] = []
        self._idle: list[int] = []
        self._before: list[int] = [0]
        if days.always_open:
            self._low, self._high = _EARLIEST, _LATEST
            self._append(_EARLIEST, _LATEST)

    @property
    def name(self) -> str:
        return self.spec.name

    def is_open(self, at: int) -> bool:
        """Whether `at` lies in a window. A window holds the instant it opens at, not the one it closes at."""
        self._cover(at)
        i = bisect_right(self._opens, at) - 1
        return i >= 0 and at < self._close_of(i)

    def next_open(self, at: int) -> int | None:
        """The first open instant from `at` on, `at` itself when open; None if it never opens again."""
        i = self._window_closing_after(at)
        return None if i is None else max(at, self._opens[i])

    def next_close(self, at: int) -> int | None:
        """The first closing instant after `at`, of this window or the next; None if it never closes again."""
        i = self._window_closing_after(at)
        if i is None:
            return None
        while self._close_of(i) == self._high:  # the window may go on into the next year
            if self._high == _LATEST:
                return None
            self._compile_next_year()
        return self._close_of(i)

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
            if self._high == _LATEST:
                raise CalendarError(
                    f"calendar {self.name!r} has no {seconds} s of working time between {format_instant(start)} and "
                    f"the end of {LAST_YEAR}; give it hours, or a smaller budget"
                )
            self._compile_next_year()
        return self._idle[bisect_left(self._before, target) - 1] + target

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
            if self._low == _EARLIEST:
                raise CalendarError(
                    f"calendar {self.name!r} has no {seconds} s of working time between the start of {FIRST_YEAR} and "
                    f"{format_instant(end)}; give it hours, or a smaller budget"
                )
            self._compile_previous_year()
        return self._idle[bisect_right(self._before, target) - 1] + target

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
            i = self._index_after(at)
            if i == len(self._opens) or self._opens[i] >= end:
                return
            opens, closes = max(self._opens[i], at), min(self._close_of(i), end)
            yield opens, closes
            at = closes

    def days(self, start: int, count: int) -> Iterator[Day]:
        """`count` local dates in order, from that of `start` on, with the windows that start on each."""
        _refuse_outside(start)
        date = local_time(start, self.zone).date()
        for ahead in range(count):
            yield self._days.day(date + ahead * _A_DAY)

    def _worked(self, at: int) -> int:
        """Working seconds from the compiled span's start to `at`, which lies inside it."""
        i = bisect_right(self._opens, at)
        if i == 0:
            return 0
        in_window, at_close = at - self._idle[i - 1], self._before[i]
        return in_window if in_window < at_close else at_close

    def _close_of(self, i: int) -> int:
        return self._idle[i] + self._before[i + 1]

    def _index_after(self, at: int) -> int:
        """Of the first compiled window that closes after `at`; one past the last if there is none."""
        i = bisect_right(self._opens, at)
        return i - 1 if i and at < self._close_of(i - 1) else i

    def _window_closing_after(self, at: int) -> int | None:
        self._cover(at)
        while (i := self._index_after(at)) == len(self._opens):
            if self._high == _LATEST:
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
        year = (EPOCH + dt.timedelta(seconds=at)).year
        if self._low == self._high:
            self._low = self._high = year_start(year)
        if at >= self._high:
            self._compile_up_to(year)
        else:
            self._compile_back_to(year)

    def _compile_next_year(self) -> None:
        self._compile_up_to((EPOCH + dt.timedelta(seconds=self._high)).year)

    def _compile_previous_year(self) -> None:
        self._compile_back_to((EPOCH + dt.timedelta(seconds=self._low)).year - 1)

    def _compile_up_to(self, year: int) -> None:
        high = year_start(year + 1)
        found = self._days.between(self._high, high)
        self._high = high
        for opens, closes in found:
            self._append(opens, closes)

    def _compile_back_to(self, year: int) -> None:
        low = year_start(year)
        found = self._days.between(low, self._low)
        found += [(opens, self._close_of(i)) for i, opens in enumerate(self._opens)]
        self._low, self._opens, self._idle, self._before = low, [], [], [0]
        for opens, closes in found:
            self._append(opens, closes)

    def _append(self, opens: int, closes: int) -> None:
        worked = self._before[-1]
        if self._opens and self._close_of(len(self._opens) - 1) == opens:  # one window, cut at a new year
            self._before[-1] += closes - opens
            return
        self._opens.append(opens)
        self._idle.append(opens - worked)
        self._before.append(worked + closes - opens)


def _refuse_outside(at: int) -> None:
    if not _EARLIEST <= at < _LATEST:
        year = 1970 + at // 31_556_952  # by its mean length: such an instant may be past any date of Python's
        raise CalendarError(
            f"the instant {at} s, about the year {year}, lies outside {FIRST_YEAR}–{LAST_YEAR}, where calendars are "
            f"compiled"
        )


def _merged(pauses: Pauses) -> list[tuple[int, int]]:
    for begin, until in pauses:
        if until < begin:
            raise ValueError(f"the pause from {format_instant(begin)} ends before, at {format_instant(until)}")
    return unite([(begin, until) for begin, until in pauses if begin < until])


def compile_calendar(spec: CalendarSpec) -> Calendar:
    """The calendar that `spec` describes.

    CalendarError for a zone, country or date that does not exist, a window or iCalendar text that cannot be read, and
    a calendar that never opens.
    """
    return Calendar(spec, LocalDays(spec))


ALWAYS_OPEN: Final = compile_calendar(
    CalendarSpec(name="24x7", zone="UTC", hours={day: [("00:00", "24:00")] for day in range(7)})
)
"""Wall time: every second counts."""
