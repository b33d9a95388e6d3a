"""How good opinions were: accuracy, macro-F1, calibration, and what is gained by leaving the unsure ones to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import msgspec

BINS: Final = 15
_STEPS: Final = 20


class Coverage(msgspec.Struct, frozen=True):
    """Of the surest share (0 to 1) of the tickets this share is right; confidence: of the last one among them."""

    coverage: float
    accuracy: float
    confidence: float


class LabelFigures(msgspec.Struct, frozen=True):
    """tickets: that have this label. precision: of those said to be it; recall: of those that are; 0 to 1."""

    tickets: int
    precision: float
    recall: float


class Figures(msgspec.Struct, frozen=True):
    """n: tickets. accuracy, macro_f1: of the best label of every ticket, abstained or not, each label counting the same
    in the second. ece: the mean distance of confidence from accuracy, in 15 bins of equal width, weighed by tickets.
    coverage: ascending. abstained: tickets that would have been left to the rules and to people. abstained_share: of n.
    accuracy_answered: of the others."""

    n: int
    accuracy: float
    macro_f1: float
    ece: float
    coverage: list[Coverage]
    abstained: int
    abstained_share: float
    accuracy_answered: float | None
    labels: dict[str, LabelFigures]


def figures(
    truth: Sequence[str], said: Sequence[str], confidence: Sequence[float], abstains: Sequence[bool]
) -> Figures:
    """All of one length, a ticket each, at least one."""
    right = [a == b for a, b in zip(truth, said, strict=True)]
    labels = _labels(truth, said)
    answered = [ok for ok, out in zip(right, abstains, strict=True) if not out]
    n = len(truth)
    return Figures(
        n=n,
        accuracy=_round(sum(right) / n),
        macro_f1=_round(sum(_f1(one) for one in labels.values()) / len(labels)),
        ece=_round(_ece(right, confidence)),
        coverage=_coverage(right, confidence),
        abstained=n - len(answered),
        abstained_share=_round(1 - len(answered) / n),
        accuracy_answered=_round(sum(answered) / len(answered)) if answered else None,
        labels=labels,
    )


def confusion(truth: Sequence[str], said: Sequence[str]) -> Counter[tuple[str, str]]:
    """(is, said to be) -> tickets."""
    return Counter(zip(truth, said, strict=True))


def _labels(truth: Sequence[str], said: Sequence[str]) -> dict[str, LabelFigures]:
    are, called = Counter(truth), Counter(said)
    hits = Counter(a for a, b in zip(truth, said, strict=True) if a == b)
    return {
        label: LabelFigures(
            are[label],
            _round(hits[label] / called[label]) if called[label] else 0.0,
            _round(hits[label] / are[label]) if are[label] else 0.0,
        )
        for label in sorted(are | called)
    }


def _f1(one: LabelFigures) -> float:
    return 2 * one.precision * one.recall / (one.precision + one.recall) if one.precision + one.recall else 0.0


def _ece(right: Sequence[bool], confidence: Sequence[float]) -> float:
    count, hits, sure = [0] * BINS, [0] * BINS, [0.0] * BINS
    for ok, how in zip(right, confidence, strict=True):
        place = min(int(how * BINS), BINS - 1)
        count[place] += 1
        hits[place] += ok
        sure[place] += how
    return sum(abs(a - b) for a, b in zip(hits, sure, strict=True)) / len(right) if sum(count) else 0.0


def _coverage(right: Sequence[bool], confidence: Sequence[float]) -> list[Coverage]:
    order = sorted(range(len(right)), key=lambda place: -confidence[place])
    hits = list(accumulate(right[place] for place in order))
    found = []
    for step in range(1, _STEPS + 1):
        kept = max(round(len(order) * step / _STEPS), 1)
        found.append(
            Coverage(_round(step / _STEPS), _round(hits[kept - 1] / kept), _round(confidence[order[kept - 1]]))
        )
    return found


def _round(value: float) -> float:
    return round(float(value), 4)
