"""From a record of a lifecycle topic to the rows that remember it: pure, the same record gives the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Table

from sla_monitor.facts import tables
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, parse_published
from ticket_contracts.catalogue import BY_TYPE
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event, ce_id, encode
from ticket_contracts.ids import event_id
from ticket_contracts.routing import TicketRouted
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import Feedback, TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import ContextAdded, OwnerChanged, TicketErased, TransferEvent

TOPICS = (
    topics.AGREEMENT,
    topics.NORMALIZED,
    topics.CLASSIFIED,
    topics.ROUTED,
    topics.SLA_EVENTS,
    topics.TRANSFERS,
    topics.FEEDBACK,
)
"""What facts are read from, without prefix."""

Row = tuple[Table, dict[str, Any]]


class Unreadable(ValueError):
    """A record that is not what its topic holds; the text says why, and repeats nothing of it."""


_decoders = {name: msgspec.json.Decoder(model) for name, model in BY_TYPE.items()}
_feedback = msgspec.json.Decoder(Feedback)


def rows_of(topic: str, ce_type: str, value: bytes | None) -> list[Row]:
    """The rows of one record; none for what says nothing new (a recorded duplicate, which clocks run).

    topic: without prefix. Raises Unreadable.
    """
    if value is None:
        return []  # a tombstone
    try:
        if topic == topics.AGREEMENT:
            return list(_agreement(value))
        if topic == topics.FEEDBACK:
            return list(_given(_feedback.decode(value)))
        decoder = _decoders.get(ce_type)
        if decoder is None:
            raise Unreadable(f"ce_type {ce_type[:80]!r} is not known")
        event = decoder.decode(value)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not to be read: {type(error).__name__}") from None
    if isinstance(event, TransferEvent):
        return list(_transfer(event))
    reader = _READERS.get(type(event))
    if reader is None:
        raise Unreadable(f"{event.TYPE} does not belong on {topic}")
    return list(reader(event))


def _row(table: Table, event: Event, **more: Any) -> Row:
    return table, {"id": ce_id(event), "ticket": event.ticket, "at": event.decided_for, **more}


def _normalized(event: TicketNormalized) -> Iterator[Row]:
    yield _row(
        tables.versions,
        event,
        version=event.ticket_version,
        lifecycle=event.lifecycle,
        status=event.status,
        channel=event.channel,
        url=event.url,
        created_at=event.created_at,
        assigned=event.group,
    )
    if event.ticket_version == 1 or "comments" in event.changed:
        for comment in event.comments:
            yield (
                tables.comments,
                {
                    "id": event_id("comment", event.ticket, comment.id),
                    "ticket": event.ticket,
                    "at": comment.at,
                    "author": comment.author_role,
                    "public": comment.visibility == "public",
                },
            )


def _classified(event: TicketClassified) -> Iterator[Row]:
    yield _row(
        tables.classifications,
        event,
        version=event.classification_version,
        category=event.category,
        kind=event.kind,
        priority=event.priority,
        tier=event.tier,
        abstained=event.abstained,
        corrected=event.inputs.feedback is not None,
        articles=event.articles,
    )


def _routed(event: TicketRouted) -> Iterator[Row]:
    yield _row(
        tables.routings,
        event,
        decision=event.decision,
        queue=event.queue,
        tier=event.tier,
        purpose=event.purpose,
        rule=event.rule,
        transfer_id=event.transfer_id,
        cause=event.inputs.cause,
        agreement=event.agreement_version,
    )


def _clock(event: ClockEvent) -> Iterator[Row]:
    if event.occurrence == "stated":
        return
    yield _row(
        tables.clocks,
        event,
        clock=event.clock.partition(":")[0],
        generation=event.generation,
        occurrence=event.occurrence,
        ticket_version=event.ticket_version,
        policy=event.rule,
        goal_seconds=event.inputs.goal_seconds if event.inputs is not None else None,
        due_at=event.due_at,
        deadline=event.deadline,
        transfer_id=event.transfer_id,
        revises=event.revises,
        late=event.late,
        agreement=event.agreement_version,
    )


def _transfer(event: TransferEvent) -> Iterator[Row]:
    common = {"sequence": event.sequence, "agreement": event.agreement_version}
    if isinstance(event, OwnerChanged):
        yield _row(
            tables.owners,
            event,
            kind=event.kind,
            role=event.role,
            queue=event.queue,
            transfer_id=event.transfer_id,
            **common,
        )
    elif not isinstance(event, ContextAdded | TicketErased):  # people's own words; and nothing here is to be erased
        yield _row(
            tables.steps,
            event,
            step=event.TYPE.split(".")[-2],
            **{
                name: getattr(event, name, None)
                for name in ("transfer_id", "attempt", "cause", "queue", "sender_queue", "automatic")
            },
            **common,
        )


def _given(said: Feedback) -> Iterator[Row]:
    fields = (said.category, said.kind, said.impact, said.urgency)
    yield (
        tables.feedback,
        {
            "id": event_id("feedback", said.ticket, said.feedback_id),
            "ticket": said.ticket,
            "at": said.at,
            "digest": event_id(encode(msgspec.structs.replace(said, actor="")).decode()),  # no trace of a name
            "corrects": any(field is not None for field in fields),
            "csat": said.csat if said.csat is not None and 1 <= said.csat <= 5 else None,
        },
    )


def _agreement(value: bytes) -> Iterator[Row]:
    published = parse_published(value)
    yield (
        tables.agreements,
        {
            "version": published.version,
            "effective_at": published.effective_at,
            "document": published.model_dump(mode="json", exclude_defaults=True),
        },
    )
    for name, queue in published.agreement.queues.items():
        yield (
            tables.queues,
            {
                "agreement": published.version,
                "queue": name,
                "title": queue.title,
                "tier": queue.tier,
                "side": "partner" if queue.partner else "internal",
                "partner": queue.partner,
                **_price(published.agreement, queue.partner, queue.tier),
            },
        )


def _price(agreement: Agreement, partner: str | None, tier: int) -> dict[str, Any]:
    contract = agreement.partners.get(partner) if partner else None
    if contract is None:
        return {"price": None, "currency": None}
    return {"price": contract.price_per_ticket.get(tier), "currency": contract.currency}


_READERS: dict[type[Any], Callable[[Any], Iterator[Row]]] = {
    TicketNormalized: _normalized,
    TicketDuplicate: lambda _: iter(()),
    TicketClassified: _classified,
    TicketRouted: _routed,
    ClockEvent: _clock,
}


def latest(rows: list[Row]) -> datetime | None:
    """The latest instant that these rows speak of."""
    return max((row["at"] for _, row in rows if "at" in row), default=None)
