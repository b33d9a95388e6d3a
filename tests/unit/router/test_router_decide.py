"""Ticket, instant, load -> queue, rule: each row names the boundary it stands on."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from typing import Any

import pytest

from ticket_router.domain.decide import Request, decide
from unit.router.router_desk import ALL_DAYS, DAY, NIGHT, Desk, facts, hours, merge, policy, utc

Row = tuple[str, dict[str, Any], str, dict[str, Any], str, str]

# Berlin is UTC+1 in winter and UTC+2 in summer; Manila UTC+8 all year.
HOURS: list[tuple[str, str, str, str]] = [
    ("Friday, the last second of the day", "2026-03-06T16:59:59", "desk", "by-day"),
    ("Friday 18:00:00 is after hours", "2026-03-06T17:00:00", "night-desk", "by-night"),
    ("Monday, the second before opening", "2026-03-09T06:59:59", "night-desk", "by-night"),
    ("Monday 08:00:00 is open", "2026-03-09T07:00:00", "desk", "by-day"),
    ("between the partner's windows and a free Sunday here", "2026-03-08T12:00:00", "duty", "by-night"),
    ("summer time has begun: 18:00 is 16:00Z", "2026-03-30T15:59:59", "desk", "by-day"),
    ("summer time has begun: after hours from 16:00Z", "2026-03-30T16:00:00", "night-desk", "by-night"),
    ("winter time is back: 16:00Z is still open", "2026-10-26T16:00:00", "desk", "by-day"),
    ("winter time is back: after hours from 17:00Z", "2026-10-26T17:00:00", "night-desk", "by-night"),
    ("a holiday here: the partner has it, by day", "2026-12-25T07:30:00", "night-desk", "by-night"),
    ("a holiday in the partner's country alone, by night", "2026-06-12T02:00:00", "duty", "by-night"),
    ("the same night's hours before the partner's midnight", "2026-06-11T15:30:00", "desk", "by-day"),
    ("the partner's holiday is over at its own midnight", "2026-06-12T16:00:00", "night-desk", "by-night"),
]


@pytest.mark.parametrize(("boundary", "at", "queue", "rule"), HOURS, ids=[row[0] for row in HOURS])
def test_the_hour_decides(boundary: str, at: str, queue: str, rule: str) -> None:
    outcome = decide(Request(facts=facts(), purpose="first", cause="first"), policy(), Desk(), utc(at))
    assert (outcome.queue.name, outcome.rule) == (queue, rule), outcome.reason
    assert outcome.final == (queue == "duty")


SYDNEY = {
    "calendars": {"frankfurt": {"zone": "Australia/Sydney", "hours": hours(("08:00", "18:00"), days=ALL_DAYS)}},
}
SOUTH: list[tuple[str, str, str]] = [
    ("summer time ends at 03:00 on 2026-04-05: 18:00 is UTC+10 again", "2026-04-05T07:59:59", "by-day"),
    ("and closed from 08:00Z", "2026-04-05T08:00:00", "by-night"),
    ("the day before 18:00 was UTC+11", "2026-04-04T07:00:00", "by-night"),
    ("summer time begins on 2026-10-04: 08:00 is UTC+11", "2026-10-03T21:00:00", "by-day"),
    ("the day before 08:00 was UTC+10", "2026-10-02T21:59:59", "by-night"),
    ("open from 22:00Z", "2026-10-02T22:00:00", "by-day"),
]


@pytest.mark.parametrize(("boundary", "at", "rule"), SOUTH, ids=[row[0] for row in SOUTH])
def test_the_southern_hemisphere_changes_the_other_way(boundary: str, at: str, rule: str) -> None:
    outcome = decide(Request(facts=facts(), purpose="first", cause="first"), policy(**SYDNEY), Desk(), utc(at))
    assert outcome.rule == rule


NARROW: dict[str, Any] = {
    "partners": {"nightwatch": {"calendar": "always"}},
    "calendars": {"always": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
}
CAPPED: dict[str, Any] = {**NARROW, "partners": {"nightwatch": {"calendar": "always", "caps": {"daily": 3}}}}
MONTHLY: dict[str, Any] = {**NARROW, "partners": {"nightwatch": {"calendar": "always", "caps": {"monthly": 4}}}}
AT_ONCE: dict[str, Any] = {**NARROW, "partners": {"nightwatch": {"calendar": "always", "caps": {"concurrent": 2}}}}
MANILAS = {("nightwatch", "2026-03-02"): 3}

# (what it shows, changes of the agreement, instant, changes of the facts and the request, loads, queue and rule)
LOAD: list[tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any], str]] = [
    ("below the threshold", NARROW, DAY, {}, {"loads": {"desk": 4}}, "desk"),
    ("at the threshold it overflows", NARROW, DAY, {}, {"loads": {"desk": 5}}, "night-desk"),
    ("drains while above the lower one", NARROW, DAY, {}, {"loads": {"desk": 3}, "overflowing": ["desk"]}, "night-desk"),
    ("drained", NARROW, DAY, {}, {"loads": {"desk": 2}, "overflowing": ["desk"]}, "desk"),
    ("overflow, and nobody else: it waits there", {}, DAY, {}, {"loads": {"desk": 7}}, "desk"),
    ("every candidate full: it waits inside", AT_ONCE, DAY, {}, {"loads": {"desk": 10, "night-desk": 2}}, "desk"),
    ("every candidate full by night: duty", AT_ONCE, NIGHT, {}, {"loads": {"night-desk": 2}}, "duty"),
    ("one place left at the partner", AT_ONCE, NIGHT, {}, {"loads": {"night-desk": 1}}, "night-desk"),
    ("the day's cap is reached", CAPPED, "2026-03-02T15:59:59", {}, {"loads": {"desk": 5}, "taken": MANILAS}, "desk"),
    ("a new day at the partner's midnight", CAPPED, "2026-03-02T16:00:00", {}, {"loads": {"desk": 5}, "taken": MANILAS}, "night-desk"),
    ("the month's cap", MONTHLY, "2026-03-31T15:59:59", {}, {"loads": {"desk": 5}, "taken": {("nightwatch", "2026-03-01"): 4}}, "desk"),
    ("a new month at the partner's midnight", MONTHLY, "2026-03-31T16:00:00", {}, {"loads": {"desk": 10}, "taken": {("nightwatch", "2026-03-01"): 4}}, "night-desk"),
    ("a disabled queue receives nothing", {**NARROW, "queues": {"desk": {"enabled": False}}}, DAY, {}, {}, "night-desk"),
    ("security stays inside", NARROW, NIGHT, {"flags": ["security"]}, {}, "duty"),
    ("a category outside the contract", NARROW, NIGHT, {"category": "access"}, {}, "duty"),
    ("no category is none that is allowed", NARROW, NIGHT, {"category": None}, {}, "duty"),
    ("a language outside the contract", NARROW, NIGHT, {"language": "fr"}, {}, "duty"),
    ("a language by its region", NARROW, NIGHT, {"language": "de-AT"}, {}, "night-desk"),
    ("a customer outside the contract", {**NARROW, "partners": {"nightwatch": {"calendar": "always", "customers": ["acme"]}}}, NIGHT, {"customer": "zeta"}, {}, "duty"),
    ("second line", {}, NIGHT, {"tier": 2}, {}, "specialists"),
    ("the source's group", {}, DAY, {"channel": "monitoring", "group": "Helpers"}, {}, "desk"),
    ("a group that stands for no queue", {}, DAY, {"channel": "monitoring", "group": "Nobody"}, {}, "specialists"),
]  # fmt: skip


@pytest.mark.parametrize(("shows", "changes", "at", "asked", "load", "queue"), LOAD, ids=[row[0] for row in LOAD])
def test_load_and_contract_decide(
    shows: str, changes: dict[str, Any], at: str, asked: dict[str, Any], load: dict[str, Any], queue: str
) -> None:
    request = Request(facts=facts(**asked), purpose="first", cause="first")
    outcome = decide(request, policy(**changes), Desk(**load), utc(at))
    assert outcome.queue.name == queue, outcome.reason


SPREAD: dict[str, Any] = {
    "queues": {"lead": {"weight": 3}},
    "routing": {"rules": [{"name": "spread", "to": ["specialists", "lead", "desk"], "strategy": "least_loaded"}]},
}
WEIGHED = merge(SPREAD, {"routing": {"rules": [{**SPREAD["routing"]["rules"][0], "strategy": "weighted"}]}})
SPREADS: list[tuple[str, dict[str, Any], dict[str, int], str]] = [
    ("the least loaded", SPREAD, {"specialists": 3, "lead": 2, "desk": 4}, "lead"),
    ("among equals the first", SPREAD, {"specialists": 2, "lead": 2, "desk": 2}, "specialists"),
    ("the full one is none of them", SPREAD, {"specialists": 12, "lead": 12, "desk": 10}, "specialists"),
    ("a share by weight", WEIGHED, {"specialists": 2, "lead": 5, "desk": 3}, "lead"),
    ("its share is full", WEIGHED, {"specialists": 2, "lead": 7, "desk": 3}, "specialists"),
]


@pytest.mark.parametrize(("shows", "changes", "loads", "queue"), SPREADS, ids=[row[0] for row in SPREADS])
def test_a_strategy_spreads_load(shows: str, changes: dict[str, Any], loads: dict[str, int], queue: str) -> None:
    request = Request(facts=facts(), purpose="first", cause="first")
    assert decide(request, policy(**changes), Desk(loads), utc(DAY)).queue.name == queue


def ask(**changes: Any) -> Request:
    plain: dict[str, Any] = {"facts": facts(), "purpose": "transfer", "cause": "escalation", "current": "desk"}
    return Request(**{**plain, **changes})


TRANSFERS: list[tuple[str, dict[str, Any], Request, str, str, bool]] = [
    ("not back to who gives it away", NARROW, ask(), "night-desk", "by-day", False),
    ("not to who declined", NARROW, ask(tried=["night-desk"]), "duty", "by-day", True),
    ("a first offer that was declined", NARROW, ask(cause="first", current=None, tried=["desk"]), "night-desk", "by-day", False),
    ("people chose a group", NARROW, ask(cause="source", facts=facts(group="Experts")), "specialists", "protocol:source_group", False),
    ("people chose, and it was declined", NARROW, ask(cause="source", facts=facts(group="Experts"), tried=["specialists"]), "night-desk", "by-day", False),
    ("people chose within the queue", NARROW, ask(cause="source", facts=facts(group="Helpers")), "desk", "protocol:source_group", False),
    ("A, B, A and not B again", NARROW, ask(history=["desk", "night-desk", "desk"]), "lead", "protocol:ping_pong", False),
    ("A, B: the first return is allowed", NARROW, ask(current="night-desk", history=["desk", "night-desk"]), "desk", "by-day", False),
    ("A, B, A and on to somebody new", NARROW, ask(history=["desk", "specialists", "desk"]), "night-desk", "by-day", False),
    ("the lead has it already", NARROW, ask(current="lead", history=["desk", "night-desk", "desk", "lead"]), "desk", "by-day", False),
    ("moves by the hour are no rounds", NARROW, ask(cause="overflow", history=["desk", "night-desk", "desk"]), "night-desk", "by-day", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shows", "changes", "request_", "queue", "rule", "final"), TRANSFERS, ids=[row[0] for row in TRANSFERS]
)
def test_where_to(shows: str, changes: dict[str, Any], request_: Request, queue: str, rule: str, final: bool) -> None:
    outcome = decide(request_, policy(**changes), Desk(), utc(DAY))
    assert (outcome.queue.name, outcome.rule, outcome.final) == (queue, rule, final), outcome.reason


def test_a_reassignment_that_counts_is_named_by_night_too() -> None:
    chosen = ask(cause="source", current="specialists", facts=facts(group="Helpers"))
    counts = policy(transfers={"source_reassignment": "acknowledges"})
    assert decide(chosen, counts, Desk(), utc(NIGHT)).queue.name == "desk"
    assert decide(chosen, policy(), Desk(), utc(NIGHT)).queue.name == "night-desk"


def test_a_reopened_ticket_goes_back_while_its_queue_is_open() -> None:
    again = Request(facts=facts(), purpose="first", cause="reopened", history=["desk"])
    assert decide(again, policy(), Desk({"desk": 10}), utc(DAY)).rule == "protocol:reopened"
    by_night = decide(again, policy(), Desk(), utc(NIGHT))
    assert (by_night.queue.name, by_night.rule) == ("night-desk", "by-night")


def test_an_abstained_ticket_goes_to_the_queue_of_the_intake_duty() -> None:
    unsure = Request(facts=facts(flags=["abstained"]), purpose="first", cause="first")
    triage = policy(queues={"triage": {"title": "T", "support_model": "internal", "tier": 1, "owner_role": "intake"}})
    assert decide(unsure, triage, Desk(), utc(DAY)).queue.name == "triage"
    assert decide(unsure, policy(), Desk(), utc(DAY)).queue.name == "desk", "no such queue: by the rules"


CLOSING = {
    "queues": {"desk": {"close_lead_minutes": 30}},
    "calendars": {"late": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
    "partners": {"nightwatch": {"calendar": "late"}},
}


def test_a_closing_queue_is_left_to_where_the_ticket_belongs_once_it_is_closed() -> None:
    leaving = Request(facts=facts(), purpose="reroute", cause="queue_closing", current="desk")
    outcome = decide(leaving, policy(**CLOSING), Desk(), utc("2026-03-06T16:30:00"))
    assert (outcome.queue.name, outcome.rule) == ("night-desk", "by-night")


def test_a_queue_that_closes_as_well_is_no_way_out() -> None:
    earlier = {**CLOSING, "calendars": {"late": {"zone": "UTC", "hours": hours(("10:00", "16:45"), days=ALL_DAYS)}}}
    leaving = Request(facts=facts(), purpose="reroute", cause="queue_closing", current="desk")
    outcome = decide(leaving, policy(**earlier), Desk(), utc("2026-03-06T16:30:00"))
    assert outcome.final
    assert outcome.refusals == [("night-desk", "closing")]


def test_the_decision_says_when_it_is_looked_at_again() -> None:
    first = Request(facts=facts(), purpose="first", cause="first")
    assert decide(first, policy(), Desk(), utc(DAY)).look_again_at is None
    assert decide(first, policy(**CLOSING), Desk(), utc(DAY)).look_again_at == utc("2026-03-02T16:30:00")
    within = decide(first, policy(**CLOSING), Desk(), utc("2026-03-02T16:45:00"))
    assert within.look_again_at == utc("2026-03-02T17:00:00")
    at_duty = decide(first, policy(), Desk(), utc("2026-03-08T12:00:00"))
    assert at_duty.look_again_at == utc("2026-03-08T15:00:00"), "Manila opens at 23:00"
    capped = decide(first, policy(**CAPPED), Desk(taken=MANILAS), utc("2026-03-01T17:00:00"))
    assert capped.queue.name == "duty"
    assert capped.look_again_at == utc("2026-03-02T07:00:00"), "Frankfurt opens before Manila's midnight"


def test_the_reason_is_a_sentence() -> None:
    first = Request(facts=facts(), purpose="first", cause="first")
    assert decide(first, policy(), Desk(), utc(DAY)).reason == "by-day: desk takes it"
    assert decide(first, policy(), Desk({"desk": 10}), utc(DAY)).reason == (
        "by-day: desk is full, night-desk is closed, it waits for capacity at desk"
    )
    assert decide(first, policy(), Desk(), utc("2026-03-08T12:00:00")).reason == (
        "by-night: night-desk is closed, so the duty queue duty has it"
    )
