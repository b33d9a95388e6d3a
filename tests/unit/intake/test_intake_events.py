"""Every event type of every tool, field by field; the guide's table names the same events."""

from __future__ import annotations

import random
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ticket_intake import documents
from ticket_intake.domain import merge
from unit.intake.test_intake_sources import read
from unit.intake.tool_events import EVENTS, Told

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "sources.md"


@pytest.mark.parametrize("told", EVENTS, ids=[f"{told.source}: {told.event}" for told in EVENTS])
def test_an_event_becomes_what_it_means(told: Told) -> None:
    found = read(told.source, *told.bodies)
    expected = dict(told.expected)
    comment = expected.pop("comment", None)
    assert {name: found[name] for name in expected} == expected
    if comment is not None:
        newest = max(found["comments"], key=lambda c: c["at"])
        assert {name: newest[name] for name in comment} == comment


@pytest.mark.parametrize("source", sorted({told.source for told in EVENTS}))
def test_a_tools_events_end_in_the_same_ticket_in_whatever_order_they_come(source: str) -> None:
    """All bodies of one ticket, shuffled and doubled: one history, told in many ways."""
    choice = random.Random(source)
    compiled = documents.load(source).compile()
    by_ticket: dict[str, list[dict[str, Any]]] = {}
    for told in EVENTS:
        if told.source == source:
            for body in told.bodies:
                bodies = by_ticket.setdefault(compiled.tickets(body)[0], [])
                if body not in bodies:
                    bodies.append(body)
    ordered = {ticket: bodies for ticket, bodies in by_ticket.items() if is_ordered(compiled, bodies)}
    assert ordered or source in BY_ARRIVAL
    for bodies in ordered.values():
        way = ("ticket_version", "lifecycle", "changed", "source_version", "happened_at")
        expected = {name: value for name, value in read(source, *bodies).items() if name not in way}
        for _ in range(10):
            deliveries = [*bodies, *choice.choices(bodies, k=3)]
            choice.shuffle(deliveries)
            found = read(source, *deliveries)
            assert {name: found[name] for name in expected} == expected


BY_ARRIVAL = {"freshdesk", "generic", "zendesk_triggers"}
"""What they send holds no version unless the admin adds one."""


def is_ordered(compiled: Any, bodies: list[dict[str, Any]]) -> bool:
    return not any(compiled.read(body, msgspec.json.encode(body), 0, None, 10**16).by_arrival for body in bodies)


def test_the_guide_names_each_event() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", GUIDE.read_text().split("\n## ")[0], re.M)
    written = {(source, event) for source, events in rows for event in re.findall(r"`([^`]+)`", events)}
    shown = {(told.source, re.sub(r"`", "", told.event)) for told in EVENTS}
    assert written == shown


def test_two_secrets_of_every_scheme_may_be_valid_while_one_rotates() -> None:
    for name in documents.shipped():
        for scheme in documents.load(name).authentication:
            if scheme.scheme != "none":
                first, following = (secret.env for secret in scheme.secrets)
                assert following == f"{first}_NEXT", name


def test_every_shipped_source_has_its_events() -> None:
    assert {source for source, _ in groupby(EVENTS, key=lambda told: told.source)} == set(documents.shipped())


def test_a_comments_visibility_may_be_told_before_the_comment_and_never_comes_back() -> None:
    """A comment that was made private stays so for a partner, whichever of the two messages arrives first."""
    for told in EVENTS:
        if told.event == "ticket.comment_made_private":
            created, added, made_private = told.bodies
            for order in ((added, made_private), (made_private, added), (made_private, created, added, made_private)):
                found = read("zendesk", created, *order)
                assert [c["visibility"] for c in found["comments"]] == ["internal"]
                assert found["comments"][0]["text"] == "Try this"


def test_a_changelog_of_before_is_still_read() -> None:
    """Comments as they were stored until their visibility had an order of its own: ten members, not twelve."""
    old = [1, [[[5], 7, b"x" * 12]], {"title": "A"}, {"title": 0}, 0]
    old += [[[9, "c1", "Ann", "agent", "public", "hello", False, False, 0, []]], None, {}, b""]
    state = merge.decode(msgspec.msgpack.encode(old))
    (comment,) = state.comments
    assert (comment.text, comment.visibility_order, comment.attachments) == ("hello", -1, [])


def test_attachments_of_the_same_name_are_two_and_the_same_link_is_one() -> None:
    named = [{"name": "image.png"}, {"name": "image.png"}]
    assert len(read("generic", {"id": 1, "attachments": named})["attachments"]) == 2
    ticket, article = next(told.bodies for told in EVENTS if (told.source, told.event) == ("zammad", "answered"))
    again = {
        "ticket": article["ticket"],
        "article": {**article["article"], "attachments": ticket["article"]["attachments"]},
    }
    assert [a["name"] for a in read("zammad", ticket, again)["attachments"]] == ["image1.jpeg"]
