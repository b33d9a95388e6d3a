"""The clocks of one ticket: a pure core, (state, what happened, agreement) -> (state, events).

A ticket's clocks follow from its history: `Course` goes through it entry by entry, says what fell due up to each
instant, then lets each clock follow what changed. In order, that is one step. An entry older than what was applied
makes the course
be gone through anew, and what differs from what was said is corrected: so the clocks equal those of an ordered history.
"""

from __future__ import annotations

import copy
import itertools
from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from sla_monitor.domain.rules import KINDS, WALL, Choice, Rulebook, Rules, Terms
from sla_monitor.domain.state import FIELDS, Base, Clock, Entry, Notice, Origin, Standing, Ticket, Waiting
from ticket_contracts.agreement.calendars import budget
from ticket_contracts.agreement.counting import Phase, phase_of
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.ids import split_ticket_id
from ticket_contracts.sla import ClockEvent, ClockInputs, ClockState, Occurrence
from ticket_contracts.tickets import ENDED

_KEPT = 96
"""Entries of a history that are kept; when there are more, the older half is settled: a later entry cannot change
it.
"""

_STATUS = FIELDS.index("status")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OCCURRENCE: dict[Phase, Occurrence] = {
    Phase.RUN: "resumed",
    Phase.PAUSE: "paused",
    Phase.STOP: "met",
    Phase.CANCEL: "cancelled",
}


def instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def instant_us(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """Since 1970: the inverse of `instant_us`."""
    return (at - _EPOCH) // _MICROSECOND


def seconds_up(at_us: int) -> int:
    """The first whole second at or after an instant."""
    return -(-at_us // 1_000_000)


class Course:
    """A ticket's clocks on their way through its history. Not shared: what it is given it does not change, what it
    holds it does.

    events: said so far, in order. through: the latest instant applied or fired.
    """

    def __init__(
        self,
        name: str,
        ticket: Ticket,
        book: Rulebook,
        standing: Standing,
        clocks: Iterable[Clock],
        through: int,
        cause: str | None = None,
    ) -> None:
        self.name = name
        self.source = split_ticket_id(name)[0]
        self.created = ticket.created
        self.lives_from = ticket.lives_from
        self.ticket_version = ticket.ticket_version
        self.classification_version = ticket.classification_version
        self.book = book
        self.standing = standing
        self.clocks = {clock.name: clock for clock in clocks}
        self.through = through
        self.cause = cause
        self.events: list[ClockEvent] = []

    def advance(self, until: int) -> None:
        """Say all that is due at or before `until`, in order of its instant."""
        while True:
            clock = None
            for each in self.clocks.values():
                if each.due and each.due <= until and (clock is None or each.due < clock.due):
                    clock = each
            if clock is None:
                return
            self._notify(clock)

    def take(self, entry: Entry) -> None:
        """What happened at `entry.at`; due notices first, or a stop would swallow the breach that came before it."""
        self.advance(entry.at)
        self.standing.absorb(entry)
        self.through = max(self.through, entry.at)
        self.settle(entry.at, entry.decided_us)

    def settle(self, at: int, decided_us: int) -> None:
        """Let each clock do what the ticket's standing asks of it from `at` on."""
        if self.standing.facts.priority is None or not self.standing.seen:
            return
        in_force = self.book.in_force(decided_us)
        for kind in KINDS:
            self._settle(kind, in_force, at, decided_us)

    def _settle(self, kind: str, in_force: Rules, at: int, decided_us: int) -> None:
        clock = self.clocks.get(kind)
        rules, own = in_force, None
        if clock is not None:
            own = self._terms(clock)
            if clock.phase is not Phase.CANCEL and not own.recalculate:
                rules = self.book.version(clock.version)
        chosen = rules.choose(self.source, self.standing.facts, self.created)
        choice = chosen.get(kind)
        terms = rules.terms(choice.policy) if choice is not None else None
        if choice is None or terms is None:
            if clock is not None:
                self._withdraw(clock, at, decided_us)
            return
        phase = terms.phase(kind, self.standing)
        start = terms.origin(kind, self.standing, self.created, answers_first="first_response" in chosen)
        if clock is None or own is None or clock.phase is Phase.CANCEL:
            if start and phase in (Phase.RUN, Phase.PAUSE):
                carried = clock.pauses if clock is not None and clock.floor and start <= clock.started else None
                self._begin(kind, clock, rules, choice, terms, start, phase, at, decided_us, carried)
            elif clock is not None:
                self._track(clock, at)
            return
        start = start or clock.started
        if phase is Phase.CANCEL:
            self._withdraw(clock, at, decided_us)
        elif start > clock.started and phase is not Phase.STOP:
            if kind == "periodic_update" and clock.phase in (Phase.RUN, Phase.PAUSE):
                clock = self.say("met", replace(clock, phase=Phase.STOP, due=0), decided_us)
            self._begin(kind, clock, rules, choice, terms, start, phase, at, decided_us, None)
        elif phase is not Phase.STOP and self._differs(clock, own, choice, terms):
            self._begin(kind, clock, rules, choice, terms, clock.started, phase, at, decided_us, clock.pauses)
        else:
            self._move(clock, terms, phase, at, decided_us)

    def _differs(self, clock: Clock, own: Terms, choice: Choice, terms: Terms) -> bool:
        if choice.policy != clock.policy or budget(choice.goal, clock.started, terms.calendar) != clock.goal:
            return True
        return terms is not own and not terms.counts_as(own)

    def _begin(
        self,
        kind: str,
        before: Clock | None,
        rules: Rules,
        choice: Choice,
        terms: Terms,
        start: int,
        phase: Phase,
        at: int,
        decided_us: int,
        carried: Sequence[int] | None,
    ) -> None:
        """A generation. carried: the pauses that went before, which count under whatever policy; None: those since
        `start`.
        """
        pauses = list(carried) if carried is not None else self._pauses_since(start, terms)
        if phase is Phase.PAUSE and len(pauses) % 2 == 0:
            pauses.append(max(at, start))
        elif phase is Phase.RUN and len(pauses) % 2:
            _close(pauses, at)
        clock = Clock(
            name=kind,
            policy=choice.policy,
            version=rules.version,
            generation=(before.generation if before is not None else self.lives_from) + 1,
            sequence=before.sequence if before is not None else 0,
            goal=budget(choice.goal, start, terms.calendar),
            started=start,
            floor=at,
            known=seconds_up(decided_us),
            phase=phase,
            pauses=pauses,
            said=before.said if before is not None else [],
            business_days=choice.goal.business_days,
        )
        clock = self.say("started", scheduled(clock, terms), decided_us)
        if phase is Phase.PAUSE:
            self.say("paused", clock, decided_us)

    def _move(self, clock: Clock, terms: Terms, phase: Phase, at: int, decided_us: int) -> None:
        if phase is clock.phase:
            return
        pauses = list(clock.pauses)
        floor, known = clock.floor, clock.known
        if phase is Phase.RUN:
            _close(pauses, at)
            floor, known = at, seconds_up(decided_us)
        elif len(pauses) % 2 == 0:
            pauses.append(at)
        moved = replace(clock, phase=phase, pauses=pauses, floor=floor, known=known)
        moved = replace(moved, due=0) if phase is Phase.STOP else scheduled(moved, terms)
        self.say(_OCCURRENCE[phase], moved, decided_us)

    def _withdraw(self, clock: Clock, at: int, decided_us: int) -> None:
        """No policy wants it any more, or the ticket is merged or deleted. A clock that was met stays met."""
        if clock.phase is Phase.STOP:
            return
        self._track(clock, at)
        clock = self.clocks[clock.name]
        if clock.phase is not Phase.CANCEL:
            self.say("cancelled", replace(clock, phase=Phase.CANCEL, deadline=0, due=0), decided_us)

    def _track(self, clock: Clock, at: int) -> None:
        """Keep the pauses of a clock that does not run, in case it runs again."""
        counts = phase_of(self._terms(clock), self.standing.facts.status) is Phase.RUN
        if counts == (len(clock.pauses) % 2 == 0):
            return
        pauses = list(clock.pauses)
        if counts:
            _close(pauses, at)
        else:
            pauses.append(at)
        self.clocks[clock.name] = replace(clock, pauses=pauses)

    def _pauses_since(self, start: int, terms: Terms) -> list[int]:
        """What the ticket's statuses come to under these terms; what held at first held from `start` on."""
        pauses: list[int] = []
        for number, (at, status) in enumerate(self.standing.statuses):
            since = start if number == 0 else max(at, start)
            counts = phase_of(terms, status) is Phase.RUN
            if counts and len(pauses) % 2:
                _close(pauses, since)
            elif not counts and len(pauses) % 2 == 0:
                pauses.append(since)
        return pauses

    def _terms(self, clock: Clock) -> Terms:
        terms = self.book.version(clock.version).terms(clock.policy)
        return terms if terms is not None else WALL

    def _notify(self, clock: Clock) -> None:
        terms = self._terms(clock)
        due, seconds, wall = notices(clock, terms)[0]
        self.through = max(self.through, due)
        notice = Notice(clock.generation, clock.goal, seconds, wall, due, clock.generation, clock.started)
        clock = _next(replace(clock, said=[*clock.said, notice]), terms)
        decided = max(due, clock.known) * 1_000_000
        self.say("warned" if seconds else "breached", clock, decided, notice=notice)

    def say(
        self,
        occurrence: Occurrence,
        clock: Clock,
        decided_us: int,
        notice: Notice | None = None,
        revises: str | None = None,
    ) -> Clock:
        clock = replace(clock, sequence=clock.sequence + 1)
        self.clocks[clock.name] = clock
        self.events.append(self.event(occurrence, clock, decided_us, notice, revises))
        return clock

    def event(
        self,
        occurrence: Occurrence,
        clock: Clock,
        decided_us: int,
        notice: Notice | None = None,
        revises: str | None = None,
    ) -> ClockEvent:
        decided = instant_us(decided_us)
        transfer = clock.name.partition(":")[2] or None
        paused = len(clock.pauses) % 2
        return ClockEvent(
            ticket=self.name,
            decided_for=decided,
            ticket_version=self.ticket_version,
            classification_version=self.classification_version,
            rule=clock.policy,
            agreement_version=clock.version,
            occurrence=occurrence,
            clock=clock.name,
            generation=clock.generation,
            sequence=clock.sequence,
            threshold_seconds=notice.seconds if notice is not None and notice.seconds else None,
            wall=notice is not None and notice.wall,
            due_at=decided if notice is not None else None,
            deadline=instant(clock.deadline) if clock.deadline and clock.phase in (Phase.RUN, Phase.STOP) else None,
            transfer_id=transfer,
            queue=clock.queue,
            revises=revises,
            inputs=ClockInputs(
                started_at=instant(clock.started),
                pauses=[
                    *((instant(begin), instant(until)) for begin, until in clock.closed_pauses),
                    *([(instant(clock.pauses[-1]), None)] if paused else []),
                ],
                goal_seconds=clock.goal,
                goal_business_days=clock.business_days,
                calendar=self._terms(clock).calendar_name,
                cause=self.cause if notice is None else None,
                not_before=instant(clock.known),
            ),
        )


def _close(pauses: list[int], at: int) -> None:
    """End the open pause at `at`; one of no length is forgotten."""
    if pauses[-1] >= at:
        pauses.pop()
    else:
        pauses.append(at)


def notices(clock: Clock, terms: Terms) -> list[tuple[int, int, bool]]:
    """What a running clock has still to say in this generation, in order: (due, seconds left, counted on the wall).

    The breach has 0 seconds left. Nothing is due before `clock.floor`.
    """
    said = {(notice.seconds, notice.wall) for notice in clock.said if notice.generation == clock.generation}
    pauses = clock.closed_pauses
    found = []
    for threshold in terms.thresholds(clock.goal):
        if (threshold.seconds, threshold.wall) in said:
            continue
        at = threshold.instant(terms.calendar, clock.started, clock.goal, clock.deadline, pauses)
        found.append((max(at, clock.floor), threshold.seconds, threshold.wall))
    if (0, False) not in said:
        found.append((max(clock.deadline, clock.floor), 0, False))
    found.sort(key=lambda notice: (notice[0], -notice[1], notice[2]))
    return found


def scheduled(clock: Clock, terms: Terms) -> Clock:
    """With its deadline, and when it has something to say next; neither while it does not run."""
    if clock.phase is not Phase.RUN:
        return replace(clock, deadline=0, due=0)
    deadline = terms.calendar.add(clock.started, clock.goal, clock.closed_pauses)
    return _next(replace(clock, deadline=deadline), terms)


def _next(clock: Clock, terms: Terms) -> Clock:
    left = notices(clock, terms)
    return replace(clock, due=left[0][0] if left else 0)


def standing_of(ticket: Ticket) -> Standing:
    """What the ticket's history has come to."""
    standing = _first_standing(ticket)
    for entry in ticket.history:
        standing.absorb(entry)
    return standing


def _first_standing(ticket: Ticket) -> Standing:
    if ticket.base is None:
        return Standing()
    standing = copy.copy(ticket.base.standing)
    standing.statuses = list(standing.statuses)
    return standing


def recomputed(name: str, ticket: Ticket, book: Rulebook) -> Course:
    """The course of a ticket's own clocks through its whole history, up to the last instant that was applied or
    fired.
    """
    base = ticket.base
    course = Course(
        name, ticket, book, _first_standing(ticket), base.clocks if base else (), base.through if base else 0
    )
    for entry in ticket.history:
        course.take(entry)
    course.advance(ticket.through)
    return course


def apply(
    name: str, ticket: Ticket, entries: Sequence[Entry], standing: Standing, book: Rulebook, cause: str | None
) -> tuple[Ticket, list[ClockEvent]]:
    """Entries of one event. standing: `standing_of(ticket)`, which this takes over. cause: the event's ce_id."""
    events: list[ClockEvent] = []
    ticket = copy.copy(ticket)
    for entry in sorted(entries, key=lambda entry: entry.order):
        if ticket.base is not None and entry.at < ticket.base.through:
            late = entry.decided_us - ticket.base.through * 1_000_000
            entry = replace(entry, at=ticket.base.through, lag_us=max(late, 0))
        if entry.at < ticket.through or (ticket.history and entry.order < ticket.history[-1].order):
            said = _correct(name, ticket, entry, book, cause)
            standing = standing_of(ticket)
        else:
            course = going_on(name, ticket, book, standing, cause)
            course.take(entry)
            ticket.history = [*ticket.history, entry]
            said = adopt(ticket, course)
        events += said
    if len(ticket.history) > _KEPT:
        _settle_half(name, ticket, book)
    return ticket, events


def fire(name: str, ticket: Ticket, until: int, book: Rulebook) -> tuple[Ticket, list[ClockEvent]]:
    """What is due at or before `until`."""
    if ticket.due <= 0 or ticket.due > until:
        return ticket, []
    ticket = copy.copy(ticket)
    course = going_on(name, ticket, book, Standing(), None)
    course.advance(until)
    return ticket, adopt(ticket, course)


def recalculate(name: str, ticket: Ticket, effective_us: int, book: Rulebook) -> tuple[Ticket, list[ClockEvent]]:
    """The agreement changed: clocks whose policy says so follow it from then on; so the ticket's history tells."""
    alive = (clock for clock in ticket.clocks if clock.phase in (Phase.RUN, Phase.PAUSE))
    if not any((book.version(clock.version).terms(clock.policy) or WALL).recalculate for clock in alive):
        return ticket, []
    at = effective_us // 1_000_000
    entry = Entry(at, effective_us - at * 1_000_000, Origin.AGREEMENT, ticket.ticket_version)
    return apply(name, ticket, [entry], standing_of(ticket), book, None)


def states(name: str, ticket: Ticket, at: int, book: Rulebook) -> list[ClockState]:
    """The clocks that run on a ticket, or wait to, as they stand at `at`."""
    return [
        clock_state(clock, at, book)
        for clock in (*ticket.clocks, *ticket.transfers)
        if clock.phase in (Phase.RUN, Phase.PAUSE)
    ]


def clock_state(clock: Clock, at: int, book: Rulebook) -> ClockState:
    terms = book.version(clock.version).terms(clock.policy) or WALL
    until = max(at, clock.started)
    return ClockState(
        clock=clock.name,
        policy=clock.policy,
        generation=clock.generation,
        goal_seconds=clock.goal,
        elapsed_seconds=terms.calendar.elapsed(clock.started, until, clock.pauses_until(until)),
        running=clock.phase is Phase.RUN,
        deadline=instant(clock.deadline) if clock.phase is Phase.RUN else None,
    )


def stated(name: str, ticket: Ticket, book: Rulebook) -> tuple[Ticket, list[ClockEvent]]:
    """The word on which clocks run, for every waiting decision whose versions were seen meanwhile."""
    ready = [waiting for waiting in ticket.waiting if _ready(ticket, waiting)]
    if not ready:
        return ticket, []
    ticket = copy.copy(ticket)
    ticket.waiting = [waiting for waiting in ticket.waiting if not _ready(ticket, waiting)]
    return ticket, [
        ClockEvent(
            ticket=name,
            decided_for=instant_us(waiting.decided_us),
            ticket_version=ticket.ticket_version,
            classification_version=ticket.classification_version,
            rule="stated",
            agreement_version=book.in_force(waiting.decided_us).version,
            occurrence="stated",
            clock="*",
            generation=0,
            sequence=waiting.decision,
            queue=waiting.queue,
            running=[
                clock_state(clock, waiting.decided_us // 1_000_000, book)
                for clock in ticket.clocks
                if clock.phase in (Phase.RUN, Phase.PAUSE)
            ],
        )
        for waiting in ready
    ]


def _ready(ticket: Ticket, waiting: Waiting) -> bool:
    return (
        ticket.created > 0
        and ticket.ticket_version >= waiting.ticket_version
        and ticket.classification_version >= waiting.classification_version
    )


def going_on(name: str, ticket: Ticket, book: Rulebook, standing: Standing, cause: str | None) -> Course:
    return Course(name, ticket, book, standing, (*ticket.clocks, *ticket.transfers), ticket.through, cause)


def adopt(ticket: Ticket, course: Course) -> list[ClockEvent]:
    ticket.clocks = [clock for clock in course.clocks.values() if ":" not in clock.name]
    ticket.transfers = [clock for clock in course.clocks.values() if ":" in clock.name]
    ticket.through = course.through
    ticket.due = next_due(ticket)
    return course.events


def next_due(ticket: Ticket) -> int:
    return min((clock.due for clock in (*ticket.clocks, *ticket.transfers) if clock.due), default=0)


def is_over(ticket: Ticket) -> bool:
    """Whether nothing runs on it any more, as far as is known: it ended, or never was a ticket but pieces of one."""
    if next_due(ticket):
        return False
    if not ticket.created:
        return True
    for entry in reversed(ticket.history):
        if _STATUS in (indexes := entry.delta[::2]):
            return entry.delta[2 * indexes.index(_STATUS) + 1] in ENDED
    return ticket.base is not None and ticket.base.standing.facts.status in ENDED


def last_heard_us(ticket: Ticket) -> int:
    """The newest instant of all that is known of it."""
    heard = [entry.decided_us for entry in ticket.history]
    early = [judged.decided_us for judged in ticket.early]
    return max([ticket.through * 1_000_000, *heard, *early, *(waiting.decided_us for waiting in ticket.waiting)])


def _settle_half(name: str, ticket: Ticket, book: Rulebook) -> None:
    older = copy.copy(ticket)
    older.history = ticket.history[: _KEPT // 2]
    older.through = older.history[-1].at
    course = recomputed(name, older, book)
    ticket.base = Base(course.standing, list(course.clocks.values()), course.through)
    ticket.history = ticket.history[_KEPT // 2 :]


def _correct(name: str, ticket: Ticket, entry: Entry, book: Rulebook, cause: str | None) -> list[ClockEvent]:
    """Put a late entry where it belongs, and say what is different now. Changes `ticket`."""
    ticket.through = max(ticket.through, entry.at)
    before = recomputed(name, ticket, book)
    history = list(ticket.history)
    insort(history, entry, key=lambda each: each.order)
    ticket.history = history
    after = recomputed(name, ticket, book)
    speaker = going_on(name, ticket, book, after.standing, cause)
    speaker.through = ticket.through
    for kind in KINDS:
        new = after.clocks.get(kind)
        old = speaker.clocks.get(kind)
        told = [event for event in before.events if event.clock == kind]
        tale = [event for event in after.events if event.clock == kind]
        if new is not None and old == before.clocks.get(kind) and _begins_with(tale, told):
            speaker.clocks[kind] = new
            for event in tale[len(told) :]:
                speaker.events.append(_caused(event, cause))
        elif old is not None:
            was = before.clocks.get(kind)
            _revise(speaker, old, new, tale, entry, begun=was.generation if was is not None else 0)
    return adopt(ticket, speaker)


def _begins_with(tale: list[ClockEvent], told: list[ClockEvent]) -> bool:
    return len(told) <= len(tale) and all(_content(a) == _content(b) for a, b in zip(told, tale, strict=False))


def _content(event: ClockEvent) -> tuple[object, ...]:
    inputs = event.inputs
    assert inputs is not None
    return (
        event.occurrence,
        event.generation,
        event.threshold_seconds,
        event.wall,
        event.decided_for,
        event.deadline,
        event.rule,
        inputs.started_at,
        inputs.goal_seconds,
        inputs.pauses,
    )


def _caused(event: ClockEvent, cause: str | None) -> ClockEvent:
    if event.occurrence in ("warned", "breached") or event.inputs is None:
        return event
    return replace(event, inputs=replace(event.inputs, cause=cause))


def _revise(
    speaker: Course, old: Clock, new: Clock | None, tale: list[ClockEvent], entry: Entry, *, begun: int
) -> None:
    """What was said of `old` does not follow from the history any more: it should have been `new`, and `tale` said.
    begun: generations that the history had until now.

    Where something said is untrue now, or the goal is another, a generation begins, so that what is true has ids of its
    own.
    """
    if new is None:
        new = replace(old, phase=Phase.CANCEL, generation=begun, said=[], deadline=0, due=0, floor=0)
    pairs, untrue = _paired(old, new)
    missing = [now for now, was in pairs if was is None and now.generation == new.generation]
    another = (old.policy, old.goal, old.started, begun) != (new.policy, new.goal, new.started, new.generation)
    moved = (old.phase, old.pauses) != (new.phase, new.pauses)
    generation = old.generation + 1 if untrue or another else old.generation
    said = [
        replace(was, generation=generation if now.generation == new.generation else 0)
        for now, was in pairs
        if was is not None
    ]
    clock = replace(new, generation=generation, sequence=old.sequence, said=said)
    for notice in untrue:
        clock = speaker.say("revised", clock, entry.decided_us, revises=notice_id(speaker, old, notice))
    begins = another and clock.phase is not Phase.CANCEL
    stands = clock.phase is not old.phase or (moved and not untrue)
    if begins:
        clock = speaker.say("started", clock, entry.decided_us)
    elif stands and clock.phase is Phase.RUN:
        clock = speaker.say("resumed", clock, entry.decided_us)
    for notice in missing:
        clock = replace(
            clock,
            sequence=clock.sequence + 1,
            said=[*clock.said, replace(notice, generation=generation, under=generation)],
        )
        said_then = next(event for event in tale if _is_of(event, notice))
        speaker.events.append(replace(said_then, generation=generation, sequence=clock.sequence))
    if clock.phase is not Phase.RUN and (begins or stands or another):
        clock = speaker.say(_OCCURRENCE[clock.phase], clock, entry.decided_us)
    speaker.clocks[clock.name] = clock


def _is_of(event: ClockEvent, notice: Notice) -> bool:
    return (
        event.occurrence == ("warned" if notice.seconds else "breached")
        and event.generation == notice.generation
        and (event.threshold_seconds or 0, event.wall) == (notice.seconds, notice.wall)
    )


def _paired(old: Clock, new: Clock) -> tuple[list[tuple[Notice, Notice | None]], list[Notice]]:
    """Each notice that follows, with the one that was emitted for it, if one was; and those that do not follow.

    Those due at one instant find each other first; then those of the present generations, and so do those of past ones.
    """
    left = list(old.said)
    found: dict[int, Notice] = {}
    for at_once, alike in itertools.product((True, False), repeat=2):
        for number, notice in enumerate(new.said):
            present = notice.generation == new.generation
            for each in left if number not in found else ():
                same = notice.means(each) and (each.due == notice.due or not at_once)
                if same and (not alike or (each.generation == old.generation) is present):
                    found[number] = each
                    left.remove(each)
                    break
    return [(notice, found.get(number)) for number, notice in enumerate(new.said)], left


def notice_id(speaker: Course, clock: Clock, notice: Notice) -> str:
    """The ce_id that a notice was emitted under."""
    said = replace(clock, generation=notice.under, goal=notice.goal)
    return ce_id(speaker.event("warned" if notice.seconds else "breached", said, notice.due * 1_000_000, notice))
