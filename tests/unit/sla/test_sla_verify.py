"""`verify` beside corrections: what late news made the monitor say is what follows, and no difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sla_monitor.adapters.recorded import Recorded
from sla_monitor.offline import Verdict, verify
from ticket_contracts import topics
from ticket_contracts.cloudevents import Event, ce_id, encode
from unit.sla.sla_desk import HOUR, TOPIC_OF, Desk, agreement, comment, resolution

_OLA = {"clock": "underpinning", "when": {"group": ["b"]}, "goals": [{"seconds": HOUR}]}
_UPDATES = {"clock": "periodic_update", "calendar": "nine_to_five", "goals": [{"seconds": 2 * HOUR}]}


class Recorder(Desk):
    """Keeps what it is told."""

    def __init__(self, content: Any) -> None:
        super().__init__(content)
        self.told: list[Event] = []

    def feed(self, event: Event) -> None:
        self.told.append(event)
        super().feed(event)

    def rows(self, without: str | None = None) -> list[Recorded]:
        """Everything that the topics hold; without: an occurrence that was never published."""
        said = [event for event in self.out.events if event.occurrence != without]
        records = [
            *((TOPIC_OF[type(event)], event) for event in self.told),
            *((topics.SLA_EVENTS, event) for event in said),
        ]
        agreements = [
            Recorded(topic=topics.AGREEMENT, data=msgspec.Raw(each.model_dump_json().encode()))
            for each in self.agreements.every()
        ]
        return [
            *agreements,
            *(
                Recorded(
                    topic=topic,
                    key=event.ticket,
                    n=number,
                    ce_id=ce_id(event),
                    ce_type=event.TYPE,
                    data=msgspec.Raw(encode(event)),
                )
                for number, (topic, event) in enumerate(records)
            ),
        ]

    def verified(self, without: str | None = None) -> Verdict:
        return verify(self.rows(without))


def left_while_paused(desk: Desk) -> None:
    """The group's clock is over; that the ticket goes on later is not said of it."""
    desk.open("09:00", group="b")
    desk.ticket("10:00", status="on_hold")
    desk.ticket("10:30", group="a")
    desk.ticket("11:00", status="open")


def left_by_late_news(desk: Desk) -> None:
    """Closed before the group got it: there is no such clock in its history."""
    desk.open("09:00")
    desk.ticket("12:00", group="b")
    desk.ticket("11:00", received="12:05", status="closed")


def breached_before(desk: Desk) -> None:
    """The missed update stays said under the generation that it had; the correction began another."""
    desk.open("09:00")
    desk.ticket("12:00", comments=[comment("12:00", "agent")])
    desk.fire("14:00")
    desk.ticket("11:30", received="15:00", status="closed")


def paused_before_what_was_missing(desk: Desk) -> None:
    """What late news found missing is said after the pause that it came before."""
    desk.open("09:00")
    desk.ticket("11:30", status="on_hold")
    desk.ticket("09:30", received="11:40", comments=[comment("09:30", "agent")])
    desk.ticket("09:10", received="11:50", requester={"vip": True})


@pytest.mark.parametrize(
    "story", [left_while_paused, left_by_late_news, breached_before, paused_before_what_was_missing]
)
def test_what_was_corrected_is_no_difference(story: Callable[[Desk], None]) -> None:
    desk = Recorder(agreement({"ola": _OLA, "updates": _UPDATES, "fix": resolution(8 * HOUR)}))
    story(desk)
    verdict = desk.verified()
    assert (verdict.different, verdict.findings) == (0, [])
    assert verdict.checked >= 2


def test_a_breach_that_was_never_said_is_one() -> None:
    desk = Recorder(agreement({"updates": _UPDATES}))
    breached_before(desk)
    verdict = desk.verified(without="breached")
    assert verdict.findings == ["itsm:one:1 periodic_update: a breach follows, but was not said"]
