"""Room: skills and groups of agents, weights, pauses, where data may be seen, and what makes a queue overflow."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from typing import Any

import pytest

from ticket_contracts.cloudevents import Event
from ticket_router.domain.again import differences
from ticket_router.domain.deadlines import deadline
from ticket_router.domain.decide import Request, decide
from ticket_router.domain.explain import explain
from ticket_router.domain.policy import Policies
from unit.router.router_desk import (
    ALL_DAYS,
    ALWAYS,
    DAY,
    MONDAY,
    NIGHT,
    Desk,
    classified,
    completed,
    facts,
    hours,
    minutes,
    normalized,
    policy,
    requested,
    utc,
)
from unit.router.test_router_work import ROUND_THE_CLOCK, Story


def with_queue(desk: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**ALWAYS, **more, "queues": {"desk": {"capacity": None, "overflow": None, **desk}}}


TWO_GROUPS = {
    "groups": {"english": {"capacity": 2}, "german": {"capacity": 1, "skills": ["de"]}},
    "skills": ["laptops"],
}
GERMAN = {"rules": [
    {"name": "by-day", "when": {"open": ["frankfurt"]}, "to": ["desk", "night-desk"]},
    {"name": "by-night", "to": ["night-desk"]},
], "skills": [{"name": "german", "when": {"language": ["de"]}, "skills": ["de"]}]}  # fmt: skip
SKILLED = with_queue(TWO_GROUPS, routing=GERMAN)
WEIGHED = with_queue({"capacity": 6}, routing={"weights": {"P1": 4, "P2": 2}})
PAUSED = with_queue({"pauses": [{"begin": "2026-03-02T09:00:00Z", "until": "2026-03-02T10:00:00Z"}]})
RESIDENT: dict[str, Any] = {
    **ALWAYS,
    "partners": {"nightwatch": {"calendar": "always", "regions": ["ph"]}},
    "residency": [
        {"name": "patients", "when": {"customer": ["clinic"]}, "regions": ["eu"]},
        {"name": "staff", "when": {"customer": ["clinic", "acme"]}, "regions": ["eu", "ph"]},
    ],
}
NO_DEPTH = {"above": None, "below": None}
OLDEST = with_queue({"overflow": {**NO_DEPTH, "oldest_minutes": {"above": 60, "below": 20}}})
FORECAST = with_queue({"overflow": {**NO_DEPTH, "wait_minutes": {"above": 30, "below": 10}}})
HELD = with_queue({"overflow": {"above": 5, "below": 2, "hold_minutes": 30}})

# (what it shows, agreement, instant, facts, desk, queue, its group of agents)
ROOM: list[tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any], str, str | None]] = [
    ("no skill asked: the first group", SKILLED, DAY, {}, {}, "desk", "english"),
    ("the first group is full: the next", SKILLED, DAY, {}, {"loads": {"desk/english": 2}}, "desk", "german"),
    ("a skill of one group", SKILLED, DAY, {"language": "de"}, {}, "desk", "german"),
    ("who has the skill is busy: the partner would, but lacks it; it waits", SKILLED, DAY, {"language": "de"}, {"loads": {"desk/german": 1}}, "desk", "german"),
    ("all groups are full: another queue", SKILLED, DAY, {}, {"loads": {"desk/english": 2, "desk/german": 1}}, "night-desk", None),
    ("nobody open has the skill", SKILLED, NIGHT, {"language": "de"}, {}, "duty", None),
    ("room for a light one", WEIGHED, DAY, {"priority": "P3"}, {"loads": {"desk": 5}}, "desk", None),
    ("none for one of weight two", WEIGHED, DAY, {"priority": "P2"}, {"loads": {"desk": 5}}, "night-desk", None),
    ("a heavy one just fits", WEIGHED, DAY, {"priority": "P1"}, {"loads": {"desk": 2}}, "desk", None),
    ("and by one does not", WEIGHED, DAY, {"priority": "P1"}, {"loads": {"desk": 3}}, "night-desk", None),
    ("the second before a pause", PAUSED, "2026-03-02T08:59:59", {}, {}, "desk", None),
    ("a paused queue receives nothing", PAUSED, "2026-03-02T09:00:00", {}, {}, "night-desk", None),
    ("nor in its last second", PAUSED, "2026-03-02T09:59:59", {}, {}, "night-desk", None),
    ("the pause is over", PAUSED, "2026-03-02T10:00:00", {}, {}, "desk", None),
    ("data that may be seen there", RESIDENT, NIGHT, {"customer": "acme"}, {}, "night-desk", None),
    ("data of two rules: each must allow it", RESIDENT, NIGHT, {"customer": "clinic"}, {}, "duty", None),
    ("data of no rule", RESIDENT, NIGHT, {"customer": "zeta"}, {}, "night-desk", None),
    ("a contract that names no region sees nothing restricted", {**RESIDENT, "partners": {"nightwatch": {"calendar": "always"}}}, NIGHT, {"customer": "acme"}, {}, "duty", None),
    ("the oldest waits not long enough", OLDEST, DAY, {}, {"oldest": {"desk": 3599}}, "desk", None),
    ("the oldest has waited an hour", OLDEST, DAY, {}, {"oldest": {"desk": 3600}}, "night-desk", None),
    ("it overflows until the oldest is younger", OLDEST, DAY, {}, {"oldest": {"desk": 1201}, "overflowing": ["desk"]}, "night-desk", None),
    ("drained", OLDEST, DAY, {}, {"oldest": {"desk": 1200}, "overflowing": ["desk"]}, "desk", None),
    ("nobody waits any more", OLDEST, DAY, {}, {"overflowing": ["desk"]}, "desk", None),
    ("a forecast of half an hour", FORECAST, DAY, {}, {"waits": {"desk": 1800}}, "night-desk", None),
    ("a rate that is not known is no forecast", FORECAST, DAY, {}, {"loads": {"desk": 900}}, "desk", None),
    ("a hold keeps it overflowing", HELD, DAY, {}, {"held": ["desk"], "overflowing": ["desk"]}, "night-desk", None),
    ("a hold keeps it from overflowing", HELD, DAY, {}, {"held": ["desk"], "loads": {"desk": 9}}, "desk", None),
]  # fmt: skip


@pytest.mark.parametrize(("shows", "changes", "at", "asked", "desk", "queue", "agents"), ROOM, ids=[r[0] for r in ROOM])
def test_room_decides(
    shows: str,
    changes: dict[str, Any],
    at: str,
    asked: dict[str, Any],
    desk: dict[str, Any],
    queue: str,
    agents: str | None,
) -> None:
    request = Request(facts=facts(**asked), purpose="first", cause="first")
    outcome = decide(request, policy(**changes), Desk(**desk), utc(at))
    assert (outcome.queue.name, outcome.agents) == (queue, agents), outcome.reason


def test_a_queue_that_receives_nothing_says_so() -> None:
    request = Request(facts=facts(), purpose="first", cause="first")
    assert decide(request, policy(**PAUSED), Desk(), utc(DAY)).reason == "by-day: desk is paused, night-desk takes it"
    disabled = policy(**with_queue({"enabled": False}))
    assert decide(request, disabled, Desk(), utc(DAY)).reason == "by-day: desk is disabled, night-desk takes it"
    people = Request(facts=facts(group="Helpers"), purpose="transfer", cause="source", current="specialists")
    for off in (PAUSED, with_queue({"enabled": False})):
        counts = policy(**off, transfers={"source_reassignment": "acknowledges"})
        assert decide(people, counts, Desk(), utc(DAY)).queue.name == "night-desk", "not even when people choose it"


def test_a_paused_queue_is_looked_at_again_when_its_pause_ends() -> None:
    alone = {**PAUSED, "routing": {"rules": [{"name": "all", "to": ["desk"]}]}}
    outcome = decide(Request(facts=facts(), purpose="first", cause="first"), policy(**alone), Desk(), utc(DAY))
    assert (outcome.queue.name, outcome.look_again_at) == ("duty", utc("2026-03-02T10:00:00"))


def test_triage_that_pauses_receives_nothing_either() -> None:
    triage = {"title": "T", "support_model": "internal", "tier": 1, "owner_role": "intake",
              "pauses": [{"begin": "2026-03-02T09:00:00Z", "until": "2026-03-02T10:00:00Z"}]}  # fmt: skip
    unsure = Request(facts=facts(flags=["abstained"]), purpose="first", cause="first")
    made = policy(queues={"triage": triage})
    assert decide(unsure, made, Desk(), utc(DAY)).queue.name == "desk"
    assert decide(unsure, made, Desk(), utc("2026-03-02T10:00:00")).queue.name == "triage"


ROBOT: dict[str, Any] = {
    **ALWAYS,
    "queues": {"robot": {"title": "Robot", "support_model": "automation", "tier": 0, "owner_role": "first-line"}},
    "routing": {"rules": [{"name": "robots-first", "to": ["robot", "desk", "night-desk"]}]},
}


@pytest.mark.parametrize(
    ("shows", "request_", "queue"),
    [
        ("automation first", Request(facts=facts(tier=0), purpose="first", cause="first"), "robot"),
        ("it declined or kept silent", Request(facts=facts(), purpose="transfer", cause="first", tried=["robot"]), "desk"),
        ("it gave the ticket back", Request(facts=facts(), purpose="transfer", cause="return", current="robot", history=["robot"]), "desk"),
        ("the customer reopened what it had solved", Request(facts=facts(), purpose="first", cause="reopened", history=["robot"]), "desk"),
        ("people escalate: not back to it", Request(facts=facts(), purpose="transfer", cause="escalation", current="desk", history=["robot", "desk"]), "night-desk"),
        ("its people had it last, and are where it goes back to", Request(facts=facts(), purpose="first", cause="reopened", history=["robot", "desk"]), "desk"),
    ],
)  # fmt: skip
def test_automation_is_first_and_people_are_next_when_it_fails(shows: str, request_: Request, queue: str) -> None:
    assert decide(request_, policy(**ROBOT), Desk(), utc(DAY)).queue.name == queue


# -- the task: what is reserved and given back


def settled(story: Story, ticket: str, at: Any, number: int, queue: str) -> list[Event]:
    return [requested(1, at, f"t{number}", ticket), completed(2, at, f"t{number}", queue, ticket)]


def come(story: Story, number: int, at: Any, created: Any = None, **shape: Any) -> str:
    """A ticket that comes and is taken; returns where it went."""
    ticket = f"servicenow:main:INC{number}"
    language = shape.pop("language", "en")
    (first,) = story.tell(
        normalized(at=at, ticket=ticket, created_at=created or at, language=language),
        classified(at=at, ticket=ticket, **shape),
    )
    story.tell(*settled(story, ticket, at, number, first.queue))
    return first.queue


def test_places_of_groups_are_reserved_and_given_back() -> None:
    story = Story(**SKILLED)
    assert [come(story, n, MONDAY) for n in range(4)] == ["desk", "desk", "desk", "night-desk"]
    assert story.loads == {"desk": 3, "desk/english": 2, "desk/german": 1, "night-desk": 1}
    assert [event.agent_group for event in story.decided] == ["english", "english", "german", None]
    assert story.restored().snapshot() == story.work.snapshot()
    story.tell(normalized(2, MONDAY, "servicenow:main:INC0", status="closed"))
    assert story.loads["desk/english"] == 1
    assert come(story, 9, MONDAY) == "desk"
    assert story.decided[-1].agent_group == "english"


def test_a_ticket_weighs_what_its_priority_says_at_the_time() -> None:
    story = Story(**WEIGHED)
    assert come(story, 1, MONDAY, priority="P1") == "desk"
    assert story.loads == {"desk": 4}
    assert come(story, 2, MONDAY, priority="P1") == "night-desk"
    story.tell(classified(2, MONDAY, "servicenow:main:INC1", priority="P2"))
    assert story.loads["desk"] == 2
    assert story.restored().snapshot() == story.work.snapshot()
    assert come(story, 3, MONDAY, priority="P1") == "desk"
    story.tell(normalized(2, MONDAY, "servicenow:main:INC1", status="closed"))
    assert story.loads["desk"] == 4


def test_a_partner_counts_tickets_whatever_they_weigh() -> None:
    capped = {**ROUND_THE_CLOCK, "partners": {"nightwatch": {"calendar": "always", "caps": {"concurrent": 2}}},
              "routing": {"weights": {"P1": 4}, "rules": [{"name": "out", "to": ["night-desk"]}]}}  # fmt: skip
    story = Story(**capped)
    assert [come(story, n, MONDAY, priority="P1") for n in range(3)] == ["night-desk", "night-desk", "duty"]
    assert story.decided[-1].inputs.taken == {"nightwatch": [2, 2, 2]}


def test_the_oldest_that_waits_makes_it_overflow_in_the_queues_own_hours() -> None:
    story = Story(**OLDEST)
    evening = utc("2026-03-02T16:30:00")  # half an hour before the desk closes
    assert come(story, 1, evening) == "desk"
    morning = utc("2026-03-03T07:29:59")
    assert come(story, 2, morning) == "desk", "the night does not count: 59:59"
    assert come(story, 3, utc("2026-03-03T07:30:00")) == "night-desk"
    assert story.decided[-1].inputs.oldest == {"desk": 3600}
    later = utc("2026-03-03T07:35:00")
    story.tell(normalized(2, later, "servicenow:main:INC1", status="pending_customer"))
    assert come(story, 4, later) == "desk", "what waits for the customer does not wait for us"
    assert story.restored().snapshot() == story.work.snapshot()


def test_a_forecast_follows_the_rate_at_which_tickets_leave() -> None:
    story = Story(**FORECAST)
    for n in range(20):
        assert come(story, n, MONDAY) == "desk", "no rate is known yet"
    for n in range(6):  # one every five minutes
        story.tell(normalized(2, MONDAY + minutes(5 * n), f"servicenow:main:INC{n}", status="resolved"))
    at = MONDAY + minutes(25)
    assert come(story, 30, at) == "night-desk"
    assert story.decided[-1].inputs.waits == {"desk": 14 * 300}
    assert story.restored().snapshot() == story.work.snapshot()
    for n in range(6, 19):
        story.tell(normalized(2, at, f"servicenow:main:INC{n}", status="closed"))
    assert come(story, 31, at) == "desk", "one waits, and they leave fast"


def test_a_hold_lets_it_switch_once_in_its_time() -> None:
    story = Story(**HELD)
    assert [come(story, n, MONDAY) for n in range(6)] == ["desk"] * 5 + ["night-desk"]
    for n in range(4):
        story.tell(normalized(2, MONDAY + minutes(1), f"servicenow:main:INC{n}", status="closed"))
    assert story.loads["desk"] == 1
    assert come(story, 10, MONDAY + minutes(29)) == "night-desk"
    assert story.decided[-1].inputs.held == ["desk"]
    assert come(story, 11, MONDAY + minutes(30)) == "desk"
    assert story.restored().snapshot() == story.work.snapshot()


def test_less_time_left_goes_before_older_of_one_priority() -> None:
    goals = {"clock": "resolution", "goals": [{"when": {"customer": ["gold"]}, "seconds": 3600}, {"seconds": 28_800}]}
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"night-desk": {"capacity": 1}}, "sla": {"resolution": goals}})
    night = utc("2026-03-02T20:00:00")
    for number, (customer, priority) in enumerate([(None, "P3"), (None, "P3"), ("gold", "P3"), ("gold", "P4")]):
        ticket, at = f"servicenow:main:INC{number}", night + minutes(number)
        (first,) = story.tell(
            normalized(at=at, ticket=ticket, created_at=at, customer=customer),
            classified(at=at, ticket=ticket, priority=priority),
        )
        story.tell(*settled(story, ticket, at, number, first.queue))
    order = []
    ticket = "servicenow:main:INC0"
    for round_ in range(3):
        later = night + minutes(30 + round_)
        (proposal,) = story.tell(normalized(9, later, ticket, status="closed"))
        order.append(ticket := proposal.ticket)
        story.tell(requested(3, later, f"r{round_}", ticket, cause="reroute"),
                   completed(4, later, f"r{round_}", "night-desk", ticket))  # fmt: skip
    assert [name[-1] for name in order] == ["2", "1", "3"]
    assert story.restored().snapshot() == story.work.snapshot()


# (what it shows, changes of the clock's policy, status -> minutes since creation, minutes now, minutes of the deadline)
PAUSES: list[tuple[str, dict[str, Any], list[tuple[int, str]], int, int | None]] = [
    ("nothing paused", {}, [(0, "new")], 60, 480),
    ("an hour with the customer", {}, [(0, "new"), (30, "pending_customer"), (90, "open")], 100, 540),
    ("it pauses: no time is lost", {}, [(0, "new"), (30, "pending_customer")], 100, None),
    ("it came as a pause", {}, [(5, "pending_customer"), (60, "open")], 100, 540),
    ("the customer does not pause this clock", {"pause_on": ["on_hold"]}, [(0, "new"), (30, "pending_customer")], 100, 480),
    ("resolved and reopened: it goes on", {}, [(0, "new"), (60, "resolved"), (180, "open")], 200, 600),
    ("resolved and reopened: it begins anew", {"on_reopen": "restart"}, [(0, "new"), (60, "resolved"), (180, "open")], 200, 660),
    ("and what paused before that is over", {"on_reopen": "restart"}, [(0, "new"), (10, "on_hold"), (60, "resolved"), (180, "open")], 200, 660),
    ("it begins with the work", {"start_on": ["open"]}, [(0, "new"), (60, "open")], 100, 540),
    ("which has not begun", {"start_on": ["open"]}, [(0, "new")], 100, None),
    ("a pause at lunch pauses nothing", {"calendar": "noon"}, [(0, "new"), (120, "pending_customer"), (180, "open")], 200, 540),
]  # fmt: skip


@pytest.mark.parametrize(("shows", "changes", "statuses", "now", "due"), PAUSES, ids=[r[0] for r in PAUSES])
def test_deadlines_pause_as_the_clock_does(
    shows: str, changes: dict[str, Any], statuses: list[tuple[int, str]], now: int, due: int | None
) -> None:
    """Goal: eight hours. Created at 09:00 UTC; of the day with a lunch 11:00-12:00 is none."""
    made = policy(
        calendars={"noon": {"zone": "UTC", "hours": hours(("00:00", "11:00"), ("12:00", "24:00"), days=ALL_DAYS)}},
        sla={"resolution": changes},
    )
    created = int(MONDAY.timestamp())
    asked = facts(age_seconds=60 * now, status=statuses[-1][1])
    known = [(created + 60 * minute, status) for minute, status in statuses]
    found = deadline(made, "desk", asked, created + 60 * now, known)
    assert found == (None if due is None else created + 60 * due)


def test_time_that_a_ticket_paused_does_not_bring_it_forward() -> None:
    """Three wait at the duty queue for the partner's one place: the oldest was with its customer for six hours, the
    next still is, the youngest never was."""
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"night-desk": {"capacity": 1}}})
    night = utc("2026-03-02T20:00:00")
    for number in range(4):
        come(story, number, night + minutes(number))
    for number in (1, 2):
        ticket = f"servicenow:main:INC{number}"
        story.tell(
            normalized(2, night + minutes(10), ticket, status="pending_customer", created_at=night + minutes(number))
        )
    story.tell(
        normalized(3, night + minutes(370), "servicenow:main:INC1", status="open", created_at=night + minutes(1))
    )
    order = []
    ticket = "servicenow:main:INC0"
    for round_ in range(3):
        later = night + minutes(400 + round_)
        (proposal,) = story.tell(normalized(9, later, ticket, status="closed"))
        order.append(ticket := proposal.ticket)
        story.tell(requested(3, later, f"r{round_}", ticket, cause="reroute"),
                   completed(4, later, f"r{round_}", "night-desk", ticket))  # fmt: skip
    assert [name[-1] for name in order] == ["3", "1", "2"]
    assert story.restored().snapshot() == story.work.snapshot()


def test_a_status_counts_from_when_the_tool_says() -> None:
    """What came late says so itself: the ticket's own `updated_at` is that of newer news."""
    story = Story(**ROUND_THE_CLOCK)
    come(story, 1, MONDAY)
    for version, status, happened, newest, heard in (
        (2, "pending_customer", 20, 25, 30),
        (3, "open", 40, 40, 41),
        (4, "on_hold", None, 40, 50),
    ):
        event = normalized(
            version,
            MONDAY + minutes(heard),
            "servicenow:main:INC1",
            status=status,
            changed=["status"],
            updated_at=MONDAY + minutes(newest),
            happened_at=None if happened is None else MONDAY + minutes(happened),
        )
        story.tell(event)
    known = story.work.snapshot()["tickets"]["servicenow:main:INC1"]["statuses"]
    began = int(MONDAY.timestamp())
    assert [((at - began) // 60, status) for at, status in known[1:]] == [
        (20, "pending_customer"),
        (40, "open"),
        (50, "on_hold"),
    ]


def test_statuses_do_not_grow_without_end() -> None:
    story = Story(**ROUND_THE_CLOCK)
    come(story, 1, MONDAY)
    for version in range(2, 300):
        status = ("open", "on_hold")[version % 2]
        story.tell(normalized(version, MONDAY + minutes(version), "servicenow:main:INC1", status=status))
    assert len(story.work.snapshot()["tickets"]["servicenow:main:INC1"]["statuses"]) == 50


@pytest.mark.parametrize(
    ("changes", "at", "asked", "desk", "said"),
    [
        (SKILLED, DAY, {"language": "de"}, {"loads": {"desk/german": 1}}, "desk has nobody free with its skills: it needs de"),
        (SKILLED, DAY, {"language": "de"}, {"loads": {"desk/german": 1}}, "night-desk has nobody with its skills: it needs de"),
        (PAUSED, DAY, {}, {}, "desk is paused: until 2026-03-02T10:00:00Z"),
        (RESIDENT, NIGHT, {"customer": "clinic"}, {}, "night-desk may not see its data: patients; it sees data in ph"),
        (OLDEST, DAY, {}, {"oldest": {"desk": 4500}}, "desk overflows: oldest 75 min (from 60 until 20)"),
        (FORECAST, DAY, {}, {"waits": {"desk": 1860}}, "desk overflows: wait 31 min (from 30 until 10)"),
        (HELD, DAY, {}, {"held": ["desk"], "overflowing": ["desk"]}, "desk overflows: load 0 (from 5 until 2); held for 30 min after it switched"),
        ({}, DAY, {}, {"loads": {"desk": 5}}, "night-desk is closed: it opens 2026-03-02T15:00:00Z"),
        ({**ALWAYS, "partners": {"nightwatch": {"calendar": "always", "caps": {"daily": 3}}}}, NIGHT, {}, {"taken": {("nightwatch", "2026-03-03"): 3}}, "night-desk has its tickets of the day: 3 of 3"),
        (RESIDENT, NIGHT, {"flags": ["security"]}, {}, "night-desk may not have its flags: security"),
        ({**ALWAYS, "partners": {"nightwatch": {"calendar": "always", "caps": {"concurrent": 3}}}}, NIGHT, {}, {"loads": {"night-desk": 4}}, "night-desk has all it may have at once: 4 of 3"),
        ({}, NIGHT, {"language": "fr"}, {}, "night-desk does not have its language: its contract is for en, de"),
        ({}, NIGHT, {"category": "access"}, {}, "night-desk may not have its category: its contract is for hardware"),
    ],
)  # fmt: skip
def test_explain_names_the_figures_a_person_asks_for_next(
    changes: dict[str, Any], at: str, asked: dict[str, Any], desk: dict[str, Any], said: str
) -> None:
    request = Request(facts=facts(**asked), purpose="first", cause="first")
    found = explain(request, policy(**changes), Desk(**desk), utc(at))
    assert said in [f"{c.queue} {c.verdict}" for c in found.candidates]


SPILLS: dict[str, Any] = {
    **ALWAYS,
    "partners": {"nightwatch": {"calendar": "always", "languages": None, "caps": {"concurrent": 1}}},
    "queues": {"desk": {"capacity": 2, "overflow": None}},
}


def ends(story: Story, number: int, at: Any) -> list[Any]:
    return story.tell(normalized(9, at, f"servicenow:main:INC{number}", status="closed"))


def test_who_waits_where_all_is_full_goes_to_the_first_place_that_is_freed() -> None:
    """Two at the desk, one at the partner; three more wait at the desk, of which a P2 came last."""
    story = Story(**SPILLS)
    places = [come(story, n, MONDAY + minutes(n), priority="P2" if n == 5 else "P3") for n in range(6)]
    assert places == ["desk", "desk", "night-desk", "desk", "desk", "desk"]
    assert [event.waits for event in story.decided] == [False, False, False, True, True, True]
    later = MONDAY + minutes(30)
    (proposal,) = ends(story, 2, later)
    assert (proposal.ticket, proposal.queue, proposal.inputs.cause) == (
        "servicenow:main:INC5",
        "night-desk",
        "overflow",
    )
    story.tell(
        requested(3, later, "t9", proposal.ticket, cause="overflow"),
        completed(4, later, "t9", "night-desk", proposal.ticket),
    )
    assert story.restored().snapshot() == story.work.snapshot()
    policy_ = Policies().of(story.agreements.in_force(MONDAY))
    assert [found for event in story.decided if (found := differences(event, policy_))] == []
    assert ends(story, 0, later) == [], "a place of the desk's own: the next there has it, and stays"
    assert ends(story, 1, later) == []
    assert ends(story, 5, later) == [], "nobody waits any more: two at the desk have its two places"
    assert story.loads == {"desk": 2}
    assert story.restored().snapshot() == story.work.snapshot()


def test_what_people_have_begun_stays_where_it_is() -> None:
    story = Story(**SPILLS)
    for number in range(5):
        come(story, number, MONDAY + minutes(number))
    later = MONDAY + minutes(30)
    story.tell(normalized(2, later, "servicenow:main:INC3", status="open"))
    (proposal,) = ends(story, 2, later)
    assert proposal.ticket == "servicenow:main:INC4"


def test_a_move_by_load_is_no_round_of_a_ping_pong() -> None:
    story = Story(**SPILLS)
    for number in range(4):
        come(story, number, MONDAY + minutes(number))
    later, ticket = MONDAY + minutes(30), "servicenow:main:INC3"
    ends(story, 2, later)
    story.tell(requested(3, later, "t9", ticket, cause="overflow"), completed(4, later, "t9", "night-desk", ticket))
    (back,) = story.tell(requested(5, later, "t10", ticket, cause="escalation", asks=True, sender_queue="night-desk"))
    assert (back.queue, back.inputs.history) == ("desk", ["night-desk"])


def test_lines_do_not_grow_with_every_ticket_that_ever_stood_in_them() -> None:
    """One waits for ever at the head of the line, thousands come behind it and are closed."""
    story = Story(**{**SPILLS, "queues": {"desk": {"capacity": 1, "overflow": None}}})
    come(story, 0, MONDAY, priority="P1")
    come(story, 1, MONDAY, priority="P1")
    come(story, 2, MONDAY, priority="P1")
    for number in range(3, 600):
        at = MONDAY + minutes(number / 10)
        come(story, number, at)
        ends(story, number, at)
    assert all(story.work._waiting.kept(queue) < 200 for queue in ("desk", "night-desk"))
    assert story.work._waiting.in_order("desk") == ["servicenow:main:INC2"]
    assert len(story.work.loads._oldest["desk"]) < 200
