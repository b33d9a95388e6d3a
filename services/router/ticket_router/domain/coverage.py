"""Who would answer, at every minute of a span: each tier and category by an open queue, or by the duty owner alone."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

import msgspec

from ticket_contracts.agreement.model import Category
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.decide import Request, decide
from ticket_router.domain.places import Holding
from ticket_router.domain.policy import Measured, Policy, QueuePlan

TIERS: Final = (0, 1, 2, 3)
_PRIORITIES: Final = ("P1", "P2", "P3", "P4", "P5")


class Stretch(msgspec.Struct, frozen=True):
    """A span of one tier in which nothing changes. queues: who would get how many of the tickets asked about.
    gaps: categories for which nobody but the duty owner is left, with the priorities for which that is so."""

    tier: int
    begin: dt.datetime
    until: dt.datetime
    queues: tuple[tuple[str, int], ...]
    gaps: tuple[tuple[str, str], ...]


class _Empty:
    """A desk without a ticket: coverage is about hours, not load."""

    def load(self, place: str) -> int:
        return 0

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        return Measured()

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        return 0, 0

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        return 0


def coverage(policy: Policy, begin: dt.datetime, until: dt.datetime, language: str = "en") -> list[Stretch]:
    """Each tier from `begin` to `until`, cut wherever a calendar opens, closes or comes near its closing.

    The tickets asked about are new incidents of the desk's first source, one for each category and priority.
    """
    instants = [*_changes(policy, begin, until), until]
    found: list[Stretch] = []
    for tier in TIERS:
        pieces = [_stretch(policy, tier, a, b, language) for a, b in pairwise(instants)]
        for (queues, gaps), group in groupby(pieces, key=lambda s: (s.queues, s.gaps)):
            same = list(group)
            found.append(Stretch(tier, same[0].begin, same[-1].until, queues, gaps))
    return found


def _changes(policy: Policy, begin: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """`begin`, and every instant up to `until` at which a rule or a queue may turn out otherwise."""
    first, last = int(begin.timestamp()), int(until.timestamp())
    found = {first}
    for calendar in policy.calendars.values():
        for opens, closes in calendar.windows(first, last):
            found |= {opens, closes}
    for rule in policy.rules:
        closing = rule.when.closing
        if closing is not None:
            lead = 60 * closing.within_minutes
            found |= {closes - lead for _, closes in policy.calendars[closing.calendar].windows(first, last + lead)}
    return [dt.datetime.fromtimestamp(at, dt.UTC) for at in sorted(found) if first <= at < last]


def _stretch(policy: Policy, tier: int, begin: dt.datetime, until: dt.datetime, language: str) -> Stretch:
    queues: Counter[str] = Counter()
    gaps: dict[str, list[str]] = {}
    for category in _categories(policy.agreement.taxonomy):
        for priority in _PRIORITIES:
            facts = TicketFacts(
                source=policy.agreement.sources[0],
                channel="portal",
                kind="incident",
                category=category,
                priority=priority,
                impact="",
                urgency="",
                tier=tier,
                language=language,
            )
            outcome = decide(Request(facts=facts, purpose="first", cause="first"), policy, _Empty(), begin)
            queues[outcome.queue.name] += 1
            if outcome.final:
                gaps.setdefault(category, []).append(priority)
    named = tuple((category, " ".join(priorities)) for category, priorities in gaps.items())
    return Stretch(tier, begin, until, tuple(sorted(queues.items())), named)


def _categories(nodes: list[Category]) -> Iterator[str]:
    for node in nodes:
        yield node.id
        yield from _categories(node.children)


SYMBOLS: Final = {"internal": "I", "partner": "P", "automation": "A"}
GAP: Final = "!"
LEGEND: Final = (
    "I internal, P partner, A automation; a small letter: most, not all of the tickets; "
    "! for some nobody but the duty owner"
)


def picture(policy: Policy, stretches: list[Stretch], zone: dt.tzinfo) -> str:
    """A line a day, a letter an hour, a block a tier; local days of `zone`. An hour with several spans shows a gap, or
    the longest of them."""
    lines: list[str] = []
    for tier in TIERS:
        hours: dict[dt.date, dict[int, Counter[str]]] = {}
        for stretch in (s for s in stretches if s.tier == tier):
            symbol, at = _symbol(policy, stretch), stretch.begin
            while at < stretch.until:
                local, after = at.astimezone(zone), at + dt.timedelta(seconds=3600 - int(at.timestamp()) % 3600)
                spans = hours.setdefault(local.date(), {}).setdefault(local.hour, Counter())
                spans[symbol] += int((min(after, stretch.until) - at).total_seconds())
                at = after
        lines.append(f"tier {tier}           0     3     6     9     12    15    18    21")
        for day, letters in hours.items():
            row = " ".join(_letter(letters.get(hour, Counter())) for hour in range(24))
            lines.append(f"  {day:%a %Y-%m-%d}  {row}".rstrip())
    return "\n".join(lines)


def _symbol(policy: Policy, stretch: Stretch) -> str:
    if stretch.gaps:
        return GAP
    models: Counter[str] = Counter()
    for queue, count in stretch.queues:
        models[SYMBOLS[policy.queues[queue].support_model]] += count
    most = models.most_common(1)[0][0]
    return most if len(models) == 1 else most.lower()


def _letter(spans: Counter[str]) -> str:
    """Of an hour's letters; an hour that summer time skips has none."""
    if not spans:
        return " "
    return GAP if GAP in spans else spans.most_common(1)[0][0]
