"""The context package: all that a receiver needs to go on without asking, as far as its contract lets it see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import encode
from ticket_contracts.routing import TicketFacts, TicketView
from ticket_contracts.sla import ClockState
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import AddedPart, Cause, ContextPackage, StepTaken, TriedQueue
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ClockSeen
from ticket_handoff.domain.ledger import Destination, Ledger, RunningClock, Step, Texts, Transfer
from ticket_handoff.domain.terms import INTERNAL, Book, Terms

_normalized = msgspec.json.Decoder(TicketNormalized)
_classified = msgspec.json.Decoder(TicketClassified)

_JUDGED: Final = ("category", "kind", "impact", "urgency", "priority", "tier", "flags")
"""Parts of a classification that are fields of a ticket's view too, so that a contract can allow them."""

PEOPLE_ASK: Final[frozenset[Cause]] = frozenset({"escalation", "return", "source"})
"""Causes of transfers that people ask for: these wait for the missing part; the others the desk must make."""

PARTS_AT_MOST: Final = 100
"""Steps, links or articles that people can add to a ticket."""

_QUESTIONS: Final[dict[Cause, str]] = {
    "first": "Please take this new ticket and answer the requester.",
    "reopened": "Please take this ticket again: it was reopened. See what was tried.",
    "pre_breach": "Please go on with this ticket: its deadline is near. See the clocks.",
    "breach": "Please go on with this ticket: its deadline has passed. See the clocks.",
    "queue_closing": "Please go on with this ticket: the queue that had it closes.",
    "overflow": "Please go on with this ticket: the queue that had it has more than it can work on.",
    "owner_left": "Please take this ticket: its owner is gone.",
    "reroute": "Please take this ticket: as things stand now, it belongs with you.",
}


@dataclass(frozen=True, slots=True)
class Package:
    """body: its canonical JSON. digest: the SHA-256 of that, 64 hex digits: what an acknowledgement repeats. missing:
    parts that the agreement requires for this cause, and that are empty. substance: SHA-256 of what the receiver sees
    of the ticket itself, 64 hex digits: without instant, clocks, and how sure of it the desk is."""

    content: ContextPackage
    body: bytes
    digest: str
    missing: list[str]
    substance: str


def build(
    ledger: Ledger,
    texts: Texts,
    transfer: Transfer,
    destination: Destination,
    principal: str,
    terms: Terms,
    book: Book,
    at: datetime,
) -> Package:
    """The package of the transfer's present attempt, for the destination, at that instant. principal: who reads it; it
    may have the ticket from a queue that the agreement gives to somebody else by now."""
    fields = terms.fields(principal)
    ticket = None if texts.normalized is None else _normalized.decode(texts.normalized)
    judged = None if texts.classified is None else _classified.decode(texts.classified)
    added = texts.people_added()
    inside = fields is None
    shown = fields or frozenset()
    content = ContextPackage(
        ticket=ledger.ticket,
        transfer_id=transfer.id,
        attempt=transfer.attempt,
        as_of=at,
        cause=transfer.cause,
        sender=transfer.sender if principal == INTERNAL else _company(terms),
        queue=destination.queue,
        view=_view(ticket, judged, fields),
        classification={} if judged is None else _classification(judged, fields),
        clocks=[clock_at(clock, book, at) for clock in ledger.clocks.values()],
        tried=[
            TriedQueue(queue=past.queue, outcome=past.ending, at=past.at, reason=past.reason)
            for past in ledger.past
            if principal in (INTERNAL, past.principal)
        ],
        articles=list(dict.fromkeys([*(judged.articles if judged is not None else ()), *added.articles]))
        if inside
        else [],
        article_titles=dict(judged.article_titles) if inside and judged is not None else {},
        links=[
            *([ticket.url] if ticket is not None and ticket.url and (inside or "url" in shown) else ()),
            *(added.links if inside else ()),
        ],
        question=transfer.question or _QUESTIONS.get(transfer.cause, ""),
        steps=[
            StepTaken(at=step.at, text=step.text, by=step.by if inside or step.principal == principal else None)
            for step in added.steps
            if inside or step.principal == principal or "comments" in shown
        ],
    )
    missing = [part for part in terms.agreement.required_parts(transfer.cause) if not _present(content, part)]
    body = encode(content)
    return Package(content, body, sha256(body).hexdigest(), missing, sha256(encode(_substance(content))).hexdigest())


def _substance(content: ContextPackage) -> list[Any]:
    """The outcome of the classification is in the view; that the tool touched a ticket changes nothing of it."""
    view = msgspec.structs.replace(content.view, updated_at=None)
    return [view, content.steps, content.links, content.articles, content.question]


def _present(content: ContextPackage, part: str) -> bool:
    """part: a field of the package, or `view.` and one of the view's."""
    whole, _, inner = part.partition(".")
    value = getattr(content, whole, None)
    if inner:
        value = getattr(value, inner, None)
    if isinstance(value, TicketView):
        return value != TicketView()
    return bool(value)


def with_added(texts: Texts, part: AddedPart, items: list[str], *, at: datetime, by: str, principal: str) -> Texts:
    """The texts with what somebody added. Raises Refused when there is more of a part than anybody would read."""
    added = texts.people_added()
    if part == "steps":
        steps = [Step(at=at, by=by, principal=principal, text=item) for item in items]
        added = msgspec.structs.replace(added, steps=[*added.steps, *steps])
    else:
        added = msgspec.structs.replace(added, **{part: list(dict.fromkeys([*getattr(added, part), *items]))})
    if len(getattr(added, part)) > PARTS_AT_MOST:
        raise Refused("conflict", f"the ticket has {PARTS_AT_MOST} {part} already: more would be read by nobody")
    return msgspec.structs.replace(texts, added=encode(added))


def _company(terms: Terms) -> str:
    """What a partner sees as the sender: not the name of who had the ticket, nor another partner."""
    return next((party.name for party in terms.agreement.parties if party.side == "company"), terms.agreement.title)


def view(texts: Texts, fields: frozenset[str] | None) -> TicketView:
    """A ticket as somebody may see it. fields: the contract's; None: all."""
    ticket = None if texts.normalized is None else _normalized.decode(texts.normalized)
    judged = None if texts.classified is None else _classified.decode(texts.classified)
    return _view(ticket, judged, fields)


def _view(
    ticket: TicketNormalized | None, judged: TicketClassified | None, fields: frozenset[str] | None
) -> TicketView:
    values: dict[str, Any] = {}
    if ticket is not None:
        values = {name: getattr(ticket, name) for name in _OWN_FIELDS if fields is None or name in fields}
    if judged is not None:
        values |= {name: getattr(judged, name) for name in _JUDGED if fields is None or name in fields}
        if ticket is not None and ticket.flags and "flags" in values:
            values["flags"] = sorted({*judged.flags, *ticket.flags})
    return TicketView(**values)


_OWN_FIELDS: Final = tuple(name for name in TicketView.__struct_fields__ if name in TicketNormalized.__struct_fields__)


def _classification(judged: TicketClassified, fields: frozenset[str] | None) -> dict[str, Any]:
    """A partner sees the outcome that its contract allows; the evidence holds words of the text and stays inside."""
    if fields is not None:
        return {name: getattr(judged, name) for name in _JUDGED if name in fields}
    return {
        **{name: getattr(judged, name) for name in _JUDGED},
        "version": judged.classification_version,
        "rule": judged.rule,
        "confidence": judged.confidence,
        "abstained": judged.abstained,
        "candidates": msgspec.to_builtins(judged.candidates),
        "evidence": msgspec.to_builtins(judged.evidence),
    }


def without_words(classified: bytes | None) -> bytes | None:
    """A classification, JSON, without its evidence, which holds words of the ticket's text."""
    if classified is None:
        return None
    return encode(msgspec.structs.replace(_classified.decode(classified), evidence=[], opinion=None, shadow=None))


def facts_of(ledger: Ledger, texts: Texts, at: datetime) -> TicketFacts | None:
    """What conditions of the agreement may ask of the ticket; None before both halves are known."""
    if texts.normalized is None or texts.classified is None:
        return None
    ticket, judged = _normalized.decode(texts.normalized), _classified.decode(texts.classified)
    return TicketFacts(
        source=ticket.source,
        channel=ticket.channel,
        kind=judged.kind,
        category=judged.category,
        priority=judged.priority,
        impact=judged.impact,
        urgency=judged.urgency,
        tier=judged.tier,
        flags=sorted({*judged.flags, *ticket.flags}),
        customer=ticket.customer,
        site=ticket.requester.site,
        language=ticket.language if ticket.language is not None else ticket.requester.language,
        vip=ticket.requester.vip,
        group=ticket.group,
        service=ticket.service,
        status=ticket.status,
        age_seconds=0 if ticket.created_at is None else max(0, int((at - ticket.created_at).total_seconds())),
        transfers=ledger.moved,
    )


def told(clocks: dict[str, RunningClock], seen: ClockSeen, book: Book) -> dict[str, RunningClock]:
    """The ticket's clocks after the monitor's word on one of them, or, `stated`, on all."""
    if seen.occurrence == "stated":
        return {
            state.clock: RunningClock(
                state=state,
                version=clocks[state.clock].version if state.clock in clocks else seen.agreement_version,
            )
            for state in seen.running
        }
    before = clocks.get(seen.clock)
    if seen.occurrence in ("met", "cancelled"):
        return {name: clock for name, clock in clocks.items() if name != seen.clock}
    if seen.occurrence == "revised":
        return clocks  # unsays a notice; the events around it say how the clock stands
    goal = seen.inputs.goal_seconds if seen.inputs is not None else before.state.goal_seconds if before else 0
    if seen.deadline is not None:
        elapsed = goal - _left(seen.rule, seen.agreement_version, seen.deadline, book, seen.decided_for)
    else:
        elapsed = 0 if before is None else clock_at(before, book, seen.decided_for).elapsed_seconds
    state = ClockState(
        clock=seen.clock,
        policy=seen.rule,
        generation=seen.generation,
        goal_seconds=goal,
        elapsed_seconds=elapsed,
        running=seen.occurrence != "paused" and seen.deadline is not None,
        deadline=seen.deadline,
    )
    return {**clocks, seen.clock: RunningClock(state=state, version=seen.agreement_version)}


def clock_at(clock: RunningClock, book: Book, at: datetime) -> ClockState:
    """A clock as it stands at an instant; one that runs has gone on counting in its own calendar."""
    state = clock.state
    if not state.running or state.deadline is None:
        return state
    left = _left(state.policy, clock.version, state.deadline, book, at)
    return msgspec.structs.replace(state, elapsed_seconds=state.goal_seconds - left)


def _left(policy: str, version: str, deadline: datetime, book: Book, at: datetime) -> int:
    """Seconds until the deadline in the calendar of the clock's policy; negative when it has passed."""
    terms = book.version(version)
    named = terms.agreement.sla.get(policy)
    now, end = int(at.timestamp()), int(deadline.timestamp())
    if named is None or named.calendar is None:
        return end - now
    return terms.calendars[named.calendar].elapsed(now, end)
