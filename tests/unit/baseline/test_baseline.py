"""A company's history before a transition: how it is read, and what is made of it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sla_monitor.__main__ import main
from sla_monitor.baseline.analysis import analyse, percentile
from sla_monitor.baseline.commands import calendar_of
from sla_monitor.baseline.history import HistoryError, read_history

HOURS = calendar_of("mon-fri 08:00-18:00", "UTC")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_an_audit_log_becomes_a_ticket_with_its_course(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.csv",
        "number,incident_state,sys_mod_count,sys_updated_at,opened_at,priority,category,assignment_group,knowledge\n"
        "INC1,New,0,29/2/2016 01:23,29/2/2016 01:16,3 - Moderate,Category 1,?,false\n"
        "INC1,Resolved,2,29/2/2016 11:29,29/2/2016 01:16,2 - High,Category 2,Group B,true\n"
        "INC1,Active,1,29/2/2016 08:53,29/2/2016 01:16,3 - Moderate,Category 1,Group A,false\n",
    )
    (past,) = read_history(path).tickets
    assert past.opened_at == datetime(2016, 2, 29, 1, 16, tzinfo=UTC)
    assert past.resolved_at == datetime(2016, 2, 29, 11, 29, tzinfo=UTC)
    assert (past.groups, past.categories) == (["Group A", "Group B"], ["Category 1", "Category 2"])
    assert (past.priority, past.reassigned, past.article, past.kept, past.alone) == ("P2", 1, True, None, False)


def test_an_export_of_a_row_a_ticket_is_read_by_its_headings(tmp_path: Path) -> None:
    path = tmp_path / "export.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.write("\ufeffIssue key;Created;Resolved;Priority;Component;Team;Reopens\n")
        out.write("A-1;2026-03-02 09:00;2026-03-02 10:00;P1;VPN;Net;0\nA-2;2026-03-03T09:00:00+02:00;;P3;VPN;Net;2\n")
    one, two = read_history(path).tickets
    assert (one.category, one.group, one.priority, one.alone) == ("VPN", "Net", "P1", True)
    assert two.opened_at == datetime(2026, 3, 3, 7, tzinfo=UTC)
    assert (two.resolved_at, two.reopened) == (None, True)


def test_a_feed_of_a_replay_is_read_too(tmp_path: Path) -> None:
    body = {"id": "7", "category": "vpn", "status": "new"}
    rows: list[dict[str, Any]] = [
        {"at": "2026-03-02T09:00:00Z", "source": "generic", "thread": "7", "body": json.dumps(body)}
    ]
    rows.append({"at": "2026-03-02T12:00:00Z", "source": "generic", "thread": "7", "body": body | {"status": "Solved"}})
    path = write(tmp_path / "feed.jsonl", "\n".join(map(json.dumps, rows)))
    (past,) = read_history(path).tickets
    assert (past.category, past.resolved_at) == ("vpn", datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no ticket"),
        ("a,b\n1,2\n", "no column says ticket or opened"),
        ("number,opened_at\n1,yesterday\n", "'yesterday' is no date"),
        ("number,opened_at\n,2026-03-02\n", "it names no ticket"),
        ("{not json\n", "not a JSON object"),
        ('{"number": 1, "opened": "2026-13-02"}\n', "is no date"),
    ],
)
def test_what_is_no_history_is_refused_with_the_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        read_history(write(tmp_path / "x.csv", text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for content in (b"\x1f\x8b\x08broken", b"number,opened_at\n\xff\xfe,2026-03-02\n"):
        path = tmp_path / "x.csv"
        path.write_bytes(content)
        with pytest.raises(HistoryError, match="not text in UTF-8"):
            read_history(path)
    with pytest.raises(HistoryError, match="no such file"):
        read_history(tmp_path / "missing")


def made(tmp_path: Path, *, articles: str = "true", priority: str = "3", group: str = "Net", weeks: int = 8) -> Path:
    """Ten tickets every weekday, each solved in an hour."""
    lines = ["number,opened_at,resolved_at,priority,category,assignment_group,knowledge"]
    for day in range(weeks * 7):
        at = datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(days=day)
        if at.weekday() < 5:
            lines += [
                f"{day}-{n},{at + timedelta(minutes=n)},{at + timedelta(minutes=60 + n)},{priority},vpn,"
                f"{group if group != 'many' else f'G{n}'},{articles}"
                for n in range(10)
            ]
    return write(tmp_path / "made.csv", "\n".join(lines))


@pytest.mark.parametrize(
    ("given", "verdict", "overall", "against"),
    [
        ({}, "go", "Go", []),
        ({"articles": "false"}, "go with conditions", "Go with conditions", ["written down"]),
        ({"articles": "?"}, "go with conditions", "Go with conditions", []),
        ({"priority": "1"}, "no-go", "No-go for now", ["harmless"]),
        ({"group": "many"}, "go with conditions", "Go with conditions", ["one team"]),
    ],
)
def test_the_verdict_follows_from_what_is_asked(
    tmp_path: Path, given: dict[str, str], verdict: str, overall: str, against: list[str]
) -> None:
    found = analyse(read_history(made(tmp_path, **given)), HOURS)  # type: ignore[arg-type]
    (category,) = found.categories
    assert (category.verdict, found.verdict) == (verdict, overall)
    assert [check.name for check in category.checks if check.passed is False] == against


def test_goals_and_predictions_are_what_the_history_holds(tmp_path: Path) -> None:
    found = analyse(read_history(made(tmp_path)), HOURS)
    (goal,) = found.goals
    assert (goal.priority, goal.tickets, goal.wall, goal.business) == ("P3", 400, (1, 1, 1), (1, 1, 1))
    assert (found.since, found.until) == (date(2026, 3, 2), date(2026, 4, 24))
    assert found.predictability.daily_error == pytest.approx(0)
    assert found.predictability.by_chance is not None
    assert found.predictability.by_chance > 0.4  # one mean for all days misses the weekends
    assert (found.predictability.group_by_category, found.predictability.first_group) == (1, 1)
    assert (round(found.taxonomy.effective, 9), found.taxonomy.half) == (1, 1)
    assert found.automate[0].against == []
    assert found.outside_hours == 0


def test_percentiles_are_a_spreadsheets() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.9) == pytest.approx(4.6)
    assert percentile([7.0], 0.9) == 7.0


def test_the_command_writes_a_page_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = made(tmp_path)
    feed.write_text(feed.read_text().replace(",vpn,", ",=cmd|<script>alert(1)</script>,"))
    assert main(["baseline", str(feed), "--to", str(tmp_path / "to")]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "baseline.html",
        "baseline.csv",
        "baseline.json",
    ]
    page = (tmp_path / "to" / "baseline.html").read_text()
    assert "<script" not in page
    assert ">go</text>" in page  # what the colour of the largest categories means, also where all have one
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")  # nothing is fetched
    assert "'=cmd" in (tmp_path / "to" / "baseline.csv").read_text(encoding="utf-8-sig")
    assert json.loads((tmp_path / "to" / "baseline.json").read_text())["verdict"] == "Go"


@pytest.mark.parametrize("hours", ["", "mon-fri", "mon-xyz 08:00-18:00", "mon-fri 8-18", "mon-fri 25:00-26:00"])
def test_hours_that_are_none_are_refused(hours: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", str(made(tmp_path)), "--to", str(tmp_path), "--hours", hours]) == 2
    assert "mon-fri 08:00-18:00" in capsys.readouterr().err or "25:00" in hours
