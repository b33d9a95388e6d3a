"""What an input says of a ticket: of each event what clocks need, and the entries of the history that it makes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from sla_monitor.domain.clocks import microseconds
from sla_monitor.domain.state import FIELDS, Entry, Facts, Judged, Origin, Standing, Ticket
from ticket_contracts.cloudevents import Instant
from ticket_contracts.routing import Purpose
from ticket_contracts.tickets import ENDED

_DAY = 86_400
_EARLIEST_CREATION = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
"""Before it, a source's `created_at` is a default of some software, not an instant."""
_FACTS_OF = {
    "requester": ("site", "language", "vip"),
    "flags": ("reported_flags",),
    **{name: (name,) for name in ("status", "channel", "customer", "language", "group", "service")},
}
"""Field of the normalized ticket -> the facts that come of it."""


class _Requester(msgspec.Struct, frozen=True):
    language: str | None = None
    site: str | None = None
    vip: bool = False


class _Comment(msgspec.Struct, frozen=True):
    author_role: Literal["customer", "agent", "system"]
    visibility: Literal["public", "internal"]
    at: Instant


class Normalized(msgspec.Struct, frozen=True):
    """Of `TicketNormalized` what clocks need: the text is stepped over, not read."""

    ticket: str
    decided_for: Instant
    ticket_version: int
    changed: list[str]
    lifecycle: str = "updated"
    channel: str = "api"
    language: str | None = None
    comments: list[_Comment] = []
    requester: _Requester = _Requester()
    customer: str | None = None
    status: str = "new"
    service: str | None = None
    group: str | None = None
    flags: tuple[str, ...] = ()
    created_at: Instant | None = None
    updated_at: Instant | None = None
    happened_at: Instant | None = None


class Classified(msgspec.Struct, frozen=True):
    ticket: str
    decided_for: Instant
    ticket_version: int
    classification_version: int
    category: str | None
    kind: str
    impact: str
    urgency: str
    priority: str
    tier: int
    flags: tuple[str, ...] = ()
    abstained: bool = False


class Routed(msgspec.Struct, frozen=True):
    ticket: str
    decided_for: Instant
    ticket_version: int
    classification_version: int
    decision: int
    queue: str
    purpose: Purpose
    inputs: msgspec.Raw = msgspec.Raw(b"{}")


class _RoutedFacts(msgspec.Struct, frozen=True):
    kind: str = "incident"
    category: str | None = None
    priority: str = ""
    impact: str = ""
    urgency: str = ""
    tier: int = 1
    flags: tuple[str, ...] = ()


class _RoutingInputs(msgspec.Struct, frozen=True):
    facts: _RoutedFacts = _RoutedFacts()


normalized = msgspec.json.Decoder(Normalized)
classified = msgspec.json.Decoder(Classified)
routed = msgspec.json.Decoder(Routed)
_routing_inputs = msgspec.json.Decoder(_RoutingInputs)


def creation(event: Normalized, decided_us: int) -> int:
    """What a ticket's clocks count from: the source's word where it is an instant before the first that we know of."""
    decided = decided_us // 1_000_000
    if event.created_at is not None:
        created = microseconds(event.created_at) // 1_000_000
        if _EARLIEST_CREATION <= created <= decided:
            return created
    return decided


def came_back(event: Normalized) -> bool:
    """Of the first version that is seen: whether the ticket ended before, and was forgotten."""
    return event.ticket_version > 1 and (event.lifecycle == "reopened" or event.status in ENDED)


def as_routed(event: Routed, decided_us: int) -> Judged:
    """The classification that the router decided by."""
    facts = _routing_inputs.decode(event.inputs).facts
    return Judged(
        event.ticket_version,
        event.classification_version,
        decided_us,
        facts.kind,
        facts.category,
        facts.priority,
        facts.impact,
        facts.urgency,
        facts.tier,
        facts.flags,
    )


def happened(event: Normalized, decided_us: int, first: bool) -> int:
    """When it happened: by the source's word, where that is not ahead of ours. Versions of before there was
    `happened_at` say it where they bring a new `updated_at`."""
    said = event.happened_at
    if said is None and (first or "updated_at" in event.changed):
        said = event.updated_at
    decided = decided_us // 1_000_000
    return decided if said is None else min(microseconds(said) // 1_000_000, decided)


def _with_ticket(facts: Facts, event: Normalized) -> Facts:
    requester = event.requester
    return msgspec.structs.replace(
        facts,
        status=event.status,
        channel=event.channel,
        customer=event.customer,
        site=requester.site,
        language=event.language if event.language is not None else requester.language,
        vip=requester.vip,
        group=event.group,
        service=event.service,
        reported_flags=event.flags,
    )


def newest_at(ticket: Ticket) -> int:
    return max((entry.at for entry in ticket.history if entry.origin is Origin.TICKET), default=0)


def ticket_delta(facts: Facts, event: Normalized, *, first: bool, late: bool) -> list[Any]:
    """What a version says of the facts: what it changed, whatever was known before, and what differs otherwise.

    Of a late version, older than others that were seen, only the first: the rest of it is newer than itself, since
    intake gives every version the newest that it knows of each field. The first says its status in any case.
    """
    after = _with_ticket(facts, event)
    names = {name for changed in event.changed for name in _FACTS_OF.get(changed, ())}
    if first:
        names.add("status")
    if not late:
        names |= {name for name in FIELDS if getattr(after, name) != getattr(facts, name)}
    return [part for name in FIELDS if name in names for part in (FIELDS.index(name), getattr(after, name))]


def moved(ticket: Ticket, standing: Standing, origin: Origin, queue: str, version: int, decided_us: int) -> list[Entry]:
    """It is with a queue from now on; no entry where that is no news."""
    at = decided_us // 1_000_000
    if standing.facts.queue == queue and at >= ticket.history[-1].at:
        return []
    return [Entry(at, decided_us - at * 1_000_000, origin, version, [FIELDS.index("queue"), queue])]


def comments(event: Normalized, ticket: Ticket, at: int, decided_us: int) -> list[Entry]:
    """Entries for the public comments that were not seen yet. Counts those seen in `ticket`, which it changes."""
    public = [c for c in event.comments if c.visibility == "public" and c.author_role != "system"]
    if len(public) == ticket.comments:
        return []
    ticket.comments = len(public)
    entries = []
    if ticket.lives_from and not ticket.ticket_version:
        # Of what was said before it was forgotten, only that it had been answered.
        former = [c for c in public if microseconds(c.at) // 1_000_000 < at - _DAY]
        public = [c for c in public if c not in former]
        if any(c.author_role == "agent" for c in former):
            entries = [Entry(at - 1, decided_us - (at - 1) * 1_000_000, Origin.ANSWERED, event.ticket_version)]
    settled = ticket.base.through if ticket.base is not None else 0
    known: Counter[tuple[int, Origin]] = Counter((_dated(entry), entry.origin) for entry in ticket.history)
    for comment in public:
        origin = Origin.ANSWERED if comment.author_role == "agent" else Origin.ASKED
        dated = max(microseconds(comment.at) // 1_000_000, ticket.created)
        said = min(dated, decided_us // 1_000_000)
        if known[dated, origin] > 0:
            known[dated, origin] -= 1
        elif said >= settled:
            ahead = [dated] if dated > said else []
            entries.append(Entry(said, decided_us - said * 1_000_000, origin, event.ticket_version, ahead))
    return entries


def _dated(entry: Entry) -> int:
    """When the comment of an entry is, by its own word."""
    return entry.delta[0] if entry.delta and entry.origin in (Origin.ASKED, Origin.ANSWERED) else entry.at
