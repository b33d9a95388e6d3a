"""The protocol: (a ticket's ledger, a fact, the agreement) -> a decision. Pure.

The topics that facts come on are not ordered among each other, so a routing decision waits in the ledger for the
versions that it rests on, and an offer for the monitor's word on the clocks. What is decided when the last of these
arrives does not depend on which it was: its instant is the latest of theirs.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from msgspec.structs import replace

from ticket_contracts import topics
from ticket_contracts.ids import transfer_id
from ticket_contracts.tickets import ENDED
from ticket_contracts.transfers import (
    Cause,
    ContextAdded,
    OfferClosed,
    OfferMade,
    OwnerChanged,
    Reply,
    TicketErased,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_handoff.domain import context
from ticket_handoff.domain.decision import Answer, Closing, Decision, Interval, Refused, TransferState
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
from ticket_handoff.domain.ledger import (
    Answered,
    Destination,
    Ending,
    Gap,
    Ledger,
    Offer,
    OwnerKind,
    Ownership,
    PastOffer,
    Status,
    Texts,
    Transfer,
)
from ticket_handoff.domain.terms import INTERNAL, Book, Terms

Step = Literal["offered", "accepted", "declined", "expired", "withdrawn"]

TRANSITIONS: Final[dict[tuple[Status, Step], Status]] = {
    ("requested", "offered"): "offered",
    ("requested", "expired"): "requested",
    ("requested", "withdrawn"): "withdrawn",
    ("offered", "accepted"): "completed",
    ("offered", "declined"): "requested",
    ("offered", "expired"): "requested",
    ("offered", "withdrawn"): "withdrawn",
}
"""All that a transfer may do. `requested` after a decline or an expiry is the next attempt; `completed` and `withdrawn`
are ends."""

_ENDINGS: Final[dict[Ending, Literal["assigned", "declined", "expired", "withdrawn"]]] = {
    "accepted": "assigned",
    "declined": "declined",
    "expired": "expired",
    "withdrawn": "withdrawn",
}
_PROPOSED: Final[dict[str, Cause]] = {
    "queue_closing": "queue_closing",
    "overflow": "overflow",
    "owner_left": "owner_left",
}
_NAME_AT_MOST: Final = 200
_REASON_AT_MOST: Final = 10_000
_ITEMS_AT_MOST: Final = 20
ACKNOWLEDGEMENT: Final = "transfer_acknowledgement"
TRANSFER_CLOCK: Final = "transfer"
RESOLUTION: Final = "resolution"


class IllegalStep(Exception):
    """A step that the table does not have: a fault of this code, never of a message."""


def decide(ledger: Ledger, texts: Texts, fact: Fact, book: Book) -> Decision:
    """What a fact about a ticket leads to. Neither `ledger` nor `texts` is changed.

    Raises Refused for a reply that cannot count, and what `book` raises for a version that is not known yet.
    """
    course = _Course(ledger, texts, book)
    match fact:
        case TicketSeen():
            course.ticket(fact)
        case ClassificationSeen():
            course.classification(fact)
        case RoutedSeen():
            course.routed(fact)
        case ClockSeen():
            course.clock(fact)
        case ReplyGiven():
            course.reply(fact)
        case ErasureAsked():
            course.erase(fact)
        case TermsChanged():
            course.terms_changed(fact)
    return course.decision


def exposed(ledger: Ledger, book: Book, at: datetime) -> list[str]:
    """Fields that the package of the open offer could show, and that its receiver's contract does not allow at `at`."""
    offer = ledger.transfer.offer if ledger.transfer is not None else None
    terms = book.in_force(at)
    if offer is None or offer.version is None or offer.version == terms.version:
        return []
    before, now = book.version(offer.version).fields(offer.principal), terms.fields(offer.principal)
    return [] if before is None or now is None else sorted(before - now)


class _Course:
    """One decision on its way. It works on a copy of the ledger; nested values are replaced, never changed."""

    def __init__(self, ledger: Ledger, texts: Texts, book: Book) -> None:
        self.ledger = copy.copy(ledger)
        self.book = book
        self.decision = Decision(self.ledger, texts)
        self.at: datetime
        self.terms: Terms

    def _at(self, instant: datetime) -> None:
        """What follows is decided for this instant, or for that of the newest step when it is later."""
        known = self.ledger.known_at
        self.at = instant if known is None or known < instant else known
        self.terms = self.book.in_force(self.at)

    # -- facts

    def ticket(self, seen: TicketSeen) -> None:
        """A version of the ticket. Its text is the caller's to put into `texts`."""
        ledger = self.ledger
        if seen.ticket_version <= ledger.ticket_version:
            return
        self._at(seen.decided_for)
        ledger.ticket_version = seen.ticket_version
        ledger.status = seen.status
        ledger.assignee = seen.assignee and seen.assignee.replace("\0", "")[:_NAME_AT_MOST]  # it may become an owner
        regrouped = seen.group is not None and seen.group != ledger.group
        ledger.group = seen.group or ledger.group  # one that is blank for a while has not changed
        ended = seen.status in ENDED
        if ledger.owner is None:
            if ledger.episode == 0 or not ended:
                self._begin(seen.ticket_version)
                if ended:
                    self._end()
        elif ended:
            self._withdraw(f"the ticket is {seen.status}")
            self._end()
        elif seen.lifecycle == "reopened":
            self._withdraw("the ticket was reopened")
            self._begin(seen.ticket_version)
        elif regrouped:
            self._withdraw("people assigned it anew in the source")
            self._request("source", asks=True, target_group=seen.group, requested_by=seen.assignee)
        self._take_waiting()

    def classification(self, seen: ClassificationSeen) -> None:
        """A version of the classification. Its evidence is the caller's to put into `texts`."""
        if seen.classification_version > self.ledger.classification_version:
            self._at(seen.decided_for)
            self.ledger.classification_version = seen.classification_version
            self._take_waiting()

    def routed(self, seen: RoutedSeen) -> None:
        """A decision of the router; it waits here until the versions that it rests on have arrived."""
        newest = self.ledger.waiting[-1].decision if self.ledger.waiting else self.ledger.decision
        if seen.decision > newest:
            self.ledger.waiting = [*self.ledger.waiting, seen]
            self._take_waiting()

    def clock(self, seen: ClockSeen) -> None:
        """The monitor's word on a clock."""
        ledger = self.ledger
        kind, _, transfer = seen.clock.partition(":")
        if transfer:
            if seen.occurrence == "breached" and ledger.transfer is not None and ledger.transfer.id == transfer:
                self._at(seen.decided_for)
                self._breached(ledger.transfer, kind, seen.generation)
            return
        ledger.clocks = context.told(ledger.clocks, seen, self.book)
        if seen.occurrence == "stated":
            if seen.sequence > ledger.stated_decision:
                ledger.stated_decision = seen.sequence
                self._at(seen.decided_for)
                self._offer_if_ready()
        elif seen.occurrence == "warned" and kind == RESOLUTION:
            self._at(seen.decided_for)
            self._warned(seen)

    def reply(self, given: ReplyGiven) -> None:
        """A receiver's reply. Raises Refused."""
        reply, ledger = given.reply, self.ledger
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
            self._answer(before.transfer_id, before.status, before.attempt, repeated=True)
            return
        self._at(given.at)
        transfer = reply.transfer_id
        match reply.action:
            case "return":
                attempt, status = self._return(given)
            case "escalate":
                opened = self._escalate(given)
                transfer, attempt, status = opened.id, opened.attempt, "requested"
            case "add":
                transfer, attempt, status = self._add(given)
            case _:
                attempt, status = self._acknowledge(given)
        ledger.replies = {
            **ledger.replies,
            key: Answered(transfer_id=transfer, action=reply.action, attempt=attempt, status=status),
        }
        self._answer(transfer, status, attempt)

    def terms_changed(self, changed: TermsChanged) -> None:
        """An offer that shows a partner more than its contract now allows is withdrawn, and asked for anew."""
        self._at(changed.at)
        transfer, fields = self.ledger.transfer, exposed(self.ledger, self.book, self.at)
        if transfer is None or transfer.offer is None or not fields:
            return
        self._renew(
            transfer,
            f"the contract of {transfer.offer.principal} no longer allows {', '.join(fields)}: it is offered again "
            "without; what was read until now cannot be unread",
            fields,
        )

    def _renew(self, transfer: Transfer, reason: str, exposed: list[str] | None = None) -> Transfer:
        """An open offer whose package is no longer the one to acknowledge: another transfer takes its place."""
        self._withdraw(reason, exposed=exposed)
        return self._request(
            transfer.cause,
            asks=True,
            target_group=transfer.target_group,
            requested_by=transfer.requested_by,
            reason=transfer.question,
            tried=transfer.tried,
        )

    def erase(self, asked: ErasureAsked) -> None:
        """What people have said of the ticket is forgotten; ids, instants, digests and decisions stay. Raises Refused
        while somebody owns it: who works on a ticket needs its text."""
        ledger = self.ledger
        if ledger.owner is not None:
            raise Refused(
                "conflict",
                f"{ledger.ticket} is {ledger.status} and {ledger.owner.owner} owns it: end it in its tool first",
                ledger.status,
            )
        self._at(asked.at)
        ledger.assignee = ledger.gap = None
        ledger.waiting = []
        ledger.past = [replace(past, reason="") for past in ledger.past]
        self.decision.texts = Texts()
        self._emit(TicketErased, actor=asked.actor, reason=asked.reason)
        self.decision.events.append((topics.ERASED, self.decision.events[-1][1]))

    # -- what the router says

    def _take_waiting(self) -> None:
        ledger = self.ledger
        while ledger.waiting:
            first = ledger.waiting[0]
            if (
                first.ticket_version > ledger.ticket_version
                or first.classification_version > ledger.classification_version
            ):
                return
            ledger.waiting = ledger.waiting[1:]
            ledger.decision = first.decision
            if ledger.owner is not None:
                self._at(first.decided_for)
                self._routed(first, ledger.owner)

    def _routed(self, seen: RoutedSeen, owner: Ownership) -> None:
        """A decision about a ticket that is owned, all of whose versions are known."""
        ledger, transfer = self.ledger, self.ledger.transfer
        destination = Destination(queue=seen.queue, role=seen.owner_role, decision=seen.decision, final=seen.final)
        if seen.purpose == "transfer":
            if transfer is not None and transfer.id == seen.transfer_id and transfer.destination is None:
                if owner.queue == seen.queue and not self._counts(transfer, destination):
                    self._withdraw(f"it is in {seen.queue} already")
                else:
                    self._send_to(transfer, destination)
            return
        if seen.ticket_version < ledger.began_version:
            return  # decided before the ticket was reopened: the router decides anew
        if seen.purpose == "first":
            ledger.first_decision = seen.decision
            cause: Cause = "reopened" if seen.inputs.cause == "reopened" else "first"
            if transfer is not None:
                return  # people chose meanwhile, and asked the router: its answer replaces this
            if owner.kind == "intake_duty":
                self._send_to(self._request(cause, asks=False), destination)
            else:
                self._turn_down(cause, destination, f"{owner.owner} has it meanwhile")
            return
        self._rerouted(seen, owner, transfer, destination)

    def _rerouted(
        self, seen: RoutedSeen, owner: Ownership, transfer: Transfer | None, destination: Destination
    ) -> None:
        """The router's own proposal. It has reserved the place, so each is either followed or answered by a
        withdrawal."""
        cause: Cause = _cause(seen.inputs.cause)
        if transfer is not None:
            if transfer.destination is None:
                return  # the router has our question before it, and its answer replaces this
            if transfer.destination.queue == seen.queue:
                return
            self._withdraw(f"the router sends it to {seen.queue} instead")
            if owner.queue != seen.queue:
                self._send_to(self._request(cause, asks=False), destination)
            return
        if owner.kind != "intake_duty" and owner.queue != seen.inputs.current:
            self._turn_down(cause, destination, f"it left {seen.inputs.current} for {owner.queue} meanwhile")
        else:
            self._send_to(self._request(cause, asks=False), destination)

    def _turn_down(self, cause: Cause, destination: Destination, reason: str) -> None:
        """A decision of the router that what happened meanwhile has overtaken: it is told, so that it gives up the
        place that it has reserved."""
        self._set(replace(self._request(cause, asks=False), destination=destination))
        self._withdraw(reason)

    # -- what clocks say

    def _breached(self, transfer: Transfer, kind: str, generation: int) -> None:
        offer = transfer.offer
        if kind == ACKNOWLEDGEMENT and offer is not None and generation == transfer.attempt:
            self._check(transfer, "expired")
            self._emit(
                TransferExpired, transfer_id=transfer.id, attempt=transfer.attempt, queue=offer.queue, scope="offer"
            )
            self._close(transfer, "expired", f"no acknowledgement by {offer.receiver}")
            self._next_attempt(transfer, asks=True)
        elif kind == TRANSFER_CLOCK:
            self._check(transfer, "expired")
            queue = offer.queue if offer is not None else transfer.destination and transfer.destination.queue
            self._emit(
                TransferExpired, transfer_id=transfer.id, attempt=transfer.attempt, queue=queue, scope="transfer"
            )
            if offer is not None:
                self._close(transfer, "expired", f"no acknowledgement by {offer.receiver}")
            self._offer(self._next_attempt(transfer, asks=False, destination=self._duty()))

    def _warned(self, seen: ClockSeen) -> None:
        """A resolution clock is near its end: by the agreement's rule, the ticket goes on to somebody else."""
        ledger, owner = self.ledger, self.ledger.owner
        when = self.terms.agreement.transfers.pre_breach
        if (
            when is None
            or owner is None
            or owner.kind == "intake_duty"
            or ledger.transfer is not None
            or ledger.warned.get(seen.clock) == seen.generation
        ):
            return
        facts = context.facts_of(ledger, self.decision.texts, self.at)
        if facts is None or not self.terms.holds(when, facts, self.at, owner.queue, "pre_breach"):
            return
        ledger.warned = {**ledger.warned, seen.clock: seen.generation}
        self._request("pre_breach", asks=True)

    # -- what receivers say

    def _acknowledge(self, given: ReplyGiven) -> tuple[int, str]:
        reply, transfer = given.reply, self.ledger.transfer
        offer = None if transfer is None or transfer.id != reply.transfer_id else transfer.offer
        if transfer is None or offer is None or offer.principal != given.principal:
            raise self._refusal(reply, given.principal)
        fields = exposed(self.ledger, self.book, self.at)
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
            self._accept(transfer, offer, given.actor or offer.receiver, offer.receiver, reply_id=reply.reply_id)
            return transfer.attempt, "completed"
        reason = (reply.reason or "").strip()
        if not reason:
            raise Refused("invalid", "a decline needs a reason: whoever gets it next reads it", transfer.status)
        actor = given.actor or offer.receiver
        self._check(transfer, "declined")
        self._emit(
            TransferDeclined,
            transfer_id=transfer.id,
            attempt=transfer.attempt,
            queue=offer.queue,
            actor=actor,
            reason=reason,
            reply_id=reply.reply_id,
        )
        self._close(transfer, "declined", reason, actor)
        self._next_attempt(transfer, asks=True)
        return transfer.attempt, "declined"

    def _return(self, given: ReplyGiven) -> tuple[int, str]:
        """Who owns the ticket gives it back: another transfer, which the sender must be able to say what for."""
        reply, owner = given.reply, self.ledger.owner
        accepted = self._last_offer(reply.transfer_id, given.principal)
        if accepted is None or owner is None or owner.transfer_id != reply.transfer_id:
            raise self._refusal(reply, given.principal)
        if accepted.ending != "accepted":
            raise self._refusal(reply, given.principal)
        if reply.digest is not None and reply.digest != accepted.digest:
            raise Refused(
                "conflict", "the digest is not that of the package that was accepted", "completed", accepted.digest
            )
        if self.ledger.transfer is not None:
            raise Refused(
                "conflict", f"the ticket is on its way already, by transfer {self.ledger.transfer.id}", "completed"
            )
        reason = (reply.reason or "").strip()
        if not reason:
            raise Refused("invalid", "a return needs a reason: it is the question to whoever gets it next", "completed")
        asked = self._ask("return", given.actor or owner.owner, reason, reply_id=reply.reply_id)
        return accepted.attempt, f"returned by transfer {asked.id}"

    def _escalate(self, given: ReplyGiven) -> Transfer:
        """Whoever owns the ticket, or anybody inside, asks for somebody who can do more; the question goes with it."""
        owner = self._may_work_on(given)
        question = (given.reply.reason or "").strip()
        if not question:
            raise Refused(
                "invalid",
                "an escalation needs a question to whoever gets it: send it as the reason",
                missing=["question"],
            )
        if self.ledger.transfer is not None:
            transfer = self.ledger.transfer
            where = f", offered to {transfer.offer.queue}" if transfer.offer is not None else ""
            raise Refused(
                "conflict", f"the ticket is on its way already, by transfer {transfer.id}{where}", transfer.status
            )
        return self._ask("escalation", given.actor or owner.owner, question, reply_id=given.reply.reply_id)

    def _add(self, given: ReplyGiven) -> tuple[str, int, str]:
        """Adds to the next packages. What was asked for and lacked just this is asked for again."""
        reply, ledger = given.reply, self.ledger
        owner = self._may_work_on(given)
        gap, actor, before = ledger.gap, given.actor or owner.owner, self.decision.texts
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
            self.decision.texts = context.with_added(
                self.decision.texts, reply.part, items, at=self.at, by=actor, principal=given.principal
            )
        self._emit(ContextAdded, part=reply.part, items=items, actor=actor, reply_id=reply.reply_id)
        transfer = ledger.transfer
        if transfer is not None and transfer.offer is not None and self._differs(transfer, before):
            renewed = self._renew(transfer, f"{actor} added {reply.part} to the package: it is offered again with it")
            return renewed.id, renewed.attempt, "requested"
        if gap is None or transfer is not None:
            return "", 0, "added"
        missing = self._missing(self._draft(gap.cause, gap.question))
        if missing:
            ledger.gap = replace(gap, missing=missing)
            return "", 0, f"added; the package still lacks {', '.join(missing)}"
        asked = self._request(
            gap.cause, asks=True, target_group=gap.target_group, requested_by=gap.requested_by, reason=gap.question
        )
        return asked.id, asked.attempt, "requested"

    def _differs(self, transfer: Transfer, before: Texts) -> bool:
        """Whether the receiver of the open offer would see anything else than with the texts as they were."""
        ledger, destination = self.ledger, transfer.destination
        if destination is None:
            return False
        was, now = (
            context.build(ledger, texts, transfer, destination, self.terms, self.book, self.at).digest
            for texts in (before, self.decision.texts)
        )
        return was != now

    def _may_work_on(self, given: ReplyGiven) -> Ownership:
        """Who owns the ticket, when the sender may move it on: the owner's principal, or anybody inside."""
        owner = self.ledger.owner
        held = owner is not None and any(
            (past.transfer_id, past.principal, past.ending) == (owner.transfer_id, given.principal, "accepted")
            for past in self.ledger.past
        )
        if given.principal != INTERNAL and not held:
            if any(past.principal == given.principal and past.ending == "accepted" for past in self.ledger.past):
                raise Refused("conflict", "the ticket is no longer yours: somebody else has it, or it ended")
            raise Refused("unknown", f"there is no ticket {self.ledger.ticket}")
        if owner is None:
            raise Refused("conflict", "the ticket has ended: nobody owns it; reopen it in the tool that it came from")
        return owner

    def _ask(self, cause: Cause, actor: str, question: str, *, reply_id: str) -> Transfer:
        """A transfer that people ask for. What no destination would make whole is refused at once, part by part."""
        missing = self._missing(self._draft(cause, question))
        if missing:
            raise Refused(
                "invalid",
                f"the package lacks {', '.join(missing)}, which the agreement requires for {_a(cause)}: add "
                f"{'it' if len(missing) == 1 else 'them'} (action `add`), then ask again; the ticket stays where it is",
                missing=missing,
            )
        return self._request(cause, asks=True, requested_by=actor, reason=question, reply_id=reply_id)

    def _draft(self, cause: Cause, question: str) -> Transfer:
        return Transfer(id="", number=0, cause=cause, attempt=1, opened_at=self.at, sender="", question=question)

    def _missing(self, draft: Transfer) -> list[str]:
        """What even a receiver inside, who may see everything, would not find in the package."""
        return context.build(
            self.ledger, self.decision.texts, draft, self._duty(), self.terms, self.book, self.at
        ).missing

    def _refusal(self, reply: Reply, principal: str) -> Refused:
        """Why a reply cannot count. Who never had an offer of this transfer is not told that there is one."""
        past = self._last_offer(reply.transfer_id, principal)
        transfer, owner = self.ledger.transfer, self.ledger.owner
        is_open = transfer is not None and transfer.id == reply.transfer_id
        if past is None:
            if (
                is_open
                and transfer is not None
                and transfer.offer is not None
                and transfer.offer.principal == principal
            ):
                return Refused(
                    "conflict", "the transfer is offered and owned by nobody yet: accept or decline it", transfer.status
                )
            return Refused("unknown", f"there is no transfer {reply.transfer_id}")
        if past.ending == "accepted":
            now = "its ownership ended" if owner is None else f"{owner.owner} owns it"
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

    def _last_offer(self, transfer: str, principal: str) -> PastOffer | None:
        return next(
            (
                past
                for past in reversed(self.ledger.past)
                if (past.transfer_id, past.principal) == (transfer, principal)
            ),
            None,
        )

    # -- steps

    def _request(
        self,
        cause: Cause,
        *,
        asks: bool,
        target_group: str | None = None,
        requested_by: str | None = None,
        reason: str = "",
        tried: list[str] | None = None,
        reply_id: str | None = None,
    ) -> Transfer:
        """Opens a transfer; none is open, and somebody owns the ticket."""
        ledger, owner = self.ledger, self.ledger.owner
        if ledger.transfer is not None or owner is None:
            raise IllegalStep(
                f"a transfer for {cause} while {ledger.transfer} is open and {owner} owns {ledger.ticket}"
            )
        ledger.transfers += 1
        ledger.gap = None
        transfer = Transfer(
            id=transfer_id(ledger.ticket, ledger.transfers),
            number=ledger.transfers,
            cause=cause,
            attempt=1,
            opened_at=self.at,
            sender=owner.owner,
            sender_queue=owner.queue,
            target_group=target_group,
            requested_by=requested_by,
            question=reason if cause in context.PEOPLE_ASK else "",
            tried=tried or [],
        )
        self._set(transfer)
        self._requested(transfer, asks=asks, reason=reason, reply_id=reply_id)
        return transfer

    def _next_attempt(self, before: Transfer, *, asks: bool, destination: Destination | None = None) -> Transfer:
        """After a decline or an expiry. Without a destination the router is asked where to."""
        gone = before.offer.queue if before.offer is not None else before.destination and before.destination.queue
        transfer = replace(
            before,
            attempt=before.attempt + 1,
            tried=before.tried if gone is None or gone in before.tried else [*before.tried, gone],
            destination=destination,
            offer=None,
        )
        self._set(transfer)
        self._requested(transfer, asks=asks)
        return transfer

    def _requested(self, transfer: Transfer, *, asks: bool, reason: str = "", reply_id: str | None = None) -> None:
        self._emit(
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
        )

    def _send_to(self, transfer: Transfer, destination: Destination) -> None:
        self._set(replace(transfer, destination=destination))
        self._offer_if_ready()

    def _offer_if_ready(self) -> None:
        """Before anything is offered, the monitor must have said which clocks run."""
        ledger, transfer = self.ledger, self.ledger.transfer
        if (
            transfer is not None
            and transfer.destination is not None
            and transfer.offer is None
            and ledger.stated_decision >= ledger.first_decision
        ):
            self._offer(transfer)

    def _offer(self, transfer: Transfer) -> None:
        destination = transfer.destination
        if destination is None:
            raise IllegalStep(f"an offer of {transfer.id} to nowhere")
        package = context.build(self.ledger, self.decision.texts, transfer, destination, self.terms, self.book, self.at)
        if package.missing and not destination.final:
            self._lacking(transfer, package.missing)
            return
        role = destination.role if destination.role in self.terms.agreement.owners else self.terms.agreement.duty
        receiver = self.terms.member(role, self.ledger.ticket, transfer.id, transfer.attempt)
        seconds = self.terms.agreement.acknowledge_seconds(destination.queue)
        offer = Offer(
            queue=destination.queue,
            role=role,
            receiver=receiver,
            principal=self.terms.principal(destination.queue),
            digest=package.digest,
            acknowledge_by=self.at + timedelta(seconds=seconds),
            version=self.terms.version,
        )
        self._check(transfer, "offered")
        transfer = replace(transfer, offer=offer)
        self._set(transfer)
        self._emit(
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
        self.decision.events.append(
            (
                topics.offers(offer.queue),
                OfferMade(
                    ticket=self.ledger.ticket,
                    decided_for=self.at,
                    transfer_id=transfer.id,
                    attempt=transfer.attempt,
                    queue=offer.queue,
                    receiver=receiver,
                    digest=package.digest,
                    acknowledge_by=self.at + timedelta(seconds=seconds),
                    package=package.content,
                ),
            )
        )
        self.decision.packages.append((transfer.id, transfer.attempt, package.digest, package.body))
        if destination.final:
            self._accept(transfer, offer, receiver, receiver, kind="automatic")
        elif self._counts(transfer, destination):
            chosen = self.ledger.assignee or receiver
            self._accept(transfer, offer, chosen, chosen, automatic=True)

    def _counts(self, transfer: Transfer, destination: Destination) -> bool:
        """Whether people's own reassignment in the source stands for the acknowledgement: it does where the agreement
        says so, and the router found the queue that they chose."""
        agreement = self.terms.agreement
        return (
            transfer.cause == "source"
            and transfer.attempt == 1
            and agreement.transfers.source_reassignment == "acknowledges"
            and transfer.target_group is not None
            and agreement.routing.group_queues.get(transfer.target_group) == destination.queue
        )

    def _lacking(self, transfer: Transfer, missing: list[str]) -> None:
        """A package without a required part is not offered. People are told and keep the ticket; what the desk itself
        must move goes to the duty owner, who sees what is missing."""
        named = ", ".join(missing)
        if transfer.cause in context.PEOPLE_ASK:
            self._withdraw(f"the package lacks {named}: add it and it is asked for again", missing)
            self.ledger.gap = Gap(
                cause=transfer.cause,
                missing=missing,
                question=transfer.question,
                target_group=transfer.target_group,
                requested_by=transfer.requested_by,
            )
            return
        self._withdraw(f"the package lacks {named}: the duty owner gets it", missing)
        tried = [] if transfer.destination is None else [transfer.destination.queue]
        again = self._request(transfer.cause, asks=False, tried=tried, reason=f"lacks {named}")
        again = replace(again, destination=self._duty())
        self._set(again)
        self._offer(again)

    def _duty(self) -> Destination:
        """The end of every escalation path: the desk acknowledges for the internal duty owner."""
        agreement = self.terms.agreement
        return Destination(queue=agreement.routing.duty_queue, role=agreement.duty, final=True)

    def _accept(
        self,
        transfer: Transfer,
        offer: Offer,
        actor: str,
        owner: str,
        *,
        kind: OwnerKind = "acknowledged",
        automatic: bool = False,
        reply_id: str | None = None,
    ) -> None:
        """The acknowledgement, and with it the ownership."""
        self._check(transfer, "accepted")
        self._emit(
            TransferAccepted,
            transfer_id=transfer.id,
            attempt=transfer.attempt,
            queue=offer.queue,
            digest=offer.digest,
            actor=actor,
            automatic=automatic or kind == "automatic",
            reply_id=reply_id,
        )
        self._close(transfer, "accepted", "", actor)
        self._emit(TransferCompleted, transfer_id=transfer.id, queue=offer.queue, owner=owner)
        self._ended(transfer, "completed")
        if transfer.cause not in ("first", "reopened"):
            self.ledger.moved += 1
        self._own(owner, offer.role, kind, queue=offer.queue, transfer_id=transfer.id)

    def _withdraw(self, reason: str, lacking: list[str] | None = None, exposed: list[str] | None = None) -> None:
        """Ends the open transfer, if there is one; the sender stays the owner."""
        transfer = self.ledger.transfer
        if transfer is None:
            return
        self._check(transfer, "withdrawn")
        queue = transfer.offer.queue if transfer.offer else transfer.destination and transfer.destination.queue
        self._emit(
            TransferWithdrawn,
            transfer_id=transfer.id,
            attempt=transfer.attempt,
            queue=queue,
            reason=reason,
            lacking=lacking or [],
            exposed=exposed or [],
        )
        if transfer.offer is not None:
            self._close(transfer, "withdrawn", reason)
        self._ended(transfer, "withdrawn")

    def _close(self, transfer: Transfer, ending: Ending, reason: str, actor: str | None = None) -> None:
        """Tells the receiver that its offer ended, and remembers it."""
        offer = transfer.offer
        if offer is None:
            raise IllegalStep(f"an end of {transfer.id} that was not offered")
        self.decision.events.append(
            (
                topics.offers(offer.queue),
                OfferClosed(
                    ticket=self.ledger.ticket,
                    decided_for=self.at,
                    transfer_id=transfer.id,
                    attempt=transfer.attempt,
                    queue=offer.queue,
                    outcome=_ENDINGS[ending],
                ),
            )
        )
        self.ledger.past = [
            *self.ledger.past,
            PastOffer(
                transfer_id=transfer.id,
                attempt=transfer.attempt,
                queue=offer.queue,
                principal=offer.principal,
                digest=offer.digest,
                ending=ending,
                at=self.at,
                reason=reason,
                actor=actor,
            ),
        ]

    # -- ownership

    def _begin(self, version: int) -> None:
        """The intake duty owns it: at the first sight of a ticket, and again when it is reopened."""
        ledger, agreement = self.ledger, self.terms.agreement
        ledger.began_version = version
        ledger.warned = {}
        if ledger.owner is not None and ledger.owner.kind == "intake_duty":
            return
        role = agreement.intake_duty
        owner = self.terms.member(role, ledger.ticket, ledger.episode, version)
        if ledger.owner is None:
            ledger.episode += 1
        self._own(owner, role, "intake_duty")

    def _own(
        self, owner: str, role: str, kind: OwnerKind, *, queue: str | None = None, transfer_id: str | None = None
    ) -> None:
        ledger, before = self.ledger, self.ledger.owner
        previous: tuple[int, int, datetime] | None
        if before is not None:
            self.decision.closed.append(Closing(ledger.episode, ledger.interval, self.at))
            previous = (ledger.episode, ledger.interval, self.at)
            ledger.interval += 1
        else:
            previous = ledger.ended
            ledger.interval = 1
        ledger.owner = Ownership(owner=owner, role=role, kind=kind, since=self.at, queue=queue, transfer_id=transfer_id)
        self.decision.opened.append(
            Interval(ledger.episode, ledger.interval, self.at, owner, role, queue, kind, transfer_id, previous)
        )
        self._emit(
            OwnerChanged,
            owner=owner,
            role=role,
            queue=queue,
            kind=kind,
            previous=before.owner if before is not None else None,
            transfer_id=transfer_id,
        )

    def _end(self) -> None:
        """The ticket ended, and with it its ownership."""
        ledger, before = self.ledger, self.ledger.owner
        if before is None:
            raise IllegalStep(f"an end of {ledger.ticket}, which nobody owns")
        self.decision.closed.append(Closing(ledger.episode, ledger.interval, self.at))
        ledger.ended = (ledger.episode, ledger.interval, self.at)
        ledger.owner = None
        ledger.gap = None
        self._emit(OwnerChanged, owner=None, role=None, queue=None, kind="ended", previous=before.owner)

    # -- the record

    def _emit(self, model: type[TransferEvent], **said: Any) -> None:
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

    def _check(self, transfer: Transfer, step: Step) -> None:
        if (transfer.status, step) not in TRANSITIONS:
            raise IllegalStep(f"{transfer.id} is {transfer.status} and cannot be {step}")

    def _set(self, transfer: Transfer) -> None:
        self.ledger.transfer = transfer
        self.decision.transfers[transfer.id] = _state(transfer, transfer.status, None)

    def _ended(self, transfer: Transfer, status: Status) -> None:
        self.ledger.transfer = None
        self.decision.transfers[transfer.id] = _state(transfer, status, self.at)

    def _answer(self, transfer: str, status: str, attempt: int, *, repeated: bool = False) -> None:
        owner = self.ledger.owner
        self.decision.answer = Answer(
            transfer, status, attempt, owner.owner if owner else None, owner.queue if owner else None, repeated
        )


def _check_size(given: ReplyGiven) -> None:
    reply = given.reply
    if not 0 < len(reply.reply_id) <= _NAME_AT_MOST:
        raise Refused("invalid", f"a reply_id has 1 to {_NAME_AT_MOST} characters, not {len(reply.reply_id)}")
    if len(given.actor or "") > _NAME_AT_MOST:
        raise Refused("invalid", f"an actor has at most {_NAME_AT_MOST} characters")
    if len(reply.reason or "") > _REASON_AT_MOST:
        raise Refused("invalid", f"a reason has at most {_REASON_AT_MOST} characters, not {len(reply.reason or '')}")
    if len(reply.items) > _ITEMS_AT_MOST:
        raise Refused("invalid", f"at most {_ITEMS_AT_MOST} items at a time, not {len(reply.items)}")
    longest = max(map(len, reply.items), default=0)
    if longest > _REASON_AT_MOST:
        raise Refused("invalid", f"an item has at most {_REASON_AT_MOST} characters, not {longest}")


def _a(cause: Cause) -> str:
    return f"{'an' if cause[0] in 'aeiou' else 'a'} {cause}"


def _cause(said: str | None) -> Cause:
    """The cause of a transfer that the router proposed, as its decision names it."""
    return _PROPOSED.get(said or "", "reroute")


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
    )
