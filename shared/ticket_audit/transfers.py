"""What a history's transfers carried, and which tickets came back to where they had been: from the topics alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import chain
from operator import itemgetter

import msgspec

from ticket_audit.history import History
from ticket_contracts import topics
from ticket_contracts.tickets import ENDED, TicketNormalized
from ticket_contracts.transfers import (
    ContextPackage,
    OfferMade,
    OwnerChanged,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)

TOPICS = (topics.AGREEMENT, topics.NORMALIZED, topics.TRANSFERS, topics.OFFERS)
"""What `transfers` reads."""
PARTS = ("view", "classification", "clocks", "tried", "steps", "articles", "links", "question")


class Kind(msgspec.Struct):
    """The offers of one kind of transfer. parts: how many of their packages had each part, and it was not empty.
    required: part that the agreements asked for -> packages that had to have it; missing: -> those of them in which it
    was empty; lacking: packages without one of these."""

    offers: int = 0
    parts: dict[str, int] = {}
    required: dict[str, int] = {}
    missing: dict[str, int] = {}
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
    """kinds: by cause. tickets: how many. unowned: ticket -> seconds without an owner between its first normalized
    event and its end, where there were any.

    changes: of a ticket's group that its source shows: an event names another than the ticket's last event that named
    one. moved: transfers that the source opened by naming a group. Not every change does: a ticket may go back to
    intake duty or end with it; and the first group is no change, but opens one where a later event names it.

    groups: tickets that the source sent from a group to another and straight back; queues: those that the desk did so
    with. exposed: offers that were taken back since a contract came to allow less."""

    kinds: dict[str, Kind] = {}
    tickets: int = 0
    unowned: dict[str, float] = {}
    changes: int = 0
    moved: int = 0
    groups: list[Return] = []
    queues: list[Return] = []
    exposed: list[Exposure] = []


def transfers(history: History) -> Transfers:
    versions = {
        ticket: [entry.event for entry in entries if isinstance(entry.event, TicketNormalized)]
        for ticket, entries in history.by_ticket(topics.NORMALIZED).items()
    }
    steps = history.by_ticket(topics.TRANSFERS)
    changes = {
        ticket: [entry.event for entry in entries if isinstance(entry.event, OwnerChanged)]
        for ticket, entries in steps.items()
    }
    grouped = {ticket: path(version.group for version in found) for ticket, found in versions.items()}
    queued = {ticket: path(change.queue for change in found) for ticket, found in changes.items()}
    return Transfers(
        kinds=_kinds(history),
        tickets=len(versions),
        unowned=_unowned(versions, changes),
        changes=sum(max(len(groups) - 1, 0) for groups in grouped.values()),
        moved=sum(
            isinstance(entry.event, TransferRequested) and entry.event.cause == "source" and entry.event.attempt == 1
            for entry in chain.from_iterable(steps.values())
        ),
        groups=back_and_forth(grouped),
        queues=back_and_forth(queued),
        exposed=_exposed(history),
    )


def _unowned(
    versions: Mapping[str, list[TicketNormalized]], changes: Mapping[str, list[OwnerChanged]]
) -> dict[str, float]:
    """Up to the history's last instant."""
    last = max(
        (event.decided_for for found in (versions, changes) for of in found.values() for event in of), default=None
    )
    unowned: dict[str, float] = {}
    for ticket, seen in versions.items():
        marks: list[tuple[datetime, str, bool]] = [
            (each.decided_for, "open", each.status not in ENDED) for each in seen
        ]
        marks += [(change.decided_for, "owned", change.owner is not None) for change in changes.get(ticket, [])]
        marks.sort(key=itemgetter(0))
        now = {"open": False, "owned": False}
        seconds = 0.0
        for (at, what, holds), until in zip(marks, [*(mark[0] for mark in marks[1:]), last], strict=True):
            now[what] = holds
            if now["open"] and not now["owned"] and until is not None:
                seconds += (until - at).total_seconds()
        if seconds:
            unowned[ticket] = seconds
    return unowned


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
    counted, asked, missing = (defaultdict[str, Counter[str]](Counter) for _ in range(3))
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
            lacking = [name for name in required if not has(offer.package, name)]
            asked[cause].update(required)
            missing[cause].update(lacking)
            kind.lacking += bool(lacking)
    for cause, kind in kinds.items():
        kind.parts = {name: counted[cause][name] for name in PARTS}
        kind.required = dict(sorted(asked[cause].items()))
        kind.missing = {name: missing[cause][name] for name in kind.required}
    return dict(sorted(kinds.items()))


def has(package: ContextPackage, name: str) -> bool:
    """Whether a part that an agreement may require is there: a field, or `view.` and one of the view's."""
    whole, _, inner = name.partition(".")
    value = getattr(package, whole, None)
    if inner:
        return bool(getattr(value, inner, None))
    return value != type(value)() if isinstance(value, msgspec.Struct) else bool(value)


def path(places: Iterable[str | None]) -> list[str]:
    """Where a ticket was, in order; what is the same twice in a row stands there once. None: nowhere that is known."""
    found: list[str] = []
    for place in places:
        if place is not None and found[-1:] != [place]:
            found.append(place)
    return found


def back_and_forth(paths: Mapping[str, list[str]]) -> list[Return]:
    """Of tickets with their paths those that went A -> B -> A: somewhere, and from the next place straight back."""
    return [
        Return(ticket=ticket, path=places)
        for ticket, places in sorted(paths.items())
        if any(before == after for before, after in zip(places, places[2:], strict=False))
    ]
