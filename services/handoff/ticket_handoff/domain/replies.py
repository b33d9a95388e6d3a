"""What receivers and owners say."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ticket_contracts.transfers import Cause, ContextAdded, ContextPackage, Reply, TransferDeclined
from ticket_handoff.domain import context, offers, transfers
from ticket_handoff.domain.course import Course
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.domain.ledger import PERSON_AT_MOST, Answered, Ownership, PastOffer, Transfer
from ticket_handoff.domain.terms import INTERNAL

_REASON_AT_MOST: Final = 10_000
_ITEMS_AT_MOST: Final = 20


def reply(course: Course, given: ReplyGiven) -> None:
    """A receiver's reply. Raises Refused."""
    reply, ledger = given.reply, course.ledger
    _check_size(given)
    key = f"{given.principal}/{reply.reply_id}"
    before = ledger.replies.get(key)
    if before is not None:
        if before.action != reply.action or reply.transfer_id not in ("", before.transfer_id):
            raise Refused(
                "conflict",
                f"reply_id {reply.reply_id!r} was used before, for {before.action} of transfer "
                f"{before.transfer_id}; give each reply an id of its own",
            )
        course.answer(given.principal, before.transfer_id, before.status, before.attempt, repeated=True)
        return
    course.decide_for(given.at)
    transfer, newer = reply.transfer_id, None
    match reply.action:
        case "return":
            attempt, status = _return(course, given)
        case "escalate":
            opened = _escalate(course, given)
            transfer, attempt, status = opened.id, opened.attempt, "requested"
        case "add":
            transfer, attempt, status = _add(course, given)
        case _:
            attempt, status, newer = _acknowledge(course, given)
    ledger.replies = {
        **ledger.replies,
        key: Answered(transfer_id=transfer, action=reply.action, attempt=attempt, status=status),
    }
    course.answer(given.principal, transfer, status, attempt, newer=newer)


def _acknowledge(course: Course, given: ReplyGiven) -> tuple[int, str, ContextPackage | None]:
    """(attempt, what became of it, what its receiver has not been offered)."""
    reply, transfer = given.reply, course.ledger.transfer
    offer = None if transfer is None or transfer.id != reply.transfer_id else transfer.offer
    if transfer is None or offer is None or offer.principal != given.principal:
        raise _refusal(course, reply, given.principal)
    fields = offers.exposed(course.ledger, course.book, course.at)
    if fields:
        raise Refused(
            "conflict",
            f"your contract no longer allows {', '.join(fields)}: the offer is being withdrawn, and made again",
            "withdrawn",
        )
    if reply.attempt is not None and reply.attempt != transfer.attempt:
        raise Refused(
            "conflict",
            f"attempt {reply.attempt} is over; attempt {transfer.attempt} is offered to {offer.queue}",
            transfer.status,
            offer.digest,
        )
    if reply.digest != offer.digest and (reply.action == "accept" or reply.digest is not None):
        raise Refused(
            "conflict",
            "the digest is not that of the package that is offered now: read the newer package, then answer with "
            f"its digest {offer.digest}",
            transfer.status,
            offer.digest,
        )
    if reply.action == "accept":
        newer, actor = offers.newer(course, transfer, offer), given.actor or offer.receiver
        transfers.accept(course, transfer, offer, actor, offer.receiver, reply_id=reply.reply_id, newer=newer)
        return transfer.attempt, "completed", newer
    reason = (reply.reason or "").strip()
    if not reason:
        raise Refused("invalid", "a decline needs a reason: whoever gets it next reads it", transfer.status)
    actor = given.actor or offer.receiver
    course.check(transfer, "declined")
    course.emit(
        TransferDeclined,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        queue=offer.queue,
        actor=actor,
        reason=reason,
        reply_id=reply.reply_id,
    )
    transfers.close(course, transfer, "declined", reason, actor)
    transfers.next_attempt(course, transfer, asks=True)
    return transfer.attempt, "declined", None


def _return(course: Course, given: ReplyGiven) -> tuple[int, str]:
    """Who owns the ticket gives it back: another transfer, which the sender must be able to say what for."""
    reply, owner = given.reply, course.ledger.owner
    accepted = _last_offer(course, reply.transfer_id, given.principal)
    if accepted is None or owner is None or owner.transfer_id != reply.transfer_id:
        raise _refusal(course, reply, given.principal)
    if accepted.ending != "accepted":
        raise _refusal(course, reply, given.principal)
    if reply.digest is not None and reply.digest != accepted.digest:
        raise Refused(
            "conflict", "the digest is not that of the package that was accepted", "completed", accepted.digest
        )
    if course.ledger.transfer is not None:
        raise Refused(
            "conflict", f"the ticket is on its way already, by transfer {course.ledger.transfer.id}", "completed"
        )
    reason = (reply.reason or "").strip()
    if not reason:
        raise Refused("invalid", "a return needs a reason: it is the question to whoever gets it next", "completed")
    asked = _ask(course, "return", given.actor or owner.owner, reason, reply_id=reply.reply_id)
    return accepted.attempt, f"returned by transfer {asked.id}"


def _escalate(course: Course, given: ReplyGiven) -> Transfer:
    """Whoever owns the ticket, or anybody inside, asks for somebody who can do more; the question goes with it."""
    owner = _may_work_on(course, given)
    question = (given.reply.reason or "").strip()
    if not question:
        raise Refused(
            "invalid",
            "an escalation needs a question to whoever gets it: send it as the reason",
            missing=["question"],
        )
    if course.ledger.transfer is not None:
        transfer = course.ledger.transfer
        offer = transfer.offer if given.principal == INTERNAL else None
        where = f", offered to {offer.queue}" if offer is not None else ""
        raise Refused(
            "conflict", f"the ticket is on its way already, by transfer {transfer.id}{where}", transfer.status
        )
    return _ask(course, "escalation", given.actor or owner.owner, question, reply_id=given.reply.reply_id)


def _add(course: Course, given: ReplyGiven) -> tuple[str, int, str]:
    """Adds to the next packages. What was asked for and lacked just this is asked for again."""
    reply, ledger = given.reply, course.ledger
    owner = _may_work_on(course, given)
    gap, actor = ledger.gap, given.actor or owner.owner
    if reply.part is None:
        raise Refused("invalid", "say which part this is: steps, links, articles or question")
    items = [item.strip() for item in reply.items if item.strip()]
    if not items:
        raise Refused("invalid", f"nothing to add: send the {reply.part} as items")
    if reply.part == "question":
        if gap is None or ledger.transfer is not None:
            raise Refused(
                "conflict", "no transfer waits for a question: escalate or return the ticket with one instead"
            )
        gap = replace(gap, question="\n".join(items))
    else:
        course.decision.texts = context.with_added(
            course.decision.texts, reply.part, items, at=course.at, by=actor, principal=given.principal
        )
    course.emit(ContextAdded, part=reply.part, items=items, actor=actor, reply_id=reply.reply_id)
    transfer = ledger.transfer
    if transfer is not None and offers.renew_if_outdated(course):
        return transfer.id, transfer.attempt, "offered"
    if gap is None or transfer is not None:
        return "", 0, "added"
    missing = _missing(course, _draft(course, gap.cause, gap.question))
    if missing:
        ledger.gap = replace(gap, missing=missing)
        return "", 0, f"added; the package still lacks {', '.join(missing)}"
    asked = transfers.request(
        course, gap.cause, asks=True, target_group=gap.target_group, requested_by=gap.requested_by, reason=gap.question
    )
    return asked.id, asked.attempt, "requested"


def _may_work_on(course: Course, given: ReplyGiven) -> Ownership:
    """Who owns the ticket, when the sender may move it on: the owner's principal, or anybody inside."""
    owner = course.ledger.owner
    if given.principal != INTERNAL and not course.ledger.is_held_by(given.principal):
        if any(past.principal == given.principal and past.ending == "accepted" for past in course.ledger.past):
            raise Refused("conflict", "the ticket is no longer yours: somebody else has it, or it ended")
        raise Refused("unknown", f"there is no ticket {course.ledger.ticket}")
    if owner is None:
        raise Refused("conflict", "the ticket has ended: nobody owns it; reopen it in the tool that it came from")
    return owner


def _ask(course: Course, cause: Cause, actor: str, question: str, *, reply_id: str) -> Transfer:
    """A transfer that people ask for. What no destination would make whole is refused at once, part by part."""
    missing = _missing(course, _draft(course, cause, question))
    if missing:
        raise Refused(
            "invalid",
            f"the package lacks {', '.join(missing)}, which the agreement requires for {_a(cause)}: add "
            f"{'it' if len(missing) == 1 else 'them'} (action `add`), then ask again; the ticket stays where it is",
            missing=missing,
        )
    return transfers.request(course, cause, asks=True, requested_by=actor, reason=question, reply_id=reply_id)


def _draft(course: Course, cause: Cause, question: str) -> Transfer:
    return Transfer(id="", number=0, cause=cause, attempt=1, opened_at=course.at, sender="", question=question)


def _missing(course: Course, draft: Transfer) -> list[str]:
    """What even a receiver inside, who may see everything, would not find in the package."""
    return context.build(
        course.ledger, course.decision.texts, draft, offers.duty(course), INTERNAL, course.terms, course.book, course.at
    ).missing


def _refusal(course: Course, reply: Reply, principal: str) -> Refused:
    """Why a reply cannot count. Who never had an offer of this transfer is not told that there is one."""
    past = _last_offer(course, reply.transfer_id, principal)
    transfer, owner = course.ledger.transfer, course.ledger.owner
    is_open = transfer is not None and transfer.id == reply.transfer_id
    if past is None:
        if is_open and transfer is not None and transfer.offer is not None and transfer.offer.principal == principal:
            return Refused(
                "conflict", "the transfer is offered and owned by nobody yet: accept or decline it", transfer.status
            )
        return Refused("unknown", f"there is no transfer {reply.transfer_id}")
    if past.ending == "accepted":
        who = owner.owner if owner is not None and course.ledger.shows_owner_to(principal) else "somebody else"
        now = "its ownership ended" if owner is None else f"{who} owns it"
        if owner is not None and owner.transfer_id != past.transfer_id:
            now += ", by a later transfer"
        said = f"accepted by {past.actor} at {past.at.isoformat()}; {now}"
        return Refused("conflict", f"the transfer is completed: attempt {past.attempt} was {said}", "completed")
    if transfer is not None and transfer.offer is not None and transfer.offer.principal == principal:
        return Refused(
            "conflict",
            f"the offer of attempt {past.attempt} to {past.queue} is over: it was {past.ending}; transfer "
            f"{transfer.id} is offered to you in its place: read its package, then answer with its digest",
            transfer.status,
            transfer.offer.digest,
            newer=transfer.id,
        )
    status = "withdrawn" if past.ending == "withdrawn" else "requested"
    if is_open and transfer is not None:
        status = transfer.status
    return Refused(
        "conflict", f"the offer of attempt {past.attempt} to {past.queue} is over: it was {past.ending}", status
    )


def _last_offer(course: Course, transfer: str, principal: str) -> PastOffer | None:
    return next(
        (past for past in reversed(course.ledger.past) if (past.transfer_id, past.principal) == (transfer, principal)),
        None,
    )


def _check_size(given: ReplyGiven) -> None:
    reply = given.reply
    if not 0 < len(reply.reply_id) <= PERSON_AT_MOST:
        raise Refused("invalid", f"a reply_id has 1 to {PERSON_AT_MOST} characters, not {len(reply.reply_id)}")
    if len(given.actor or "") > PERSON_AT_MOST:
        raise Refused("invalid", f"an actor has at most {PERSON_AT_MOST} characters")
    if len(reply.reason or "") > _REASON_AT_MOST:
        raise Refused("invalid", f"a reason has at most {_REASON_AT_MOST} characters, not {len(reply.reason or '')}")
    if len(reply.items) > _ITEMS_AT_MOST:
        raise Refused("invalid", f"at most {_ITEMS_AT_MOST} items at a time, not {len(reply.items)}")
    longest = max(map(len, reply.items), default=0)
    if longest > _REASON_AT_MOST:
        raise Refused("invalid", f"an item has at most {_REASON_AT_MOST} characters, not {longest}")


def _a(cause: Cause) -> str:
    return f"{'an' if cause[0] in 'aeiou' else 'a'} {cause}"
