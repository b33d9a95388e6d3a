"""A feed as the desk would understand it, without a broker: what a policy is tried on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from relaydesk_replay.__main__ import main as replay
from relaydesk_replay.history import write_history
from relaydesk_replay.week import make_week
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.classification import TicketClassified
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_router.__main__ import main as router

AGREEMENTS = Path(__file__).parents[3] / "deploy" / "agreements"
DEFAULT = AGREEMENTS / "default.yaml"


def lines(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_every_message_becomes_a_version_a_duplicate_or_is_said_not_to_be_understood(tmp_path: Path) -> None:
    feed = make_week(1).first(60)
    agreement = read_agreement(DEFAULT.read_text(encoding="utf-8"), "default.yaml")
    counts = write_history(feed, agreement, tmp_path)
    rows = lines(tmp_path / "tickets.normalized.jsonl")
    assert counts["tickets.normalized"] == len(rows)
    assert len(rows) + counts["not_understood"] == len(feed.items)
    assert {row["ce_type"] for row in rows} == {TicketNormalized.TYPE, TicketDuplicate.TYPE}
    judged = lines(tmp_path / "tickets.classified.jsonl")
    assert {row["key"] for row in judged} == {row["key"] for row in rows}
    assert {row["ce_type"] for row in judged} == {TicketClassified.TYPE}
    again = tmp_path / "again"
    write_history(feed, agreement, again)
    for name in ("tickets.normalized.jsonl", "tickets.classified.jsonl"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


FEED = """\
{"at": "2026-03-02T09:00:00Z", "source": "generic", "thread": "1", "body": {"id": "1", "title": "Printer jams"}}
{"at": "2026-03-02T19:00:00Z", "source": "generic", "thread": "2", "body": {"id": "2", "title": "VPN drops"}}
"""


def test_whatif_takes_a_feed_file_and_gives_the_same_bytes_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text(FEED)
    other = tmp_path / "candidate.yaml"
    text = DEFAULT.read_text(encoding="utf-8")
    by_day = "to: [service-desk, helpline-first-line]}\n    - {name: first-line-by-night"
    assert by_day in text
    other.write_text(text.replace(by_day, by_day.replace("service-desk, ", "")), encoding="utf-8")
    pages = []
    for number in range(2):
        page = tmp_path / f"{number}.html"
        given = ["--against", str(DEFAULT), "--history", str(feed), "--page", str(page), "--json"]
        assert router(["whatif", "--agreement", str(other), *given]) == 0
        pages.append(page.read_bytes() + capsys.readouterr().out.encode())
    assert pages[0] == pages[1]
    found = json.loads(pages[0].splitlines()[-1])
    assert [(m["ticket"], m["was"], m["now"]) for m in found["elsewhere"]] == [
        ("generic:main:1", "service-desk", "helpline-first-line")
    ]
    assert found["flows"]["partner"] == [{"was": "inside", "now": "helpline", "tickets": 1, "hours": {"10": 1}}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.jsonl", None, "is not there; name a feed file or a directory"),
        ("broken.jsonl", '{"at": "yesterday"}\n', "broken.jsonl:1"),
        ("other.csv", "a,b\n1,2\n", "neither JSON Lines nor a ServiceNow log"),
    ],
)
def test_a_history_that_is_none_is_said_in_a_line(
    name: str, content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    assert router(["whatif", "--agreement", str(DEFAULT), "--history", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text(FEED)
    assert replay(["history", str(feed), str(tmp_path / "out")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"tickets.normalized": 2, "tickets.classified": 2, "not_understood": 0}
