"""The cases that real systems got wrong, each by its name."""

from __future__ import annotations

from typing import Any

import pytest

from sla_monitor.domain.redecide import differences
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.transfers import TransferCompleted, TransferOffered
from unit.sla.sla_desk import HOUR, TICKET, Desk, agreement, at, comment, pauses, record_of, resolution, text, vip


def elapsed(desk: Desk, when: str, clock: str = "resolution") -> int:
    from sla_monitor.domain.clocks import clock_state

    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    found = next(each for each in ticket.clocks if each.name == clock)
    return clock_state(found, int(at(when).timestamp()), desk.work.book).elapsed_seconds


def test_a_hold_outside_the_hours_does_not_move_the_deadline() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}))
    desk.open("10:00")
    before = desk.deadline()
    desk.ticket("17:00", status="on_hold")
    desk.ticket("Tue 09:00", status="open")
    assert before == desk.deadline() == "Tue 10:00"


def test_a_pause_and_a_closed_hour_before_reopening_both_count_as_waiting() -> None:
    desk = Desk(agreement({"r": resolution(120 * 60)}))
    desk.open("09:00")
    desk.ticket("09:30", status="pending_customer")
    desk.ticket("09:45", status="open")
    desk.ticket("10:00", status="closed")
    desk.ticket("10:30", status="open")
    assert desk.deadline() == "11:45"


def test_time_stops_at_the_resolution_not_at_the_closing() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR)}))
    desk.open("09:00")
    desk.ticket("09:30", status="resolved")
    desk.ticket("Tue 09:30", status="closed")
    assert elapsed(desk, "Wed 12:00") == 30 * 60
    assert desk.said() == [("started", "09:00"), ("met", "09:30")]


def test_created_on_hold_and_closed_unworked_uses_no_time_and_warns_of_nothing() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00", status="on_hold")
    desk.fire("12:00")
    desk.ticket("12:00", status="closed")
    desk.fire("Fri 12:00")
    assert elapsed(desk, "12:00") == 0
    assert desk.said() == [("started", "09:00"), ("paused", "09:00"), ("met", "12:00")]


def test_created_already_closed_has_no_clock() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00", status="closed")
    desk.route("09:00")
    assert desk.said() == []
    assert desk.last("*").running == []


_BY_PRIORITY = {
    "r": {
        "clock": "resolution",
        "calendar": "nine_to_five",
        "goals": [
            {"when": {"priority": ["P1"]}, "seconds": 2 * HOUR},
            {"when": {"priority": ["P2"]}, "seconds": 5 * HOUR},
            {"seconds": 8 * HOUR},
        ],
    }
}


def test_a_raised_priority_counts_from_creation_less_the_pauses() -> None:
    desk = Desk(agreement(_BY_PRIORITY))
    desk.open("09:00", "P3")
    desk.ticket("10:00", status="pending_customer")
    desk.ticket("11:00", status="open")
    desk.classify("12:00", "P2")
    assert desk.deadline() == "15:00"
    assert desk.last().generation == 2
    assert pauses(desk.last()) == [("10:00", "11:00")]


def test_a_raised_priority_whose_goal_is_past_breaches_at_once() -> None:
    desk = Desk(agreement(_BY_PRIORITY))
    desk.open("09:00", "P3")
    desk.classify("12:00", "P1")
    desk.fire("12:00")
    assert desk.said()[1:] == [("started", "12:00"), ("warned", "12:00"), ("breached", "12:00")]
    assert desk.deadline() == "11:00"
    assert desk.last().due_at == at("12:00")


def test_a_pause_counts_also_under_a_policy_that_would_not_have_paused() -> None:
    desk = Desk(
        agreement(
            {
                "urgent": resolution(2 * HOUR, when={"priority": ["P1"]}, pause_on=[]),
                "normal": resolution(8 * HOUR, when={"priority": ["P3"]}),
            }
        )
    )
    desk.open("09:00", "P3")
    desk.ticket("09:30", status="on_hold")
    desk.ticket("10:30", status="open")
    desk.classify("10:45", "P1")
    assert desk.deadline() == "12:00"


def test_paused_past_its_deadline_to_be_it_says_nothing_and_both_move_on_resume() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.ticket("10:00", status="pending_vendor")
    desk.fire("14:00")
    assert desk.said() == [("started", "09:00"), ("paused", "10:00")]
    desk.ticket("14:00", status="open")
    desk.fire("15:00")
    assert desk.said()[2:] == [("resumed", "14:00"), ("warned", "14:45"), ("breached", "15:00")]


def test_what_was_said_in_a_generation_is_not_said_again_after_a_pause() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.fire("10:50")
    desk.ticket("10:50", status="on_hold")
    desk.ticket("12:00", status="open")
    desk.fire("Fri 12:00")
    assert [said for said, _ in desk.said()] == ["started", "warned", "paused", "resumed", "breached"]
    assert desk.said()[-1] == ("breached", "12:10")


_BY_GROUP = {
    "r": resolution(8 * HOUR),
    "ola": {
        "clock": "underpinning",
        "calendar": "nine_to_five",
        "goals": [
            {"when": {"group": ["A"]}, "seconds": 2 * HOUR},
            {"when": {"group": ["B"]}, "seconds": HOUR},
        ],
    },
}


def test_another_group_has_its_own_target_from_when_it_got_the_ticket() -> None:
    desk = Desk(agreement(_BY_GROUP))
    desk.open("09:00", group="A")
    assert desk.deadline("underpinning") == "11:00"
    desk.ticket("10:30", group="B")
    assert desk.deadline("underpinning") == "11:30"
    assert desk.last("underpinning").generation == 2
    assert desk.said("resolution") == [("started", "09:00")]


def test_another_person_of_the_group_leaves_its_target_alone() -> None:
    desk = Desk(agreement(_BY_GROUP))
    desk.open("09:00", group="A", assignee="Ann")
    desk.ticket("10:30", assignee="Bob")
    assert desk.said("underpinning") == [("started", "09:00")]


def test_a_queue_s_target_counts_from_when_the_queue_received_the_ticket() -> None:
    desk = Desk(
        agreement({"uc": {"clock": "underpinning", "when": {"queue": ["partner_line"]}, "goals": [{"seconds": HOUR}]}})
    )
    desk.open("09:00")
    desk.route("09:00", "first_line")
    assert desk.said("underpinning") == []
    desk.transfer("10:00", TransferCompleted, transfer_id="t1", queue="partner_line", owner="P")
    assert desk.deadline("underpinning") == "11:00"
    desk.transfer("10:30", TransferCompleted, transfer_id="t2", queue="second_line", owner="S")
    assert desk.last("underpinning").occurrence == "cancelled"
    desk.transfer("12:00", TransferCompleted, transfer_id="t3", queue="partner_line", owner="P")
    assert (desk.deadline("underpinning"), desk.last("underpinning").generation) == ("13:00", 2)


def test_five_hundred_tickets_with_a_goal_of_the_threshold_warn_at_once_and_once_each() -> None:
    desk = Desk(agreement({"r": resolution(900)}))
    for number in range(500):
        desk.open("09:00", ticket=f"itsm:one:{number}")
    desk.fire("09:00")
    desk.fire("09:00")
    warned = [event for event in desk.out.events if event.occurrence == "warned"]
    assert len(warned) == len({event.ticket for event in warned}) == 500
    # One digest: the same clock, threshold and instant.
    assert {(event.clock, event.threshold_seconds, event.due_at) for event in warned} == {
        ("resolution", 900, at("09:00"))
    }


def test_a_second_message_of_the_customer_does_not_restart_the_next_response() -> None:
    desk = Desk(agreement({"n": {"clock": "next_response", "calendar": "nine_to_five", "goals": [{"seconds": HOUR}]}}))
    desk.open("09:00")
    said = [comment("09:10", "agent")]
    desk.ticket("09:10", comments=list(said))
    assert desk.said("next_response") == []
    said.append(comment("10:00", "customer"))
    desk.ticket("10:00", comments=list(said))
    said.append(comment("10:30", "customer"))
    desk.ticket("10:30", comments=list(said))
    assert desk.said("next_response") == [("started", "10:00")]
    assert desk.deadline("next_response") == "11:00"
    said.append(comment("10:40", "agent"))
    desk.ticket("10:40", comments=list(said))
    said.append(comment("12:00", "customer"))
    desk.ticket("12:00", comments=list(said))
    assert desk.said("next_response")[1:] == [("met", "10:40"), ("started", "12:00")]
    assert (desk.deadline("next_response"), desk.last("next_response").generation) == ("13:00", 2)


def test_the_first_response_governs_while_there_is_none_though_updates_are_due_sooner() -> None:
    desk = Desk(
        agreement(
            {
                "p": {"clock": "periodic_update", "calendar": "nine_to_five", "goals": [{"seconds": HOUR}]},
                "f": {"clock": "first_response", "calendar": "nine_to_five", "goals": [{"seconds": 4 * HOUR}]},
            }
        )
    )
    desk.open("09:00")
    desk.fire("12:00")
    assert desk.said("periodic_update") == []
    desk.ticket("12:30", comments=[comment("12:30", "agent")])
    assert desk.said("first_response") == [("started", "09:00"), ("met", "12:30")]
    assert desk.deadline("periodic_update") == "13:30"
    desk.ticket("13:00", comments=[comment("12:30", "agent"), comment("13:00", "agent")])
    assert [said for said, _ in desk.said("periodic_update")] == ["started", "met", "started"]
    assert desk.deadline("periodic_update") == "14:00"


def test_an_internal_note_is_no_response() -> None:
    desk = Desk(agreement({"f": {"clock": "first_response", "goals": [{"seconds": HOUR}]}}))
    desk.open("09:00")
    desk.ticket("09:30", comments=[comment("09:30", "agent", "internal")])
    assert desk.said("first_response") == [("started", "09:00")]


def test_a_first_response_given_is_given_for_good() -> None:
    desk = Desk(agreement({"f": {"clock": "first_response", "goals": [{"seconds": HOUR}]}}))
    desk.open("09:00")
    desk.ticket("09:30", comments=[comment("09:30", "agent")])
    desk.ticket("09:40", status="resolved")
    desk.ticket("10:00", status="open")
    desk.fire("Fri 09:00")
    assert desk.said("first_response") == [("started", "09:00"), ("met", "09:30")]


@pytest.mark.parametrize("status", ["merged", "deleted"])
def test_a_merged_ticket_s_clock_is_cancelled_and_nothing_fires(status: str) -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00")
    desk.ticket("09:30", status=status)
    desk.fire("Fri 12:00")
    assert desk.said() == [("started", "09:00"), ("cancelled", "09:30")]


def test_a_ticket_that_leaves_a_policy_has_its_clock_cancelled() -> None:
    desk = Desk(agreement({"r": resolution(HOUR, when={"priority": ["P1"]})}))
    desk.open("09:00", "P1")
    desk.classify("09:30", "P4")
    desk.fire("Fri 12:00")
    assert desk.said() == [("started", "09:00"), ("cancelled", "09:30")]
    desk.classify("Fri 13:00", "P1")
    assert desk.last().generation == 2
    assert desk.deadline() == "10:00"


def test_a_withdrawn_policy_cancels_the_clocks_that_follow_the_agreement() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR, on_change="recalculate")}))
    desk.open("09:00")
    desk.fire("09:10")
    desk.agreements.publish(agreement({}), at("09:30"))
    desk.fire("Fri 12:00")
    assert desk.said() == [("started", "09:00"), ("cancelled", "09:30")]


def test_a_running_clock_keeps_the_agreement_it_began_under() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.fire("09:10")
    desk.agreements.publish(agreement({"r": resolution(HOUR)}), at("09:30"))
    desk.fire("09:40")
    desk.open("09:40", ticket="itsm:one:2")
    assert desk.deadline() == "11:00"
    assert desk.deadline(ticket="itsm:one:2") == "10:40"


def test_a_clock_that_follows_the_agreement_takes_its_new_goal_at_once() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR, on_change="recalculate")}))
    desk.open("09:00")
    desk.fire("09:10")
    desk.agreements.publish(agreement({"r": resolution(HOUR, on_change="recalculate")}), at("09:30"))
    desk.fire("11:30")
    assert desk.said()[1:] == [("started", "09:30"), ("warned", "09:45"), ("breached", "10:00")]


def test_an_agreement_that_changes_nothing_of_a_policy_leaves_its_clocks_alone() -> None:
    content = {"r": resolution(2 * HOUR, on_change="recalculate")}
    desk = Desk(agreement(content))
    desk.open("09:00")
    desk.fire("09:10")
    desk.agreements.publish(
        agreement({**content, "f": {"clock": "first_response", "goals": [{"seconds": HOUR}]}}), at("09:30")
    )
    desk.fire("10:00")
    desk.ticket("10:30", status="on_hold")
    assert desk.said() == [("started", "09:00"), ("paused", "10:30")]


def test_a_warning_in_business_time_comes_on_the_day_that_still_has_it() -> None:
    desk = Desk(agreement({"r": resolution(4 * HOUR, "eight_to_six", warn=[{"left_seconds": HOUR}])}))
    desk.open("17:00")
    desk.fire("Wed 09:00")
    assert desk.said() == [("started", "17:00"), ("warned", "Tue 10:00"), ("breached", "Tue 11:00")]


def test_due_after_a_weekend_business_time_warns_on_friday_and_wall_time_on_monday() -> None:
    warn = [{"left_seconds": 900}, {"left_seconds": 900, "wall": True}]
    desk = Desk(agreement({"r": resolution(HOUR, warn=warn)}))
    desk.open("Fri 16:05")
    assert desk.deadline() == "Mon+ 09:05"
    desk.fire("Mon+ 09:00")
    assert desk.said()[1:] == [("warned", "Fri 16:50"), ("warned", "Mon+ 08:50")]
    first, second = desk.of()[1:]
    assert (first.wall, second.wall) == (False, True)
    assert ce_id(first) != ce_id(second)


def test_a_share_of_the_goal_warns_when_it_is_used_up() -> None:
    desk = Desk(agreement({"r": resolution(4 * HOUR, warn=[{"used_share": 0.5}, {"used_share": 0.75}])}))
    desk.open("15:00")
    desk.fire("Wed 09:00")
    assert desk.said()[1:] == [("warned", "17:00"), ("warned", "Tue 10:00"), ("breached", "Tue 11:00")]
    assert [event.threshold_seconds for event in desk.of()[1:3]] == [2 * HOUR, HOUR]


def test_a_share_of_the_goal_is_used_up_to_the_second() -> None:
    """0.55 * 28800 is a little more than 15840 in floating point; the warning came a second late."""
    content = agreement({"r": resolution(8 * HOUR, "eight_to_six", warn=[{"used_share": 0.55}])})
    desk = Desk(content)
    desk.open("08:00")
    desk.fire("18:00")
    assert desk.said() == [("started", "08:00"), ("warned", "12:24"), ("breached", "16:00")]
    assert [differences(event, content, compile_calendars(content)) for event in desk.of()] == [[]] * 3


def test_the_same_update_twice_changes_nothing() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    event = desk.ticket("09:30", status="on_hold")
    before, state = len(desk.out.events), desk.work.ticket(TICKET)
    desk.work.handle(record_of(event), desk.out)
    assert (len(desk.out.events), desk.work.ticket(TICKET)) == (before, state)


def test_an_older_pause_that_arrives_late_moves_the_deadline_as_if_in_order() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.ticket("10:00", status="open", group="A")
    desk.ticket("09:30", received="10:10", status="pending_customer")
    desk.ticket("09:45", received="10:11", status="open")
    assert desk.deadline() == "11:15"
    assert desk.said()[1:] == [("paused", "10:10"), ("resumed", "10:11")]


def test_an_older_stop_that_arrives_late_unsays_the_breach() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.fire("11:00")
    breach = desk.last()
    assert breach.occurrence == "breached"
    desk.ticket("10:59:50", received="11:00:20", status="resolved")
    assert [said for said, _ in desk.said()] == ["started", "warned", "breached", "revised", "met"]
    revised = desk.of()[-2]
    assert revised.revises == ce_id(breach)
    assert [event.revises for event in desk.of() if event.occurrence == "revised"] == [ce_id(breach)]
    assert elapsed(desk, "15:00") == 2 * HOUR - 10


def test_after_a_breach_was_unsaid_the_true_one_has_an_id_of_its_own() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.fire("11:00")
    desk.ticket("10:50", received="11:05", status="pending_customer")
    assert desk.said()[-2:] == [("revised", "11:05"), ("paused", "11:05")]
    desk.ticket("12:00", status="open")
    assert desk.deadline() == "12:10"
    desk.fire("13:00")
    # The warning of 10:45 stays true and is not repeated; the breach is another one.
    assert desk.said()[-2:] == [("resumed", "12:00"), ("breached", "12:10")]
    breaches = [ce_id(event) for event in desk.of() if event.occurrence == "breached"]
    assert len(set(breaches)) == 2


_UPDATES = {"u": {"clock": "periodic_update", "calendar": "nine_to_five", "goals": [{"seconds": 2 * HOUR}]}}


def test_a_late_update_unsays_the_breach_of_the_time_that_it_ended_and_says_that_of_its_own() -> None:
    desk = Desk(agreement(_UPDATES))
    desk.open("09:00")
    desk.fire("11:00")
    untrue = desk.of("periodic_update")[1:]
    assert [event.occurrence for event in untrue] == ["warned", "breached"]
    desk.ticket("11:45", group="A")
    desk.ticket("09:30", received="12:00", comments=[comment("09:30", "agent")])
    assert [e.revises for e in desk.of("periodic_update") if e.revises] == [ce_id(event) for event in untrue]
    warned, breached = desk.of("periodic_update")[-2:]
    assert (warned.occurrence, breached.occurrence) == ("warned", "breached")
    assert breached.deadline == at("11:30")
    assert len(set(desk.out.ids)) == len(desk.out.ids)


def test_what_late_news_leaves_true_is_not_unsaid_in_place_of_what_it_does_not() -> None:
    """Two updates were missed, it was said; but the ticket had been closed before the second was promised."""
    desk = Desk(agreement(_UPDATES))
    desk.open("09:00")
    desk.ticket("12:00", comments=[comment("12:00", "agent")])
    desk.fire("14:00")
    said = desk.of("periodic_update")
    untrue = [event for event in said if event.generation == 2 and event.occurrence in ("warned", "breached")]
    assert [text(event.decided_for) for event in untrue] == ["13:45", "14:00"]
    desk.ticket("11:30", received="15:00", status="closed")
    assert [e.revises for e in desk.of("periodic_update") if e.revises] == [ce_id(event) for event in untrue]
    assert desk.last("periodic_update").occurrence == "met"


def test_a_clock_that_late_news_left_nothing_of_counts_from_then_on_as_if_it_had_never_been() -> None:
    """Closed before the group got it; so the time until it was reopened is no working time of the group's."""
    desk = Desk(
        agreement({"ola": {"clock": "underpinning", "when": {"group": ["b"]}, "goals": [{"seconds": HOUR}]}}),
    )
    desk.open("09:00")
    desk.ticket("12:00", group="b")
    desk.ticket("11:00", received="12:05", status="closed")
    assert desk.last("underpinning").occurrence == "cancelled"
    desk.ticket("14:00", status="open")
    assert pauses(desk.last("underpinning")) == [("12:00", "14:00")]
    assert desk.deadline("underpinning") == "15:00"
    desk.fire("14:30")
    assert [said for said, _ in desk.said("underpinning")] == ["started", "cancelled", "started"]


def test_a_newer_comment_is_not_answered_again_when_an_older_update_arrives_late() -> None:
    desk = Desk(agreement(_UPDATES))
    desk.open("09:00")
    answer = comment("10:30", "agent")
    desk.ticket("10:30", comments=[answer])
    desk.ticket("09:30", received="10:40", comments=[comment("09:30", "customer"), answer])
    assert desk.said("periodic_update") == [("started", "09:00"), ("met", "10:30"), ("started", "10:30")]


def test_a_comment_ahead_of_the_desk_s_time_counts_once() -> None:
    """The source's clock is an hour ahead: the answer of 10:00 came again with the question of 10:30, as its answer."""
    policies = {"n": {"clock": "next_response", "calendar": "nine_to_five", "goals": [{"seconds": HOUR}]}}
    desk = Desk(agreement(policies))
    desk.open("09:00")
    answer = comment("11:00", "agent")
    desk.ticket("10:00", comments=[answer])
    desk.ticket("10:30", comments=[answer, comment("10:30", "customer")])
    assert desk.said("next_response") == [("started", "10:30")]
    desk.restart()
    desk.ticket("11:10", comments=[answer, comment("10:30", "customer"), comment("11:10", "customer")])
    assert desk.said("next_response") == [("started", "10:30")]
    assert desk.deadline("next_response") == "11:30"


def test_an_older_goal_that_arrives_late_breaches_as_it_should_have() -> None:
    desk = Desk(agreement(_BY_PRIORITY))
    desk.ticket("09:00", status="open")
    desk.classify("09:00", "P3")
    desk.ticket("11:30", status="on_hold")
    desk.classify("09:00", "P1", ticket_version=1)  # read after what happened at 11:30
    assert [said for said, _ in desk.said()][2:] == ["started", "warned", "breached", "paused"]
    breach = desk.of()[-2]
    assert (text(breach.decided_for), breach.generation) == ("11:00", 2)


def test_a_stop_processed_after_the_deadline_breaches_first_at_its_instant() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00")
    desk.ticket("10:30", status="resolved")
    desk.fire("12:00")
    assert desk.said() == [("started", "09:00"), ("warned", "09:45"), ("breached", "10:00"), ("met", "10:30")]


def test_hours_past_midnight_belong_to_the_day_they_begin_on() -> None:
    desk = Desk(agreement({"r": resolution(5 * HOUR, "nights")}))
    desk.open("Fri 22:00")
    assert desk.deadline() == "Sat 03:00"
    desk.open("Mon+ 00:30", ticket="itsm:one:2")
    assert desk.deadline(ticket="itsm:one:2") == "Tue+ 03:00"


def test_transfer_offer_clock_is_of_the_group_that_was_offered() -> None:
    desk = Desk(agreement({}))
    desk.open("09:00")
    desk.transfer(
        "09:05",
        TransferOffered,
        transfer_id="t1",
        attempt=1,
        queue="partner_line",
        receiver="P",
        digest="d",
        acknowledge_seconds=900,
        decision=1,
    )
    desk.fire("09:20")
    clock = "transfer_acknowledgement:t1"
    assert desk.said(clock) == [("started", "09:05"), ("breached", "09:20")]
    assert (desk.last(clock).queue, desk.last(clock).transfer_id) == ("partner_line", "t1")


_NEXT_DAY = {
    "r": {
        "clock": "resolution",
        "calendar": "nine_to_five",
        "goals": [
            {"when": {"priority": ["P1"]}, "business_days": 0},
            {"when": {"priority": ["P3"]}, "business_days": 1},
            {"seconds": 40 * HOUR},
        ],
        "warn": [{"left_seconds": 900}, {"used_share": 0.5}],
    }
}


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("09:00", "Tue 17:00"),
        ("16:59:59", "Tue 17:00"),
        ("17:00", "Tue 17:00"),
        ("Fri 12:00", "Mon+ 17:00"),
        ("Sat 12:00", "Mon+ 17:00"),
    ],
)
def test_the_end_of_the_next_business_day_is_no_number_of_hours(opened: str, due: str) -> None:
    desk = Desk(agreement(_NEXT_DAY))
    desk.open(opened)
    assert desk.deadline() == due
    inputs = desk.last().inputs
    assert inputs is not None
    assert inputs.goal_business_days == 1
    desk.fire("Fri+ 17:00")
    assert desk.said()[-1] == ("breached", due)


def test_the_end_of_the_next_business_day_skips_a_holiday_and_follows_the_clocks() -> None:
    # The clocks of Berlin go forward on Sunday 29 March; Tuesday has hours of its own, Monday is off.
    berlin = {
        "zone": "Europe/Berlin",
        "hours": {d: [["09:00", "17:00"]] for d in ("mon", "tue", "wed", "thu", "fri")},
        "holidays": ["2026-03-30"],
        "special": {"2026-03-31": [["09:00", "12:00"]]},
    }
    desk = Desk(agreement({"r": {**_NEXT_DAY["r"], "calendar": "berlin"}}, berlin=berlin))
    desk.open("Fri+++ 10:00")
    assert desk.deadline() == "Tue++++ 10:00"  # noon in Berlin, in summer two hours ahead


def test_waiting_moves_the_end_of_a_business_day_by_the_working_time_waited() -> None:
    desk = Desk(agreement(_NEXT_DAY))
    desk.open("12:00")
    desk.ticket("16:00", status="pending_customer")
    desk.ticket("Tue 10:00", status="open")
    assert desk.deadline() == "Wed 11:00"


def test_a_goal_in_business_days_warns_as_any_other_and_counts_from_creation_when_it_changes() -> None:
    desk = Desk(agreement(_NEXT_DAY))
    desk.open("15:00")
    desk.fire("Tue 14:00")
    assert desk.said() == [("started", "15:00"), ("warned", "Tue 12:00")]  # 5 of the 10 hours to Tuesday's end
    desk.classify("Tue 15:00", "P1")
    assert (desk.deadline(), desk.last().generation) == ("17:00", 2)
    desk.fire("Tue 15:00")
    assert desk.said()[3:] == [("warned", "Tue 15:00"), ("warned", "Tue 15:00"), ("breached", "Tue 15:00")]
    desk.ticket("Tue 15:10", group="A")  # nothing of the goal changes by itself
    assert len(desk.said()) == 6


def test_a_clock_may_begin_with_a_status_of_its_own() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR, start_on=["open"])}))
    desk.open("09:00", status="new")
    assert desk.said() == []
    desk.ticket("10:00", status="open")
    desk.ticket("10:30", status="new")
    desk.ticket("10:45", status="open")
    assert desk.said() == [("started", "10:00")]
    assert desk.deadline() == "12:00"


def test_a_reopening_may_begin_the_clock_anew() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR, on_reopen="restart")}))
    desk.open("09:00")
    desk.ticket("10:30", status="resolved")
    desk.ticket("13:00", status="open")
    desk.ticket("13:30", status="on_hold")
    desk.ticket("14:00", status="open")
    assert [(event.occurrence, event.generation) for event in desk.of()] == [
        ("started", 1),
        ("met", 1),
        ("started", 2),
        ("paused", 2),
        ("resumed", 2),
    ]
    assert desk.deadline() == "15:30"


def test_a_status_may_cancel_a_clock_for_now() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR, pause_on=[], cancel_on=["pending_vendor", "merged"])}))
    desk.open("09:00")
    desk.ticket("10:00", status="pending_vendor")
    desk.ticket("13:00", status="open")
    assert [(event.occurrence, event.generation) for event in desk.of()] == [
        ("started", 1),
        ("cancelled", 1),
        ("started", 2),
    ]
    assert desk.deadline() == "14:00"


@pytest.mark.parametrize(
    ("when", "fields", "judged"),
    [
        ({"priority": ["P2"]}, {}, {"priority": "P2"}),
        ({"kind": ["service_request"]}, {}, {"kind": "service_request"}),
        ({"category": ["network"]}, {}, {"category": "network.vpn"}),
        ({"tier": [2]}, {}, {"tier": 2}),
        ({"flags_any": ["security"]}, {}, {"flags": ["security"]}),
        ({"customer": ["acme"]}, {"customer": "acme"}, {}),
        ({"vip": True}, {"requester": vip()}, {}),
        ({"group": ["network"]}, {"group": "network"}, {}),
        ({"service": ["mail"]}, {"service": "mail"}, {}),
        ({"channel": ["phone"]}, {"channel": "phone"}, {}),
        ({"language": ["de"]}, {"language": "de"}, {}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_goal_is_that_of_whatever_the_agreement_asks_for(
    when: dict[str, Any], fields: dict[str, Any], judged: dict[str, Any]
) -> None:
    goals = [{"when": when, "seconds": HOUR}, {"seconds": 4 * HOUR}]
    desk = Desk(agreement({"r": {"clock": "resolution", "calendar": "nine_to_five", "goals": goals}}))
    plain = {"priority": "P4", "category": None, **judged}
    desk.ticket("09:00", status="open", **fields)
    desk.classify("09:00", **plain)
    assert desk.deadline() == "10:00"
    desk.ticket("09:00", "itsm:one:2", status="open")
    desk.classify("09:00", "P4", "itsm:one:2", category=None)
    assert desk.deadline(ticket="itsm:one:2") == "13:00"


def test_a_goal_by_queue_follows_the_ticket_to_it() -> None:
    goals = [{"when": {"queue": ["partner_line"]}, "seconds": HOUR}, {"seconds": 4 * HOUR}]
    desk = Desk(agreement({"r": {"clock": "resolution", "calendar": "nine_to_five", "goals": goals}}))
    desk.open("09:00")
    desk.route("09:00", "first_line")
    assert desk.deadline() == "13:00"
    desk.transfer("09:30", TransferCompleted, transfer_id="t1", queue="partner_line", owner="P")
    assert (desk.deadline(), desk.last().generation) == ("10:00", 2)
