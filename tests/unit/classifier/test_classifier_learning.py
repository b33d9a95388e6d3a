"""What corrections say: figures worked by hand, and the report as people read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ticket_classifier.__main__ import main
from ticket_classifier.domain.learning import Baseline, review, stability, wilson
from ticket_contracts.classification import ClassificationInputs, ModelOpinion, Shadow, TicketClassified
from ticket_contracts.cloudevents import Event, ce_id
from ticket_contracts.tickets import Feedback
from unit.classifier.classifier_desk import MONDAY, feedback

MODEL, CANDIDATE = "1" * 32, "2" * 32


def opinion(model: str, label: str, words: float = 0.98) -> ModelOpinion:
    return ModelOpinion(
        model=model, label=label, category=label, confidence=0.9, words=words, pairs=0.5, abstained=False
    )


def decision(
    number: int,
    category: str | None = "vpn",
    *,
    confidence: float = 0.9,
    shadow: str | None = None,
    words: float | None = None,
    at: datetime = MONDAY,
    rule: str = "vpn",
) -> TicketClassified:
    return TicketClassified(
        ticket=f"jira:main:{number}",
        decided_for=at,
        ticket_version=1,
        classification_version=1,
        rule=rule,
        agreement_version="a",
        category=category,
        kind="incident",
        impact="low",
        urgency="low",
        priority="P5",
        tier=1,
        abstained=category is None,
        confidence=confidence,
        inputs=ClassificationInputs(normalized="n"),
        opinion=None if words is None else opinion(MODEL, category or "vpn", words),
        shadow=None
        if shadow is None
        else Shadow(
            opinion=opinion(CANDIDATE, shadow), category=shadow, priority="P5", confidence=0.9, abstained=False
        ),
    )


def said(number: int, category: str, side: str = "company", *, later: int = 0) -> Feedback:
    made = feedback(
        f"f{number}-{later}", 1, ticket=f"jira:main:{number}", category=category, at=MONDAY + timedelta(hours=later)
    )
    return msgspec.structs.replace(made, side=side)


def test_accuracy_by_category_and_side_and_what_is_confused() -> None:
    decisions = [*(decision(n) for n in range(10)), *(decision(n, "wifi") for n in range(10, 14)), decision(14, None)]
    heard = [said(0, "vpn"), said(1, "wifi"), said(2, "wifi", "partner"), said(10, "wifi", "partner"), said(14, "vpn")]
    found = review(decisions, heard, {})
    assert (found.decisions, found.heard, found.confirmed, found.contested) == (15, 5, 2, 3)
    rows = {row.category: (row.decisions, row.confirmed, row.contested, row.missed) for row in found.categories}
    assert rows == {"vpn": (10, 1, 2, 1), "wifi": (4, 1, 0, 2), "-": (1, 0, 1, 0)}
    assert [(side.side, side.confirmed, side.contested) for side in found.sides] == [
        ("company", 1, 2),
        ("partner", 1, 1),
    ]
    assert found.confusion == [("wifi", "vpn", 2), ("vpn", "-", 1)]


def test_the_last_word_on_a_decision_counts_once() -> None:
    found = review([decision(1)], [said(1, "wifi"), said(1, "vpn", later=1)], {})
    assert (found.heard, found.confirmed, found.contested) == (1, 1, 0)


def test_corrections_of_what_is_not_there_and_scores_are_left_out() -> None:
    score = feedback("s", None, ticket="jira:main:1", csat=5)
    found = review([decision(1)], [said(9, "vpn"), score, feedback("i", 1, ticket="jira:main:1", impact="high")], {})
    assert (found.heard, found.ignored) == (0, 1)


def test_a_decision_that_repeats_a_correction_is_nobodys_merit() -> None:
    assert review([decision(1, rule="correction")], [], {}).decisions == 0


@pytest.mark.parametrize(
    ("decisions", "contested", "confidence", "named"),
    [(100, 40, 0.9, True), (100, 10, 0.9, False), (100, 40, 0.5, False), (4, 2, 0.95, False), (5, 5, 0.95, True)],
)
def test_a_category_is_named_when_it_is_wrong_more_often_than_it_allows(
    decisions: int, contested: int, confidence: float, named: bool
) -> None:
    made = [decision(number, confidence=confidence) for number in range(decisions)]
    found = review(made, [said(number, "wifi") for number in range(contested)], {})
    assert (found.recalibrate == ["vpn"]) is named


def test_a_candidate_is_compared_where_people_spoke() -> None:
    decisions = [
        decision(1, "vpn", shadow="vpn"),
        decision(2, "vpn", shadow="wifi"),
        decision(3, "vpn", shadow="wifi"),
        decision(4, "vpn", shadow="wifi"),
        decision(5, "vpn", shadow="vpn"),
    ]
    found = review(decisions, [said(1, "vpn"), said(2, "wifi"), said(3, "vpn"), said(4, "printing")], {})
    [shadow] = found.shadows
    assert (shadow.candidate, shadow.decisions, shadow.agreed, shadow.judged) == (CANDIDATE, 5, 2, 4)
    assert (shadow.both, shadow.live_only, shadow.candidate_only, shadow.neither) == (1, 1, 1, 1)


def test_drift_is_another_mix_or_fewer_known_words() -> None:
    then = {MODEL: Baseline(MODEL, {"vpn": 0.5, "wifi": 0.5}, 0.98)}

    def state(vpn: int, wifi: int, words: float) -> str:
        made = [decision(n, "vpn" if n < vpn else "wifi", words=words) for n in range(vpn + wifi)]
        return review(made, [], then).drift[0].state

    assert state(50, 50, 0.98) == "steady"
    assert state(70, 30, 0.98) == "watch"
    assert state(90, 10, 0.98) == "shifted"
    assert state(50, 50, 0.9) == "watch"
    assert state(50, 50, 0.8) == "shifted"
    assert review([decision(1)], [], then).drift == []


def test_months_stand_side_by_side() -> None:
    later = MONDAY + timedelta(days=40)
    found = review([decision(1), decision(2, None), decision(3, at=later, words=0.9)], [said(1, "wifi")], {})
    assert [(p.month, p.decisions, p.abstained, p.contested, p.words) for p in found.periods] == [
        ("2026-03", 2, 0.5, 0.5, None),
        ("2026-04", 1, 0.0, 0.0, 0.9),
    ]


def test_figures_known_from_elsewhere() -> None:
    """Wilson's interval for 1 of 10 at 90 %, and an index worked by hand."""
    low, high = wilson(1, 10)
    assert (round(low, 3), round(high, 3)) == (0.023, 0.348)
    assert wilson(0, 0) == (0.0, 1.0)
    assert stability({"a": 0.5, "b": 0.5}, {"a": 0.25, "b": 0.75}) == pytest.approx(0.2747, abs=1e-4)
    assert stability({"a": 1.0}, {"a": 1.0}) == 0


def export(where: Path, decisions: list[TicketClassified], heard: list[Feedback]) -> str:
    def line(value: Event | Feedback) -> bytes:
        head = {"ce_id": ce_id(value), "ce_type": value.TYPE} if isinstance(value, Event) else {}
        return msgspec.json.encode({"key": value.ticket, **head, "data": value})

    (where / "tickets.classified.jsonl").write_bytes(b"".join(line(event) + b"\n" for event in decisions))
    (where / "tickets.feedback.jsonl").write_bytes(
        b'{"data": "no feedback"}\n' + b"".join(line(one) + b"\n" for one in heard)
    )
    return str(where)


def test_the_report_names_what_to_recalibrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = export(
        tmp_path,
        [decision(number, shadow="wifi") for number in range(20)],
        [said(number, "wifi", "partner") for number in range(10)],
    )
    assert main(["review", "--out", out, "--html", str(tmp_path / "page.html")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "To recalibrate: vpn",
        "partner 0 10 0%",
        "wifi vpn 10",
        "Candidate 22222222 agrees in 0 of 20",
        "2026-03",
    ):
        assert part in shown
    assert "To recalibrate: vpn" in (tmp_path / "page.html").read_text()
    assert main(["review", "--out", out, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["recalibrate"] == ["vpn"]


def test_a_desk_nobody_spoke_of_has_a_report_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "--out", export(tmp_path, [], [])]) == 0
    assert "0 classifications" in capsys.readouterr().out
    assert main(["review", "--out", str(tmp_path / "gone")]) == 2
    assert "make replay" in capsys.readouterr().err
    (tmp_path / "tickets.classified.jsonl").write_text("nonsense\n")
    assert main(["review", "--out", str(tmp_path)]) == 2
    assert "no record of a desk" in capsys.readouterr().err
