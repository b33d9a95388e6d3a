"""Training a text model: the one place that needs scikit-learn (the extra `train`).

A linear support vector machine over the terms of `domain.textmodel`, its weights rounded to 8 bits and the weakest
terms dropped until the model fits its size. Calibration, thresholds and figures come from models trained in the same
way on four fifths of the tickets, asked about the rest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from ticket_classifier.adapters.arrays import packed
from ticket_classifier.adapters.models import FORMAT, Manifest, Source
from ticket_classifier.domain.figures import figures
from ticket_classifier.domain.opinion import Calibration, Thresholds
from ticket_classifier.domain.textmodel import (
    HEAD,
    IDF_STEP,
    MOST_WORDS,
    Floats,
    Reader,
    TextModel,
    Weights,
    probabilities,
    written,
)
from ticket_classifier.domain.words import BREAK

FOLDS: Final = 5
MOST_BYTES: Final = 950_000
"""Of a model's arrays; with the manifest it stays below a megabyte."""
FEWEST: Final = 3
"""Tickets in which a term must stand: what one or two people wrote is no part of a model."""
_MARGIN: Final = 0.6
"""The support vector machine's C: the best of 0.2 to 1 on IT tickets of 8 topics."""
_CURVE_POINTS: Final = 25
_SLOPE: Final = 0.02
"""How much of the probability itself stays in the confidence: where the curve is level, the surer one stays first."""
_STRANGE: Final = 0.05
"""The share of tickets of its own kind that may fall below each threshold of what is known."""
_ABSTAINED: Final = 0.12
"""The share of tickets of its own kind on which a model abstains at most, for whatever reason."""
_LIKELY: Final = 0.5
"""From this confidence on a model speaks, however few tickets it is less sure of."""

Words = Sequence[Sequence[str]]


class Trained(NamedTuple):
    manifest: Manifest
    arrays: bytes


def train(texts: Sequence[str], labels: Sequence[str], source: Source) -> Trained:
    """texts, labels: a ticket each, every label at least FOLDS times."""
    tickets = [written("", text) for text in texts]
    truth = np.array(labels)
    names = sorted(set(labels))
    weights = _fitted(tickets, truth, names)
    arrays = packed(weights)
    scores = np.empty((len(tickets), len(names)), dtype=np.float32)
    words, pairs = np.empty(len(tickets)), np.empty(len(tickets))
    for learned, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(truth, truth):
        part = _fitted([tickets[place] for place in learned], truth[learned], names)
        model = TextModel("", names, part, _UNCALIBRATED, _OPEN)
        asked = [tickets[place] for place in held]
        terms = Reader(part.words, part.heads, part.pairs, part.idf).read(asked)
        scores[held] = model.scores(terms, len(asked))
        words[held], pairs[held] = terms.words, terms.pairs
    calibration, sure = _calibrated(scores, truth, names)
    said = np.array(names)[scores.argmax(axis=1)]
    thresholds = _thresholds(sure, words, pairs)
    strange = (words < thresholds.words) | (pairs < thresholds.pairs)
    counted = Counter(labels)
    manifest = Manifest(
        digest="",
        format=FORMAT,
        arrays_sha256=hashlib.sha256(arrays).hexdigest(),
        labels=names,
        calibration=calibration,
        thresholds=thresholds,
        source=source,
        shares={name: round(counted[name] / len(labels), 4) for name in names},
        folds=FOLDS,
        figures=figures(labels, said.tolist(), sure.tolist(), (strange | (sure < thresholds.confidence)).tolist()),
        words=round(float(words.mean()), 4),
        pairs=round(float(pairs.mean()), 4),
    )
    return Trained(msgspec.structs.replace(manifest, digest=manifest.own_digest()), arrays)


_UNCALIBRATED: Final = Calibration(1.0, [(0.0, 0.0), (1.0, 1.0)])
_OPEN: Final = Thresholds(0.0, 0.0, 0.0)


def _fitted(tickets: Words, truth: NDArray[np.str_], names: list[str]) -> Weights:
    vocabulary = _vocabulary(tickets)
    reader = Reader(vocabulary.words, vocabulary.heads, vocabulary.pairs, vocabulary.idf)
    terms = reader.read(tickets)
    matrix = csr_matrix((terms.value, (terms.ticket, terms.term)), shape=(len(tickets), len(vocabulary.idf)))
    machine = LinearSVC(C=_MARGIN, random_state=0).fit(matrix, truth)
    weight, bias = machine.coef_.T, machine.intercept_
    if len(names) == 2:  # one plane between the two: the first is what speaks against the second
        weight, bias = np.hstack([-weight, weight]), np.hstack([-bias, bias])
    scale = np.abs(weight).max(axis=0) / 127
    whole = msgspec.structs.replace(
        vocabulary,
        weight=np.round(weight / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        bias=bias.astype(np.float32),
    )
    return _within(whole, MOST_BYTES)


def _vocabulary(tickets: Words) -> Weights:
    """The terms that stand in FEWEST tickets, without weights yet. Raises ValueError when there is none."""
    in_tickets: Counter[str] = Counter()
    at_the_beginning: Counter[str] = Counter()
    beside: Counter[tuple[str, str]] = Counter()
    for ticket in tickets:
        words = [word for word in ticket if word != BREAK]
        in_tickets.update(set(words))
        at_the_beginning.update(set(words[:HEAD]))
        beside.update({pair for pair in pairwise(ticket) if BREAK not in pair})
    kept = [word for word, count in in_tickets.most_common(MOST_WORDS) if count >= FEWEST]
    if not kept:
        raise ValueError(f"no word stands in {FEWEST} tickets or more: is this the column of the text?")
    words = sorted(kept)
    number = {word: place for place, word in enumerate(words)}
    heads = [word for word in words if at_the_beginning[word] >= FEWEST]
    pairs = sorted(
        (number[first], number[second])
        for (first, second), count in beside.items()
        if count >= FEWEST and first in number and second in number
    )
    counts = [
        *(in_tickets[word] for word in words),
        *(at_the_beginning[word] for word in heads),
        *(beside[words[first], words[second]] for first, second in pairs),
    ]
    idf = 1 + np.log((1 + len(tickets)) / (1 + np.array(counts)))
    return Weights(
        words=words,
        heads=np.array([number[word] for word in heads], dtype=np.uint16),
        pairs=np.array(pairs, dtype=np.uint16).reshape(-1, 2),
        idf=np.round(idf / IDF_STEP).astype(np.uint8),
        weight=np.zeros((len(counts), 0), dtype=np.int8),
        scale=np.zeros(0, dtype=np.float32),
        bias=np.zeros(0, dtype=np.float32),
    )


def _within(whole: Weights, most: int) -> Weights:
    """The model with so many of its strongest heads and pairs that its arrays take at most `most` bytes. Words stay:
    they also tell which tickets are of another kind."""
    words, heads = len(whole.words), len(whole.heads)
    strength = np.abs(whole.weight.astype(np.float32) * whole.scale).max(axis=1) * whole.idf
    order = words + np.argsort(-strength[words:], kind="stable")
    kept = len(order)
    while True:
        chosen = np.sort(order[:kept])
        small = msgspec.structs.replace(
            whole,
            heads=whole.heads[chosen[chosen < words + heads] - words],
            pairs=whole.pairs[chosen[chosen >= words + heads] - words - heads],
            idf=np.concatenate((whole.idf[:words], whole.idf[chosen])),
            weight=np.concatenate((whole.weight[:words], whole.weight[chosen])),
        )
        size = len(packed(small))
        if size <= most:
            return small
        if not kept:
            raise ValueError(f"the words alone take {size} bytes, {most} are allowed: train with fewer labels")
        kept = int(kept * min(most / size, 0.99)) if kept > 100 else 0


def _calibrated(scores: Floats, truth: NDArray[np.str_], names: list[str]) -> tuple[Calibration, NDArray[np.float64]]:
    """The calibration, and the confidence that it gives to each ticket's best label."""
    right = scores.argmax(axis=1)
    is_so = np.array(names)[right] == truth
    column = np.searchsorted(names, truth)
    rows = np.arange(len(truth))

    def surprise(log_temperature: float) -> float:
        chances = probabilities(scores, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(chances[rows, column], 1e-9)).mean())

    temperature = float(np.exp(minimize_scalar(surprise, bounds=(-5, 3), method="bounded").x))
    top = probabilities(scores, temperature).max(axis=1).astype(np.float64)
    level = IsotonicRegression(y_min=0.0, y_max=1.0).fit(top, is_so).predict(top)
    risen = (1 - _SLOPE) * level + _SLOPE * top
    curve = [(0.0, float(risen.min()))]
    curve += [
        (float(top[part].mean()), float(risen[part].mean()))
        for part in np.array_split(np.argsort(top, kind="stable"), min(_CURVE_POINTS, len(top)))
    ]
    curve.append((1.0, curve[-1][1]))
    points = [(round(chance, 5), round(min(sure, 0.999), 5)) for chance, sure in curve]
    axes = np.array(points)
    return Calibration(round(temperature, 6), points), np.interp(top, axes[:, 0], axes[:, 1])


def _thresholds(sure: NDArray[np.float64], words: NDArray[np.float64], pairs: NDArray[np.float64]) -> Thresholds:
    known = Thresholds(0.0, _below(words, _STRANGE), _below(pairs, _STRANGE))
    left = np.sort(sure[(words >= known.words) & (pairs >= known.pairs)])
    allowed = int(_ABSTAINED * len(sure)) - (len(sure) - len(left))
    confidence = float(left[allowed]) if 0 < allowed < len(left) else 0.0
    return msgspec.structs.replace(known, confidence=round(min(confidence, _LIKELY), 4))


def _below(shares: NDArray[np.float64], share: float) -> float:
    """The value that at most this share of the values lies below."""
    return round(float(np.quantile(shares, share, method="lower")) - 1e-6, 6)
