"""Who owns the ticket: intervals that follow on each other without a hole."""

from __future__ import annotations

from datetime import datetime

from ticket_contracts.transfers import OwnerChanged
from ticket_handoff.domain.course import Course, IllegalStep
from ticket_handoff.domain.decision import Closing, Interval
from ticket_handoff.domain.ledger import OwnerKind, Ownership


def begin(course: Course, version: int) -> None:
    """The intake duty owns it: at the first sight of a ticket, and again when it is reopened."""
    ledger, agreement = course.ledger, course.terms.agreement
    ledger.began_version = version
    ledger.warned = {}
    if ledger.owner is not None and ledger.owner.kind == "intake_duty":
        return
    role = agreement.intake_duty
    owner = course.terms.member(role, ledger.ticket, ledger.episode, version)
    if ledger.owner is None:
        ledger.episode += 1
    own(course, owner, role, "intake_duty")


def own(
    course: Course, owner: str, role: str, kind: OwnerKind, *, queue: str | None = None, transfer_id: str | None = None
) -> None:
    ledger, before = course.ledger, course.ledger.owner
    previous: tuple[int, int, datetime] | None
    if before is not None:
        course.decision.closed.append(Closing(ledger.episode, ledger.interval, course.at))
        previous = (ledger.episode, ledger.interval, course.at)
        ledger.interval += 1
    else:
        previous = ledger.ended
        ledger.interval = 1
    ledger.owner = Ownership(owner=owner, role=role, kind=kind, since=course.at, queue=queue, transfer_id=transfer_id)
    course.decision.opened.append(
        Interval(ledger.episode, ledger.interval, course.at, owner, role, queue, kind, transfer_id, previous)
    )
    course.emit(
        OwnerChanged,
        owner=owner,
        role=role,
        queue=queue,
        kind=kind,
        previous=before.owner if before is not None else None,
        transfer_id=transfer_id,
    )


def end(course: Course) -> None:
    """The ticket ended, and with it its ownership."""
    ledger, before = course.ledger, course.ledger.owner
    if before is None:
        raise IllegalStep(f"an end of {ledger.ticket}, which nobody owns")
    course.decision.closed.append(Closing(ledger.episode, ledger.interval, course.at))
    ledger.ended = (ledger.episode, ledger.interval, course.at)
    ledger.owner = None
    ledger.gap = None
    course.emit(OwnerChanged, owner=None, role=None, queue=None, kind="ended", previous=before.owner)
