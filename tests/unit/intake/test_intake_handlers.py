"""Intake's work on a desk in memory: from the inbound topic to the normalized ticket, and nothing lost on the way."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticket_contracts import topics
from ticket_contracts.tickets import KEYED_TYPE, TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import TicketErased
from ticket_intake import documents
from ticket_intake.handlers import DELIVERY, INBOUND, SOURCE, IntakeWork, keyed_id
from ticket_runtime.handling import DeadLetterLimit
from ticket_runtime.testing import InMemoryDesk

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SOURCES = {name: documents.load(name).compile() for name in documents.shipped()}


def new_desk(partitions: int = 1) -> InMemoryDesk:
    desk = InMemoryDesk(START, partitions, DeadLetterLimit(consecutive=10**9, ratio=2.0))
    inputs = [*map(topics.inbound, SOURCES), topics.KEYED, topics.ERASED]
    desk.add("intake", inputs, lambda context: IntakeWork(SOURCES, lambda title, text: None))
    return desk


def say(desk: InMemoryDesk, body: Any, source: str = "generic", minutes: float = 0, **headers: bytes) -> None:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = [(name.replace("_", "-"), text) for name, text in headers.items()]
    desk.send(topics.inbound(source), value, at=START + timedelta(minutes=minutes), headers=named)


def normalized(desk: InMemoryDesk) -> list[TicketNormalized]:
    return desk.events(topics.NORMALIZED, TicketNormalized)


def duplicates(desk: InMemoryDesk) -> list[TicketDuplicate]:
    return desk.events(topics.NORMALIZED, TicketDuplicate)


def test_a_message_is_keyed_untouched_and_normalized() -> None:
    desk = new_desk(partitions=3)
    body = b'{"id":  "T-1", "title": "\\u00e4", "version": 1}'
    say(desk, body, minutes=5, relaydesk_delivery=b"k1")
    desk.run(START + timedelta(hours=1))

    (keyed,) = desk.records(topics.KEYED)
    assert (keyed.key, keyed.value) == (b"generic:main:T-1", body)
    assert keyed.header("ce_type") == KEYED_TYPE
    assert keyed.header("ce_time") == "2026-03-02T09:05:00Z"
    assert keyed.header("ce_subject") == "generic:main:T-1"
    assert keyed.header(SOURCE) == "generic"
    assert keyed.header(INBOUND) == "inbound.generic/0/0"
    assert keyed.header(DELIVERY) == "k1"
    assert keyed.header("ce_id") == keyed_id("inbound.generic", 0, 0)

    (event,) = normalized(desk)
    at = START + timedelta(minutes=5)
    assert (event.ticket, event.ticket_version, event.lifecycle) == ("generic:main:T-1", 1, "created")
    assert (event.decided_for, event.received_at) == (at, at)
    assert event.delivery == keyed.header("ce_id")
    (record,) = desk.records(topics.NORMALIZED)
    assert record.header("ce_causationid") == keyed.header("ce_id")
    assert record.header("ce_correlationid") == keyed.header("ce_correlationid")
    assert record.partition == keyed.partition


def test_a_messages_key_means_nothing_and_the_sender_is_the_topics() -> None:
    desk = new_desk()
    desk.send("inbound.generic", b'{"id": 1, "source": "servicenow", "instance": "prod"}', key=b"a-random-guid")
    desk.run()
    (event,) = normalized(desk)
    assert (event.ticket, event.source, event.instance) == ("generic:main:1", "generic", "main")


def test_a_duplicate_is_recorded_also_after_a_restart() -> None:
    desk = new_desk()
    say(desk, {"id": 1, "status": "open"})
    say(desk, {"id": 1, "status": "resolved"}, minutes=1)
    desk.run(START + timedelta(minutes=2))
    desk.restart("intake")
    say(desk, {"id": 1, "status": "open"}, minutes=3)
    desk.run(START + timedelta(minutes=5))
    assert [event.status for event in normalized(desk)] == ["open", "resolved"]
    (duplicate,) = duplicates(desk)
    assert (duplicate.reason, duplicate.ticket_version) == ("same_delivery", 2)


def test_the_state_after_a_restart_is_the_state_before() -> None:
    one, other = new_desk(), new_desk()
    for n in range(20):
        for desk in (one, other):
            say(desk, {"id": n % 3, "version": n, "title": f"t{n}", "comments": [{"id": n, "text": "x"}]}, minutes=n)
        for desk in (one, other):
            desk.run(START + timedelta(minutes=n))
        other.restart("intake")
    assert one.state("intake") == other.state("intake")
    assert [r.value for r in one.records(topics.NORMALIZED)] == [r.value for r in other.records(topics.NORMALIZED)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "(body): not JSON"),
        (b"", "(body): not JSON"),
        (b"\xff\xfe\x00", "(body): not JSON"),
        (b'"text"', "(body): a text where an object is expected"),
        (b"[]", "(body): a list where an object is expected"),
        (b"[" * 100_000, "(body): not JSON"),
        (b'{"id": 1, "title": {"a": 1}}', "title || subject: an object where"),
        (b'{"title": "no id"}', "id || external_id: the ticket's own id is missing"),
        (b'{"id": 1, "title": "\\ud800"}', "(body): not JSON"),
    ],
)
def test_what_is_not_understood_is_a_dead_letter_and_the_others_go_on(body: bytes, reason: str) -> None:
    desk = new_desk()
    say(desk, body)
    say(desk, {"id": 2})
    desk.run()
    (dead,) = desk.dead_letters()
    assert dead.reason.startswith(reason)
    assert dead.record.value == body
    assert [event.external_id for event in normalized(desk)] == ["2"]


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b'{"id": 1, "title": "two\nlines"}', "two lines"),
        (b'{"id": 1, "title": "C:\\Users\\x"}', "C:\\Users\\x"),
        (b'{"id": 1, "title": "\\\\srv\\share \\u00e4 \\uZZ"}', "\\srv\\share ä \\uZZ"),
    ],
)
def test_what_a_template_did_not_escape_is_read_as_it_stands(body: bytes, title: str) -> None:
    desk = new_desk()
    say(desk, body)
    desk.run()
    (event,) = normalized(desk)
    assert event.title == title


def test_a_tombstone_and_a_source_without_a_document_are_dead_letters() -> None:
    desk = InMemoryDesk(START)
    desk.add(
        "intake", ["inbound.generic", "inbound.new", topics.KEYED], lambda c: IntakeWork(SOURCES, lambda a, b: None)
    )
    desk.send("inbound.generic", None, key=b"k")
    desk.send("inbound.new", b'{"id": 1}')
    desk.run()
    assert sorted(dead.reason.split(":")[0] for dead in desk.dead_letters()) == ["(body)", "(source)"]


def test_each_alert_of_a_notification_is_a_ticket() -> None:
    desk = new_desk(partitions=4)

    def alert(fingerprint: str) -> dict[str, Any]:
        return {
            "fingerprint": fingerprint,
            "status": "firing",
            "startsAt": "2026-03-02T08:00:00Z",
            "labels": {"alertname": fingerprint},
        }

    body = {"version": "4", "alerts": [alert("a"), alert("b"), alert("c")]}
    say(desk, {**body, "receiver": "one"}, "alertmanager")
    say(desk, {**body, "receiver": "two"}, "alertmanager", minutes=1)
    desk.run(START + timedelta(hours=1))
    assert sorted(event.title for event in normalized(desk)) == ["a", "b", "c"]
    assert [duplicate.reason for duplicate in duplicates(desk)] == ["same_delivery"] * 3
    assert len({record.header("ce_id") for record in desk.records(topics.KEYED)}) == 6


def test_merges_deletions_and_reopenings_are_told() -> None:
    desk = new_desk()
    for version, status in enumerate(("open", "merged", "open", "deleted")):
        say(desk, {"id": 1, "version": version, "status": status}, minutes=version)
    desk.run(START + timedelta(hours=1))
    assert [event.lifecycle for event in normalized(desk)] == ["created", "merged", "reopened", "deleted"]


def test_deliveries_shuffled_doubled_and_in_parts_end_as_an_ordered_delivery() -> None:
    """A tenth of that here; the whole is marked `long`."""
    assert_shuffled_equals_ordered(tickets=200, events=5_000, seed=1)


@pytest.mark.long
def test_the_whole_fifty_thousand_deliveries_of_two_thousand_tickets() -> None:
    assert_shuffled_equals_ordered(tickets=2_000, events=50_000, seed=2)


def assert_shuffled_equals_ordered(tickets: int, events: int, seed: int) -> None:
    choice = random.Random(seed)
    bodies: list[dict[str, Any]] = []
    versions: Counter[int] = Counter()
    for _ in range(events // 2):
        number = choice.randrange(tickets)
        versions[number] += 1
        version = versions[number]
        body: dict[str, Any] = {
            "number": f"INC{number:07}",
            "sys_mod_count": f"{version:,}",
            "sys_updated_on": (START - timedelta(days=1) + timedelta(seconds=version)).strftime("%Y-%m-%d %H:%M:%S"),
        }
        for name, values in (
            ("incident_state", ["New", "Active", "Awaiting Vendor", "Resolved", "Closed"]),
            ("assignment_group", ["Net", "Print", ""]),
            ("assigned_to", [{"display_value": "Ann", "value": "1"}, None]),
            ("short_description", ["Printer", "VPN &amp; more"]),
            ("impact", ["1", "2", "3 - Low"]),
        ):
            if choice.random() < 0.6:
                body[name] = choice.choice(values)
        bodies.append(body)
    ordered = new_desk(partitions=4)
    for body in bodies:
        say(ordered, body, "servicenow")
    ordered.run(START + timedelta(hours=1))

    deliveries: list[dict[str, Any]] = []
    for body in bodies:
        fixed = ("number", "sys_mod_count", "sys_updated_on")
        rest = [name for name in body if name not in fixed]
        if len(rest) > 1 and choice.random() < 0.5:
            deliveries += [{n: body[n] for n in (*fixed, *part)} for part in (rest[::2], rest[1::2])]
        else:
            deliveries.append(body)
    deliveries += choice.choices(deliveries, k=max(0, events - len(deliveries)))
    choice.shuffle(deliveries)
    shuffled = new_desk(partitions=4)
    for n, body in enumerate(deliveries):
        say(shuffled, body, "servicenow", minutes=n // 5_000)
    shuffled.run(START + timedelta(hours=1))

    assert len(normalized(shuffled)) + len(duplicates(shuffled)) == len(deliveries)
    assert shuffled.dead_letters() == []
    final, expected = finals(shuffled), finals(ordered)
    assert len(expected) == len({body["number"] for body in bodies})
    assert {ticket: value for ticket, value in final.items() if value != expected[ticket]} == {}


def finals(desk: InMemoryDesk) -> dict[str, dict[str, Any]]:
    """The last version of each ticket, without what tells of the way there."""
    way = {"ticket_version", "delivery", "lifecycle", "changed", "received_at", "happened_at", "decided_for"}
    last = {event.ticket: event for event in sorted(normalized(desk), key=lambda event: event.ticket_version)}
    names = [name for name in TicketNormalized.__struct_fields__ if name not in way]
    return {ticket: {name: getattr(event, name) for name in names} for ticket, event in last.items()}


def test_an_erased_ticket_is_remembered_without_its_text() -> None:
    desk = new_desk()
    said = {
        "id": "T-1",
        "version": 5,
        "title": "Payslip",
        "text": "of Rosa",
        "requester": {"name": "Rosa", "address": "rosa@example.com"},
        "comments": [{"id": "c1", "text": "a secret", "author": "Rosa", "at": "2026-03-02T09:00:00Z"}],
        "status": "closed",
    }
    say(desk, said)
    desk.run(START + timedelta(minutes=1))
    (state,) = desk.state("intake").values()
    for secret in (b"Payslip", b"Rosa", b"rosa@example.com", b"a secret"):
        assert secret in state
    erased = TicketErased(
        ticket="generic:main:T-1",
        decided_for=START + timedelta(minutes=2),
        sequence=9,
        agreement_version="",
        ticket_version=1,
        classification_version=1,
        actor="Petra",
        reason="request 7",
    )
    desk.publish(topics.ERASED, erased)
    desk.run(START + timedelta(minutes=3))
    (state,) = desk.state("intake").values()
    for secret in (b"Payslip", b"Rosa", b"rosa@example.com", b"a secret"):
        assert secret not in state
    say(desk, {**said, "version": 3, "title": "Payslip, late"}, minutes=4)
    desk.run(START + timedelta(minutes=5))
    assert len(normalized(desk)) == 1, "an older message brings nothing back"
    say(desk, {"id": "T-1", "version": 6, "status": "open"}, minutes=6)
    desk.run(START + timedelta(minutes=7))
    last = normalized(desk)[-1]
    assert (last.ticket_version, last.title, last.comments) == (2, "", [])
