"""The real tickets that lie beside the project, by topic: how well a model tells them, and what it does with others.

Skipped where the tickets are not there. The short form trains on half of them; the long form is five-fold.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from ticket_classifier.adapters.labelled import read_labelled
from ticket_classifier.adapters.models import Source, read_model, write_model
from ticket_classifier.domain.figures import Figures, figures
from ticket_classifier.domain.opinion import Opinion
from ticket_classifier.domain.textmodel import TextModel
from ticket_classifier.training import train
from unit.classifier.evaluation import TICKETS

FILE = Path(__file__).parents[4] / "shared" / "data" / "it_tickets_8_topics.csv.gz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"the tickets are not beside the project ({FILE.name})")

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "am",
        "i",
        "me",
        "my",
        "we",
        "our",
        "us",
        "you",
        "your",
        "he",
        "she",
        "it",
        "its",
        "they",
        "them",
        "this",
        "that",
        "these",
        "those",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "by",
        "with",
        "and",
        "or",
        "but",
        "if",
        "then",
        "so",
        "not",
        "no",
        "do",
        "does",
        "did",
        "have",
        "has",
        "had",
        "can",
        "could",
        "will",
        "would",
        "should",
        "what",
        "which",
        "who",
        "when",
        "where",
        "how",
        "why",
        "as",
        "up",
        "out",
        "any",
        "all",
        "into",
        "about",
        "since",
        "after",
        "before",
        "over",
        "again",
        "there",
        "here",
    ]
)


@pytest.fixture(scope="module")
def tickets() -> tuple[list[str], list[str]]:
    found = read_labelled(FILE, "Document", "Topic_group")
    return found.texts, found.labels


def fitted(texts: list[str], labels: list[str], where: Path) -> TextModel:
    trained = train(texts, labels, Source("tickets", "", "text", "label", len(texts)))
    write_model(where, trained.manifest, trained.arrays)
    return read_model(where)[0]


def asked(model: TextModel, texts: list[str]) -> list[Opinion]:
    found = []
    for first in range(0, len(texts), 1_000):
        found += model.judge([("", text) for text in texts[first : first + 1_000]])
    return found


def measured(model: TextModel, texts: list[str], labels: list[str]) -> Figures:
    opinions = asked(model, texts)
    below = model.thresholds.confidence
    return figures(
        labels, [o.label for o in opinions], [o.confidence for o in opinions], [o.abstains(below) for o in opinions]
    )


def at(held: Figures, coverage: float) -> float:
    return next(point.accuracy for point in held.coverage if point.coverage == coverage)


@pytest.fixture(scope="module")
def half(tickets: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return fitted(tickets[0][::2], tickets[1][::2], tmp_path_factory.mktemp("half"))


@pytest.mark.timeout(600)
def test_a_model_of_half_the_tickets_is_good_on_the_other_half(
    half: TextModel, tickets: tuple[list[str], list[str]]
) -> None:
    held = measured(half, tickets[0][1::2], tickets[1][1::2])
    assert held.accuracy >= 0.845
    assert held.macro_f1 >= 0.845
    assert held.ece <= 0.02
    assert at(held, 0.6) >= 0.965
    assert held.abstained_share <= 0.15


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_it_abstains_on_tickets_of_another_kind(language: str, half: TextModel) -> None:
    texts = [f"{told.title} . {told.text}" for told in TICKETS if told.language == language]
    strange = [opinion.abstains(half.thresholds.confidence) for opinion in asked(half, texts)]
    assert sum(strange) >= 0.9 * len(strange)


def test_it_abstains_on_them_also_when_their_stop_words_are_gone(half: TextModel) -> None:
    """As those it learned from have none either, the words left must tell."""
    texts = [
        " ".join(word for word in f"{told.title} {told.text}".lower().split() if word not in STOP_WORDS)
        for told in TICKETS
        if told.language == "en"
    ]
    strange = [opinion.abstains(half.thresholds.confidence) for opinion in asked(half, texts)]
    assert sum(strange) >= 0.9 * len(strange)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_five_fold_on_all_tickets(tickets: tuple[list[str], list[str]], tmp_path: Path) -> None:
    """Each fifth is asked of a model that was trained, calibrated and rounded on the others alone."""
    texts, labels = tickets
    fold = np.random.RandomState(7).permutation(len(texts)) % 5
    opinions: list[Opinion | None] = [None] * len(texts)
    abstains = [False] * len(texts)
    for part in range(5):
        inside = [place for place in range(len(texts)) if fold[place] != part]
        outside = [place for place in range(len(texts)) if fold[place] == part]
        model = fitted([texts[i] for i in inside], [labels[i] for i in inside], tmp_path / str(part))
        for place, opinion in zip(outside, asked(model, [texts[i] for i in outside]), strict=True):
            opinions[place] = opinion
            abstains[place] = opinion.abstains(model.thresholds.confidence)
        assert sum(file.stat().st_size for file in (tmp_path / str(part)).iterdir()) <= 1_000_000
    told = [opinion for opinion in opinions if opinion is not None]
    held = figures(labels, [o.label for o in told], [o.confidence for o in told], abstains)
    assert held.n == len(texts)
    assert held.accuracy >= 0.855
    assert held.macro_f1 >= 0.855
    assert held.ece <= 0.02
    assert at(held, 0.6) >= 0.97
    assert held.abstained_share <= 0.15


def test_the_file_is_as_its_readme_says() -> None:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["Document", "Topic_group"]
