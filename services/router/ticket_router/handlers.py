"""The router's task: joins tickets with their classification, decides, answers handoff, and looks again by the hour.

There is one for the whole desk, since loads and caps are one state. It keeps five kinds of records in its changelog:
`t:<ticket>` what it knows of a ticket (keys and values, no text), `v:<ticket>` the newest normalized ticket as it came,
for the notices of later decisions, until the ticket ends; `o:<queue>` whether it overflows and since when; `d:<queue>`
when tickets last stopped waiting there, if its overflow asks for the rate; `c:<partner>|<day>` how many reservations
the partner was given on its own day. Loads follow from the tickets. What has ended is forgotten after the agreed days.
"""

from __future__ import annotations

import datetime as dt
import heapq
from typing import Any, Final, Protocol

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.routing import TicketDispatched, TicketFacts
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import (
    ContextAdded,
    OwnerChanged,
    TicketErased,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRenewed,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_router.domain.deadlines import deadline
from ticket_router.domain.decide import Outcome, Request, decide, look_again, routed, unmoved
from ticket_router.domain.lines import Lines
from ticket_router.domain.loads import Loads, OverflowState
from ticket_router.domain.places import NOWHERE, Holding
from ticket_router.domain.policy import ABSTAINED, Policies, Policy
from ticket_router.domain.tickets import Classified, Reservation, TicketState
from ticket_router.domain.views import full_view, redacted
from ticket_runtime.task import Outputs, Poison, Record

_TICKET: Final = b"t:"
_VIEW: Final = b"v:"
_OVERFLOW: Final = b"o:"
_EXITS: Final = b"d:"
_TAKEN: Final = b"c:"
_OVERFLOWS_AS_WRITTEN_ONCE: Final = b"1"
_DAY: Final = 86_400
_KEPT_DAYS: Final = 90
"""For what ended before the day of its forgetting was written down."""
_LATE_DAYS: Final = 1
"""What is over goes out of memory so much later, and an event of an instant before that comes late still finds it."""
_FORGOTTEN_AT_ONCE: Final = 2_000
"""More than these wait for the next call, so that no transaction grows with a busy day."""

_normalized: Final = msgspec.json.Decoder(TicketNormalized)
_state: Final = msgspec.json.Decoder(TicketState)
_overflow: Final = msgspec.json.Decoder(OverflowState)
_instants: Final = msgspec.json.Decoder(list[int])
_encode: Final = msgspec.json.Encoder().encode

_Reader = msgspec.json.Decoder[Any]


def _readers(*models: type[Event], others: tuple[type[Event], ...] = ()) -> dict[bytes, _Reader | None]:
    """ce_type -> its decoder; None for what is on the topic for other readers."""
    return {
        **{model.TYPE.encode(): msgspec.json.Decoder(model) for model in models},
        **{model.TYPE.encode(): None for model in others},
    }


_READERS: Final = {
    topics.NORMALIZED: _readers(TicketNormalized, others=(TicketDuplicate,)),
    topics.CLASSIFIED: _readers(TicketClassified),
    topics.TRANSFERS: _readers(
        TransferRequested,
        TransferDeclined,
        TransferExpired,
        TransferWithdrawn,
        TransferCompleted,
        others=(TransferOffered, TransferRenewed, TransferAccepted, OwnerChanged, ContextAdded, TicketErased),
    ),
}
INPUTS: Final = list(_READERS)


class Agreements(Protocol):
    """`ticket_runtime.agreements.Agreements`, as far as the router uses it."""

    def in_force(self, at: dt.datetime) -> Published: ...

    def version(self, digest: str) -> Published:
        """Raises Transient while that version has not been read."""
        ...


class RouterWork:
    """`ticket_runtime.task.Work` of the router."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements
        self._policies = Policies()
        self._tickets: dict[str, TicketState] = {}
        self._ended: dict[str, bytes] = {}  # packed: many, and few come back
        self._forget: dict[int, list[str]] = {}  # by day, with lazy deletion: `forget_on` is what counts
        self._views: dict[str, bytes] = {}
        self._due: list[tuple[dt.datetime, str]] = []  # with lazy deletion: a ticket's `look_at` is what counts
        self._waiting = Lines()  # for room: at the duty queue, or where there is none
        self._spilled = Lines()  # for the queue that they overflowed from, until somebody accepts them elsewhere
        self._freed: set[str] = set()  # queues that lost load and have not been looked at since
        self.unrouted: dict[str, dt.datetime] = {}
        """Ticket -> when it became known, of those that were not routed yet, in the order of their arrival."""
        self.loads = Loads()

    # -- the changelog

    def restore(self, key: bytes, value: bytes | None) -> None:
        kind, name = key[:2], key[2:].decode()
        if kind == _TICKET:
            self._restore_ticket(name, value)
        elif kind == _VIEW:
            if value is None:
                self._views.pop(name, None)
            else:
                self._views[name] = value
        elif kind == _OVERFLOW:
            if value == _OVERFLOWS_AS_WRITTEN_ONCE:
                self.loads.set_overflow(name, OverflowState(True))
            else:
                self.loads.set_overflow(name, None if value is None else _overflow.decode(value))
        elif kind == _EXITS:
            if value is None:
                self.loads.exits.pop(name, None)
            else:
                self.loads.exits[name] = _instants.decode(value)
        elif kind == _TAKEN:
            partner, _, day = name.rpartition("|")
            self.loads.set_taken(partner, day, 0 if value is None else int(value))
        else:
            raise ValueError(f"changelog key {key!r} is none of the router's")

    def _restore_ticket(self, ticket: str, value: bytes | None) -> None:
        before = self._tickets.pop(ticket, None)
        self._ended.pop(ticket, None)
        state = TicketState() if value is None else _state.decode(value)
        self._line_up(ticket, state)
        self.loads.move(ticket, NOWHERE if before is None else before.holding, state.holding)
        if value is None:
            self.unrouted.pop(ticket, None)
            return
        if state.ended and state.forget_on is None:
            state.keep_until(_KEPT_DAYS)
        self._file(ticket, state)
        if not state.ended and state.look_at is not None:
            heapq.heappush(self._due, (state.look_at, ticket))

    def _file(self, ticket: str, state: TicketState) -> None:
        """Where a ticket's state is found, and when it is forgotten."""
        self._awaits_routing(ticket, state)
        if state.forget_on is not None:
            self._forget.setdefault(state.forget_on, []).append(ticket)
        if state.ended and state.forget_on is not None:
            self._tickets.pop(ticket, None)
            self._ended[ticket] = state.packed()
        else:
            self._ended.pop(ticket, None)
            self._tickets[ticket] = state

    # -- messages

    def handle(self, record: Record, out: Outputs) -> None:
        event = _read(record)
        if event is None:
            return
        if isinstance(event, TicketClassified | TransferEvent):
            self._agreements.version(event.agreement_version)
        ticket = event.ticket
        over = self._is_over(ticket, event.decided_for)
        state = TicketState() if over else self._state_of(ticket)
        if not _is_newer(event, state):
            return
        at = event.decided_for if state.known_at is None else max(event.decided_for, state.known_at)
        policy = self._policy(at)
        # From here on nothing raises.
        if over:
            self._drop(ticket, out)
        awaited = state.look_at
        if state.look_at is not None and state.look_at <= at:
            self._look(ticket, state, out)
        before = state.holding
        facts = state.facts(at) if state.routed and state.known else None
        changed = False
        match event:
            case TicketNormalized():
                changed = state.learn_ticket(event)
                self._keep_view(ticket, None if state.ended else record.value, out)
                if state.unclassified_for_good:
                    state.assume(_assumed(policy))
            case TicketClassified():
                changed = state.learn_classification(event)
            case TransferEvent():
                state.learn_transfer(event, policy.duty.name)
                self._arm(state, policy, at)
                if state.rests:
                    self._freed.update(state.waits_for)  # room may have come while it was on its way
        state.known_at = at
        if state.waits_for and state.known and (where := state.where) is not None:
            state.deadline = deadline(policy, where, state.facts(at), int(at.timestamp()), state.statuses)
        if state.classified is not None:
            state.weight = policy.weight(state.classified.priority)
        self._moved(ticket, before, state.holding, policy, at, out)
        self._decide_if_needed(ticket, state, policy, at, facts if changed else None, out)
        self._line_up(ticket, state)
        self._keep(ticket, state, awaited, policy, out)
        self._fill(policy, at, out)

    def _is_over(self, ticket: str, at: dt.datetime) -> bool:
        """Whether what is known of it is forgotten by that instant, in memory still or not: a replay, a restart and a
        long absence decide alike."""
        day = self._forget_day(ticket)
        return day is not None and int(at.timestamp()) // _DAY >= day

    def _drop(self, ticket: str, out: Outputs) -> None:
        half = self._tickets.pop(ticket, None)
        self._ended.pop(ticket, None)
        self.unrouted.pop(ticket, None)
        if half is not None:
            self._line_up(ticket, TicketState())
            self.loads.move(ticket, half.holding, NOWHERE)
        out.store(_TICKET + ticket.encode(), None)

    def _state_of(self, ticket: str) -> TicketState:
        state = self._tickets.get(ticket)
        if state is None:
            archived = self._ended.get(ticket)
            state = TicketState() if archived is None else TicketState.unpacked(archived)
        return state

    def _decide_if_needed(
        self, ticket: str, state: TicketState, policy: Policy, at: dt.datetime, old: TicketFacts | None, out: Outputs
    ) -> None:
        """old: the facts before a change of them, when the event brought one."""
        if state.ended or not state.known:
            return
        if not state.routed:
            self._publish(ticket, state, policy, at, state.first_request(at), None, out)
        ask = state.ask
        where = state.where
        if ask is not None:
            state.ask = None
            self._publish(ticket, state, policy, at, state.answer_request(ask, at), ask.transfer_id, out)
        elif old is not None and where is not None and not unmoved(policy, old, state.facts(at), where, at):
            self._propose(ticket, state, policy, at, "reroute", out)

    def _propose(
        self, ticket: str, state: TicketState, policy: Policy, at: dt.datetime, cause: str, out: Outputs
    ) -> Outcome | None:
        """A reroute, if it belongs elsewhere; otherwise the outcome that says it does not."""
        request = state.proposal_request(cause, at)
        outcome = decide(request, policy, self.loads, at)
        if outcome.stays or outcome.queue.name in (state.where, state.at):
            return outcome
        if cause == "overflow" and (outcome.final or outcome.waits):
            return outcome  # to wait it need not move
        if cause == "queue_closing" and outcome.final and _still_open(policy, state.at, at):
            return outcome  # nobody can have it before the closing: look again then
        self._publish(ticket, state, policy, at, request, None, out, outcome)
        return None

    def _publish(
        self,
        ticket: str,
        state: TicketState,
        policy: Policy,
        at: dt.datetime,
        request: Request,
        transfer_id: str | None,
        out: Outputs,
        outcome: Outcome | None = None,
    ) -> None:
        if outcome is None:
            outcome = decide(request, policy, self.loads, at)
        queue = outcome.queue
        before = state.holding
        second = int(at.timestamp())
        waits_for = outcome.waits_for
        state.decided(
            Reservation(
                queue=queue.name,
                purpose=request.purpose,
                cause=request.cause,
                transfer_id=transfer_id,
                since=second,
                group=outcome.agents,
                overflowed=outcome.overflowed(policy),
            ),
            outcome.look_again_at,
            waits_for,
            deadline(policy, queue.name, request.facts, second, state.statuses) if waits_for else None,
        )
        versions = (state.ticket_version, state.classification_version)
        decision = routed(
            outcome,
            request,
            policy,
            at,
            ticket=ticket,
            versions=versions,
            decision=state.decision,
            transfer_id=transfer_id,
        )
        out.emit(topics.ROUTED, decision)
        view = full_view(_normalized.decode(self._views[ticket]), state.classified)
        if queue.contract is not None:
            view = redacted(view, queue.contract.fields)
            day = queue.contract.days.day(second)
            self._count(queue.contract.name, day, out)
        out.emit(
            topics.queue(queue.name),
            TicketDispatched(
                ticket=ticket,
                decided_for=at,
                decision=state.decision,
                queue=queue.name,
                tier=queue.tier,
                priority=request.facts.priority,
                purpose=request.purpose,
                transfer_id=transfer_id,
                view=view,
                agreement_version=policy.version,
            ),
        )
        for name in outcome.inputs.loads:
            self._settle(name, policy, second, out)
        self._moved(ticket, before, state.holding, policy, at, out)

    # -- looking again

    def fire(self, now: dt.datetime, out: Outputs) -> None:
        self._forget_until(int(now.timestamp()) // _DAY - _LATE_DAYS, out)
        due = self._due
        while True:
            hold = self._next_hold()
            if hold is not None and hold[0] <= now and not (due and due[0][0] < hold[0]):
                self._hold_ends(*hold, out)
                continue
            if not due or due[0][0] > now:
                return
            at, ticket = heapq.heappop(due)
            state = self._tickets.get(ticket)
            if state is None or state.look_at != at:
                continue
            self._look(ticket, state, out)
            self._line_up(ticket, state)
            self._keep(ticket, state, None, self._policy(at), out)

    def next_due(self) -> dt.datetime | None:
        due, forget, hold = self._due, self._next_forgotten(), self._next_hold()
        then = None if forget is None else dt.datetime.fromtimestamp((forget + _LATE_DAYS) * _DAY, dt.UTC)
        if hold is not None:
            then = hold[0] if then is None else min(hold[0], then)
        while due:
            at, ticket = due[0]
            state = self._tickets.get(ticket)
            if state is not None and state.look_at == at:
                return at if then is None else min(at, then)
            heapq.heappop(due)
        return then

    def _next_hold(self) -> tuple[dt.datetime, str] | None:
        """The first end of a hold that kept a queue overflowing, and the queue: its load may be gone long since, and no
        event of its tickets be left to say so."""
        ends = []
        for queue, state in self.loads.overflow.items():
            if state.on and not state.looked:
                plan = self._policy(dt.datetime.fromtimestamp(state.since, dt.UTC)).queues.get(queue)
                if plan is not None and plan.hold:
                    ends.append((state.since + plan.hold, queue))
        if not ends:
            return None
        second, queue = min(ends)
        return dt.datetime.fromtimestamp(second, dt.UTC), queue

    def _hold_ends(self, at: dt.datetime, queue: str, out: Outputs) -> None:
        policy = self._policy(at)
        self._settle(queue, policy, int(at.timestamp()), out)
        state = self.loads.overflow[queue]
        if state.on:
            state = msgspec.structs.replace(state, looked=True)
            self.loads.set_overflow(queue, state)
            out.store(_OVERFLOW + queue.encode(), _encode(state))
        self._fill(policy, at, out)

    def _forget_day(self, ticket: str) -> int | None:
        archived = self._ended.get(ticket)
        if archived is not None:
            return TicketState.unpacked(archived).forget_on
        half = self._tickets.get(ticket)
        return None if half is None else half.forget_on

    def _next_forgotten(self) -> int | None:
        """The first day on which something is over."""
        while self._forget:
            day = min(self._forget)
            tickets = self._forget[day]
            while tickets and self._forget_day(tickets[-1]) != day:
                tickets.pop()
            if tickets:
                return day
            del self._forget[day]
        return None

    def _forget_until(self, today: int, out: Outputs) -> None:
        """What ended so long ago that nobody asks for it any more, and what never became a ticket."""
        left = _FORGOTTEN_AT_ONCE
        for day in sorted(day for day in self._forget if day <= today):
            tickets = self._forget[day]
            while tickets and left:
                ticket, left = tickets.pop(), left - 1
                if self._forget_day(ticket) == day:
                    self._drop(ticket, out)
            if tickets:
                return
            del self._forget[day]

    def _look(self, ticket: str, state: TicketState, out: Outputs) -> None:
        """What its `look_at` asked for. A ticket that is on its way is looked at again where it arrives."""
        at = state.look_at
        state.look_at = None
        if at is None or state.at is None or state.pending is not None or state.transfer is not None:
            return
        policy = self._policy(at)
        plan = policy.queues.get(state.at)
        if plan is None or plan is policy.duty:
            cause = "reroute"
        elif plan.lead is None or (state.normalized is not None and state.normalized.status == "resolved"):
            return
        elif plan.is_open(second := int(at.timestamp())) and plan.next_close(second) - plan.lead > second:
            self._arm(state, policy, at)  # another agreement closes later
            return
        else:
            cause = "queue_closing"
        state.known_at = at if state.known_at is None else max(at, state.known_at)
        if self._propose(ticket, state, policy, at, cause, out) is not None:
            self._arm(state, policy, at)

    def _fill(self, policy: Policy, at: dt.datetime, out: Outputs) -> None:
        """Room that was freed goes to who waits for it, at the duty queue or where there is none, then to who
        overflowed from there: the highest priority, of these the one with the least time left, then the oldest. What
        people have begun to work on stays."""
        freed, self._freed = self._freed, set()
        for queue in self._waiting.among(freed):
            while (ticket := self._waiting.first(queue, lambda t: self._tickets[t].rests)) is not None:
                state = self._tickets[ticket]
                awaited = state.look_at
                then = at if state.known_at is None else max(at, state.known_at)
                if state.at == policy.duty.name:
                    if self._propose(ticket, state, policy, then, "reroute", out) is not None:
                        break
                    state.known_at = then
                elif state.begun or (state.at == queue and self._has_room(queue, policy, then)):
                    state.waits_for = []
                elif state.at == queue or self._propose(ticket, state, policy, then, "overflow", out) is not None:
                    break
                else:
                    state.known_at = then
                self._line_up(ticket, state)
                self._keep(ticket, state, awaited, policy, out)
        for queue in self._spilled.among(freed):
            self._drain(queue, policy, at, out)

    def _drain(self, queue: str, policy: Policy, at: dt.datetime, out: Outputs) -> None:
        """The queue overflows no longer: what was offered elsewhere meanwhile, and nobody has accepted yet, comes back
        while there is room to spare."""
        for ticket in self._spilled.in_order(queue):
            state = self._tickets[ticket]
            awaited = state.look_at
            then = at if state.known_at is None else max(at, state.known_at)
            request = state.drain_request(queue, then)
            outcome = decide(request, policy, self.loads, then)
            if outcome.stays:
                if outcome.crowded:
                    return
                continue
            self._publish(ticket, state, policy, then, request, None, out, outcome)
            state.known_at = then
            self._line_up(ticket, state)
            self._keep(ticket, state, awaited, policy, out)

    def _has_room(self, queue: str, policy: Policy, at: dt.datetime) -> bool:
        """Whether nobody waits there any more for more than people's time."""
        plan, load = policy.queues.get(queue), self.loads.load(queue)
        if plan is None or (plan.capacity is not None and load > plan.capacity):
            return False
        return not plan.overflow or not plan.overflows(load, self.loads.measured(plan, int(at.timestamp())))

    def _line_up(self, ticket: str, state: TicketState) -> None:
        """The ticket stands in the lines that its state says, in its place by its urgency."""
        self._waiting.put(ticket, state.waits_for, state.urgency)
        self._spilled.put(ticket, state.overflowed, state.urgency)

    def _arm(self, state: TicketState, policy: Policy, at: dt.datetime) -> None:
        """Sets when to look at a ticket again where it is, unless that is set and to come."""
        if state.at is None or (state.look_at is not None and state.look_at > at):
            return
        plan = policy.queues.get(state.at)
        state.look_at = None if plan is None else look_again(policy, plan, at, [] if plan is policy.duty else None)

    # -- state

    def _policy(self, at: dt.datetime) -> Policy:
        return self._policies.of(self._agreements.in_force(at))

    def _moved(
        self, ticket: str, before: Holding, after: Holding, policy: Policy, at: dt.datetime, out: Outputs
    ) -> None:
        if before == after:
            return
        changed, stopped = self.loads.move(ticket, before, after)
        second = int(at.timestamp())
        for queue in stopped:
            plan = policy.queues.get(queue)
            if plan is not None and plan.wait is not None:
                out.store(_EXITS + queue.encode(), _encode(self.loads.stopped_waiting(queue, second)))
        for queue in sorted({place.partition("/")[0] for place in changed} | set(stopped)):
            if queue in before.places:
                plan = policy.queues.get(queue)
                contract = None if plan is None else plan.contract
                self._freed.update((queue,) if contract is None else policy.partner_queues[contract.name])
            self._settle(queue, policy, second, out)

    def _settle(self, queue: str, policy: Policy, at: int, out: Outputs) -> None:
        changed = self.loads.settle(queue, policy, at)
        if changed is not None:
            out.store(_OVERFLOW + queue.encode(), _encode(changed))
            if not changed.on:
                self._freed.add(queue)

    def _count(self, partner: str, day: str, out: Outputs) -> None:
        count, old = self.loads.reserve(partner, day)
        out.store(_TAKEN + f"{partner}|{day}".encode(), str(count).encode())
        for gone in old:
            out.store(_TAKEN + f"{partner}|{gone}".encode(), None)

    def _keep_view(self, ticket: str, value: bytes | None, out: Outputs) -> None:
        if value is None:
            if self._views.pop(ticket, None) is not None:
                out.store(_VIEW + ticket.encode(), None)
        else:
            self._views[ticket] = value
            out.store(_VIEW + ticket.encode(), value)

    def _keep(self, ticket: str, state: TicketState, awaited: dt.datetime | None, policy: Policy, out: Outputs) -> None:
        """awaited: the `look_at` that already stands in the heap."""
        state.keep_until(policy.kept_days)
        out.store(_TICKET + ticket.encode(), _encode(state))
        self._file(ticket, state)
        if not state.ended and state.look_at is not None and state.look_at != awaited:
            heapq.heappush(self._due, (state.look_at, ticket))

    def _awaits_routing(self, ticket: str, state: TicketState) -> None:
        if state.routed or state.ended or state.known_at is None:
            self.unrouted.pop(ticket, None)
        else:
            self.unrouted.setdefault(ticket, state.known_at)

    @property
    def open_count(self) -> int:
        """Tickets that have not ended."""
        return len(self._tickets)

    def where(self, ticket: str) -> str | None:
        """The queue that has a ticket or is to have it; None for one that nobody knows or that has ended."""
        state = self._tickets.get(ticket)
        return None if state is None else state.where

    def snapshot(self) -> dict[str, Any]:
        """All that decisions depend on, for comparing two of them."""
        return {
            "tickets": {ticket: msgspec.to_builtins(state) for ticket, state in self._tickets.items()},
            "ended": dict(self._ended),
            "views": dict(self._views),
            "loads": dict(self.loads.loads),
            "tickets_at": dict(self.loads.tickets),
            "overflow": dict(self.loads.overflow),
            "exits": {queue: list(exits) for queue, exits in self.loads.exits.items()},
            "works": {queue: dict(since) for queue, since in self.loads.waiting.items()},
            "days": dict(self.loads.days),
            "waiting": self._waiting.snapshot(),
            "spilled": self._spilled.snapshot(),
            "next_due": self.next_due(),
        }


def _assumed(policy: Policy) -> Classified:
    """What nobody knows of a ticket that came back after it was forgotten: people are to say it."""
    agreement = policy.agreement
    defaults = agreement.classification.defaults
    return Classified(
        category=None,
        kind=defaults.kind,
        priority=agreement.priority(defaults.impact, defaults.urgency),
        impact=defaults.impact,
        urgency=defaults.urgency,
        tier=defaults.tier,
        flags=[ABSTAINED],
    )


def _read(record: Record) -> TicketNormalized | TicketClassified | TransferEvent | None:
    """The event of a record, None when it is none of the router's. Raises Poison when it cannot be read."""
    readers = _READERS.get(record.topic)
    if readers is None:
        raise Poison(f"the router does not read {record.topic}")
    kind = record.headers.get("ce_type")
    if kind is None:
        raise Poison(f"a record of {record.topic} without ce_type: send CloudEvents in binary mode", "headers")
    if kind not in readers:
        raise Poison(
            f"{record.topic}: unknown type {kind.decode(errors='replace')!r}; a newer router may know it",
            "unknown_type",
        )
    reader = readers[kind]
    if reader is None:
        return None
    try:
        event: Event = reader.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"{record.topic}: not a {kind.decode(errors='replace')}: {error}", "unreadable") from error
    if record.key is None or record.key != event.ticket.encode():
        raise Poison(f"{record.topic}: the record's key is not its ticket", "key")
    assert isinstance(event, TicketNormalized | TicketClassified | TransferEvent)
    return event


def _is_newer(event: TicketNormalized | TicketClassified | TransferEvent, state: TicketState) -> bool:
    match event:
        case TicketNormalized():
            return event.ticket_version > state.ticket_version
        case TicketClassified():
            return event.classification_version > state.classification_version
        case TransferEvent():
            return event.sequence > state.sequence


def _still_open(policy: Policy, queue: str | None, at: dt.datetime) -> bool:
    plan = policy.queues.get(queue) if queue is not None else None
    return plan is not None and plan.is_open(int(at.timestamp()))
