"""Partial updates: whatever the order, the number of times and the parts they come in, the ticket ends the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_contracts.tickets import TicketNormalized
from ticket_intake import documents
from ticket_intake.domain import instants, merge
from ticket_intake.domain.mapping import Source
from ticket_intake.domain.update import LEAVES

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GENERIC = documents.load("generic").compile()


def unknown_language(title: str, text: str) -> str | None:
    return None


class Ticket:
    """One ticket, fed with bodies."""

    def __init__(self, source: Source = GENERIC) -> None:
        self.source = source
        self.state = merge.EMPTY
        self.events: list[TicketNormalized] = []
        self.duplicates: list[str] = []

    def feed(self, body: dict[str, Any], at: datetime = START, delivery: str | None = None) -> TicketNormalized | None:
        received = instants.of_datetime(at)
        (ticket,) = self.source.tickets(body)
        update = self.source.read(body, msgspec.json.encode(body), 0, delivery, received)
        # Through the changelog's bytes each time: what is not in them is not remembered.
        merged = merge.merge(merge.decode(merge.encode(self.state)), update, unknown_language)
        if merged.state is not None:
            self.state = merged.state
        if merged.duplicate is not None:
            self.duplicates.append(merged.duplicate)
            return None
        event = merge.normalized(
            self.state,
            merged,
            ticket=ticket,
            source=self.source.name,
            instance=update.instance,
            external_id=update.external_id,
            delivery="d",
            received=received,
            version_is_time=self.source.version_is_time,
        )
        self.events.append(event)
        return event

    def final(self) -> dict[str, Any]:
        """The ticket as it ends, without what tells of the way there."""
        built = msgspec.to_builtins(self.events[-1])
        way = ("ticket_version", "delivery", "lifecycle", "changed", "received_at", "happened_at", "decided_for")
        return {name: value for name, value in built.items() if name not in way}


# --- fields


def test_absent_leaves_null_clears_and_empty_is_null() -> None:
    ticket = Ticket()
    ticket.feed({"id": 1, "version": 1, "title": "Printer", "group": "Print", "assignee": "Ann", "customer": "ACME"})
    event = ticket.feed({"id": 1, "version": 2, "group": None, "assignee": ""})
    assert event is not None
    assert (event.title, event.customer, event.group, event.assignee) == ("Printer", "ACME", None, None)
    assert event.changed == ["assignee", "group"]


def test_a_late_update_fills_what_nobody_newer_wrote_and_overwrites_nothing_newer() -> None:
    ticket = Ticket()
    ticket.feed({"id": 1, "version": 1, "title": "a"})
    ticket.feed({"id": 1, "version": 3, "status": "open"})
    event = ticket.feed({"id": 1, "version": 2, "status": "resolved", "group": "Net"})
    assert event is not None
    assert (event.status, event.group, event.changed, event.source_version) == ("open", "Net", ["group"], "3")


def test_a_version_that_changed_nothing_still_holds_its_fields() -> None:
    ticket = Ticket()
    ticket.feed({"id": 1, "version": 1, "group": "A"})
    assert ticket.feed({"id": 1, "version": 3, "group": "A"}) is None
    assert ticket.feed({"id": 1, "version": 2, "group": "B"}) is None
    assert ticket.duplicates == ["no_change", "no_change"]


def test_equal_versions_are_ordered_by_time_then_by_the_bodys_hash() -> None:
    early = {"id": 1, "version": 5, "updated_at": "2026-03-01T10:00:00Z", "group": "early"}
    late = {"id": 1, "version": 5, "updated_at": "2026-03-01T11:00:00Z", "group": "late"}
    for order in ([early, late], [late, early]):
        ticket = Ticket()
        for body in order:
            ticket.feed(body)
        assert ticket.final()["group"] == "late"
    finals = []
    for order in ([early, {**early, "group": "twin"}], [{**early, "group": "twin"}, early]):
        ticket = Ticket()
        for body in order:
            ticket.feed(body)
        finals.append(ticket.final())
    assert finals[0] == finals[1]


def test_a_number_as_text_with_separators_orders_as_a_number() -> None:
    ticket = Ticket(documents.load("servicenow").compile())
    ticket.feed({"number": "INC1", "sys_mod_count": "1,000", "state": "6", "assignment_group": "B"})
    ticket.feed({"number": "INC1", "sys_mod_count": "999", "state": "2", "assignment_group": "A"})
    assert ticket.final()["group"] == "B"


# --- duplicates


def test_a_duplicate_is_recorded_and_changes_nothing() -> None:
    ticket = Ticket()
    body = {"id": 1, "version": 1, "title": "a"}
    ticket.feed(body)
    before = ticket.state
    assert ticket.feed(body, START + timedelta(days=3)) is None
    assert ticket.duplicates == ["same_delivery"]
    assert ticket.state == before


def test_the_delivery_id_counts_even_when_the_body_differs() -> None:
    ticket = Ticket()
    ticket.feed({"id": 1, "title": "a"}, delivery="k1")
    assert ticket.feed({"id": 1, "title": "a", "noise": 2}, delivery="k1") is None
    assert ticket.duplicates == ["same_delivery"]


def test_a_forgotten_delivery_of_an_ordered_source_still_changes_nothing() -> None:
    ticket = Ticket()
    for version in range(1, 3 * merge.REMEMBERED_IN_ORDER):
        ticket.feed({"id": 1, "version": version, "group": f"g{version}"})
    final = ticket.final()
    assert ticket.feed({"id": 1, "version": 1, "group": "g1"}) is None
    assert ticket.duplicates == ["no_change"]
    assert ticket.final() == final
    assert len(ticket.state.deliveries) == merge.REMEMBERED_IN_ORDER * 12


def test_a_source_without_any_order_goes_by_arrival_and_remembers_longer() -> None:
    ticket = Ticket()
    bodies = [{"id": 1, "group": f"g{n}"} for n in range(200)]
    for n, body in enumerate(bodies):
        ticket.feed(body, START + timedelta(minutes=n))
    for n, body in enumerate(bodies):
        ticket.feed(body, START + timedelta(days=1, minutes=n))
    assert ticket.final()["group"] == "g199"
    assert ticket.duplicates == ["same_delivery"] * 200


def test_memory_of_a_ticket_is_bounded() -> None:
    ticket = Ticket()
    for n in range(1_500):
        ticket.feed({"id": 1, "group": f"g{n}", "title": "t"}, START + timedelta(seconds=n))
    assert len(ticket.state.deliveries) == merge.REMEMBERED_BY_ARRIVAL * 12
    assert len(ticket.state.orders) == 1
    assert len(merge.encode(ticket.state)) < 7_000


# --- time


def test_a_time_in_the_future_is_clamped_and_does_not_hold_up_what_follows() -> None:
    jira = documents.load("jira").compile()

    def body(milliseconds: int, summary: str) -> dict[str, Any]:
        return {
            "timestamp": milliseconds,
            "issue": {"id": "1", "fields": {"summary": summary, "updated": milliseconds}},
        }

    ticket = Ticket(jira)
    now = int(START.timestamp() * 1000)
    future = body(now + 10 * 365 * 86_400_000, "from the future")
    event = ticket.feed(future, START)
    assert event is not None
    assert event.updated_at == START
    ticket.feed(body(now + 3_600_000, "an hour later"), START + timedelta(hours=1))
    assert ticket.final()["title"] == "an hour later"
    assert ticket.feed(future, START + timedelta(hours=2)) is None  # though it would look newest now
    assert ticket.final()["title"] == "an hour later"


# --- lifecycle


@pytest.mark.parametrize(
    ("statuses", "lifecycles"),
    [
        (["new", "open", "resolved", "closed"], ["created", "updated", "updated", "ended"]),
        (["resolved", "open"], ["created", "reopened"]),
        (["closed", "open"], ["created", "reopened"]),
        (["closed", "resolved"], ["created", "reopened"]),
        (["open", "merged"], ["created", "merged"]),
        (["open", "deleted"], ["created", "deleted"]),
        (["closed", "deleted"], ["created", "deleted"]),
        (["resolved", "pending"], ["created", "reopened"]),
    ],
)
def test_lifecycle(statuses: list[str], lifecycles: list[str]) -> None:
    ticket = Ticket()
    for version, status in enumerate(statuses):
        ticket.feed({"id": 1, "version": version, "status": status})
    assert [event.lifecycle for event in ticket.events] == lifecycles
    assert [event.ticket_version for event in ticket.events] == list(range(1, len(statuses) + 1))


# --- comments


def test_comments_append_once_are_ordered_by_time_edited_and_deleted() -> None:
    jira = documents.load("jira").compile()

    def body(timestamp: int, event: str, comment: str, created: str, text: str) -> dict[str, Any]:
        said = {"id": comment, "author": {"displayName": "Ann"}, "body": text, "created": created, "jsdPublic": True}
        return {"timestamp": timestamp, "webhookEvent": event, "comment": said, "issue": {"id": "1"}}

    ticket = Ticket(jira)
    late = "2026-03-02T08:30:00.000+0000"
    ticket.feed(body(2_000_000_000_000 - 10**12, "comment_created", "11", late, "second"))
    ticket.feed(body(1_000_000_000_001, "comment_created", "10", "2026-03-02T08:00:00.000+0000", "first"))
    assert [c["text"] for c in ticket.final()["comments"]] == ["first", "second"]
    ticket.feed(body(1_000_000_000_005, "comment_updated", "11", late, "second, mended"))
    assert ticket.feed(body(1_000_000_000_003, "comment_updated", "11", late, "in between")) is None
    assert [c["text"] for c in ticket.final()["comments"]] == ["first", "second, mended"]
    ticket.feed(body(1_000_000_000_009, "comment_deleted", "11", late, "second, mended"))
    assert ticket.feed(body(1_000_000_000_007, "comment_updated", "11", late, "too late")) is None
    assert [c["text"] for c in ticket.final()["comments"]] == ["first"]


def test_a_comment_without_an_id_is_known_by_author_time_and_text() -> None:
    ticket = Ticket()
    comment = {"author": "Ann", "at": "2026-03-02T08:00:00Z", "text": "hello", "visibility": "public"}
    ticket.feed({"id": 1, "version": 1, "comments": [comment]})
    event = ticket.feed({"id": 1, "version": 2, "comments": [comment, {**comment, "text": "again"}]})
    assert event is not None
    assert [c.text for c in event.comments] == sorted(
        ["hello", "again"], key=lambda t: [c.text for c in event.comments].index(t)
    )
    assert event.changed == ["comments"]
    assert len(event.comments) == 2


# --- any order, any number of times, in any parts


def whole(version: int, seed: random.Random) -> dict[str, Any]:
    body: dict[str, Any] = {"id": "T-1", "version": version}
    pick = seed.choice
    body["updated_at"] = f"2026-02-01T{version // 60:02}:{version % 60:02}:00Z"
    for name, values in (
        ("title", ["Printer", "VPN", None, ""]),
        ("text", ["It fails.", "<p>It <b>fails</b></p>", "pwd: abcd1234"]),
        ("status", ["new", "open", "pending", "resolved", "closed"]),
        ("priority", ["P1", "P2", None]),
        ("group", ["Net", "Print", None]),
        ("assignee", ["Ann", "Ben", ""]),
        ("requester", [{"name": "Cy"}, {"name": "Di", "email": "di@corp.example"}, {"vip": True}]),
        ("url", ["https://desk.example/1", None]),
        ("attachments", [[{"name": "a.png"}], [], None]),
    ):
        if seed.random() < 0.7:
            body[name] = pick(values)
    if seed.random() < 0.5:
        n = seed.randint(1, 6)
        body["comments"] = [
            {
                "id": f"c{n}",
                "author": "Ann",
                "at": "2026-02-01T00:00:00Z",
                "text": f"text {version}",
                "visibility": "public",
            }
        ]
    return body


def in_parts(body: dict[str, Any], seed: random.Random) -> list[dict[str, Any]]:
    """A delivery in two bodies of one version, each with some of its fields."""
    names = [name for name in body if name not in ("id", "version", "updated_at")]
    half = set(seed.sample(names, len(names) // 2))
    fixed = {name: body[name] for name in ("id", "version", "updated_at")}
    return [
        {**fixed, **{n: body[n] for n in names if n in half}},
        {**fixed, **{n: body[n] for n in names if n not in half}},
    ]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 14))
def test_shuffled_doubled_and_partial_deliveries_end_in_the_same_ticket(seed: int, count: int) -> None:
    choice = random.Random(seed)
    bodies = [whole(version, choice) for version in range(1, count + 1)]
    ordered, shuffled = Ticket(), Ticket()
    for body in bodies:
        ordered.feed(body)
    deliveries = [part for body in bodies for part in (in_parts(body, choice) if choice.random() < 0.4 else [body])]
    deliveries += choice.choices(deliveries, k=len(deliveries))
    choice.shuffle(deliveries)
    for n, body in enumerate(deliveries):
        shuffled.feed(body, START + timedelta(seconds=n))
    assert shuffled.final() == ordered.final()
    assert len(shuffled.events) + len(shuffled.duplicates) == len(deliveries)


def test_every_leaf_is_known_to_the_event() -> None:
    names = set(TicketNormalized.__struct_fields__)
    assert {leaf.split(".")[0] for leaf in LEAVES} <= names


def test_equal_states_give_equal_bytes() -> None:
    one, other = Ticket(), Ticket()
    for ticket in (one, other):
        ticket.feed({"id": 1, "version": 1, "title": "a", "status": "open"})
        ticket.feed({"version": 2, "group": "x", "id": 1})
    assert merge.encode(one.state) == merge.encode(other.state)


# --- when it happened


def test_a_version_says_when_what_it_brings_happened() -> None:
    ticket = Ticket()

    def feed(version: int, at: str, received: str, **said: Any) -> TicketNormalized:
        body = {"id": "1", "version": version, "updated_at": f"2026-03-02T{at}Z", **said}
        event = ticket.feed(body, datetime.fromisoformat(f"2026-03-02T{received}Z"))
        assert event is not None
        return event

    def instants_of(event: TicketNormalized) -> list[str]:
        return [f"{instant:%H:%M:%S}" for instant in (event.happened_at, event.updated_at) if instant is not None]

    assert instants_of(feed(1, "09:00:00", "09:00:02", title="a")) == ["09:00:00", "09:00:00"]
    assert instants_of(feed(3, "09:10:00", "09:10:01", group="b")) == ["09:10:00", "09:10:00"]
    late = feed(2, "09:05:00", "09:11:00", status="on_hold")
    assert (late.changed, instants_of(late)) == (["status"], ["09:05:00", "09:10:00"])
    assert instants_of(feed(4, "09:10:00", "09:12:00", customer="c")) == ["09:10:00"] * 2, "within the same second"
    ahead = feed(5, "09:20:00", "09:13:00", service="d")
    assert instants_of(ahead) == ["09:13:00"] * 2, "no later than it was received"


@pytest.mark.parametrize("said", [{}, {"updated_at": "last Tuesday"}])
def test_a_version_whose_message_does_not_say_when_says_nothing_of_it(said: dict[str, Any]) -> None:
    event = Ticket().feed({"id": "1", "version": 1, "title": "a", **said})
    assert event is not None
    assert event.happened_at is None
