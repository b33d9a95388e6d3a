"""`GET /v1/tickets/{id}/clocks` over the live state."""

from __future__ import annotations

from typing import Any

import httpx

from sla_monitor.adapters.http import add_routes
from ticket_runtime.context import LiveView
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics
from unit.sla.sla_desk import HOUR, TICKET, Desk, agreement, at, resolution


async def get(desk: Desk | None, ticket: str = TICKET, **params: Any) -> httpx.Response:
    app = make_app("sla-monitor", Metrics("sla-monitor"), lambda: Health(True), lambda: Health(True))
    view = LiveView()
    if desk is not None:
        view.show(0, desk.work)
    add_routes(app, view)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://monitor") as client:
        return await client.get(f"/v1/tickets/{ticket}/clocks", params=params)


async def test_a_clock_is_shown_as_one_checks_it_by_hand() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}))
    desk.open("15:00")
    desk.ticket("16:00", status="pending_customer")
    desk.ticket("Tue 10:00", status="open")
    answer = await get(desk, at="2026-03-03T12:00:00Z")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["ticket"], found["as_of"]) == (TICKET, "2026-03-03T12:00:00Z")
    (clock,) = found["clocks"]
    assert (clock["clock"], clock["state"], clock["policy"], clock["calendar"]) == (
        "resolution",
        "running",
        "r",
        "nine_to_five",
    )
    assert (clock["elapsed_seconds"], clock["left_seconds"]) == (3 * HOUR, 5 * HOUR)
    assert clock["deadline"] == "2026-03-03T17:00:00Z"
    assert clock["agreement_version"] == desk.agreements.in_force(at("15:00")).version
    assert [(t["left_seconds"], t["due"], t["said"]) for t in clock["thresholds"]] == [
        (900, "2026-03-03T16:45:00Z", False),
        (0, "2026-03-03T17:00:00Z", False),
    ]
    assert [(s["begins"][8:16], s["ends"][8:16], s["counted"], s["reason"]) for s in clock["segments"]] == [
        ("02T15:00", "02T16:00", HOUR, "working time"),
        ("02T16:00", "03T10:00", 0, "pending_customer"),
        ("03T10:00", "03T12:00", 2 * HOUR, "working time"),
    ]


async def test_where_a_replay_leads_it_is_shown_as_of_its_last_event() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}))
    desk.open("15:00")
    desk.ticket("16:00", group="A")
    assert (await get(desk)).json()["as_of"] == "2026-03-02T16:00:00Z"


async def test_on_the_wall_clock_it_is_shown_as_of_now() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}), present=lambda: at("16:30"))
    desk.open("15:00")
    assert (await get(desk)).json()["as_of"] == "2026-03-02T16:30:00Z"


async def test_what_is_not_here_is_a_problem_document() -> None:
    desk = Desk(agreement({}))
    for asked, status in ((desk, 404), (None, 503)):
        answer = await get(asked, "itsm:one:9")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    desk.open("09:00")
    answer = await get(desk, at="noon")
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


async def test_a_ticket_s_id_may_hold_slashes() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}))
    desk.open("15:00", ticket="mail:desk:2026/17")
    assert (await get(desk, "mail:desk:2026/17")).status_code == 200
