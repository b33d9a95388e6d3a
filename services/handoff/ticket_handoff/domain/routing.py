"""What the router says: where a transfer goes, and what it proposes by itself."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ticket_contracts.transfers import Cause
from ticket_handoff.domain import offers, transfers
from ticket_handoff.domain.course import Course
from ticket_handoff.domain.facts import RoutedSeen
from ticket_handoff.domain.ledger import Destination, Ownership, Transfer

_PROPOSED: Final[dict[str, Cause]] = {
    "queue_closing": "queue_closing",
    "overflow": "overflow",
    "owner_left": "owner_left",
}


def routed(course: Course, seen: RoutedSeen) -> None:
    """A decision of the router; it waits here until the versions that it rests on have arrived."""
    newest = course.ledger.waiting[-1].decision if course.ledger.waiting else course.ledger.decision
    if seen.decision > newest:
        course.ledger.waiting = [*course.ledger.waiting, seen]
        take_waiting(course)


def take_waiting(course: Course) -> None:
    ledger = course.ledger
    while ledger.waiting:
        first = ledger.waiting[0]
        if first.ticket_version > ledger.ticket_version or first.classification_version > ledger.classification_version:
            return
        ledger.waiting = ledger.waiting[1:]
        ledger.decision = first.decision
        if ledger.owner is not None:
            course.decide_for(first.decided_for)
            _follow(course, first, ledger.owner)


def _follow(course: Course, seen: RoutedSeen, owner: Ownership) -> None:
    """A decision about a ticket that is owned, all of whose versions are known."""
    ledger, transfer = course.ledger, course.ledger.transfer
    destination = Destination(queue=seen.queue, role=seen.owner_role, decision=seen.decision, final=seen.final)
    if seen.purpose == "transfer":
        if transfer is not None and transfer.id == seen.transfer_id and transfer.destination is None:
            if owner.queue == seen.queue and not offers.counts(course, transfer, destination):
                transfers.withdraw(course, f"it is in {seen.queue} already")
            else:
                offers.send_to(course, transfer, destination)
        return
    if seen.ticket_version < ledger.began_version:
        return  # decided before the ticket was reopened: the router decides anew
    if seen.purpose == "first":
        ledger.first_decision = seen.decision
        cause: Cause = "reopened" if seen.inputs.cause == "reopened" else "first"
        if transfer is not None:
            return  # people chose meanwhile, and asked the router: its answer replaces this
        if owner.kind == "intake_duty":
            offers.send_to(course, transfers.request(course, cause, asks=False), destination)
        else:
            _turn_down(course, cause, destination, f"{owner.owner} has it meanwhile")
        return
    _rerouted(course, seen, owner, transfer, destination)


def _rerouted(
    course: Course, seen: RoutedSeen, owner: Ownership, transfer: Transfer | None, destination: Destination
) -> None:
    """The router's own proposal. It has reserved the place, so each is either followed or answered by a
    withdrawal."""
    cause: Cause = _cause(seen.inputs.cause)
    if transfer is not None:
        if transfer.destination is None:
            return  # the router has our question before it, and its answer replaces this
        if transfer.destination.queue == seen.queue:
            return
        reason, elsewhere = f"the router sends it to {seen.queue} instead", "the router sends it elsewhere instead"
        transfers.withdraw(course, reason, outside=elsewhere)
        if owner.queue != seen.queue:
            offers.send_to(course, transfers.request(course, cause, asks=False), destination)
        return
    if owner.kind != "intake_duty" and owner.queue != seen.inputs.current:
        left = seen.inputs.current
        reason = f"it left {left} for {owner.queue} meanwhile" if left else f"{owner.owner} has it meanwhile"
        _turn_down(course, cause, destination, reason)
    else:
        closes_at = seen.inputs.closes_at if owner.queue == seen.inputs.current else None
        offers.send_to(course, transfers.request(course, cause, asks=False, closes_at=closes_at), destination)


def _turn_down(course: Course, cause: Cause, destination: Destination, reason: str) -> None:
    """A decision of the router that what happened meanwhile has overtaken: it is told, so that it gives up the
    place that it has reserved."""
    course.keep(replace(transfers.request(course, cause, asks=False), destination=destination))
    transfers.withdraw(course, reason)


def _cause(said: str | None) -> Cause:
    """The cause of a transfer that the router proposed, as its decision names it."""
    return _PROPOSED.get(said or "", "reroute")
