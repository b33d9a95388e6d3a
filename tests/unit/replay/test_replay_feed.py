"""What a feed file becomes, and what is said of one that cannot be read."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relaydesk_replay.feed import FeedError, read_feed

LOG = """\
number,incident_state,sys_mod_count,sys_updated_at,impact,urgency,assignment_group,opened_at,made_sla,closed_at,by
INC2,New,0,29/2/2016 01:23,2 - Medium,2 - Medium,Group 56,29/2/2016 01:16,true,5/3/2016 12:00,Resolver 1
INC1,Active,1,29/2/2016 01:30,2 - Medium,2 - Medium,?,29/2/2016 01:16,true,5/3/2016 12:00,Resolver 1
INC1,New,0,29/2/2016 01:20,2 - Medium,2 - Medium,?,29/2/2016 01:16,true,5/3/2016 12:00,Resolver 1
INC1,Resolved,2,29/2/2016 01:30,2 - Medium,2 - Medium,?,29/2/2016 01:16,true,5/3/2016 12:00,Resolver 1
"""


def _log(tmp_path: Path, text: str = LOG) -> Path:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_a_log_comes_in_order_of_time_then_of_modification(tmp_path: Path) -> None:
    feed = read_feed(_log(tmp_path))
    bodies = [json.loads(item.body) for item in feed.items]
    assert [(body["number"], body["sys_mod_count"]) for body in bodies] == [
        ("INC1", "0"), ("INC2", "0"), ("INC1", "1"), ("INC1", "2"),
    ]  # fmt: skip
    assert feed.items[0].at == datetime(2016, 2, 29, 1, 20, tzinfo=UTC)
    assert feed.tickets == 2


def test_what_is_written_back_at_the_end_is_not_sent(tmp_path: Path) -> None:
    for item in read_feed(_log(tmp_path)).items:
        assert not {"made_sla", "closed_at", "resolved_at", "by"} & set(json.loads(item.body))


def test_a_question_mark_is_null_and_dates_are_the_tools(tmp_path: Path) -> None:
    body = json.loads(read_feed(_log(tmp_path)).items[0].body)
    assert body["assignment_group"] is None
    assert body["opened_at"] == "2016-02-29 01:16:00"


def test_a_limit_keeps_whole_tickets(tmp_path: Path) -> None:
    feed = read_feed(_log(tmp_path)).first(1)
    assert [item.thread for item in feed.items] == ["INC1"] * 3


def test_json_lines_keep_bodies_that_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"at": "2026-03-02T10:00:00+01:00", "source": "zammad", "thread": "1", "body": "<html>"}\n')
    (item,) = read_feed(path).items
    assert (item.at, item.body) == (datetime(2026, 3, 2, 9, tzinfo=UTC), b"<html>")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "number,state\n1,New\n", "column assignment_group, impact"),
        ("a.jsonl", '{"at": "yesterday", "source": "x", "thread": "1", "body": {}}\n', "a.jsonl:1"),
        ("a.jsonl", '{"at": "2026-03-02T10:00:00", "source": "x", "thread": "1", "body": {}}\n', "no offset"),
        ("a.csv", LOG.replace("29/2/2016 01:20", "2016-02-29"), "a.csv:4"),
        ("a.csv", LOG.splitlines()[0], "no event"),
    ],
)
def test_a_feed_that_cannot_be_read_says_where_and_what(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FeedError, match=says):
        read_feed(path)


def test_a_feed_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no such file"):
        read_feed(tmp_path / "none.csv")
