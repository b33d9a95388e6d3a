"""What handoff alone decides: who owns a ticket. Every step of every transfer, with its context.

The steps: requested -> offered -> accepted | declined | expired | withdrawn -> completed. A declined or expired offer
goes back to requested (the next attempt), with the queue among `tried`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

import msgspec

from ticket_contracts.cloudevents import Event, Instant
from ticket_contracts.routing import TicketView
from ticket_contracts.sla import ClockState

Cause = Literal[
    "first",
    "escalation",
    "pre_breach",
    "breach",
    "queue_closing",
    "overflow",
    "return",
    "owner_left",
    "source",
    "reopened",
    "reroute",
    "declined",
    "expired",
]


class TransferEvent(Event, frozen=True, kw_only=True):
    """A step of a transfer or a change of owner; topic `transfers`, internal.

    sequence: counted for each ticket from 1 over all of these events, so that any reader can check the order.
    agreement_version: in force at `decided_for`. ticket_version, classification_version: what handoff knew.
    heard: ids of the messages about this ticket since the step before, in the order in which handoff heard them; the
    last one led to this step (empty: the same as the step before). Topics are not ordered among each other, so this is
    the record from which the step can be decided again.
    """

    sequence: int
    agreement_version: str
    ticket_version: int
    classification_version: int
    heard: list[str] = []

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.sequence


class TransferRequested(TransferEvent, frozen=True, kw_only=True):
    """The question "where to?", asked of the router, which answers on `tickets.routed` with this transfer_id. `first`
    and `reroute` transfers begin with the router's own word, and have this event for the record (`asks` False: the
    router need not answer).

    attempt: 1 for the first destination of this transfer. tried: queues that did not take it.
    target_group: what people chose in the source, for cause `source`. sender: who owns the ticket meanwhile.
    reply_id: of the reply that returned the ticket, for cause `return`.
    closes_at: for cause `queue_closing`, when the queue that it leaves closes: its shift brief is of that closing.
    """

    TYPE: ClassVar[str] = "relaydesk.transfer.requested.v1"

    transfer_id: str
    cause: Cause
    attempt: int
    asks: bool
    tried: list[str]
    sender: str
    sender_queue: str | None = None
    target_group: str | None = None
    requested_by: str | None = None
    reason: str = ""
    reply_id: str | None = None
    closes_at: Instant | None = None


class TransferOffered(TransferEvent, frozen=True, kw_only=True):
    """receiver: person, rota or duty role. digest: of the context package. acknowledge_seconds: wall seconds the
    receiver has; the SLA monitor keeps that clock. incomplete: required parts that are missing, when the desk itself
    must make the transfer.
    decision: that of the `TicketRouted` that named the queue."""

    TYPE: ClassVar[str] = "relaydesk.transfer.offered.v1"

    transfer_id: str
    attempt: int
    queue: str
    receiver: str
    digest: str
    acknowledge_seconds: int
    decision: int
    incomplete: list[str] = []


RENEWALS_AT_MOST: Final = 3
"""How often an open offer's package is renewed. Each time its receiver has to read again, within the time that it had
from the beginning: without an end, whoever writes without pause would keep it from ever acknowledging. After three the
offer stands as it is, and who accepts it is given what is newer with the answer."""


class TransferRenewed(TransferEvent, frozen=True, kw_only=True):
    """What the receiver of the open offer sees of the ticket has changed: the same attempt, its clocks untouched, with
    another package. From here on only `digest` is an acknowledgement. revision: 2 for the first renewal of an offer."""

    TYPE: ClassVar[str] = "relaydesk.transfer.renewed.v1"

    transfer_id: str
    attempt: int
    revision: int
    queue: str
    digest: str


class TransferAccepted(TransferEvent, frozen=True, kw_only=True):
    """The acknowledgement. digest: as repeated by the receiver. automatic: the desk acknowledged for the duty owner, or
    the source's own reassignment counted. reply_id: the reply's, None when automatic."""

    TYPE: ClassVar[str] = "relaydesk.transfer.accepted.v1"

    transfer_id: str
    attempt: int
    queue: str
    digest: str
    actor: str
    automatic: bool
    reply_id: str | None = None


class TransferDeclined(TransferEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "relaydesk.transfer.declined.v1"

    transfer_id: str
    attempt: int
    queue: str
    actor: str
    reason: str
    reply_id: str


class TransferExpired(TransferEvent, frozen=True, kw_only=True):
    """The SLA monitor said that an offer's, or the whole transfer's, clock was breached. scope: which."""

    TYPE: ClassVar[str] = "relaydesk.transfer.expired.v1"

    transfer_id: str
    attempt: int
    queue: str | None
    scope: Literal["offer", "transfer"]


class TransferWithdrawn(TransferEvent, frozen=True, kw_only=True):
    """Ended without a receiver: the ticket ended, a newer transfer supersedes this one, or its package lacks a part.
    The sender stays the owner. lacking: the required parts that were empty. exposed: fields that the receiver's
    contract no longer allows, and that stood before it until now: what was read cannot be unread."""

    TYPE: ClassVar[str] = "relaydesk.transfer.withdrawn.v1"

    transfer_id: str
    attempt: int
    queue: str | None
    reason: str
    lacking: list[str] = []
    exposed: list[str] = []


class TransferCompleted(TransferEvent, frozen=True, kw_only=True):
    """The ownership moved, at `decided_for`, to `owner` in `queue`."""

    TYPE: ClassVar[str] = "relaydesk.transfer.completed.v1"

    transfer_id: str
    queue: str
    owner: str


class OwnerChanged(TransferEvent, frozen=True, kw_only=True):
    """The ledger's word: from `decided_for` on, `owner` owns the ticket (None: its ownership ended).

    kind: `intake_duty` before the first acknowledgement and after a reopening, `acknowledged`, `automatic` (duty owner
    by the desk), `ended`. previous: the owner until then. transfer_id: the transfer that moved it.
    """

    TYPE: ClassVar[str] = "relaydesk.owner.changed.v1"

    owner: str | None
    role: str | None
    queue: str | None
    kind: Literal["intake_duty", "acknowledged", "automatic", "ended"]
    previous: str | None = None
    transfer_id: str | None = None


class TicketErased(TransferEvent, frozen=True, kw_only=True):
    """Somebody had the ticket's text erased: topics `transfers` and, for the services that keep text, `tickets.erased`.
    Whoever reads it forgets the text; numbers, ids and decisions stay. reason: never words of the ticket."""

    TYPE: ClassVar[str] = "relaydesk.ticket.erased.v1"

    actor: str
    reason: str


AddedPart = Literal["steps", "links", "articles", "question"]
"""Parts of a package that people can add; the others come from the tool, the classifier and the monitor."""


class ContextAdded(TransferEvent, frozen=True, kw_only=True):
    """Somebody added to what the ticket's next packages hold. items: as said. reply_id: of the reply that added it."""

    TYPE: ClassVar[str] = "relaydesk.transfer.context.v1"

    part: AddedPart
    items: list[str]
    actor: str
    reply_id: str


class TriedQueue(msgspec.Struct, frozen=True, kw_only=True):
    queue: str
    outcome: str
    at: Instant
    reason: str = ""


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says they tried. by: absent where the contract does not let the receiver see who."""

    at: Instant
    text: str
    by: str | None = None


class ContextPackage(msgspec.Struct, frozen=True, kw_only=True):
    """All that a receiver needs to go on without asking. The SHA-256 of its JSON, byte for byte as it stands in
    `OfferMade`, is the digest that an acknowledgement repeats.

    tried: earlier transfers and offers, oldest first. clocks: with what is left, at `as_of`. question: to the receiver.
    article_titles: of the articles that the knowledge base suggested; people add others by address.
    steps: what people said they had tried, oldest first. The interaction history is `view.comments`.
    """

    ticket: str
    transfer_id: str
    attempt: int
    as_of: Instant
    cause: Cause
    sender: str
    queue: str
    view: TicketView
    classification: dict[str, Any]
    clocks: list[ClockState]
    tried: list[TriedQueue]
    articles: list[str]
    links: list[str]
    question: str
    steps: list[StepTaken] = []
    article_titles: dict[str, str] = {}


class OfferMade(Event, frozen=True, kw_only=True):
    """The package with its digest; topic `offers.<queue>`. Changes as partner topics do: optional fields only.

    revision: 1 for the first package of an attempt; a higher one takes the place of the package before it, and leaves
    `acknowledge_by` as it was. 0: written before packages were renewed."""

    TYPE: ClassVar[str] = "relaydesk.offer.made.v1"

    transfer_id: str
    attempt: int
    queue: str
    receiver: str
    digest: str
    acknowledge_by: Instant
    package: ContextPackage
    revision: int = 0

    def identity(self) -> tuple[str | int, ...]:
        first = self.ticket, self.transfer_id, self.attempt
        return first if self.revision <= 1 else (*first, self.revision)


class OfferClosed(Event, frozen=True, kw_only=True):
    """An offer's end as its receiver sees it; topic `offers.<queue>`. outcome: `assigned` to the receiver, or taken
    back. newer: what became known while an offer that is renewed no more was open, for whom it is assigned to."""

    TYPE: ClassVar[str] = "relaydesk.offer.closed.v1"

    transfer_id: str
    attempt: int
    queue: str
    outcome: Literal["assigned", "declined", "expired", "withdrawn"]
    newer: ContextPackage | None = None

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.transfer_id, self.attempt


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver or an owner says; topics `replies.<partner>` and `replies.internal`, or HTTP. Who sent it is the
    topic's (the token's).

    reply_id: the sender's own, so that a repeated reply is acknowledged again and counts once. transfer_id: what is
    accepted, declined, or given back. digest: of the package accepted. reason: of a decline; of a return or an
    escalation the question to whoever gets the ticket next.
    attempt: of the offer, when the sender names it. actor: the person, as the sender says.
    `escalate` and `add` name the `ticket` instead of a transfer. part, items: what `add` adds to the ticket's next
    packages: `steps` that were tried, `links`, `articles`, or the `question` that a transfer lacked.
    """

    TYPE: ClassVar[str] = "relaydesk.reply.v1"

    reply_id: str
    action: Literal["accept", "decline", "return", "escalate", "add"]
    transfer_id: str = ""
    ticket: str | None = None
    attempt: int | None = None
    digest: str | None = None
    reason: str | None = None
    actor: str | None = None
    part: AddedPart | None = None
    items: list[str] = []
