"""What handoff reads of other services' events: the fields that it decides by, and none of their text."""

from __future__ import annotations

import msgspec

from ticket_contracts.cloudevents import Instant
from ticket_contracts.routing import Purpose
from ticket_contracts.sla import ClockState, Occurrence
from ticket_contracts.tickets import Lifecycle
from ticket_contracts.transfers import Reply


class TicketSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketNormalized`."""

    ticket: str
    decided_for: Instant
    ticket_version: int
    lifecycle: Lifecycle
    changed: list[str]
    status: str = "new"
    group: str | None = None
    assignee: str | None = None


class ClassificationSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketClassified`."""

    ticket: str
    decided_for: Instant
    classification_version: int
    agreement_version: str


class RoutedInputsSeen(msgspec.Struct, frozen=True, kw_only=True):
    current: str | None = None
    cause: str | None = None
    closes_at: Instant | None = None


class RoutedSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketRouted`; kept in the ledger while it waits for the versions that it rests on."""

    ticket: str
    decided_for: Instant
    ticket_version: int
    classification_version: int
    agreement_version: str
    decision: int
    queue: str
    owner_role: str
    purpose: Purpose
    transfer_id: str | None = None
    final: bool = False
    reason: str = ""
    inputs: RoutedInputsSeen = RoutedInputsSeen()


class ClockInputsSeen(msgspec.Struct, frozen=True, kw_only=True):
    started_at: Instant
    pauses: list[tuple[Instant, Instant | None]] = []
    goal_seconds: int
    calendar: str | None = None


class ClockSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `ClockEvent`."""

    ticket: str
    decided_for: Instant
    rule: str
    agreement_version: str
    occurrence: Occurrence
    clock: str
    generation: int
    sequence: int
    deadline: Instant | None = None
    transfer_id: str | None = None
    running: list[ClockState] = []
    inputs: ClockInputsSeen | None = None


class ReplyGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's answer. principal: whose topic or token it came by: a partner's name, or `internal`. at: when (UTC).
    actor: the token's, or the person that the sender names."""

    reply: Reply
    principal: str
    actor: str | None
    at: Instant


class TermsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Another version of the agreement is in force from this instant on."""

    at: Instant


class ErasureAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks that a ticket's text be forgotten. actor: who. at: when (UTC)."""

    actor: str
    reason: str
    at: Instant


Fact = TicketSeen | ClassificationSeen | RoutedSeen | ClockSeen | ReplyGiven | TermsChanged | ErasureAsked
