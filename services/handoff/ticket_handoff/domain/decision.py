"""What one decision came to: the new ledger, and all that follows from it, for the shell to write."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ticket_contracts.cloudevents import Event
from ticket_contracts.transfers import Cause, ContextPackage
from ticket_handoff.domain.ledger import Ledger, OwnerKind, Status, Texts


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of ownership that begins here. previous: (episode, number, until) of the one before it in the
    ticket's whole life; None for the first."""

    episode: int
    number: int
    from_at: datetime
    owner: str
    role: str
    queue: str | None
    kind: OwnerKind
    transfer_id: str | None
    previous: tuple[int, int, datetime] | None


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of an interval."""

    episode: int
    number: int
    until_at: datetime


@dataclass(frozen=True, slots=True)
class TransferState:
    """A transfer as this decision leaves it. closes_at: of the queue that it leaves because that closes."""

    id: str
    number: int
    cause: Cause
    status: Status
    attempt: int
    opened_at: datetime
    ended_at: datetime | None
    sender: str
    sender_queue: str | None
    queue: str | None
    receiver: str | None
    principal: str | None
    digest: str | None
    acknowledge_by: datetime | None
    closes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply is told. transfer_id: what it moved or opened, empty for none. status: of the transfer. repeated: it
    counted before; nothing changed now. newer: what became known while the accepted offer was renewed no more."""

    transfer_id: str
    status: str
    attempt: int
    owner: str | None
    queue: str | None
    repeated: bool = False
    newer: ContextPackage | None = None


@dataclass(slots=True)
class Decision:
    """events: (topic, event) in order. opened, closed: intervals, in order of the ticket's life. packages: (transfer,
    attempt, revision, digest, body)."""

    ledger: Ledger
    texts: Texts
    events: list[tuple[str, Event]] = field(default_factory=list)
    opened: list[Interval] = field(default_factory=list)
    closed: list[Closing] = field(default_factory=list)
    transfers: dict[str, TransferState] = field(default_factory=dict)
    packages: list[tuple[str, int, int, str, bytes]] = field(default_factory=list)
    answer: Answer | None = None


class Refused(Exception):
    """A reply that cannot count. kind: `unknown` (there is no such transfer, or it is none of the sender's: it is not
    told which), `conflict` (with the current state), `invalid` (the reply lacks something). status, digest: of the
    transfer, where the sender may know. missing: required parts of the package that are empty. newer: the transfer
    that is offered to the sender in place of the one that was answered. The text names the current state and the
    remedy, and holds nothing of the ticket."""

    def __init__(
        self,
        kind: Literal["unknown", "conflict", "invalid"],
        reason: str,
        status: str | None = None,
        digest: str | None = None,
        *,
        missing: list[str] | None = None,
        newer: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.status, self.digest = kind, reason, status, digest
        self.missing, self.newer = missing or [], newer
