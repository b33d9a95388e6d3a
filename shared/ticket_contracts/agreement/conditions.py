"""Conditions of routing rules and SLA policies: what they may ask of a ticket and of the hour, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from ticket_contracts.routing import TicketFacts


class Strict(BaseModel):
    """A part of the agreement: unknown keys are errors, so that a misspelt rule cannot pass for an absent one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Closing(Strict):
    """True when the calendar is open and closes within so many minutes."""

    calendar: str
    within_minutes: int = Field(gt=0)


class Condition(Strict):
    """All that is named must hold; a list holds when the ticket's value is one of it. An empty condition always holds.

    category: ids of the taxonomy; their subtrees are meant too. flags_any / flags_none: at least one / none of them is
    set. open, closed: calendars of which at least one is open / all are closed at the decision's instant.
    queue: where the ticket is (SLA policies). cause: why a transfer asks. age, transfers: at least.
    """

    category: list[str] | None = None
    kind: list[str] | None = None
    channel: list[str] | None = None
    priority: list[str] | None = None
    tier: list[int] | None = None
    customer: list[str] | None = None
    site: list[str] | None = None
    language: list[str] | None = None
    vip: bool | None = None
    source: list[str] | None = None
    group: list[str] | None = None
    service: list[str] | None = None
    status: list[str] | None = None
    queue: list[str] | None = None
    cause: list[str] | None = None
    flags_any: list[str] | None = None
    flags_none: list[str] | None = None
    age_at_least_minutes: int | None = None
    transfers_at_least: int | None = None
    open: list[str] | None = None
    closed: list[str] | None = None
    closing: Closing | None = None


class Hours(Protocol):
    """What a condition may ask of a calendar; `business_calendar.Calendar` at an integer instant answers it."""

    def is_open(self, at: int) -> bool: ...
    def next_close(self, at: int) -> int | None: ...


ONE_OF: Final = (
    "kind", "channel", "priority", "tier", "customer", "site", "language", "source", "group", "service", "status",
)  # fmt: skip
"""Parts of a condition that hold when the ticket's value of that name is one of theirs."""


def matches(
    condition: Condition,
    facts: TicketFacts,
    at: datetime,
    calendars: Mapping[str, Hours],
    *,
    ancestors: Mapping[str, frozenset[str]],
    queue: str | None = None,
    cause: str | None = None,
) -> bool:
    """Whether the condition holds for these facts at that instant.

    calendars: by name, all that conditions name. ancestors: category -> itself and all above it
    (`Agreement.ancestors`).
    """
    return failed(condition, facts, at, calendars, ancestors=ancestors, queue=queue, cause=cause) is None


def failed(
    condition: Condition,
    facts: TicketFacts,
    at: datetime,
    calendars: Mapping[str, Hours],
    *,
    ancestors: Mapping[str, frozenset[str]],
    queue: str | None = None,
    cause: str | None = None,
) -> str | None:
    """The name of the first part of the condition that does not hold, None when all hold: what `explain` shows."""
    for name in ONE_OF:
        wanted = getattr(condition, name)
        if wanted is not None and getattr(facts, name) not in wanted:
            return name
    if condition.queue is not None and queue not in condition.queue:
        return "queue"
    if condition.cause is not None and cause not in condition.cause:
        return "cause"
    if condition.vip is not None and facts.vip != condition.vip:
        return "vip"
    if condition.category is not None:
        above = ancestors.get(facts.category, frozenset()) if facts.category else frozenset()
        if above.isdisjoint(condition.category):
            return "category"
    if condition.flags_any is not None and not set(condition.flags_any) & set(facts.flags):
        return "flags_any"
    if condition.flags_none is not None and set(condition.flags_none) & set(facts.flags):
        return "flags_none"
    if condition.age_at_least_minutes is not None and facts.age_seconds < 60 * condition.age_at_least_minutes:
        return "age_at_least_minutes"
    if condition.transfers_at_least is not None and facts.transfers < condition.transfers_at_least:
        return "transfers_at_least"
    return failed_hour(condition, int(at.timestamp()), calendars)


def failed_hour(condition: Condition, at: int, calendars: Mapping[str, Hours]) -> str | None:
    """As `failed`, of the parts alone that ask about the hour. at: unix second."""
    if condition.open is not None and not any(calendars[name].is_open(at) for name in condition.open):
        return "open"
    if condition.closed is not None and any(calendars[name].is_open(at) for name in condition.closed):
        return "closed"
    if condition.closing is not None:
        hours = calendars[condition.closing.calendar]
        closes = hours.next_close(at) if hours.is_open(at) else None
        if closes is None or closes - at > 60 * condition.closing.within_minutes:
            return "closing"
    return None


def weaker(one: Condition, other: Condition, ancestors: Mapping[str, frozenset[str]]) -> bool:
    """Whether `one` provably holds whenever `other` does. False says nothing."""
    for field in (*ONE_OF, "queue", "cause", "flags_any", "open"):
        allowed, asked = getattr(one, field), getattr(other, field)
        if allowed is not None and (asked is None or not set(asked) <= set(allowed)):
            return False
    for field in ("flags_none", "closed"):
        if not set(getattr(one, field) or ()) <= set(getattr(other, field) or ()):
            return False
    for field in ("age_at_least_minutes", "transfers_at_least"):
        least, asked = getattr(one, field), getattr(other, field)
        if least is not None and (asked is None or asked < least):
            return False
    if one.vip is not None and one.vip != other.vip:
        return False
    if one.category is not None:
        wanted = set(one.category)
        if other.category is None or any(wanted.isdisjoint(ancestors.get(c, ())) for c in other.category):
            return False
    if one.closing is not None:
        return (
            other.closing is not None
            and other.closing.calendar == one.closing.calendar
            and other.closing.within_minutes <= one.closing.within_minutes
        )
    return True
