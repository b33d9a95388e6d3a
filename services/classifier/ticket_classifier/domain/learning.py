"""What people's corrections say of the classifications: accuracy by category and side, drift, and what to recalibrate.

People mostly write when something is wrong, so two figures stand side by side: of the decisions somebody spoke of, the
share confirmed; of all decisions, the share contested. The first is too dark, the second too bright. A category is
named for recalibration only when it is contested more often than its own confidence allows, even if everybody who was
silent agreed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt
from typing import Final

import msgspec

from ticket_contracts.classification import TicketClassified
from ticket_contracts.tickets import Feedback

NOBODY: Final = "-"
"""The category of a decision that was left to people."""
_FEWEST: Final = 3
"""Contested decisions, before a category is named."""
_Z: Final = 1.645
_LEAST_SHARE: Final = 1e-4
_WATCH: Final = 0.1
_SHIFTED: Final = 0.25
"""Bounds of the population stability index, as credit scoring uses them."""
_LESS_KNOWN: Final = 0.05


class CategoryReview(msgspec.Struct, frozen=True):
    """decisions: that named it. confidence: their mean. confirmed, contested: by people's word on that very decision.
    missed: decisions for something else that people moved here. at_least: the share of its decisions that is wrong,
    with 95 % certainty at least this, taking silence for agreement. recalibrate: that is more than its confidence
    allows."""

    category: str
    decisions: int
    confidence: float
    confirmed: int
    contested: int
    missed: int
    at_least: float
    recalibrate: bool


class SideReview(msgspec.Struct, frozen=True):
    side: str
    confirmed: int
    contested: int


class PeriodReview(msgspec.Struct, frozen=True):
    """A month of decisions. words: the mean share of words that the text model knew, of those it was asked about."""

    month: str
    decisions: int
    abstained: float
    contested: float
    words: float | None


class Baseline(msgspec.Struct, frozen=True):
    """How it was at training time: the model's labels with their share, and the mean share of words known."""

    model: str
    shares: dict[str, float]
    words: float


class Drift(msgspec.Struct, frozen=True):
    """The text model's labels now against training. index: the population stability index, 0: the same mix. words: the
    mean share known now, and then. state: `steady`, `watch` or `shifted`. moved: label -> (then, now), the furthest
    first."""

    model: str
    asked: int
    index: float
    words: float
    words_then: float
    state: str
    moved: dict[str, tuple[float, float]]


class ShadowReview(msgspec.Struct, frozen=True):
    """The candidate beside what was decided. agreed: of `decisions`. judged: those whose category people spoke of; of
    them right: both, the live decision alone, the candidate alone, neither."""

    candidate: str
    decisions: int
    agreed: int
    judged: int
    both: int
    live_only: int
    candidate_only: int
    neither: int


class Review(msgspec.Struct, frozen=True):
    """categories: those to recalibrate first, then the most contested. confusion: (is, said to be, decisions), most
    first. ignored: feedback on decisions that are not there."""

    decisions: int
    heard: int
    confirmed: int
    contested: int
    categories: list[CategoryReview]
    sides: list[SideReview]
    confusion: list[tuple[str, str, int]]
    periods: list[PeriodReview]
    drift: list[Drift]
    shadows: list[ShadowReview]
    ignored: int

    @property
    def recalibrate(self) -> list[str]:
        return [row.category for row in self.categories if row.recalibrate]


def review(
    decisions: Sequence[TicketClassified], feedback: Iterable[Feedback], baselines: Mapping[str, Baseline]
) -> Review:
    """decisions: every version, in any order. baselines: by the model's digest."""
    by_version = {(event.ticket, event.classification_version): event for event in decisions}
    # The last word on a decision counts, of whoever said it.
    heard: dict[tuple[str, int], Feedback] = {}
    ignored = 0
    for said in sorted(feedback, key=lambda one: (one.at, one.feedback_id)):
        if said.category is None or said.classification_version is None:
            continue
        key = said.ticket, said.classification_version
        if key in by_version:
            heard[key] = said
        else:
            ignored += 1
    made = [event for event in decisions if event.rule != "correction"]
    wrong = {key for key, said in heard.items() if said.category != said_category(by_version[key])}
    sides: Counter[tuple[str, bool]] = Counter((said.side, key in wrong) for key, said in heard.items())
    confusion = Counter((said.category or "", said_category(by_version[key])) for key, said in heard.items())
    return Review(
        decisions=len(made),
        heard=len(heard),
        confirmed=len(heard) - len(wrong),
        contested=len(wrong),
        categories=_categories(made, heard, wrong),
        sides=[SideReview(side, sides[side, False], sides[side, True]) for side in sorted({side for side, _ in sides})],
        confusion=[(truth, called, count) for (truth, called), count in confusion.most_common() if truth != called],
        periods=_periods(made, wrong),
        drift=_drift(made, baselines),
        shadows=_shadows(made, heard),
        ignored=ignored,
    )


def said_category(event: TicketClassified) -> str:
    return NOBODY if event.abstained or event.category is None else event.category


def _categories(
    made: Sequence[TicketClassified], heard: Mapping[tuple[str, int], Feedback], wrong: set[tuple[str, int]]
) -> list[CategoryReview]:
    decisions: Counter[str] = Counter()
    sure: dict[str, float] = {}
    confirmed: Counter[str] = Counter()
    contested: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for event in made:
        category, key = said_category(event), (event.ticket, event.classification_version)
        decisions[category] += 1
        sure[category] = sure.get(category, 0.0) + event.confidence
        if key in wrong:
            contested[category] += 1
            missed[heard[key].category or ""] += 1
        elif key in heard:
            confirmed[category] += 1
    rows = []
    for category in sorted(decisions | missed):
        count = decisions[category]
        confidence = sure[category] / count if count else 0.0
        least = wilson(contested[category], count)[0]
        rows.append(
            CategoryReview(
                category=category,
                decisions=count,
                confidence=round(confidence, 4),
                confirmed=confirmed[category],
                contested=contested[category],
                missed=missed[category],
                at_least=round(least, 4),
                recalibrate=category != NOBODY and contested[category] >= _FEWEST and least > 1 - confidence,
            )
        )
    return sorted(rows, key=lambda row: (not row.recalibrate, -row.contested, -row.missed, row.category))


def _periods(made: Sequence[TicketClassified], wrong: set[tuple[str, int]]) -> list[PeriodReview]:
    months: dict[str, list[TicketClassified]] = {}
    for event in made:
        months.setdefault(f"{event.decided_for:%Y-%m}", []).append(event)
    rows = []
    for month, events in sorted(months.items()):
        known = [event.opinion.words for event in events if event.opinion is not None]
        contested = sum((event.ticket, event.classification_version) in wrong for event in events)
        rows.append(
            PeriodReview(
                month,
                len(events),
                round(sum(event.abstained for event in events) / len(events), 4),
                round(contested / len(events), 4),
                round(sum(known) / len(known), 4) if known else None,
            )
        )
    return rows


def _drift(made: Sequence[TicketClassified], baselines: Mapping[str, Baseline]) -> list[Drift]:
    rows = []
    for digest, then in sorted(baselines.items()):
        opinions = [event.opinion for event in made if event.opinion is not None and event.opinion.model == digest]
        if not opinions:
            continue
        counted = Counter(opinion.label for opinion in opinions)
        shares = {label: counted[label] / len(opinions) for label in then.shares}
        index = stability(then.shares, shares)
        words = sum(opinion.words for opinion in opinions) / len(opinions)
        fewer = then.words - words
        state = "steady"
        if index > _WATCH or fewer > _LESS_KNOWN:
            state = "watch"
        if index > _SHIFTED or fewer > 2 * _LESS_KNOWN:
            state = "shifted"
        moved = {label: (share, round(shares[label], 4)) for label, share in then.shares.items()}
        ranked = sorted(moved.items(), key=lambda item: -abs(item[1][0] - item[1][1]))
        rows.append(Drift(digest, len(opinions), round(index, 4), round(words, 4), then.words, state, dict(ranked)))
    return rows


def _shadows(made: Sequence[TicketClassified], heard: Mapping[tuple[str, int], Feedback]) -> list[ShadowReview]:
    by_candidate: dict[str, list[TicketClassified]] = {}
    for event in made:
        if event.shadow is not None:
            by_candidate.setdefault(event.shadow.opinion.model, []).append(event)
    rows = []
    for candidate, events in sorted(by_candidate.items()):
        agreed = 0
        right: Counter[tuple[bool, bool]] = Counter()
        for event in events:
            shadow = event.shadow
            assert shadow is not None
            live = said_category(event)
            other = NOBODY if shadow.abstained or shadow.category is None else shadow.category
            agreed += live == other
            truth = heard.get((event.ticket, event.classification_version))
            if truth is not None:
                right[live == truth.category, other == truth.category] += 1
        rows.append(
            ShadowReview(
                candidate,
                len(events),
                agreed,
                right.total(),
                right[True, True],
                right[True, False],
                right[False, True],
                right[False, False],
            )
        )
    return rows


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The interval that a share lies in, 90 % two-sided (E. B. Wilson, 1927)."""
    if not count:
        return 0.0, 1.0
    share, z = hits / count, _Z
    middle = share + z * z / (2 * count)
    wide = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    below = 1 + z * z / count
    return max((middle - wide) / below, 0.0), min((middle + wide) / below, 1.0)


def stability(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """The population stability index of two mixes: sum of (now - then) * ln(now / then)."""
    total = 0.0
    for label in {*then, *now}:
        a, b = max(then.get(label, 0.0), _LEAST_SHARE), max(now.get(label, 0.0), _LEAST_SHARE)
        total += (b - a) * log(b / a)
    return total
