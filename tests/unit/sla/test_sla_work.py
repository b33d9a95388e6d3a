"""The work of a task: joins in any order, what is stated, the clocks of transfers, restarts, lateness, bad input."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sla_monitor import handlers
from sla_monitor.domain.clocks import recomputed
from ticket_contracts.cloudevents import Event, ce_id, encode
from ticket_contracts.transfers import (
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison
from unit.sla.sla_desk import (
    EIGHT_TO_SIX,
    HOUR,
    TICKET,
    Desk,
    agreement,
    as_json,
    at,
    published,
    record_of,
    resolution,
    text,
)

ACK = "transfer_acknowledgement:t1"
WHOLE = "transfer:t1"


# -- what is stated


def test_a_routed_ticket_is_told_which_clocks_run() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR), "f": {"clock": "first_response", "goals": [{"seconds": HOUR}]}}))
    desk.open("08:00")
    desk.route("10:00")
    stated = desk.last("*")
    assert (stated.occurrence, stated.generation, stated.sequence) == ("stated", 0, 1)
    assert stated.decided_for == at("10:00")
    assert [(c.clock, c.elapsed_seconds, c.goal_seconds, c.running) for c in stated.running] == [
        ("first_response", 2 * HOUR, HOUR, True),
        ("resolution", HOUR, 2 * HOUR, True),
    ]


def test_that_no_clock_runs_is_stated_too() -> None:
    desk = Desk(agreement({}))
    desk.open("09:00")
    desk.route("09:00")
    assert desk.last("*").running == []


def test_a_first_decision_after_a_reopening_is_stated_again_and_other_purposes_are_not() -> None:
    desk = Desk(agreement({}))
    desk.open("09:00")
    desk.route("09:00")
    desk.route("09:10", "second_line", purpose="reroute")
    desk.route("09:20", "second_line", purpose="first")
    assert [event.sequence for event in desk.of("*")] == [1, 3]


# -- any order of arrival


def _in_some_order() -> tuple[Desk, list[Event]]:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    heard: list[Event] = []
    desk.feed = heard.append  # type: ignore[method-assign, assignment]  # fed later
    desk.open("09:00")
    desk.route("09:00")
    desk.ticket("09:30", status="on_hold")
    return desk, heard


_ORDERS = [order for order in itertools.permutations(range(4)) if order.index(0) < order.index(3)]
"""Versions of one ticket are on one topic, in order."""


@pytest.mark.parametrize("order", _ORDERS)
def test_whatever_topic_comes_first_the_clocks_are_the_same(order: tuple[int, ...]) -> None:
    desk, heard = _in_some_order()
    for number in order:
        desk.work.handle(record_of(heard[number]), desk.out)
    desk.fire("Fri 09:00")
    assert desk.said() == [("started", "09:00"), ("paused", "09:30")]
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert ticket.clocks[0].pauses == [int(at("09:30").timestamp())]
    assert len(desk.of("*")) == 1


def test_an_older_version_is_ignored() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    older = desk.ticket("09:30", status="on_hold")
    desk.ticket("09:45", status="open")
    state = desk.work.ticket(TICKET)
    desk.work.handle(record_of(older), desk.out)
    assert desk.work.ticket(TICKET) == state


def test_what_others_write_on_these_topics_is_left_alone() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    before = len(desk.out.events)
    record = record_of(desk.ticket("09:10"))
    desk.work.handle(msgspec.structs.replace(record, headers={"ce_type": b"relaydesk.ticket.duplicate.v1"}), desk.out)
    assert len(desk.out.events) == before


def test_a_value_of_another_form_is_poison_and_changes_nothing() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    state, said = desk.work.ticket(TICKET), len(desk.out.events)
    record = record_of(desk.ticket("09:10", status="on_hold"))
    state, said = desk.work.ticket(TICKET), len(desk.out.events)
    for value in (b"{", b'{"ticket": 7}', None):
        with pytest.raises(Poison):
            desk.work.handle(msgspec.structs.replace(record, value=value), desk.out)
    assert (desk.work.ticket(TICKET), len(desk.out.events)) == (state, said)


# -- where a clock begins


def test_a_clock_counts_from_the_source_s_creation() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.ticket("10:00", status="open", created_at=at("09:30"))
    desk.classify("10:00")
    assert desk.deadline() == "11:30"


@pytest.mark.parametrize("created", ["Tue 09:00", None, "1970"])
def test_a_creation_that_cannot_be_is_not_believed(created: str | None) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) if created == "1970" else at(created) if created else None
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.ticket("10:00", status="open", created_at=instant)
    desk.classify("10:00")
    assert desk.deadline() == "12:00"


def test_what_was_due_before_the_desk_knew_the_ticket_is_due_when_it_does() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.ticket("12:00", status="open", created_at=at("09:00"))
    desk.classify("12:00")
    desk.fire("12:00")
    assert desk.said() == [("started", "12:00"), ("warned", "12:00"), ("breached", "12:00")]
    assert desk.deadline() == "10:00"


def test_a_stop_known_together_with_a_missed_deadline_comes_after_the_breach() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.ticket("09:00", received="12:00", status="open")
    desk.classify("12:00")
    desk.ticket("10:30", received="12:00:10", status="resolved")
    assert desk.said() == [("started", "12:00"), ("warned", "12:00"), ("breached", "12:00"), ("met", "12:00:10")]


# -- the clocks of transfers


def offer(desk: Desk, when: str, attempt: int = 1, seconds: int = 900, queue: str = "first_line") -> None:
    desk.transfer(
        when,
        TransferOffered,
        transfer_id="t1",
        attempt=attempt,
        queue=queue,
        receiver="R",
        digest="d",
        acknowledge_seconds=seconds,
        decision=attempt,
    )


def request(desk: Desk, when: str, attempt: int = 1) -> None:
    desk.transfer(
        when, TransferRequested, transfer_id="t1", cause="first", attempt=attempt, asks=False, tried=[], sender="duty"
    )


def accept(desk: Desk, when: str, attempt: int = 1) -> None:
    desk.transfer(
        when,
        TransferAccepted,
        transfer_id="t1",
        attempt=attempt,
        queue="first_line",
        digest="d",
        actor="R",
        automatic=False,
    )


def test_an_offer_acknowledged_in_time_says_no_breach() -> None:
    desk = Desk(agreement({}))
    request(desk, "09:00")
    offer(desk, "09:00")
    accept(desk, "09:10")
    desk.transfer("09:10", TransferCompleted, transfer_id="t1", queue="first_line", owner="R")
    desk.fire("Fri 09:00")
    assert desk.said(ACK) == [("started", "09:00"), ("met", "09:10")]
    assert desk.said(WHOLE) == [("started", "09:00"), ("met", "09:10")]
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert ticket.transfers == []


def test_each_attempt_is_a_generation_of_the_offer_s_clock() -> None:
    desk = Desk(agreement({}))
    request(desk, "09:00")
    offer(desk, "09:00")
    desk.fire("09:15")
    desk.transfer("09:15", TransferExpired, transfer_id="t1", attempt=1, queue="first_line", scope="offer")
    request(desk, "09:15", attempt=2)
    offer(desk, "09:15", attempt=2, queue="second_line")
    desk.transfer(
        "09:20", TransferDeclined, transfer_id="t1", attempt=2, queue="second_line", actor="S", reason="", reply_id="r"
    )
    assert [(event.occurrence, event.generation, event.queue) for event in desk.of(ACK)] == [
        ("started", 1, "first_line"),
        ("breached", 1, "first_line"),
        ("started", 2, "second_line"),
        ("met", 2, "second_line"),
    ]
    assert [said for said, _ in desk.said(WHOLE)] == ["started"]


def test_the_whole_transfer_has_its_own_end_from_the_first_request() -> None:
    desk = Desk(agreement({}, transfers={"total_seconds": 3600}))
    request(desk, "09:00")
    request(desk, "09:30", attempt=2)
    desk.fire("10:00")
    assert desk.said(WHOLE) == [("started", "09:00"), ("breached", "10:00")]
    assert desk.last(WHOLE).transfer_id == "t1"
    desk.transfer("10:00", TransferExpired, transfer_id="t1", attempt=2, queue=None, scope="transfer")
    desk.transfer("10:00", TransferCompleted, transfer_id="t1", queue="first_line", owner="duty")
    assert desk.said(WHOLE)[-1] == ("met", "10:00")


def test_a_withdrawn_transfer_s_clocks_are_cancelled() -> None:
    desk = Desk(agreement({}))
    request(desk, "09:00")
    offer(desk, "09:00")
    desk.transfer("09:05", TransferWithdrawn, transfer_id="t1", attempt=1, queue="first_line", reason="closed")
    desk.fire("Fri 09:00")
    assert desk.said(ACK) == [("started", "09:00"), ("cancelled", "09:05")]
    assert desk.said(WHOLE) == [("started", "09:00"), ("cancelled", "09:05")]


def test_an_acknowledgement_at_the_last_moment_unsays_the_breach_that_overtook_it() -> None:
    desk = Desk(agreement({}))
    offer(desk, "09:00")
    desk.fire("09:15:02")
    breach = desk.last(ACK)
    accept(desk, "09:14:59.5")
    revised, met = desk.of(ACK)[-2:]
    assert (breach.occurrence, revised.occurrence, met.occurrence) == ("breached", "revised", "met")
    assert revised.revises == ce_id(breach)


def test_a_receiver_is_never_a_fraction_of_a_second_short() -> None:
    desk = Desk(agreement({}))
    offer(desk, "09:00:00.4")
    assert desk.deadline(ACK) == "09:15:01"


def test_transfers_and_tickets_fall_due_in_the_order_of_their_instants() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00")
    offer(desk, "09:50")
    desk.fire("12:00")
    assert [(event.clock, event.occurrence, text(event.decided_for)) for event in desk.out.events[2:]] == [
        ("resolution", "warned", "09:45"),
        ("resolution", "breached", "10:00"),
        (ACK, "breached", "10:05"),
    ] or [(event.clock, event.occurrence, text(event.decided_for)) for event in desk.out.events] == [
        ("resolution", "started", "09:00"),
        ("resolution", "warned", "09:45"),
        (ACK, "started", "09:50"),
        ("resolution", "breached", "10:00"),
        (ACK, "breached", "10:05"),
    ]


# -- restarts, lateness, steps


def test_after_a_restart_nothing_is_missing_and_nothing_said_again() -> None:
    through, never = (Desk(agreement({"r": resolution(2 * HOUR)})) for _ in range(2))
    for desk in (through, never):
        desk.open("09:00")
        offer(desk, "09:00")
        desk.fire("10:45")
        if desk is through:
            desk.restart()
        desk.ticket("10:50", status="on_hold")
        desk.ticket("11:50", status="open")
        if desk is through:
            desk.restart()
        desk.fire("Fri 09:00")
    assert as_json(through.out.events) == as_json(never.out.events)
    assert through.out.stored == never.out.stored


def test_the_next_due_instant_is_exact() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    assert desk.work.next_due() is None
    desk.open("09:00")
    assert desk.work.next_due() == at("10:45")
    desk.fire("10:45")
    assert desk.work.next_due() == at("11:00")
    desk.ticket("10:50", status="on_hold")
    assert desk.work.next_due() is None


def test_what_is_said_does_not_depend_on_the_grain_of_the_steps() -> None:
    said = []
    for grain in (1, 7, 60, 1440):
        desk = Desk(agreement({"r": resolution(50 * 60, warn=[{"left_seconds": 900}, {"used_share": 0.5}])}))
        for number in range(40):
            desk.open(f"09:{number:02}", ticket=f"itsm:one:{number}")
        for minute in range(0, 24 * 60, grain):
            desk.work.fire(at("09:00") + timedelta(minutes=minute), desk.out)
        desk.work.fire(at("Fri 00:00"), desk.out)
        said.append(sorted(map(str, as_json(desk.out.events))))
    assert said[0] == said[1] == said[2] == said[3]


def test_on_the_wall_clock_what_is_said_more_than_a_second_after_it_was_due_is_late() -> None:
    present = at("09:00")
    desk = Desk(agreement({"r": resolution(HOUR)}), present=lambda: present)
    desk.open("09:00")
    present = at("09:45:01")
    desk.fire("09:45:01")
    present = at("10:00:02")
    desk.fire("10:00:02")
    assert [(event.occurrence, event.late) for event in desk.of()] == [
        ("started", False),
        ("warned", False),
        ("breached", True),
    ]


def test_on_the_wall_clock_a_breach_found_by_a_stop_is_late() -> None:
    present = at("09:00")
    desk = Desk(agreement({"r": resolution(HOUR)}), present=lambda: present)
    desk.open("09:00")
    present = at("12:00")
    desk.ticket("10:30", received="12:00", status="resolved")
    assert [(event.occurrence, event.late) for event in desk.of()[1:]] == [
        ("warned", True),
        ("breached", True),
        ("met", False),
    ]


def test_in_a_replay_nothing_is_late() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00")
    desk.fire("Fri 09:00")
    assert [event.late for event in desk.of()] == [False, False, False]


def test_a_long_history_is_settled_and_the_clock_goes_on_as_if_it_were_not() -> None:
    desk = Desk(agreement({"r": resolution(7 * HOUR)}))
    desk.open("09:00")
    for minute in range(1, 300, 2):
        desk.ticket(f"{9 + minute // 60}:{minute % 60}", status="on_hold")
        desk.ticket(f"{9 + (minute + 1) // 60}:{(minute + 1) % 60}", status="open")
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert ticket.base is not None
    assert len(ticket.history) <= 96
    # 150 of the 300 minutes waited.
    assert desk.deadline() == "Tue 10:30"
    assert recomputed(TICKET, ticket, desk.work.book).clocks["resolution"].pauses == ticket.clocks[0].pauses


# -- a new agreement


def test_a_new_agreement_is_something_due() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR, on_change="recalculate")}))
    desk.open("09:00")
    assert desk.work.next_due() == at("16:45")
    desk.agreements.publish(agreement({"r": resolution(4 * HOUR, on_change="recalculate")}), at("10:30"))
    assert desk.work.next_due() == at("10:30")
    desk.fire("10:30")
    assert desk.deadline() == "13:00"
    assert desk.work.next_due() == at("12:45")


def test_each_of_two_agreements_is_followed_at_its_own_instant_also_after_a_restart() -> None:
    desk = Desk(agreement({"r": resolution(8 * HOUR, on_change="recalculate")}))
    desk.open("09:00")
    desk.restart()
    desk.agreements.publish(agreement({"r": resolution(4 * HOUR, on_change="recalculate")}), at("10:30"))
    desk.agreements.publish(agreement({"r": resolution(6 * HOUR, on_change="recalculate")}), at("11:30"))
    desk.fire("12:00")
    assert desk.said() == [("started", "09:00"), ("started", "10:30"), ("started", "11:30")]
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert list(recomputed(TICKET, ticket, desk.work.book).clocks.values()) == ticket.clocks


def test_many_tickets_follow_an_agreement_some_at_a_time_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to a ticket that is still behind, falls due on it or is asked of it, brings it up first."""

    def told(at_once: int, *, restart: bool = False) -> list[bytes]:
        monkeypatch.setattr(handlers, "_BROUGHT_UP_AT_ONCE", at_once)
        desk = Desk(agreement({"r": resolution(8 * HOUR, on_change="recalculate")}))
        names = [f"itsm:one:{number}" for number in range(9)]
        for name in names:
            desk.open("09:00", ticket=name)
        desk.agreements.publish(agreement({"r": resolution(2 * HOUR, on_change="recalculate")}), at("10:30"))
        desk.agreements.publish(agreement({"r": resolution(3 * HOUR, on_change="recalculate")}), at("10:40"))
        desk.fire("10:35")
        desk.ticket("10:36", names[0], status="on_hold")
        desk.ticket("10:36", names[8], status="on_hold")
        desk.classify("10:37", "P1", names[7])
        if restart:
            desk.restart()
        desk.fire("11:50")
        for _ in range(30):
            desk.fire("11:50")
        desk.ticket("11:55", names[8], status="open")
        desk.fire("16:00")
        assert {desk.last(ticket=name).agreement_version for name in names} == {desk.agreements.every()[2].version}
        assert desk.work.next_due() is None
        assert all(event.occurrence != "revised" for event in desk.out.events)
        return sorted(encode(event) for event in desk.out.events)

    whole = told(1_000)
    assert told(1) == told(2) == told(1, restart=True) == whole


def test_a_part_that_says_nothing_is_progress_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a replay would take the desk for one that stands still."""
    monkeypatch.setattr(handlers, "_BROUGHT_UP_AT_ONCE", 1)
    content = {"r": resolution(8 * HOUR, on_change="recalculate")}
    desk = Desk(agreement(content))
    for number in range(3):
        desk.open("09:00", ticket=f"itsm:one:{number}")
    desk.agreements.publish(agreement(content, weekends=EIGHT_TO_SIX), at("10:30"))
    for _ in range(3):
        assert desk.work.next_due() == at("10:30")
        desk.out.stored.clear()
        desk.fire("10:30")
        assert desk.out.stored
    assert desk.work.next_due() == at("16:45")


def test_the_runtime_s_agreements_name_the_version_that_follows() -> None:
    first = published(agreement({}), at("09:00"))
    second = published(agreement({"r": resolution(HOUR)}), at("12:00"))
    known = Agreements([first])
    assert known.following(at("08:00")) is None
    known.add(second)
    assert known.following(at("08:00")) is second
    assert known.following(at("11:59")) is second
    assert known.following(at("12:00")) is None
