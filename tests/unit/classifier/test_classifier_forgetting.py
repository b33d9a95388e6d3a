"""The text of a ticket that ended is kept for the agreed days; what stays of it is enough to go on counting."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ticket_classifier.handlers import ClassifierWork
from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison
from ticket_runtime.testing import FakeOutputs
from unit.classifier.classifier_desk import MONDAY, TICKET, agreement, feedback, normalized, published, record

DAYS = timedelta(days=90)
"""What the agreement says where it says nothing."""
DAY = timedelta(days=1)


class Story:
    def __init__(self) -> None:
        self.agreements = Agreements([published(agreement())])
        self.work, self.out = ClassifierWork(self.agreements), FakeOutputs()
        self.work.handle(record(normalized("VPN drops", "Rosa's laptop")), self.out)

    def close(self) -> None:
        closed = normalized("VPN drops", "Rosa's laptop", version=2, status="closed")
        self.work.handle(record(closed), self.out)

    def restart(self) -> None:
        self.work = ClassifierWork(self.agreements)
        for key, value in self.out.state.items():
            self.work.restore(key, value)

    @property
    def kept(self) -> bytes:
        return self.out.state[TICKET.encode()]


def test_the_text_of_what_is_open_is_never_forgotten() -> None:
    story = Story()
    assert story.work.next_due() is None
    story.work.fire(MONDAY + 10 * DAYS, story.out)
    assert b"Rosa" in story.kept


@pytest.mark.parametrize("restarted", [False, True])
def test_it_goes_a_day_after_the_agreed_days_and_once(restarted: bool) -> None:
    story = Story()
    story.close()
    if restarted:
        story.restart()
    assert story.work.next_due() == MONDAY + DAYS + DAY
    story.work.fire(MONDAY + DAYS + DAY - timedelta(seconds=1), story.out)
    assert b"Rosa" in story.kept
    story.work.fire(MONDAY + DAYS + DAY, story.out)
    assert b"Rosa" not in story.kept
    assert b"VPN" not in story.kept
    assert story.work.next_due() is None
    story.restart()
    assert story.work.next_due() is None


@pytest.mark.parametrize("gone", [False, True], ids=["still in memory", "gone"])
def test_what_returns_is_counted_on_whether_or_not_it_went_already(gone: bool) -> None:
    story = Story()
    story.close()
    if gone:
        story.work.fire(MONDAY + DAYS + DAY, story.out)
    again = normalized("Toner is empty", version=3, at=MONDAY + DAYS + DAY, status="open")
    story.work.handle(record(again), story.out)
    events = [event for event in story.out.events(topics.CLASSIFIED) if isinstance(event, TicketClassified)]
    assert [event.classification_version for event in events] == [1, 2]
    assert events[-1].ticket_version == 3
    assert story.work.next_due() is None


@pytest.mark.parametrize("gone", [False, True], ids=["still in memory", "gone"])
def test_a_correction_that_comes_too_late_is_refused_with_the_way_out(gone: bool) -> None:
    story = Story()
    story.close()
    if gone:
        story.work.fire(MONDAY + DAYS + DAY, story.out)
    late = record(feedback("late", 1, category="network"), at=MONDAY + DAYS)
    with pytest.raises(Poison, match=r"ended too long ago.*ended_kept_days"):
        story.work.handle(late, story.out)


def test_a_correction_in_time_counts() -> None:
    story = Story()
    story.close()
    story.work.handle(record(feedback("f", 1, impact="high"), at=MONDAY + DAYS - timedelta(seconds=1)), story.out)
    assert len(story.out.events(topics.CLASSIFIED)) == 2
