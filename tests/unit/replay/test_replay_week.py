"""The generated week is the same for the same seed, and holds all that a week at a desk has."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from relaydesk_replay.feed import Feed
from relaydesk_replay.week import make_week

END = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def week() -> Feed:
    return make_week(seed=1, end=END)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(week: Feed) -> None:
    assert make_week(seed=1, end=END) == week
    assert make_week(seed=2, end=END) != week


def test_it_lies_within_its_seven_days_in_order(week: Feed) -> None:
    instants = [item.at for item in week.items]
    assert instants == sorted(instants)
    assert END - timedelta(days=7) <= instants[0]
    assert instants[-1] <= END


def test_every_tool_speaks(week: Feed) -> None:
    assert set(Counter(item.source for item in week.items)) == {
        "servicenow", "jira", "zendesk", "zammad", "alertmanager", "generic",
    }  # fmt: skip


def test_monday_morning_is_busier_than_any_night(week: Feed) -> None:
    first = {item.thread: item.at for item in reversed(week.items)}
    monday = sum(at.weekday() == 0 and 6 <= at.hour < 10 for at in first.values())
    nights = Counter(at.date() for at in first.values() if at.hour < 4)
    assert monday > 3 * max(nights.values())


def test_the_outage_floods_wednesday(week: Feed) -> None:
    first = {item.thread: item.at for item in reversed(week.items)}
    wednesday = sum(at.weekday() == 2 and 9 <= at.hour < 11 for at in first.values())
    thursday = sum(at.weekday() == 3 and 9 <= at.hour < 11 for at in first.values())
    assert wednesday > thursday + 60


def test_it_holds_what_goes_wrong_at_desks(week: Feed) -> None:
    bodies = [item.body for item in week.items]
    assert len(bodies) - len(set(bodies)) > 20, "deliveries that come twice"
    assert sum(not _is_json(body) for body in bodies) >= 2, "bodies that are no JSON"
    texts = [json.loads(body) for body in bodies if _is_json(body)]
    generic = [text for text in texts if str(text.get("id", "")).startswith("R-")]
    assert any(text["text"] == "" for text in generic), "empty bodies"
    assert {text["requester"]["language"] for text in generic} >= {"en", "de"}
    assert any(b"Original Message" in body for body in bodies), "forwarded threads"
    assert any(b"<blockquote>" in body for body in bodies), "HTML mail"


def test_some_tickets_are_reopened(week: Feed) -> None:
    servicenow: dict[str, list[str]] = {}
    for item in week.items:
        if item.source == "servicenow":
            servicenow.setdefault(item.thread, []).append(json.loads(item.body)["state"]["display_value"])
    assert any("Resolved" in seen and "In Progress" in seen[seen.index("Resolved") :] for seen in servicenow.values())


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
