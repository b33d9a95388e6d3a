"""The command line, as people and scripts use it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ticket_intake.__main__ import main

BODY = {"id": 7, "version": 1, "title": "Printer", "status": "open", "colour": "red"}


@pytest.fixture
def message(tmp_path: Path) -> str:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(BODY))
    return str(file)


def test_normalize_prints_what_people_read(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["normalize", "--source", "generic", "--explain", message]) == 0
    shown = capsys.readouterr().out
    assert "generic:main:7" in shown
    assert re.search(r"^  title +Printer +title \|\| subject$", shown, re.M)
    assert re.search(r"^  external_id +7$", shown, re.M)
    assert "not in the message, so left as it is: url, channel" in shown
    assert "left unread: colour" in shown


def test_normalize_prints_what_scripts_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "b.jsonl"
    lines = [BODY, {**BODY, "version": 2, "status": "closed"}, BODY]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["normalize", "--source", "generic", "--json", "--received", "2026-03-02T09:00:00Z", str(file)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    rows = [json.loads(line) for line in first.splitlines()]
    assert [row["duplicate"] for row in rows] == [None, None, "same_delivery"]
    assert [row["ticket"]["lifecycle"] for row in rows[:2]] == ["created", "ended"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_normalize_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(BODY).encode())))
    assert main(["normalize", "--source", "generic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ticket"]["title"] == "Printer"


def test_what_is_not_understood_is_said_and_the_rest_goes_on(
    tmp_path: Path, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    assert main(["normalize", "--source", "generic", str(bad), message]) == 1
    said = capsys.readouterr()
    assert "not understood: (body): not JSON" in said.err
    assert "generic:main:7" in said.out
    assert main(["normalize", "--source", "generic", "--json", str(bad)]) == 1
    assert json.loads(capsys.readouterr().out)["not_understood"]["path"] == "(body)"


def test_the_first_byte_that_is_no_utf8_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latin = tmp_path / "latin.json"
    latin.write_bytes('{"id":1,"title":"ü"}'.encode("latin-1"))
    assert main(["normalize", "--source", "generic", str(latin)]) == 1
    assert "not UTF-8 at byte 17" in capsys.readouterr().err


def test_what_is_no_instant_and_what_does_not_ship_are_said(
    tmp_path: Path, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("yesterday", "2026-03-02"):
        with pytest.raises(SystemExit) as ended:
            main(["normalize", "--source", "generic", "--received", text, message])
        assert ended.value.code == 2
        assert f"'{text}' is no instant; write it as 2026-03-02T09:00:00Z" in capsys.readouterr().err
    ours = tmp_path / "ours.yaml"
    ours.write_text("extends: jira\nsource: jira\ntitle: Ours\n")
    assert main(["sources", "show", str(ours)]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "ours.yaml: not one that ships ready" in said.err


def test_a_missing_file_or_source_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["normalize", "--source", "nosuch"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["normalize", "--source", "generic", "nosuch.json"]) == 1
    assert "nosuch.json: cannot be read" in capsys.readouterr().err


def test_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "list", "--json"]) == 0
    assert {"source": "jira", "title": "Jira and Jira Service Management", "topic": "inbound.jira"} in json.loads(
        capsys.readouterr().out
    )
    assert main(["sources", "show", "jira"]) == 0
    ours = tmp_path / "ours.yaml"
    ours.write_text(capsys.readouterr().out)
    assert main(["sources", "check", str(ours)]) == 0
    assert "jira: 17 fields" in capsys.readouterr().out
    ours.write_text("source: x\n")
    assert main(["sources", "check", "--json", str(ours)]) == 1
    assert any("ticket: is missing" in fault for fault in json.loads(capsys.readouterr().out)["faults"])


@pytest.mark.parametrize(
    "arguments", [["--help"], ["normalize", "--help"], ["sources", "check", "--help"], ["serve", "--help"]]
)
def test_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 150
