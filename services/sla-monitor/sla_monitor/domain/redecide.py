"""Makes a clock's event again from what it records and the agreement version it names, by plain calendar arithmetic.

Not the way the monitor came to it: no history, no state, only `ClockInputs` and the agreement's text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from business_calendar import Calendar
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.calendars import budget
from ticket_contracts.agreement.model import Policy
from ticket_contracts.sla import ClockEvent, ClockInputs

ON_TICKETS = ("first_response", "next_response", "resolution", "periodic_update", "underpinning")


def differences(event: ClockEvent, agreement: Agreement, calendars: Mapping[str, Calendar]) -> list[str]:
    """What comes out otherwise, a sentence each; empty: the same decision. Only for events that have `inputs`."""
    inputs = event.inputs
    if inputs is None:
        return [f"{event.occurrence} records no inputs"]
    found: list[str] = []
    calendar = calendars.get(inputs.calendar) if inputs.calendar is not None else None
    if inputs.calendar is not None and calendar is None:
        return [f"the agreement has no calendar {inputs.calendar}"]
    policy = _policy(event, inputs, agreement, calendar, found)
    counts = not inputs.pauses or inputs.pauses[-1][1] is not None
    deadline = _after(calendar, inputs, inputs.goal_seconds)
    if event.deadline != deadline and (event.deadline is not None or _shows_deadline(event, counts)):
        found.append(f"deadline {event.deadline}, by the calendar {deadline}")
    if event.occurrence in ("warned", "breached"):
        due = _due(event, inputs, calendar, deadline, policy)
        if due is None:
            found.append(f"the policy warns of no {event.threshold_seconds} s left")
        elif event.due_at != due or event.decided_for != due:
            found.append(f"due at {event.due_at}, decided for {event.decided_for}, by the calendar {due}")
        if not counts:
            found.append("said while the clock did not count")
    return found


def _policy(
    event: ClockEvent, inputs: ClockInputs, agreement: Agreement, calendar: Calendar | None, found: list[str]
) -> Policy | None:
    kind = event.clock.partition(":")[0]
    if kind not in ON_TICKETS:
        if kind == "transfer" and inputs.goal_seconds != agreement.transfers.total_seconds:
            found.append(f"goal {inputs.goal_seconds} s, agreed {agreement.transfers.total_seconds}")
        return None
    policy = agreement.sla.get(event.rule)
    if policy is None or policy.clock != kind:
        found.append(f"the agreement has no policy {event.rule} for {kind}")
        return None
    if inputs.calendar != policy.calendar:
        found.append(f"calendar {inputs.calendar}, agreed {policy.calendar}")
        return policy
    start = _seconds(inputs.started_at)
    goals = {(budget(goal, start, calendar), goal.business_days) for goal in policy.goals}
    if (inputs.goal_seconds, inputs.goal_business_days) not in goals:
        found.append(f"goal {inputs.goal_seconds} s is none of {event.rule}")
    return policy


def _shows_deadline(event: ClockEvent, counts: bool) -> bool:
    return counts and event.occurrence in ("started", "resumed", "warned", "breached")


def _after(calendar: Calendar | None, inputs: ClockInputs, seconds: int) -> datetime:
    """When so many seconds have counted."""
    start = _seconds(inputs.started_at)
    pauses = [(_seconds(begin), _seconds(until)) for begin, until in inputs.pauses if until is not None]
    if calendar is not None:
        return _instant(calendar.add(start, seconds, pauses))
    at = start + seconds
    for begin, until in pauses:
        if begin < at:
            at += until - begin
    return _instant(at)


def _due(
    event: ClockEvent, inputs: ClockInputs, calendar: Calendar | None, deadline: datetime, policy: Policy | None
) -> datetime | None:
    if event.occurrence == "breached":
        due = deadline
    else:
        left = _left(event, inputs, policy)
        if left is None:
            return None
        due = deadline - timedelta(seconds=left) if event.wall else _after(calendar, inputs, inputs.goal_seconds - left)
    return due if inputs.not_before is None else max(due, inputs.not_before)


def _left(event: ClockEvent, inputs: ClockInputs, policy: Policy | None) -> int | None:
    """The time left that a threshold of the policy names and the event repeats, at most the goal; None: no such one."""
    goal, said = inputs.goal_seconds, event.threshold_seconds
    for threshold in policy.warn if policy is not None else ():
        left = threshold.left_seconds
        if left is None:
            share = Fraction(round((threshold.used_share or 0) * 10**9), 10**9)
            left = max(goal - math.ceil(goal * share), 1)
            agreed = not event.wall
        else:
            agreed = threshold.wall == event.wall
        if agreed and left == said:
            return left if event.wall else min(left, goal)
    return None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
