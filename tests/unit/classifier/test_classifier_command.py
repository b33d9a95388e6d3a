"""`classify` and `redecide`, as a person runs them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import msgspec
import pytest

from ticket_classifier.__main__ import main
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Event, ce_id
from ticket_contracts.tickets import Feedback
from unit.classifier.classifier_desk import MONDAY
from unit.classifier.test_classifier_work import Desk, story

ROOT = Path(__file__).parents[3]
AGREEMENT = str(ROOT / "deploy" / "agreements" / "default.yaml")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What a replay exports of the story of the work's tests."""
    desk = story()
    write(tmp_path, desk)
    return tmp_path


def write(directory: Path, desk: Desk) -> None:
    lines: dict[str, list[bytes]] = {
        "tickets.normalized": [_line(ticket) for ticket in desk.tickets.values()],
        "tickets.classified": [_line(event) for event in desk.events],
        "tickets.feedback": [b'{"key": "x", "data": "no json"}', *(_line(said) for said in desk.feedback.values())],
        "desk.agreement": [
            msgspec.json.encode({"key": p.version, "data": msgspec.Raw(record_of(p, MONDAY)[1])})
            for p in desk.agreements.every()
        ],
    }
    for topic, found in lines.items():
        (directory / f"{topic}.jsonl").write_bytes(b"\n".join(found) + b"\n")


def _line(value: Event | Feedback) -> bytes:
    said = {"ce_id": ce_id(value), "ce_type": value.TYPE} if isinstance(value, Event) else {}
    return msgspec.json.encode({"key": value.ticket, **said, "data": value})


def test_every_decision_of_an_export_is_made_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--out", str(out)]) == 0
    assert capsys.readouterr().out == '{"checked":4,"different":0}\n'


def test_an_altered_decision_is_shown_and_counted(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = out / "tickets.classified.jsonl"
    assert b'"category":"network"' in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(b'"category":"network"', b'"category":"vpn"'))
    assert main(["redecide", "--out", str(out)]) == 1
    *shown, last = capsys.readouterr().out.splitlines()
    assert last == '{"checked":4,"different":1}'
    assert "category was vpn, now" in shown[0]
    assert main(["redecide", "--out", str(out), "--json"]) == 1
    assert msgspec.json.decode(capsys.readouterr().out.splitlines()[0])["differs"]["category"]["published"] == "vpn"


@pytest.mark.parametrize("lost", ["tickets.normalized", "tickets.feedback", "desk.agreement"])
def test_a_decision_whose_inputs_are_lost_is_different(
    out: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / f"{lost}.jsonl").write_text("")
    assert main(["redecide", "--out", str(out)]) == 1
    assert "not there" in capsys.readouterr().out


def test_what_is_no_export_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--out", str(tmp_path)]) == 2
    assert "make replay" in capsys.readouterr().err
    (tmp_path / "tickets.classified.jsonl").write_text("nonsense\n")
    assert main(["redecide", "--out", str(tmp_path)]) == 2
    assert "no record of a desk" in capsys.readouterr().err


def classify(text: str | bytes, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    content = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return main(["classify", "-", "--agreement", AGREEMENT, *options])


def test_a_ticket_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify("VPN drops\nsince today, 25 colleagues cannot work", monkeypatch) == 0
    said = capsys.readouterr().out
    for part in ("P1", "VPN and remote access (vpn)", "25 people", "cannot work", "rule vpn", "Rheinbogen"):
        assert part in said


def test_a_ticket_that_nobody_understands_is_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classify("Hyvää päivää", monkeypatch) == 0
    said = capsys.readouterr().out
    assert "people decide" in said
    assert "no word of it is known" in said


def test_the_decision_comes_as_the_event_that_it_would_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = '{"title": "VPN"}\n{"data": {"title": "Drucker", "evidence": {"impact": "high"}}}\n'
    assert classify(lines, monkeypatch, "--json") == 0
    first, second = map(msgspec.json.decode, capsys.readouterr().out.splitlines())
    assert (first["category"], second["category"], second["impact"]) == ("vpn", "printing", "high")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ('{"title": 5}', "not a ticket"),
        ('{"title": "a"}\n{"title":', "standard input:2: not JSON"),
        ('{"title": "a", "evidence": "x"}', "evidence"),
    ],
)
def test_what_is_no_ticket_is_said(
    content: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classify(content, monkeypatch) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", ["QUJD" * 250_000, "🎉🎉🎉", b"\xff\xfe\x00", "{" * 5_000, "<html>" * 10_000])
def test_odd_content_is_classified_or_refused_but_never_breaks(
    content: str | bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = classify(content, monkeypatch, "--json")
    said = capsys.readouterr()
    assert msgspec.json.decode(said.out)["abstained"] if code == 0 else said.err


def test_a_missing_file_and_a_bad_agreement_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(tmp_path / "gone.txt")]) == 2
    assert "gone.txt" in capsys.readouterr().err
    ticket, agreement = tmp_path / "ticket.txt", tmp_path / "desk.yaml"
    ticket.write_text("VPN")
    agreement.write_text("title: 5\n")
    assert main(["classify", str(ticket), "--agreement", str(agreement)]) == 1
    assert "desk.yaml:1:1" in capsys.readouterr().err
