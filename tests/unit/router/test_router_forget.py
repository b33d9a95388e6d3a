"""What ended is remembered for the agreed days, then forgotten: state does not grow with every ticket ever seen, and
what comes late is still right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from ticket_contracts.cloudevents import ce_id
from ticket_router.handlers import RouterWork
from unit.router.router_desk import (
    MONDAY,
    TICKET,
    classified,
    completed,
    normalized,
    requested,
    utc,
)
from unit.router.test_router_work import Story

KEPT: dict[str, Any] = {"routing": {"ended_kept_days": 30}}
TRIAGE: dict[str, Any] = {
    **KEPT,
    "queues": {"triage": {"title": "Triage", "support_model": "internal", "tier": 1, "owner_role": "intake"}},
}
OVER = utc("2026-04-02T00:00:00")
"""30 days after the second of March are over."""
FORGOTTEN = utc("2026-04-03T00:00:00")
"""When it goes out of memory, a day later."""


def ended(**changes: Any) -> Story:
    story = Story(**(changes or KEPT))
    story.owned_by("desk")
    story.tell(normalized(2, status="closed", lifecycle="ended"))
    return story


def test_it_is_forgotten_after_the_agreed_days_and_not_before() -> None:
    story = ended()
    assert story.work.next_due() == FORGOTTEN
    story.pass_time(FORGOTTEN - timedelta(seconds=1))
    assert set(story.out.state) == {b"t:" + TICKET.encode()}
    story.pass_time(FORGOTTEN)
    assert story.out.state == {}
    assert story.work.next_due() is None
    assert story.work.snapshot() == RouterWork(story.agreements).snapshot()


def test_a_reopening_within_the_days_goes_back_to_its_queue_and_keeps_it() -> None:
    story = ended()
    late = OVER - timedelta(hours=9)
    (again,) = story.tell(normalized(3, late, status="open", lifecycle="reopened"))
    assert (again.rule, again.queue, again.decision) == ("protocol:reopened", "desk", 2)
    story.pass_time(FORGOTTEN + timedelta(days=900))
    assert story.work.where(TICKET) == "desk", "it has an owner: it is never forgotten"
    assert story.restored().snapshot() == story.work.snapshot()


def test_a_reopening_after_the_days_is_triaged_by_people_and_no_decision_has_an_old_id() -> None:
    story = ended(**TRIAGE)
    story.pass_time(FORGOTTEN)
    late = FORGOTTEN + timedelta(hours=9)
    (again,) = story.tell(normalized(3, late, status="open", lifecycle="reopened"))
    assert (again.queue, again.rule, again.inputs.cause) == ("triage", "protocol:abstained", "reopened")
    assert (again.ticket_version, again.classification_version) == (3, 0)
    assert again.decision > 1_000_000, "above any that the forgotten life can have had"
    assert ce_id(again) not in {ce_id(event) for event in story.decided[:-1]}
    story.tell(requested(7, late, "t9"), completed(8, late, "t9", "triage"))
    (home,) = story.tell(classified(2, late))
    assert (home.purpose, home.queue, home.decision) == ("reroute", "desk", again.decision + 1)
    assert story.restored().snapshot() == story.work.snapshot()


@pytest.mark.parametrize("late", [OVER, FORGOTTEN - timedelta(seconds=1), FORGOTTEN], ids=str)
def test_whether_it_went_out_of_memory_yet_makes_no_difference(late: datetime) -> None:
    """What counts is the instant of the event, not when the timer fired: a replay and a live desk decide alike."""
    answers = []
    for fired in (False, True):
        story = ended(**TRIAGE)
        if fired:
            story.pass_time(FORGOTTEN)
        answers += story.tell(normalized(3, late, status="open", lifecycle="reopened"))
        assert story.restored().snapshot() == story.work.snapshot()
    assert answers[0] == answers[1]
    assert answers[0].queue == "triage"


def test_an_event_of_before_that_comes_late_still_finds_it() -> None:
    story = ended(**TRIAGE)
    story.pass_time(FORGOTTEN - timedelta(seconds=1))
    (again,) = story.tell(normalized(3, OVER - timedelta(hours=9), status="open", lifecycle="reopened"))
    assert (again.queue, again.decision) == ("desk", 2)


def test_what_never_became_a_ticket_gives_its_place_back_when_it_is_over() -> None:
    story = Story(**KEPT)
    story.tell(completed(9, MONDAY, "t1", "desk"))
    assert story.loads == {"desk": 1}
    story.tell(completed(12, FORGOTTEN, "t2", "lead"))
    assert story.loads == {"lead": 1}
    assert story.restored().snapshot() == story.work.snapshot()


def test_a_classification_that_comes_first_is_used() -> None:
    story = ended(**TRIAGE)
    story.pass_time(FORGOTTEN)
    late = FORGOTTEN + timedelta(hours=9)
    assert story.tell(classified(4, late, tier=2)) == []
    (again,) = story.tell(normalized(3, late, status="open", lifecycle="reopened"))
    assert (again.queue, again.rule) == ("specialists", "second-line")


def test_a_word_after_the_end_that_brings_nothing_back_is_forgotten_again() -> None:
    """A comment on what is closed, a correction of it, the last step of its transfer: none of them makes a ticket."""
    story = ended()
    story.pass_time(FORGOTTEN)
    late = FORGOTTEN + timedelta(days=3)
    assert story.tell(normalized(3, late, status="closed", lifecycle="updated"), classified(2, late)) == []
    other = "servicenow:main:INC2"
    assert story.tell(classified(5, late, other), completed(9, late, "t1", "desk", other)) == []
    assert story.restored().snapshot() == story.work.snapshot()
    story.pass_time(late + timedelta(days=32))
    assert story.out.state == {}
    assert story.loads == {}


def test_a_reopening_after_such_a_word_is_still_told_apart() -> None:
    story = ended(**TRIAGE)
    first = story.decided[-1].decision
    story.pass_time(FORGOTTEN)
    late = FORGOTTEN + timedelta(days=3)
    story.tell(normalized(3, late, status="closed", lifecycle="updated"))
    (again,) = story.tell(normalized(4, late + timedelta(days=1), status="open", lifecycle="reopened"))
    assert again.queue == "triage"
    assert again.decision > first + 1_000_000


def test_what_waits_for_its_classification_is_never_forgotten() -> None:
    story = Story(**KEPT)
    story.tell(normalized())
    story.pass_time(MONDAY + timedelta(days=400))
    (first,) = story.tell(classified(at=MONDAY + timedelta(days=400)))
    assert first.queue == "desk"


def test_state_does_not_grow_with_every_ticket_ever_seen() -> None:
    story = Story(**KEPT)
    most = 0
    for day in range(200):
        at = MONDAY + timedelta(days=day)
        for number in range(5):
            ticket = f"servicenow:main:INC{day:03}{number}"
            story.tell(normalized(at=at, ticket=ticket), classified(at=at, ticket=ticket))
            story.tell(normalized(2, at, ticket, status="closed"))
        story.pass_time(at.replace(hour=23))
        most = max(most, len(story.out.state))
    assert most <= 33 * 5, "those of the days that are agreed on"
    assert story.restored().snapshot() == story.work.snapshot()


def test_a_busy_day_is_forgotten_in_parts() -> None:
    story = Story(**KEPT)
    for number in range(2_500):
        ticket = f"servicenow:main:INC{number}"
        story.tell(normalized(ticket=ticket, status="closed"))
    story.pass_time(FORGOTTEN)
    assert len(story.out.state) == 500
    assert story.work.next_due() == FORGOTTEN
    story.pass_time(FORGOTTEN)
    assert story.out.state == {}


def test_what_ended_before_a_day_of_forgetting_was_written_down_has_one() -> None:
    story = ended()
    key = b"t:" + TICKET.encode()
    old: dict[str, Any] = msgspec.json.decode(story.out.state[key])
    del old["forget_on"]
    work = RouterWork(story.agreements)
    work.restore(key, msgspec.json.encode(old))
    due = work.next_due()
    assert due == datetime.fromisoformat("2026-06-02T00:00:00+00:00"), "90 days, and one"


def test_state_of_an_older_router_is_read() -> None:
    """Records as they were written before loads had weights and queues of agents."""
    work = RouterWork(Story().agreements)
    work.restore(b"o:desk", b"1")
    work.restore(
        b"t:" + TICKET.encode(),
        b'{"ticket_version":1,"classification_version":1,"decision":1,"known_at":"2026-03-02T09:00:00Z",'
        b'"normalized":{"source":"servicenow","channel":"portal"},"at":"desk","routed":true,'
        b'"pending":{"queue":"specialists","purpose":"reroute","cause":"reroute"}}',
    )
    assert work.loads.loads == {"desk": 1, "specialists": 1}
    assert work.snapshot()["overflow"]["desk"].on
