"""The one state of a desk: what each queue holds or is promised, and what partners were given each day."""

from __future__ import annotations

import datetime as dt
import heapq
from typing import Final

import msgspec

from ticket_router.domain.places import Holding
from ticket_router.domain.policy import Measured, Policy, QueuePlan

KEPT_DAYS: Final = 62
"""Days of a partner's reservations that are kept: the longest month twice."""
KEPT_EXITS: Final = 20
"""Tickets that stopped waiting in a queue whose instants are kept: the rate is theirs."""
_SLACK: Final = 64
_LEAST_EXITS: Final = 5
"""With fewer of them there is no rate."""


class OverflowState(msgspec.Struct, frozen=True, omit_defaults=True):
    """on: the queue overflows. since: the unix second of the change. looked: it was looked at when its hold was over,
    and overflowed still."""

    on: bool
    since: int = 0
    looked: bool = False


class Loads:
    """Loads, overflow and reservations; the `Desk` that live decisions ask.

    Loads and who waits follow from the tickets' own states and are not stored; which queues overflow since when, when
    tickets last stopped waiting, and the reservations by day are history, so they are.
    """

    def __init__(self) -> None:
        self.loads: dict[str, int] = {}
        self.tickets: dict[str, int] = {}
        self.overflow: dict[str, OverflowState] = {}
        self.exits: dict[str, list[int]] = {}
        self.waiting: dict[str, dict[str, int]] = {}
        self._oldest: dict[str, list[tuple[int, str]]] = {}  # with lazy deletion: `waiting` is what counts
        self.days: dict[tuple[str, str], int] = {}
        self._months: dict[tuple[str, str], int] = {}

    def load(self, place: str) -> int:
        return self.loads.get(place, 0)

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        state = self.overflow.get(plan.name)
        if state is None:
            return Measured(oldest=self._waited(plan, at), wait=self._forecast(plan, at))
        return Measured(
            before=state.on,
            held=at < state.since + plan.hold,
            oldest=self._waited(plan, at),
            wait=self._forecast(plan, at),
        )

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        return self.days.get((partner, day), 0), self._months.get((partner, day[:7]), 0)

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        return sum(self.tickets.get(queue, 0) - (queue in holding.places) for queue in queues)

    def _waited(self, plan: QueuePlan, at: int) -> int | None:
        if plan.oldest is None:
            return None
        waiting, heap = self.waiting.get(plan.name), self._oldest.get(plan.name)
        if not waiting or heap is None:
            return None
        while waiting.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return plan.open_seconds(heap[0][0], at) if heap[0][0] < at else 0

    def _forecast(self, plan: QueuePlan, at: int) -> int | None:
        """Little's law: those who wait, times the seconds between two who stop waiting."""
        exits = self.exits.get(plan.name) if plan.wait is not None else None
        if exits is None or len(exits) < _LEAST_EXITS:
            return None
        first, last = exits[0], exits[-1]
        each = plan.open_seconds(first, last) / (len(exits) - 1)
        if at > last:  # nobody since: slower than it was
            each = max(each, plan.open_seconds(first, at) / len(exits))
        return int(len(self.waiting.get(plan.name, ())) * each)

    def move(self, ticket: str, before: Holding, after: Holding) -> tuple[set[str], list[str]]:
        """A ticket that held `before` now holds `after`. Returns the places whose load changed, and the queues in which
        it stopped waiting."""
        changed = {p for p in (*before.places, *after.places) if before.of(p) != after.of(p)}
        for place in changed:
            self._add(self.loads, place, after.of(place) - before.of(place))
            self._add(self.tickets, place, (place in after.places) - (place in before.places))
        if before.waits == after.waits:
            return changed, []
        was, now = dict(before.waits), dict(after.waits)
        for queue in was.keys() - now.keys():
            waiting = self.waiting[queue]
            del waiting[ticket]
            if not waiting:
                del self.waiting[queue], self._oldest[queue]
        for queue, since in now.items():
            if was.get(queue) != since:
                waiting = self.waiting.setdefault(queue, {})
                waiting[ticket] = since
                heap = self._oldest.setdefault(queue, [])
                heapq.heappush(heap, (since, ticket))
                if len(heap) > 2 * len(waiting) + _SLACK:
                    heap[:] = sorted((then, who) for who, then in waiting.items())
        return changed, sorted(was.keys() - now.keys())

    @staticmethod
    def _add(counts: dict[str, int], place: str, change: int) -> None:
        count = counts.get(place, 0) + change
        if count:
            counts[place] = count
        else:
            counts.pop(place, None)

    def stopped_waiting(self, queue: str, at: int) -> list[int]:
        """One ticket less waits there. Returns the instants that are kept."""
        exits = self.exits.setdefault(queue, [])
        exits.append(at)
        exits.sort()
        del exits[:-KEPT_EXITS]
        return exits

    def settle(self, queue: str, policy: Policy, at: int) -> OverflowState | None:
        """The queue's state of overflow when it changed by now; None when it is as before."""
        plan = policy.queues.get(queue)
        before = self.overflow.get(queue)
        was = before is not None and before.on
        now = plan is not None and plan.overflow and plan.overflows(self.load(queue), self.measured(plan, at))
        if now == was:
            return None
        changed = self.overflow[queue] = OverflowState(now, at)
        return changed

    def set_overflow(self, queue: str, state: OverflowState | None) -> None:
        if state is None:
            self.overflow.pop(queue, None)
        else:
            self.overflow[queue] = state

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
