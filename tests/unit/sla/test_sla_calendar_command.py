"""`python -m sla_monitor calendar`: rows of a file answered in order, and a calendar shown to a person."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sla_monitor.__main__ import main

DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
HOURS = {"0": [["09:00", "17:00"]], "1": [["09:00", "17:00"]]}
ROW = {"kind": "deadline", "tz": "UTC", "hours": HOURS, "start": "2025-06-02 16:00:00", "seconds": 7200}


def answered(capsys: pytest.CaptureFixture[str], path: Path) -> list[dict[str, Any]]:
    assert main(["calendar", "eval", str(path)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_that_cannot_be_read_says_so_in_its_place_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps(ROW).encode()
    lines = [
        b"\xef\xbb\xbf" + good + b"\r",  # as an editor of another system saves it
        b"{",
        b'{"kind": "deadline", "tz": "\xff\xfe"}',
        b"[" * 100_000,
        b"null",
        b'{"kind": "deadline", "seconds": ' + b"9" * 5_000 + b"}",
        b"",
        json.dumps({**ROW, "tz": "Mars/Base"}).encode(),
        json.dumps({**ROW, "warn_before_seconds": 3600, "deadline": "1999-01-01", "src": "elsewhere"}).encode(),
        good,
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = answered(capsys, path)
    assert [line["row"] for line in found] == list(range(1, 10))
    assert [number for number, line in enumerate(found, 1) if "error" in line] == [2, 3, 4, 5, 6, 7]
    assert found[1]["error"].startswith("the row is not JSON at character")
    assert found[2]["error"].startswith("the row is not UTF-8 at byte")
    assert "is not a time zone" in found[6]["error"]
    due = {"deadline": "2025-06-03T10:00:00Z", "elapsed_seconds": None, "waiting_seconds": None, "warn_at": None}
    assert found[0] == {"row": 1, **due}
    assert found[7] == {"row": 8, **due, "warn_at": "2025-06-02T17:00:00Z"}
    assert found[8] == {"row": 9, **due}


def test_an_answer_can_be_written_to_any_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows no dash ended the rows at the first error that has one."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**ROW, "start": "1066-10-14"}) + "\n" + json.dumps({**ROW, "tz": "Åland"}) + "\n")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert main(["calendar", "eval", str(path)]) == 0
    errors = [json.loads(line)["error"] for line in written.getvalue().splitlines()]
    assert "outside 1900–2199" in errors[0]
    assert "tz: 'Åland' is not a time zone" in errors[1]


def test_rows_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(ROW).encode())))
    assert main(["calendar", "eval", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["deadline"] == "2025-06-03T10:00:00Z"


def test_a_file_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calendar", "eval", "gone.jsonl"]) == 2
    assert "gone.jsonl" in capsys.readouterr().err


def preview(capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    assert main(["calendar", "preview", "office", "--agreement", str(DEFAULT), *more]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_preview_shows_windows_holidays_and_clock_changes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = preview(capsys, "--from", "2026-03-27", "--days", "11")
    assert lines[0] == "office, Europe/Berlin"
    by_day = {line[:14]: line[16:] for line in lines[1:]}
    assert len(by_day) == 11
    assert by_day["Fri 2026-03-27"] == "08:00–18:00"
    assert "clocks go forward 60 minutes, then it is 03:00 (CEST)" in by_day["Sun 2026-03-29"]
    assert by_day["Fri 2026-04-03"].split(maxsplit=1) == ["closed", "Good Friday"]
    assert by_day["Mon 2026-04-06"].split(maxsplit=1) == ["closed", "Easter Monday"]
    assert any("hours of its own" in line for line in preview(capsys, "--from", "2026-12-24", "--days", "1"))


def test_a_preview_shows_a_whole_day_as_one_also_where_the_clocks_change_at_midnight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """São Paulo, 15 October 2017: after 23:59 it was 01:00."""
    agreement = tmp_path / "agreement.yaml"
    text = DEFAULT.read_text(encoding="utf-8")
    assert "zone: Asia/Manila" in text
    agreement.write_text(text.replace("zone: Asia/Manila", "zone: America/Sao_Paulo"), encoding="utf-8")

    def shown(first: str) -> list[str]:
        assert main(["calendar", "preview", "helpline", "--agreement", str(agreement), "--from", first]) == 0
        return capsys.readouterr().out.splitlines()[1:]

    friday, saturday, sunday, *_ = shown("2017-10-13")
    assert friday == "Fri 2017-10-13  00:00–24:00"
    assert saturday == "Sat 2017-10-14  00:00–24:00"
    assert sunday.split(maxsplit=3)[2:] == ["01:00–18:00", "clocks go forward 60 minutes, then it is 01:00 (-02)"]
    assert shown("2017-10-15")[0] == sunday, "the change at the first midnight is told as well"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ofice", "--agreement", str(DEFAULT)], "no calendar 'ofice'; it has"),
        (["office", "--agreement", "gone.yaml"], "gone.yaml"),
        (["office", "--agreement", str(DEFAULT), "--from", "9999-12-30"], "outside 1900–2199"),
    ],
)
def test_a_preview_that_cannot_be_shown_says_why(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert main(["calendar", "preview", *arguments]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["explain", "a:b:1", "--out", ".", "--at", "2026-03-02T10:00"], "has no offset; write it as 2026-03-02T09:00"),
        (["digest", "--out", ".", "--since", "2026-03-02T10:00"], "has no offset; write it as 2026-03-02T09:00"),
        (["calendar", "preview", "office", "--agreement", "a.yaml", "--from", "24.3."], "'24.3.' is not a date; write"),
    ],
)
def test_an_instant_or_a_date_that_is_none_says_how_to_write_one(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
