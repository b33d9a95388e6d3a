"""`GET /v1/tickets/{id}/clocks` over the live state."""

from __future__ import annotations

from typing import Any

import httpx

from sla_monitor.adapters.http import add_routes
from sla_monitor.domain.explain import as_text, explain
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


async def test_a_past_instant_is_shown_as_it_was_then() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR), "p": resolution(HOUR)}))
    desk.open("09:00")
    desk.ticket("10:00", status="pending_customer")
    desk.ticket("12:00", status="open")
    desk.fire("13:00")
    (then,) = (await get(desk, at="2026-03-02T09:50:00Z")).json()["clocks"]
    assert (then["state"], then["elapsed_seconds"], then["deadline"]) == ("running", 50 * 60, "2026-03-02T11:00:00Z")
    (held,) = (await get(desk, at="2026-03-02T11:30:00Z")).json()["clocks"]
    assert (held["state"], held["elapsed_seconds"], held["deadline"]) == ("paused", HOUR, None)
    before = (await get(desk, at="2026-03-02T08:00:00Z")).json()
    assert (before["clocks"], before["priority"]) == ([], None)


async def test_a_past_that_is_settled_is_refused_with_the_instant_that_it_is_kept_from() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    for minute in range(110):
        desk.ticket(f"{10 + minute // 60}:{minute % 60:02}", status=("open", "on_hold")[minute % 2])
    answer = await get(desk, at="2026-03-02T09:30:00Z")
    assert answer.status_code == 400
    assert "is kept from 2026-03-02T10:" in answer.text


def test_for_people_it_is_told_on_the_wall_clock_of_the_calendar_with_holidays_by_name() -> None:
    berlin = {
        "zone": "Europe/Berlin",
        "hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        "public_holidays": [{"country": "DE"}],
        "holidays": ["2026-04-07"],
    }
    desk = Desk(agreement({"fix": resolution(10 * HOUR, "berlin", warn=[{"used_share": 0.5}])}, berlin=berlin))
    desk.open("Thu++++ 07:00", group="network")
    desk.ticket("Thu++++ 08:00", status="pending_customer")
    desk.ticket("Thu++++ 09:00", status="open")
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    text = as_text(explain(TICKET, ticket, int(at("Wed+++++ 09:00").timestamp()), desk.work.book))
    version = desk.agreements.in_force(at("09:00")).version
    easter = "outside berlin; holiday Fri 2026-04-03 (Good Friday), Mon 2026-04-06 (Easter Monday), Tue 2026-04-07"
    assert text.splitlines() == [
        "itsm:one:1 at Wed 2026-04-08 09:00:00Z (version 3, classification 1)",
        "  open, priority P3, group network",
        "resolution #1: running",
        f"  policy fix, calendar berlin, Europe/Berlin, agreement {version}",
        "  goal 10:00:00, used 9:00:00, left 1:00:00, due Wed 2026-04-08 12:00:00 +0200",
        "    Thu 2026-04-02 09:00:00 +0200  Thu 2026-04-02 10:00:00 +0200    1:00:00    1:00:00  working time",
        "    Thu 2026-04-02 10:00:00 +0200  Thu 2026-04-02 11:00:00 +0200          -             pending_customer",
        "    Thu 2026-04-02 11:00:00 +0200  Thu 2026-04-02 17:00:00 +0200    6:00:00    7:00:00  working time",
        f"    Thu 2026-04-02 17:00:00 +0200  Wed 2026-04-08 09:00:00 +0200          -             {easter}",
        "    Wed 2026-04-08 09:00:00 +0200  Wed 2026-04-08 11:00:00 +0200    2:00:00    9:00:00  working time",
        "    due  Thu 2026-04-02 15:00:00 +0200  5:00:00 left",
        "    due  Wed 2026-04-08 12:00:00 +0200  the deadline",
    ]
