"""Tickets that stand in line for room, queue by queue, in the order of their urgency."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

_SLACK: Final = 64

Urgency = tuple[str, float, float]
"""The least goes first: `TicketState.urgency`."""
Place = tuple[str, float, float, str]
"""Of a ticket in a line: its urgency, and its id."""


class _Line(msgspec.Struct):
    """heap: with lazy deletion, `places` is what counts."""

    places: dict[str, Place]
    heap: list[Place]


class Lines:
    """One line for each queue; a ticket may stand in several."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._of: dict[str, tuple[str, ...]] = {}

    def put(self, ticket: str, queues: Sequence[str], urgency: Callable[[], Urgency]) -> None:
        """The ticket stands in the lines of these queues and in no other, in its place by its urgency of now."""
        before = self._of.pop(ticket, ())
        for queue in before:
            if queue not in queues:
                line = self._lines[queue]
                del line.places[ticket]
                if not line.places:
                    del self._lines[queue]
        if not queues:
            return
        self._of[ticket] = tuple(queues)
        place = (*urgency(), ticket)
        for queue in queues:
            line = self._lines.setdefault(queue, _Line({}, []))
            if line.places.get(ticket) != place:
                line.places[ticket] = place
                heapq.heappush(line.heap, place)
                if len(line.heap) > 2 * len(line.places) + _SLACK:
                    line.heap[:] = sorted(line.places.values())

    def first(self, queue: str, free: Callable[[str], bool]) -> str | None:
        """Who stands first in that line, of those that are free to go."""
        line = self._lines.get(queue)
        if line is None:
            return None
        passed: list[Place] = []
        found = None
        while line.heap:
            place = line.heap[0]
            if line.places.get(place[-1]) != place:
                heapq.heappop(line.heap)
            elif free(place[-1]):
                found = place[-1]
                break
            else:
                passed.append(heapq.heappop(line.heap))
        for place in passed:
            heapq.heappush(line.heap, place)
        return found

    def in_order(self, queue: str) -> list[str]:
        """All who stand in that line."""
        line = self._lines.get(queue)
        return [] if line is None else [place[-1] for place in sorted(line.places.values())]

    def among(self, queues: set[str]) -> list[str]:
        """Those of the queues for which somebody stands in line."""
        return sorted(queues & self._lines.keys())

    def snapshot(self) -> dict[str, dict[str, Place]]:
        """queue -> ticket -> place."""
        return {queue: dict(line.places) for queue, line in self._lines.items()}

    def kept(self, queue: str) -> int:
        """Places that are held in memory for that line, given up ones included."""
        line = self._lines.get(queue)
        return 0 if line is None else len(line.heap)
