"""The protocol: (a ticket's ledger, a fact, the agreement) -> a decision. Pure.

The topics that facts come on are not ordered among each other, so a routing decision waits in the ledger for the
versions that it rests on, and an offer for the monitor's word on the clocks. What is decided when the last of these
arrives does not depend on which it was: its instant is the latest of theirs.
"""

from __future__ import annotations

from msgspec.structs import replace

from ticket_contracts import topics
from ticket_contracts.tickets import ENDED
from ticket_contracts.transfers import TicketErased
from ticket_handoff.domain import clocks, offers, ownership, replies, routing, transfers
from ticket_handoff.domain.course import Course
from ticket_handoff.domain.decision import Decision, Refused
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
from ticket_handoff.domain.ledger import PERSON_AT_MOST, Ledger, Texts
from ticket_handoff.domain.terms import Book


def decide(ledger: Ledger, texts: Texts, fact: Fact, book: Book) -> Decision:
    """What a fact about a ticket leads to. Neither `ledger` nor `texts` is changed.

    Raises Refused for a reply that cannot count, and what `book` raises for a version that is not known yet.
    """
    course = Course(ledger, texts, book)
    match fact:
        case TicketSeen():
            _ticket(course, fact)
        case ClassificationSeen():
            _classification(course, fact)
        case RoutedSeen():
            routing.routed(course, fact)
        case ClockSeen():
            clocks.clock(course, fact)
        case ReplyGiven():
            replies.reply(course, fact)
        case ErasureAsked():
            _erase(course, fact)
        case TermsChanged():
            _terms_changed(course, fact)
    return course.decision


def _ticket(course: Course, seen: TicketSeen) -> None:
    """A version of the ticket. Its text is the caller's to put into `texts`."""
    ledger = course.ledger
    if seen.ticket_version <= ledger.ticket_version:
        return
    course.decide_for(seen.decided_for)
    ledger.ticket_version = seen.ticket_version
    ledger.status = seen.status
    ledger.assignee = seen.assignee and seen.assignee.replace("\0", "")[:PERSON_AT_MOST]  # it may become an owner
    regrouped = seen.group is not None and seen.group != ledger.group
    ledger.group = seen.group or ledger.group  # one that is blank for a while has not changed
    ended = seen.status in ENDED
    if ledger.owner is None:
        if ledger.episode == 0 or not ended:
            ownership.begin(course, seen.ticket_version)
            if ended:
                ownership.end(course)
    elif ended:
        transfers.withdraw(course, f"the ticket is {seen.status}")
        ownership.end(course)
    elif seen.lifecycle == "reopened":
        transfers.withdraw(course, "the ticket was reopened")
        ownership.begin(course, seen.ticket_version)
    elif regrouped:
        transfers.withdraw(course, "people assigned it anew in the source")
        transfers.request(course, "source", asks=True, target_group=seen.group, requested_by=seen.assignee)
    routing.take_waiting(course)
    course.decide_for(seen.decided_for)
    offers.renew_if_outdated(course)


def _classification(course: Course, seen: ClassificationSeen) -> None:
    """A version of the classification. Its evidence is the caller's to put into `texts`."""
    if seen.classification_version > course.ledger.classification_version:
        course.decide_for(seen.decided_for)
        course.ledger.classification_version = seen.classification_version
        routing.take_waiting(course)
        course.decide_for(seen.decided_for)
        offers.renew_if_outdated(course)


def _terms_changed(course: Course, changed: TermsChanged) -> None:
    """An offer that shows a partner more than its contract now allows is withdrawn, and asked for anew."""
    course.decide_for(changed.at)
    transfer, fields = course.ledger.transfer, offers.exposed(course.ledger, course.book, course.at)
    if transfer is None or transfer.offer is None or not fields:
        return
    offers.ask_anew(
        course,
        transfer,
        f"the contract of {transfer.offer.principal} no longer allows {', '.join(fields)}: it is offered again "
        "without; what was read until now cannot be unread",
        fields,
    )


def _erase(course: Course, asked: ErasureAsked) -> None:
    """What people have said of the ticket is forgotten; ids, instants, digests and decisions stay. Raises Refused
    while somebody owns it: who works on a ticket needs its text."""
    ledger = course.ledger
    if ledger.owner is not None:
        raise Refused(
            "conflict",
            f"{ledger.ticket} is {ledger.status} and {ledger.owner.owner} owns it: end it in its tool first",
            ledger.status,
        )
    course.decide_for(asked.at)
    ledger.assignee = ledger.gap = None
    ledger.waiting = []
    ledger.past = [replace(past, reason="") for past in ledger.past]
    course.decision.texts = Texts()
    course.emit(TicketErased, actor=asked.actor, reason=asked.reason)
    course.decision.events.append((topics.ERASED, course.decision.events[-1][1]))
