"""A small desk, and a ticket's story on it: facts go in as other services publish them, what handoff says comes out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any, Literal, TypeVar

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, ce_id, encode, instant_text
from ticket_contracts.ids import transfer_id
from ticket_contracts.routing import RoutingInputs, TicketFacts, TicketRouted
from ticket_contracts.sla import ClockEvent, ClockInputs, ClockState
from ticket_contracts.tickets import Comment, Requester, TicketNormalized
from ticket_contracts.transfers import (
    OfferClosed,
    OfferMade,
    OwnerChanged,
    Reply,
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
from ticket_handoff.domain.decision import Answer
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.domain.ledger import Ledger
from ticket_handoff.handlers import HandoffWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Record
from ticket_runtime.testing import FakeOutputs

_E = TypeVar("_E", bound=Event)

TICKET = "servicenow:prod:INC1"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def content(**transfers: Any) -> dict[str, Any]:
    """First line inside and at a partner, a second partner, second line inside, and a duty that never sleeps."""

    def owner(*members: str, kind: str = "rota", side: str = "company") -> dict[str, Any]:
        return {"title": "People", "kind": kind, "side": side, "members": list(members)}

    def queue(role: str, partner: str | None = None) -> dict[str, Any]:
        model = {"support_model": "internal"} if partner is None else {"support_model": "partner", "partner": partner}
        return {"title": "Queue", "tier": 1, "owner_role": role, **model}

    return {
        "title": "Test desk",
        "parties": [{"name": "Company", "side": "company"}, {"name": "Nightwatch", "side": "partner"}],
        "sources": ["servicenow"],
        "taxonomy": [{"id": "hardware", "title": "Hardware"}],
        "matrix": {"impacts": ["high"], "urgencies": ["high"], "priorities": {"high": {"high": "P1"}}},
        "classification": {"defaults": {"impact": "high", "urgency": "high"}},
        "calendars": {
            "office": {
                "zone": "UTC",
                "hours": {day: [["08:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
            }
        },
        "owners": {
            "first-line": owner("Ada", "Bea", "Cleo"),
            "second-line": owner("Dan", "Eve"),
            "night": owner("Nora", "Nils", side="partner"),
            "other": owner("Olga", side="partner"),
            "intake": owner("Ira", "Ian", kind="duty"),
            "duty": owner("Dora", kind="duty"),
        },
        "intake_duty": "intake",
        "duty": "duty",
        "partners": {
            "nightwatch": {
                "title": "Nightwatch",
                "calendar": "office",
                "fields": ["title", "text", "category", "priority", "status"],
            },
            "otherwise": {"title": "Otherwise", "calendar": "office", "fields": ["title"]},
        },
        "queues": {
            "desk": queue("first-line"),
            "experts": queue("second-line"),
            "night-desk": queue("night", "nightwatch"),
            "other-desk": queue("other", "otherwise"),
            "duty": queue("duty"),
        },
        "routing": {
            "rules": [{"name": "all", "to": ["desk"]}],
            "group_queues": {"Experts": "experts", "Helpers": "desk"},
            "duty_queue": "duty",
        },
        "sla": {"fix": {"clock": "resolution", "calendar": "office", "goals": [{"seconds": 14_400}]}},
        "transfers": {
            "acknowledge_seconds": {"default": 900, "night-desk": 600},
            "required": {"default": ["view", "classification"], "return": ["view", "classification", "question"]},
            **transfers,
        },
    }


def published(effective_at: datetime = datetime(2026, 1, 1, tzinfo=UTC), **transfers: Any) -> Published:
    made = Agreement.model_validate(content(**transfers))
    return Published(version=digest(made), effective_at=effective_at, approvals=[], agreement=made)


def normalized(ticket: str = TICKET, version: int = 1, when: datetime = START, **said: Any) -> TicketNormalized:
    plain: dict[str, Any] = {
        "lifecycle": "created" if version == 1 else "updated",
        "changed": [],
        "title": "Laptop does not start",
        "text": "It only blinks.",
        "requester": Requester(name="Rosa", address="rosa@example.com"),
        "comments": [
            Comment(id="1", author="Rosa", author_role="customer", visibility="public", at=START, text="Help")
        ],
        "url": "https://itsm.example.com/INC1",
        "created_at": START,
    }
    return TicketNormalized(
        ticket=ticket,
        decided_for=when,
        ticket_version=version,
        source_version=str(version),
        delivery=f"delivery-{version}",
        source="servicenow",
        instance="prod",
        external_id=ticket.rpartition(":")[2],
        received_at=when,
        **{**plain, **said},
    )


def classified(
    agreement: str, ticket: str = TICKET, version: int = 1, when: datetime = START, priority: str = "P1"
) -> TicketClassified:
    return TicketClassified(
        ticket=ticket,
        decided_for=when,
        ticket_version=1,
        classification_version=version,
        rule="words",
        agreement_version=agreement,
        category="hardware",
        kind="incident",
        impact="high",
        urgency="high",
        priority=priority,
        tier=1,
        flags=["vip"],
        articles=["KB1"],
        article_titles={"KB1": "Laptops that do not start"},
        inputs=ClassificationInputs(normalized="n"),
    )


def routed(
    agreement: str,
    ticket: str = TICKET,
    decision: int = 1,
    when: datetime = START,
    queue: str = "desk",
    role: str = "first-line",
    purpose: Literal["first", "transfer", "reroute"] = "first",
    current: str | None = None,
    cause: str | None = None,
    closes_at: datetime | None = None,
    **said: Any,
) -> TicketRouted:
    plain: dict[str, Any] = {"ticket_version": 1, "classification_version": 1, "transfer_id": None, "final": False}
    return TicketRouted(
        ticket=ticket,
        decided_for=when,
        rule="all",
        agreement_version=agreement,
        decision=decision,
        queue=queue,
        tier=1,
        owner_role=role,
        support_model="internal",
        purpose=purpose,
        reason="because",
        inputs=RoutingInputs(
            facts=TicketFacts(
                source="servicenow",
                channel="api",
                kind="incident",
                category="hardware",
                priority="P1",
                impact="high",
                urgency="high",
                tier=1,
            ),
            loads={},
            current=current,
            cause=cause,
            closes_at=closes_at,
        ),
        **{**plain, **said},
    )


def clock(
    agreement: str,
    ticket: str = TICKET,
    when: datetime = START,
    occurrence: Any = "stated",
    name: str = "*",
    generation: int = 0,
    sequence: int = 1,
    **said: Any,
) -> ClockEvent:
    return ClockEvent(
        ticket=ticket,
        decided_for=when,
        ticket_version=1,
        classification_version=1,
        rule=said.pop("rule", "fix"),
        agreement_version=agreement,
        occurrence=occurrence,
        clock=name,
        generation=generation,
        sequence=sequence,
        **said,
    )


def running(deadline: datetime, elapsed: int = 0, goal: int = 14_400) -> ClockState:
    return ClockState(
        clock="resolution",
        policy="fix",
        generation=1,
        goal_seconds=goal,
        elapsed_seconds=elapsed,
        running=True,
        deadline=deadline,
    )


def started(deadline: datetime, goal: int = 14_400) -> dict[str, Any]:
    return {"deadline": deadline, "inputs": ClockInputs(started_at=START, goal_seconds=goal, calendar="office")}


QUEUES = {"desk": "first-line", "experts": "second-line", "night-desk": "night", "other-desk": "other", "duty": "duty"}


class Story:
    """One ticket's facts in the order in which a test tells them. `tell` publishes; the last event of a kind is found
    by `last`."""

    def __init__(self, *versions: Published, ticket: str = TICKET) -> None:
        self.versions = list(versions) or [published()]
        self.agreement = self.versions[0].version
        self.agreements = Agreements(self.versions)
        self.work = HandoffWork(self.agreements)
        self.out = FakeOutputs()
        self.ticket = ticket
        self._offset = 0
        self._version = 0
        self._decision = 0
        self._replies = 0

    def publish(self, topic: str, event: Event) -> list[Event]:
        """What handoff says to it."""
        return self.record(topic, encode(event), event.decided_for, event.TYPE)

    def record(self, topic: str, value: bytes, when: datetime, kind: str = "") -> list[Event]:
        before = len(self.out.emitted)
        self._offset += 1
        record = Record(
            topic=topic,
            partition=0,
            offset=self._offset,
            key=self.ticket.encode(),
            value=value,
            headers={
                "ce_type": kind.encode(),
                "ce_time": instant_text(when).encode(),
                "ce_id": f"m{self._offset}".encode(),
            }
            if kind
            else {},
            timestamp_ms=int(when.timestamp() * 1000),
            instant=when,
        )
        self.work.handle(record, self.out)
        return [event for _, event in self.out.emitted[before:]]

    # -- what others say

    def seen(self, minutes: float = 0, **said: Any) -> list[Event]:
        self._version += 1
        return self.publish(topics.NORMALIZED, normalized(self.ticket, self._version, at(minutes), **said))

    def judged(self, minutes: float = 0, version: int = 1, priority: str = "P1") -> list[Event]:
        return self.publish(topics.CLASSIFIED, classified(self.agreement, self.ticket, version, at(minutes), priority))

    def routed(self, minutes: float = 0, queue: str = "desk", **said: Any) -> list[Event]:
        self._decision += 1
        said = {"ticket_version": max(self._version, 1), "role": QUEUES[queue], **said}
        event = routed(self.agreement, self.ticket, self._decision, at(minutes), queue, **said)
        return self.publish(topics.ROUTED, event)

    def answered(self, minutes: float, queue: str, **said: Any) -> list[Event]:
        """The router's answer to the open question."""
        transfer = self.ledger.transfer
        assert transfer is not None
        return self.routed(minutes, queue, purpose="transfer", transfer_id=transfer.id, **said)

    def stated(self, minutes: float = 0, *states: ClockState, decision: int | None = None) -> list[Event]:
        event = clock(
            self.agreement,
            self.ticket,
            at(minutes),
            sequence=self._decision if decision is None else decision,
            running=list(states),
        )
        return self.publish(topics.SLA_EVENTS, event)

    def clock(self, minutes: float, occurrence: Any, name: str, generation: int = 1, **said: Any) -> list[Event]:
        event = clock(self.agreement, self.ticket, at(minutes), occurrence, name, generation, **said)
        return self.publish(topics.SLA_EVENTS, event)

    def expired(self, minutes: float) -> list[Event]:
        """The monitor says that the open offer's time is over."""
        transfer = self.ledger.transfer
        assert transfer is not None
        return self.clock(minutes, "breached", f"transfer_acknowledgement:{transfer.id}", transfer.attempt)

    def overdue(self, minutes: float) -> list[Event]:
        """The monitor says that the whole transfer's time is over."""
        transfer = self.ledger.transfer
        assert transfer is not None
        return self.clock(minutes, "breached", f"transfer:{transfer.id}")

    # -- what receivers say

    def offer(self) -> OfferMade:
        return self.last(OfferMade)

    def reply(self, minutes: float, action: Any, principal: str = "internal", **said: Any) -> Answer:
        self._replies += 1
        plain = {
            "transfer_id": self.offer().transfer_id,
            "reply_id": f"r{self._replies}",
            "digest": self.offer().digest,
        }
        if action != "accept":
            plain["reason"] = "not mine"
        reply = Reply(action=action, **{**plain, **said})
        return self.work.answer(
            ReplyGiven(reply=reply, principal=principal, actor=reply.actor, at=at(minutes)),
            f"reply-{self._replies}",
            self.out,
        )

    def accept(self, minutes: float, principal: str = "internal", **said: Any) -> Answer:
        return self.reply(minutes, "accept", principal, **said)

    def decline(self, minutes: float, principal: str = "internal", **said: Any) -> Answer:
        return self.reply(minutes, "decline", principal, **said)

    def tell(self, minutes: float, action: Any, principal: str = "internal", **said: Any) -> Answer:
        """What its owner says of the ticket."""
        self._replies += 1
        reply = Reply(**{"action": action, "ticket": self.ticket, "reply_id": f"r{self._replies}", **said})
        given = ReplyGiven(reply=reply, principal=principal, actor=reply.actor or "Ada", at=at(minutes))
        return self.work.answer(given, f"reply-{self._replies}", self.out)

    # -- chapters

    def begun(self, queue: str = "desk") -> Story:
        """Seen, classified, sent to the first line and offered there, all at the start."""
        self.seen(0)
        self.judged(0)
        self.routed(0, queue)
        self.stated(0)
        return self

    def owned(self, minutes: float = 5, queue: str = "desk", principal: str = "internal") -> Story:
        """Acknowledged by that queue."""
        self.seen(0)
        self.judged(0)
        self.routed(0, queue)
        self.stated(0)
        self.accept(minutes, principal)
        return self

    # -- what came of it

    @property
    def ledger(self) -> Ledger:
        return self.work.tickets[self.ticket].ledger

    def owned_by(self) -> tuple[str | None, str | None]:
        """(kind, queue) of the ownership."""
        owner = self.ledger.owner
        return (None, None) if owner is None else (owner.kind, owner.queue)

    def last(self, model: type[_E]) -> _E:
        return self.all(model)[-1]

    def all(self, model: type[_E]) -> list[_E]:
        return [event for _, event in self.out.emitted if isinstance(event, model)]

    def transfer_id(self, number: int) -> str:
        return transfer_id(self.ticket, number)

    def names(self) -> list[str]:
        """The steps, by the last part of their names."""
        return [type(event).__name__.removeprefix("Transfer") for event in self.all(TransferEvent)]


# -- the protocol read backwards: what must hold of any history, proven from the events alone


def faults(events: list[tuple[str, Event]], *, last_status: str = "open") -> list[str]:
    """What is wrong with the history of one ticket, told by handoff's own topics; it knows nothing of handoff's
    code."""
    return list(_faults(events, last_status))


def _faults(events: list[tuple[str, Event]], last_status: str) -> Iterator[str]:
    steps = [event for topic, event in events if topic == topics.TRANSFERS]
    offers = [event for topic, event in events if topic.startswith(topics.OFFERS)]
    ids = [ce_id(event) for _, event in events]
    if len({(topic, i) for (topic, _), i in zip(events, ids, strict=True)}) != len(ids):
        yield "an event stands there twice"
    numbers = [step.sequence for step in steps if isinstance(step, TransferEvent)]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"sequence {numbers}"
    for before, after in pairwise(step.decided_for for step in steps):
        if after < before:
            yield f"time goes back from {before} to {after}"
    owner: str | None = None
    for change in (step for step in steps if isinstance(step, OwnerChanged)):
        if change.previous != owner:
            yield f"#{change.sequence} follows {change.previous}, but {owner} owned it"
        owner = change.owner
        if (owner is None) != (change.kind == "ended"):
            yield f"#{change.sequence} leaves a hole"
    if (owner is None) != (last_status in ("closed", "merged", "deleted")):
        yield f"{owner} owns a ticket that is {last_status}"
    yield from _transfer_faults(steps)
    yield from _offer_faults(steps, offers)


def _transfer_faults(steps: list[Event]) -> Iterator[str]:
    opened: str | None = None
    attempt, offered = 0, None
    revision, digest = 0, ""
    accepted: TransferAccepted | None = None
    for step in steps:
        match step:
            case TransferRequested(attempt=1):
                if opened is not None:
                    yield f"{step.transfer_id} was opened while {opened} is open"
                opened, attempt, offered, accepted = step.transfer_id, 1, None, None
            case TransferRequested():
                if (step.transfer_id, step.attempt) != (opened, attempt + 1) or offered is not None:
                    yield f"attempt {step.attempt} of {step.transfer_id} follows attempt {attempt} of {opened}"
                attempt = step.attempt
            case TransferOffered():
                if (step.transfer_id, step.attempt) != (opened, attempt) or offered is not None:
                    yield f"{step.transfer_id} was offered out of turn"
                offered, revision, digest = step, 1, step.digest
            case TransferRenewed():
                if offered is None or (step.transfer_id, step.attempt, step.queue) != (opened, attempt, offered.queue):
                    yield f"{step.transfer_id} was renewed out of turn"
                elif (step.revision, step.digest) == (revision, digest) or step.revision not in range(2, 5):
                    yield f"{step.transfer_id} was renewed with nothing new, as {step.revision}"
                elif step.revision != revision + 1:
                    yield f"revision {step.revision} of {step.transfer_id} follows {revision}"
                revision, digest = step.revision, step.digest
            case TransferAccepted():
                if offered is None or (step.transfer_id, step.attempt, step.digest, step.queue) != (
                    opened,
                    attempt,
                    digest,
                    offered.queue,
                ):
                    yield f"{step.transfer_id} was accepted otherwise than it was offered"
                accepted, offered = step, None
            case TransferDeclined() | TransferExpired():
                if step.transfer_id != opened or step.attempt != attempt or accepted is not None:
                    yield f"{step.transfer_id} ended out of turn"
                offered = None
            case TransferWithdrawn():
                if step.transfer_id != opened or accepted is not None:
                    yield f"{step.transfer_id} was withdrawn out of turn"
                opened = offered = None
            case TransferCompleted():
                if step.transfer_id != opened or accepted is None or accepted.queue != step.queue:
                    yield f"{step.transfer_id} was completed without an acknowledgement"
                opened = None
            case OwnerChanged(kind="acknowledged" | "automatic"):
                if accepted is None or (accepted.transfer_id, accepted.decided_for, accepted.queue) != (
                    step.transfer_id,
                    step.decided_for,
                    step.queue,
                ):
                    yield f"#{step.sequence} moved it otherwise than by an acknowledgement"
                accepted = None
            case _:
                pass


def _offer_faults(steps: list[Event], offers: list[Event]) -> Iterator[str]:
    made = {(o.transfer_id, o.attempt, o.revision): o for o in offers if isinstance(o, OfferMade)}
    closed = [(o.transfer_id, o.attempt) for o in offers if isinstance(o, OfferClosed)]
    for key, offer in made.items():
        if sha256(encode(msgspec.json.decode(encode(offer), type=OfferMade).package)).hexdigest() != offer.digest:
            yield f"the digest of {key} is not its package's"
    packages = {(s.transfer_id, s.attempt, 1): s.digest for s in steps if isinstance(s, TransferOffered)}
    packages |= {(s.transfer_id, s.attempt, s.revision): s.digest for s in steps if isinstance(s, TransferRenewed)}
    if packages != {key: offer.digest for key, offer in made.items()}:
        yield "what was offered is not what its receivers got"
    for (transfer, attempt, _), offer in made.items():
        if offer.acknowledge_by != made[transfer, attempt, 1].acknowledge_by:
            yield f"{transfer} was given more time for attempt {attempt}"
    told = {(s.transfer_id, s.attempt) for s in steps if isinstance(s, TransferOffered)}
    ended = {
        (s.transfer_id, s.attempt)
        for s in steps
        if isinstance(s, TransferAccepted | TransferDeclined | TransferExpired | TransferWithdrawn)
    } & told
    if sorted(closed) != sorted(ended):
        yield f"offers that ended: {sorted(ended)}; whose receivers were told: {sorted(closed)}"
    if len(told - ended) > 1:
        yield "two offers are open"
