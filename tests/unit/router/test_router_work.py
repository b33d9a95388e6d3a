"""The task: joins in any order, answers, load reserved and given back, timers, state that comes back as it was."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest

from ticket_contracts.agreement import Published
from ticket_contracts.cloudevents import Event
from ticket_contracts.routing import TicketDispatched, TicketRouted
from ticket_contracts.tickets import Requester, TicketDuplicate
from ticket_contracts.transfers import TransferDeclined, TransferExpired, TransferWithdrawn
from ticket_router.domain.again import differences
from ticket_router.domain.policy import Policies
from ticket_router.handlers import RouterWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison
from ticket_runtime.testing import FakeOutputs
from unit.router.router_desk import (
    ALL_DAYS,
    MONDAY,
    TICKET,
    agreement,
    classified,
    completed,
    hours,
    minutes,
    normalized,
    published,
    record,
    requested,
    utc,
)

ROUND_THE_CLOCK: dict[str, Any] = {
    "calendars": {"always": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
    "partners": {"nightwatch": {"calendar": "always"}},
}


class Story:
    """One task that is told events; remembers all it decided."""

    def __init__(self, *versions: Published, **changes: Any) -> None:
        self.agreements = Agreements(versions or (published(agreement(**changes)),))
        self.version = self.agreements.in_force(MONDAY).version
        self.work = RouterWork(self.agreements)
        self.out = FakeOutputs()
        self.decided: list[TicketRouted] = []
        self.notices: list[tuple[str, TicketDispatched]] = []

    def tell(self, *events: Event) -> list[TicketRouted]:
        for event in events:
            if getattr(event, "agreement_version", None) == "":
                event = msgspec.structs.replace(event, agreement_version=self.version)
            self.work.handle(record(event), self.out)
        return self._new()

    def pass_time(self, now: datetime) -> list[TicketRouted]:
        self.work.fire(now, self.out)
        return self._new()

    def _new(self) -> list[TicketRouted]:
        new = [event for _, event in self.out.emitted if isinstance(event, TicketRouted)]
        self.notices += [(topic, event) for topic, event in self.out.emitted if isinstance(event, TicketDispatched)]
        self.out.emitted.clear()
        self.decided += new
        return new

    def restored(self) -> RouterWork:
        again = RouterWork(self.agreements)
        for key, value in self.out.state.items():
            again.restore(key, value)
        return again

    @property
    def loads(self) -> dict[str, int]:
        return self.work.loads.loads

    def owned_by(self, queue: str, at: datetime = MONDAY, ticket: str = TICKET) -> None:
        """From nothing to an owner in the queue that the rules name."""
        (first,) = self.tell(normalized(at=at, ticket=ticket), classified(at=at, ticket=ticket))
        assert first.queue == queue
        self.tell(requested(1, at, "t1", ticket), completed(2, at, "t1", queue, ticket))


def step(kind: type[Any], sequence: int, at: datetime, transfer: str, queue: str | None, **more: Any) -> Event:
    event: Event = kind(
        ticket=TICKET,
        decided_for=at,
        sequence=sequence,
        agreement_version="",
        ticket_version=1,
        classification_version=1,
        transfer_id=transfer,
        attempt=1,
        queue=queue,
        **more,
    )
    return event


def declined(sequence: int, at: datetime, transfer: str, queue: str) -> Event:
    return step(TransferDeclined, sequence, at, transfer, queue, actor="Ada", reason="no", reply_id="r")


def expired(sequence: int, at: datetime, transfer: str, queue: str) -> Event:
    return step(TransferExpired, sequence, at, transfer, queue, scope="offer")


def withdrawn(sequence: int, at: datetime, transfer: str, queue: str | None) -> Event:
    return step(TransferWithdrawn, sequence, at, transfer, queue, reason="superseded")


def test_both_halves_in_any_order_make_one_decision() -> None:
    later = MONDAY + minutes(3)
    for order in permutations([normalized(), normalized(2, later, title="still dark"), classified()]):
        story = Story()
        decisions = story.tell(*order)
        assert len(decisions) == 1, order
        assert (decisions[0].queue, decisions[0].purpose) == ("desk", "first")
        assert decisions[0].ticket_version in (1, 2)
        assert decisions[0].decided_for == (later if decisions[0].ticket_version == 2 else MONDAY)
        assert story.loads == {"desk": 1}


def test_older_versions_and_duplicates_change_nothing() -> None:
    story = Story()
    story.tell(normalized(2), classified(2))
    before = story.work.snapshot()
    duplicate = TicketDuplicate(ticket=TICKET, decided_for=MONDAY, ticket_version=2, delivery="d", reason="no_change")
    assert story.tell(normalized(1, customer="other"), classified(1, tier=2), duplicate) == []
    assert story.work.snapshot() == before


def test_a_classification_that_belongs_elsewhere_is_proposed_and_one_that_does_not_is_not() -> None:
    story = Story()
    story.owned_by("desk")
    assert story.tell(classified(2, priority="P2")) == []
    (proposal,) = story.tell(classified(3, tier=2))
    assert (proposal.purpose, proposal.queue, proposal.inputs.cause) == ("reroute", "specialists", "reroute")
    assert (proposal.inputs.current, proposal.classification_version) == ("desk", 3)
    assert story.loads == {"desk": 1, "specialists": 1}, "it holds both until somebody acknowledges"
    story.tell(requested(3, MONDAY, "t2", cause="reroute"), completed(4, MONDAY, "t2", "specialists"))
    assert story.loads == {"specialists": 1}


def test_an_escalated_ticket_is_not_sent_back_for_a_correction() -> None:
    story = Story(**ROUND_THE_CLOCK)
    story.owned_by("desk")
    (answer,) = story.tell(requested(3, MONDAY, "t2", cause="escalation", asks=True, sender_queue="desk"))
    assert (answer.purpose, answer.transfer_id, answer.queue) == ("transfer", "t2", "night-desk")
    story.tell(completed(4, MONDAY, "t2", "night-desk"))
    assert story.tell(classified(2, priority="P2")) == [], "the same rule: nothing to say"
    (proposal,) = story.tell(classified(3, flags=["security"]))
    assert proposal.queue == "desk", "a flag that the contract keeps inside calls it back"


def test_facts_of_the_ticket_lead_to_a_proposal_too() -> None:
    inside = {**ROUND_THE_CLOCK, "partners": {"nightwatch": {"calendar": "always", "customers": ["acme"]}}}
    story = Story(**inside)
    night = utc("2026-03-02T20:00:00")
    story.tell(normalized(at=night, customer="acme"), classified(at=night))
    assert story.decided[-1].queue == "night-desk"
    (proposal,) = story.tell(normalized(2, night, customer="zeta"))
    assert proposal.queue == "duty"
    assert proposal.final


def test_declined_and_expired_offers_give_their_place_back() -> None:
    story = Story(**ROUND_THE_CLOCK)
    story.tell(normalized(), classified(), requested(1, MONDAY, "t1"))
    assert story.loads == {"desk": 1}
    story.tell(declined(2, MONDAY, "t1", "desk"))
    assert story.loads == {}
    (answer,) = story.tell(requested(3, MONDAY, "t1", attempt=2, asks=True, tried=["desk"], cause="first"))
    assert (answer.queue, answer.inputs.tried, story.loads) == ("night-desk", ["desk"], {"night-desk": 1})
    story.tell(expired(4, MONDAY, "t1", "night-desk"))
    assert story.loads == {}
    (end,) = story.tell(requested(5, MONDAY, "t1", attempt=3, asks=True, tried=["desk", "night-desk"]))
    assert (end.queue, end.final, end.owner_role) == ("duty", True, "duty")
    story.tell(completed(6, MONDAY, "t1", "duty"))
    assert story.loads == {"duty": 1}


def test_a_withdrawal_of_an_older_transfer_leaves_the_newer_place_alone() -> None:
    story = Story()
    story.tell(normalized(), classified(), requested(1, MONDAY, "t1"))
    (proposal,) = story.tell(classified(2, tier=2))
    assert proposal.queue == "specialists"
    assert story.loads == {"specialists": 1}, "the newer decision takes the older one's place"
    story.tell(withdrawn(2, MONDAY, "t1", "desk"))
    assert story.loads == {"specialists": 1}
    story.tell(requested(3, MONDAY, "t2", cause="reroute"), withdrawn(4, MONDAY, "t2", None))
    assert story.loads == {}


def test_the_end_gives_everything_back_and_a_reopening_begins_anew() -> None:
    story = Story()
    story.owned_by("desk")
    assert story.tell(normalized(2, status="closed", lifecycle="ended")) == []
    assert story.loads == {}
    assert not [key for key in story.out.state if key.startswith(b"v:")], "no text is kept of what has ended"
    assert story.tell(requested(3, MONDAY, "t2", asks=True)) == [], "nobody needs a queue for it"
    (again,) = story.tell(normalized(3, status="open", lifecycle="reopened"))
    assert (again.purpose, again.queue, again.rule) == ("first", "desk", "protocol:reopened")
    assert (again.decision, again.inputs.cause) == (2, "reopened")
    assert story.loads == {"desk": 1}


def test_a_reopened_ticket_whose_queue_is_closed_goes_by_the_rules() -> None:
    story = Story()
    story.owned_by("desk")
    night = utc("2026-03-02T20:00:00")
    story.tell(normalized(2, status="resolved"))
    (again,) = story.tell(normalized(3, night, status="open", lifecycle="reopened"))
    assert (again.queue, again.rule, again.purpose) == ("night-desk", "by-night", "first")


def test_a_question_that_comes_before_the_classification_is_answered_after_it() -> None:
    story = Story()
    ask = requested(1, MONDAY, "t1", cause="source", asks=True, target_group="Experts")
    assert story.tell(normalized(), ask) == []
    first, answer = story.tell(classified())
    assert (first.purpose, answer.purpose, answer.transfer_id) == ("first", "transfer", "t1")
    assert (answer.queue, answer.rule) == ("specialists", "protocol:source_group")
    assert story.loads == {"specialists": 1}


def test_a_closing_queue_proposes_its_tickets_with_time_left_and_the_rest_at_the_closing() -> None:
    closing = {**ROUND_THE_CLOCK, "queues": {"desk": {"close_lead_minutes": 30}}}
    story = Story(**closing)
    story.owned_by("desk")
    assert story.work.next_due() == utc("2026-03-02T16:30:00")
    assert story.pass_time(utc("2026-03-02T16:29:59")) == []
    (proposal,) = story.pass_time(utc("2026-03-02T16:40:00"))
    assert (proposal.queue, proposal.inputs.cause) == ("night-desk", "queue_closing")
    assert proposal.decided_for == utc("2026-03-02T16:30:00"), "the due instant, not the moment of firing"
    assert proposal.inputs.closes_at == utc("2026-03-02T17:00:00")
    assert story.work.next_due() is None

    alone = Story(queues={"desk": {"close_lead_minutes": 30}})
    alone.tell(normalized(), classified(category="access"))
    alone.tell(requested(1, MONDAY, "t1"), completed(2, MONDAY, "t1", "desk"))
    assert alone.pass_time(utc("2026-03-02T16:59:59")) == [], "nobody may have it by night: it stays while it can"
    (end,) = alone.pass_time(utc("2026-03-02T17:00:00"))
    assert end.inputs.closes_at == utc("2026-03-02T17:00:00"), "of this closing, though it is closed now"
    assert (end.queue, end.final) == ("duty", True)


def test_a_ticket_of_the_duty_goes_home_when_somebody_opens() -> None:
    story = Story()
    sunday = utc("2026-03-08T12:00:00")
    (end,) = story.tell(normalized(at=sunday), classified(at=sunday))
    assert (end.queue, end.final) == ("duty", True)
    story.tell(requested(1, sunday, "t1"), completed(2, sunday, "t1", "duty"))
    (home,) = story.pass_time(utc("2026-03-08T15:00:00"))
    assert (home.queue, home.purpose, home.decided_for) == ("night-desk", "reroute", utc("2026-03-08T15:00:00"))


def test_a_resolved_ticket_stays_in_a_closing_queue() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"desk": {"close_lead_minutes": 30}}})
    story.owned_by("desk")
    story.tell(normalized(2, status="resolved"))
    assert story.pass_time(utc("2026-03-03T09:00:00")) == []


def test_the_partner_is_told_what_its_contract_names_and_people_inside_all() -> None:
    story = Story(**ROUND_THE_CLOCK)
    night = utc("2026-03-02T20:00:00")
    secret = Requester(name="Grace", address="grace@example.org")
    for at, number in ((night, 1), (MONDAY + timedelta(days=1), 2)):
        ticket = f"servicenow:main:INC{number}"
        story.tell(normalized(at=at, ticket=ticket, requester=secret), classified(at=at, ticket=ticket))
    (outside, notice), (inside, full) = story.notices
    assert (outside, inside) == ("queues.night-desk", "queues.desk")
    assert set(msgspec.to_builtins(notice.view)) == {"title", "text", "category", "priority", "language"}
    assert full.view.requester == secret
    assert (notice.decision, notice.queue, notice.priority) == (1, "night-desk", "P3")


def test_caps_count_reservations_by_the_partners_day() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "partners": {"nightwatch": {"calendar": "always", "caps": {"daily": 2}}}})
    before_midnight, after = utc("2026-03-07T15:59:00"), utc("2026-03-07T16:00:00")  # Saturday, Manila's midnight

    def route(number: int, at: datetime) -> str:
        ticket = f"servicenow:main:INC{number}"
        return story.tell(normalized(at=at, ticket=ticket), classified(at=at, ticket=ticket))[0].queue

    assert [route(n, before_midnight) for n in range(3)] == ["night-desk", "night-desk", "duty"]
    assert [route(n, after) for n in range(3, 6)] == ["night-desk", "night-desk", "duty"]
    assert story.work.loads.days == {("nightwatch", "2026-03-07"): 2, ("nightwatch", "2026-03-08"): 2}
    assert story.work.loads.taken("nightwatch", "2026-03-08") == (2, 4)


def test_a_new_agreement_holds_from_its_instant() -> None:
    old, new = agreement(), agreement(queues={"desk": {"enabled": False}}, **ROUND_THE_CLOCK)
    story = Story(published(old), published(new, MONDAY + minutes(5)))
    (before,) = story.tell(normalized(), classified())
    (after,) = story.tell(
        normalized(at=MONDAY + minutes(5), ticket="servicenow:main:INC2"),
        classified(at=MONDAY + minutes(5), ticket="servicenow:main:INC2"),
    )
    assert (before.queue, after.queue) == ("desk", "night-desk")
    assert before.agreement_version != after.agreement_version


@pytest.mark.parametrize(
    "broken",
    [
        {"value": b"{"},
        {"value": None},
        {"value": b'{"ticket": 7}'},
        {"headers": {}},
        {"headers": {"ce_type": b"relaydesk.ticket.normalized.v9"}},
        {"key": b"servicenow:main:OTHER"},
        {"key": None},
    ],
    ids=["not JSON", "no value", "wrong types", "no type", "a future type", "another key", "no key"],
)
def test_what_cannot_be_read_is_poison_and_leaves_no_trace(broken: dict[str, Any]) -> None:
    story = Story()
    before = story.work.snapshot()
    with pytest.raises(Poison):
        story.work.handle(record(normalized(), **broken), story.out)
    assert story.work.snapshot() == before
    assert story.out.stored == []


def play(story: Story, seed: int, steps: int) -> None:
    """A random history: tickets come, change, are offered, declined, moved, end and come back; time passes."""
    chance = random.Random(seed)
    at = MONDAY
    sequence: dict[str, int] = {}
    versions: dict[str, list[int]] = {}
    open_transfers: dict[str, tuple[str, str]] = {}  # ticket -> (transfer, queue offered)
    transfers = 0

    def number(ticket: str) -> int:
        sequence[ticket] = sequence.get(ticket, 0) + 1
        return sequence[ticket]

    def tell(event: Event) -> None:
        nonlocal transfers
        for decision in story.tell(event):
            if decision.purpose != "transfer":
                transfers += 1
                open_transfers[decision.ticket] = (f"t{transfers}", decision.queue)
                cause = "first" if decision.purpose == "first" else "reroute"
                story.tell(requested(number(decision.ticket), at, f"t{transfers}", decision.ticket, cause=cause))
            else:
                assert decision.transfer_id is not None
                open_transfers[decision.ticket] = (decision.transfer_id, decision.queue)

    for _ in range(steps):
        at += timedelta(seconds=chance.randrange(1, 900))
        for decision in story.pass_time(at):
            transfers += 1
            open_transfers[decision.ticket] = (f"t{transfers}", decision.queue)
            story.tell(requested(number(decision.ticket), at, f"t{transfers}", decision.ticket, cause="reroute"))
        ticket = f"servicenow:main:INC{chance.randrange(25)}"
        seen = versions.setdefault(ticket, [0, 0])
        match chance.randrange(8):
            case 0 | 1:
                seen[0] += 1
                status, lifecycle = chance.choice(
                    [("open", "updated"), ("open", "reopened"), ("resolved", "updated"), ("closed", "ended")]
                )
                tell(
                    normalized(
                        seen[0], at, ticket, status=status, lifecycle=lifecycle, language=chance.choice(["en", "fr"])
                    )
                )
            case 2 | 3:
                seen[1] += 1
                tell(
                    classified(
                        seen[1],
                        at,
                        ticket,
                        tier=chance.choice([1, 1, 1, 2]),
                        category=chance.choice(["laptop", "access"]),
                    )
                )
            case 4 | 5 if ticket in open_transfers:
                transfer, queue = open_transfers.pop(ticket)
                tell(completed(number(ticket), at, transfer, queue, ticket))
            case 6 if ticket in open_transfers:
                transfer, queue = open_transfers[ticket]
                event = chance.choice([declined, expired])(number(ticket), at, transfer, queue)
                tell(msgspec.structs.replace(event, ticket=ticket))
                tell(requested(number(ticket), at, transfer, ticket, asks=True, attempt=2, tried=[queue]))
            case 7 if ticket in open_transfers:
                transfer, queue = open_transfers.pop(ticket)
                tell(msgspec.structs.replace(withdrawn(number(ticket), at, transfer, queue), ticket=ticket))
            case _:
                pass


BUSY: dict[str, Any] = {
    **ROUND_THE_CLOCK,
    "partners": {"nightwatch": {"calendar": "always", "caps": {"daily": 6, "concurrent": 4}}},
    "queues": {"desk": {"close_lead_minutes": 30, "capacity": 6, "overflow": {"above": 4, "below": 2}}},
}


@pytest.mark.parametrize("seed", range(12))
def test_state_comes_back_exactly_and_every_decision_is_made_again_from_its_record(seed: int) -> None:
    story = Story(**BUSY)
    play(story, seed, 400)
    assert len(story.decided) > 40
    assert story.restored().snapshot() == story.work.snapshot()
    policy = Policies().of(story.agreements.in_force(MONDAY))
    assert [found for event in story.decided if (found := differences(event, policy))] == []
    assert {e.queue for e in story.decided} >= {"desk", "night-desk", "specialists", "duty"}, (
        "the history is a busy one"
    )
    instants: dict[str, datetime] = {}
    for event in story.decided:
        assert instants.get(event.ticket, event.decided_for) <= event.decided_for
        instants[event.ticket] = event.decided_for


@pytest.mark.parametrize("seed", range(4))
def test_loads_and_reservations_equal_a_recount_of_the_decisions(seed: int) -> None:
    story = Story(**BUSY)
    play(story, seed, 400)
    held: dict[str, int] = {}
    for state in story.work._tickets.values():
        for queue in {state.at, state.pending.queue if state.pending else None} - {None}:
            assert queue is not None
            held[queue] = held.get(queue, 0) + 1
    assert story.loads == held
    assert all(count > 0 for count in story.loads.values())
    given: dict[tuple[str, str], int] = {}
    for event in story.decided:
        if event.support_model == "partner":
            day = (event.decided_for + timedelta(hours=8)).date().isoformat()  # Manila has no summer time
            given["nightwatch", day] = given.get(("nightwatch", day), 0) + 1
    assert story.work.loads.days == given


def test_two_tasks_told_the_same_say_the_same() -> None:
    one, two = Story(**BUSY), Story(**BUSY)
    for story in (one, two):
        play(story, 7, 300)
    assert msgspec.json.encode(one.decided) == msgspec.json.encode(two.decided)


def test_room_goes_to_the_oldest_of_the_highest_priority_that_waits_at_the_duty() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"night-desk": {"capacity": 1}}})
    night = utc("2026-03-02T20:00:00")
    order = [("INC1", "P4"), ("INC2", "P3"), ("INC3", "P2"), ("INC4", "P2")]
    for number, (name, priority) in enumerate(order):
        ticket, at = f"servicenow:main:{name}", night + minutes(number)
        (first,) = story.tell(
            normalized(at=at, ticket=ticket, created_at=at), classified(at=at, ticket=ticket, priority=priority)
        )
        assert first.queue == ("night-desk" if name == "INC1" else "duty")
        story.tell(requested(1, at, name, ticket), completed(2, at, name, first.queue, ticket))
    later = night + minutes(30)
    (proposal,) = story.tell(normalized(2, later, "servicenow:main:INC1", status="closed"))
    assert (proposal.ticket, proposal.queue) == ("servicenow:main:INC3", "night-desk")
    assert (proposal.purpose, proposal.decided_for) == ("reroute", later)
    assert story.restored().snapshot() == story.work.snapshot()
    assert story.tell(normalized(2, later, "servicenow:main:INC2", status="open")) == [], "one place, one ticket"


def test_room_that_came_while_a_ticket_went_to_the_duty_is_seen_when_it_arrives() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"night-desk": {"capacity": 1}}})
    night, other = utc("2026-03-02T20:00:00"), "servicenow:main:INC2"
    story.tell(normalized(at=night), classified(at=night))
    (end,) = story.tell(normalized(at=night, ticket=other), classified(at=night, ticket=other))
    assert end.final
    assert story.tell(normalized(2, night, status="deleted")) == [], "it is on its way to the duty"
    (home,) = story.tell(requested(1, night, "t1", other), completed(2, night, "t1", "duty", other))
    assert (home.ticket, home.queue) == (other, "night-desk")


def test_the_end_of_an_older_transfer_gives_no_newer_place_back() -> None:
    story = Story()
    story.owned_by("desk")
    story.tell(requested(3, MONDAY, "t2", cause="escalation", asks=True, sender_queue="specialists"))
    assert story.decided[-1].queue == "desk"
    story.tell(normalized(2, lifecycle="reopened", status="open"))
    assert story.loads == {"desk": 1}
    story.tell(withdrawn(4, MONDAY, "t2", "desk"))
    assert story.loads == {"desk": 1}, "the place is the reopened ticket's"


def test_a_ticket_takes_no_second_place_from_the_partner_that_has_it() -> None:
    once = {
        "partners": {"nightwatch": {"calendar": "always", "caps": {"concurrent": 1}}},
        "queues": {
            "night-experts": {
                "title": "Night experts",
                "support_model": "partner",
                "tier": 2,
                "owner_role": "night",
                "partner": "nightwatch",
            }
        },
        "routing": {"rules": [{"name": "outside", "to": ["night-desk", "night-experts"]}]},
    }
    story = Story(**{**ROUND_THE_CLOCK, **once})
    story.owned_by("night-desk")
    (answer,) = story.tell(requested(3, MONDAY, "t2", cause="escalation", asks=True, sender_queue="night-desk"))
    assert answer.queue == "night-experts"
    (other,) = story.tell(normalized(ticket="servicenow:main:INC2"), classified(ticket="servicenow:main:INC2"))
    assert (other.queue, other.final) == ("duty", True), "another ticket is one too many"


def test_what_fell_due_before_an_event_is_said_before_it() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"desk": {"close_lead_minutes": 30}}})
    story.owned_by("desk")
    late = utc("2026-03-02T16:45:00")
    (proposal,) = story.tell(normalized(2, late, title="Still dark"))
    assert (proposal.decided_for, proposal.queue) == (utc("2026-03-02T16:30:00"), "night-desk")
    assert story.pass_time(late) == [], "and not twice"


def test_days_that_no_cap_asks_about_are_forgotten() -> None:
    story = Story(**ROUND_THE_CLOCK)
    for number, day in enumerate(["2026-03-02", "2026-03-03", "2026-05-20"]):
        at, ticket = utc(f"{day}T10:00:00").replace(hour=20), f"servicenow:main:INC{number}"
        story.tell(normalized(at=at, ticket=ticket), classified(at=at, ticket=ticket))
    assert set(story.work.loads.days) == {("nightwatch", "2026-05-21")}
    assert [key for key in story.out.state if key.startswith(b"c:")] == [b"c:nightwatch|2026-05-21"]
    assert story.restored().snapshot() == story.work.snapshot()


def test_following_the_sun_is_no_ping_pong() -> None:
    story = Story(**{**ROUND_THE_CLOCK, "queues": {"desk": {"close_lead_minutes": 30}}})
    story.owned_by("desk")
    evening = utc("2026-03-02T16:30:00")
    story.pass_time(evening)
    story.tell(requested(3, evening, "t2", cause="queue_closing"), completed(4, evening, "t2", "night-desk"))
    morning = utc("2026-03-03T08:00:00")
    (back,) = story.tell(requested(5, morning, "t3", cause="escalation", asks=True, sender_queue="night-desk"))
    assert (back.queue, back.inputs.history) == ("desk", ["night-desk"])
