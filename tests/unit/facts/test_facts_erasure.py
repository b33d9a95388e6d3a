"""An erasure finds nothing to remove among the facts: they hold ids, instants, figures and names of the agreement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from sla_monitor.facts import tables
from sla_monitor.facts.reading import rows_of
from ticket_contracts import topics
from ticket_contracts.cloudevents import Event, encode
from ticket_contracts.tickets import Attachment, Comment, Feedback, Requester
from ticket_contracts.transfers import ContextAdded, TicketErased, TransferDeclined, TransferEvent
from unit.handoff.handoff_desk import START, TICKET, Story, classified, normalized, published

SECRET = "Rosa Person, rosa@example.com"
COLUMNS = {
    "versions": {"version", "lifecycle", "status", "channel", "url", "created_at", "assigned"},
    "comments": {"author", "public"},
    "classifications": {*["version", "category", "kind", "priority", "tier", "abstained", "corrected", "articles"]},
    "routings": {"decision", "queue", "tier", "purpose", "rule", "transfer_id", "cause", "agreement"},
    "clocks": {
        *["clock", "generation", "occurrence", "ticket_version", "policy", "goal_seconds", "due_at", "deadline"],
        *["transfer_id", "revises", "late", "agreement"],
    },
    "steps": {
        *["sequence", "step", "transfer_id", "attempt", "cause", "queue", "sender_queue", "automatic", "agreement"],
    },
    "owners": {"sequence", "kind", "role", "queue", "transfer_id", "agreement"},
    "feedback": {"digest", "corrects", "csat"},
}
"""All that is kept of a ticket's events. What is added here must be no text of a ticket, no name, and no digest of
one; or it has to go when the ticket is erased."""


def test_these_columns_are_all_that_is_kept_of_a_ticket() -> None:
    of_tickets = {table.name: table for table in tables.metadata.tables.values() if "ticket" in table.columns}
    kept = {name: set(table.columns.keys()) - {"id", "ticket", "at"} for name, table in of_tickets.items()}
    assert kept == COLUMNS


def told(topic: str, event: Event) -> list[Any]:
    return rows_of(topic, event.TYPE, encode(event))


def spoken() -> Iterator[tuple[str, Event]]:
    """Events with a name wherever people's words may stand."""
    said = Comment(id="1", author=SECRET, author_role="customer", visibility="public", at=START, text=SECRET)
    yield (
        topics.NORMALIZED,
        normalized(
            title=SECRET,
            text=SECRET,
            requester=Requester(name=SECRET, address=SECRET),
            comments=[said],
            assignee=SECRET,
            attachments=[Attachment(name=SECRET)],
        ),
    )
    story = Story().begun()
    story.decline(1, reason=SECRET)
    story.answered(2, "experts")
    story.accept(3, actor=SECRET)
    story.tell(4, "add", part="steps", items=[SECRET], actor=SECRET)
    for topic, event in story.out.emitted:
        if isinstance(event, TransferEvent):
            names = ("owner", "previous", "sender", "receiver", "actor", "requested_by", "reason")
            there = {name: SECRET for name in names if name in event.__struct_fields__}
            yield topic, msgspec.structs.replace(event, **there)
    yield topics.CLASSIFIED, classified(published().version)


def test_no_word_and_no_name_of_an_event_is_kept() -> None:
    events = list(spoken())
    assert {ContextAdded, TransferDeclined} <= {type(event) for _, event in events}
    rows = [row for topic, event in events for row in told(topic, event)]
    assert len(rows) > 8
    for table, row in rows:
        for name, value in row.items():
            assert "Rosa" not in str(value), f"{table.name}.{name}"


def test_a_score_keeps_no_trace_of_who_gave_it() -> None:
    score = Feedback(ticket=TICKET, feedback_id="1", at=START, actor=SECRET, side="company", csat=4)
    [(_, kept)] = rows_of(topics.FEEDBACK, "", encode(score))
    [(_, others)] = rows_of(topics.FEEDBACK, "", encode(msgspec.structs.replace(score, actor="Somebody else")))
    assert kept == others


def test_an_erasure_is_read_and_leaves_no_row() -> None:
    erased = TicketErased(
        ticket=TICKET,
        decided_for=START,
        sequence=9,
        agreement_version="a",
        ticket_version=1,
        classification_version=1,
        actor=SECRET,
        reason="7",
    )
    assert told(topics.TRANSFERS, erased) == []
