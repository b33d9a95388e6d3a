"""What a tool says out of order, through intake's merging: the clocks are those of the order in which it happened."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from ticket_contracts.cloudevents import instant_text
from unit.intake.test_intake_merge import Ticket
from unit.sla.sla_desk import HOUR, Desk, agreement, at, resolution

NAME = "generic:main:T-1"
CREATED = {
    "id": "T-1",
    "version": 1,
    "title": "VPN drops",
    "status": "open",
    "created_at": "09:00",
    "updated_at": "09:00",
}
PARTS = (
    {"id": "T-1", "version": 2, "status": "pending_customer", "updated_at": "09:30"},
    {"id": "T-1", "version": 3, "group": "Network", "updated_at": "10:00"},
    {"id": "T-1", "version": 4, "customer": "acme", "updated_at": "10:00"},  # within the same second
    {"id": "T-1", "version": 5, "service": "remote access", "updated_at": "10:20"},
)


def body(said: dict[str, Any]) -> dict[str, Any]:
    return said | {name: instant_text(at(said[name])) for name in ("created_at", "updated_at") if name in said}


def told(*parts: dict[str, Any]) -> tuple[Desk, Ticket]:
    """Each part arrives a minute after the one before, from 10:30 on."""
    desk, ticket = Desk(agreement({"r": resolution(2 * HOUR)})), Ticket()
    first = ticket.feed(body(CREATED), at("09:00"))
    assert first is not None
    desk.feed(first)
    desk.classify("09:00", ticket=NAME)
    desk.route("09:00", ticket=NAME)
    for minute, part in enumerate(parts, 30):
        event = ticket.feed(body(part), at(f"10:{minute}"))
        assert event is not None
        desk.feed(event)
    return desk, ticket


@pytest.mark.parametrize("order", list(permutations(range(len(PARTS)))))
def test_a_pause_counts_from_when_the_tool_says_in_whatever_order_its_parts_come(order: tuple[int, ...]) -> None:
    back = {"id": "T-1", "version": 6, "status": "open", "updated_at": "10:33"}
    desk, _ = told(*(PARTS[number] for number in order), back)
    assert desk.deadline(ticket=NAME) == "12:03"
    known = desk.work.ticket(NAME)
    assert known is not None
    (clock,) = known.clocks
    assert clock.pauses == [int(at(instant).timestamp()) for instant in ("09:30", "10:33")]


def test_a_stop_that_a_tool_tells_late_unsays_the_breach() -> None:
    desk, ticket = told({"id": "T-1", "version": 3, "group": "Network", "updated_at": "10:25"})
    desk.fire("11:00")
    assert desk.last(ticket=NAME).occurrence == "breached"
    event = ticket.feed(body({"id": "T-1", "version": 2, "status": "resolved", "updated_at": "10:20"}), at("11:05"))
    assert event is not None
    desk.feed(event)
    assert [said for said, _ in desk.said(ticket=NAME)] == [
        "started",
        "warned",
        "breached",
        "revised",
        "revised",
        "met",
    ]
