"""By when a ticket is to be solved, by the agreement alone: what a waiting line and a tried policy are judged by.

The clocks are the SLA monitor's, and so is every warning. This is the same goal counted from the ticket's creation,
without the pauses that only the monitor follows: never later than the clock's own deadline.
"""

from __future__ import annotations

import datetime as dt

from business_calendar import ALWAYS_OPEN
from ticket_contracts.agreement import Condition, matches
from ticket_contracts.agreement.calendars import budget
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.policy import Policy


def deadline(policy: Policy, queue: str, facts: TicketFacts, at: int) -> int | None:
    """The earliest unix second by which a clock of resolution wants the ticket solved, in that queue at that second;
    None when no such clock runs."""
    agreement, instant = policy.agreement, dt.datetime.fromtimestamp(at, dt.UTC)

    def holds(when: Condition) -> bool:
        return matches(when, facts, instant, policy.hours, ancestors=agreement.ancestors, queue=queue)

    found: list[int] = []
    for rules in agreement.sla.values():
        if rules.clock != "resolution" or not holds(rules.when):
            continue
        goal = next((goal for goal in rules.goals if holds(goal.when)), None)
        if goal is not None:
            begun = at - facts.age_seconds
            calendar = ALWAYS_OPEN if rules.calendar is None else policy.calendars[rules.calendar]
            found.append(calendar.add(begun, budget(goal, begun, calendar)))
    return min(found, default=None)
