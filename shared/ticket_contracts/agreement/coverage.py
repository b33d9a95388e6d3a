"""Who would answer, at every minute of a span: each tier and category by an open queue, or by the duty owner alone.

The question is about hours: on a desk without a ticket. The router, asked the same, names the same queue; tests of its
hold the two together. `coverage` asks about plain tickets, for the picture of the week; `special_spans` about all
others that the agreement tells apart.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import groupby, pairwise
from typing import Final

import msgspec

from business_calendar import Calendar
from ticket_contracts.agreement.conditions import Condition, failed_hour, matches
from ticket_contracts.agreement.model import Agreement, Category, RoutingRule
from ticket_contracts.agreement.special import PRIORITIES, TIERS, SpecialTickets, Trait
from ticket_contracts.agreement.terms import Terms
from ticket_contracts.routing import TicketFacts

_TIMELESS: Final = {"open": None, "closed": None, "closing": None}


class Stretch(msgspec.Struct, frozen=True):
    """A span of one tier in which nothing changes. queues: who would get how many of the tickets asked about.
    gaps: categories for which nobody but the duty owner is left, with the priorities for which that is so."""

    tier: int
    begin: dt.datetime
    until: dt.datetime
    queues: tuple[tuple[str, int], ...]
    gaps: tuple[tuple[str, str], ...]


def home_calendar(agreement: Agreement) -> str | None:
    """The hours of most of the desk's people: of the first internal queue that has any, else the first that a rule asks
    about."""
    queues = [q.calendar for q in agreement.queues.values() if q.support_model == "internal"]
    asked = [name for rule in agreement.routing.rules for name in (rule.when.open or rule.when.closed or ())]
    return next((name for name in (*queues, *asked) if name is not None), None)


def new_incident(agreement: Agreement, category: str, priority: str, tier: int, language: str) -> TicketFacts:
    """The ticket that is asked about: an incident of the desk's first source, just come by the portal."""
    return TicketFacts(
        source=agreement.sources[0],
        channel="portal",
        kind="incident",
        category=category,
        priority=priority,
        impact="",
        urgency="",
        tier=tier,
        language=language,
    )


def coverage(
    agreement: Agreement,
    calendars: Mapping[str, Calendar],
    begin: dt.datetime,
    until: dt.datetime,
    language: str = "en",
) -> list[Stretch]:
    """Each tier from `begin` to `until`, cut wherever a calendar opens, closes or comes near its closing, or a queue
    pauses. calendars: all of the agreement's, compiled. Asked about: a new incident of each category and priority."""
    asked = _Asked(agreement, calendars, language)
    instants = [*asked.changes(int(begin.timestamp()), int(until.timestamp())), int(until.timestamp())]
    found: list[Stretch] = []
    for tier in TIERS:
        pieces = [(a, b, asked.answers(tier, a)) for a, b in pairwise(instants)]
        for (queues, gaps), group in groupby(pieces, key=lambda piece: piece[2]):
            same = list(group)
            found.append(Stretch(tier, _utc(same[0][0]), _utc(same[-1][1]), queues, gaps))
    return found


class SpecialSpan(msgspec.Struct, frozen=True):
    """A span in which a rule (None: no rule at all) leaves tickets of these traits to the duty owner, though plain ones
    of their tier, category and priority have somebody. example: attribute -> value of one, of the first such minute;
    None: none was found in reasonable time, and none ruled out."""

    begin: dt.datetime
    until: dt.datetime
    rule: str | None
    traits: tuple[Trait, ...]
    example: dict[str, str] | None


def special_spans(
    agreement: Agreement,
    calendars: Mapping[str, Calendar],
    begin: dt.datetime,
    until: dt.datetime,
    language: str = "en",
) -> list[SpecialSpan]:
    """When nobody but the duty owner is there for tickets of some customer, language, site, flag or whatever else the
    agreement names. Of all such tickets, not of samples. language: of the plain ones, of which `coverage` tells."""
    asked, special = _Asked(agreement, calendars, language), SpecialTickets(agreement, calendars, language)
    first, last = int(begin.timestamp()), int(until.timestamp())
    states: dict[tuple[object, ...], dict[_Special, dict[str, str] | None]] = {}
    open_: dict[_Special, tuple[int, dict[str, str] | None]] = {}
    found: list[SpecialSpan] = []

    def close(gap: _Special, at: int) -> None:
        since, example = open_.pop(gap)
        found.append(SpecialSpan(_utc(since), _utc(at), *gap, example))

    for at in asked.changes(first, last):
        state = tuple(asked.state(at))
        if state not in states:
            plain = {
                (tier, category): which.split() for tier in TIERS for category, which in asked.answers(tier, at)[1]
            }
            exposed = special.exposed(at, partial(asked.is_open, at=at), plain)
            states[state] = {(those.rule, those.traits): those.example for those in exposed}
        for gap in open_.keys() - states[state].keys():
            close(gap, at)
        for gap, example in states[state].items():
            open_.setdefault(gap, (at, example))
    for gap in list(open_):
        close(gap, last)
    words = cache(lambda traits: [str(trait) for trait in traits])  # the same come again every day
    return sorted(found, key=lambda span: (span.begin, span.rule or "", words(span.traits)))


_Special = tuple[str | None, tuple[Trait, ...]]
"""(rule, traits)."""

Answers = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]


class _Asked:
    """What rules and contracts say of each ticket apart from the hour is found once; each state of the hours once."""

    def __init__(self, agreement: Agreement, calendars: Mapping[str, Calendar], language: str) -> None:
        self._agreement = agreement
        self._calendars = calendars
        self._language = language
        self._terms = {name: Terms(partner, agreement.ancestors) for name, partner in agreement.partners.items()}
        self._rules = [(rule, _timeless(rule.when)) for rule in agreement.routing.rules]
        self._skills = [(rule, _timeless(rule.when)) for rule in agreement.routing.skills]
        self._spans = {
            name: [(int(p.begin.timestamp()), int(p.until.timestamp())) for p in queue.pauses]
            for name, queue in agreement.queues.items()
            if queue.pauses
        }
        self._hours = {
            name: tuple(
                calendar
                for calendar in (queue.calendar, agreement.partners[queue.partner].calendar if queue.partner else None)
                if calendar is not None
            )
            for name, queue in agreement.queues.items()
        }
        self._of_tier: dict[int, list[tuple[str, str, TicketFacts, list[RoutingRule]]]] = {}
        self._known: dict[tuple[object, ...], Answers] = {}

    def changes(self, first: int, last: int) -> list[int]:
        """`first`, and every second up to `last` at which an answer may turn out otherwise."""
        found = {first}
        for calendar in self._calendars.values():
            for opens, closes in calendar.windows(first, last):
                found |= {opens, closes}
        for when in self._conditions():
            closing = when.closing
            if closing is not None:
                lead = 60 * closing.within_minutes
                windows = self._calendars[closing.calendar].windows(first, last + lead)
                found |= {closes - lead for _, closes in windows}
        found |= {edge for spans in self._spans.values() for span in spans for edge in span}
        return sorted(at for at in found if first <= at < last)

    def _conditions(self) -> Iterator[Condition]:
        routing = self._agreement.routing
        yield from (rule.when for rule in routing.rules)
        yield from (rule.when for rule in routing.skills)

    def answers(self, tier: int, at: int) -> Answers:
        """(queue -> tickets that it would get, gaps) at that second."""
        state = (tier, *self.state(at))
        known = self._known.get(state)
        if known is None:
            known = self._known[state] = self._answers(tier, at)
        return known

    def state(self, at: int) -> Iterator[object]:
        """All of the hour that an answer depends on."""
        for calendar in self._calendars.values():
            yield calendar.is_open(at)
        for when in self._conditions():
            if when.closing is not None:
                yield self._hour_holds(when, at)
        for name in self._spans:
            yield self._paused(name, at)

    def _answers(self, tier: int, at: int) -> Answers:
        queues: Counter[str] = Counter()
        gaps: dict[str, list[str]] = {}
        for category, priority, facts, rules in self._tickets(tier):
            duty = self._agreement.routing.duty_queue
            queue = self._queue(facts, rules, at) or duty
            if queue == duty:  # by a rule that names it, too
                gaps.setdefault(category, []).append(priority)
            queues[queue] += 1
        return tuple(sorted(queues.items())), tuple((category, " ".join(which)) for category, which in gaps.items())

    def _tickets(self, tier: int) -> list[tuple[str, str, TicketFacts, list[RoutingRule]]]:
        """(category, priority, the ticket, the rules that hold of it at some hour) of every ticket asked about."""
        if tier not in self._of_tier:
            self._of_tier[tier] = [
                (category, priority, facts, [rule for rule, when in self._rules if self._holds(when, facts)])
                for category in _categories(self._agreement.taxonomy)
                for priority in PRIORITIES
                for facts in [new_incident(self._agreement, category, priority, tier, self._language)]
            ]
        return self._of_tier[tier]

    def _holds(self, when: Condition, facts: TicketFacts) -> bool:
        return matches(when, facts, _EPOCH, {}, ancestors=self._agreement.ancestors, cause="first")

    def _hour_holds(self, when: Condition, at: int) -> bool:
        return failed_hour(when, at, self._calendars) is None

    def _queue(self, facts: TicketFacts, rules: list[RoutingRule], at: int) -> str | None:
        rule = next((rule for rule in rules if self._hour_holds(rule.when, at)), None)
        return None if rule is None else next((name for name in rule.to if self._takes(name, facts, at)), None)

    def is_open(self, name: str, at: int) -> bool:
        """Whether that queue works at that second."""
        if not self._agreement.queues[name].enabled or self._paused(name, at):
            return False
        return all(self._calendars[hours].is_open(at) for hours in self._hours[name])

    def _takes(self, name: str, facts: TicketFacts, at: int) -> bool:
        agreement = self._agreement
        queue = agreement.queues.get(name)
        if queue is None or not self.is_open(name, at):
            return False
        if queue.partner is not None:
            terms = self._terms[queue.partner]
            residency = [rule for rule in agreement.residency if self._holds(rule.when, facts)]
            if terms.keeps(facts) is not None or not all(terms.sees(frozenset(r.regions)) for r in residency):
                return False
        needs = {
            skill
            for rule, when in self._skills
            if self._holds(when, facts) and self._hour_holds(rule.when, at)
            for skill in rule.skills
        }
        groups = [{*queue.skills, *agents.skills} for agents in queue.groups.values()] or [set(queue.skills)]
        return any(needs <= skills for skills in groups)

    def _paused(self, name: str, at: int) -> bool:
        return any(begin <= at < until for begin, until in self._spans.get(name, ()))


_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)


def _timeless(when: Condition) -> Condition:
    """What the condition asks of the ticket alone."""
    return when.model_copy(update=_TIMELESS)


def _utc(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)


def _categories(nodes: list[Category]) -> Iterator[str]:
    for node in nodes:
        yield node.id
        yield from _categories(node.children)


class GapSpan(msgspec.Struct, frozen=True):
    """A span of one tier in which the same gaps are open, whoever else answers meanwhile."""

    tier: int
    begin: dt.datetime
    until: dt.datetime
    gaps: tuple[tuple[str, str], ...]


def gap_spans(stretches: Iterable[Stretch]) -> list[GapSpan]:
    """The gaps of stretches that follow one another tier by tier, as `coverage` has them."""
    found: list[GapSpan] = []
    for (tier, gaps), group in groupby(stretches, key=lambda s: (s.tier, s.gaps)):
        same = list(group)
        if gaps:
            found.append(GapSpan(tier, same[0].begin, same[-1].until, gaps))
    return found


class Gap(msgspec.Struct, frozen=True):
    """A span of the week in which only the duty owner is there, as often as it comes. tiers: for which it is the same.
    weekday: 0 is Monday; clock: `11:00-17:00`, local. seconds: in all, of one tier. first: the first time. gaps: as a
    stretch's."""

    tiers: tuple[int, ...]
    weekday: int
    clock: str
    times: int
    seconds: int
    first: dt.datetime
    gaps: tuple[tuple[str, str], ...]


def gaps_of(stretches: list[Stretch], zone: dt.tzinfo) -> list[Gap]:
    """The gaps as the week has them, those that last longest in all first."""
    spans: dict[tuple[int, int, str, tuple[tuple[str, str], ...]], list[GapSpan]] = {}
    for span in gap_spans(stretches):
        begin, until = span.begin.astimezone(zone), span.until.astimezone(zone)
        spans.setdefault((span.tier, begin.weekday(), _clock(begin, until), span.gaps), []).append(span)
    tiers: dict[tuple[object, ...], list[int]] = {}
    found: dict[tuple[object, ...], Gap] = {}
    for (tier, weekday, clock, gaps), same in spans.items():
        lasted = sum(int((s.until - s.begin).total_seconds()) for s in same)
        key = (weekday, clock, gaps, len(same), lasted, same[0].begin)
        tiers.setdefault(key, []).append(tier)
        found[key] = Gap(tuple(tiers[key]), weekday, clock, len(same), lasted, same[0].begin, gaps)
    return sorted(found.values(), key=lambda gap: (-gap.seconds, gap.first, gap.tiers))


class SpecialGap(msgspec.Struct, frozen=True):
    """Spans of special tickets, as the week has them: as a gap's."""

    weekday: int
    clock: str
    times: int
    seconds: int
    first: dt.datetime
    rule: str | None
    traits: tuple[Trait, ...]
    example: dict[str, str] | None


def special_gaps(spans: Iterable[SpecialSpan], zone: dt.tzinfo) -> list[SpecialGap]:
    """Those that last longest in all first."""
    same: dict[tuple[int, str, str | None, tuple[Trait, ...]], list[SpecialSpan]] = {}
    for span in spans:
        begin, until = span.begin.astimezone(zone), span.until.astimezone(zone)
        same.setdefault((begin.weekday(), _clock(begin, until), span.rule, span.traits), []).append(span)
    found = [
        SpecialGap(
            weekday,
            clock,
            len(those),
            sum(int((s.until - s.begin).total_seconds()) for s in those),
            those[0].begin,
            rule,
            traits,
            those[0].example,
        )
        for (weekday, clock, rule, traits), those in same.items()
    ]
    return sorted(found, key=lambda gap: (-gap.seconds, gap.first, gap.rule or "", [str(t) for t in gap.traits]))


def special_of(rule: str | None, traits: Iterable[Trait], example: Mapping[str, str] | None) -> str:
    """Whom a rule leaves alone, in few words: what is special of them, and one of them."""
    said = ", ".join(str(t) for t in traits if not t.plain and t.attribute not in ("tier", "category", "priority"))
    if example is None:
        one = "an example was not found, nor that there is none"
    else:
        one = "e.g. " + ", ".join(f"{name} {value}" for name, value in example.items())
    return f"{f'rule {rule}' if rule else 'no rule'}{f', {said}' if said else ''} ({one})"


def _clock(begin: dt.datetime, until: dt.datetime) -> str:
    days = (until.date() - begin.date()).days
    if days == 1 and (until.hour, until.minute) == (0, 0):
        return f"{begin:%H:%M}-24:00"
    later = "" if days == 0 else " next day" if days == 1 else f" {days} days later"
    return f"{begin:%H:%M}-{until:%H:%M}{later}"


def whom(agreement: Agreement, gaps: Iterable[tuple[str, str]]) -> str:
    """A stretch's gaps in few words: the topmost of the categories that have the same priorities."""
    by_priorities: dict[str, list[str]] = {}
    for category, priorities in gaps:
        by_priorities.setdefault(priorities, []).append(category)
    parts = []
    for priorities, categories in by_priorities.items():
        if len(categories) == len(agreement.ancestors):
            named = "every category"
        else:
            gone = {c for c in categories if any(c != a and a in categories for a in agreement.ancestors[c])}
            tops = [c for c in categories if c not in gone]
            named = ", ".join(tops[:4]) + (f" and {len(tops) - 4} more" if len(tops) > 4 else "")
        parts.append(named if priorities == " ".join(PRIORITIES) else f"{named} ({priorities})")
    return "; ".join(parts)
