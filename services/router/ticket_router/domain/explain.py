"""Why a ticket goes where it goes: what a decision passes over, and why, computed again for people."""

from __future__ import annotations

import datetime as dt

import msgspec

from ticket_contracts.agreement.conditions import failed
from ticket_contracts.cloudevents import instant_text
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.decide import WORDS, Desk, Outcome, Refusal, Request, decide, judged_at, refusals
from ticket_router.domain.policy import NEVER, Policy, QueuePlan


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
    outcome = decide(request, policy, desk, at)
    if request.home is not None:
        back = _taken_back(outcome, request, policy, desk, at)
        return Explanation(passed=[], matched=None, candidates=back, outcome=outcome)
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
            verdict = "takes it" if why is None else _verdict(why, plan, request, policy, desk, at)
            candidates.append(Candidate(queue, verdict, desk.load(queue), plan.capacity, plan.owner_role))
        break
    return Explanation(passed=passed, matched=matched, candidates=candidates, outcome=outcome)


def _taken_back(outcome: Outcome, request: Request, policy: Policy, desk: Desk, at: dt.datetime) -> list[Candidate]:
    """The queue that a ticket overflowed from: no rule is asked whether it goes back there."""
    plan = policy.queues.get(request.home or "")
    if plan is None:
        return []
    why = next((why for queue, why in outcome.refusals if queue == plan.name), None)
    if why is not None:
        verdict = _verdict(why, plan, request, policy, desk, at)
    else:
        verdict = "would have it once more" if outcome.stays else "takes it back"
    return [Candidate(plan.name, verdict, desk.load(plan.name), plan.capacity, plan.owner_role)]


def _verdict(why: Refusal, plan: QueuePlan, request: Request, policy: Policy, desk: Desk, at: dt.datetime) -> str:
    """Why not, with the figures and names that a person would ask for next."""
    more = _more(why, plan, request, policy, desk, int(at.timestamp()))
    return f"{WORDS[why]}: {more}" if more else WORDS[why]


def _more(why: Refusal, plan: QueuePlan, request: Request, policy: Policy, desk: Desk, at: int) -> str:
    facts, contract = request.facts, plan.contract
    queue = policy.agreement.queues[plan.name]
    if why in ("skills", "busy"):
        needs = policy.needs(
            facts, request.current, request.cause, int(judged_at(request, policy, _utc(at)).timestamp())
        )
        return "it needs " + ", ".join(sorted(needs)) if needs else "every group of its agents is full"
    if why == "paused":
        pause = next(p for p in queue.pauses if int(p.begin.timestamp()) <= at < int(p.until.timestamp()))
        return f"until {instant_text(pause.until)}" + (f", {pause.reason}" if pause.reason else "")
    if why == "closed":
        opens = [hours.next_open(at) for hours in plan.hours if not hours.is_open(at)]
        return f"it opens {instant_text(_utc(max(opens)))}" if max(opens) < NEVER else "it never opens again"
    if why == "overflowing":
        return "; ".join(_measures(plan, desk, at))
    if contract is None:
        return ""
    partner = policy.agreement.partners[contract.name]
    match why:
        case "residency":
            held = [rule.name for rule in policy.residency_of(facts, at) if not contract.sees(frozenset(rule.regions))]
            sees = ", ".join(sorted(contract.regions)) or "no region that it names"
            return f"{', '.join(held)}; it sees data in {sees}"
        case "never_flags":
            return ", ".join(sorted(set(partner.never_flags) & set(facts.flags)))
        case "daily_cap" | "monthly_cap":
            today, month = desk.taken(contract.name, contract.days.day(at))
            return f"{today} of {partner.caps.daily}" if why == "daily_cap" else f"{month} of {partner.caps.monthly}"
        case "concurrent_cap":
            now = desk.at_once(contract.name, policy.partner_queues[contract.name], request.holding)
            return f"{now} of {partner.caps.concurrent}"
        case "categories" | "customers" | "languages":
            return f"its contract is for {', '.join(getattr(partner, why))}"
    return ""


def _measures(plan: QueuePlan, desk: Desk, at: int) -> list[str]:
    """What an overflow is judged by, each with the thresholds."""
    measured = desk.measured(plan, at)
    said = []
    if plan.depth is not None:
        said.append(f"load {desk.load(plan.name)} (from {plan.depth.above} until {plan.depth.below})")
    for name, band, value in (("oldest", plan.oldest, measured.oldest), ("wait", plan.wait, measured.wait)):
        if band is not None and value is not None:
            said.append(f"{name} {value // 60} min (from {band.above // 60} until {band.below // 60})")
    if measured.held:
        said.append(f"held for {plan.hold // 60} min after it switched")
    return said


def _utc(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)


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
