"""A linear model over words and neighbouring words: what it says of a ticket, how surely, and by which words.

The score of a label is the sum over a ticket's terms of (1 + ln count) * idf * weight / length, the length being the
Euclidean norm of (1 + ln count) * idf. Terms are words, words among the first `HEAD` (mostly the title), and pairs of
neighbours within a sentence; of a text only what was written counts, no quoted history. The best label's
probability, softmax(scores / temperature), is turned into a confidence by a monotone curve that was fitted on tickets
not trained on.

A confidence says nothing about tickets of another kind than the model was trained on. So each opinion also says which
share of the ticket's words and pairs the model has met, and an opinion abstains when either is lower than what all but
a few of its own kind reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ticket_classifier.domain.opinion import Calibration, Opinion, Thresholds
from ticket_classifier.domain.words import BODY, BREAK, parts

HEAD: Final = 10
MOST_WORDS: Final = 65_535
"""Words of a vocabulary: a pair is two 16 bit numbers."""
IDF_STEP: Final = 1 / 20
"""idf = 1 + ln((1 + n) / (1 + df)), kept in steps of this in 8 bits."""
_TERMS_SHOWN: Final = 8

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Weights(msgspec.Struct, frozen=True):
    """The arrays of a model. words: the vocabulary. heads: the words that weigh extra at the beginning of a ticket.
    pairs: numbers of two words, ascending. Terms are numbered words first, then heads, then pairs: idf: uint8 a term,
    in steps of IDF_STEP; weight: int8 (terms, labels), of `scale` (labels) each. bias: (labels)."""

    words: list[str]
    heads: NDArray[np.uint16]
    pairs: NDArray[np.uint16]
    idf: NDArray[np.uint8]
    weight: NDArray[np.int8]
    scale: Floats
    bias: Floats


class Terms(msgspec.Struct, frozen=True):
    """The known terms of many tickets. ticket, term, value: one entry a term of a ticket, by ticket and then term;
    value: (1 + ln count) * idf / length. words, pairs: the share of each ticket's words and pairs that is known."""

    ticket: Ints
    term: Ints
    value: Floats
    words: Floats
    pairs: Floats


def written(title: str, text: str) -> list[str]:
    """The words of a ticket that count for a model, BREAK where a sentence ends."""
    found: list[str] = []
    for part in parts(title, text):
        if part.weight >= BODY:
            found += part.words
            found.append(BREAK)
    return found


class TextModel:
    """digest: names it. labels: in the order of the weights' columns."""

    def __init__(
        self, digest: str, labels: list[str], weights: Weights, calibration: Calibration, thresholds: Thresholds
    ) -> None:
        """Raises ValueError for arrays that do not fit each other."""
        _check(labels, weights, calibration)
        self.digest = digest
        self.labels = labels
        self.thresholds = thresholds
        self._words = weights.words
        self._pairs = weights.pairs.astype(np.int64)
        self._reader = Reader(weights.words, weights.heads, weights.pairs, weights.idf)
        self._weight = weights.weight.astype(np.float32) * weights.scale
        self._bias = weights.bias
        self._heads = weights.heads
        self._temperature = calibration.temperature
        self._curve = tuple(np.array(axis) for axis in zip(*calibration.curve, strict=True))

    def judge(self, tickets: Iterable[tuple[str, str]]) -> list[Opinion]:
        """What it says of each (title, text), with the terms that weighed most for the label and against it."""
        return self.judge_words([written(title, text) for title, text in tickets])

    def judge_words(self, tickets: Sequence[Sequence[str]]) -> list[Opinion]:
        """The same, of words as `written` gives them."""
        if not tickets:
            return []
        terms = self._reader.read(tickets)
        scores = self.scores(terms, len(tickets))
        best = scores.argmax(axis=1)
        chances = probabilities(scores, self._temperature)
        top = chances[np.arange(len(tickets)), best]
        sure = np.interp(top, self._curve[0], self._curve[1])
        # What the others share is what the best leaves.
        others = (1 - sure) / np.maximum(1 - top, 1e-9)
        shares = chances * others[:, None]
        shares[np.arange(len(tickets)), best] = sure
        weighed = self._weighed(terms, best, len(tickets))
        labels, known = self.labels, self.thresholds
        opinions = []
        for said, confidence, share, words, pairs, why in zip(
            best.tolist(),
            sure.tolist(),
            shares.tolist(),
            terms.words.tolist(),
            terms.pairs.tolist(),
            weighed,
            strict=True,
        ):
            opinions.append(
                Opinion(
                    labels[said],
                    confidence,
                    words,
                    pairs,
                    words < known.words or pairs < known.pairs,
                    dict(zip(labels, share, strict=True)),
                    why,
                )
            )
        return opinions

    def scores(self, terms: Terms, tickets: int) -> Floats:
        """(tickets, labels)."""
        found = np.repeat(self._bias[None, :], tickets, axis=0)
        if len(terms.term):
            begins = np.flatnonzero(np.diff(terms.ticket, prepend=-1))
            found[terms.ticket[begins]] += np.add.reduceat(
                self._weight[terms.term] * terms.value[:, None], begins, axis=0
            )
        return found

    def _weighed(self, terms: Terms, best: Ints, tickets: int) -> list[dict[str, float]]:
        """For each ticket the terms that moved the score of its label most, strongest first."""
        moved = terms.value * self._weight[terms.term, best[terms.ticket]]
        order = np.lexsort((-np.abs(moved), terms.ticket))
        begins = np.searchsorted(terms.ticket, np.arange(tickets))
        place = np.arange(len(order)) - begins[terms.ticket]
        kept = order[place < _TERMS_SHOWN]
        found: list[dict[str, float]] = [{} for _ in range(tickets)]
        name = self.name
        for ticket, term, weight in zip(
            terms.ticket[kept].tolist(), terms.term[kept].tolist(), moved[kept].tolist(), strict=True
        ):
            words = name(term)
            shown = found[ticket]
            shown[words] = round(shown.get(words, 0.0) + weight, 3)
        return found

    def name(self, term: int) -> str:
        """A term as a person reads it. A word counts at the beginning too: both are that word."""
        words, heads = self._words, self._heads
        if term < len(words):
            return words[term]
        if term < len(words) + len(heads):
            return words[int(heads[term - len(words)])]
        first, second = self._pairs[term - len(words) - len(heads)].tolist()
        return f"{words[first]} {words[second]}"


class Reader:
    """Finds the terms of a vocabulary in tickets. idf: as in `Weights`."""

    def __init__(
        self, words: list[str], heads: NDArray[np.uint16], pairs: NDArray[np.uint16], idf: NDArray[np.uint8]
    ) -> None:
        self._count = len(words)
        self._break = self._count + 1
        self._numbers = {word: number for number, word in enumerate(words)} | {BREAK: self._break}
        self._head = np.full(self._count + 2, -1, dtype=np.int64)
        self._head[heads] = self._count + np.arange(len(heads))
        self._keys = pairs[:, 0].astype(np.int64) * (MOST_WORDS + 1) + pairs[:, 1]
        self._first_pair = self._count + len(heads)
        self._idf = idf.astype(np.float32) * np.float32(IDF_STEP)

    def read(self, tickets: Sequence[Sequence[str]]) -> Terms:
        """The terms of each ticket, given as words with BREAK where a sentence ends."""
        numbers, unknown, ends = self._numbers, self._count, [BREAK]
        flat = np.array(
            [numbers.get(word, unknown) for ticket in tickets for part in (ticket, ends) for word in part],
            dtype=np.int64,
        )
        sizes = np.array([len(ticket) + 1 for ticket in tickets])
        of = np.repeat(np.arange(len(tickets)), sizes)
        is_word = flat != self._break
        known = flat < self._count
        counted = np.bincount(of[is_word], minlength=len(tickets))
        # The place of a word among its ticket's words.
        before = np.cumsum(is_word) - is_word
        place = before - np.repeat(before[np.cumsum(sizes) - sizes], sizes)
        head = np.where(is_word & (place < HEAD), self._head[flat], -1)
        is_pair = is_word[:-1] & is_word[1:]
        pair, whose = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        if len(self._keys):
            both = is_pair & known[:-1] & known[1:]
            wanted = flat[:-1][both] * (MOST_WORDS + 1) + flat[1:][both]
            at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            found = self._keys[at] == wanted
            pair, whose = at[found], of[:-1][both][found]
        pairs = np.bincount(of[:-1][is_pair], minlength=len(tickets))
        ticket = np.concatenate((of[known], of[head >= 0], whose))
        term = np.concatenate((flat[known], head[head >= 0], pair + self._first_pair))
        entries, times = np.unique(ticket * len(self._idf) + term, return_counts=True)
        ticket, term = np.divmod(entries, max(len(self._idf), 1))
        value = (1 + np.log(times, dtype=np.float32)) * self._idf[term]
        length = np.sqrt(np.bincount(ticket, weights=value * value, minlength=len(tickets))).astype(np.float32)
        return Terms(
            ticket,
            term,
            value / length[ticket] if len(value) else value,
            _share(np.bincount(of[known], minlength=len(tickets)), counted),
            # A ticket of one word has no pairs: that word says all there is to say.
            np.where(pairs > 0, _share(np.bincount(whose, minlength=len(tickets)), pairs), counted > 0).astype(
                np.float32
            ),
        )


def probabilities(scores: Floats, temperature: float) -> Floats:
    """softmax(scores / temperature), (tickets, labels)."""
    scaled: Floats = scores / np.float32(temperature)
    raised: Floats = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    share: Floats = (part / np.maximum(whole, 1)).astype(np.float32)
    return share


def _check(labels: list[str], weights: Weights, calibration: Calibration) -> None:
    words, heads, pairs = weights.words, weights.heads, weights.pairs
    terms = len(words) + len(heads) + len(pairs)
    if not (2 <= len(labels) == len(set(labels))):
        raise ValueError("a model has two labels or more, each once")
    if not (0 < len(words) == len(set(words)) <= MOST_WORDS) or BREAK in words:
        raise ValueError(f"a vocabulary has 1 to {MOST_WORDS} words, each once")
    if heads.shape != (len(heads),) or pairs.shape != (len(pairs), 2):
        raise ValueError("heads or pairs have another shape")
    if max(heads.max(initial=0), pairs.max(initial=0)) >= len(words):
        raise ValueError("heads or pairs name words that the vocabulary lacks")
    keys = pairs[:, 0].astype(np.int64) * (MOST_WORDS + 1) + pairs[:, 1]
    if (np.diff(keys) <= 0).any():
        raise ValueError("pairs do not ascend")
    if weights.idf.shape != (terms,) or weights.weight.shape != (terms, len(labels)):
        raise ValueError(f"there are not {terms} idf and weights for {len(labels)} labels")
    if weights.scale.shape != (len(labels),) or weights.bias.shape != (len(labels),):
        raise ValueError("scale or bias have not one value a label")
    if not (np.isfinite(weights.scale).all() and np.isfinite(weights.bias).all()):
        raise ValueError("scale or bias hold values that are no numbers")
    curve = np.array(calibration.curve)
    if curve.ndim != 2 or len(curve) < 2 or (np.diff(curve, axis=0) < 0).any() or not calibration.temperature > 0:
        raise ValueError("the calibration's curve does not ascend, or its temperature is not above 0")
