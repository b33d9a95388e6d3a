"""Where a ticket goes: rules in order, the first that matches decides, its candidates in order of preference."""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal, Protocol

import msgspec

from ticket_contracts.routing import Purpose, RoutingInputs, TicketFacts, TicketRouted
from ticket_router.domain.places import NOWHERE, Holding
from ticket_router.domain.policy import ABSTAINED, GROUP, NEVER, Measured, Policy, QueuePlan

SOURCE_GROUP: Final = "protocol:source_group"
REOPENED: Final = "protocol:reopened"
TRIAGE: Final = "protocol:abstained"
PING_PONG: Final = "protocol:ping_pong"
DUTY: Final = "protocol:duty"
DRAINED: Final = "protocol:drained_back"
"""Rules of the protocol; an agreement's rule cannot have such a name, since its names hold no colon."""

HOURLY: Final = frozenset({"queue_closing", "overflow"})
"""Causes that the hour or the load gives: such a move is no round of a ping-pong."""

DRAINS_BACK: Final = "drained_back"
"""The cause of a decision that takes back what overflowed and nobody has accepted elsewhere."""

Refusal = Literal[
    "undefined", "disabled", "paused", "tried", "current", "failed", "closed", "closing", "never_flags", "categories",
    "customers", "languages", "residency", "skills", "daily_cap", "monthly_cap", "concurrent_cap", "full", "busy",
    "overflowing",
]  # fmt: skip
_WAITS: Final = frozenset({"full", "busy", "overflowing"})
_NO_ROOM: Final = _WAITS | {"concurrent_cap"}
_CHOSEN: Final = _WAITS | {"skills"}
"""What does not keep a ticket from an internal queue that people chose for it: they know who can do it."""
_HELD: Final = _CHOSEN | {"closed"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. cause: one of `ticket_contracts.transfers.Cause`, or `DRAINS_BACK`; for cause `source`,
    `facts.group` is the group that people chose. current: the queue it is leaving. home: the queue that may have it
    back, for `DRAINS_BACK`. tried: queues that did not take it. history: queues that had it, oldest first. holding: the
    load that is this ticket itself.
    """

    facts: TicketFacts
    purpose: Purpose
    cause: str
    current: str | None = None
    home: str | None = None
    tried: list[str] = []
    history: list[str] = []
    holding: Holding = NOWHERE


class Desk(Protocol):
    """The loads as they are when the decision is made."""

    def load(self, place: str) -> int:
        """The weight of the tickets that are in a queue, or reserved for it; of `queue/group`, for that group."""
        ...

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        """What the queue's overflow is judged by at that instant."""
        ...

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        """Reservations of a partner on a day (`YYYY-MM-DD`, its own) and in the month of that day."""
        ...

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        """Tickets that are in these queues, all of that partner, or reserved for them; `holding` apart."""
        ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. refusals: what was weighed before the winner, with why not, in order. final: the end of the path.
    stays: the ticket is where it belongs. agents: the group of the queue's agents, where it has groups."""

    queue: QueuePlan
    agents: str | None
    rule: str
    final: bool
    refusals: list[tuple[str, Refusal]]
    look_again_at: dt.datetime | None
    inputs: RoutingInputs
    stays: bool

    @property
    def waits_for(self) -> list[str]:
        """At the end of the path, or where it waits for room: the queues that would have it if they had room."""
        return [queue for queue, why in self.refusals if why in _NO_ROOM] if self.final or self.waits else []

    def overflowed(self, policy: Policy) -> list[str]:
        """The queues with an overflow that only lacked room, unless the ticket is at the end of the path."""
        lacked = [] if self.final else [queue for queue, why in self.refusals if why in _WAITS]
        return [queue for queue in lacked if policy.queues[queue].overflow and queue != self.queue.name]

    @property
    def crowded(self) -> bool:
        """Whether the queue that was weighed last has no room, whatever skills the ticket asks for."""
        return bool(self.refusals) and self.refusals[-1][1] in ("full", "overflowing")

    @property
    def reason(self) -> str:
        """One sentence for people."""
        passed = "".join(f"{queue} {WORDS[why]}, " for queue, why in self.refusals)
        name = self.queue.name
        if self.rule == DRAINED:
            return f"{DRAINED}: {name} overflows no longer and takes back what nobody has accepted elsewhere"
        if self.final:
            return f"{self.rule}: {passed}so the duty queue {name} has it"
        where = name if self.agents is None else f"{name} ({self.agents})"
        if self.waits:
            return f"{self.rule}: {passed}it waits for capacity at {where}"
        return f"{self.rule}: {passed}{where} takes it"

    @property
    def waits(self) -> bool:
        """Whether it is to wait for room in its queue."""
        return any(queue == self.queue.name and why in _WAITS for queue, why in self.refusals)


WORDS: Final[dict[Refusal, str]] = {
    "undefined": "is not defined",
    "disabled": "is disabled",
    "paused": "is paused",
    "tried": "did not take it",
    "current": "is what it leaves",
    "failed": "could not finish it before",
    "closed": "is closed",
    "closing": "closes by then",
    "never_flags": "may not have its flags",
    "categories": "may not have its category",
    "customers": "may not have its customer",
    "languages": "does not have its language",
    "residency": "may not see its data",
    "skills": "has nobody with its skills",
    "daily_cap": "has its tickets of the day",
    "monthly_cap": "has its tickets of the month",
    "concurrent_cap": "has all it may have at once",
    "full": "is full",
    "busy": "has nobody free with its skills",
    "overflowing": "overflows",
}


def _leaving(request: Request, policy: Policy, at: int) -> int:
    """The instant to judge hours by: of a queue about to close, its closing, when the ticket must be elsewhere."""
    if request.cause == "queue_closing" and request.current is not None:
        current = policy.queues.get(request.current)
        if current is not None and current.is_open(at) and (close := current.next_close(at)) < NEVER:
            return close
    return at


def judged_at(request: Request, policy: Policy, at: dt.datetime) -> dt.datetime:
    """The instant that rules are asked for: `at`, or the closing of the queue that is about to close."""
    return dt.datetime.fromtimestamp(_leaving(request, policy, int(at.timestamp())), dt.UTC)


def refusals(
    request: Request, policy: Policy, desk: Desk, at: dt.datetime, candidates: list[str]
) -> list[tuple[str, Refusal | None]]:
    """Each of a rule's candidates with why it cannot have the ticket now; None: it can."""
    weighing = _Weighing(request, policy, desk, int(at.timestamp()))
    return [
        (name, "current" if name == request.current else weighing.refusal(name))
        for name in resolved(policy, candidates, request.facts)
    ]


class _Weighing:
    """Asks the desk and keeps what it said, so that the decision can be made again from its record."""

    __slots__ = (
        "_desk", "_needs", "_policy", "_request", "_weight", "agents", "at", "held", "leave", "loads", "oldest",
        "overflowing", "refusals", "taken", "waits",
    )  # fmt: skip

    def __init__(self, request: Request, policy: Policy, desk: Desk, at: int) -> None:
        self._request = request
        self._policy = policy
        self._desk = desk
        self._needs: frozenset[str] | None = None
        self._weight = policy.weight(request.facts.priority) if policy.weights else 1
        self.at = at
        self.leave = _leaving(request, policy, at)
        self.loads: dict[str, int] = {}
        self.taken: dict[str, list[int]] = {}
        self.agents: dict[str, str] = {}
        self.overflowing: list[str] = []
        self.held: list[str] = []
        self.oldest: dict[str, int] = {}
        self.waits: dict[str, int] = {}
        self.refusals: list[tuple[str, Refusal]] = []

    @property
    def needs(self) -> frozenset[str]:
        """The skills that the ticket asks for."""
        if self._needs is None:
            request = self._request
            self._needs = self._policy.needs(request.facts, request.current, request.cause, self.leave)
        return self._needs

    def refusal(self, name: str) -> Refusal | None:
        """Why this queue cannot have the ticket now; None when it can. Load comes last: then all else is well."""
        request, policy = self._request, self._policy
        plan = policy.queues.get(name)
        if plan is None:
            return "undefined"
        if not plan.enabled:
            return "disabled"
        if plan.is_paused(self.at):
            return "paused"
        if name in request.tried:
            return "tried"
        if plan.automation and name in request.history:
            return "failed"  # it had its turn, and the ticket is here again: people are next
        contract = plan.contract
        if contract is not None and (forbidden := policy.forbids(contract, request.facts, self.at)) is not None:
            return forbidden
        if not plan.is_open(self.at):
            return "closed"
        if self.leave != self.at and (not plan.is_open(self.leave) or plan.is_paused(self.leave)):
            return "closing"
        load = self._load(name)
        crowded = self._seat(plan)
        if crowded == "skills":
            return crowded
        if contract is not None and (reached := self._cap(plan)) is not None:
            return reached
        if plan.capacity is not None and load + self._weight > plan.capacity:
            return "full"
        if crowded is not None:
            return crowded
        if plan.overflow and self._overflows(plan, load):
            return "overflowing"
        return None

    def _load(self, place: str) -> int:
        load = self._desk.load(place) - self._request.holding.of(place)
        self.loads[place] = load
        return load

    def _seat(self, plan: QueuePlan) -> Refusal | None:
        """Finds the group of agents: the first with the ticket's skills and room, else the first with the skills, where
        it would wait; of those that people chose without them, the first of all."""
        needs = self.needs
        if not plan.groups:
            return None if not needs or needs <= plan.skills else "skills"
        skilled = [group for group in plan.groups if needs <= group.skills]
        self.agents[plan.name] = (skilled or plan.groups)[0].name
        for group in skilled:
            if group.has_room(self._load(group.place), self._weight):
                self.agents[plan.name] = group.name
                return None
        return "busy" if skilled else "skills"

    def _overflows(self, plan: QueuePlan, load: int) -> bool:
        name, measured = plan.name, self._desk.measured(plan, self.at)
        if measured.held:
            self.held.append(name)
        if measured.oldest is not None and plan.oldest is not None:
            self.oldest[name] = measured.oldest
        if measured.wait is not None and plan.wait is not None:
            self.waits[name] = measured.wait
        if not plan.overflows(load, measured):
            return False
        self.overflowing.append(name)
        return True

    def spares(self, plan: QueuePlan) -> bool:
        """Whether a queue that takes the ticket stays as far from overflowing as it was when that ended."""
        return plan.spares(self.loads[plan.name], self._weight, self._desk.measured(plan, self.at))

    def _cap(self, plan: QueuePlan) -> Refusal | None:
        contract = plan.contract
        if contract is None:
            return None
        name, caps = contract.name, contract.caps
        if caps.daily is None and caps.monthly is None and caps.concurrent is None:
            return None
        taken = self.taken.get(name)
        if taken is None:
            day, month = self._desk.taken(name, contract.days.day(self.at))
            now = self._desk.at_once(name, self._policy.partner_queues[name], self._request.holding)
            taken = self.taken[name] = [day, month, now]
        if caps.daily is not None and taken[0] >= caps.daily:
            return "daily_cap"
        if caps.monthly is not None and taken[1] >= caps.monthly:
            return "monthly_cap"
        if caps.concurrent is not None and taken[2] >= caps.concurrent:
            return "concurrent_cap"
        return None

    def takes(self, name: str, beyond: frozenset[str] = frozenset()) -> bool:
        """Whether the queue can have it, or an internal one is kept from it by nothing but `beyond`."""
        why = self.refusal(name)
        if why is None:
            return True
        if (name, why) not in self.refusals:
            self.refusals.append((name, why))
        return why in beyond and self._policy.queues[name].internal

    def least_loaded(self, takers: list[str], *, weighted: bool) -> str:
        """Of queues that can have it the one with the least load, for its weight; among equals the first."""
        queues = self._policy.queues
        return min(takers, key=lambda name: self.loads[name] / (queues[name].weight if weighted else 1))


def decide(request: Request, policy: Policy, desk: Desk, at: dt.datetime) -> Outcome:
    """The queue for this ticket at that instant: always one, at the end the duty queue with `final`.

    When none of the matched rule's candidates can have it now, an open internal one that only lacks capacity goes
    before the duty queue: there it waits, and the queue's own role owns it meanwhile.
    """
    weighing = _Weighing(request, policy, desk, int(at.timestamp()))
    queue, rule, final, stays = _choose(request, policy, weighing)
    plan = policy.queues[queue]
    return Outcome(
        queue=plan,
        agents=weighing.agents.get(queue),
        rule=rule,
        final=final,
        refusals=weighing.refusals,
        look_again_at=look_again(policy, plan, at, weighing.refusals if final else None),
        inputs=RoutingInputs(
            facts=request.facts,
            loads=weighing.loads,
            taken=weighing.taken,
            tried=list(request.tried),
            current=request.current,
            home=request.home,
            overflowing=weighing.overflowing,
            history=list(request.history),
            cause=request.cause,
            held=weighing.held,
            oldest=weighing.oldest,
            waits=weighing.waits,
            closes_at=judged_at(request, policy, at) if request.cause == "queue_closing" else None,
        ),
        stays=stays,
    )


def _choose(request: Request, policy: Policy, weighing: _Weighing) -> tuple[str, str, bool, bool]:
    """(queue, rule, final, stays)."""
    facts, current = request.facts, request.current
    if request.home is not None:
        back = _drains_back(request, policy, weighing, request.home)
        return request.home if back else policy.duty.name, DRAINED, False, not back
    if request.cause == "source":
        chosen = policy.group_queues.get(facts.group) if facts.group is not None else None
        if chosen is not None and weighing.takes(chosen, _HELD if policy.people_decide else _CHOSEN):
            return chosen, SOURCE_GROUP, False, chosen == current
    elif request.cause == "reopened" and request.history and weighing.takes(request.history[-1], _WAITS):
        return request.history[-1], REOPENED, False, False
    number = next(policy.index.matching(facts, current, request.cause, weighing.leave), None)
    triage = policy.triage
    if (
        triage is not None
        and ABSTAINED in facts.flags
        and not (number is not None and policy.names_abstained[number])
        and triage.name not in request.tried
        and not (triage.name == current and request.purpose == "transfer")
        and request.cause != "queue_closing"
        and weighing.takes(triage.name, _HELD)
    ):
        return triage.name, TRIAGE, False, triage.name == current
    if number is None:
        return policy.duty.name, DUTY, True, policy.duty.name == current
    rule = policy.rules[number].name
    candidates = resolved(policy, policy.candidates[number], facts)
    if request.cause == "reroute" and current in candidates and _may_keep(policy, current, facts, weighing.at):
        return current, rule, False, True
    strategy = policy.rules[number].strategy
    takers: list[str] = []
    waiting: str | None = None
    for name in candidates:
        if name == current:
            weighing.refusals.append((name, "current"))
        elif weighing.takes(name):
            takers.append(name)
            if strategy == "preference":
                break
        else:
            waiting = _waiting_place(policy, weighing, waiting)
    chosen = weighing.least_loaded(takers, weighted=strategy == "weighted") if takers else waiting
    if chosen is not None:
        return _but_no_third_round(request, policy, weighing, chosen, rule)
    return policy.duty.name, rule, True, policy.duty.name == current


def _drains_back(request: Request, policy: Policy, weighing: _Weighing, home: str) -> bool:
    """Whether the queue that a ticket overflowed from takes it back: it has room to spare, does not close before the
    ticket would be moved again, and this is no third round."""
    plan = policy.queues.get(home)
    if plan is None or _goes_round(request, policy, home) or not weighing.takes(home):
        return False
    if plan.lead is not None and plan.next_close(weighing.at) - plan.lead <= weighing.at:
        weighing.refusals.append((home, "closing"))
        return False
    if not weighing.spares(plan):
        weighing.refusals.append((home, "overflowing"))
        return False
    return True


def _waiting_place(policy: Policy, weighing: _Weighing, before: str | None) -> str | None:
    """The internal queue to wait at: the first that only overflows, else the first that is full."""
    name, why = weighing.refusals[-1]
    if why not in _WAITS or not policy.queues[name].internal:
        return before
    if before is None or (why == "overflowing" and (before, "overflowing") not in weighing.refusals):
        return name
    return before


def resolved(policy: Policy, candidates: list[str], facts: TicketFacts) -> list[str]:
    """The candidates with the source's group in place of `group`, or without it when it stands for no queue."""
    if GROUP not in candidates:
        return candidates
    stands_for = policy.group_queues.get(facts.group) if facts.group is not None else None
    return [name for c in candidates if (name := stands_for if c == GROUP else c) is not None]


def _may_keep(policy: Policy, current: str, facts: TicketFacts, at: int) -> bool:
    """Whether a ticket whose facts changed may stay where it is: its place is reserved, and nobody moves it for load.
    People of an internal queue go on with it when they open; a partner's hours are its contract's."""
    plan = policy.queues.get(current)
    if plan is None or not plan.enabled or not plan.skilled(policy.needs(facts, current, "reroute", at)):
        return False
    return plan.contract is None or policy.forbids(plan.contract, facts, at) is None


def _but_no_third_round(
    request: Request, policy: Policy, weighing: _Weighing, name: str, rule: str
) -> tuple[str, str, bool, bool]:
    """The chosen queue, or the lead when the ticket came back as often as agreed and would go round again."""
    lead = policy.ping_pong_queue
    if (
        lead is None
        or request.purpose == "first"
        or request.cause in HOURLY
        or lead.name == name
        or lead.name in (request.current, *request.tried)
        or not _goes_round(request, policy, name)
    ):
        return name, rule, False, False
    if weighing.takes(lead.name, _WAITS):
        return lead.name, PING_PONG, False, False
    return policy.duty.name, PING_PONG, True, policy.duty.name == request.current


def _goes_round(request: Request, policy: Policy, name: str) -> bool:
    """Whether the ticket came back as often as agreed, and this queue would be a round more."""
    return name in request.history and returns(request.history) >= policy.ping_pong_after


def unmoved(policy: Policy, old: TicketFacts, new: TicketFacts, where: str, at: dt.datetime) -> bool:
    """Whether a change of facts gives no reason to decide anew: the same rule matches as did before it, and the ticket
    may stay. So a ticket that people escalated is not sent back because its text was corrected."""
    second = int(at.timestamp())
    if (ABSTAINED in old.flags) != (ABSTAINED in new.flags) or not _may_keep(policy, where, new, second):
        return False
    matching = policy.index.matching
    return next(matching(old, where, "reroute", second), None) == next(matching(new, where, "reroute", second), None)


def returns(history: list[str]) -> int:
    """How often a ticket came back to a queue that had it before (A -> B -> A is one)."""
    return len(history) - len(set(history))


def look_again(
    policy: Policy, plan: QueuePlan, at: dt.datetime, refusals: list[tuple[str, Refusal]] | None
) -> dt.datetime | None:
    """When the router decides anew by itself: for a queue that closes, its lead before; for the end of the path
    (`refusals` of the candidates), when a calendar or a day of a capped partner changes."""
    second = int(at.timestamp())
    if refusals is None:
        when = plan.look_again(second)
    else:
        changes = [change] if (change := policy.next_change(second)) is not None else []
        for queue, why in refusals:
            contract = policy.queues[queue].contract if why in ("daily_cap", "monthly_cap") else None
            if contract is not None:
                changes.append(contract.days.next_midnight(second))
        when = min(changes, default=None)
    return None if when is None else dt.datetime.fromtimestamp(when, dt.UTC)


def routed(
    outcome: Outcome,
    request: Request,
    policy: Policy,
    at: dt.datetime,
    *,
    ticket: str,
    versions: tuple[int, int],
    decision: int,
    transfer_id: str | None,
) -> TicketRouted:
    """The event of a decision. versions: of the ticket and of its classification."""
    plan = outcome.queue
    return TicketRouted(
        ticket=ticket,
        decided_for=at,
        ticket_version=versions[0],
        classification_version=versions[1],
        rule=outcome.rule,
        agreement_version=policy.version,
        decision=decision,
        queue=plan.name,
        tier=plan.tier,
        owner_role=plan.owner_role,
        support_model=plan.support_model,
        purpose=request.purpose,
        transfer_id=transfer_id,
        final=outcome.final,
        reason=outcome.reason,
        look_again_at=outcome.look_again_at,
        agent_group=outcome.agents,
        waits=outcome.waits,
        inputs=outcome.inputs,
    )
