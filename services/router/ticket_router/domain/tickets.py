"""What the router knows of one ticket, and how each event changes it."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Final

import msgspec

from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Instant
from ticket_contracts.routing import Purpose, TicketFacts
from ticket_contracts.tickets import ENDED, Kind, TicketNormalized
from ticket_contracts.transfers import (
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_router.domain.decide import DRAINS_BACK, HOURLY, Request
from ticket_router.domain.places import NOWHERE, Holding, group_place
from ticket_router.domain.policy import ABSTAINED

_KEPT_HISTORY: Final = 20
_KEPT_STATUSES: Final = 50
"""With more of them the oldest is forgotten: what it paused counts as time that was used."""
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(tuple[Any, ...]).decode
_TO_BE_WORKED_ON: Final = frozenset({"new", "open"})
_DAY: Final = 86_400


class Normalized(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the normalized ticket, what rules may ask."""

    source: str
    channel: str
    customer: str | None = None
    site: str | None = None
    language: str | None = None
    vip: bool = False
    group: str | None = None
    service: str | None = None
    status: str = "new"
    flags: list[str] = []
    created_at: Instant | None = None


class Classified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the classification, what rules may ask."""

    category: str | None
    kind: Kind
    priority: str
    impact: str
    urgency: str
    tier: int
    flags: list[str] = []


class Reservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place that the newest decision holds until somebody acknowledges. transfer_id: None until handoff opens one.
    since: the unix second of the decision. group: of the queue's agents. overflowed: queues before it that only lacked
    room. instead_of: of a ticket that was drained back, the place that it had where it overflowed to: somebody may have
    accepted it there before handoff heard of this one."""

    queue: str
    purpose: Purpose
    cause: str
    transfer_id: str | None = None
    since: int = 0
    group: str | None = None
    overflowed: list[str] = []
    instead_of: Reservation | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An open question of handoff: where to?"""

    transfer_id: str
    cause: str
    tried: list[str] = []
    sender_queue: str | None = None
    target_group: str | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The transfer that is under way."""

    transfer_id: str
    cause: str


class TicketState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One ticket. known_at: the newest instant of what is known of it: nothing is decided for an earlier one.

    at: the queue that owns it. pending: the place reserved by the newest decision. routed: it has been decided since
    it began or was reopened. reopened: the next decision follows a reopening. look_at: when to decide anew without an
    event. history: queues that had it, oldest first, the duty queue and moves by the hour apart. waits_for: queues that
    only lacked room when it went to the duty queue, or to a queue where it waits; deadline: the unix second by which it
    is to be solved, while it waits so. statuses: (unix second since when, status), in order.
    since, group: when it came to where it is, and its place among the queue's agents. weight: how much of a capacity it
    takes. drained: it was drained back once. came_back: it was known before, and forgotten. forget_on: of what ended,
    or never was a ticket, the day (since 1970, UTC) at whose beginning it is forgotten.
    """

    ticket_version: int = 0
    classification_version: int = 0
    sequence: int = 0
    decision: int = 0
    known_at: Instant | None = None
    normalized: Normalized | None = None
    classified: Classified | None = None
    at: str | None = None
    pending: Reservation | None = None
    transfer: Transfer | None = None
    ask: Ask | None = None
    history: list[str] = []
    transfers: int = 0
    routed: bool = False
    reopened: bool = False
    ended: bool = False
    look_at: Instant | None = None
    waits_for: list[str] = []
    deadline: int | None = None
    statuses: list[tuple[int, str]] = []
    since: int = 0
    group: str | None = None
    weight: int = 1
    drained: bool = False
    came_back: bool = False
    forget_on: int | None = None

    def packed(self) -> bytes:
        """For memory: as its fields stand here, without their names."""
        return _pack(msgspec.structs.astuple(self))

    @classmethod
    def unpacked(cls, data: bytes) -> TicketState:
        return msgspec.convert(dict(zip(cls.__struct_fields__, _unpack(data), strict=True)), cls)

    def learn_ticket(self, event: TicketNormalized) -> bool:
        """A newer version of the ticket. Returns whether something changed that a decision rests on."""
        requester = event.requester
        if not self.ticket_version and event.ticket_version > 1:
            # It was here before and is forgotten. Its decisions go on above any that it can have had: they were fewer
            # than one a minute.
            self.decision = max(self.decision, int(event.decided_for.timestamp()) // 60)
            self.came_back = True
        before = self.normalized
        self.ticket_version = event.ticket_version
        self.normalized = Normalized(
            source=event.source,
            channel=event.channel,
            customer=event.customer,
            site=requester.site,
            language=event.language if event.language is not None else requester.language,
            vip=requester.vip,
            group=event.group,
            service=event.service,
            status=event.status,
            flags=event.flags,
            created_at=event.created_at,
        )
        if not self.statuses or self.statuses[-1][1] != event.status:
            self.statuses = [*self.statuses, (_since(event), event.status)][-_KEPT_STATUSES:]
        if event.status in ENDED:
            self._end()
            self.normalized = None  # whatever brings it back brings a whole ticket
            return False
        if self.ended or (event.lifecycle == "reopened" and (self.routed or self.came_back)):
            self._end()
            self.ended, self.routed, self.reopened = False, False, True
        return before is not None and _asked_anew(before) != _asked_anew(self.normalized)

    def learn_classification(self, event: TicketClassified) -> bool:
        """A newer classification. Returns whether it differs."""
        before = self.classified
        self.classification_version = event.classification_version
        self.classified = Classified(
            category=event.category,
            kind=event.kind,
            priority=event.priority,
            impact=event.impact,
            urgency=event.urgency,
            tier=event.tier,
            flags=[*event.flags, ABSTAINED] if event.abstained and ABSTAINED not in event.flags else event.flags,
        )
        return before is not None and before != self.classified

    def assume(self, classified: Classified) -> None:
        """What stands in for the classification of a ticket that came back after it was forgotten."""
        self.classified = classified

    def learn_transfer(self, event: TransferEvent, duty_queue: str) -> None:
        """A step of handoff's. duty_queue: of the agreement in force."""
        self.sequence = event.sequence
        match event:
            case TransferRequested():
                self._requested(event)
            case TransferDeclined() | TransferExpired():
                self._release(event.transfer_id, event.queue)
            case TransferWithdrawn():
                self._release(event.transfer_id, event.queue)
                if self.ask is not None and self.ask.transfer_id == event.transfer_id:
                    self.ask = None
                if self.transfer is not None and self.transfer.transfer_id == event.transfer_id:
                    self.transfer = None
            case TransferCompleted():
                self._arrive(event, duty_queue)

    def _requested(self, event: TransferRequested) -> None:
        if self.ended:
            return
        self.transfer = Transfer(transfer_id=event.transfer_id, cause=event.cause)
        if event.asks:
            self.ask = Ask(
                transfer_id=event.transfer_id,
                cause=event.cause,
                tried=event.tried,
                sender_queue=event.sender_queue,
                target_group=event.target_group,
            )
            return
        held = self.pending
        # Handoff opens a transfer from our own word; a first decision's is told from a proposal's by its cause.
        first = event.cause in ("first", "reopened")
        if held is not None and held.transfer_id is None and first == (held.purpose == "first"):
            self.pending = msgspec.structs.replace(held, transfer_id=event.transfer_id)

    def _release(self, transfer_id: str, queue: str | None) -> None:
        """An offer came to nothing. A withdrawal without a queue (none was offered yet) means the open reservation."""
        held = self.pending
        if held is not None and held.transfer_id == transfer_id and queue in (None, held.queue):
            self.pending = None

    def _arrive(self, event: TransferCompleted, duty_queue: str) -> None:
        """The ownership moved. A newer reservation elsewhere stays: its transfer is still to come."""
        if self.ended:
            return
        queue = event.queue
        arrived = self._place_at(queue)
        cause = arrived.cause if arrived is not None else self.transfer.cause if self.transfer is not None else "first"
        if cause not in ("first", "reopened"):
            self.transfers += 1
        if queue != duty_queue and (not self.history or self.history[-1] != queue):
            kept = self.history[:-1] if cause in HOURLY else self.history
            self.history = [*kept, queue][-_KEPT_HISTORY:]
        if queue != self.at:
            self.since = int(event.decided_for.timestamp()) if arrived is None else arrived.since
            self.group = None
        if arrived is not None:
            self.group = arrived.group
        self.at = queue
        if arrived is not None and arrived is self.pending:
            self.pending = None
        elif queue != duty_queue:
            self.waits_for = []
        self.transfer = self.ask = None

    def _place_at(self, queue: str) -> Reservation | None:
        """The reservation that an arrival in this queue makes good."""
        held = self.pending
        if held is None or held.queue == queue:
            return held
        overtaken = held.instead_of
        return overtaken if overtaken is not None and overtaken.queue == queue else None

    def _end(self) -> None:
        self.at = self.pending = self.ask = self.transfer = self.look_at = self.group = self.deadline = None
        self.waits_for = []
        self.since = 0
        self.ended, self.reopened = True, False

    def decided(
        self,
        reservation: Reservation,
        look_again_at: dt.datetime | None,
        waits_for: list[str],
        deadline: int | None = None,
    ) -> None:
        """The newest decision: its place is reserved, an older reservation is given up."""
        self.decision += 1
        if reservation.cause == DRAINS_BACK and self.pending is not None:
            # Where it overflowed to it never was: its way goes on as if it had come here at first.
            before = msgspec.structs.replace(self.pending, overflowed=[])
            reservation = msgspec.structs.replace(reservation, cause=before.cause, instead_of=before)
            self.drained = True
        self.pending = reservation
        self.look_at = look_again_at
        self.waits_for = waits_for
        self.deadline = deadline
        self.routed = True
        self.reopened = False

    @property
    def rests(self) -> bool:
        """Whether it is somewhere, and nobody is about to move it."""
        return self.at is not None and self.pending is None and self.transfer is None

    @property
    def overflowed(self) -> list[str]:
        """The queues that may have it back while nobody has accepted it elsewhere: once, and not when people asked for
        the transfer, whose question would be lost."""
        held = self.pending
        return [] if held is None or self.drained or held.purpose == "transfer" else held.overflowed

    @property
    def begun(self) -> bool:
        """Whether somebody has begun to work on it, as far as its status says."""
        return self.normalized is not None and self.normalized.status != "new"

    @property
    def unclassified_for_good(self) -> bool:
        """Whether it came back without what was known of it: its classification is told again only when it changes."""
        return self.came_back and self.reopened and self.classified is None

    def urgency(self) -> tuple[str, float, float]:
        """Of tickets that wait for the same room the least goes first: the highest priority, of these the one with the
        least time left to solve it, then the oldest."""
        created = None if self.normalized is None else self.normalized.created_at
        return (
            "" if self.classified is None else self.classified.priority,
            math.inf if self.deadline is None else self.deadline,
            math.inf if created is None else created.timestamp(),
        )

    def keep_until(self, days: int) -> int | None:
        """Sets and returns the day on which nothing more needs to be known of it, `days` after the last that was heard;
        None while it is a ticket that somebody owns."""
        gone = self.known_at is not None and (self.ended or self.normalized is None)
        self.forget_on = None
        if gone and self.known_at is not None:
            self.forget_on = int(self.known_at.timestamp()) // _DAY + days + 1
        return self.forget_on

    @property
    def known(self) -> bool:
        """Whether both halves of the join are there."""
        return self.normalized is not None and self.classified is not None

    @property
    def where(self) -> str | None:
        """The queue that has it or is to have it."""
        return self.pending.queue if self.pending is not None else self.at

    @property
    def holding(self) -> Holding:
        """What it takes of the desk."""
        at, pending = self.at, self.pending
        if at is None and pending is None:
            return NOWHERE
        places: list[str] = []
        since: dict[str, int] = {}
        if at is not None:
            places.append(at)
            since[at] = self.since
            if self.group is not None:
                places.append(group_place(at, self.group))
        if pending is not None:
            if pending.queue not in since:
                places.append(pending.queue)
                since[pending.queue] = pending.since
            if pending.group is not None and (place := group_place(pending.queue, pending.group)) not in places:
                places.append(place)
        works = self.normalized is None or self.normalized.status in _TO_BE_WORKED_ON
        return Holding(self.weight, tuple(places), tuple(since.items()) if works else ())

    def facts(self, at: dt.datetime, group: str | None = None) -> TicketFacts:
        """What rules may ask at that instant. group: in place of the ticket's own. Both halves must be known."""
        ticket, judged = self.normalized, self.classified
        if ticket is None or judged is None:
            raise ValueError("the facts of a ticket need its normalized version and its classification")
        created = ticket.created_at
        return TicketFacts(
            source=ticket.source,
            channel=ticket.channel,
            kind=judged.kind,
            category=judged.category,
            priority=judged.priority,
            impact=judged.impact,
            urgency=judged.urgency,
            tier=judged.tier,
            flags=judged.flags if not ticket.flags else sorted({*judged.flags, *ticket.flags}),
            customer=ticket.customer,
            site=ticket.site,
            language=ticket.language,
            vip=ticket.vip,
            group=ticket.group if group is None else group,
            service=ticket.service,
            status=ticket.status,
            age_seconds=0 if created is None else max(0, int((at - created).total_seconds())),
            transfers=self.transfers,
        )

    def first_request(self, at: dt.datetime) -> Request:
        """A new ticket, or one that was reopened."""
        return Request(
            facts=self.facts(at),
            purpose="first",
            cause="reopened" if self.reopened else "first",
            history=self.history,
            holding=self.holding,
        )

    def answer_request(self, ask: Ask, at: dt.datetime) -> Request:
        """Handoff's question. It leaves the queue of its sender, and goes to none that was tried."""
        return Request(
            facts=self.facts(at, ask.target_group if ask.cause == "source" else None),
            purpose="transfer",
            cause=ask.cause,
            current=ask.sender_queue,
            tried=ask.tried,
            history=self.history,
            holding=self.holding,
        )

    def proposal_request(self, cause: str, at: dt.datetime) -> Request:
        """The router's own: does it still belong where it is?"""
        return Request(
            facts=self.facts(at),
            purpose="reroute",
            cause=cause,
            current=self.where,
            history=self.history,
            holding=self.holding,
        )

    def drain_request(self, home: str, at: dt.datetime) -> Request:
        """May it go back to the queue that it overflowed from? It leaves whoever owns it, since where it is offered
        nobody has accepted it: so handoff can tell whether somebody has meanwhile."""
        return Request(
            facts=self.facts(at),
            purpose="reroute",
            cause=DRAINS_BACK,
            current=self.at,
            home=home,
            history=self.history,
            holding=self.holding,
        )


def _since(event: TicketNormalized) -> int:
    """When a ticket that changed came to its status, as the SLA monitor takes it: by its tool, and no later than it
    was heard of."""
    told = event.happened_at
    if told is None and (event.ticket_version == 1 or "updated_at" in event.changed):
        told = event.updated_at
    return int(min(event.decided_for, told or event.decided_for).timestamp())


def _asked_anew(facts: Normalized) -> tuple[object, ...]:
    """What of a ticket a decision rests on. The group is handoff's to ask about; the status is not a place."""
    return facts.customer, facts.site, facts.language, facts.vip, facts.service, facts.flags, facts.channel
