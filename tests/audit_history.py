"""A small, true history of one ticket, told as its topics hold it; tests break it and see what the audit says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ticket_audit.history import History, Row
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Approval, Published, digest
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, ce_id, encode
from ticket_contracts.ids import event_id, transfer_id
from ticket_contracts.routing import RoutingInputs, TicketDispatched, TicketFacts, TicketRouted, TicketView
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import (
    ContextPackage,
    OfferClosed,
    OfferMade,
    OwnerChanged,
    Reply,
    TransferAccepted,
    TransferCompleted,
    TransferOffered,
    TransferRequested,
)

TICKET = "generic:default:1"
TRANSFER = transfer_id(TICKET, 1)
MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return MONDAY + timedelta(minutes=minutes)


AGREEMENT = Agreement.model_validate(
    {
        "title": "A desk with one partner",
        "parties": [{"name": "Example", "side": "company"}, {"name": "Night Owls", "side": "partner"}],
        "sources": ["generic"],
        "taxonomy": [{"id": "network", "title": "Network"}],
        "matrix": {"impacts": ["low"], "urgencies": ["low"], "priorities": {"low": {"low": "P4"}}},
        "classification": {"defaults": {"impact": "low", "urgency": "low"}},
        "calendars": {"office": {"zone": "UTC", "hours": {"mon": [["09:00", "17:00"]], "tue": [["09:00", "17:00"]]}}},
        "owners": {
            "night": {"title": "Night shift", "kind": "rota", "side": "partner", "members": ["Nora"]},
            "duty": {"title": "Duty manager", "kind": "duty", "members": ["Dora"]},
        },
        "intake_duty": "duty",
        "duty": "duty",
        "partners": {"owls": {"title": "Night Owls", "calendar": "office", "fields": ["title", "priority"]}},
        "queues": {
            "first": {
                "title": "First line",
                "support_model": "partner",
                "tier": 1,
                "owner_role": "night",
                "partner": "owls",
            },
            "duty": {"title": "Duty", "support_model": "internal", "tier": 1, "owner_role": "duty"},
        },
        "routing": {"rules": [{"name": "all", "to": ["first"]}], "duty_queue": "duty"},
        "sla": {"resolve": {"clock": "resolution", "calendar": "office", "goals": [{"seconds": 4 * 3600}]}},
        "transfers": {"required": {"default": ["view", "classification"]}},
    }
)
VERSION = digest(AGREEMENT)


@dataclass
class Told:
    """Rows by topic, in the order told."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def tell(self, topic: str, event: Event, **changed: Any) -> None:
        self.add(
            topic,
            Row(key=event.ticket, ce_id=ce_id(event), ce_type=event.TYPE, data=msgspec.Raw(encode(event)), **changed),
        )

    def add(self, topic: str, row: Row) -> None:
        found = self.rows.setdefault(topic, [])
        row.n = 1 + sum(other.key == row.key for other in found)
        found.append(row)

    def history(self) -> History:
        return History(self.rows)

    def replace(self, topic: str, kind: type[Event], **changes: Any) -> None:
        """Tells the first event of this kind otherwise, under the id of what it now says."""
        for place, row in enumerate(self.rows[topic]):
            if row.ce_type == kind.TYPE:
                event = msgspec.structs.replace(msgspec.json.decode(row.data, type=kind), **changes)
                self.rows[topic][place] = Row(
                    key=row.key, n=row.n, ce_id=ce_id(event), ce_type=row.ce_type, data=msgspec.Raw(encode(event))
                )
                return
        raise AssertionError(f"no {kind.__name__} on {topic}")

    def drop(self, topic: str, kind: type[Event], number: int = 0) -> None:
        """Leaves out the n-th event of this kind."""
        places = [place for place, row in enumerate(self.rows[topic]) if row.ce_type == kind.TYPE]
        del self.rows[topic][places[number]]

    def repeat(self, topic: str, kind: type[Event]) -> None:
        """Tells the first event of this kind once more."""
        row = next(row for row in self.rows[topic] if row.ce_type == kind.TYPE)
        self.add(topic, msgspec.structs.replace(row))


def published(agreement: Agreement = AGREEMENT) -> bytes:
    approvals = [Approval(party=party.name, name="A. Signer", at=MONDAY) for party in agreement.parties]
    content = Published(version=digest(agreement), effective_at=MONDAY, approvals=approvals, agreement=agreement)
    return content.model_dump_json().encode()


def a_true_history() -> Told:
    """One ticket: comes, goes to the partner, is acknowledged, warned of, breached and solved, and ends."""
    told = Told()
    told.add(topics.AGREEMENT, Row(key=VERSION, data=msgspec.Raw(published())))
    for offset, minutes in enumerate((0, 300)):
        inbound = f"{topics.inbound('generic')}/0/{offset}"
        told.add(topics.inbound("generic"), Row(key="x", at=f"0/{offset}"))
        told.add(topics.KEYED, Row(key=TICKET, ce_id=event_id("keyed", offset), relaydesk_inbound=inbound))
        told.tell(
            topics.NORMALIZED,
            TicketNormalized(
                ticket=TICKET,
                decided_for=at(minutes),
                ticket_version=offset + 1,
                source_version=str(offset),
                delivery=event_id("keyed", offset),
                lifecycle="created" if offset == 0 else "ended",
                changed=["status"],
                source="generic",
                instance="default",
                external_id="1",
                title="VPN",
                received_at=at(minutes),
                status="new" if offset == 0 else "closed",
            ),
        )
    decided: dict[str, Any] = {
        "ticket": TICKET,
        "decided_for": at(0),
        "ticket_version": 1,
        "classification_version": 1,
        "agreement_version": VERSION,
    }
    told.tell(
        topics.CLASSIFIED,
        TicketClassified(
            **decided,
            rule="default",
            category="network",
            kind="incident",
            impact="low",
            urgency="low",
            priority="P4",
            tier=1,
            inputs=ClassificationInputs(normalized=event_id("n")),
        ),
    )
    facts = TicketFacts(
        source="generic",
        channel="api",
        kind="incident",
        category="network",
        priority="P4",
        impact="low",
        urgency="low",
        tier=1,
    )
    told.tell(
        topics.ROUTED,
        TicketRouted(
            **decided,
            rule="all",
            decision=1,
            queue="first",
            tier=1,
            owner_role="night",
            support_model="partner",
            purpose="first",
            inputs=RoutingInputs(facts=facts, loads={"first": 0}),
        ),
    )
    told.tell(
        topics.queue("first"),
        TicketDispatched(
            ticket=TICKET,
            decided_for=at(0),
            decision=1,
            queue="first",
            tier=1,
            priority="P4",
            purpose="first",
            view=TicketView(title="VPN", priority="P4"),
            agreement_version=VERSION,
        ),
    )
    _clock(told, decided)
    _transfer(told)
    return told


def _clock(told: Told, decided: dict[str, Any]) -> None:
    """Four working hours from 09:00: warned 12:45, breached 13:00, met 14:00."""

    def tell(occurrence: Any, minutes: int, sequence: int, **more: Any) -> None:
        told.tell(
            topics.SLA_EVENTS,
            ClockEvent(
                **{**decided, "decided_for": at(minutes)},
                rule="resolve",
                occurrence=occurrence,
                clock="resolution",
                generation=1,
                sequence=sequence,
                deadline=at(240),
                **more,
            ),
        )

    tell("started", 0, 1)
    tell("warned", 225, 2, threshold_seconds=900, due_at=at(225))
    tell("breached", 240, 3, due_at=at(240))
    tell("met", 300, 4)


def _transfer(told: Told) -> None:
    package = ContextPackage(
        ticket=TICKET,
        transfer_id=TRANSFER,
        attempt=1,
        as_of=at(0),
        cause="first",
        sender="Dora",
        queue="first",
        view=TicketView(title="VPN", priority="P4"),
        classification={"category": "network"},
        clocks=[],
        tried=[],
        articles=[],
        links=[],
        question="Please take it.",
    )
    sealed = hashlib.sha256(encode(package)).hexdigest()

    def step(sequence: int, minutes: int) -> dict[str, Any]:
        return {
            "ticket": TICKET,
            "decided_for": at(minutes),
            "sequence": sequence,
            "agreement_version": VERSION,
            "ticket_version": 1,
            "classification_version": 1,
        }

    move: dict[str, Any] = {"transfer_id": TRANSFER, "attempt": 1}
    for event in (
        OwnerChanged(**step(1, 0), owner="Dora", role="duty", queue=None, kind="intake_duty"),
        TransferRequested(**step(2, 0), **move, cause="first", asks=False, tried=[], sender="Dora"),
        TransferOffered(
            **step(3, 0), **move, queue="first", receiver="Nora", digest=sealed, acknowledge_seconds=900, decision=1
        ),
        TransferAccepted(
            **step(4, 5), **move, queue="first", digest=sealed, actor="Nora", automatic=False, reply_id="r1"
        ),
        TransferCompleted(**step(5, 5), transfer_id=TRANSFER, queue="first", owner="Nora"),
        OwnerChanged(
            **step(6, 5),
            owner="Nora",
            role="night",
            queue="first",
            kind="acknowledged",
            previous="Dora",
            transfer_id=TRANSFER,
        ),
        OwnerChanged(**step(7, 300), owner=None, role=None, queue=None, kind="ended", previous="Nora"),
    ):
        told.tell(topics.TRANSFERS, event)
    made = OfferMade(
        ticket=TICKET,
        decided_for=at(0),
        transfer_id=TRANSFER,
        attempt=1,
        queue="first",
        receiver="Nora",
        digest=sealed,
        acknowledge_by=at(15),
        package=package,
        revision=1,
    )
    told.tell(topics.offers("first"), made)
    told.tell(
        topics.offers("first"),
        OfferClosed(
            ticket=TICKET, decided_for=at(5), transfer_id=TRANSFER, attempt=1, queue="first", outcome="assigned"
        ),
    )
    reply = Reply(transfer_id=TRANSFER, reply_id="r1", action="accept", digest=sealed)
    told.add(topics.replies("owls"), Row(key=TICKET, at="0/0", data=msgspec.Raw(encode(reply))))
