"""A tool that never closes a ticket does not leave it open for ever: the desk closes what has been resolved for long
enough, once, and whatever the source says afterwards still counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticket_contracts import topics
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import TicketErased
from ticket_intake import documents
from ticket_intake.handlers import IntakeWork
from ticket_runtime.testing import FakeOutputs, InMemoryDesk

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
PATIENT = documents.read(
    "{extends: generic, source: patient, title: A tool that closes nothing, close_resolved_after_days: 7}", "patient"
)


def new_desk(*sources: documents.Document) -> InMemoryDesk:
    compiled = {source.source: source.compile() for source in sources}
    desk = InMemoryDesk(START, 1)
    inputs = [*map(topics.inbound, compiled), topics.KEYED, topics.ERASED]
    desk.add("intake", inputs, lambda context: IntakeWork(compiled, lambda title, text: None))
    return desk


@pytest.fixture
def desk() -> InMemoryDesk:
    return new_desk(PATIENT)


def say(desk: InMemoryDesk, after: timedelta, source: str = "patient", **body: Any) -> None:
    desk.send(topics.inbound(source), json.dumps({"id": "1", **body}).encode(), at=START + after)


def versions(desk: InMemoryDesk) -> list[tuple[str, str, datetime]]:
    events = desk.events(topics.NORMALIZED, TicketNormalized)
    return [(event.lifecycle, event.status, event.decided_for) for event in events]


def test_a_ticket_that_stays_resolved_is_closed_at_its_instant_and_once(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, title="Toner", status="open")
    say(desk, timedelta(hours=1), version=2, status="resolved")
    desk.run(START + timedelta(hours=1) + WEEK - timedelta(seconds=1))
    assert len(versions(desk)) == 2
    desk.run(START + 3 * WEEK)
    assert versions(desk) == [
        ("created", "open", START),
        ("updated", "resolved", START + timedelta(hours=1)),
        ("ended", "closed", START + timedelta(hours=1) + WEEK),
    ]
    event = desk.events(topics.NORMALIZED, TicketNormalized)[-1]
    assert (event.ticket_version, event.source_version, event.title) == (3, "2", "Toner")
    assert (event.changed, event.flags) == (["status", "flags"], ["closed:by_desk"])
    assert event.delivery not in {record.header("ce_id") for record in desk.records(topics.KEYED)}


def test_it_is_closed_after_a_restart_too(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, status="resolved")
    desk.run(START + timedelta(days=1))
    desk.restart("intake")
    desk.run(START + 2 * WEEK)
    desk.restart("intake")
    desk.run(START + 3 * WEEK)
    assert [status for _, status, _ in versions(desk)] == ["resolved", "closed"]


def test_what_changes_meanwhile_puts_it_off_and_what_changes_nothing_does_not(desk: InMemoryDesk) -> None:
    day = timedelta(days=1)
    say(desk, timedelta(0), version=1, status="resolved")
    say(desk, 3 * day, version=2, comments=[{"id": "c", "text": "Thank you!"}])
    say(desk, 6 * day, version=1, status="resolved")
    say(desk, 8 * day, version=3, status="resolved")
    desk.run(START + 20 * day)
    assert versions(desk)[-1] == ("ended", "closed", START + 3 * day + WEEK)
    assert len(desk.events(topics.NORMALIZED, TicketDuplicate)) == 2


def test_worked_on_again_before_its_time_it_stays_open(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, status="resolved")
    say(desk, timedelta(days=2), version=2, status="open")
    desk.run(START + 8 * WEEK)
    assert [status for _, status, _ in versions(desk)] == ["resolved", "open"]


def test_resolved_once_more_does_not_reopen_it_and_another_status_does(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, status="resolved")
    desk.run(START + WEEK)
    say(desk, 2 * WEEK, version=2, status="resolved", comments=[{"id": "c", "text": "Thank you!"}])
    say(desk, 3 * WEEK, version=3, status="open")
    say(desk, 4 * WEEK, version=4, status="resolved")
    desk.run(START + 9 * WEEK)
    assert versions(desk) == [
        ("created", "resolved", START),
        ("ended", "closed", START + WEEK),
        ("updated", "closed", START + 2 * WEEK),
        ("reopened", "open", START + 3 * WEEK),
        ("updated", "resolved", START + 4 * WEEK),
        ("ended", "closed", START + 5 * WEEK),
    ]
    reopened = desk.events(topics.NORMALIZED, TicketNormalized)[3]
    assert (reopened.changed, reopened.flags) == (["status", "flags"], [])


def test_closed_by_the_source_as_well_it_only_loses_the_mark(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, status="resolved")
    desk.run(START + WEEK)
    say(desk, 2 * WEEK, version=2, status="closed")
    desk.run(START + 9 * WEEK)
    last = desk.events(topics.NORMALIZED, TicketNormalized)[-1]
    assert (last.lifecycle, last.status, last.changed, last.flags) == ("updated", "closed", ["flags"], [])


def test_a_message_that_comes_after_its_time_finds_it_closed_whichever_has_the_first_turn(desk: InMemoryDesk) -> None:
    """After an outage the message is there before anything was due: the end is still said first, at its instant."""
    say(desk, timedelta(0), version=1, status="resolved")
    desk.run(START)
    desk.restart("intake")
    say(desk, 2 * WEEK, version=2, status="open")
    desk.run(START + 2 * WEEK)
    assert versions(desk) == [
        ("created", "resolved", START),
        ("ended", "closed", START + WEEK),
        ("reopened", "open", START + 2 * WEEK),
    ]


def test_an_older_message_that_comes_late_changes_nothing_of_it(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=5, status="resolved")
    desk.run(START + WEEK)
    say(desk, 2 * WEEK, version=4, status="open")
    desk.run(START + 3 * WEEK)
    assert [status for _, status, _ in versions(desk)] == ["resolved", "closed"]
    assert [event.ticket_version for event in desk.events(topics.NORMALIZED, TicketDuplicate)] == [2]


def test_an_erased_ticket_is_closed_without_its_text(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, title="Ann's salary", status="resolved")
    desk.run(START)
    erased = TicketErased(
        ticket="patient:main:1",
        decided_for=START,
        sequence=9,
        agreement_version="",
        ticket_version=1,
        classification_version=1,
        actor="Petra",
        reason="request 7",
    )
    desk.publish(topics.ERASED, erased)
    desk.run(START + 2 * WEEK)
    last = desk.events(topics.NORMALIZED, TicketNormalized)[-1]
    assert (last.status, last.title) == ("closed", "")


def test_a_source_that_closes_by_itself_is_waited_for() -> None:
    desk = new_desk(documents.load("generic"))
    say(desk, timedelta(0), "generic", version=1, status="resolved")
    desk.run(START + 52 * WEEK)
    assert [status for _, status, _ in versions(desk)] == ["resolved"]


def test_a_source_whose_document_is_gone_still_has_its_tickets_closed(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, status="resolved")
    desk.run(START)
    work = IntakeWork({}, lambda title, text: None)
    for key, value in desk.state("intake").items():
        work.restore(key, value)
    out = FakeOutputs()
    work.fire(START + WEEK, out)
    (event,) = out.events(topics.NORMALIZED)
    assert isinstance(event, TicketNormalized)
    assert (event.ticket, event.lifecycle, event.status) == ("patient:main:1", "ended", "closed")
    assert work.next_due() is None


@pytest.mark.parametrize(
    "name", ["jira", "pagerduty", "alertmanager", "grafana", "glpi", "freshdesk", "zendesk_triggers"]
)
def test_the_tools_in_which_resolved_may_be_the_last_word_say_when_it_is(name: str) -> None:
    assert documents.load(name).close_resolved_after_days


@pytest.mark.parametrize("days", ["0", "366", "soon"])
def test_days_that_are_none_are_refused_with_their_line(days: str) -> None:
    text = f"extends: generic\nsource: patient\ntitle: A tool\nclose_resolved_after_days: {days}\n"
    with pytest.raises(documents.DocumentError, match=r"^patient.yaml:4: close_resolved_after_days: "):
        documents.read(text, "patient.yaml")
