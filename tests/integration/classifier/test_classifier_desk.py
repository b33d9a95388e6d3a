"""The classifier in a desk in memory: the default agreement, people's corrections, dead letters, a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ticket_classifier.handlers import INPUTS, ClassifierWork
from ticket_contracts import topics
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.classification import TicketClassified
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import InMemoryDesk
from unit.classifier.classifier_desk import MONDAY, feedback, normalized, published

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
MINUTE = timedelta(minutes=1)
PRINTER, FLOOD = "zammad:main:1", "jira:main:2"


@pytest.fixture
def desk() -> InMemoryDesk:
    agreements = Agreements(
        [published(read_agreement(_DEFAULT.read_text(), "default.yaml"), datetime(2026, 1, 1, tzinfo=UTC))]
    )
    desk = InMemoryDesk(MONDAY, partitions=4)
    desk.add("classifier", INPUTS, lambda context: ClassifierWork(context.agreements), agreements=agreements)
    return desk


def correct(desk: InMemoryDesk, name: str, version: int, at: datetime, ticket: str, **said: str) -> None:
    value = msgspec.json.encode(feedback(name, version, at=at, ticket=ticket, **said))
    desk.send(topics.FEEDBACK, value, ticket.encode(), at=at)


def decisions(desk: InMemoryDesk, ticket: str) -> list[TicketClassified]:
    return [event for event in desk.events(topics.CLASSIFIED, TicketClassified) if event.ticket == ticket]


def test_a_morning_at_the_desk(desk: InMemoryDesk) -> None:
    desk.publish(topics.NORMALIZED, normalized("Drucker druckt nicht", "Papierstau", ticket=PRINTER, channel="mail"))
    desk.publish(
        topics.NORMALIZED,
        normalized("Nothing works here", "The whole network is down, 40 colleagues cannot work!", ticket=FLOOD),
    )
    correct(desk, "c1", 1, MONDAY + 5 * MINUTE, PRINTER, category="connectivity", urgency="high")
    desk.run(MONDAY + 10 * MINUTE)

    first, corrected = decisions(desk, PRINTER)
    assert (first.category, first.priority, first.tier) == ("printing", "P4", 1)
    assert (corrected.category, corrected.priority, corrected.decided_for) == (
        "connectivity",
        "P3",
        MONDAY + 5 * MINUTE,
    )
    [flood] = decisions(desk, FLOOD)
    assert (flood.category, flood.priority, flood.flags) == ("connectivity", "P1", ["outage"])

    desk.restart("classifier")
    desk.publish(
        topics.NORMALIZED,
        normalized(
            "Drucker druckt nicht", "Danke!", version=2, at=MONDAY + 20 * MINUTE, ticket=PRINTER, status="resolved"
        ),
    )
    correct(desk, "c2", 1, MONDAY + 30 * MINUTE, PRINTER, category="wifi")
    correct(desk, "c3", 1, MONDAY + 30 * MINUTE, "jira:main:404", category="wifi")
    desk.run(MONDAY + 40 * MINUTE)

    assert decisions(desk, PRINTER) == [first, corrected]
    reasons = sorted(letter.reason for letter in desk.dead_letters())
    assert len(reasons) == 2
    assert "jira:main:404 is not known" in reasons[0]
    assert "of classification 1, the ticket's is 2" in reasons[1]


def test_two_desks_that_hear_the_same_say_the_same(desk: InMemoryDesk) -> None:
    def play(other: InMemoryDesk) -> list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]]:
        for number in range(20):
            ticket = f"jira:main:{number}"
            at = MONDAY + number * MINUTE
            other.publish(topics.NORMALIZED, normalized(f"VPN {number} users", "urgent", ticket=ticket, at=at))
            correct(other, f"c{number}", 1, at + MINUTE, ticket, category="wifi")
        other.run(MONDAY + timedelta(hours=2))
        return [(r.key, r.value, r.headers) for r in other.records(topics.CLASSIFIED)]

    again = InMemoryDesk(MONDAY, partitions=4)
    agreements = Agreements(
        [published(read_agreement(_DEFAULT.read_text(), "default.yaml"), datetime(2026, 1, 1, tzinfo=UTC))]
    )
    again.add("classifier", INPUTS, lambda context: ClassifierWork(context.agreements), agreements=agreements)
    first = play(desk)
    assert len(first) == 40
    assert play(again) == first
