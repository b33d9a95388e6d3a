"""Which models stand on which topic: what the schemas, the AsyncAPI document and the audit are made from."""

from __future__ import annotations

import msgspec

from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.knowledge import Article
from ticket_contracts.routing import TicketDispatched, TicketRouted
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import Feedback, TicketDuplicate, TicketNormalized
from ticket_contracts.time import Progress, TimeStep
from ticket_contracts.transfers import (
    ContextAdded,
    OfferClosed,
    OfferMade,
    OwnerChanged,
    Reply,
    TicketErased,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    TransferRenewed,
    TransferRequested,
    TransferWithdrawn,
)

EVENTS: dict[str, tuple[type[Event], ...]] = {
    topics.NORMALIZED: (TicketNormalized, TicketDuplicate),
    topics.CLASSIFIED: (TicketClassified,),
    topics.ROUTED: (TicketRouted,),
    topics.QUEUES: (TicketDispatched,),
    topics.SLA_EVENTS: (ClockEvent,),
    topics.TRANSFERS: (
        TransferRenewed,
        TransferRequested,
        TransferOffered,
        TransferAccepted,
        TransferDeclined,
        TransferExpired,
        TransferWithdrawn,
        TransferCompleted,
        OwnerChanged,
        ContextAdded,
        TicketErased,
    ),
    topics.ERASED: (TicketErased,),
    topics.OFFERS: (OfferMade, OfferClosed),
}
"""Relaydesk's own events by topic; a name that ends with a dot stands for a family of topics."""

RECEIVED: dict[str, type[msgspec.Struct]] = {
    topics.REPLIES: Reply,
    topics.FEEDBACK: Feedback,
    topics.ARTICLES: Article,
}
"""What others write to us, by topic."""

CONTROL: dict[str, type[msgspec.Struct]] = {topics.TIME: TimeStep, topics.PROGRESS: Progress}

BY_TYPE: dict[str, type[Event]] = {model.TYPE: model for models in EVENTS.values() for model in models}
"""The model of a `ce_type`."""

PARTNER_FACING: tuple[type[Event], ...] = (*EVENTS[topics.QUEUES], *EVENTS[topics.OFFERS])
"""What partners' systems read: it changes only by optional fields."""
