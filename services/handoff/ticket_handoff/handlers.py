"""One message through the protocol: whose it is, what it says, what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.classification import TicketClassified
from ticket_contracts.ids import event_id
from ticket_contracts.routing import TicketRouted
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import Reply, TransferEvent
from ticket_handoff.domain import timeline
from ticket_handoff.domain.decision import Answer, Closing, Decision, Interval, Refused, TransferState
from ticket_handoff.domain.facts import (
    ClassificationSeen,
    ClockSeen,
    ErasureAsked,
    Fact,
    ReplyGiven,
    RoutedSeen,
    TermsChanged,
    TicketSeen,
)
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.domain.offers import exposed
from ticket_handoff.domain.protocol import decide
from ticket_handoff.domain.terms import Terms
from ticket_runtime.task import Outputs, Poison, Record

INPUTS: Final = [topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.SLA_EVENTS]
"""What every desk has; with a `replies.` topic of each partner and of `internal`."""

_Reader = msgspec.json.Decoder[Any]
_READERS: Final[dict[str, dict[bytes, _Reader | None]]] = {
    topics.NORMALIZED: {
        TicketNormalized.TYPE.encode(): msgspec.json.Decoder(TicketSeen),
        TicketDuplicate.TYPE.encode(): None,
    },
    topics.CLASSIFIED: {TicketClassified.TYPE.encode(): msgspec.json.Decoder(ClassificationSeen)},
    topics.ROUTED: {TicketRouted.TYPE.encode(): msgspec.json.Decoder(RoutedSeen)},
    topics.SLA_EVENTS: {ClockEvent.TYPE.encode(): msgspec.json.Decoder(ClockSeen)},
}
_reply: Final = msgspec.json.Decoder(Reply)
AGREEMENT_MESSAGE: Final = "agreement:"
"""Begins what stands among the messages heard for a version of the agreement that took effect."""
ERASURE_MESSAGE: Final = "erasure:"
"""Begins what stands there for an erasure."""
OF_TICKETS: Final = ("escalate", "add")
"""Actions of a reply that name a ticket, not a transfer."""

NAME_AT_MOST: Final = 1_000
"""Bytes of an id: the ledger's indexes hold no longer ones."""


def is_name(text: str) -> bool:
    """Whether the ledger can hold this as an id."""
    return "\0" not in text and len(text.encode(errors="replace")) <= NAME_AT_MOST


def inputs(partners: list[str]) -> list[str]:
    """The topics that handoff reads on a desk with these partners, without prefix."""
    return [*INPUTS, topics.REPLIES_INTERNAL, *(topics.replies(partner) for partner in partners)]


class Agreements(Protocol):
    """`ticket_runtime.agreements.Agreements`, as far as handoff uses it."""

    def in_force(self, at: datetime) -> Published: ...

    def following(self, at: datetime) -> Published | None: ...

    def version(self, digest: str) -> Published:
        """Raises Transient while that version has not been read."""
        ...


class AgreementBook:
    """`ticket_handoff.domain.terms.Book` over the versions that the runtime reads; calendars are compiled once."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements
        self._terms: dict[str, Terms] = {}

    def in_force(self, at: datetime) -> Terms:
        return self._of(self._agreements.in_force(at))

    def version(self, digest: str) -> Terms:
        known = self._terms.get(digest)
        return known if known is not None else self._of(self._agreements.version(digest))

    def _of(self, published: Published) -> Terms:
        known = self._terms.get(published.version)
        if known is None:
            agreement = published.agreement
            known = self._terms[published.version] = Terms(published.version, agreement, compile_calendars(agreement))
        return known


@dataclass(slots=True)
class Held:
    """A ticket as the shell holds it while it is decided on. partition: where its events stand, where known."""

    ledger: Ledger
    texts: Texts
    partition: int | None = None


@dataclass(slots=True)
class Changes:
    """What the decisions of a batch came to, each ticket's last state once: what the shell writes.

    opened, closed: keyed by (ticket, episode, number); an interval that both begins and ends here is in both.
    notices: (ticket, message, instant, type, what it said without text) of the other services' words.
    """

    tickets: dict[str, Held] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    opened: dict[tuple[str, int, int], Interval] = field(default_factory=dict)
    closed: dict[tuple[str, int, int], Closing] = field(default_factory=dict)
    transfers: dict[str, tuple[str, TransferState]] = field(default_factory=dict)
    packages: list[tuple[str, int, int, str, str, bytes]] = field(default_factory=list)
    steps: list[TransferEvent] = field(default_factory=list)
    notices: list[tuple[str, str, datetime, str, bytes]] = field(default_factory=list)

    def add(self, ticket: str, held: Held, decision: Decision) -> None:
        self.tickets[ticket] = held
        for interval in decision.opened:
            self.opened[ticket, interval.episode, interval.number] = interval
        for closing in decision.closed:
            self.closed[ticket, closing.episode, closing.number] = closing
        for transfer in decision.transfers.values():
            self.transfers[transfer.id] = (ticket, transfer)
        for transfer_id, attempt, revision, digest, body in decision.packages:
            self.packages.append((transfer_id, attempt, revision, ticket, digest, body))
        self.steps += [
            event for topic, event in decision.events if topic == topics.TRANSFERS and isinstance(event, TransferEvent)
        ]


class HandoffWork:
    """`ticket_runtime.task.Work` over the tickets that it holds; the engine loads these before a batch and writes
    `take_changes` after it. Without an engine (a desk in memory) it holds them all.

    ticket_of: transfer -> its ticket, for replies. followed: up to which instant open offers are known to be within
    the agreement in force; None: from the first message on.
    """

    def __init__(self, agreements: Agreements) -> None:
        self.book = AgreementBook(agreements)
        self.followed: datetime | None = None
        self._agreements = agreements
        self.tickets: dict[str, Held] = {}
        self.ticket_of: dict[str, str] = {}
        self._changes = Changes()

    def hold(self, tickets: dict[str, Held], ticket_of: dict[str, str]) -> None:
        """The tickets of the next batch, in place of those of the last."""
        self.tickets, self.ticket_of = tickets, ticket_of

    @property
    def changed(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._changes.tickets)

    def take_changes(self) -> Changes:
        """What changed since this was last called."""
        changes, self._changes = self._changes, Changes()
        return changes

    # -- ticket_runtime.task.Work

    def restore(self, key: bytes, value: bytes | None) -> None:
        raise ValueError(f"handoff's state is in its database; it has no changelog, but was given {key!r}")

    def handle(self, record: Record, out: Outputs) -> None:
        if self.followed is None:
            self.followed = record.instant
        if record.topic.startswith(topics.REPLIES):
            self._reply(record, out)
            return
        fact = _read(record)
        if fact is None:
            return
        if not isinstance(fact, TicketSeen):
            self.book.version(fact.agreement_version)
        held = self.tickets.get(fact.ticket)
        if held is None:
            held = Held(Ledger(ticket=fact.ticket), Texts(), record.partition)
        texts = _texts(held, fact, record.value)
        message = record.headers.get("ce_id", b"").decode()
        self._apply(fact.ticket, held, texts, fact, message, out)
        if message:
            kind = record.headers["ce_type"].decode()
            said = timeline.kept(kind, record.value or b"")
            self._changes.notices.append((fact.ticket, message, fact.decided_for, kind, said))

    def fire(self, now: datetime, out: Outputs) -> None:
        """Another version of the agreement took effect. Handoff keeps no other timer: deadlines are the monitor's."""
        while (due := self.next_due()) is not None and due <= now:
            version = self.book.in_force(due).version
            for ticket in sorted(self.tickets):
                self.follow(ticket, TermsChanged(at=due), version, out)
            self.followed = due

    def follow(self, ticket: str, changed: TermsChanged, version: str, out: Outputs) -> None:
        """What an agreement's new version comes to for one ticket that is held."""
        held = self.tickets[ticket]
        if exposed(held.ledger, self.book, changed.at):
            self._apply(ticket, held, held.texts, changed, f"{AGREEMENT_MESSAGE}{version}", out)

    def erase(self, ticket: str, asked: ErasureAsked, message: str, out: Outputs) -> int:
        """The number of the step that says so. Its ticket must be held. Raises Refused."""
        held = self.tickets.get(ticket)
        if held is None:
            raise Refused("unknown", f"there is no ticket {ticket}")
        self._apply(ticket, held, held.texts, asked, message, out)
        return self.tickets[ticket].ledger.sequence

    def next_due(self) -> datetime | None:
        following = None if self.followed is None else self._agreements.following(self.followed)
        return None if following is None else following.effective_at

    # -- replies, by Kafka and by HTTP alike

    def answer(self, given: ReplyGiven, message: str, out: Outputs) -> Answer:
        """What a reply comes to. message: its id, for the record. Its ticket must be held. Raises Refused, with nothing
        changed."""
        reply = given.reply
        of_ticket = reply.action in OF_TICKETS
        if of_ticket and not reply.ticket:
            raise Refused("invalid", f"{reply.action} names a ticket: give its id as `ticket`")
        ticket = reply.ticket if of_ticket else self.ticket_of.get(reply.transfer_id)
        held = None if ticket is None else self.tickets.get(ticket)
        if ticket is None or held is None:
            raise Refused(
                "unknown", f"there is no ticket {ticket}" if of_ticket else f"there is no transfer {reply.transfer_id}"
            )
        if reply.ticket is not None and reply.ticket != ticket:
            raise Refused("unknown", f"transfer {reply.transfer_id} is none of ticket {reply.ticket}")
        decision = self._apply(ticket, held, held.texts, given, message, out)
        if decision.answer is None:
            raise AssertionError("a reply was decided on without an answer")
        return decision.answer

    def _reply(self, record: Record, out: Outputs) -> None:
        reply = read_reply(record.value)
        principal = record.topic.removeprefix(topics.REPLIES)
        try:
            given = ReplyGiven(reply=reply, principal=principal, actor=reply.actor, at=record.instant)
            self.answer(given, event_id(record.topic, record.partition, record.offset), out)
        except Refused as refused:
            raise Poison(refused.reason) from None

    def _apply(self, ticket: str, held: Held, texts: Texts, fact: Fact, message: str, out: Outputs) -> Decision:
        decision = decide(held.ledger, texts, fact, self.book)
        _record(decision, held.ledger, message)
        # From here on nothing raises.
        after = Held(decision.ledger, decision.texts, held.partition)
        self.tickets[ticket] = after
        if decision.texts is not held.texts:
            self._changes.texts.add(ticket)
        self._changes.add(ticket, after, decision)
        for transfer in decision.transfers:
            self.ticket_of[transfer] = ticket
        for topic, event in decision.events:
            out.emit(topic, event)
        return decision


def _record(decision: Decision, before: Ledger, message: str) -> None:
    """Puts on the first step of a decision what was heard since the last one, or keeps it for the next step. A message
    that changed nothing need not be heard again."""
    heard = [*before.heard, message]
    for place, (topic, event) in enumerate(decision.events):
        if isinstance(event, TransferEvent):
            decision.events[place] = (topic, msgspec.structs.replace(event, heard=heard))
            decision.ledger.heard = []
            return
    if decision.ledger != before:
        decision.ledger.heard = heard


def read_reply(value: bytes | None) -> Reply:
    """A reply as JSON. Raises Poison saying what is wrong with it."""
    try:
        return _reply.decode(value or b"")
    except msgspec.DecodeError as error:
        raise Poison(f"not a reply ({error}): see the schema relaydesk.reply.v1", "unreadable") from None


def _read(record: Record) -> TicketSeen | ClassificationSeen | RoutedSeen | ClockSeen | None:
    """The fact that a record holds, None when it is none of handoff's. Raises Poison when it cannot be read."""
    kind = record.headers.get("ce_type", b"")
    readers = _READERS[record.topic]
    if kind not in readers:
        raise Poison(
            f"ce_type {kind.decode(errors='replace')!r} is none of the events of {record.topic}", "unknown_type"
        )
    reader = readers[kind]
    if reader is None:
        return None
    try:
        fact: TicketSeen | ClassificationSeen | RoutedSeen | ClockSeen = reader.decode(record.value or b"")
    except msgspec.DecodeError as error:
        raise Poison(f"the value is not what {kind.decode()} says it is: {error}", "unreadable") from None
    if record.key != fact.ticket.encode():
        raise Poison(f"the key is not the ticket's id, which the value says is {fact.ticket[:200]!r}", "key")
    if not is_name(fact.ticket):
        raise Poison(f"a ticket's id has at most {NAME_AT_MOST} bytes and no NUL, or the ledger cannot hold it")
    return fact


def _texts(held: Held, fact: Fact, value: bytes | None) -> Texts:
    """The texts with that of a newer event."""
    if isinstance(fact, TicketSeen) and fact.ticket_version > held.ledger.ticket_version:
        return msgspec.structs.replace(held.texts, normalized=value)
    if isinstance(fact, ClassificationSeen) and fact.classification_version > held.ledger.classification_version:
        return msgspec.structs.replace(held.texts, classified=value)
    return held.texts
