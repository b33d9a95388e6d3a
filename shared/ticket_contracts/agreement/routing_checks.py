"""What must hold of queues and routing rules beyond the names they use: room, skills, spans, and that nothing goes
round in a circle or waits for a candidate that can never have it."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ticket_contracts.agreement.conditions import ONE_OF, Condition, weaker
from ticket_contracts.agreement.model import Agreement, Band, Queue, RoutingRule
from ticket_contracts.agreement.problems import Finding, Path, misspelt
from ticket_contracts.agreement.special import GROUP

UPWARD = ("escalation", "pre_breach", "breach")
"""Causes for which a ticket climbs: what goes round in a circle by one of them never reaches anybody new."""
_MOST_STEPS = 20_000


def overflow_findings(path: Path, queue: Queue) -> Iterator[Finding]:
    overflow = queue.overflow
    if overflow is None:
        return
    if (overflow.above is None) != (overflow.below is None):
        lacking = "above" if overflow.above is None else "below"
        yield Finding(path, f"`{lacking}` is missing", "give both: it overflows from `above` on until it is at `below`")
        return
    bands: dict[str, Band | None] = {
        "oldest_minutes": overflow.oldest_minutes,
        "wait_minutes": overflow.wait_minutes,
    }
    if overflow.above is None and not any(bands.values()):
        yield Finding(path, "it has no measure", "give `above` and `below`, `oldest_minutes` or `wait_minutes`")
    if overflow.above is not None and overflow.below is not None and overflow.below >= overflow.above:
        yield Finding(path, "`below` is not below `above`", "make it less, so that nothing flaps between the two")
    for name, band in bands.items():
        if band is not None and band.below >= band.above:
            yield Finding(
                (*path, name), "`below` is not below `above`", "make it less, so that nothing flaps between the two"
            )
    if overflow.above is not None and queue.capacity is not None and overflow.above > queue.capacity:
        yield Finding((*path, "above"), "the queue is full before it overflows", f"write at most {queue.capacity}")


def room_findings(agreement: Agreement) -> Iterator[Finding]:
    """Weights that no queue has room for, and spans that are none."""
    heaviest = max(agreement.routing.weights.items(), key=lambda item: item[1], default=None)
    for name, queue in agreement.queues.items():
        path: Path = ("queues", name)
        rooms: list[tuple[Path, int | None]] = [((*path, "capacity"), queue.capacity)]
        rooms += [((*path, "groups", g, "capacity"), agents.capacity) for g, agents in queue.groups.items()]
        for where, room in rooms:
            if heaviest is not None and room is not None and room < heaviest[1]:
                yield Finding(
                    where,
                    f"a {heaviest[0]} weighs {heaviest[1]} and never has room in {room}",
                    f"write at least {heaviest[1]}, or a smaller weight under `routing.weights`",
                )
        for number, pause in enumerate(queue.pauses):
            for part in ("begin", "until"):
                if not _is_a_date(getattr(pause, part)):
                    yield Finding(
                        (*path, "pauses", number, part),
                        "this instant lies beyond the year 9999, or before the year 1, by UTC",
                        "write one with `Z`, as 9999-12-31T00:00:00Z, or `enabled: false` in place of the pause",
                    )
            if pause.until <= pause.begin:
                yield Finding(
                    (*path, "pauses", number), "the pause ends before it begins", "make `until` the later one"
                )
    duty = agreement.queues.get(agreement.routing.duty_queue)
    if duty is not None and duty.pauses:
        yield Finding(
            ("queues", agreement.routing.duty_queue, "pauses"),
            "the duty queue cannot pause",
            "remove them: the last step is always open",
        )


def _is_a_date(instant: dt.datetime) -> bool:
    try:
        instant.astimezone(dt.UTC)
    except OverflowError:
        return False
    return True


def flag_findings(agreement: Agreement) -> Iterator[Finding]:
    """Flags that are asked for and were to be one that classification sets: what a source sets nobody lists."""
    given = {flag for rule in agreement.classification.rules for flag in rule.flags}
    asked: list[tuple[Path, list[str]]] = [
        (("partners", name, "never_flags"), partner.never_flags)
        for name, partner in agreement.partners.items()
        if "never_flags" in partner.model_fields_set
    ]
    for number, rule in enumerate(agreement.routing.rules):
        path: Path = ("routing", "rules", number, "when")
        asked += [((*path, part), getattr(rule.when, part) or []) for part in ("flags_any", "flags_none")]
    for path, flags in asked:
        for index, flag in enumerate(flags):
            meant = misspelt(flag, given)
            if meant is not None:
                yield Finding((*path, index), f"nothing sets the flag {flag!r}", f"write `{meant}`")


def residency_findings(agreement: Agreement) -> Iterator[Finding]:
    """Words of regions that only one side uses."""
    named = {region for partner in agreement.partners.values() for region in partner.regions}
    asked = {region for rule in agreement.residency for region in rule.regions}
    for number, rule in enumerate(agreement.residency):
        path: Path = ("residency", number)
        if rule.when.open or rule.when.closed or rule.when.closing or rule.when.queue or rule.when.cause:
            yield Finding(
                (*path, "when"),
                "it asks about the hour or the way of a ticket",
                "ask about the ticket alone: data does not change its place by the hour",
            )
        for index, region in enumerate(rule.regions):
            if region not in named and agreement.partners:
                near = difflib.get_close_matches(region, sorted(named), 1)
                yield Finding(
                    (*path, "regions", index),
                    f"no partner sees data in {region!r}",
                    f"write `{near[0]}`" if near else "name it under a partner's `regions`, or remove it",
                )
    for name, partner in agreement.partners.items():
        for index, region in enumerate(partner.regions):
            meant = misspelt(region, asked)
            if meant is not None:  # else data simply is not to be seen there
                yield Finding(
                    ("partners", name, "regions", index),
                    f"no rule of `residency` speaks of {region!r}",
                    f"write `{meant}`",
                )


def skill_findings(agreement: Agreement) -> Iterator[Finding]:
    """Skills that are asked for and that nobody has."""
    had = {skill for _, skills in _skills_of(agreement) for skill in skills}
    for number, rule in enumerate(agreement.routing.skills):
        for index, skill in enumerate(rule.skills):
            if skill not in had:
                near = difflib.get_close_matches(skill, sorted(had), 1)
                yield Finding(
                    ("routing", "skills", number, "skills", index),
                    f"nobody has the skill {skill!r}",
                    f"write `{near[0]}`" if near else "name it under `skills` of a queue or of a group of its agents",
                )
    asked = sorted({skill for rule in agreement.routing.skills for skill in rule.skills})
    for path, skills in _skills_of(agreement):
        for index, skill in enumerate(skills):
            meant = misspelt(skill, asked)
            if meant is not None:  # else nobody asks for it yet, which harms nobody
                yield Finding((*path, index), f"no rule asks for the skill {skill!r}", f"write `{meant}`")


def _skills_of(agreement: Agreement) -> Iterator[tuple[Path, list[str]]]:
    for name, queue in agreement.queues.items():
        yield ("queues", name, "skills"), queue.skills
        for group, agents in queue.groups.items():
            yield ("queues", name, "groups", group, "skills"), agents.skills


def candidate_findings(agreement: Agreement) -> Iterator[Finding]:
    """Candidates that can never have what their rule is about."""
    for number, rule in enumerate(agreement.routing.rules):
        for index, name in enumerate(rule.to):
            path: Path = ("routing", "rules", number, "to", index)
            groups = agreement.routing.group_queues
            if name == GROUP and rule.when.group and groups and not groups.keys() & set(rule.when.group):
                yield Finding(
                    path,
                    f"none of the groups {', '.join(rule.when.group)} stands for a queue",
                    "add them to `routing.group_queues`, or name a queue",
                )
            if name in rule.to[:index]:
                yield Finding(path, f"{name} stands twice", "name each candidate once")
            queue = agreement.queues.get(name)
            if queue is None:
                continue
            if rule.when.queue == [name]:
                yield Finding(path, f"the rule is about tickets that leave {name}", "name where they are to go instead")
            partner = agreement.partners.get(queue.partner) if queue.partner is not None else None
            if partner is None:
                continue
            when = rule.when
            if when.flags_any and set(when.flags_any) <= set(partner.never_flags):
                yield Finding(
                    path,
                    f"{name} never has these tickets: its contract keeps {', '.join(when.flags_any)} inside",
                    f"name an internal queue, or change `partners.{queue.partner}.never_flags`",
                )
            about = partner.categories
            if when.category and about is not None and not _meet(when.category, about, agreement):
                yield Finding(
                    path,
                    f"{name} never has these tickets: its contract is about {', '.join(about)}",
                    f"name another queue, or add to `partners.{queue.partner}.categories`",
                )
            for field, allowed in (("customer", partner.customers), ("language", partner.languages)):
                asked = getattr(when, field)
                if asked and allowed is not None and not _words_meet(asked, allowed):
                    yield Finding(
                        path,
                        f"{name} never has these tickets: its contract is for {field} {', '.join(allowed)}",
                        f"name another queue, or add to `partners.{queue.partner}.{field}s`",
                    )


def _words_meet(asked: Sequence[str], allowed: Sequence[str]) -> bool:
    return any(word in allowed or word.partition("-")[0] in allowed for word in asked)


def _meet(one: Sequence[str], other: Sequence[str], agreement: Agreement) -> bool:
    """Whether the subtrees of two lists of categories have something in common."""
    above = agreement.ancestors
    return any(a in above.get(b, ()) or b in above.get(a, ()) for a in one for b in other)


def circle_findings(agreement: Agreement) -> Iterator[Finding]:
    """Queues that hand a ticket round among them when it climbs: each the first choice of the one before. What reaches
    the duty queue is at the end of the way."""
    seen: set[frozenset[str]] = set()
    for cause in UPWARD:
        ways = _Ways(agreement, cause)
        for queue in agreement.queues:
            for circle, number in ways.circles(queue):
                if frozenset(circle) in seen:
                    continue
                seen.add(frozenset(circle))
                yield Finding(
                    ("routing", "rules", number, "to"),
                    f"for {cause} it goes round in a circle: {' -> '.join([*circle, circle[0]])}",
                    "name somebody new first, or leave out with `queue` where these tickets come from",
                )


class _Ways:
    """Where tickets of each queue go at first choice, for one cause, by the rules that name it."""

    def __init__(self, agreement: Agreement, cause: str) -> None:
        self._agreement = agreement
        self._rules = [
            (number, rule)
            for number, rule in enumerate(agreement.routing.rules)
            if rule.when.cause is None or cause in rule.when.cause
        ]
        self._named = {number for number, rule in self._rules if rule.when.cause is not None}
        self._steps = 0

    def circles(self, start: str) -> Iterator[tuple[list[str], int]]:
        """(the queues of a circle through `start`, the rule that closes it)."""
        yield from self._walk(start, start, [start], Condition())

    def _walk(self, start: str, queue: str, way: list[str], what: Condition) -> Iterator[tuple[list[str], int]]:
        for number, to, both in self._edges(queue, what):
            self._steps += 1
            if self._steps > _MOST_STEPS:
                return
            if to == start and len(way) > 1:
                yield way, number
            elif to not in way and len(way) < len(self._agreement.queues):
                yield from self._walk(start, to, [*way, to], both)

    def _edges(self, queue: str, what: Condition) -> Iterator[tuple[int, str, Condition]]:
        """(rule, its first choice, what tickets it is about) for tickets of a kind that leave this queue. A rule that
        an earlier one always goes before is none."""
        before: list[RoutingRule] = []
        for number, rule in self._rules:
            if rule.when.queue is None or queue in rule.when.queue:
                both = _both(what, rule.when, self._agreement)
                to = next((name for name in rule.to if name != queue and name in self._agreement.queues), None)
                if both is not None:
                    climbs = number in self._named and to not in (None, self._agreement.routing.duty_queue)
                    if climbs and to is not None and not self._preceded(both, before):
                        yield number, to, both
                    before.append(rule)

    def _preceded(self, what: Condition, before: Sequence[RoutingRule]) -> bool:
        free = {"queue": None, "cause": None}
        return any(weaker(rule.when.model_copy(update=free), what, self._agreement.ancestors) for rule in before)


def _both(one: Condition, other: Condition, agreement: Agreement) -> Condition | None:
    """What both are about, the queue and the cause apart; None when there is certainly no such ticket."""
    joined: dict[str, Any] = {}
    for field in (*ONE_OF, "open"):
        a, b = getattr(one, field), getattr(other, field)
        joined[field] = b if a is None else a if b is None else [value for value in a if value in b]
        if joined[field] == [] and field != "open":
            return None
        if field == "open" and a is not None and b is not None:
            joined[field] = a  # each asks for one of its own to be open: both can be
    if one.vip is not None and other.vip is not None and one.vip != other.vip:
        return None
    joined["vip"] = other.vip if one.vip is None else one.vip
    joined["category"] = _common(one.category, other.category, agreement)
    if joined["category"] == []:
        return None
    joined["flags_any"] = one.flags_any or other.flags_any
    none = sorted({*(one.flags_none or ()), *(other.flags_none or ())})
    closed = sorted({*(one.closed or ()), *(other.closed or ())})
    joined["flags_none"], joined["closed"] = none or None, closed or None
    for asked, forbidden in (("flags_any", none), ("open", closed)):
        for side in (one, other):
            wanted = getattr(side, asked)
            if wanted and set(wanted) <= set(forbidden):
                return None
    for field in ("age_at_least_minutes", "transfers_at_least"):
        given = [value for value in (getattr(one, field), getattr(other, field)) if value is not None]
        joined[field] = max(given, default=None)
    joined["closing"] = one.closing or other.closing
    return Condition.model_construct(None, **{**_FREE, **joined})


_FREE: Mapping[str, Any] = dict.fromkeys(Condition.model_fields)


def _common(one: list[str] | None, other: list[str] | None, agreement: Agreement) -> list[str] | None:
    """The categories whose subtrees lie in both; None: all."""
    if one is None or other is None:
        return other if one is None else one
    above = agreement.ancestors
    inner = [c for c in one if not above.get(c, frozenset()).isdisjoint(other)]
    return inner + [c for c in other if c not in inner and not above.get(c, frozenset()).isdisjoint(one)]
