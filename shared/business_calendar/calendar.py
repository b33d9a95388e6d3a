"""Working time of one calendar. All instants are integer unix seconds (UTC), all amounts are real seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from business_calendar.spec import CalendarSpec

Pauses = Sequence[tuple[int, int]]


class Calendar:
    """Answers questions about working time; made by `compile_calendar`."""

    def is_open(self, at: int) -> bool:
        """Whether `at` lies in a window; a window holds its opening instant and not its closing one."""
        raise NotImplementedError

    def next_open(self, at: int) -> int | None:
        """The first instant from `at` on that is open (`at` itself when open); None if it never opens again."""
        raise NotImplementedError

    def next_close(self, at: int) -> int | None:
        """The first closing instant after `at`; None if it never closes again."""
        raise NotImplementedError

    def add(self, start: int, seconds: int, pauses: Pauses = ()) -> int:
        """The first instant at which `seconds` of working time have passed since `start`."""
        raise NotImplementedError

    def subtract(self, end: int, seconds: int, pauses: Pauses = ()) -> int:
        """The last instant from which `seconds` of working time lie before `end`."""
        raise NotImplementedError

    def elapsed(self, start: int, end: int, pauses: Pauses = ()) -> int:
        """Working seconds between the two, less those inside pauses."""
        raise NotImplementedError

    def add_business_days(self, start: int, days: int) -> int:
        """The end of the `days`-th business day after the one of `start`."""
        raise NotImplementedError

    def windows(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The open intervals between the two, cut to them, in order, adjoining ones joined."""
        raise NotImplementedError


def compile_calendar(spec: CalendarSpec) -> Calendar:
    """The calendar that `spec` describes; CalendarError if it cannot be used."""
    raise NotImplementedError


ALWAYS_OPEN = Calendar()
