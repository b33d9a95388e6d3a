"""Why a ticket goes where it goes: what a decision passes over, and why, computed again for people."""

from __future__ import annotations

import datetime as dt

import msgspec

from ticket_contracts.agreement.conditions import failed
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.decide import WORDS, Desk, Outcome, Request, decide, judged_at, refusals
from ticket_router.domain.policy import Policy


class PassedRule(msgspec.Struct, frozen=True):
    """part: of the rule's condition, the first that does not hold. wanted: what the rule names; has: what there is."""

    rule: str
    part: str
    wanted: str
    has: str


class Candidate(msgspec.Struct, frozen=True):
    """verdict: `takes it`, or why not. load: its tickets; capacity: None for any number."""

    queue: str
    verdict: str
    load: int
    capacity: int | None
    owner_role: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """passed: rules in order up to the one that matched (None: none did). candidates: of that one."""

    passed: list[PassedRule]
    matched: str | None
    candidates: list[Candidate]
    outcome: Outcome


def explain(request: Request, policy: Policy, desk: Desk, at: dt.datetime) -> Explanation:
    """The decision for this request at that instant, with all that led to it."""
    judged = judged_at(request, policy, at)
    agreement = policy.agreement
    passed: list[PassedRule] = []
    matched: str | None = None
    candidates: list[Candidate] = []
    for rule in agreement.routing.rules:
        part = failed(
            rule.when,
            request.facts,
            judged,
            policy.hours,
            ancestors=agreement.ancestors,
            queue=request.current,
            cause=request.cause,
        )
        if part is not None:
            wanted = getattr(rule.when, part)
            passed.append(PassedRule(rule.name, part, _text(wanted), _has(part, request, policy, judged)))
            continue
        matched = rule.name
        for queue, why in refusals(request, policy, desk, at, rule.to):
            plan = policy.queues[queue]
            verdict = "takes it" if why is None else WORDS[why]
            candidates.append(Candidate(queue, verdict, desk.load(queue), plan.capacity, plan.owner_role))
        break
    return Explanation(passed=passed, matched=matched, candidates=candidates, outcome=decide(request, policy, desk, at))


def _has(part: str, request: Request, policy: Policy, at: dt.datetime) -> str:
    facts: TicketFacts = request.facts
    second = int(at.timestamp())
    match part:
        case "queue":
            return _text(request.current)
        case "cause":
            return _text(request.cause)
        case "flags_any" | "flags_none":
            return _text(facts.flags)
        case "age_at_least_minutes":
            return _text(facts.age_seconds // 60)
        case "transfers_at_least":
            return _text(facts.transfers)
        case "open" | "closed" | "closing":
            return "open: " + _text([name for name, hours in policy.hours.items() if hours.is_open(second)])
    return _text(getattr(facts, part))


def _text(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case list():
            return ", ".join(map(str, value)) or "none"
        case bool():
            return "yes" if value else "no"
        case msgspec.Struct() | int() | str():
            return str(value)
    return str(value)
