"""What the monitor's clocks say: an offer or a transfer took too long, a deadline of the ticket is near."""

from __future__ import annotations

from typing import Final

from ticket_contracts.transfers import TransferExpired
from ticket_handoff.domain import context, offers, transfers
from ticket_handoff.domain.course import Course
from ticket_handoff.domain.facts import ClockSeen
from ticket_handoff.domain.ledger import Transfer

ACKNOWLEDGEMENT: Final = "transfer_acknowledgement"
TRANSFER_CLOCK: Final = "transfer"
RESOLUTION: Final = "resolution"


def clock(course: Course, seen: ClockSeen) -> None:
    """The monitor's word on a clock."""
    ledger = course.ledger
    kind, _, transfer = seen.clock.partition(":")
    if transfer:
        if seen.occurrence == "breached" and ledger.transfer is not None and ledger.transfer.id == transfer:
            course.decide_for(seen.decided_for)
            _breached(course, ledger.transfer, kind, seen.generation)
        return
    ledger.clocks = context.told(ledger.clocks, seen, course.book)
    if seen.occurrence == "stated":
        if seen.sequence > ledger.stated_decision:
            ledger.stated_decision = seen.sequence
            course.decide_for(seen.decided_for)
            offers.offer_if_ready(course)
    elif seen.occurrence == "warned" and kind == RESOLUTION:
        course.decide_for(seen.decided_for)
        _warned(course, seen)


def _breached(course: Course, transfer: Transfer, kind: str, generation: int) -> None:
    offer = transfer.offer
    if kind == ACKNOWLEDGEMENT and offer is not None and generation == transfer.attempt:
        course.check(transfer, "expired")
        course.emit(
            TransferExpired, transfer_id=transfer.id, attempt=transfer.attempt, queue=offer.queue, scope="offer"
        )
        transfers.close(course, transfer, "expired", f"no acknowledgement by {offer.receiver}")
        transfers.next_attempt(course, transfer, asks=True)
    elif kind == TRANSFER_CLOCK:
        course.check(transfer, "expired")
        queue = offer.queue if offer is not None else transfer.destination and transfer.destination.queue
        course.emit(TransferExpired, transfer_id=transfer.id, attempt=transfer.attempt, queue=queue, scope="transfer")
        if offer is not None:
            transfers.close(course, transfer, "expired", f"no acknowledgement by {offer.receiver}")
        offers.offer(course, transfers.next_attempt(course, transfer, asks=False, destination=offers.duty(course)))


def _warned(course: Course, seen: ClockSeen) -> None:
    """A resolution clock is near its end: by the agreement's rule, the ticket goes on to somebody else."""
    ledger, owner = course.ledger, course.ledger.owner
    when = course.terms.agreement.transfers.pre_breach
    if (
        when is None
        or owner is None
        or owner.kind == "intake_duty"
        or ledger.transfer is not None
        or ledger.warned.get(seen.clock) == seen.generation
    ):
        return
    facts = context.facts_of(ledger, course.decision.texts, course.at)
    if facts is None or not course.terms.holds(when, facts, course.at, owner.queue, "pre_breach"):
        return
    ledger.warned = {**ledger.warned, seen.clock: seen.generation}
    transfers.request(course, "pre_breach", asks=True)
