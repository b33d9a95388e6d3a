"""What one version of the agreement says of clocks, compiled: calendars, thresholds, and which policy a ticket falls
under.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from business_calendar import ALWAYS_OPEN, Calendar
from business_calendar.calendar import Pauses
from sla_monitor.domain.state import Facts, Standing
from ticket_contracts.agreement import Agreement, Condition, matches
from ticket_contracts.agreement.counting import Phase, phase_of, reopened, started
from ticket_contracts.agreement.model import Goal, Policy
from ticket_contracts.agreement.model import Threshold as AgreedThreshold
from ticket_contracts.routing import TicketFacts

KINDS = ("first_response", "next_response", "resolution", "periodic_update", "underpinning")
"""The clocks of a ticket, in the order that they are decided in: a periodic update waits for the first response."""

ACKNOWLEDGEMENT = "transfer_acknowledgement"
TRANSFER = "transfer"

_HOLDERS = ("queue", "group")
_TIMED = ("open", "closed", "closing", "age_at_least_minutes")
_COUNTING = ("pause_on", "stop_on", "start_on", "cancel_on", "holders", "restarts", "warn")
_CACHED = 4096
_BILLION = 10**9


class Threshold(msgspec.Struct, frozen=True):
    """A warning. seconds: time left at which it is due, in business time or on the wall."""

    seconds: int
    wall: bool

    def instant(self, calendar: Calendar, started: int, goal: int, deadline: int, pauses: Pauses) -> int:
        """The first instant at which no more than that is left: so a warning that falls on a closing comes at that
        closing, as a deadline would, and not when the desk opens again."""
        if self.wall:
            return deadline - self.seconds
        return calendar.add(started, max(goal - self.seconds, 0), pauses)


class Terms(msgspec.Struct, frozen=True):
    """How a clock counts. start_on, pause_on, stop_on, cancel_on: statuses. holders: of `queue` and `group` those whose
    change resets it. restarts: a reopening does.

    recalculate: a running clock follows the agreement in force, and does not keep the version it began under.
    """

    calendar: Calendar
    calendar_name: str | None = None
    pause_on: frozenset[str] = frozenset()
    stop_on: frozenset[str] = frozenset()
    warn: tuple[AgreedThreshold, ...] = ()
    start_on: frozenset[str] | None = None
    cancel_on: frozenset[str] = frozenset()
    holders: tuple[str, ...] = ()
    restarts: bool = False
    recalculate: bool = False

    def thresholds(self, goal: int) -> list[Threshold]:
        """Of a goal of so many seconds: those that mean the same are one. Latest last."""
        found = set()
        for agreed in self.warn:
            if agreed.left_seconds is not None:
                found.add(Threshold(agreed.left_seconds, agreed.wall))
            else:
                found.add(Threshold(max(goal - used_up(goal, agreed.used_share or 0), 1), False))
        return sorted(found, key=lambda threshold: (-threshold.seconds, threshold.wall))

    def counts_as(self, other: Terms) -> bool:
        """Whether clocks count alike under both, though they may stand in two versions of the agreement."""
        if self.calendar is not other.calendar and self.calendar.spec != other.calendar.spec:
            return False
        return all(getattr(self, name) == getattr(other, name) for name in _COUNTING)

    def phase(self, kind: str, standing: Standing) -> Phase:
        """What a clock of this kind does while the ticket stands like this."""
        status = standing.facts.status
        if status in self.cancel_on:
            return Phase.CANCEL
        if kind == "first_response" and standing.first_answer:
            return Phase.STOP
        if kind == "next_response" and not standing.asked:
            return Phase.STOP
        return phase_of(self, status)

    def origin(self, kind: str, standing: Standing, created: int, *, answers_first: bool) -> int:
        """The instant that a clock of this kind counts from as things stand; 0: from none yet.

        answers_first: the first response has a goal, and so governs until it is given.
        """
        match kind:
            case "next_response":
                return standing.asked if standing.first_answer else 0
            case "periodic_update" if standing.last_answer:
                return standing.last_answer
            case "periodic_update" if answers_first:
                return 0
        since = [standing.queue_since if holder == "queue" else standing.group_since for holder in self.holders]
        begun = started(self, standing.statuses)
        if begun is None:
            return 0
        if self.restarts:
            since.append(reopened(self, standing.statuses))
        return max(created, begun, *since)


WALL = Terms(calendar=ALWAYS_OPEN)
"""How the clocks of transfers count."""


class Choice(msgspec.Struct, frozen=True):
    """The policy and the goal that a ticket falls under."""

    policy: str
    goal: Goal


class Rules:
    """One version of the agreement, as far as clocks go."""

    def __init__(self, version: str, agreement: Agreement, calendars: Mapping[str, Calendar]) -> None:
        self.version = version
        self.total_seconds = agreement.transfers.total_seconds
        self.kept_days = agreement.routing.ended_kept_days
        self._ancestors = agreement.ancestors
        self._calendars = calendars
        self._policies = agreement.sla
        self._terms = {name: _terms(policy, calendars) for name, policy in agreement.sla.items()}
        self.recalculates = any(terms.recalculate for terms in self._terms.values())
        conditions = [c for policy in agreement.sla.values() for c in (policy.when, *(g.when for g in policy.goals))]
        self.mentions_status = any(condition.status is not None for condition in conditions)
        self._cachable = not any(getattr(condition, name) is not None for condition in conditions for name in _TIMED)
        self._chosen: dict[tuple[str, Facts], dict[str, Choice]] = {}

    def terms(self, policy: str) -> Terms | None:
        """Of a policy's clock; None where this version has no such policy."""
        return self._terms.get(policy)

    def choose(self, source: str, facts: Facts, created: int) -> dict[str, Choice]:
        """Kind -> what its clock runs by: the first policy, and in it the first goal, whose conditions hold.

        Conditions about the hour are read at the ticket's creation, so that a clock does not come and go with the hour.
        """
        if not self.mentions_status:
            facts = msgspec.structs.replace(facts, status="new")
        key = (source, facts)
        chosen = self._chosen.get(key) if self._cachable else None
        if chosen is None:
            chosen = self._choose(source, facts, created)
            if len(self._chosen) >= _CACHED:
                self._chosen.clear()
            self._chosen[key] = chosen
        return chosen

    def _choose(self, source: str, facts: Facts, created: int) -> dict[str, Choice]:
        asked = ticket_facts(source, facts)
        at = datetime.fromtimestamp(created, UTC)
        chosen: dict[str, Choice] = {}

        def holds(condition: Condition) -> bool:
            return matches(condition, asked, at, self._calendars, ancestors=self._ancestors, queue=facts.queue)

        for name, policy in self._policies.items():
            if policy.clock not in chosen and holds(policy.when):
                goal = next((goal for goal in policy.goals if holds(goal.when)), None)
                if goal is not None:
                    chosen[policy.clock] = Choice(name, goal)
        return chosen


class Rulebook(Protocol):
    """The versions of the agreement. Both raise ticket_runtime's Transient while a version is awaited."""

    def in_force(self, at_us: int) -> Rules: ...
    def version(self, version: str) -> Rules: ...


def ticket_facts(source: str, facts: Facts) -> TicketFacts:
    """The facts as conditions of the agreement ask for them."""
    return TicketFacts(
        source=source,
        channel=facts.channel,
        kind=facts.kind,
        category=facts.category,
        priority=facts.priority or "",
        impact=facts.impact,
        urgency=facts.urgency,
        tier=facts.tier,
        flags=sorted({*facts.flags, *facts.reported_flags}),
        customer=facts.customer,
        site=facts.site,
        language=facts.language,
        vip=facts.vip,
        group=facts.group,
        service=facts.service,
        status=facts.status,
    )


def used_up(goal: int, share: float) -> int:
    """The first whole second at which a share of a goal is used. By whole numbers: 55 % of 8 h is 15840 s, where
    floating point has a little more."""
    return -(-goal * round(share * _BILLION) // _BILLION)


def _terms(policy: Policy, calendars: Mapping[str, Calendar]) -> Terms:
    mentioned = {name for c in _conditions(policy) for name in _HOLDERS if getattr(c, name) is not None}
    return Terms(
        calendar=calendars[policy.calendar] if policy.calendar is not None else ALWAYS_OPEN,
        calendar_name=policy.calendar,
        pause_on=frozenset(policy.pause_on),
        stop_on=frozenset(policy.stop_on),
        warn=tuple(policy.warn),
        holders=tuple(name for name in _HOLDERS if name in mentioned) if policy.clock == "underpinning" else (),
        start_on=frozenset(policy.start_on) if policy.start_on is not None else None,
        cancel_on=frozenset(policy.cancel_on),
        restarts=policy.on_reopen == "restart",
        recalculate=policy.on_change == "recalculate",
    )


def _conditions(policy: Policy) -> Iterable[Condition]:
    yield policy.when
    for goal in policy.goals:
        yield goal.when
