"""What a history says: pure functions of its tickets. Every limit is named here, and shown on the page."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import fmean, median, pstdev

from business_calendar import Calendar
from sla_monitor.baseline.history import History, Past

SMALL = 20
"""Categories with fewer tickets are looked at together: their own figures would be chance."""


@dataclass(frozen=True, slots=True)
class Goal:
    """How long tickets of a priority took. wall, business: hours at the 50th, 80th and 90th percentile. kept: the share
    whose SLA the tool says was met."""

    priority: str
    tickets: int
    wall: tuple[float, float, float]
    business: tuple[float, float, float]
    kept: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a hand-over. passed: None where the history does not say. mendable: work before the start can
    put it right; otherwise it speaks against the hand-over itself."""

    name: str
    passed: bool | None
    says: str
    mendable: bool


@dataclass(frozen=True, slots=True)
class Category:
    """A category over the whole history. a_week: tickets; swing: standard deviation of full weeks over their mean.
    alone: share solved by the first group and not reopened. top_group: who solved most, and its share. covered: share
    with an article. urgent: P1 and P2. verdict: go, go with conditions, no-go, or too small to say."""

    name: str
    tickets: int
    a_week: float
    swing: float | None
    alone: float
    top_group: str | None
    top_share: float
    groups: int
    covered: float | None
    urgent: float
    reopened: float
    median_hours: float | None
    spread: float | None
    renamed: float
    checks: list[Check] = field(default_factory=list)
    verdict: str = ""

    @property
    def unwritten(self) -> int:
        """Tickets without an article."""
        return round(self.tickets * (1 - (self.covered or 0.0)))

    @property
    def conditions(self) -> list[str]:
        return [check.says for check in self.checks if check.passed is False]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A category to automate; against: what speaks against it, nothing where it is worth doing now."""

    category: Category
    against: list[str]


@dataclass(frozen=True, slots=True)
class Predictability:
    """daily_error: of a forecast of each day by its weekday's mean over the days before, the sum of errors over the
    sum of tickets, on the last third; 0: exact. by_chance: the same of one mean for all days. group_by_category: on
    the last third, how often the group that solved most tickets of the category before solves the next. first_group:
    how often the first group was the last."""

    daily_error: float | None
    by_chance: float | None
    group_by_category: float | None
    first_group: float | None


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """categories: how many are used. effective: the number of equally large categories of the same entropy. half: how
    many hold half of the tickets. small: those with fewer than SMALL tickets, and their share. unnamed: share without a
    category. catch_all: categories whose name says nothing, with their share. renamed: share of tickets whose category
    was changed on the way. alike: pairs that the same group solves in about the same time: could be one."""

    categories: int
    effective: float
    half: int
    small: int
    small_share: float
    unnamed: float
    catch_all: list[tuple[str, float]]
    renamed: float
    scattered: list[Category]
    alike: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Baseline:
    history: History
    since: date
    until: date
    weeks: float
    goals: list[Goal]
    categories: list[Category]
    predictability: Predictability
    taxonomy: Taxonomy
    covered: float | None
    automate: list[Candidate]
    hours: list[list[int]]
    days: list[tuple[date, int]]
    channels: list[tuple[str, int]]
    outside_hours: float
    verdict: str
    reasons: list[str]


def analyse(history: History, calendar: Calendar) -> Baseline:
    """calendar: the hours in which the company works today."""
    tickets = history.tickets
    since, until = tickets[0].opened_at.date(), tickets[-1].opened_at.date()
    weeks = max(((until - since).days + 1) / 7, 1 / 7)
    categories = _categories(tickets, since, until, weeks)
    hours = [[0] * 24 for _ in range(7)]
    for past in tickets:
        hours[past.opened_at.weekday()][past.opened_at.hour] += 1
    per_day = Counter(past.opened_at.date() for past in tickets)
    days = [(since + timedelta(days=n), per_day[since + timedelta(days=n)]) for n in range((until - since).days + 1)]
    known = [past.article for past in tickets if past.article is not None]
    verdict, reasons = _overall(categories, len(tickets))
    return Baseline(
        history=history,
        since=since,
        until=until,
        weeks=weeks,
        goals=_goals(tickets, calendar),
        categories=categories,
        predictability=_predictability(tickets, days),
        taxonomy=_taxonomy(tickets, categories),
        covered=fmean(known) if known else None,
        automate=_automate(categories),
        hours=hours,
        days=days,
        channels=Counter(past.channel for past in tickets).most_common(),
        outside_hours=fmean(not calendar.is_open(int(past.opened_at.timestamp())) for past in tickets),
        verdict=verdict,
        reasons=reasons,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation, as spreadsheets do (PERCENTILE.INC)."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    return ordered[low] + (at - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def _goals(tickets: list[Past], calendar: Calendar) -> list[Goal]:
    grouped: dict[str, list[Past]] = defaultdict(list)
    for past in tickets:
        if past.resolved_at is not None:
            grouped[past.priority].append(past)
    found = []
    for priority, some in sorted(grouped.items()):
        wall = [_hours(past) for past in some]
        business = [
            calendar.elapsed(_second(past.opened_at), _second(past.resolved_at)) / 3600
            for past in some
            if past.resolved_at is not None
        ]
        kept = [past.kept for past in some if past.kept is not None]
        found.append(
            Goal(
                priority,
                len(some),
                (percentile(wall, 0.5), percentile(wall, 0.8), percentile(wall, 0.9)),
                (percentile(business, 0.5), percentile(business, 0.8), percentile(business, 0.9)),
                fmean(kept) if kept else None,
            )
        )
    return found


def _second(at: datetime | None) -> int:
    assert at is not None
    return int(at.timestamp())


def _hours(past: Past) -> float:
    assert past.resolved_at is not None
    return (past.resolved_at - past.opened_at).total_seconds() / 3600


def _categories(tickets: list[Past], since: date, until: date, weeks: float) -> list[Category]:
    grouped: dict[str, list[Past]] = defaultdict(list)
    for past in tickets:
        grouped[past.category].append(past)
    found = []
    for name, some in grouped.items():
        solved = Counter(past.group for past in some if past.group is not None)
        top = solved.most_common(1)[0] if solved else None
        known = [past.article for past in some if past.article is not None]
        times = [_hours(past) for past in some if past.resolved_at is not None]
        category = Category(
            name=name,
            tickets=len(some),
            a_week=len(some) / weeks,
            swing=_swing(some, since, until),
            alone=fmean(past.alone for past in some),
            top_group=top[0] if top else None,
            top_share=top[1] / sum(solved.values()) if top else 0.0,
            groups=len(solved),
            covered=fmean(known) if known else None,
            urgent=fmean(past.priority in ("P1", "P2") for past in some),
            reopened=fmean(past.reopened for past in some),
            median_hours=median(times) if times else None,
            spread=percentile(times, 0.9) / max(median(times), 1 / 60) if times else None,
            renamed=fmean(len(past.categories) > 1 for past in some),
        )
        checks = _checks(category)
        found.append(_judged(category, checks))
    return sorted(found, key=lambda c: (-c.tickets, c.name))


def _swing(some: list[Past], since: date, until: date) -> float | None:
    """Over whole weeks from the first Monday; None with fewer than four."""
    monday = since + timedelta(days=(-since.weekday()) % 7)
    weeks = ((until - monday).days + 1) // 7
    if weeks < 4:
        return None
    counts = [0] * weeks
    for past in some:
        number = (past.opened_at.date() - monday).days // 7
        if 0 <= number < weeks:
            counts[number] += 1
    return pstdev(counts) / fmean(counts) if any(counts) else None


def _checks(c: Category) -> list[Check]:
    """What a hand-over asks of a category. The limits are those that contracts of first lines are usually built on;
    they are a starting point for the talk, not a law."""
    return [
        Check("frequent", c.a_week >= 5, f"{c.a_week:.1f} tickets a week (5 or more)", False),
        Check("harmless", c.urgent <= 0.05, f"{c.urgent:.0%} are P1 or P2 (5 % or fewer)", False),
        Check(
            "steady",
            None if c.swing is None else c.swing <= 0.5,
            "too few whole weeks to say how steady it is"
            if c.swing is None
            else f"weeks swing by {c.swing:.0%} of their mean (50 % or less)",
            False,
        ),
        Check("one team", c.top_share >= 0.6, f"{c.top_share:.0%} are solved by one group (60 % or more)", True),
        Check(
            "one touch", c.alone >= 0.7, f"{c.alone:.0%} are solved by the first group and stay so (70 % or more)", True
        ),
        Check(
            "written down",
            None if c.covered is None else c.covered >= 0.5,
            "the history does not say whether there are articles"
            if c.covered is None
            else f"{c.covered:.0%} have an article (50 % or more)",
            True,
        ),
        Check("lasting", c.reopened <= 0.05, f"{c.reopened:.0%} are reopened (5 % or fewer)", True),
    ]


def _judged(c: Category, checks: list[Check]) -> Category:
    failed = [check for check in checks if check.passed is False]
    if c.tickets < SMALL:
        verdict = "too small"
    elif any(not check.mendable for check in failed) or len(failed) > 2:
        verdict = "no-go"
    elif failed or any(check.passed is None for check in checks):
        verdict = "go with conditions"
    else:
        verdict = "go"
    return dataclasses.replace(c, checks=checks, verdict=verdict)


def _predictability(tickets: list[Past], days: list[tuple[date, int]]) -> Predictability:
    cut = len(days) * 2 // 3
    daily = chance = None
    if cut >= 14 and len(days) - cut >= 7:
        before, after = days[:cut], days[cut:]
        by_weekday = {n: [count for day, count in before if day.weekday() == n] for n in range(7)}
        flat = fmean(count for _, count in before)
        whole = sum(count for _, count in after) or 1
        daily = sum(abs(count - fmean(by_weekday[day.weekday()])) for day, count in after) / whole
        chance = sum(abs(count - flat) for _, count in after) / whole
    grouped = [past for past in tickets if past.group is not None]
    split = len(grouped) * 2 // 3
    by_category = None
    if split >= SMALL and len(grouped) > split:
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        for past in grouped[:split]:
            seen[past.category][past.group or ""] += 1
        usual = {name: counts.most_common(1)[0][0] for name, counts in seen.items()}
        by_category = fmean(usual.get(past.category) == past.group for past in grouped[split:])
    moved = [past.reassigned == 0 for past in grouped]
    return Predictability(daily, chance, by_category, fmean(moved) if moved else None)


_CATCH_ALL = ("other", "misc", "general", "sonstig", "divers", "autre", "otro", "unknown", "default", "inquiry")


def _taxonomy(tickets: list[Past], categories: list[Category]) -> Taxonomy:
    whole = len(tickets)
    named = [c for c in categories if c.name != "none"]
    shares = [c.tickets / whole for c in named]
    entropy = -sum(share * math.log(share) for share in shares)
    half, reached = 0, 0.0
    for share in shares:
        if reached >= 0.5:
            break
        half, reached = half + 1, reached + share
    small = [c for c in named if c.tickets < SMALL]
    large = [c for c in named if c.tickets >= SMALL]
    return Taxonomy(
        categories=len(named),
        effective=math.exp(entropy) if shares else 0.0,
        half=half,
        small=len(small),
        small_share=sum(c.tickets for c in small) / whole,
        unnamed=sum(c.tickets for c in categories if c.name == "none") / whole,
        catch_all=[(c.name, c.tickets / whole) for c in named if any(word in c.name.lower() for word in _CATCH_ALL)],
        renamed=fmean(len(past.categories) > 1 for past in tickets),
        scattered=[c for c in large if c.top_share < 0.4][:8],
        alike=_alike(large),
    )


def _alike(categories: list[Category]) -> list[tuple[str, str, str]]:
    return [
        (one.name, two.name, one.top_group)
        for number, one in enumerate(categories)
        for two in categories[number + 1 :]
        if one.top_group is not None
        and one.top_group == two.top_group
        and min(one.top_share, two.top_share) >= 0.8
        and one.median_hours
        and two.median_hours
        and 0.8 <= one.median_hours / two.median_hours <= 1.25
    ][:8]


def _automate(categories: list[Category]) -> list[Candidate]:
    """The most work that one group does alone, and what stands in the way of a machine."""
    some = sorted((c for c in categories if c.tickets >= SMALL), key=lambda c: (-c.a_week * c.alone, c.name))
    found = []
    for c in some[:8]:
        against = []
        if c.alone < 0.7:
            against.append(f"only {c.alone:.0%} are solved by their first group for good")
        if c.urgent > 0.05:
            against.append(f"{c.urgent:.0%} are urgent")
        if c.spread is None or c.spread > 12:
            against.append("the work is not alike: one in ten takes more than twelve times the middle one")
        if c.covered is not None and c.covered < 0.3:
            against.append(f"{c.covered:.0%} have an article to take the steps from")
        found.append(Candidate(c, against))
    return sorted(found, key=lambda candidate: len(candidate.against))


def _overall(categories: list[Category], whole: int) -> tuple[str, list[str]]:
    share = {
        verdict: sum(c.tickets for c in categories if c.verdict == verdict) / whole
        for verdict in ("go", "go with conditions", "no-go", "too small")
    }
    failing: Counter[str] = Counter()
    for c in categories:
        if c.verdict in ("no-go", "go with conditions"):
            for check in c.checks:
                if check.passed is False:
                    failing[check.name] += c.tickets
    said = (
        f"{share['go']:.0%} of the tickets are in categories that could be handed over as they are,"
        f" {share['go with conditions']:.0%} in such as could be once their conditions are met,"
        f" {share['no-go']:.0%} in such as should stay, {share['too small']:.0%} in such as are too small to say."
    )
    reasons = [said]
    for name, tickets in failing.most_common(3):
        reasons.append(f"“{name}” fails for categories with {tickets / whole:.0%} of the tickets{_MEND[name]}.")
    if share["go"] >= 0.25:
        return "Go", reasons
    if share["go"] + share["go with conditions"] >= 0.25:
        return "Go with conditions", reasons
    return "No-go for now", reasons


_MEND = {
    "frequent": ": too little work for a contract of its own",
    "harmless": ": too much of it is urgent to be learnt on the job",
    "steady": ": a partner would have to hold people for peaks, and will price them",
    "one team": ": say first who solves what, and route by it",
    "one touch": ": settle first which group is the right one, or tickets will go back and forth between two companies",
    "written down": ": write the articles before the start, from the tickets that were solved well",
    "lasting": ": find out first why solutions do not last",
}
