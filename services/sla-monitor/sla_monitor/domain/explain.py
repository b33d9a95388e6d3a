"""A clock as a person would check it by hand: its segments, counted or not and why, its thresholds and what is left."""

from __future__ import annotations

import copy
from datetime import datetime

import msgspec

from business_calendar import Day, local_time, zone
from sla_monitor.domain.clocks import instant, notices, recomputed, scheduled, standing_of
from sla_monitor.domain.rules import WALL, Rulebook, Terms
from sla_monitor.domain.state import Clock, Standing, Ticket
from ticket_contracts.agreement.counting import Phase
from ticket_contracts.cloudevents import Instant


class Segment(msgspec.Struct, frozen=True):
    """A stretch of time. reason: `working time`, `outside <calendar>` with the holidays in it, or the status that it
    waited in. counted: seconds.
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
    zone: str
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
    """What the clocks follow from, as it stood at `as_of`, and each clock. priority, queue: None until known."""

    ticket: str
    as_of: Instant
    ticket_version: int
    classification_version: int
    status: str
    priority: str | None
    queue: str | None
    group: str | None
    clocks: list[ClockExplained]


ALWAYS = "always open"
_STATES = {Phase.RUN: "running", Phase.PAUSE: "paused", Phase.STOP: "met", Phase.CANCEL: "cancelled"}


def explain(name: str, ticket: Ticket, as_of: int, book: Rulebook) -> TicketExplained:
    """Every clock of a ticket, the ended ones too, at an instant (unix seconds). For one before its last event they
    are what its history comes to by then; those of transfers, which are no part of it, are left out.

    ValueError for an instant that the history does not reach back to.
    """
    if as_of < ticket.through:
        ticket = _as_it_was(name, ticket, as_of, book)
    standing = standing_of(ticket)
    facts = standing.facts
    return TicketExplained(
        ticket=name,
        as_of=instant(as_of),
        ticket_version=ticket.ticket_version,
        classification_version=ticket.classification_version,
        status=facts.status,
        priority=facts.priority,
        queue=facts.queue,
        group=facts.group,
        clocks=[_clock(clock, standing, as_of, book) for clock in (*ticket.clocks, *ticket.transfers)],
    )


def _as_it_was(name: str, ticket: Ticket, as_of: int, book: Rulebook) -> Ticket:
    if ticket.base is not None and as_of < ticket.base.through:
        since = instant(ticket.base.through)
        raise ValueError(f"the history of {name} is kept from {since:%Y-%m-%dT%H:%M:%SZ} on; ask for a later instant")
    then = copy.copy(ticket)
    then.history = [entry for entry in ticket.history if entry.at <= as_of]
    then.through = as_of
    then.clocks, then.transfers = list(recomputed(name, then, book).clocks.values()), []
    return then


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
        zone=terms.calendar.zone.key,
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
    at = begin
    for opens, closes in terms.calendar.windows(begin, end):
        if opens > at:
            found.append(Segment(instant(at), instant(opens), 0, _outside(terms, at, opens)))
        found.append(Segment(instant(opens), instant(closes), closes - opens, "working time"))
        at = closes
    if at < end:
        found.append(Segment(instant(at), instant(end), 0, _outside(terms, at, end)))
    return found


def _outside(terms: Terms, begin: int, end: int) -> str:
    """Why nothing counted between two instants: the calendar, and the holidays in between by name."""
    last = local_time(end - 1, terms.calendar.zone).date()
    days = terms.calendar.days(begin, (end - begin) // 86_400 + 2)
    free = [_holiday(day) for day in days if day.holiday is not None and not day.special and day.date <= last]
    return f"outside {terms.calendar_name or ALWAYS}" + (f"; holiday {', '.join(free)}" if free else "")


def _holiday(day: Day) -> str:
    named = "" if str(day.date).endswith(str(day.holiday)) else f" ({day.holiday})"
    return f"{day.date:%a %Y-%m-%d}{named}"


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
    """For people: each clock on the wall clock of its calendar's zone."""
    versions = f"version {found.ticket_version}, classification {found.classification_version}"
    where = "".join(f", {name} {value}" for name, value in (("queue", found.queue), ("group", found.group)) if value)
    lines = [
        f"{found.ticket} at {found.as_of:%a %Y-%m-%d %H:%M:%SZ} ({versions})",
        f"  {found.status}, priority {found.priority or 'not known yet'}{where}",
    ]
    if not found.clocks:
        lines.append("  no clock runs on it")
    for clock in found.clocks:
        lines += _clock_lines(clock)
    return "\n".join(lines)


def _clock_lines(clock: ClockExplained) -> list[str]:
    local = zone(clock.zone)

    def text(at: datetime | None) -> str:
        return "-" if at is None else f"{local_time(int(at.timestamp()), local):%a %Y-%m-%d %H:%M:%S %z}"

    due = f", due {text(clock.deadline)}" if clock.deadline is not None else ""
    used, left = _amount(clock.elapsed_seconds), _amount(clock.left_seconds)
    goal = _amount(clock.goal_seconds)
    if clock.goal_business_days is not None:
        goal = f"{_days(clock.goal_business_days)} ({goal})"
    hours = f"calendar {clock.calendar}, {clock.zone}" if clock.calendar is not None else f"{ALWAYS}, shown in UTC"
    lines = [
        f"{clock.clock} #{clock.generation}: {clock.state}",
        f"  policy {clock.policy}, {hours}, agreement {clock.agreement_version}",
        f"  goal {goal}, used {used}, left {left}{due}",
    ]
    total = 0
    for segment in clock.segments:
        total += segment.counted
        counted = f"{_amount(segment.counted):>10} {_amount(total):>10}" if segment.counted else f"{'-':>10} {'':>10}"
        lines.append(f"    {text(segment.begins)}  {text(segment.ends)} {counted}  {segment.reason}")
    for passed in clock.thresholds:
        what = "the deadline"
        if passed.left_seconds:
            what = f"{_amount(passed.left_seconds)} left{' on the wall' if passed.wall else ''}"
        lines.append(f"    {'said' if passed.said else 'due '} {text(passed.due)}  {what}")
    return lines


def _days(count: int) -> str:
    if count == 0:
        return "end of the business day"
    return "end of the next business day" if count == 1 else f"end of business day {count} after"


def _amount(seconds: int) -> str:
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
