"""How good the default agreement's rules are, without any training: figures that may rise and must not fall."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ticket_classifier.domain.decide import asked_of, decide
from ticket_classifier.domain.policy import Policy
from ticket_contracts.agreement import digest
from ticket_contracts.agreement.reading import read_agreement
from unit.classifier.classifier_desk import normalized
from unit.classifier.evaluation import TICKETS, Told

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"


@pytest.fixture(scope="module")
def policy() -> Policy:
    agreement = read_agreement(_DEFAULT.read_text(), "default.yaml")
    return Policy(digest(agreement), agreement)


def judged(told: Told, policy: Policy) -> str:
    """`right`, `wider` (a category above the right one), `unsure` (people are asked) or `wrong`."""
    outcome = decide(asked_of(normalized(told.title, told.text)), [], policy).outcome
    said = None if outcome.abstained else outcome.category
    if said == told.category:
        return "right"
    if said is None:
        return "unsure"
    return "wider" if told.category is not None and said in policy.ancestors[told.category] else "wrong"


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_most_tickets_are_right_and_hardly_any_is_wrong(language: str, policy: Policy) -> None:
    counts = Counter(judged(told, policy) for told in TICKETS if told.language == language)
    assert counts["right"] >= 0.88 * counts.total(), counts
    assert counts["wrong"] <= 1, counts


def test_nobody_is_asked_about_more_than_a_few(policy: Policy) -> None:
    counts = Counter(judged(told, policy) for told in TICKETS if told.category is not None)
    assert counts["unsure"] <= 0.05 * counts.total(), counts


def test_what_nobody_could_say_is_left_to_people(policy: Policy) -> None:
    unclear = [told for told in TICKETS if told.category is None]
    assert len(unclear) >= 5
    assert {judged(told, policy) for told in unclear} == {"right"}
