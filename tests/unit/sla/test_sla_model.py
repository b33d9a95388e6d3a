"""The monitor beside a naive model that counts every quarter of an hour, under restarts, lost batches and late news."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sla_monitor.domain.clocks import recomputed
from sla_monitor.domain.state import Clock
from ticket_contracts.agreement.counting import Phase
from ticket_contracts.cloudevents import Event
from ticket_contracts.ids import event_id
from ticket_contracts.sla import ClockEvent
from unit.sla.sla_desk import HOUR, MONDAY, Collected, Desk, agreement, as_json, record_of

POLICY = {
    "r": {
        "clock": "resolution",
        "calendar": "nine_to_five",
        "goals": [{"when": {"priority": ["P1"]}, "seconds": 2 * HOUR}, {"seconds": 4 * HOUR}],
        "warn": [{"left_seconds": 900}, {"used_share": 0.5}],
    }
}
GOALS = {"P1": 120, "P3": 240}
QUARTER = 15
STATUSES = ("open", "on_hold", "pending_customer", "resolved", "closed", "merged")
PHASE = {"open": "run", "on_hold": "pause", "pending_customer": "pause", "merged": "cancel"}
TICKETS = ("itsm:one:1", "itsm:one:2")


class Naive:
    """One resolution clock, quarter by quarter of an hour: no calendar arithmetic, no due instants, no history."""

    def __init__(self, minute: int) -> None:
        self.said: list[tuple[str, int]] = []
        self._minute = minute
        self._used = 0
        self._phase: str | None = None
        self._status = ""
        self._goal = self._agreed = 0
        self._passed: set[int] = set()

    def pass_until(self, minute: int) -> None:
        """All that happens up to `minute`, what is due at it included."""
        self._notice()
        while self._minute < minute:
            if self._phase_of(self._status) == "run" and self._is_open(self._minute) and self._status:
                self._used += QUARTER
            self._minute += QUARTER
            self._notice()

    def hear(self, status: str, priority: str) -> None:
        self._status, self._agreed = status, GOALS[priority]
        wanted, before = self._phase_of(status), self._phase
        if before in (None, "cancel"):
            if wanted in ("run", "pause"):
                self._begin(wanted)
        elif wanted == "cancel":
            if before != "stop":
                self._phase = "cancel"
                self._say("cancelled")
        elif wanted != "stop" and self._goal != self._agreed:
            self._begin(wanted)
        elif wanted != before:
            self._phase = wanted
            self._say({"run": "resumed", "pause": "paused", "stop": "met"}[wanted])

    def _begin(self, phase: str) -> None:
        self._phase, self._goal, self._passed = phase, self._agreed, set()
        self._say("started")
        if phase == "pause":
            self._say("paused")

    def _notice(self) -> None:
        if self._phase != "run":
            return
        for threshold in (self._goal // 2, self._goal - 15, self._goal):
            if self._used >= threshold and threshold not in self._passed:
                self._passed.add(threshold)
                self._say("breached" if threshold == self._goal else "warned")

    def _say(self, what: str) -> None:
        self.said.append((what, self._minute))

    @staticmethod
    def _phase_of(status: str) -> str:
        return PHASE.get(status, "stop")

    @staticmethod
    def _is_open(minute: int) -> bool:
        return minute // 1440 % 7 < 5 and 9 * 60 <= minute % 1440 < 17 * 60


def said(desk: Desk, ticket: str) -> list[tuple[str, int]]:
    return [(e.occurrence, int((e.decided_for - MONDAY).total_seconds()) // 60) for e in desk.of(ticket=ticket)]


def clock_text(minute: int) -> str:
    days = minute // 1440
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[days % 7]
    return f"{day}{'+' * (days // 7)} {minute // 60 % 24}:{minute % 60}"


class MonitorBesideModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(agreement(POLICY))
        self.models: dict[str, Naive] = {}
        self.heard: dict[str, tuple[str, str]] = {}
        self.last: Event | None = None
        self.minute = 0

    @initialize(quarter=st.integers(0, 200), status=st.sampled_from(STATUSES))
    def begin(self, quarter: int, status: str) -> None:
        self.minute = QUARTER * quarter
        self.open_ticket(TICKETS[0], status, "P3")

    @rule(ticket=st.sampled_from(TICKETS), status=st.sampled_from(STATUSES), priority=st.sampled_from(("P1", "P3")))
    def open_ticket(self, ticket: str, status: str, priority: str) -> None:
        if ticket in self.models:
            return
        self.models[ticket] = Naive(self.minute)
        self._tell(ticket, status, priority)

    @rule(ticket=st.sampled_from(TICKETS), status=st.sampled_from(STATUSES))
    def change_status(self, ticket: str, status: str) -> None:
        if ticket in self.models and self.heard[ticket][0] != status:
            self._tell(ticket, status, self.heard[ticket][1])

    @rule(ticket=st.sampled_from(TICKETS))
    def change_priority(self, ticket: str) -> None:
        if ticket in self.models:
            status, priority = self.heard[ticket]
            self._tell(ticket, status, "P1" if priority == "P3" else "P3")

    def _tell(self, ticket: str, status: str, priority: str) -> None:
        before = self.heard.get(ticket)
        self.heard[ticket] = (status, priority)
        model = self.models[ticket]
        model.pass_until(self.minute)
        events = _events(self.desk, ticket, clock_text(self.minute), status, priority, before)
        for event in events:
            self.desk.work.handle(record_of(event), self.desk.out)
            self.last = event
        model.hear(status, priority)

    @rule(quarters=st.integers(1, 12))
    def pass_time(self, quarters: int) -> None:
        self.minute += QUARTER * quarters

    @rule()
    def fire(self) -> None:
        self.desk.fire(clock_text(self.minute))
        for model in self.models.values():
            model.pass_until(self.minute)

    @rule()
    def restart(self) -> None:
        self.desk.restart()

    @rule()
    def lose_a_batch(self) -> None:
        """The process dies before its transaction: what it gave out never was, and what it fired is fired again."""
        kept = self.desk.out
        self.desk.out = Collected()
        self.desk.fire(clock_text(self.minute))
        self.desk.out = kept
        self.desk.restart()

    @rule()
    def deliver_again(self) -> None:
        if self.last is not None:
            before = len(self.desk.out.events)
            self.desk.work.handle(record_of(self.last), self.desk.out)
            new = [event.occurrence for event in self.desk.out.events[before:]]
            assert new == []

    @invariant()
    def says_what_the_model_says(self) -> None:
        for ticket, model in self.models.items():
            assert said(self.desk, ticket) == model.said

    @invariant()
    def says_nothing_twice(self) -> None:
        assert len(set(self.desk.out.ids)) == len(self.desk.out.ids)

    def teardown(self) -> None:
        self.desk.fire(clock_text(self.minute + 1500))
        for ticket, model in self.models.items():
            model.pass_until(self.minute + 1500)
            assert said(self.desk, ticket) == model.said
            remembered = self.desk.work.ticket(ticket)
            assert remembered is not None
            course = recomputed(ticket, remembered, self.desk.work.book)
            assert list(course.clocks.values()) == remembered.clocks


def _events(
    desk: Desk, ticket: str, when: str, status: str, priority: str, before: tuple[str, str] | None
) -> Iterator[Event]:
    """What the topics carry: the desk's builders without feeding."""
    heard: list[Event] = []
    feed = desk.feed
    desk.feed = heard.append  # type: ignore[method-assign, assignment]
    if before is None or before[0] != status:
        desk.ticket(when, ticket, status=status)
    if before is None or before[1] != priority:
        desk.classify(when, priority, ticket)
    desk.feed = feed  # type: ignore[method-assign]
    yield from heard


MonitorBesideModel.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestMonitorBesideModel = MonitorBesideModel.TestCase


# -- late news


_STEPS = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from(STATUSES[:5]), st.sampled_from(("P1", "P3"))), min_size=2, max_size=7
)


@settings(max_examples=150, deadline=None)
@given(steps=_STEPS, order=st.randoms(use_true_random=False), fired=st.lists(st.integers(0, 1500), max_size=3))
def test_late_news_gives_the_clock_of_an_ordered_history(
    steps: list[tuple[int, str, str]], order: object, fired: list[int]
) -> None:
    """The first version is known first; the others come in any order, with the clock going on in between."""
    minutes, minute = [], 9 * 60
    for gap, *_ in steps:
        minutes.append(minute)
        minute += gap
    end = minute + 1
    told = [(minutes[n], status, priority) for n, (_, status, priority) in enumerate(steps)]
    shuffled = told[1:]
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered, late = Desk(agreement(POLICY)), Desk(agreement(POLICY))
    for desk, sequence in ((ordered, told), (late, [told[0], *shuffled])):
        received = sequence[0][0]
        for number, (at_minute, status, priority) in enumerate(sequence):
            received = max(received, at_minute)
            _hear(desk, at_minute, received, status, priority)
            if desk is late:
                for extra in fired[number : number + 1]:
                    received = max(received, min(9 * 60 + extra, end))
                    desk.fire(clock_text(received))
        desk.fire(clock_text(end))
    assert _outcome(late) == _outcome(ordered)
    assert len(set(late.out.ids)) == len(late.out.ids)
    unsaid = [event.revises for event in late.out.events if event.revises is not None]
    assert len(set(unsaid)) == len(unsaid)
    assert set(unsaid) <= set(late.out.ids)
    assert _remembered(late) == {
        ident
        for event, ident in zip(late.out.events, late.out.ids, strict=True)
        if event.occurrence in ("warned", "breached") and ident not in unsaid
    }


def _hear(desk: Desk, minute: int, received: int, status: str, priority: str) -> None:
    """A version whose status is news, or is said again; and a classification of it that holds from then."""
    when, arrived = clock_text(minute), clock_text(received)
    desk._shown.get("itsm:one:1", {}).pop("status", None)
    event = desk.ticket(when, received=arrived, status=status)
    desk.classify(arrived, priority, ticket_version=event.ticket_version)


def _outcome(desk: Desk) -> tuple[object, ...] | None:
    """All of the clock that does not count how it came about."""
    ticket = desk.work.ticket("itsm:one:1")
    assert ticket is not None
    if not ticket.clocks:
        return None
    clock: Clock = ticket.clocks[0]
    passed = {(n.seconds, n.goal) for n in clock.said if n.generation == clock.generation}
    deadline = clock.deadline if clock.phase is Phase.RUN else 0
    return clock.goal, clock.phase, clock.pauses, clock.started, deadline, passed


def _remembered(desk: Desk) -> set[str]:
    """The ids of the warnings and breaches that the monitor holds to be true."""
    ticket = desk.work.ticket(TICKETS[0])
    assert ticket is not None
    counted = {True: "warned-wall", False: "warned"}
    return {
        event_id(
            ClockEvent.TYPE,
            TICKETS[0],
            clock.name,
            n.under,
            *((counted[n.wall], n.seconds) if n.seconds else ("breached",)),
        )
        for clock in ticket.clocks
        for n in clock.said
    }


@settings(max_examples=50, deadline=None)
@given(steps=_STEPS, cut=st.integers(0, 6))
def test_a_restored_task_equals_the_one_that_never_stopped(steps: list[tuple[int, str, str]], cut: int) -> None:
    through, restored = Desk(agreement(POLICY)), Desk(agreement(POLICY))
    minute = 9 * 60
    for number, (gap, status, priority) in enumerate(steps):
        for desk in (through, restored):
            _hear(desk, minute, minute, status, priority)
            desk.fire(clock_text(minute))
        if number == cut:
            restored.restart()
        minute += gap
    for desk in (through, restored):
        desk.work.fire(MONDAY + timedelta(days=3), desk.out)
    assert through.out.stored == restored.out.stored
    assert as_json(through.out.events) == as_json(restored.out.events)
    assert dict(through.work.tickets()) == dict(restored.work.tickets())
    assert isinstance(through.work.next_due(), datetime | None)
