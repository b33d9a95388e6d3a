"""The sixth invariant: every clock warns once per threshold, breaches at most once, and never while paused or over."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache

from business_calendar import Calendar
from ticket_audit.findings import Finding
from ticket_audit.history import History
from ticket_contracts import topics
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.model import Threshold
from ticket_contracts.sla import ClockEvent


def in_time(history: History) -> Finding:
    """6. What was emitted was due and was emitted once; what was due was emitted."""
    found = Finding(6, "In time")
    ticking: dict[tuple[str, str, int], list[ClockEvent]] = defaultdict(list)
    end = datetime.min.replace(tzinfo=UTC)
    for entries in history.entries.values():
        for entry in entries:
            end = max(end, entry.event.decided_for)
    for entry in history.entries.get(topics.SLA_EVENTS, []):
        event = entry.event
        if isinstance(event, ClockEvent) and event.occurrence != "stated":
            ticking[event.ticket, event.clock, event.generation].append(event)
    deadlines = _Deadlines(history)
    newest: dict[tuple[str, str], int] = {}
    for ticket, clock, generation in ticking:
        newest[ticket, clock] = max(newest.get((ticket, clock), 0), generation)
    for (ticket, clock, generation), events in ticking.items():
        name = f"{ticket}: {clock} #{generation}"
        _no_twice(found, name, events)
        until = _walk(found, name, events, end if newest[ticket, clock] == generation else None)
        if until is not None:
            _complete(found, name, events, until, deadlines)
    return found


def _no_twice(found: Finding, name: str, events: list[ClockEvent]) -> None:
    emitted = Counter(
        (event.occurrence, event.threshold_seconds) for event in events if event.occurrence in ("warned", "breached")
    )
    for (occurrence, threshold), count in emitted.items():
        found.expect(count == 1, f"{name}: {occurrence} {threshold or ''} {count} times")


def _walk(found: Finding, name: str, events: list[ClockEvent], end: datetime | None) -> datetime | None:
    """Follows the clock's states; returns until when it ran, None when that cannot be told (paused at the end, or
    superseded)."""
    running, over, until = True, False, end
    for event in events:
        match event.occurrence:
            case "paused":
                running = False
            case "resumed" | "started":  # a reopened ticket's clock goes on in the generation in which it was met
                running, over, until = True, False, end
            case "met" | "cancelled":
                found.expect(not over, f"{name}: {event.occurrence} after its end")
                over, until = True, event.decided_for if event.occurrence == "met" and running else None
            case "warned" | "breached":
                found.expect(running and not over, f"{name}: {event.occurrence} while {'over' if over else 'paused'}")
                found.expect(
                    event.due_at is not None and event.due_at == event.decided_for,
                    f"{name}: {event.occurrence} decided for {event.decided_for}, due at {event.due_at}",
                )
            case _:
                pass
    return until if running or over else None


def _complete(found: Finding, name: str, events: list[ClockEvent], until: datetime, deadlines: _Deadlines) -> None:
    """What fell due before `until` was emitted."""
    known = [event for event in events if event.deadline is not None]
    if not known:
        return
    deadline = known[-1].deadline
    assert deadline is not None
    if deadline < until:
        found.expect(
            any(e.occurrence == "breached" for e in events), f"{name}: not breached, due {deadline}, ran to {until}"
        )
    for threshold in deadlines.thresholds(known[-1]):
        due = deadlines.warn_instant(known[-1], deadline, threshold)
        if due is not None and due < until:
            warned = any(e.occurrence == "warned" and e.threshold_seconds == threshold.left_seconds for e in events)
            found.expect(warned, f"{name}: no warning {threshold.left_seconds} s before {deadline}, due {due}")


class _Deadlines:
    """What the agreement says of a clock's warnings, computed here and not taken from the monitor."""

    def __init__(self, history: History) -> None:
        self._agreements = history.agreements
        self._calendars = cache(lambda version: compile_calendars(self._agreements[version].agreement))

    def thresholds(self, event: ClockEvent) -> list[Threshold]:
        published = self._agreements.get(event.agreement_version)
        policy = published.agreement.sla.get(event.rule) if published else None
        return [t for t in policy.warn if t.left_seconds is not None] if policy else []

    def warn_instant(self, event: ClockEvent, deadline: datetime, threshold: Threshold) -> datetime | None:
        assert threshold.left_seconds is not None
        policy = self._agreements[event.agreement_version].agreement.sla[event.rule]
        if policy.calendar is None or threshold.wall:
            return deadline - timedelta(seconds=threshold.left_seconds)
        calendar: Calendar = self._calendars(event.agreement_version)[policy.calendar]
        return datetime.fromtimestamp(calendar.subtract(int(deadline.timestamp()), threshold.left_seconds), UTC)
