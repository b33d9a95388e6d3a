"""By when a ticket is to be solved, by the agreement alone: what a waiting line and a tried policy are judged by.

The clocks are the SLA monitor's, and so is every warning. This is the same goal over the same statuses, for a ticket
that was in this queue from its beginning.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise

from business_calendar import ALWAYS_OPEN, Calendar
from ticket_contracts.agreement import Condition, matches
from ticket_contracts.agreement.calendars import budget
from ticket_contracts.agreement.counting import Phase, phase_of, reopened, started
from ticket_contracts.agreement.model import Policy as ClockPolicy
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.policy import Policy

Statuses = Sequence[tuple[int, str]]
"""(unix second since when, status), in order."""


def deadline(policy: Policy, queue: str, facts: TicketFacts, at: int, statuses: Statuses = ()) -> int | None:
    """The earliest unix second by which a clock of resolution wants the ticket solved, in that queue at that second;
    None when no such clock runs, or it pauses: then no time is lost. statuses: of the ticket so far; none are known of
    a new one."""
    agreement, instant = policy.agreement, dt.datetime.fromtimestamp(at, dt.UTC)

    def holds(when: Condition) -> bool:
        return matches(when, facts, instant, policy.hours, ancestors=agreement.ancestors, queue=queue)

    found: list[int] = []
    for rules in agreement.sla.values():
        if rules.clock != "resolution" or not holds(rules.when):
            continue
        goal = next((goal for goal in rules.goals if holds(goal.when)), None)
        begun = _begun(rules, at - facts.age_seconds, statuses)
        if goal is not None and begun is not None and phase_of(rules, facts.status) is Phase.RUN:
            calendar = ALWAYS_OPEN if rules.calendar is None else policy.calendars[rules.calendar]
            lost = _paused(rules, calendar, begun, statuses)
            found.append(calendar.add(begun, budget(goal, begun, calendar) + lost))
    return min(found, default=None)


def _begun(rules: ClockPolicy, created: int, statuses: Statuses) -> int | None:
    """When its clock begins; None: not yet."""
    since = started(rules, statuses) if statuses else 0
    if since is None:
        return None
    return max(created, since, reopened(rules, statuses) if rules.on_reopen == "restart" else 0)


def _paused(rules: ClockPolicy, calendar: Calendar, begun: int, statuses: Statuses) -> int:
    """Seconds of its calendar in which the clock did not count. What held at first held from the beginning."""
    return sum(
        calendar.elapsed(max(since, begun) if number else begun, until)
        for number, ((since, status), (until, _)) in enumerate(pairwise(statuses))
        if until > begun and phase_of(rules, status) is not Phase.RUN
    )
