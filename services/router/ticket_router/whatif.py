"""History through an agreement that nobody has signed yet: the router's own task, and people as fast as they were.

What is taken from history: the tickets' versions, and so when each is solved and closed; their classifications; what
people asked for (a reassignment in the source, an escalation, a return); of a feed that no desk has handled yet, its
reassignments; and how long people took to accept. What is simulated: every decision, every offer and acceptance, and so
the load.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.routing import TicketFacts, TicketRouted
from ticket_contracts.tickets import ENDED, TicketNormalized
from ticket_contracts.transfers import TransferCompleted, TransferRequested, TransferWithdrawn
from ticket_router.domain.deadlines import deadline
from ticket_router.domain.decide import DRAINED
from ticket_router.domain.policy import Policies, Policy, QueuePlan
from ticket_router.handlers import RouterWork
from ticket_router.pace import Pace
from ticket_runtime.task import Record

PEOPLE: Final = frozenset({"source", "escalation", "return"})
"""Causes of transfers that are people's doing, whatever the agreement: they are part of history."""

_LITTLE: Final = 3600

Given = TicketNormalized | TicketClassified | TransferRequested


class Under(Protocol):
    """The agreement of a run: one for all instants, or a desk's own versions."""

    def in_force(self, at: dt.datetime) -> Published: ...


class Always:
    """One version, whatever the instant."""

    def __init__(self, published: Published) -> None:
        self._published = published

    def in_force(self, at: dt.datetime) -> Published:
        return self._published


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of a run. waits: the queue was full. cost: by the price list, in its currency. at_risk:
    of a first decision: before the deadline of resolution its queue is open for less than an hour."""

    ticket: str
    at: dt.datetime
    purpose: str
    priority: str
    queue: str
    rule: str
    tier: int
    support_model: str
    partner: str | None
    final: bool
    overflow: bool
    waits: bool
    cost: float
    currency: str | None
    at_risk: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """steps: in order. loads: queue -> (unix second, load) whenever that changed, in order. overflows: queue -> the
    load from which it does."""

    steps: list[Step]
    loads: dict[str, list[tuple[int, int]]]
    capacities: dict[str, int | None]
    overflows: dict[str, int]

    def first(self) -> dict[str, Step]:
        """ticket -> its first decision."""
        found: dict[str, Step] = {}
        for step in self.steps:
            found.setdefault(step.ticket, step)
        return found


class _Outputs:
    """Takes a task's decisions; nothing else of what it gives out is wanted."""

    def __init__(self) -> None:
        self.routed: list[TicketRouted] = []

    def emit(self, topic: str, event: Event) -> str:
        if isinstance(event, TicketRouted):
            self.routed.append(event)
        return ""

    def forward(self, *_: object) -> None:
        raise NotImplementedError("the router forwards nothing")

    def store(self, key: bytes, value: bytes | None) -> None:
        pass


class _Versions:
    """Every version that an input names is known: history was made under others."""

    def __init__(self, under: Under) -> None:
        self.in_force = under.in_force

    def version(self, digest: str) -> Published:
        return self.in_force(dt.datetime.max.replace(tzinfo=dt.UTC))


class _Offer(msgspec.Struct, frozen=True):
    transfer: str
    decision: TicketRouted


class _Simulation:
    """One run. Handoff's part is played as handoff would: one offer of a ticket at a time, a newer one withdraws it,
    the end of the path is acknowledged by the desk itself."""

    def __init__(self, under: Under, pace: Pace) -> None:
        self._under = under
        self._pace = pace
        self._policies = Policies()
        self._work = RouterWork(_Versions(under))
        self._out = _Outputs()
        self._sequences: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()
        self._transfers = 0
        self._offers: dict[str, _Offer] = {}
        self._due: list[tuple[dt.datetime, int, str, str]] = []  # acceptances: (when, order, ticket, transfer)
        self.steps: list[Step] = []
        self.loads: dict[str, list[tuple[int, int]]] = {}
        self.capacities: dict[str, int | None] = {}
        self.overflows: dict[str, int] = {}

    def tell(self, event: Given) -> None:
        at = event.decided_for
        self._until(at)
        if isinstance(event, TransferRequested):
            self._ask(event)
        else:
            if isinstance(event, TicketNormalized) and event.status in ENDED:
                self._offers.pop(event.ticket, None)
            self._handle(event)
        self._follow()
        self._sample(at)

    def _until(self, at: dt.datetime) -> None:
        """All that falls due up to that instant, in its order."""
        while True:
            due = self._work.next_due()
            accepted = self._due[0][0] if self._due else None
            if due is not None and due <= at and (accepted is None or due <= accepted):
                self._work.fire(due, self._out)
                now = due
            elif accepted is not None and accepted <= at:
                now, _, ticket, transfer = heapq.heappop(self._due)
                offer = self._offers.get(ticket)
                if offer is not None and offer.transfer == transfer:
                    self._accept(ticket, offer, now)
            else:
                return
            self._follow()
            self._sample(now)

    def _ask(self, event: TransferRequested) -> None:
        """People's wish, from where the ticket is in this run; one that is fulfilled already is none."""
        where = self._work.where(event.ticket)
        policy = self._policies.of(self._under.in_force(event.decided_for))
        chosen = policy.group_queues.get(event.target_group) if event.target_group is not None else None
        if where is not None and (event.cause != "source" or chosen != where):
            self._withdraw(event.ticket, event.decided_for)
            self._handle(msgspec.structs.replace(event, tried=[], attempt=1, sender_queue=where), numbered=True)

    def _follow(self) -> None:
        """Handoff's steps after the router's decisions; an acceptance may lead to the next."""
        while self._out.routed:
            decision = self._out.routed.pop(0)
            self._note(decision)
            ticket, at = decision.ticket, decision.decided_for
            if decision.transfer_id is None:
                self._withdraw(ticket, at)
                self._transfers += 1
                offer = _Offer(f"t{self._transfers}", decision)
                self._handle(_opened(decision, offer.transfer), numbered=True)
            else:
                offer = _Offer(decision.transfer_id, decision)
            self._offers[ticket] = offer
            if decision.final or decision.support_model == "automation":
                self._accept(ticket, offer, at)
                continue
            agreed = self._policies.of(self._under.in_force(at)).agreement.acknowledge_seconds(decision.queue)
            seconds = self._pace.seconds(ticket, self._accepted[ticket], decision.queue, agreed)
            if seconds:
                when = at + dt.timedelta(seconds=seconds)
                heapq.heappush(self._due, (when, len(self.steps), ticket, offer.transfer))
            else:
                self._accept(ticket, offer, at)

    def _accept(self, ticket: str, offer: _Offer, at: dt.datetime) -> None:
        del self._offers[ticket]
        self._accepted[ticket] += 1
        self._handle(_completed(offer.decision, offer.transfer, at), numbered=True)

    def _withdraw(self, ticket: str, at: dt.datetime) -> None:
        offer = self._offers.pop(ticket, None)
        if offer is not None:
            self._handle(_withdrawn(offer.decision, offer.transfer, at), numbered=True)

    def _sample(self, at: dt.datetime) -> None:
        now = self._work.loads.loads
        for queue in {*now, *self.loads}:
            load, seen = now.get(queue, 0), self.loads.setdefault(queue, [])
            if not seen or seen[-1][1] != load:
                seen.append((int(at.timestamp()), load))

    def _handle(self, event: Event, *, numbered: bool = False) -> None:
        if numbered:
            self._sequences[event.ticket] += 1
            event = msgspec.structs.replace(event, sequence=self._sequences[event.ticket])
        self._work.handle(_record(event), self._out)

    def _note(self, decision: TicketRouted) -> None:
        at, queue = decision.decided_for, decision.queue
        policy: Policy = self._policies.of(self._under.in_force(at))
        plan = policy.queues[queue]
        partner = None if plan.contract is None else plan.contract.name
        signed = None if partner is None else policy.agreement.partners[partner]
        self.capacities[queue] = plan.capacity
        if plan.depth is not None:
            self.overflows[queue] = plan.depth.above
        self.steps.append(
            Step(
                ticket=decision.ticket,
                at=at,
                purpose=decision.purpose,
                priority=decision.inputs.facts.priority,
                queue=queue,
                rule=decision.rule,
                tier=plan.tier,
                support_model=plan.support_model,
                partner=partner,
                final=decision.final,
                overflow=bool(decision.inputs.overflowing),
                waits=decision.waits,
                cost=0.0 if signed is None else signed.price_per_ticket.get(plan.tier, 0.0),
                currency=None if signed is None else signed.currency,
                at_risk=decision.purpose == "first" and _at_risk(policy, plan, decision.inputs.facts, at),
            )
        )


def _at_risk(policy: Policy, plan: QueuePlan, facts: TicketFacts, at: dt.datetime) -> bool:
    second = int(at.timestamp())
    until = deadline(policy, plan.name, facts, second)
    return until is not None and (until <= second or plan.open_seconds(second, until) < _LITTLE)


def simulate(under: Under, history: Iterable[Given], pace: Pace) -> Run:
    """All that an agreement makes of this history, which comes in the order of its instants."""
    simulation = _Simulation(under, pace)
    for event in history:
        simulation.tell(event)
    return Run(
        steps=simulation.steps,
        loads=simulation.loads,
        capacities=simulation.capacities,
        overflows=simulation.overflows,
    )


def in_order(
    normalized: Iterable[TicketNormalized],
    classified: Iterable[TicketClassified],
    requested: Iterable[TransferRequested],
) -> list[Given]:
    """History by its instants: of one instant, tickets before their classifications before people's wishes."""
    ranked: list[tuple[dt.datetime, int, str, int, Given]] = [
        *((e.decided_for, 0, e.ticket, e.ticket_version, e) for e in normalized),
        *((e.decided_for, 1, e.ticket, e.classification_version, e) for e in classified),
        *((e.decided_for, 2, e.ticket, e.sequence, e) for e in requested if e.asks and e.cause in PEOPLE),
    ]
    return [event for *_, event in sorted(ranked, key=lambda row: row[:4])]


def wishes(normalized: Iterable[TicketNormalized]) -> list[TransferRequested]:
    """The reassignments of a history that has no transfers yet: whenever people gave a ticket to another group."""
    return [
        TransferRequested(
            ticket=event.ticket,
            decided_for=event.decided_for,
            sequence=event.ticket_version,
            agreement_version="",
            ticket_version=event.ticket_version,
            classification_version=0,
            transfer_id=f"w{event.ticket_version}",
            cause="source",
            attempt=1,
            asks=True,
            tried=[],
            sender="",
            target_group=event.group,
        )
        for event in normalized
        if event.ticket_version > 1 and "group" in event.changed and event.group is not None
    ]


_TOPICS: Final[dict[type[Event], str]] = {TicketNormalized: topics.NORMALIZED, TicketClassified: topics.CLASSIFIED}


def _record(event: Event) -> Record:
    return Record(
        topic=_TOPICS.get(type(event), topics.TRANSFERS),
        partition=0,
        offset=0,
        key=event.ticket.encode(),
        value=msgspec.json.encode(event),
        headers={"ce_type": event.TYPE.encode()},
        timestamp_ms=0,
        instant=event.decided_for,
    )


def _opened(decision: TicketRouted, transfer: str) -> TransferRequested:
    return TransferRequested(
        ticket=decision.ticket,
        decided_for=decision.decided_for,
        sequence=0,
        agreement_version=decision.agreement_version,
        ticket_version=decision.ticket_version,
        classification_version=decision.classification_version,
        transfer_id=transfer,
        cause="first" if decision.purpose == "first" else "reroute",
        attempt=1,
        asks=False,
        tried=[],
        sender="",
    )


def _completed(decision: TicketRouted, transfer: str, at: dt.datetime) -> TransferCompleted:
    return TransferCompleted(
        ticket=decision.ticket,
        decided_for=at,
        sequence=0,
        agreement_version=decision.agreement_version,
        ticket_version=decision.ticket_version,
        classification_version=decision.classification_version,
        transfer_id=transfer,
        queue=decision.queue,
        owner=decision.owner_role,
    )


def _withdrawn(decision: TicketRouted, transfer: str, at: dt.datetime) -> TransferWithdrawn:
    return TransferWithdrawn(
        ticket=decision.ticket,
        decided_for=at,
        sequence=0,
        agreement_version=decision.agreement_version,
        ticket_version=decision.ticket_version,
        classification_version=decision.classification_version,
        transfer_id=transfer,
        attempt=1,
        queue=decision.queue,
        reason="",
    )


class Moved(msgspec.Struct, frozen=True):
    """A ticket that would go elsewhere at first. Tiers and partners (None: inside) are those of the queues."""

    ticket: str
    at: dt.datetime
    priority: str
    was: str
    was_rule: str
    was_tier: int
    was_partner: str | None
    now: str
    now_rule: str
    now_tier: int
    now_partner: str | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers. Counts of first decisions, but for what says otherwise; cost of every reservation at a partner,
    in the partner's currency of `currencies`, and as one sum (`cost`) only where there are not several. hours: local
    hour of day -> queue -> tickets; likewise by tier and by partner (the company's own queues are `inside`). overflow:
    decisions that passed an overflowing queue, of them `hours_overflow` by local hour of day. peaks: queue -> highest
    load, capacity, and since when (UTC) it was that high."""

    tickets: int
    by_queue: dict[str, int]
    by_tier: dict[int, int]
    by_partner: dict[str, int]
    outside: int
    after_hours: int
    after_hours_share: float
    overflow: int
    waits: int
    duty: int
    at_risk: int
    reroutes: int
    drained_back: int
    transfers: int
    cost: float | None
    cost_by_currency: dict[str, float]
    cost_by_partner: dict[str, float]
    currencies: dict[str, str]
    peaks: dict[str, tuple[int, int | None, dt.datetime]]
    hours: dict[int, dict[str, int]]
    hours_by_tier: dict[int, dict[str, int]]
    hours_by_partner: dict[int, dict[str, int]]
    hours_overflow: dict[int, int]


INSIDE: Final = "inside"
"""Where a ticket is that no partner has."""


def figures(run: Run, policy: Policy, calendar: str | None) -> Figures:
    """calendar: the one that says what after hours is and whose zone hours are of; None: UTC, and nothing is after."""
    first = list(run.first().values())
    hours = policy.hours.get(calendar) if calendar is not None else None
    zone = policy.calendars[calendar].zone if calendar is not None else dt.UTC
    late = sum(hours is not None and not hours.is_open(int(s.at.timestamp())) for s in first)
    costs: dict[str, float] = {}
    sums: dict[str, float] = {}
    currencies: dict[str, str] = {}
    for step in run.steps:
        if step.partner is not None and step.currency is not None:
            costs[step.partner] = costs.get(step.partner, 0.0) + step.cost
            sums[step.currency] = sums.get(step.currency, 0.0) + step.cost
            currencies[step.partner] = step.currency
    past = Counter(s.at.astimezone(zone).hour for s in run.steps if s.overflow and not s.waits)
    return Figures(
        tickets=len(first),
        by_queue=_sorted(Counter(s.queue for s in first)),
        by_tier=dict(sorted(Counter(s.tier for s in first).items())),
        by_partner=_sorted(Counter(s.partner for s in first if s.partner is not None)),
        outside=sum(s.partner is not None for s in first),
        after_hours=late,
        after_hours_share=round(late / len(first), 4) if first else 0.0,
        overflow=sum(past.values()),
        waits=sum(s.waits for s in run.steps),
        duty=sum(s.final for s in run.steps),
        at_risk=sum(s.at_risk for s in first),
        reroutes=sum(s.purpose == "reroute" for s in run.steps),
        drained_back=sum(s.rule == DRAINED for s in run.steps),
        transfers=sum(s.purpose == "transfer" for s in run.steps),
        cost=round(sum(sums.values()), 2) if len(sums) <= 1 else None,
        cost_by_currency={currency: round(cost, 2) for currency, cost in sorted(sums.items())},
        cost_by_partner={partner: round(cost, 2) for partner, cost in sorted(costs.items())},
        currencies=dict(sorted(currencies.items())),
        peaks={queue: _peak(samples, run.capacities.get(queue)) for queue, samples in sorted(run.loads.items())},
        hours=_by_hour(first, zone, lambda s: s.queue),
        hours_by_tier=_by_hour(first, zone, lambda s: str(s.tier)),
        hours_by_partner=_by_hour(first, zone, lambda s: s.partner or INSIDE),
        hours_overflow={hour: past[hour] for hour in range(24)},
    )


def _by_hour(steps: list[Step], zone: dt.tzinfo, of: Callable[[Step], str]) -> dict[int, dict[str, int]]:
    """Local hour of day -> what a step is counted as -> steps."""
    counts: dict[int, Counter[str]] = {hour: Counter() for hour in range(24)}
    for step in steps:
        counts[step.at.astimezone(zone).hour][of(step)] += 1
    return {hour: _sorted(found) for hour, found in counts.items()}


def _peak(samples: list[tuple[int, int]], capacity: int | None) -> tuple[int, int | None, dt.datetime]:
    at, load = max(samples, key=lambda sample: (sample[1], -sample[0]))
    return load, capacity, dt.datetime.fromtimestamp(at, dt.UTC)


def moved(current: Run, candidate: Run) -> list[Moved]:
    """The tickets whose first queue differs, by their instant."""
    before, after = current.first(), candidate.first()
    found = [
        Moved(
            ticket,
            was.at,
            was.priority,
            *(was.queue, was.rule, was.tier, was.partner),
            *(now.queue, now.rule, now.tier, now.partner),
        )
        for ticket, was in before.items()
        if (now := after.get(ticket)) is not None and now.queue != was.queue
    ]
    return sorted(found, key=lambda m: (m.at, m.ticket))


class Flow(msgspec.Struct, frozen=True):
    """Tickets that go from one place to another between two runs, in all and by local hour of day."""

    was: str
    now: str
    tickets: int
    hours: dict[int, int]


def flows(elsewhere: list[Moved], zone: dt.tzinfo, kind: Literal["queue", "tier", "partner"]) -> list[Flow]:
    """The moves between queues, tiers or partners, the most first; within one place there is none."""
    places: dict[str, Callable[[Moved], tuple[str, str]]] = {
        "queue": lambda m: (m.was, m.now),
        "tier": lambda m: (str(m.was_tier), str(m.now_tier)),
        "partner": lambda m: (m.was_partner or INSIDE, m.now_partner or INSIDE),
    }
    counts: dict[tuple[str, str], Counter[int]] = {}
    for move in elsewhere:
        was, now = places[kind](move)
        if was != now:
            counts.setdefault((was, now), Counter())[move.at.astimezone(zone).hour] += 1
    found = [Flow(*way, sum(hours.values()), dict(sorted(hours.items()))) for way, hours in counts.items()]
    return sorted(found, key=lambda flow: (-flow.tickets, flow.was, flow.now))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
