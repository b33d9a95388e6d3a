"""A text model in the decision: when it speaks, what it may not override, what is recorded, and its candidate."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from ticket_classifier.__main__ import main
from ticket_classifier.adapters.models import Models, read_model
from ticket_classifier.domain.again import differences
from ticket_classifier.domain.decide import ABSTAINED, decide, shadowed
from ticket_classifier.domain.opinion import Model, Opinion, Thresholds
from ticket_classifier.domain.verdict import Correction
from ticket_classifier.handlers import ClassifierWork
from ticket_contracts import topics
from ticket_contracts.agreement.checking import check
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import FakeOutputs
from unit.classifier.classifier_desk import (
    MONDAY,
    agreement,
    asked,
    content,
    feedback,
    normalized,
    policy,
    published,
    record,
)
from unit.classifier.labelled import as_csv, tickets, written
from unit.classifier.test_classifier_command import AGREEMENT

LIVE, NEXT = "1" * 32, "2" * 32


class Says:
    """A model that says the same of every ticket."""

    def __init__(self, label: str, confidence: float = 0.9, *, strange: bool = False, digest: str = LIVE) -> None:
        self.digest = digest
        self.thresholds = Thresholds(0.4, 0.9, 0.3)
        self._opinion = Opinion(label, confidence, 1.0, 0.5, strange, {label: confidence}, {"word": 0.7})

    def judge(self, tickets: Iterable[tuple[str, str]]) -> list[Opinion]:
        return [self._opinion for _ in tickets]


def test_a_sure_model_speaks_where_no_rule_does() -> None:
    verdict = decide(asked("Coffee"), [], policy(), Says("wifi"))
    assert (verdict.outcome.category, verdict.rule, verdict.confidence) == ("wifi", f"model:{LIVE}", 0.9)
    assert verdict.evidence[0].terms == {"word": 0.7}
    assert not verdict.outcome.abstained


@pytest.mark.parametrize("model", [Says("wifi", 0.39), Says("wifi", 0.99, strange=True), Says("no category")])
def test_a_model_that_would_rather_not_say_leaves_it_to_the_rules_and_then_to_people(model: Says) -> None:
    by_rules = decide(asked("VPN drops"), [], policy(), model)
    assert (by_rules.outcome.category, by_rules.rule) == ("vpn", "vpn")
    assert by_rules.opinion is not None
    assert by_rules.opinion.abstained
    assert decide(asked("Coffee"), [], policy(), model).rule == ABSTAINED


def test_the_agreement_may_ask_for_more_sureness_than_the_model_does() -> None:
    strict = policy(model={"digest": LIVE, "abstain_below": 0.95})
    assert decide(asked("Coffee"), [], strict, Says("wifi", 0.94)).outcome.abstained
    assert not decide(asked("Coffee"), [], strict, Says("wifi", 0.96)).outcome.abstained


def test_what_model_and_rule_agree_on_is_surer_and_where_they_differ_is_less_sure() -> None:
    alone = decide(asked("VPN"), [], policy()).confidence
    assert decide(asked("VPN"), [], policy(), Says("vpn")).confidence > alone
    against = decide(asked("VPN"), [], policy(), Says("printing", 0.6))
    assert (against.outcome.category, against.confidence < alone) == ("vpn", True)


def test_a_rule_says_more_exactly_what_the_model_says_widely() -> None:
    verdict = decide(asked("VPN"), [], policy(), Says("network", 0.95))
    assert verdict.outcome.category == "vpn"
    assert {judgement.rule for judgement in verdict.evidence[:2]} == {"vpn", f"model:{LIVE}"}


def test_a_suspicion_is_not_outvoted_by_a_model() -> None:
    verdict = decide(asked("Phishing?"), [], policy(), Says("printing", 0.999))
    assert "security" in verdict.outcome.flags


def test_people_and_authoritative_sources_stand_above_a_model() -> None:
    corrected = decide(asked("VPN"), [Correction("f", category="reset")], policy(), Says("wifi", 0.99))
    assert corrected.outcome.category == "reset"
    said = decide(asked("VPN", source="servicenow", category="printing"), [], policy(), Says("wifi", 0.99))
    assert said.outcome.category == "printing"


def test_labels_are_mapped_as_a_sources_words_are() -> None:
    assert decide(asked("x"), [], policy(), Says("NETWORK / vpn")).outcome.category == "vpn"


def test_a_ticket_without_text_is_not_asked_of_a_model() -> None:
    assert decide(asked(), [], policy(), Says("wifi")).opinion is None
    assert shadowed(asked(), [], policy(), Says("wifi")) is None


class Shelf:
    """Models by digest, as `Models` finds them."""

    def __init__(self, *models: Model) -> None:
        self.models = {model.digest: model for model in models}

    def __call__(self, digest: str) -> Model | None:
        return self.models.get(digest)


def desk(shelf: Shelf, **classification: object) -> ClassifierWork:
    return ClassifierWork(Agreements([published(agreement(**classification))]), shelf)


def events(out: FakeOutputs) -> list[TicketClassified]:
    return [event for event in out.events(topics.CLASSIFIED) if isinstance(event, TicketClassified)]


NAMED = {"model": {"digest": LIVE}, "candidate": {"digest": NEXT}}


def test_a_decision_names_its_model_and_what_the_candidate_would_have_made_of_it() -> None:
    shelf = Shelf(Says("wifi"), Says("printing", digest=NEXT))
    out = FakeOutputs()
    ticket = normalized("Coffee")
    desk(shelf, **NAMED).handle(record(ticket), out)
    [event] = events(out)
    assert (event.category, event.inputs.model) == ("wifi", LIVE)
    assert event.shadow is not None
    assert (event.shadow.category, event.shadow.opinion.model) == ("printing", NEXT)
    assert differences(event, ticket, lambda _: None, policy(**NAMED), shelf) == {}


def test_the_candidate_is_compared_and_never_acted_on() -> None:
    out, alone = FakeOutputs(), FakeOutputs()
    for found, model in ((out, NAMED), (alone, {"model": {"digest": LIVE}})):
        work = desk(Shelf(Says("wifi"), Says("printing", digest=NEXT)), **model)
        work.handle(record(normalized("Coffee")), found)
        work.handle(record(normalized("Coffee", version=2, status="open")), found)
    with_candidate, without = events(out), events(alone)
    assert len(with_candidate) == len(without) == 1
    assert msgspec.structs.replace(with_candidate[0], shadow=None, agreement_version="") == msgspec.structs.replace(
        without[0], agreement_version=""
    )


def test_a_model_that_is_not_there_is_done_without_and_the_decision_says_so() -> None:
    out = FakeOutputs()
    ticket = normalized("VPN")
    shelf = Shelf()
    work = desk(shelf, **NAMED)
    work.handle(record(ticket), out)
    shelf.models[LIVE] = Says("wifi", 0.99)  # it comes later
    work.handle(record(normalized("VPN", version=2)), out)
    first, second = events(out)
    assert (first.category, first.inputs.model, first.shadow) == ("vpn", None, None)
    assert (second.category, second.inputs.model) == ("wifi", LIVE)
    assert differences(first, ticket, lambda _: None, policy(**NAMED), shelf) == {}, "made again as it was made"


def test_an_agreement_switches_the_model_without_a_restart() -> None:
    shelf = Shelf(Says("wifi"), Says("printing", digest=NEXT))
    later = MONDAY + timedelta(hours=1)
    agreements = Agreements([published(agreement(**NAMED))])
    work, out = ClassifierWork(agreements, shelf), FakeOutputs()
    work.handle(record(normalized("Coffee")), out)
    agreements.add(published(agreement(model={"digest": NEXT}), later))
    work.handle(record(normalized("Coffee", version=2, at=later)), out)
    assert [(event.category, event.inputs.model) for event in events(out)] == [("wifi", LIVE), ("printing", NEXT)]


def test_a_correction_is_decided_with_the_model_at_hand() -> None:
    work, out = desk(Shelf(Says("wifi"), Says("vpn", digest=NEXT)), **NAMED), FakeOutputs()
    work.handle(record(normalized("Coffee")), out)
    work.handle(record(feedback("f1", 1, impact="high")), out)
    _, corrected = events(out)
    assert (corrected.category, corrected.impact, corrected.inputs.model) == ("wifi", "high", LIVE)
    assert corrected.shadow is not None


@pytest.mark.parametrize("inputs", ["live", "candidate"])
def test_a_model_that_is_lost_makes_a_decision_different(inputs: str) -> None:
    shelf = Shelf(Says("wifi"), Says("printing", digest=NEXT))
    out, ticket = FakeOutputs(), normalized("Coffee")
    desk(shelf, **NAMED).handle(record(ticket), out)
    del shelf.models[LIVE if inputs == "live" else NEXT]
    found = differences(events(out)[0], ticket, lambda _: None, policy(**NAMED), shelf)
    assert "this model is not there" in str(found["inputs"])


def test_events_written_before_there_were_models_are_read_and_made_again() -> None:
    out, ticket = FakeOutputs(), normalized("VPN")
    desk(Shelf()).handle(record(ticket), out)
    said = msgspec.to_builtins(events(out)[0])
    for name in ("opinion", "shadow"):
        del said[name]
    del said["inputs"]["model"]
    old = msgspec.convert(said, TicketClassified)
    assert differences(old, ticket, lambda _: None, policy(), Shelf()) == {}
    assert ce_id(old) == ce_id(events(out)[0])


def test_an_agreement_whose_candidate_is_the_model_is_not_signed() -> None:
    made = content()
    made["classification"] |= {"model": {"digest": LIVE}, "candidate": {"digest": LIVE}}
    from ticket_contracts.agreement import Agreement

    assert "the candidate is the model itself" in str(list(check(Agreement.model_validate(made))))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("shelf")
    source = written(where / "t.csv", as_csv(tickets()))
    arguments = [
        "train",
        "--input",
        source,
        "--text",
        "text",
        "--label",
        "label",
        "--output",
        str(where / "m"),
        "--json",
    ]
    assert main(arguments) == 0
    return where / "m"


def test_real_models_are_found_in_their_directory_and_decide(trained: Path, tmp_path: Path) -> None:
    model, manifest = read_model(trained)
    digest = manifest.digest
    shutil.copytree(trained, tmp_path / "m")
    named: dict[str, object] = {
        "model": {"digest": digest},
        "rules": [],
        "category_map": {"Network": "network", "Printing": "printing"},
    }
    work, out = ClassifierWork(Agreements([published(agreement(**named))]), Models(tmp_path)), FakeOutputs()
    about_it = [text for text, label in tickets(60, seed=3) if label == "Network"]
    text = next(text for text in about_it if not model.judge([("", text)])[0].abstains(0.8))
    ticket = normalized("", text)
    work.handle(record(ticket), out)
    [event] = events(out)
    assert (event.category, event.rule) == ("network", f"model:{digest}")
    assert differences(event, ticket, lambda _: None, policy(**named), Models(tmp_path)) == {}


def test_classify_shows_what_the_model_says_and_why(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(text: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["classify", "-", "--agreement", AGREEMENT, "--model", str(trained)]) == 0
        return " ".join(capsys.readouterr().out.replace("│", " ").split())

    said = shown("Router latency\nthe gateway and the tunnel today")
    for part in ("Network", "for it:", "router", "of the words"):
        assert part in said
    assert "would rather not say" in shown("Kaffeemaschine\nDie Kaffeemaschine im Flur ist kaputt")


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_classify_says_what_is_wrong_with_a_model(
    damage: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage == "cut":
        shutil.copytree(trained, tmp_path / "m")
        whole = (tmp_path / "m" / "model.npz").read_bytes()
        (tmp_path / "m" / "model.npz").write_bytes(whole[:1000])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"VPN")))
    assert main(["classify", "-", "--agreement", AGREEMENT, "--model", str(tmp_path / "m")]) == 2
    assert ("holds no model" if damage == "gone" else "cut short or altered") in capsys.readouterr().err
