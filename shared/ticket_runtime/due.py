"""What is due when, for a million tickets: exact for the quarter of an hour at hand, by quarters beyond it."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

_Key = TypeVar("_Key", str, bytes)

_QUARTER = 900
"""Seconds. When one comes up it is put in order at once, and nothing is said meanwhile: so it is no longer."""


class DueQueue(Generic[_Key]):
    """Tickets by the instant (unix seconds) that something of theirs is due.

    Entries are never taken out: the true instant is asked for when an entry comes up, and one that is not true is
    dropped. So whoever changes a ticket's instant adds it anew. A ticket beyond the quarter at hand costs one
    reference in the list of its own, where a heap of pairs would take ten times that.
    """

    def __init__(self, true_due: Callable[[_Key], int]) -> None:
        """true_due: a ticket's instant as it stands, 0 for none."""
        self._true_due: Callable[[_Key], int] = true_due
        self._near: list[tuple[int, _Key]] = []
        self._horizon = 0
        self._far: dict[int, list[_Key]] = {}
        self._quarters: list[int] = []

    def add(self, due: int, ticket: _Key) -> None:
        if due < self._horizon:
            heappush(self._near, (due, ticket))
            return
        quarter = due // _QUARTER
        waiting = self._far.get(quarter)
        if waiting is None:
            self._far[quarter] = [ticket]
            heappush(self._quarters, quarter)
        else:
            waiting.append(ticket)

    def first(self) -> tuple[int, _Key] | None:
        """The earliest (due, ticket), by due and then by ticket; None when nothing is."""
        while True:
            near = self._near
            while near:
                due, ticket = near[0]
                if self._true_due(ticket) == due:
                    return due, ticket
                heappop(near)
            if not self._quarters:
                return None
            quarter = heappop(self._quarters)
            self._horizon = (quarter + 1) * _QUARTER
            found = {(self._true_due(ticket), ticket) for ticket in self._far.pop(quarter)}
            self._near = [(due, ticket) for due, ticket in found if due // _QUARTER == quarter]
            heapify(self._near)
