"""`python -m ticket_contracts agreement …`: what scripts and people rely on, without a broker."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ticket_contracts.__main__ import main

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"


def test_check_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "check", str(_DEFAULT)]) == 0
    said = capsys.readouterr().out
    assert "can be signed" in said
    assert main(["agreement", "check", str(_DEFAULT), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["version"] in said


def test_check_lists_what_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(_DEFAULT.read_text().replace("duty: duty-manager", "duty: dutty-manager"))
    assert main(["agreement", "check", str(file)]) == 1
    said = capsys.readouterr()
    [line] = [line for line in said.out.splitlines() if line.startswith(f"{file}:") and ": duty: " in line]
    assert "write `duty-manager`" in line
    assert "to mend before this can be signed" in said.err
    assert main(["agreement", "check", str(file), "--json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["ok"] is False
    assert {"file", "line", "column", "path", "what", "remedy"} == set(found["problems"][0])


@pytest.mark.parametrize(("day", "said"), [("1850-01-01", "1901 to"), ("9999-01-01", "1901 to"), ("today", "no date")])
def test_a_year_that_no_calendar_knows_is_wrong_usage(day: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["agreement", "check", str(_DEFAULT), "--from", day])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gone.yaml", "binary.yaml"])
def test_a_file_that_cannot_be_read_is_said(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SystemExit) as ended:
        main(["agreement", "check", str(tmp_path / name)])
    assert ended.value.code == 2
    assert f"cannot read {tmp_path / name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--approve", "nobody"], "is not PARTY=NAME"),
        (["--effective-at", "tomorrow"], "2026-03-02T09:00:00Z"),
        (["--effective-at", "2026-03-02T09:00:00"], "has no offset"),
    ],
)
def test_a_wrong_option_is_said_with_an_example(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["agreement", "publish", str(_DEFAULT), *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_party_named_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "publish", str(_DEFAULT), "--approve", "A=B", "--approve", "A=C"]) == 1
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["publish", str(_DEFAULT)], ["show"]])
def test_a_broker_that_does_not_answer_is_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["agreement", *command, "--bootstrap", "127.0.0.1:1"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("no answer from the broker at 127.0.0.1:1")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["check"], ["publish"], ["show"]])
def test_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["agreement", *command, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 8
