"""What is offered, to whom, and when it is no longer what was offered."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from ticket_contracts import topics
from ticket_contracts.transfers import RENEWALS_AT_MOST, ContextPackage, OfferMade, TransferOffered, TransferRenewed
from ticket_handoff.domain import context, transfers
from ticket_handoff.domain.course import Course, IllegalStep
from ticket_handoff.domain.ledger import Destination, Gap, Ledger, Offer, Transfer
from ticket_handoff.domain.terms import Book


def exposed(ledger: Ledger, book: Book, at: datetime) -> list[str]:
    """Fields that the package of the open offer could show, and that its receiver's contract does not allow at `at`."""
    offer = ledger.transfer.offer if ledger.transfer is not None else None
    terms = book.in_force(at)
    if offer is None or offer.version is None or offer.version == terms.version:
        return []
    before, now = book.version(offer.version).fields(offer.principal), terms.fields(offer.principal)
    if before is None or now is None:
        return []
    return sorted(before - now if terms.principal(offer.queue) == offer.principal else before)


def renew_if_outdated(course: Course) -> bool:
    """The open offer gets another package once its receiver would see anything else of the ticket than stands in the
    one before it; the clocks of offer and transfer go on. Says whether it did."""
    ledger, transfer = course.ledger, course.ledger.transfer
    offer, destination = (None, None) if transfer is None else (transfer.offer, transfer.destination)
    if transfer is None or destination is None or offer is None or offer.substance is None:
        return False
    if offer.revision > RENEWALS_AT_MOST or exposed(ledger, course.book, course.at):
        return False  # it stands as it is; or it is about to be withdrawn
    package = context.build(
        ledger,
        course.decision.texts,
        transfer,
        destination,
        offer.principal,
        course.terms,
        course.book,
        course.at,
    )
    if package.substance == offer.substance:
        return False
    if package.missing:
        _lacking(course, transfer, package.missing)
        return False
    course.check(transfer, "renewed")
    offer = replace(
        offer,
        digest=package.digest,
        substance=package.substance,
        version=course.terms.version,
        revision=offer.revision + 1,
    )
    course.keep(replace(transfer, offer=offer))
    course.emit(
        TransferRenewed,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        revision=offer.revision,
        queue=offer.queue,
        digest=offer.digest,
    )
    _tell(course, transfer, offer, package, offer.acknowledge_by or course.at)
    return True


def newer(course: Course, transfer: Transfer, offer: Offer) -> ContextPackage | None:
    """What the receiver of an open offer would be offered now, where it is renewed no more and this is something
    else."""
    if offer.revision <= RENEWALS_AT_MOST or transfer.destination is None:
        return None
    package = context.build(
        course.ledger,
        course.decision.texts,
        transfer,
        transfer.destination,
        offer.principal,
        course.terms,
        course.book,
        course.at,
    )
    return None if package.substance == offer.substance else package.content


def _tell(course: Course, transfer: Transfer, offer: Offer, package: context.Package, acknowledge_by: datetime) -> None:
    """The package goes to its receiver."""
    made = OfferMade(
        ticket=course.ledger.ticket,
        decided_for=course.at,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        queue=offer.queue,
        receiver=offer.receiver,
        digest=package.digest,
        acknowledge_by=acknowledge_by,
        package=package.content,
        revision=offer.revision,
    )
    course.decision.events.append((topics.offers(offer.queue), made))
    course.decision.packages.append((transfer.id, transfer.attempt, offer.revision, package.digest, package.body))


def ask_anew(course: Course, transfer: Transfer, reason: str, exposed: list[str]) -> Transfer:
    """What the agreement no longer allows to be offered, or to stand: another transfer takes its place."""
    transfers.withdraw(course, reason, exposed=exposed)
    return transfers.request(
        course,
        transfer.cause,
        asks=True,
        target_group=transfer.target_group,
        requested_by=transfer.requested_by,
        reason=transfer.question,
        tried=transfer.tried,
        closes_at=transfer.closes_at,
    )


def send_to(course: Course, transfer: Transfer, destination: Destination) -> None:
    course.keep(replace(transfer, destination=destination))
    offer_if_ready(course)


def offer_if_ready(course: Course) -> None:
    """Before anything is offered, the monitor must have said which clocks run."""
    ledger, transfer = course.ledger, course.ledger.transfer
    if (
        transfer is not None
        and transfer.destination is not None
        and transfer.offer is None
        and ledger.stated_decision >= ledger.first_decision
    ):
        offer(course, transfer)


def offer(course: Course, transfer: Transfer) -> None:
    destination = transfer.destination
    if destination is None:
        raise IllegalStep(f"an offer of {transfer.id} to nowhere")
    if destination.queue not in course.terms.agreement.queues:
        ask_anew(course, transfer, f"the agreement no longer has the queue {destination.queue}", [])
        return
    principal = course.terms.principal(destination.queue)
    package = context.build(
        course.ledger, course.decision.texts, transfer, destination, principal, course.terms, course.book, course.at
    )
    if package.missing and not destination.final:
        _lacking(course, transfer, package.missing)
        return
    role = destination.role if destination.role in course.terms.agreement.owners else course.terms.agreement.duty
    receiver = course.terms.member(role, course.ledger.ticket, transfer.id, transfer.attempt)
    seconds = course.terms.agreement.acknowledge_seconds(destination.queue)
    acknowledge_by = course.at + timedelta(seconds=seconds)
    offer = Offer(
        queue=destination.queue,
        role=role,
        receiver=receiver,
        principal=principal,
        digest=package.digest,
        acknowledge_by=acknowledge_by,
        version=course.terms.version,
        substance=package.substance,
    )
    course.check(transfer, "offered")
    transfer = replace(transfer, offer=offer)
    course.keep(transfer)
    course.emit(
        TransferOffered,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        queue=offer.queue,
        receiver=receiver,
        digest=package.digest,
        acknowledge_seconds=seconds,
        decision=destination.decision,
        incomplete=package.missing,
    )
    _tell(course, transfer, offer, package, acknowledge_by)
    if destination.final:
        transfers.accept(course, transfer, offer, receiver, receiver, kind="automatic")
    elif counts(course, transfer, destination):
        chosen = course.ledger.assignee or receiver
        transfers.accept(course, transfer, offer, chosen, chosen, automatic=True)


def counts(course: Course, transfer: Transfer, destination: Destination) -> bool:
    """Whether people's own reassignment in the source stands for the acknowledgement: it does where the agreement
    says so, and the router found the queue that they chose."""
    agreement = course.terms.agreement
    return (
        transfer.cause == "source"
        and transfer.attempt == 1
        and agreement.transfers.source_reassignment == "acknowledges"
        and transfer.target_group is not None
        and agreement.routing.group_queues.get(transfer.target_group) == destination.queue
    )


def _lacking(course: Course, transfer: Transfer, missing: list[str]) -> None:
    """A package without a required part is not offered. People are told and keep the ticket; what the desk itself
    must move goes to the duty owner, who sees what is missing."""
    named = ", ".join(missing)
    if transfer.cause in context.PEOPLE_ASK:
        transfers.withdraw(course, f"the package lacks {named}: add it and it is asked for again", missing)
        course.ledger.gap = Gap(
            cause=transfer.cause,
            missing=missing,
            question=transfer.question,
            target_group=transfer.target_group,
            requested_by=transfer.requested_by,
        )
        return
    transfers.withdraw(course, f"the package lacks {named}: the duty owner gets it", missing)
    tried = [] if transfer.destination is None else [transfer.destination.queue]
    again = transfers.request(
        course, transfer.cause, asks=False, tried=tried, reason=f"lacks {named}", closes_at=transfer.closes_at
    )
    again = replace(again, destination=duty(course))
    course.keep(again)
    offer(course, again)


def duty(course: Course) -> Destination:
    """The end of every escalation path: the desk acknowledges for the internal duty owner."""
    agreement = course.terms.agreement
    return Destination(queue=agreement.routing.duty_queue, role=agreement.duty, final=True)
