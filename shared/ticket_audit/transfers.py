"""What a history's transfers carried, and which tickets came back to where they had been: from the topics alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

import msgspec

from ticket_audit.history import History
from ticket_contracts import topics
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import (
    ContextPackage,
    OfferMade,
    OwnerChanged,
    TransferOffered,
    TransferWithdrawn,
)

PARTS = ("view", "classification", "clocks", "tried", "steps", "articles", "links", "question")


class Kind(msgspec.Struct):
    """The offers of one kind of transfer. parts: how many of their packages had each part, and it was not empty.
    required: what the agreements asked for; lacking: packages without one of these."""

    offers: int = 0
    parts: dict[str, int] = {}
    required: list[str] = []
    lacking: int = 0


class Return(msgspec.Struct):
    """A ticket that went A -> B -> A. path: where it was, in order; what is the same twice in a row stands there
    once."""

    ticket: str
    path: list[str]


class Exposure(msgspec.Struct):
    """Fields that a queue's partner could read for a while, and that its contract does not allow any more: what was
    read cannot be unread."""

    ticket: str
    transfer_id: str
    queue: str | None
    fields: list[str]
    since: datetime | None
    until: datetime


class Transfers(msgspec.Struct):
    """kinds: by cause. groups: tickets that the source sent from a group to another and straight back; queues: those
    that the desk did so with. exposed: offers that were taken back since a contract came to allow less."""

    kinds: dict[str, Kind] = {}
    groups: list[Return] = []
    queues: list[Return] = []
    exposed: list[Exposure] = []


def transfers(history: History) -> Transfers:
    found = Transfers(kinds=_kinds(history))
    grouped: dict[str, list[str | None]] = {
        ticket: [entry.event.group for entry in entries if isinstance(entry.event, TicketNormalized)]
        for ticket, entries in history.by_ticket(topics.NORMALIZED).items()
    }
    queued: dict[str, list[str | None]] = {
        ticket: [entry.event.queue for entry in entries if isinstance(entry.event, OwnerChanged)]
        for ticket, entries in history.by_ticket(topics.TRANSFERS).items()
    }
    found.groups, found.queues = back_and_forth(grouped), back_and_forth(queued)
    found.exposed = _exposed(history)
    return found


def _exposed(history: History) -> list[Exposure]:
    offered: dict[tuple[str, int], datetime] = {}
    found = []
    for entry in history.entries.get(topics.TRANSFERS, []):
        step = entry.event
        if isinstance(step, TransferOffered):
            offered[step.transfer_id, step.attempt] = step.decided_for
        elif isinstance(step, TransferWithdrawn) and step.exposed:
            since = offered.get((step.transfer_id, step.attempt))
            found.append(Exposure(step.ticket, step.transfer_id, step.queue, step.exposed, since, step.decided_for))
    return found


def _kinds(history: History) -> dict[str, Kind]:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, Kind] = defaultdict(Kind)
    for topic in history.family(topics.OFFERS):
        for entry in history.entries[topic]:
            offer = entry.event
            if not isinstance(offer, OfferMade):
                continue
            cause: str = offer.package.cause
            kind = kinds[cause]
            kind.offers += 1
            counted[cause].update(name for name in PARTS if has(offer.package, name))
            agreement = history.agreements.get(history.in_force(offer.decided_for) or "")
            required = agreement.agreement.required_parts(cause) if agreement is not None else []
            kind.required = sorted({*kind.required, *required})
            kind.lacking += not all(has(offer.package, name) for name in required)
    for cause, kind in kinds.items():
        kind.parts = {name: counted[cause][name] for name in PARTS}
    return dict(sorted(kinds.items()))


def has(package: ContextPackage, name: str) -> bool:
    """Whether a part that an agreement may require is there: a field, or `view.` and one of the view's."""
    whole, _, inner = name.partition(".")
    value = getattr(package, whole, None)
    if inner:
        return bool(getattr(value, inner, None))
    return value != type(value)() if isinstance(value, msgspec.Struct) else bool(value)


def back_and_forth(paths: dict[str, list[str | None]]) -> list[Return]:
    """Of tickets with the places where they were (None: nowhere that is known) those that went A -> B -> A."""
    found = []
    for ticket, places in sorted(paths.items()):
        path: list[str] = []
        for place in places:
            if place is not None and path[-1:] != [place]:
                path.append(place)
        if any(before == after for before, after in zip(path, path[2:], strict=False)):
            found.append(Return(ticket=ticket, path=path))
    return found
