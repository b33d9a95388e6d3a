"""The router's task: joins tickets with their classification, decides, answers handoff, and looks again by the hour.

There is one for the whole desk, since loads and caps are one state. It keeps four kinds of records in its changelog:
`t:<ticket>` what it knows of a ticket (keys and values, no text), `v:<ticket>` the newest normalized ticket as it came,
for the notices of later decisions, until the ticket ends; `o:<queue>` that it overflows; `c:<partner>|<day>` how many
reservations the partner was given on its own day. Loads follow from the tickets.
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
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_router.domain.decide import Outcome, Request, decide, look_again, routed, unmoved
from ticket_router.domain.loads import Loads
from ticket_router.domain.policy import Policies, Policy
from ticket_router.domain.tickets import Reservation, TicketState
from ticket_router.domain.views import full_view, redacted
from ticket_runtime.task import Outputs, Poison, Record

_TICKET: Final = b"t:"
_VIEW: Final = b"v:"
_OVERFLOW: Final = b"o:"
_TAKEN: Final = b"c:"

_normalized: Final = msgspec.json.Decoder(TicketNormalized)
_state: Final = msgspec.json.Decoder(TicketState)
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
        others=(TransferOffered, TransferAccepted, OwnerChanged, ContextAdded),
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
        self._ended: dict[str, bytes] = {}  # encoded: most tickets are here, and few come back
        self._views: dict[str, bytes] = {}
        self._due: list[tuple[dt.datetime, str]] = []  # with lazy deletion: a ticket's `look_at` is what counts
        self._waiting: dict[str, set[str]] = {}  # queue -> tickets of the duty queue that wait for room there
        self._freed: set[str] = set()  # queues that lost load and have not been looked at since
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
            self.loads.set_overflow(name, value is not None)
        elif kind == _TAKEN:
            partner, _, day = name.rpartition("|")
            self.loads.set_taken(partner, day, 0 if value is None else int(value))
        else:
            raise ValueError(f"changelog key {key!r} is none of the router's")

    def _restore_ticket(self, ticket: str, value: bytes | None) -> None:
        before = self._tickets.pop(ticket, None)
        state = TicketState() if value is None else _state.decode(value)
        self._wait_for([] if before is None else before.waits_for, state.waits_for, ticket)
        self.loads.move(before.holding if before is not None else (), state.holding)
        if state.ended and value is not None:
            self._ended[ticket] = value
        elif value is not None:
            self._ended.pop(ticket, None)
            self._tickets[ticket] = state
            if state.look_at is not None:
                heapq.heappush(self._due, (state.look_at, ticket))

    # -- messages

    def handle(self, record: Record, out: Outputs) -> None:
        event = _read(record)
        if event is None:
            return
        if isinstance(event, TicketClassified | TransferEvent):
            self._agreements.version(event.agreement_version)
        ticket = event.ticket
        state = self._state_of(ticket)
        if not _is_newer(event, state):
            return
        at = event.decided_for if state.known_at is None else max(event.decided_for, state.known_at)
        policy = self._policy(at)
        # From here on nothing raises.
        awaited, waited = state.look_at, state.waits_for
        if state.look_at is not None and state.look_at <= at:
            self._look(ticket, state, out)
        before = state.holding
        facts = state.facts(at) if state.routed and state.known else None
        changed = False
        match event:
            case TicketNormalized():
                changed = state.learn_ticket(event)
                self._keep_view(ticket, None if state.ended else record.value, out)
            case TicketClassified():
                changed = state.learn_classification(event)
            case TransferEvent():
                state.learn_transfer(event, policy.duty.name)
                self._arm(state, policy, at)
                if state.rests:
                    self._freed.update(state.waits_for)  # room may have come while it was on its way
        state.known_at = at
        self._moved(before, state.holding, policy, out)
        self._decide_if_needed(ticket, state, policy, at, facts if changed else None, out)
        self._wait_for(waited, state.waits_for, ticket)
        self._keep(ticket, state, awaited, out)
        self._fill(policy, at, out)

    def _state_of(self, ticket: str) -> TicketState:
        state = self._tickets.get(ticket)
        if state is None:
            archived = self._ended.get(ticket)
            state = TicketState() if archived is None else _state.decode(archived)
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
        state.decided(
            Reservation(queue=queue.name, purpose=request.purpose, cause=request.cause, transfer_id=transfer_id),
            outcome.look_again_at,
            outcome.waits_for,
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
            day = queue.contract.days.day(int(at.timestamp()))
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
        self._moved(before, state.holding, policy, out)

    # -- looking again

    def fire(self, now: dt.datetime, out: Outputs) -> None:
        due = self._due
        while due and due[0][0] <= now:
            at, ticket = heapq.heappop(due)
            state = self._tickets.get(ticket)
            if state is None or state.look_at != at:
                continue
            waited = state.waits_for
            self._look(ticket, state, out)
            self._wait_for(waited, state.waits_for, ticket)
            self._keep(ticket, state, None, out)

    def next_due(self) -> dt.datetime | None:
        due = self._due
        while due:
            at, ticket = due[0]
            state = self._tickets.get(ticket)
            if state is not None and state.look_at == at:
                return at
            heapq.heappop(due)
        return None

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
        """Room that was freed goes to who waits for it at the duty queue: the highest priority, of these the oldest."""
        freed, self._freed = self._freed, set()
        for queue in sorted(freed & self._waiting.keys()):
            while waiting := [t for t in self._waiting.get(queue, ()) if self._tickets[t].rests]:
                ticket = min(waiting, key=lambda t: (*self._tickets[t].urgency, t))
                state = self._tickets[ticket]
                awaited, waited = state.look_at, state.waits_for
                then = at if state.known_at is None else max(at, state.known_at)
                if self._propose(ticket, state, policy, then, "reroute", out) is not None:
                    break
                state.known_at = then
                self._wait_for(waited, state.waits_for, ticket)
                self._keep(ticket, state, awaited, out)

    def _wait_for(self, before: list[str], after: list[str], ticket: str) -> None:
        for queue in before:
            self._waiting.get(queue, set()).discard(ticket)
        for queue in after:
            self._waiting.setdefault(queue, set()).add(ticket)

    def _arm(self, state: TicketState, policy: Policy, at: dt.datetime) -> None:
        """Sets when to look at a ticket again where it is, unless that is set and to come."""
        if state.at is None or (state.look_at is not None and state.look_at > at):
            return
        plan = policy.queues.get(state.at)
        state.look_at = None if plan is None else look_again(policy, plan, at, [] if plan is policy.duty else None)

    # -- state

    def _policy(self, at: dt.datetime) -> Policy:
        return self._policies.of(self._agreements.in_force(at))

    def _moved(self, before: frozenset[str], after: frozenset[str], policy: Policy, out: Outputs) -> None:
        if before == after:
            return
        for queue in sorted(self.loads.move(before, after)):
            if queue in before:
                plan = policy.queues.get(queue)
                contract = None if plan is None else plan.contract
                self._freed.update((queue,) if contract is None else policy.partner_queues[contract.name])
            overflows = self.loads.settle(queue, policy)
            if overflows is not None:
                out.store(_OVERFLOW + queue.encode(), b"1" if overflows else None)

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

    def _keep(self, ticket: str, state: TicketState, awaited: dt.datetime | None, out: Outputs) -> None:
        """awaited: the `look_at` that already stands in the heap."""
        value = _encode(state)
        out.store(_TICKET + ticket.encode(), value)
        if state.ended:
            self._tickets.pop(ticket, None)
            self._ended[ticket] = value
        else:
            self._ended.pop(ticket, None)
            self._tickets[ticket] = state
            if state.look_at is not None and state.look_at != awaited:
                heapq.heappush(self._due, (state.look_at, ticket))

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
            "overflow": set(self.loads.overflow),
            "days": dict(self.loads.days),
            "waiting": {queue: set(tickets) for queue, tickets in self._waiting.items() if tickets},
            "next_due": self.next_due(),
        }


def _read(record: Record) -> TicketNormalized | TicketClassified | TransferEvent | None:
    """The event of a record, None when it is none of the router's. Raises Poison when it cannot be read."""
    readers = _READERS.get(record.topic)
    if readers is None:
        raise Poison(f"the router does not read {record.topic}")
    kind = record.headers.get("ce_type")
    if kind is None:
        raise Poison(f"a record of {record.topic} without ce_type: send CloudEvents in binary mode")
    if kind not in readers:
        raise Poison(f"{record.topic}: unknown type {kind.decode(errors='replace')!r}; a newer router may know it")
    reader = readers[kind]
    if reader is None:
        return None
    try:
        event: Event = reader.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"{record.topic}: not a {kind.decode(errors='replace')}: {error}") from error
    if record.key is None or record.key != event.ticket.encode():
        raise Poison(f"{record.topic}: the record's key is not its ticket")
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
