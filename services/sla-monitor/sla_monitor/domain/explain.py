"""A clock as a person would check it by hand: its segments, counted or not and why, its thresholds and what is left."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sla_monitor.domain.clocks import instant, notices, scheduled, standing_of
from sla_monitor.domain.rules import WALL, Rulebook, Terms
from sla_monitor.domain.state import Clock, Phase, Standing, Ticket
from ticket_contracts.cloudevents import Instant


class Segment(msgspec.Struct, frozen=True):
    """A stretch of time. reason: `working time`, `outside <calendar>`, or the status that it waited in. counted:
    seconds.
    """

    begins: Instant
    ends: Instant
    counted: int
    reason: str


class Passed(msgspec.Struct, frozen=True):
    """A threshold. left_seconds: 0 for the deadline. due: None while the clock does not run and it was not reached."""

    left_seconds: int
    wall: bool
    due: Instant | None
    said: bool


class ClockExplained(msgspec.Struct, frozen=True):
    """One clock at `as_of`. elapsed_seconds and left_seconds in the calendar's time; left is negative past the goal."""

    clock: str
    state: str
    policy: str
    agreement_version: str
    calendar: str | None
    generation: int
    goal_seconds: int
    goal_business_days: int | None
    started_at: Instant
    elapsed_seconds: int
    left_seconds: int
    deadline: Instant | None
    thresholds: list[Passed]
    segments: list[Segment]


class TicketExplained(msgspec.Struct, frozen=True):
    ticket: str
    as_of: Instant
    ticket_version: int
    classification_version: int
    clocks: list[ClockExplained]


ALWAYS = "always open"
_STATES = {Phase.RUN: "running", Phase.PAUSE: "paused", Phase.STOP: "met", Phase.CANCEL: "cancelled"}


def explain(name: str, ticket: Ticket, as_of: int, book: Rulebook) -> TicketExplained:
    """Every clock of a ticket, the ended ones too, at an instant (unix seconds) not before its last event."""
    standing = standing_of(ticket)
    return TicketExplained(
        ticket=name,
        as_of=instant(as_of),
        ticket_version=ticket.ticket_version,
        classification_version=ticket.classification_version,
        clocks=[_clock(clock, standing, as_of, book) for clock in (*ticket.clocks, *ticket.transfers)],
    )


def _clock(clock: Clock, standing: Standing, as_of: int, book: Rulebook) -> ClockExplained:
    terms = book.version(clock.version).terms(clock.policy) or WALL
    until = max(as_of, clock.started)
    elapsed = terms.calendar.elapsed(clock.started, until, clock.pauses_until(until))
    running = scheduled(clock, terms)
    return ClockExplained(
        clock=clock.name,
        state=_state(clock),
        policy=clock.policy,
        agreement_version=clock.version,
        calendar=terms.calendar_name,
        generation=clock.generation,
        goal_seconds=clock.goal,
        goal_business_days=clock.business_days,
        started_at=instant(clock.started),
        elapsed_seconds=elapsed,
        left_seconds=clock.goal - elapsed,
        deadline=_deadline(clock, running),
        thresholds=_thresholds(running, terms),
        segments=_segments(clock, terms, standing, until),
    )


def _deadline(clock: Clock, running: Clock) -> datetime | None:
    """Of a clock that was met: the one that it had then."""
    at = clock.deadline if clock.phase is Phase.STOP else running.deadline
    return instant(at) if at else None


def _state(clock: Clock) -> str:
    breached = any(notice.seconds == 0 and notice.generation == clock.generation for notice in clock.said)
    return _STATES[clock.phase] + (", breached" if breached else "")


def _thresholds(clock: Clock, terms: Terms) -> list[Passed]:
    said = [
        Passed(notice.seconds, notice.wall, instant(notice.due), True)
        for notice in clock.said
        if notice.generation == clock.generation
    ]
    if clock.phase is not Phase.RUN:
        return said
    return [*said, *(Passed(seconds, wall, instant(due), False) for due, seconds, wall in notices(clock, terms))]


def _segments(clock: Clock, terms: Terms, standing: Standing, until: int) -> list[Segment]:
    found: list[Segment] = []
    at = clock.started
    for begin, end in [*clock.pauses_until(until), (until, until)]:
        found += _worked(terms, at, begin)
        if end > begin:
            found.append(Segment(instant(begin), instant(end), 0, _waited(clock, standing, begin)))
        at = max(at, end)
    return found


def _worked(terms: Terms, begin: int, end: int) -> list[Segment]:
    found: list[Segment] = []
    outside = f"outside {terms.calendar_name or ALWAYS}"
    at = begin
    for opens, closes in terms.calendar.windows(begin, end):
        if opens > at:
            found.append(Segment(instant(at), instant(opens), 0, outside))
        found.append(Segment(instant(opens), instant(closes), closes - opens, "working time"))
        at = closes
    if at < end:
        found.append(Segment(instant(at), instant(end), 0, outside))
    return found


def _waited(clock: Clock, standing: Standing, begin: int) -> str:
    if clock.name == "first_response" and standing.first_answer and begin >= standing.first_answer:
        return "answered"
    status = "new"
    for at, each in standing.statuses:
        if at > begin:
            break
        status = each
    return status


def as_text(found: TicketExplained) -> str:
    """For people."""
    versions = f"version {found.ticket_version}, classification {found.classification_version}"
    lines = [f"{found.ticket} at {_text(found.as_of)} ({versions})"]
    if not found.clocks:
        lines.append("  no clock runs on it")
    for clock in found.clocks:
        lines += _clock_lines(clock)
    return "\n".join(lines)


def _clock_lines(clock: ClockExplained) -> list[str]:
    due = f", due {_text(clock.deadline)}" if clock.deadline is not None else ""
    used, left = _amount(clock.elapsed_seconds), _amount(clock.left_seconds)
    goal = _amount(clock.goal_seconds)
    if clock.goal_business_days is not None:
        goal = f"{_days(clock.goal_business_days)} ({goal})"
    lines = [
        f"{clock.clock} #{clock.generation}: {clock.state}",
        f"  policy {clock.policy}, agreement {clock.agreement_version}, calendar {clock.calendar or ALWAYS}",
        f"  goal {goal}, used {used}, left {left}{due}",
    ]
    for segment in clock.segments:
        counted = _amount(segment.counted) if segment.counted else "-"
        lines.append(f"    {_text(segment.begins)}  {_text(segment.ends)} {counted:>10}  {segment.reason}")
    for passed in clock.thresholds:
        what = "the deadline"
        if passed.left_seconds:
            what = f"{_amount(passed.left_seconds)} left{' on the wall' if passed.wall else ''}"
        when = _text(passed.due) if passed.due is not None else "-"
        lines.append(f"    {'said' if passed.said else 'due '} {when}  {what}")
    return lines


def _text(at: datetime) -> str:
    return at.strftime("%a %Y-%m-%d %H:%M:%SZ")


def _days(count: int) -> str:
    if count == 0:
        return "end of the business day"
    return "end of the next business day" if count == 1 else f"end of business day {count} after"


def _amount(seconds: int) -> str:
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
