"""What a ticket is: which of the sides that speak for a field wins, and when people must decide."""

from __future__ import annotations

from typing import Any

import pytest

from ticket_classifier.domain.decide import ABSTAINED, CORRECTION, DEFAULT, SOURCE, asked_of, decide
from ticket_classifier.domain.verdict import Correction, Verdict
from ticket_classifier.domain.words import MOST_CHARACTERS
from ticket_contracts.classification import Judgement
from unit.classifier.classifier_desk import asked, normalized, policy

DESK = policy()


def verdict(title: str = "", text: str = "", *corrections: Correction, **fields: Any) -> Verdict:
    return decide(asked(title, text, **fields), corrections, DESK)


def why(found: Verdict, field: str) -> Judgement:
    [judgement] = [j for j in found.evidence if j.field == field]
    return judgement


@pytest.mark.parametrize(
    ("title", "text", "category", "confidence"),
    [
        pytest.param("VPN drops", "", "vpn", 0.8, id="a rule"),
        pytest.param("Help", "the vpn drops", "vpn", 0.72, id="a word of the text counts less than one of the title"),
        pytest.param("Help", "see below\n> the vpn drops", "vpn", None, id="history alone is too little"),
        pytest.param("Reset of my password", "", "reset", 0.9, id="any and all"),
        pytest.param("Password", "", None, None, id="all is missing"),
        pytest.param("Print screen", "", None, None, id="a word that rules it out"),
        pytest.param("VPN", "the printer", "vpn", 0.44, id="half of a rival is taken off"),
        pytest.param("VPN over wifi", "", "network", 0.96, id="two of one branch: the branch"),
        pytest.param("VPN and printer", "", None, None, id="two of two branches: people"),
        pytest.param("", "", None, None, id="nothing"),
        pytest.param("🎉", "🔥", None, None, id="emoji"),
        pytest.param("Hyvää päivää", "tulostin ei toimi", None, None, id="a language without words here"),
    ],
)
def test_the_category_is_the_one_with_the_most_evidence(
    title: str, text: str, category: str | None, confidence: float | None
) -> None:
    found = verdict(title, text)
    sure = confidence is not None and confidence >= 0.5
    assert found.outcome.category == (category if sure else None)
    assert found.outcome.abstained is not sure
    if confidence is not None:
        assert found.confidence == pytest.approx(confidence)


def test_who_abstains_says_between_what() -> None:
    found = verdict("VPN and printer")
    assert found.rule == ABSTAINED
    assert found.candidates == [("vpn", 0.8), ("printing", 0.8)]
    assert {j.rule for j in found.evidence if j.field == "category"} == {"vpn", "printer"}
    assert found.outcome.tier == 1  # what a rule says of a category that did not win is not heeded
    assert found.outcome.priority == "P5"


def test_a_suspicion_is_not_outvoted() -> None:
    found = verdict("VPN", "is this mail phishing?")
    assert "security" in found.outcome.flags
    assert why(found, "flag:security").terms == {"phish*": 0.81}


@pytest.mark.parametrize(
    ("said", "source", "title", "category", "rule"),
    [
        pytest.param("Network / VPN", "servicenow", "Printer", "vpn", SOURCE, id="authoritative, by the map"),
        pytest.param("wifi", "servicenow", "Printer", "wifi", SOURCE, id="authoritative, an id"),
        pytest.param("NETWORK / vpn", "servicenow", "", "vpn", SOURCE, id="case does not matter"),
        pytest.param("Gardening", "servicenow", "Printer", "printing", "printer", id="a word that nobody knows"),
        pytest.param("Network / VPN", "jira", "", "vpn", SOURCE, id="no authority, nothing else"),
        pytest.param("Network / VPN", "jira", "Printer", "printing", "printer", id="no authority, a stronger rule"),
    ],
)
def test_a_sources_category_counts_as_the_agreement_says(
    said: str, source: str, title: str, category: str, rule: str
) -> None:
    found = verdict(title, category=said, source=source)
    assert (found.outcome.category, found.rule) == (category, rule)


@pytest.mark.parametrize(
    ("fields", "text", "urgency", "rule"),
    [
        pytest.param({"source": "servicenow", "urgency": "medium"}, "urgent", "medium", SOURCE, id="authority first"),
        pytest.param({"urgency": "medium"}, "urgent", "high", "urgent", id="then a rule"),
        pytest.param({"urgency": "medium"}, "", "medium", SOURCE, id="then the source"),
        pytest.param({"urgency": "whenever"}, "", "low", DEFAULT, id="an unknown word is none"),
        pytest.param({"source": "servicenow"}, "urgent", "high", "urgent", id="authority that says nothing"),
        pytest.param({}, "not urgent", "low", DEFAULT, id="negated"),
        pytest.param({"priority": "blocker"}, "", "high", "blocker", id="a rule on what the source says"),
        pytest.param({}, "vpn urgent", "medium", "vpn", id="the first rule that sets it"),
    ],
)
def test_each_field_has_its_own_winner(fields: dict[str, Any], text: str, urgency: str, rule: str) -> None:
    found = verdict("", text, **fields)
    assert (found.outcome.urgency, why(found, "urgency").rule) == (urgency, rule)


def test_the_priority_is_the_matrix_unless_the_source_has_authority() -> None:
    assert verdict("", "urgent outage, 20 users").outcome.priority == "P1"
    assert verdict("", "", source="servicenow", impact="high", urgency="high").outcome.priority == "P1"
    assert (
        verdict("", "", source="servicenow", impact="high", urgency="high", priority="4 - Low").outcome.priority == "P4"
    )
    assert verdict("", "", source="servicenow", impact="high", urgency="high", priority="soon").outcome.priority == "P1"
    assert verdict("", "", impact="high", urgency="high", priority="P4").outcome.priority == "P1"


def test_the_number_of_people_makes_the_impact() -> None:
    assert verdict("", "19 users").outcome.impact == "low"
    found = verdict("", "20 users")
    assert found.outcome.impact == "high"
    assert why(found, "impact").terms == {"20 people": 0.81}


@pytest.mark.parametrize(
    ("text", "fields", "tier", "automation"),
    [
        pytest.param("reset password", {}, 0, True, id="a category to automate"),
        pytest.param("reset password for 20 users", {}, 1, False, id="not for many"),
        pytest.param(
            "reset password, phishing", {"category": "reset", "source": "servicenow"}, 1, False, id="nor security"
        ),
        pytest.param("reset password, outage", {}, 1, False, id="nor an outage"),
        pytest.param("vpn", {"channel": "monitoring"}, 2, False, id="a rule about the category goes first"),
        pytest.param("", {"channel": "monitoring"}, 3, False, id="then another"),
        pytest.param("wifi", {}, 1, False, id="then the default"),
    ],
)
def test_the_tier(text: str, fields: dict[str, Any], tier: int, automation: bool) -> None:
    outcome = verdict("", text, **fields).outcome
    assert (outcome.tier, "automation" in outcome.flags) == (tier, automation)


def test_a_vip_is_flagged() -> None:
    assert verdict("vpn", vip=True).outcome.flags == ["vip"]


def test_a_correction_wins_over_everything_and_the_rest_is_judged_as_before() -> None:
    found = verdict("VPN and printer", "urgent", Correction("f1", category="wifi", impact="HIGH"), source="servicenow")
    outcome = found.outcome
    assert (outcome.category, outcome.impact, outcome.urgency, outcome.priority) == ("wifi", "high", "high", "P1")
    assert not outcome.abstained
    assert found.rule == CORRECTION
    assert found.confidence == 1.0


def test_a_corrected_impact_is_worth_more_than_the_sources_priority() -> None:
    said = {"source": "servicenow", "impact": "low", "urgency": "low", "priority": "P5"}
    assert verdict("", "", **said).outcome.priority == "P5"
    assert verdict("", "", Correction("f1", impact="high"), **said).outcome.priority == "P3"
    assert verdict("", "", Correction("f1", kind="problem"), **said).outcome.priority == "P5"


def test_of_two_corrections_each_speaks_for_its_fields_and_the_later_for_both() -> None:
    outcome = verdict(
        "vpn", "", Correction("f1", category="wifi", kind="problem"), Correction("f2", kind="change", urgency="high")
    ).outcome
    assert (outcome.category, outcome.kind, outcome.urgency) == ("wifi", "change", "high")


def test_a_correction_to_a_category_that_a_later_agreement_dropped_is_none() -> None:
    assert verdict("vpn", "", Correction("f1", category="gone")).outcome.category == "vpn"


def test_without_a_threshold_the_default_category_is_taken_and_nobody_is_asked() -> None:
    desk = policy(abstain_below=0, defaults={"impact": "low", "urgency": "low", "category": "printing"})
    outcome = decide(asked("Hello"), [], desk).outcome
    assert (outcome.category, outcome.abstained) == ("printing", False)


def test_the_same_ticket_without_text_is_decided_once() -> None:
    desk = policy()
    first = decide(asked(category="wifi"), [], desk)
    assert decide(asked(category="wifi"), [], desk) is first
    assert decide(asked(category="vpn"), [], desk).outcome.category == "vpn"
    assert decide(asked(category="wifi"), [Correction("f", category="vpn")], desk).outcome.category == "vpn"


def test_of_a_ticket_only_what_is_decided_on_is_kept() -> None:
    kept = asked_of(normalized("Title", "x" * 50_000, vip=True, evidence={"impact": "high"}))
    assert (kept.title, len(kept.text), kept.vip, kept.impact) == ("Title", MOST_CHARACTERS, True, "high")
