"""What a text model says of a ticket; apart from the model itself, so that a desk without one needs no numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import msgspec


class ModelError(ValueError):
    """Files that hold no model, or an altered one: names the file and what to do."""


class Opinion(NamedTuple):
    """label: the best, with its confidence, 0 to 1. words, pairs: the share of the ticket's words and of its pairs of
    neighbours that the model knows. strange: one of the two is too low for the confidence to mean anything. labels:
    every label with its confidence. terms: the words that moved the label's score most, strongest first; a negative
    weight speaks against it."""

    label: str
    confidence: float
    words: float
    pairs: float
    strange: bool
    labels: dict[str, float]
    terms: dict[str, float]

    def abstains(self, below: float) -> bool:
        """Whether it would rather not say: the ticket is of another kind than it learned, or it is not sure enough."""
        return self.strange or self.confidence < below

    @property
    def candidates(self) -> list[tuple[str, float]]:
        """Labels with their confidence, best first."""
        return sorted(self.labels.items(), key=lambda item: -item[1])


class Thresholds(msgspec.Struct, frozen=True):
    """Below one of these a model abstains. confidence: where the agreement gives none. words, pairs: shares known."""

    confidence: float
    words: float
    pairs: float


class Calibration(msgspec.Struct, frozen=True):
    """temperature: of the softmax. curve: (probability, confidence), both ascending; between two points a straight
    line."""

    temperature: float
    curve: list[tuple[float, float]]


class Model(Protocol):
    """`textmodel.TextModel`, as far as a decision uses it."""

    @property
    def digest(self) -> str: ...

    @property
    def thresholds(self) -> Thresholds: ...

    def judge(self, tickets: Iterable[tuple[str, str]]) -> list[Opinion]: ...


Models = Callable[[str], Model | None]
"""A model by its digest, None when it is not there."""


def no_models(_: str) -> None:
    """A desk without any."""
