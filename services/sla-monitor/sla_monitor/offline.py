"""What can be said of recorded topics without a running desk: decisions made again, clocks recomputed, one ticket
explained.
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from business_calendar import Calendar
from sla_monitor.adapters.recorded import Recorded, RecordedError
from sla_monitor.domain.clocks import recomputed
from sla_monitor.domain.redecide import differences
from sla_monitor.domain.state import Clock, Ticket
from sla_monitor.handlers import INPUTS, SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement import parse_published
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.counting import Phase
from ticket_contracts.cloudevents import Event, ce_id
from ticket_contracts.sla import ClockEvent
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Record

ALL_TOPICS = [*INPUTS, topics.SLA_EVENTS, topics.AGREEMENT]


_SHOWN = 20


class Verdict(msgspec.Struct):
    """checked: events or clocks. different: of them. tickets: whose. findings: a sentence for each difference, the
    first so many."""

    checked: int = 0
    different: int = 0
    findings: list[str] = []
    tickets: set[str] = set()

    def count(self, ticket: str, what: str, faults: Sequence[str]) -> None:
        self.checked += 1
        if faults:
            self.different += 1
            self.tickets.add(ticket)
            if len(self.findings) < _SHOWN:
                self.findings.append(f"{ticket} {what}: {'; '.join(faults)}")


def agreements_of(rows: Iterable[Recorded]) -> Agreements:
    """Raises RecordedError when there is none, or one is altered."""
    try:
        found = Agreements(parse_published(bytes(row.data)) for row in rows if row.topic == topics.AGREEMENT)
    except ValueError as error:
        raise RecordedError(f"{topics.AGREEMENT}: {error}") from error
    if not len(found):
        raise RecordedError(f"there is no record of {topics.AGREEMENT}, so no decision can be made again")
    return found


def redecide(rows: Sequence[Recorded]) -> Verdict:
    """Every clock event again, from its own inputs and the agreement version that it names."""
    agreements = agreements_of(rows)
    calendars: dict[str, dict[str, Calendar]] = {}
    verdict = Verdict()
    for row, event in _clock_events(rows):
        if event.occurrence == "stated":
            continue
        agreement = agreements.version(event.agreement_version).agreement
        compiled = calendars.get(event.agreement_version)
        if compiled is None:
            compiled = calendars[event.agreement_version] = compile_calendars(agreement)
        faults = differences(event, agreement, compiled)
        if ce_id(event) != row.ce_id:
            faults.append(f"id {row.ce_id}, by its content {ce_id(event)}")
        verdict.count(event.ticket, f"{event.clock} #{event.generation} {event.occurrence}", faults)
    return verdict


class _Dropped:
    """Outputs that nobody reads."""

    def emit(self, topic: str, event: Event) -> str:
        return ""

    def forward(self, *_: object) -> None: ...

    def store(self, key: bytes, value: bytes | None) -> None: ...


def recompute(
    rows: Sequence[Recorded], ticket: str | None = None, forgot: Callable[[str, Ticket], None] | None = None
) -> SlaWork:
    """The clocks of all recorded tickets, or of one, from their history in the order of its instants; timers up to the
    last instant that was recorded. forgot: is told of tickets that ended so long ago that they are forgotten."""
    agreements = agreements_of(rows)
    work = SlaWork(agreements, forgot=forgot)
    inputs = [row for row in rows if row.topic in INPUTS and (ticket is None or row.key == ticket)]
    records = sorted(
        (_record(row) for row in inputs), key=lambda r: (r.instant, INPUTS.index(r.topic), r.key or b"", r.offset)
    )
    out = _Dropped()
    begins = deque(sorted(each.effective_at for each in agreements.every()))
    for record in records:
        while begins and begins[0] <= record.instant:  # clocks that follow the agreement do so at its instant
            work.fire(begins.popleft(), out)
        work.handle(record, out)
    last = max((event.decided_for for _, event in _clock_events(rows)), default=datetime.min.replace(tzinfo=UTC))
    if records:
        work.fire(max(last, records[-1].instant), out)
    return work


def one_ticket(rows: Sequence[Recorded], name: str) -> tuple[SlaWork, Ticket | None]:
    """What is known of a ticket in the end, also of one that ended so long ago that the monitor forgot it."""
    before: list[Ticket] = []
    work = recompute(rows, name, forgot=lambda _, ticket: before.append(ticket))
    found = work.ticket(name)
    return work, found if found is not None or not before else before[-1]


def verify(rows: Sequence[Recorded]) -> Verdict:
    """What the monitor said of each clock last, beside the clock recomputed from the ticket's history."""
    lives: dict[str, dict[int, Ticket]] = defaultdict(dict)  # ticket -> above which generation it lived -> what it was

    def lived(name: str, ticket: Ticket) -> None:
        if ticket.created:
            lives[name][ticket.lives_from] = ticket

    work = recompute(rows, forgot=lived)
    for name, ticket in work.tickets():
        lived(name, ticket)
    verdict = Verdict()
    said: dict[str, dict[str, list[ClockEvent]]] = {}
    for _, event in _clock_events(rows):
        if event.occurrence != "stated" and not event.transfer_id:
            said.setdefault(event.ticket, {}).setdefault(event.clock, []).append(event)
    for name, of_ticket in sorted(lives.items()):
        told = said.pop(name, {})
        begins = [*sorted(of_ticket), sys.maxsize]
        for begin, end in itertools.pairwise(begins):
            clocks = recomputed(name, of_ticket[begin], work.book).clocks
            for clock_name in sorted({*told, *clocks}):
                events = [event for event in told.get(clock_name, ()) if begin < event.generation <= end]
                if clock_name in clocks:
                    verdict.count(name, clock_name, _beside(clocks[clock_name], events))
                elif events:
                    # Late news may leave nothing of a clock; then it was cancelled.
                    stands = _phase_said(events) is not Phase.CANCEL
                    faults = ["said, but does not follow from the history"] if stands else []
                    verdict.count(name, clock_name, faults)
    for name in said:
        verdict.count(name, "all clocks", ["said of a ticket that was never recorded"])
    return verdict


def verify_at_work(read: Callable[[], Sequence[Recorded]], wait: Callable[[], None], times: int = 3) -> Verdict:
    """The same of a desk that goes on meanwhile: what it was just about to say when the topics were read looks like a
    difference. So the tickets that differ are read again, some times; what still differs then, does."""
    verdict = verify(read())
    while verdict.different and times:
        wait()
        again = verify([row for row in read() if row.key in verdict.tickets or row.topic == topics.AGREEMENT])
        verdict.different, verdict.findings, verdict.tickets = again.different, again.findings, again.tickets
        times -= 1
    return verdict


_PHASES = {"met": Phase.STOP, "cancelled": Phase.CANCEL, "paused": Phase.PAUSE}


def _beside(clock: Clock, told: list[ClockEvent]) -> list[str]:
    if not told:
        return ["follows from the history, but was never said"]
    # Of what a correction found missing the pauses and the deadline are those of then.
    last = next((event for event in reversed(told) if event.occurrence not in ("warned", "breached")), told[-1])
    assert last.inputs is not None
    unsaid = {event.revises for event in told}
    faults = []
    phase = _phase_said(told)
    if phase is not clock.phase:
        faults.append(f"said {phase.name}, follows {clock.phase.name}")
    elif phase is Phase.CANCEL:
        return []  # what it waits through meanwhile is kept in case it runs again, and not said
    pauses = [(_second(begin), _second(until) if until else None) for begin, until in last.inputs.pauses]
    follows: list[tuple[int, int | None]] = list(clock.closed_pauses)
    if len(clock.pauses) % 2:
        follows.append((clock.pauses[-1], None))
    if pauses != follows:
        faults.append(f"pauses said {pauses}, follow {follows}")
    if not _is_of(clock, last):
        faults.append(f"goal said {last.inputs.goal_seconds} s, follows {clock.goal} s, or another start")
    if clock.phase is Phase.RUN and last.deadline is not None and _second(last.deadline) != clock.deadline:
        faults.append(f"deadline said {last.deadline}, follows {clock.deadline}")
    breaches = [event for event in told if event.occurrence == "breached" and ce_id(event) not in unsaid]
    if any(notice.seconds == 0 and notice.generation == clock.generation for notice in clock.said):
        # A correction begins a generation, and does not say anew what stays true.
        if not any(_is_of(clock, event) for event in breaches):
            faults.append("a breach follows, but was not said")
    elif any(event.generation == last.generation for event in breaches):
        faults.append("a breach was said, but does not follow")
    return faults


def _phase_said(told: Sequence[ClockEvent]) -> Phase:
    """What the clock does, by the last that was said of it."""
    moves = [event.occurrence for event in told if event.occurrence not in ("warned", "breached", "revised")]
    return _PHASES.get(moves[-1], Phase.RUN) if moves else Phase.RUN


def _is_of(clock: Clock, event: ClockEvent) -> bool:
    """Whether it is said of the same goal from the same start."""
    inputs = event.inputs
    return inputs is not None and (inputs.goal_seconds, _second(inputs.started_at)) == (clock.goal, clock.started)


def _second(at: datetime) -> int:
    return int(at.timestamp())


_clock_event = msgspec.json.Decoder(ClockEvent)


def clock_events(rows: Iterable[Recorded]) -> list[ClockEvent]:
    """All that was said, by ticket and in its order."""
    return [event for _, event in _clock_events(rows)]


def _clock_events(rows: Iterable[Recorded]) -> list[tuple[Recorded, ClockEvent]]:
    found = []
    for row in rows:
        if row.topic == topics.SLA_EVENTS and row.ce_type == ClockEvent.TYPE:
            try:
                found.append((row, _clock_event.decode(row.data)))
            except msgspec.DecodeError as error:
                raise RecordedError(f"{row.topic}: {row.ce_id}: {error}") from error
    found.sort(key=lambda entry: (entry[1].ticket, entry[0].n))
    return found


class _Instant(msgspec.Struct):
    decided_for: datetime


_instant = msgspec.json.Decoder(_Instant)


def _record(row: Recorded) -> Record:
    value = bytes(row.data)
    try:
        instant = _instant.decode(value).decided_for
    except msgspec.DecodeError as error:
        raise RecordedError(f"{row.topic}: {row.ce_id}: {error}") from error
    return Record(
        topic=row.topic,
        partition=0,
        offset=row.n,
        key=row.key.encode() if row.key is not None else None,
        value=value,
        headers={"ce_type": row.ce_type.encode(), "ce_id": row.ce_id.encode()},
        timestamp_ms=int(instant.timestamp() * 1000),
        instant=instant,
    )
