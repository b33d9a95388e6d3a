"""One decision on its way: what it has read, for which instant it is made, and what it has come to so far."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any, Final, Literal

from ticket_contracts import topics
from ticket_contracts.transfers import ContextPackage, TransferEvent
from ticket_handoff.domain.decision import Answer, Decision, TransferState
from ticket_handoff.domain.ledger import Ledger, Status, Texts, Transfer
from ticket_handoff.domain.terms import Book, Terms

Step = Literal["offered", "renewed", "accepted", "declined", "expired", "withdrawn"]

TRANSITIONS: Final[dict[tuple[Status, Step], Status]] = {
    ("requested", "offered"): "offered",
    ("requested", "expired"): "requested",
    ("requested", "withdrawn"): "withdrawn",
    ("offered", "renewed"): "offered",
    ("offered", "accepted"): "completed",
    ("offered", "declined"): "requested",
    ("offered", "expired"): "requested",
    ("offered", "withdrawn"): "withdrawn",
}
"""All that a transfer may do. `requested` after a decline or an expiry is the next attempt; `completed` and `withdrawn`
are ends."""


class IllegalStep(Exception):
    """A step that the table does not have: a fault of this code, never of a message."""


class Course:
    """It works on a copy of the ledger; nested values are replaced, never changed. at, terms: set by `decide_for`,
    before anything else is done."""

    def __init__(self, ledger: Ledger, texts: Texts, book: Book) -> None:
        self.ledger = copy.copy(ledger)
        self.book = book
        self.decision = Decision(self.ledger, texts)
        self.at: datetime
        self.terms: Terms

    def decide_for(self, instant: datetime) -> None:
        """What follows is decided for this instant, or for that of the newest step when it is later."""
        known = self.ledger.known_at
        self.at = instant if known is None or known < instant else known
        self.terms = self.book.in_force(self.at)

    def emit(self, model: type[TransferEvent], **said: Any) -> None:
        ledger = self.ledger
        ledger.sequence += 1
        ledger.known_at = self.at
        event = model(
            ticket=ledger.ticket,
            decided_for=self.at,
            sequence=ledger.sequence,
            agreement_version=self.terms.version,
            ticket_version=ledger.ticket_version,
            classification_version=ledger.classification_version,
            **said,
        )
        self.decision.events.append((topics.TRANSFERS, event))

    def check(self, transfer: Transfer, step: Step) -> None:
        if (transfer.status, step) not in TRANSITIONS:
            raise IllegalStep(f"{transfer.id} is {transfer.status} and cannot be {step}")

    def keep(self, transfer: Transfer) -> None:
        self.ledger.transfer = transfer
        self.decision.transfers[transfer.id] = _state(transfer, transfer.status, None)

    def ended(self, transfer: Transfer, status: Status) -> None:
        self.ledger.transfer = None
        self.decision.transfers[transfer.id] = _state(transfer, status, self.at)

    def answer(
        self,
        principal: str,
        transfer: str,
        status: str,
        attempt: int,
        *,
        repeated: bool = False,
        newer: ContextPackage | None = None,
    ) -> None:
        owner = self.ledger.owner if self.ledger.shows_owner_to(principal) else None
        self.decision.answer = Answer(
            transfer, status, attempt, owner.owner if owner else None, owner.queue if owner else None, repeated, newer
        )


def _state(transfer: Transfer, status: Status, ended_at: datetime | None) -> TransferState:
    offer, destination = transfer.offer, transfer.destination
    return TransferState(
        id=transfer.id,
        number=transfer.number,
        cause=transfer.cause,
        status=status,
        attempt=transfer.attempt,
        opened_at=transfer.opened_at,
        ended_at=ended_at,
        sender=transfer.sender,
        sender_queue=transfer.sender_queue,
        queue=offer.queue if offer is not None else destination.queue if destination is not None else None,
        receiver=offer.receiver if offer is not None else None,
        principal=offer.principal if offer is not None else None,
        digest=offer.digest if offer is not None else None,
        acknowledge_by=offer.acknowledge_by if offer is not None else None,
        closes_at=transfer.closes_at,
    )
