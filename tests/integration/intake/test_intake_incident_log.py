"""A real ServiceNow audit log through intake: every event has one end, and each ticket follows the log's own values."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relaydesk_replay.feed import read_feed
from ticket_contracts import topics
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_intake import documents
from ticket_intake.handlers import IntakeWork
from ticket_runtime.task import Record
from ticket_runtime.testing import FakeOutputs

LOG = Path(__file__).parents[4] / "shared" / "data" / "servicenow_incident_log.csv.gz"
INCIDENTS = 2_000
STATUSES = {
    "New": "new",
    "Active": "open",
    "Awaiting User Info": "pending_customer",
    "Awaiting Vendor": "pending_vendor",
    "Awaiting Problem": "on_hold",
    "Awaiting Evidence": "on_hold",
    "Resolved": "resolved",
    "Closed": "closed",
}

pytestmark = pytest.mark.skipif(not LOG.is_file(), reason="the log lies beside the project, and is not here")


def test_the_log_ends_as_it_ended() -> None:
    every = read_feed(LOG).items
    chosen = set(list(dict.fromkeys(item.thread for item in every))[:INCIDENTS])
    items = [item for item in every if item.thread in chosen]
    work = IntakeWork({"servicenow": documents.load("servicenow").compile()}, lambda title, text: None)
    inbound, keyed = FakeOutputs(), FakeOutputs()

    def record(topic: str, offset: int, key: bytes | None, value: bytes, headers: dict[str, bytes], at: Any) -> Record:
        return Record(
            topic=topic, partition=0, offset=offset, key=key, value=value, headers=headers, timestamp_ms=0, instant=at
        )

    for offset, item in enumerate(items):
        work.handle(record(topics.inbound(item.source), offset, None, item.body, {}, item.at), inbound)
    assert len(inbound.forwarded) == len(items)
    for offset, (item, message) in enumerate(zip(items, inbound.forwarded, strict=True)):
        headers = {**dict(message.headers), "ce_id": message.event_id.encode()}
        assert message.value == item.body
        work.handle(record(topics.KEYED, offset, message.key, item.body, headers, item.at), keyed)

    ends = keyed.events(topics.NORMALIZED)
    assert len(ends) == len(items)
    events = [event for event in ends if isinstance(event, TicketNormalized)]
    assert {event.reason for event in ends if isinstance(event, TicketDuplicate)} <= {"no_change", "same_delivery"}

    rows = [msgspec.json.decode(item.body) for item in items]
    newest: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = newest.get(row["number"])
        order = (int(row["sys_mod_count"]), row["sys_updated_at"])
        if known is None or order >= (int(known["sys_mod_count"]), known["sys_updated_at"]):
            newest[row["number"]] = row
    final = {event.external_id: event for event in events}
    assert len(final) == INCIDENTS
    for number, row in newest.items():
        event = final[number]
        assert event.status == STATUSES[row["incident_state"]]
        assert event.group == row["assignment_group"]
        assert event.assignee == row["assigned_to"]
        assert event.evidence.priority == f"P{row['priority'][0]}"
    by_version = {(row["number"], row["sys_mod_count"]): row for row in rows}
    assert len(by_version) >= len(rows) - 5  # five incidents of the whole log repeat a version
    for event in events:
        row = by_version[event.external_id, event.source_version]
        assert event.evidence.priority == f"P{row['priority'][0]}"
        assert event.evidence.impact == row["impact"][4:].lower()
        assert event.decided_for == event.received_at
    lifecycles = collections.Counter(event.lifecycle for event in events)
    assert lifecycles["created"] == INCIDENTS
    assert lifecycles["ended"] >= INCIDENTS * 0.99
