"""The eight things that always hold, each checked over a whole history. The numbers are the design's."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from ticket_audit.clocks import in_time
from ticket_audit.findings import Finding
from ticket_audit.history import Entry, History
from ticket_audit.transfers import has
from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.routing import TicketDispatched, TicketRouted, TicketView
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import ENDED, TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import (
    RENEWALS_AT_MOST,
    ContextAdded,
    OfferClosed,
    OfferMade,
    OwnerChanged,
    Reply,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRenewed,
    TransferRequested,
    TransferWithdrawn,
)

TOO_SHORT_TO_ROUTE = timedelta(hours=1)
"""A ticket that ended so soon after its first event may have ended before the router knew what it is: topics are not
ordered among each other, and what has ended is not routed. Its owner was intake duty throughout."""
_NEVER = datetime.max.replace(tzinfo=UTC)


def audit(history: History) -> list[Finding]:
    """All eight, in order."""
    return [
        check(history)
        for check in (nothing_lost, nothing_twice, in_order, one_owner, context, in_time, explained, need_to_know)
    ]


def nothing_lost(history: History) -> Finding:
    """1. Every accepted message ends as an effect, a recorded duplicate or a dead letter, hop by hop."""
    found = Finding(1, "Nothing is lost")
    for text in history.unreadable:
        found.expect(False, text)
    keyed = {row.relaydesk_inbound for row in history.rows.get(topics.KEYED, [])}
    dead = {f"{row.dlt_topic}/{row.dlt_partition}/{row.dlt_offset}" for row in history.dead_letters(topics.INBOUND)}
    for topic in history.family(topics.INBOUND):
        for row in history.rows[topic]:
            where = f"{topic}/{row.at}"
            found.expect(where in keyed or where in dead, f"{where} has neither a keyed event nor a dead letter")
    _keyed_handled(history, found)
    _hops(history, found)
    _replies_ended(history, found)
    return found


def _keyed_handled(history: History, found: Finding) -> None:
    done = set()
    for entry in history.entries.get(topics.NORMALIZED, []):
        if isinstance(entry.event, TicketNormalized | TicketDuplicate):
            done.add(entry.event.delivery)
    dead = {row.ce_id for row in history.dead_letters(topics.KEYED)}
    for row in history.rows.get(topics.KEYED, []):
        found.expect(
            row.ce_id in done or row.ce_id in dead,
            f"{row.key}: delivery {row.ce_id} became neither a version, a duplicate nor a dead letter",
        )


def _hops(history: History, found: Finding) -> None:
    """normalized -> classified -> routed -> a transfer; a question of handoff -> the router's answer."""
    classified, routed = history.by_ticket(topics.CLASSIFIED), history.by_ticket(topics.ROUTED)
    transfers = history.by_ticket(topics.TRANSFERS)
    answered = {
        entry.event.transfer_id
        for entry in history.entries.get(topics.ROUTED, [])
        if isinstance(entry.event, TicketRouted)
    }
    for ticket, versions in history.by_ticket(topics.NORMALIZED).items():
        seen = [entry.event for entry in versions if isinstance(entry.event, TicketNormalized)]
        if not seen:
            continue
        found.expect(bool(classified.get(ticket)), f"{ticket}: never classified")
        ends = (version.decided_for for version in seen if version.status in ENDED)
        if next(ends, _NEVER) - seen[0].decided_for > TOO_SHORT_TO_ROUTE:
            found.expect(bool(routed.get(ticket)), f"{ticket}: never routed")
            found.expect(
                any(isinstance(entry.event, TransferRequested) for entry in transfers.get(ticket, [])),
                f"{ticket}: routed, but no transfer was ever opened",
            )
    for ticket, steps in transfers.items():
        over = {e.event.transfer_id for e in steps if isinstance(e.event, TransferWithdrawn | TransferCompleted)}
        for entry in steps:
            if isinstance(entry.event, TransferRequested) and entry.event.asks:
                found.expect(
                    entry.event.transfer_id in answered or entry.event.transfer_id in over,
                    f"{ticket}: transfer {entry.event.transfer_id} asked where to, and was not answered",
                )


def _replies_ended(history: History, found: Finding) -> None:
    used = {
        entry.event.reply_id
        for entry in history.entries.get(topics.TRANSFERS, [])
        if isinstance(entry.event, TransferAccepted | TransferDeclined | TransferRequested | ContextAdded)
    } - {None}
    for topic in history.family(topics.REPLIES):
        dead = {f"{row.dlt_partition}/{row.dlt_offset}" for row in history.dead_letters(topic)}
        for row in history.rows[topic]:
            try:
                reply_id = msgspec.json.decode(row.data, type=Reply).reply_id
            except msgspec.DecodeError:
                reply_id = None
            found.expect(
                reply_id in used or row.at in dead,
                f"reply {reply_id} at {topic}/{row.at} neither moved a transfer nor is a dead letter",
            )


def nothing_twice(history: History) -> Finding:
    """2. Every event once, under the id that its content has."""
    found = Finding(2, "Nothing happens twice")
    for topic, entries in history.entries.items():
        seen: set[str] = set()
        for entry in entries:
            found.expect(entry.ce_id not in seen, f"{topic}: {entry.ce_id} of {entry.event.ticket} stands there twice")
            seen.add(entry.ce_id)
            found.expect(ce_id(entry.event) == entry.ce_id, f"{topic}: {entry.ce_id} is not the id of its own content")
    accepted: set[str] = set()
    for entry in history.entries.get(topics.TRANSFERS, []):
        if isinstance(entry.event, TransferCompleted):
            found.expect(
                entry.event.transfer_id not in accepted,
                f"{entry.event.ticket}: transfer {entry.event.transfer_id} twice",
            )
            accepted.add(entry.event.transfer_id)
    return found


def in_order(history: History) -> Finding:
    """3. A ticket's events in order on every topic; versions never go back."""
    found = Finding(3, "Order")

    def grows(topic: str, ticket: str, numbers: list[int], name: str, step: int | None) -> None:
        for before, after in pairwise(numbers):
            holds = after == before + step if step else after >= before
            found.expect(holds, f"{topic}: {ticket}: {name} {after} after {before}")

    for ticket, entries in history.by_ticket(topics.NORMALIZED).items():
        versions = [e.event.ticket_version for e in entries if isinstance(e.event, TicketNormalized)]
        found.expect(versions[:1] in ([], [1]), f"{ticket}: begins at version {versions[:1]}")
        grows(topics.NORMALIZED, ticket, versions, "ticket_version", 1)
    for ticket, entries in history.by_ticket(topics.CLASSIFIED).items():
        events = [e.event for e in entries if isinstance(e.event, TicketClassified)]
        grows(topics.CLASSIFIED, ticket, [e.classification_version for e in events], "classification_version", 1)
        grows(topics.CLASSIFIED, ticket, [e.ticket_version for e in events], "ticket_version", None)
    for ticket, entries in history.by_ticket(topics.ROUTED).items():
        routed = [e.event for e in entries if isinstance(e.event, TicketRouted)]
        grows(topics.ROUTED, ticket, [e.decision for e in routed], "decision", 1)
        grows(topics.ROUTED, ticket, [e.classification_version for e in routed], "classification_version", None)
    for ticket, entries in history.by_ticket(topics.TRANSFERS).items():
        steps = [e.event for e in entries if isinstance(e.event, TransferEvent)]
        grows(topics.TRANSFERS, ticket, [e.sequence for e in steps], "sequence", 1)
    for ticket, entries in history.by_ticket(topics.SLA_EVENTS).items():
        clocks: dict[str, list[ClockEvent]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry.event, ClockEvent):
                clocks[entry.event.clock].append(entry.event)
        for clock, events_ in clocks.items():
            grows(topics.SLA_EVENTS, ticket, [e.generation for e in events_], f"{clock} generation", None)
    return found


def one_owner(history: History) -> Finding:
    """4. From the first normalized event to the end exactly one owner; an owner changes at one instant, at an
    acknowledgement."""
    found = Finding(4, "One owner")
    transfers = history.by_ticket(topics.TRANSFERS)
    for ticket, entries in history.by_ticket(topics.NORMALIZED).items():
        versions = [e.event for e in entries if isinstance(e.event, TicketNormalized)]
        if versions:
            steps = [e.event for e in transfers.get(ticket, []) if isinstance(e.event, TransferEvent)]
            _ownership(found, ticket, versions, steps)
    return found


def _ownership(found: Finding, ticket: str, versions: list[TicketNormalized], steps: list[TransferEvent]) -> None:
    changes = [step for step in steps if isinstance(step, OwnerChanged)]
    found.expect(bool(changes), f"{ticket}: never had an owner")
    if not changes:
        return
    found.expect(
        changes[0].decided_for == versions[0].decided_for,
        f"{ticket}: first owned at {changes[0].decided_for}, first seen at {versions[0].decided_for}",
    )
    for before, after in pairwise([None, *changes]):
        assert after is not None
        owner = before.owner if before is not None else None
        found.expect(
            after.previous == owner, f"{ticket}: #{after.sequence} follows {after.previous}, but {owner} owned it"
        )
        if before is not None:
            found.expect(
                after.decided_for >= before.decided_for,
                f"{ticket}: owner #{after.sequence} at an instant before the last",
            )
        found.expect(
            (after.owner is None) == (after.kind == "ended"), f"{ticket}: #{after.sequence} leaves it without an owner"
        )
    ended = versions[-1].status in ENDED
    found.expect(
        (changes[-1].kind == "ended") == ended,
        f"{ticket}: ended as {versions[-1].status}, owner {changes[-1].owner} ({changes[-1].kind})",
    )
    accepted: dict[str, TransferAccepted] = {}
    open_transfer: str | None = None
    for step in steps:
        match step:
            case TransferRequested(attempt=1):
                found.expect(
                    open_transfer is None, f"{ticket}: {step.transfer_id} opened while {open_transfer} is open"
                )
                open_transfer = step.transfer_id
            case TransferAccepted():
                accepted[step.transfer_id] = step
            case TransferCompleted():
                found.expect(
                    step.transfer_id in accepted, f"{ticket}: {step.transfer_id} completed without acknowledgement"
                )
                open_transfer = None
            case TransferWithdrawn():
                open_transfer = None
            case OwnerChanged(kind="acknowledged" | "automatic"):
                reply = accepted.get(step.transfer_id or "")
                found.expect(
                    reply is not None and reply.decided_for == step.decided_for,
                    f"{ticket}: owner #{step.sequence} changed otherwise than at an acknowledgement",
                )


def context(history: History) -> Finding:
    """5. An acknowledgement repeats the digest that was offered; the digest is the package's; required parts are
    there."""
    found = Finding(5, "Context")
    packages: dict[tuple[str, int, int], OfferMade] = {}
    closed: dict[tuple[str, int], int] = defaultdict(int)
    for topic in history.family(topics.OFFERS):
        for entry in history.entries[topic]:
            if isinstance(entry.event, OfferMade):
                packages[_package_key(entry.event)] = entry.event
                actual = hashlib.sha256(_package.decode(entry.data).package).hexdigest()
                found.expect(
                    actual == entry.event.digest,
                    f"{entry.event.ticket}: digest of {entry.event.transfer_id} is not its package's",
                )
            elif isinstance(entry.event, OfferClosed):
                closed[entry.event.transfer_id, entry.event.attempt] += 1
    normalized = history.by_ticket(topics.NORMALIZED)
    for ticket, entries in history.by_ticket(topics.TRANSFERS).items():
        versions = {
            entry.event.ticket_version: entry.event
            for entry in normalized.get(ticket, [])
            if isinstance(entry.event, TicketNormalized)
        }
        offered: dict[tuple[str, int], TransferOffered] = {}
        newest: dict[tuple[str, int], OfferMade | None] = {}
        over: set[tuple[str, int]] = set()
        causes: dict[str, str] = {}
        for entry in entries:
            step = entry.event
            if isinstance(step, TransferRequested):
                causes.setdefault(step.transfer_id, step.cause)
            elif isinstance(step, TransferOffered):
                key = step.transfer_id, step.attempt
                offered[key] = step
                newest[key] = packages.get((*key, 1))
                _required(found, history, newest[key], step, causes)
            elif isinstance(step, TransferRenewed):
                key = step.transfer_id, step.attempt
                found.expect(key in offered and key not in over, f"{ticket}: {key} was renewed while it was not open")
                before, newest[key] = newest.get(key), packages.get((*key, step.revision))
                _renewed(found, before, newest[key], step)
            elif isinstance(step, TransferAccepted):
                key = step.transfer_id, step.attempt
                offer = newest.get(key)
                found.expect(
                    offer is not None and offer.digest == step.digest,
                    f"{ticket}: {step.transfer_id} accepted with a digest that was not offered",
                )
                if offer is not None:
                    _up_to_date(found, offer, versions.get(step.ticket_version), step)
                over.add(key)
            elif isinstance(step, TransferDeclined | TransferExpired | TransferWithdrawn):
                over.add((step.transfer_id, step.attempt))
        last = next(reversed(offered), None)
        ended = _has_ended(entries)
        for key in offered:
            found.expect(key in over or (key == last and not ended), f"{ticket}: the offer {key} never came to an end")
        for key in over & set(offered):
            found.expect(closed[key] == 1, f"{ticket}: offer {key} ended, its receiver was told {closed[key]} times")
    return found


def _package_key(offer: OfferMade) -> tuple[str, int, int]:
    return offer.transfer_id, offer.attempt, max(offer.revision, 1)


def _renewed(found: Finding, before: OfferMade | None, now: OfferMade | None, step: TransferRenewed) -> None:
    """One package takes the place of the one before it: another, and no more time for it."""
    name = f"{step.ticket}: revision {step.revision} of {step.transfer_id}"
    if before is None or now is None or now.digest != step.digest:
        found.expect(False, f"{name} was told otherwise than its receiver got it")
        return
    found.expect(before.revision + 1 == now.revision <= 1 + RENEWALS_AT_MOST, f"{name} follows {before.revision}")
    found.expect(before.digest != now.digest, f"{name} says nothing new")
    found.expect(
        (before.queue, before.receiver, before.acknowledge_by) == (now.queue, now.receiver, now.acknowledge_by),
        f"{name} changed more than the package",
    )


def _up_to_date(found: Finding, offer: OfferMade, seen: TicketNormalized | None, step: TransferAccepted) -> None:
    """What was acknowledged is what was known by then of what the package shows, unless it was renewed as often as any
    is."""
    if offer.revision == 0 or offer.revision > RENEWALS_AT_MOST or seen is None:
        return
    view = offer.package.view
    stale = [
        field
        for field in ("title", "text", "comments", "requester", "status", "attachments")
        if getattr(view, field) is not None and getattr(view, field) != getattr(seen, field)
    ]
    found.expect(
        not stale, f"{step.ticket}: {step.transfer_id} was accepted with an outdated {', '.join(stale)} in its package"
    )


def _has_ended(entries: list[Entry]) -> bool:
    """Whether the last that was said of who owns a ticket is that nobody does any more."""
    changes = [entry.event for entry in entries if isinstance(entry.event, OwnerChanged)]
    return bool(changes) and changes[-1].owner is None


class _Offered(msgspec.Struct):
    """The package as its receiver got it: its digest is that of these bytes, whatever later versions know besides."""

    package: msgspec.Raw


_package = msgspec.json.Decoder(_Offered)


def _required(
    found: Finding, history: History, offer: OfferMade | None, step: TransferOffered, causes: dict[str, str]
) -> None:
    found.expect(
        offer is not None, f"{step.ticket}: {step.transfer_id} attempt {step.attempt} was offered to nobody's topic"
    )
    published = history.agreements.get(step.agreement_version)
    if offer is None or published is None:
        return
    for part in published.agreement.required_parts(causes.get(step.transfer_id, "default")):
        present = has(offer.package, part)
        found.expect(
            present or part in step.incomplete, f"{step.ticket}: {step.transfer_id} was offered without its {part}"
        )


def explained(history: History) -> Finding:
    """7. Each decision names a rule and an agreement version that was in force at the instant it was decided for."""
    found = Finding(7, "Explained")
    for topic in (topics.CLASSIFIED, topics.ROUTED, topics.SLA_EVENTS, topics.TRANSFERS):
        for entry in history.entries.get(topic, []):
            event = entry.event
            if isinstance(event, TicketClassified | TicketRouted | ClockEvent):
                found.expect(bool(event.rule), f"{topic}: {event.ticket}: no rule")
            version = getattr(event, "agreement_version", None)
            if isinstance(event, ClockEvent):  # a running clock keeps the version it began under
                found.expect(version in history.agreements, f"{topic}: {event.ticket}: unknown agreement {version}")
            else:
                found.expect(
                    version == history.in_force(event.decided_for),
                    f"{topic}: {event.ticket}: agreement {version} was not in force at {event.decided_for}",
                )
    return found


def need_to_know(history: History) -> Finding:
    """8. A partner's topics carry the fields that its contract allows, and nothing of another's."""
    found = Finding(8, "Need to know")
    for family in (topics.QUEUES, topics.OFFERS):
        for topic in history.family(family):
            name = topic.removeprefix(family)
            for entry in history.entries[topic]:
                _allowed(found, history, topic, name, entry)
    for topic in history.family(topics.OFFERS):
        _taken_back(found, history, topic)
    return found


def _taken_back(found: Finding, history: History, topic: str) -> None:
    """No offer is left open, or accepted, that shows a partner more than its contract has come to allow. What was
    declined or ran out a moment later had not been noticed yet."""
    versions = sorted(history.agreements.values(), key=lambda published: published.effective_at)[1:]
    closed = {
        (entry.event.transfer_id, entry.event.attempt): entry.event
        for entry in history.entries[topic]
        if isinstance(entry.event, OfferClosed)
    }
    for entry in history.entries[topic] if versions else ():
        offer = entry.event
        made = history.agreements.get(history.in_force(offer.decided_for) or "")
        queue = made.agreement.queues.get(offer.queue) if made is not None and isinstance(offer, OfferMade) else None
        if not isinstance(offer, OfferMade) or queue is None or queue.partner is None:
            continue
        shown = {field for field in TicketView.__struct_fields__ if getattr(offer.package.view, field) is not None}
        end = closed.get((offer.transfer_id, offer.attempt))
        for version in versions:
            partner = version.agreement.partners.get(queue.partner)
            extra = shown - set(partner.fields if partner is not None else ())
            if extra and version.effective_at > offer.decided_for:
                found.expect(
                    end is not None
                    and (end.decided_for <= version.effective_at or end.outcome in ("declined", "expired")),
                    f"{topic}: {offer.ticket} went on showing {', '.join(sorted(extra))} after {version.effective_at}",
                )


def _allowed(found: Finding, history: History, topic: str, name: str, entry: Entry) -> None:
    event = entry.event
    if isinstance(event, TicketDispatched):
        view, version = event.view, event.agreement_version
    elif isinstance(event, OfferMade):
        view, version = event.package.view, history.in_force(event.decided_for) or ""
    elif isinstance(event, OfferClosed) and event.newer is not None:
        view, version = event.newer.view, history.in_force(event.decided_for) or ""
    else:
        return
    found.expect(event.queue == name, f"{topic}: {event.ticket} is for queue {event.queue}")
    published = history.agreements.get(version)
    if published is None:
        found.expect(False, f"{topic}: {event.ticket}: unknown agreement {version}")
        return
    partner = published.agreement.queues[name].partner
    if partner is not None:
        shown = {field for field in TicketView.__struct_fields__ if getattr(view, field) is not None}
        extra = shown - set(published.agreement.partners[partner].fields)
        found.expect(not extra, f"{topic}: {event.ticket} shows {partner} {', '.join(sorted(extra))}")
