"""What the statuses of a ticket mean to a clock of the agreement: for who measures the clock, and for who looks ahead.

Statuses are pairs (unix second since when, status), in order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import Protocol

from ticket_contracts.tickets import ENDED


class Phase(IntEnum):
    """RUN counts; PAUSE waits; STOP: met, may run again on reopening; CANCEL: no policy wants it, or the ticket is no
    more.
    """

    RUN = 0
    PAUSE = 1
    STOP = 2
    CANCEL = 3


class Named(Protocol):
    """The statuses that an agreement's clock names; see `Policy`."""

    @property
    def start_on(self) -> Collection[str] | None: ...
    @property
    def pause_on(self) -> Collection[str]: ...
    @property
    def stop_on(self) -> Collection[str]: ...
    @property
    def cancel_on(self) -> Collection[str]: ...


def phase_of(clock: Named, status: str) -> Phase:
    """Whether it counts, by the status alone. A closed ticket stops every clock, whatever the policy names; in a status
    that cancels it no time is lost meanwhile."""
    if status in clock.stop_on or status == "closed":
        return Phase.STOP
    if status in clock.pause_on or status in clock.cancel_on or status in ENDED:
        return Phase.PAUSE
    return Phase.RUN


def started(clock: Named, statuses: Iterable[tuple[int, str]]) -> int | None:
    """Since when the ticket has been where the clock begins, by the status; 0: always; None: not yet."""
    if clock.start_on is None:
        return 0
    return next((since for since, status in statuses if status in clock.start_on), None)


def reopened(clock: Named, statuses: Iterable[tuple[int, str]]) -> int:
    """When the ticket last came out of a status that stops the clock; 0: never."""
    at, stopped = 0, False
    for since, status in statuses:
        stops = phase_of(clock, status) is Phase.STOP
        if stopped and not stops:
            at = since
        stopped = stops
    return at
