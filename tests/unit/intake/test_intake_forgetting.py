"""What ended is remembered for the agreed days. Then its text and its people are gone, and what is left is enough to go
on counting its versions and to see that a late message brings no news."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ticket_contracts import topics
from ticket_contracts.agreement import Published, digest
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_intake import documents
from ticket_intake.handlers import IntakeWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import InMemoryDesk

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
SOURCES = {
    "generic": documents.load("generic").compile(),
    "patient": documents.read(
        "{extends: generic, source: patient, title: A tool that closes nothing, close_resolved_after_days: 7}",
        "patient",
    ).compile(),
}


def agreements(days: int = 30) -> Agreements:
    agreement = read_agreement(_DEFAULT.read_text(), "default.yaml")
    agreement = agreement.model_copy(update={"routing": agreement.routing.model_copy(update={"ended_kept_days": days})})
    return Agreements([Published(version=digest(agreement), effective_at=START, approvals=[], agreement=agreement)])


@pytest.fixture
def desk() -> InMemoryDesk:
    desk = InMemoryDesk(START, 1)
    desk.add(
        "intake",
        [*map(topics.inbound, SOURCES), topics.KEYED, topics.ERASED],
        lambda context: IntakeWork(SOURCES, lambda title, text: None, context.agreements),
        agreements=agreements(),
    )
    return desk


def say(desk: InMemoryDesk, after: timedelta, source: str = "generic", **body: Any) -> None:
    desk.send(topics.inbound(source), json.dumps({"id": "1", **body}).encode(), at=START + after)


def live_and_end(desk: InMemoryDesk) -> None:
    """A ticket of three versions, closed on the first day."""
    person = {"name": "Rosa", "address": "rosa@example.com"}
    say(desk, timedelta(0), version=1, title="Payslip", text="mine is wrong", requester=person, status="open")
    say(desk, timedelta(hours=1), version=2, comments=[{"id": "c1", "text": "looking into it", "author": "Ben"}])
    say(desk, timedelta(hours=2), version=3, status="closed")
    desk.run(START + DAY)


def versions(desk: InMemoryDesk) -> list[tuple[int, str, str]]:
    events = desk.events(topics.NORMALIZED, TicketNormalized)
    return [(event.ticket_version, event.lifecycle, event.status) for event in events]


ENDED = START + timedelta(hours=2)
GONE = ENDED + 31 * DAY


def test_it_goes_a_day_after_the_agreed_days_and_a_line_is_left(desk: InMemoryDesk) -> None:
    live_and_end(desk)
    assert desk.work("intake").next_due() == GONE
    (before,) = desk.state("intake").values()
    desk.run(GONE - timedelta(seconds=1))
    assert list(desk.state("intake").values()) == [before]
    desk.run(GONE)
    (left,) = desk.state("intake").values()
    for word in (b"Payslip", b"wrong", b"Rosa", b"rosa@", b"Ben", b"looking"):
        assert word in before
        assert word not in left
    assert len(left) < 150
    assert len(versions(desk)) == 3, "nothing is said of it"
    desk.restart("intake")
    assert desk.work("intake").next_due() is None


def test_what_is_open_is_never_forgotten(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), version=1, title="Payslip", status="resolved")
    desk.run(START + 900 * DAY)
    (left,) = desk.state("intake").values()
    assert b"Payslip" in left


@pytest.mark.parametrize("gone", [False, True], ids=["still in memory", "gone"])
def test_a_repeated_and_a_late_message_change_nothing(desk: InMemoryDesk, gone: bool) -> None:
    """Whether it went out of memory already makes no difference to what is said."""
    live_and_end(desk)
    if gone:
        desk.run(GONE)
    late = timedelta(hours=2) + 30 * DAY + (2 * DAY if gone else timedelta(0))
    say(desk, late, version=3, status="closed")
    say(desk, late, version=2, comments=[{"id": "c1", "text": "looking into it", "author": "Ben"}])
    say(desk, late, version=2, title="An older title")
    desk.run(START + late)
    assert len(versions(desk)) == 3
    assert [(each.reason, each.ticket_version) for each in desk.events(topics.NORMALIZED, TicketDuplicate)] == [
        ("no_change", 3)
    ] * 3


@pytest.mark.parametrize("gone", [False, True], ids=["still in memory", "gone"])
def test_what_is_reopened_goes_on_counting_without_what_was_said(desk: InMemoryDesk, gone: bool) -> None:
    live_and_end(desk)
    if gone:
        desk.run(GONE)
    late = timedelta(hours=2) + 30 * DAY + (2 * DAY if gone else timedelta(0))
    say(desk, late, version=4, status="open", title="Payslip again")
    desk.run(START + late)
    assert versions(desk)[-1] == (4, "reopened", "open")
    event = desk.events(topics.NORMALIZED, TicketNormalized)[-1]
    assert (event.title, event.text, event.comments, event.requester.name) == ("Payslip again", "", [], None)
    say(desk, late + DAY, version=5, status="closed")
    desk.run(START + late + 40 * DAY)
    assert versions(desk)[-1] == (5, "ended", "closed")
    (left,) = desk.state("intake").values()
    assert b"Payslip" not in left, "it is forgotten a second time"


def test_a_word_that_says_nothing_of_the_status_does_not_reopen_it(desk: InMemoryDesk) -> None:
    live_and_end(desk)
    desk.run(GONE)
    say(desk, 40 * DAY, version=4, comments=[{"id": "c2", "text": "thank you"}])
    desk.run(START + 41 * DAY)
    assert versions(desk)[-1] == (4, "updated", "closed")


def test_what_the_desk_closed_is_forgotten_too_and_stays_closed(desk: InMemoryDesk) -> None:
    say(desk, timedelta(0), "patient", version=1, title="Payslip", status="resolved")
    desk.run(START + 39 * DAY)
    (left,) = desk.state("intake").values()
    assert b"Payslip" not in left
    say(desk, 50 * DAY, "patient", version=2, status="resolved", title="Payslip")
    desk.run(START + 51 * DAY)
    assert versions(desk) == [(1, "created", "resolved"), (2, "ended", "closed"), (3, "updated", "closed")]


def test_many_go_in_parts_and_all_of_them_go(desk: InMemoryDesk) -> None:
    for number in range(4_500):
        body = {"id": str(number), "version": 1, "title": "Payslip", "status": "closed"}
        desk.send(topics.inbound("generic"), json.dumps(body).encode(), at=START)
    desk.run(START + 40 * DAY)
    assert len(desk.state("intake")) == 4_500
    assert not any(b"Payslip" in left for left in desk.state("intake").values())
