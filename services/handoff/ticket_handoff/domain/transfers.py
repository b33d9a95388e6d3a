"""The steps of a transfer, from the request to its end."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from msgspec.structs import replace

from ticket_contracts import topics
from ticket_contracts.ids import transfer_id
from ticket_contracts.transfers import (
    Cause,
    ContextPackage,
    OfferClosed,
    TransferAccepted,
    TransferCompleted,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_handoff.domain import context, ownership
from ticket_handoff.domain.course import Course, IllegalStep
from ticket_handoff.domain.ledger import Destination, Ending, Offer, OwnerKind, PastOffer, Transfer
from ticket_handoff.domain.terms import INTERNAL

_ENDINGS: Final[dict[Ending, Literal["assigned", "declined", "expired", "withdrawn"]]] = {
    "accepted": "assigned",
    "declined": "declined",
    "expired": "expired",
    "withdrawn": "withdrawn",
}


def request(
    course: Course,
    cause: Cause,
    *,
    asks: bool,
    target_group: str | None = None,
    requested_by: str | None = None,
    reason: str = "",
    tried: list[str] | None = None,
    reply_id: str | None = None,
    closes_at: datetime | None = None,
) -> Transfer:
    """Opens a transfer; none is open, and somebody owns the ticket."""
    ledger, owner = course.ledger, course.ledger.owner
    if ledger.transfer is not None or owner is None:
        raise IllegalStep(f"a transfer for {cause} while {ledger.transfer} is open and {owner} owns {ledger.ticket}")
    ledger.transfers += 1
    ledger.gap = None
    transfer = Transfer(
        id=transfer_id(ledger.ticket, ledger.transfers),
        number=ledger.transfers,
        cause=cause,
        attempt=1,
        opened_at=course.at,
        sender=owner.owner,
        sender_queue=owner.queue,
        target_group=target_group,
        requested_by=requested_by,
        question=reason if cause in context.PEOPLE_ASK else "",
        tried=tried or [],
        closes_at=closes_at,
    )
    course.keep(transfer)
    _requested(course, transfer, asks=asks, reason=reason, reply_id=reply_id)
    return transfer


def next_attempt(course: Course, before: Transfer, *, asks: bool, destination: Destination | None = None) -> Transfer:
    """After a decline or an expiry. Without a destination the router is asked where to."""
    gone = before.offer.queue if before.offer is not None else before.destination and before.destination.queue
    transfer = replace(
        before,
        attempt=before.attempt + 1,
        tried=before.tried if gone is None or gone in before.tried else [*before.tried, gone],
        destination=destination,
        offer=None,
    )
    course.keep(transfer)
    _requested(course, transfer, asks=asks)
    return transfer


def _requested(
    course: Course, transfer: Transfer, *, asks: bool, reason: str = "", reply_id: str | None = None
) -> None:
    course.emit(
        TransferRequested,
        transfer_id=transfer.id,
        cause=transfer.cause,
        attempt=transfer.attempt,
        asks=asks,
        tried=transfer.tried,
        sender=transfer.sender,
        sender_queue=transfer.sender_queue,
        target_group=transfer.target_group,
        requested_by=transfer.requested_by,
        reason=reason,
        reply_id=reply_id,
        closes_at=transfer.closes_at,
    )


def accept(
    course: Course,
    transfer: Transfer,
    offer: Offer,
    actor: str,
    owner: str,
    *,
    kind: OwnerKind = "acknowledged",
    automatic: bool = False,
    reply_id: str | None = None,
    newer: ContextPackage | None = None,
) -> None:
    """The acknowledgement, and with it the ownership. newer: what its receiver has not been offered."""
    course.check(transfer, "accepted")
    course.emit(
        TransferAccepted,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        queue=offer.queue,
        digest=offer.digest,
        actor=actor,
        automatic=automatic or kind == "automatic",
        reply_id=reply_id,
    )
    close(course, transfer, "accepted", "", actor, newer)
    course.emit(TransferCompleted, transfer_id=transfer.id, queue=offer.queue, owner=owner)
    course.ended(transfer, "completed")
    if transfer.cause not in ("first", "reopened"):
        course.ledger.moved += 1
    ownership.own(course, owner, offer.role, kind, queue=offer.queue, transfer_id=transfer.id)


def withdraw(
    course: Course,
    reason: str,
    lacking: list[str] | None = None,
    exposed: list[str] | None = None,
    outside: str | None = None,
) -> None:
    """Ends the open transfer, if there is one; the sender stays the owner. outside: what a partner reads in place of
    the reason."""
    transfer = course.ledger.transfer
    if transfer is None:
        return
    course.check(transfer, "withdrawn")
    queue = transfer.offer.queue if transfer.offer else transfer.destination and transfer.destination.queue
    course.emit(
        TransferWithdrawn,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        queue=queue,
        reason=reason,
        lacking=lacking or [],
        exposed=exposed or [],
    )
    if transfer.offer is not None:
        close(course, transfer, "withdrawn", reason if transfer.offer.principal == INTERNAL else outside or reason)
    course.ended(transfer, "withdrawn")


def close(
    course: Course,
    transfer: Transfer,
    ending: Ending,
    reason: str,
    actor: str | None = None,
    newer: ContextPackage | None = None,
) -> None:
    """Tells the receiver that its offer ended, and remembers it."""
    offer = transfer.offer
    if offer is None:
        raise IllegalStep(f"an end of {transfer.id} that was not offered")
    course.decision.events.append(
        (
            topics.offers(offer.queue),
            OfferClosed(
                ticket=course.ledger.ticket,
                decided_for=course.at,
                transfer_id=transfer.id,
                attempt=transfer.attempt,
                queue=offer.queue,
                outcome=_ENDINGS[ending],
                newer=newer,
            ),
        )
    )
    course.ledger.past = [
        *course.ledger.past,
        PastOffer(
            transfer_id=transfer.id,
            attempt=transfer.attempt,
            queue=offer.queue,
            principal=offer.principal,
            digest=offer.digest,
            ending=ending,
            at=course.at,
            reason=reason,
            actor=actor,
        ),
    ]
