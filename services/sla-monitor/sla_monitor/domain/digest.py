"""Many warnings and breaches at once, taken as one: what a person is told, instead of five hundred messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from ticket_contracts.cloudevents import Instant, ce_id
from ticket_contracts.sla import ClockEvent

_Kind = tuple[str, str, str, int, bool]


class Digest(msgspec.Struct, frozen=True):
    """Notices of one kind that fell due together. clock: its kind. policy: of the agreement. left_seconds: of a warning
    the time left, 0 for a breach. begins, ends: the first and last due instant. late: of them, said too late.
    """

    occurrence: str
    clock: str
    policy: str
    left_seconds: int
    wall: bool
    begins: Instant
    ends: Instant
    tickets: list[str]
    late: int


def digests(events: Iterable[ClockEvent], together: timedelta = timedelta(minutes=1)) -> list[Digest]:
    """Of the events of `sla.events`, in any order and also when some come twice: the warnings and breaches that hold
    (one that was `revised` does not), in the order of their instants. Those of a kind are one digest up to `together`
    after the first; each ticket stands in it once.
    """
    notices: dict[str, ClockEvent] = {}
    unsaid: set[str] = set()
    for event in events:
        if event.occurrence in ("warned", "breached") and event.due_at is not None:
            notices[ce_id(event)] = event
        elif event.revises is not None:
            unsaid.add(event.revises)
    found: list[list[ClockEvent]] = []
    latest: dict[_Kind, list[ClockEvent]] = {}
    for event in sorted((e for i, e in notices.items() if i not in unsaid), key=lambda e: (_due(e), e.ticket)):
        kind = _kind(event)
        group = latest.get(kind)
        if group is None or _due(event) - _due(group[0]) > together:
            group = latest[kind] = []
            found.append(group)
        group.append(event)
    return [_digest(group) for group in found]


def _kind(event: ClockEvent) -> _Kind:
    clock = event.clock.partition(":")[0]
    return event.occurrence, clock, event.rule, event.threshold_seconds or 0, event.wall


def _due(event: ClockEvent) -> datetime:
    assert event.due_at is not None
    return event.due_at


def _digest(group: list[ClockEvent]) -> Digest:
    return Digest(
        *_kind(group[0]),
        begins=_due(group[0]),
        ends=_due(group[-1]),
        tickets=list(dict.fromkeys(event.ticket for event in group)),
        late=sum(event.late for event in group),
    )


def as_text(digest: Digest, shown: int = 5) -> str:
    """A line for people."""
    left = digest.left_seconds
    if digest.occurrence == "breached":
        what = "deadline passed"
    else:
        what = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left{' on the wall' if digest.wall else ''}"
    count = len(digest.tickets)
    names = ", ".join(digest.tickets[:shown])
    more = f" and {count - shown} more" if count > shown else ""
    late = f", {digest.late} late" if digest.late else ""
    tickets = "1 ticket" if count == 1 else f"{count} tickets"
    at = digest.begins.strftime("%a %Y-%m-%d %H:%M:%SZ")
    return f"{at}  {digest.clock} ({digest.policy}), {what}: {tickets}{late}: {names}{more}"
