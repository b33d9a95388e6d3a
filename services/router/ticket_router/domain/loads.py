"""The one state of a desk: how many tickets each queue holds or is promised, and what partners were given each day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from ticket_router.domain.policy import Policy

KEPT_DAYS: Final = 62
"""Days of a partner's reservations that are kept: the longest month twice."""


class Loads:
    """Loads, overflow and reservations; the `Desk` that live decisions ask.

    Loads follow from the tickets' own states and are not stored; which queues overflow and the reservations by day
    are history, so they are.
    """

    def __init__(self) -> None:
        self.loads: dict[str, int] = {}
        self.overflow: set[str] = set()
        self.days: dict[tuple[str, str], int] = {}
        self._months: dict[tuple[str, str], int] = {}

    def load(self, queue: str) -> int:
        return self.loads.get(queue, 0)

    def overflowing(self, queue: str) -> bool:
        return queue in self.overflow

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        return self.days.get((partner, day), 0), self._months.get((partner, day[:7]), 0)

    def move(self, before: Iterable[str], after: Iterable[str]) -> set[str]:
        """A ticket that held the queues `before` now holds `after`. Returns the queues whose load changed."""
        left, came = set(before), set(after)
        for queue in left - came:
            self.loads[queue] -= 1
            if not self.loads[queue]:
                del self.loads[queue]
        for queue in came - left:
            self.loads[queue] = self.loads.get(queue, 0) + 1
        return left ^ came

    def settle(self, queue: str, policy: Policy) -> bool | None:
        """Whether the queue overflows after its load changed; None when that is as before."""
        plan = policy.queues.get(queue)
        before = queue in self.overflow
        now = plan is not None and plan.overflows(self.load(queue), before)
        if now == before:
            return None
        (self.overflow.add if now else self.overflow.discard)(queue)
        return now

    def set_overflow(self, queue: str, overflowing: bool) -> None:
        (self.overflow.add if overflowing else self.overflow.discard)(queue)

    def set_taken(self, partner: str, day: str, count: int) -> None:
        """So many reservations of that partner on that day (0: forget it)."""
        month = (partner, day[:7])
        total = self._months.get(month, 0) + count - self.days.pop((partner, day), 0)
        if count:
            self.days[partner, day] = count
        if total:
            self._months[month] = total
        else:
            self._months.pop(month, None)

    def reserve(self, partner: str, day: str) -> tuple[int, list[str]]:
        """One reservation more on that day. Returns the day's count, and the days that are too old to keep."""
        count = self.days.get((partner, day), 0) + 1
        self.set_taken(partner, day, count)
        if count > 1:
            return count, []
        oldest = (dt.date.fromisoformat(day) - dt.timedelta(days=KEPT_DAYS)).isoformat()
        old = sorted(d for p, d in self.days if p == partner and d < oldest)
        for gone in old:
            self.set_taken(partner, gone, 0)
        return count, old
