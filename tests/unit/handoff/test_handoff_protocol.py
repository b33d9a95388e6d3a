"""The protocol as stories: what was said by whom, who owns the ticket then, and what receivers were told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from msgspec.structs import replace

from ticket_contracts.transfers import (
    OfferClosed,
    OfferMade,
    OwnerChanged,
    TransferAccepted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_handoff.domain.course import TRANSITIONS
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import Story, at, faults, published


def sound(story: Story) -> None:
    assert faults(story.out.emitted, last_status=story.ledger.status) == []


# -- the first way of a ticket


def test_a_new_ticket_is_owned_by_intake_duty_from_its_first_instant() -> None:
    story = Story()
    story.seen(0)
    change = story.last(OwnerChanged)
    assert (change.kind, change.decided_for, change.previous) == ("intake_duty", at(0), None)
    assert change.owner in ("Ira", "Ian")


def test_the_first_way_of_a_ticket() -> None:
    story = Story().begun()
    offer = story.last(TransferOffered)
    assert (offer.queue, offer.decision, offer.acknowledge_seconds) == ("desk", 1, 900)
    assert offer.receiver in ("Ada", "Bea", "Cleo")
    assert story.owned_by() == ("intake_duty", None)

    answer = story.accept(5)

    assert (answer.status, answer.owner, answer.queue) == ("completed", offer.receiver, "desk")
    assert story.owned_by() == ("acknowledged", "desk")
    assert story.names() == ["OwnerChanged", "Requested", "Offered", "Accepted", "Completed", "OwnerChanged"]
    assert story.last(OwnerChanged).decided_for == at(5)
    assert story.last(OfferClosed).outcome == "assigned"
    sound(story)


def test_any_order_of_arrival_gives_the_same_events() -> None:
    """The topics are not ordered among each other: what counts is what was said, and for which instant."""
    tell: dict[str, Callable[[Story], object]] = {
        "seen": lambda story: story.seen(0),
        "judged": lambda story: story.judged(1),
        "routed": lambda story: story.routed(2),
        "stated": lambda story: story.stated(2, decision=1),
    }
    told = []
    for order in permutations(tell):
        story = Story()
        for name in order:
            tell[name](story)
        story.accept(5)
        # What handoff knew at each step is recorded, and does depend on what came first.
        steps = [replace(e, heard=[]) if isinstance(e, TransferEvent) else e for _, e in story.out.emitted]
        told.append([replace(e, classification_version=1) if isinstance(e, OwnerChanged) else e for e in steps])
        sound(story)
    assert len(told) == 24
    assert all(each == told[0] for each in told)


def test_the_receiver_is_drawn_and_the_draw_is_the_same_again() -> None:
    drawn = {Story(ticket=f"servicenow:prod:{n}").begun().last(TransferOffered).receiver for n in range(40)}
    assert drawn == {"Ada", "Bea", "Cleo"}
    again = [Story().begun().last(TransferOffered).receiver for _ in range(3)]
    assert len(set(again)) == 1


def test_a_ticket_first_seen_closed_is_owned_for_no_time_at_all() -> None:
    story = Story()
    story.seen(0, status="closed", lifecycle="ended")
    assert [(c.kind, c.decided_for) for c in story.all(OwnerChanged)] == [("intake_duty", at(0)), ("ended", at(0))]
    story.judged(1)
    story.routed(1)
    story.stated(1)
    assert story.all(TransferRequested) == []
    sound(story)


# -- declines, expiry, the end of the path


def test_a_decline_asks_the_router_for_the_next() -> None:
    story = Story().begun()
    story.decline(3, reason="we do not do laptops")
    declined, asked = story.last(TransferDeclined), story.last(TransferRequested)
    assert declined.reason == "we do not do laptops"
    assert (asked.attempt, asked.asks, asked.tried, asked.cause) == (2, True, ["desk"], "first")
    story.answered(3, "experts")
    story.accept(4)
    assert story.owned_by() == ("acknowledged", "experts")
    assert [c.outcome for c in story.all(OfferClosed)] == ["declined", "assigned"]
    assert [(t.queue, t.outcome, t.reason) for t in story.offer().package.tried] == [
        ("desk", "declined", "we do not do laptops")
    ]
    sound(story)


def test_an_expired_offer_goes_on_and_a_late_reply_is_told_so() -> None:
    story = Story().begun()
    first = story.offer()
    story.expired(15)
    assert story.last(TransferExpired).scope == "offer"
    with pytest.raises(Refused, match=r"attempt 1 to desk is over: it was expired") as refused:
        story.accept(16, transfer_id=first.transfer_id, digest=first.digest)
    assert (refused.value.kind, refused.value.status) == ("conflict", "requested")
    story.answered(15, "experts")
    story.accept(20)
    sound(story)


def test_of_reply_and_expiry_the_first_wins() -> None:
    story = Story().begun()
    transfer = story.offer().transfer_id
    story.accept(14)
    assert story.clock(15, "breached", f"transfer_acknowledgement:{transfer}", 1) == []
    assert story.owned_by() == ("acknowledged", "desk")
    sound(story)


def test_an_expiry_of_an_earlier_attempt_changes_nothing() -> None:
    story = Story().begun()
    transfer = story.offer().transfer_id
    story.decline(3)
    story.answered(3, "experts")
    assert story.clock(15, "breached", f"transfer_acknowledgement:{transfer}", 1) == []
    assert story.ledger.transfer is not None
    assert story.ledger.transfer.offer is not None


def test_the_last_step_is_acknowledged_by_the_desk_with_the_same_digest() -> None:
    story = Story().begun()
    story.expired(15)
    story.answered(15, "duty", final=True)
    accepted = story.last(TransferAccepted)
    assert (accepted.automatic, accepted.actor, accepted.digest) == (True, "Dora", story.offer().digest)
    assert story.last(OwnerChanged).kind == "automatic"
    assert story.owned_by() == ("automatic", "duty")
    sound(story)


@pytest.mark.parametrize("answered", [True, False])
def test_a_transfer_that_takes_too_long_ends_at_the_duty_owner(answered: bool) -> None:
    """With an offer open, and with a router that stays silent."""
    story = Story().begun()
    story.expired(15)
    if answered:
        story.answered(15, "experts")
    story.overdue(240)
    expired = story.last(TransferExpired)
    assert (expired.scope, expired.queue) == ("transfer", "experts" if answered else None)
    assert story.owned_by() == ("automatic", "duty")
    assert story.last(TransferOffered).decision == 0
    sound(story)


def test_a_router_that_answers_after_the_duty_owner_took_over_is_too_late() -> None:
    story = Story().begun()
    story.expired(15)
    transfer = story.ledger.transfer
    assert transfer is not None
    story.overdue(240)
    assert story.routed(241, "experts", purpose="transfer", transfer_id=transfer.id) == []
    sound(story)


# -- replies


def test_a_repeated_reply_is_acknowledged_again_and_counts_once() -> None:
    story = Story().begun()
    first = story.accept(5, reply_id="mine")
    steps = len(story.out.emitted)
    again = story.accept(6, reply_id="mine")
    assert (again.repeated, again.status, again.owner) == (True, first.status, first.owner)
    assert len(story.out.emitted) == steps


def test_a_reply_id_counts_for_one_reply_alone() -> None:
    story = Story().begun()
    story.decline(5, reply_id="mine")
    story.answered(5, "experts")
    with pytest.raises(Refused, match="was used before, for decline"):
        story.accept(6, reply_id="mine")


def test_another_reply_is_told_who_won() -> None:
    story = Story().begun()
    story.accept(5, actor="Ada")
    with pytest.raises(Refused, match=r"accepted by Ada .* owns it") as refused:
        story.accept(5, actor="Bea")
    assert (refused.value.kind, refused.value.status) == ("conflict", "completed")
    sound(story)


def test_an_outdated_digest_is_refused_with_the_newer_one() -> None:
    story = Story().begun()
    with pytest.raises(Refused, match="read the newer package") as refused:
        story.accept(5, digest="0" * 64)
    assert refused.value.digest == story.offer().digest
    with pytest.raises(Refused, match="read the newer package"):
        story.accept(5, digest=None)
    assert story.owned_by() == ("intake_duty", None)


def test_a_decline_says_why() -> None:
    story = Story().begun()
    with pytest.raises(Refused, match="needs a reason"):
        story.decline(5, reason="  ")


def test_another_principal_is_not_told_that_there_is_a_transfer() -> None:
    story = Story()
    story.seen(0)
    story.judged(0)
    story.routed(0, "night-desk")
    story.stated(0)
    for principal in ("otherwise", "internal"):
        with pytest.raises(Refused, match="there is no transfer") as refused:
            story.accept(5, principal)
        assert refused.value.kind == "unknown"
    story.accept(6, "nightwatch")
    assert story.owned_by() == ("acknowledged", "night-desk")
    with pytest.raises(Refused, match="there is no transfer"):
        story.accept(7, "otherwise")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"reply_id": ""}, "reply_id"),
        ({"reply_id": "x" * 300}, "reply_id"),
        ({"reason": "x" * 5_000_000}, "reason"),
        ({"actor": "x" * 300}, "actor"),
    ],
)
def test_a_reply_has_a_size(said: dict[str, str], reason: str) -> None:
    story = Story().begun()
    with pytest.raises(Refused, match=reason) as refused:
        story.decline(5, **said)
    assert refused.value.kind == "invalid"


def test_a_reply_to_an_earlier_attempt_is_refused() -> None:
    story = Story().begun()
    story.decline(3)
    story.answered(3, "experts")
    with pytest.raises(Refused, match="attempt 1 is over; attempt 2 is offered to experts"):
        story.accept(4, attempt=1)


# -- returns


def test_who_took_it_may_return_it_with_a_question() -> None:
    story = Story().owned(5, "night-desk", "nightwatch")
    story.reply(30, "return", "nightwatch", reason="Who has the spare laptops?", reply_id="back", actor="Nora")
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.asks, asked.requested_by, asked.reply_id) == ("return", True, "Nora", "back")
    assert asked.sender_queue == "night-desk"
    assert story.owned_by() == ("acknowledged", "night-desk")
    story.answered(30, "experts")
    assert story.offer().package.question == "Who has the spare laptops?"
    story.accept(35)
    assert story.owned_by() == ("acknowledged", "experts")
    with pytest.raises(Refused, match="by a later transfer"):
        story.reply(40, "return", "nightwatch", transfer_id=story.transfer_id(1), digest=None)
    sound(story)


def test_an_offer_is_declined_not_returned() -> None:
    story = Story().begun()
    with pytest.raises(Refused, match="accept or decline it"):
        story.reply(5, "return")


def test_what_is_on_its_way_already_is_not_returned_again() -> None:
    story = Story().owned()
    first = story.offer()
    story.reply(10, "return", reason="wrong desk")
    with pytest.raises(Refused, match="on its way already"):
        story.reply(11, "return", transfer_id=first.transfer_id, reason="really")


# -- people in the source


def test_people_who_assign_it_in_the_source_ask() -> None:
    story = Story().owned()
    story.seen(10, changed=["group"], group="Experts", assignee="Eve")
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.asks, asked.target_group, asked.sender_queue) == ("source", True, "Experts", "desk")
    story.answered(10, "experts")
    assert story.owned_by() == ("acknowledged", "desk")
    story.accept(12)
    assert story.owned_by() == ("acknowledged", "experts")
    sound(story)


def test_where_the_agreement_says_so_their_word_is_the_acknowledgement() -> None:
    story = Story(published(source_reassignment="acknowledges")).owned()
    story.seen(10, changed=["group"], group="Experts", assignee="Eve Miller")
    story.answered(10, "experts")
    accepted = story.last(TransferAccepted)
    assert (accepted.automatic, accepted.actor, accepted.digest) == (True, "Eve Miller", story.offer().digest)
    change = story.last(OwnerChanged)
    assert (change.owner, change.queue, change.kind, change.decided_for) == (
        "Eve Miller",
        "experts",
        "acknowledged",
        at(10),
    )
    sound(story)


def test_their_word_counts_for_the_queue_that_they_chose_alone() -> None:
    """The router could not send it there: the queue that it names instead is asked like any other."""
    story = Story(published(source_reassignment="acknowledges")).owned()
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "night-desk")
    assert story.owned_by() == ("acknowledged", "desk")
    story.accept(12, "nightwatch")
    assert story.owned_by() == ("acknowledged", "night-desk")


def test_a_reassignment_supersedes_an_open_offer() -> None:
    story = Story().begun()
    offered = story.offer()
    story.seen(3, changed=["group"], group="Experts")
    withdrawn = story.last(TransferWithdrawn)
    assert (withdrawn.transfer_id, withdrawn.queue) == (offered.transfer_id, "desk")
    assert story.last(OfferClosed).outcome == "withdrawn"
    assert story.last(TransferRequested).transfer_id == story.transfer_id(2)
    with pytest.raises(Refused, match="it was withdrawn"):
        story.accept(4)
    sound(story)


def test_a_reassignment_before_the_first_decision_is_not_undone_by_it() -> None:
    story = Story()
    story.seen(0)
    story.seen(1, changed=["group"], group="Experts")
    story.judged(1)
    story.routed(1, "desk")
    story.stated(1)
    assert story.all(TransferOffered) == []
    story.answered(1, "experts")
    story.accept(2)
    assert story.owned_by() == ("acknowledged", "experts")
    assert [r.cause for r in story.all(TransferRequested)] == ["source"]
    sound(story)


def test_a_first_decision_that_came_too_late_is_answered_by_a_withdrawal() -> None:
    """The router was silent for so long that the duty owner has the ticket: it must give up the place that it
    reserved."""
    story = Story()
    story.seen(0)
    story.seen(1, changed=["group"], group="Experts")
    story.judged(1)
    story.overdue(241)
    assert story.owned_by() == ("automatic", "duty")
    story.routed(242, "desk")
    withdrawn = story.last(TransferWithdrawn)
    assert (withdrawn.queue, withdrawn.reason) == ("desk", "Dora has it meanwhile")
    assert story.owned_by() == ("automatic", "duty")
    sound(story)


def test_an_answer_to_a_question_that_people_have_changed_since_is_not_taken() -> None:
    story = Story().owned()
    story.seen(10, changed=["group"], group="Experts")
    story.seen(11, changed=["group"], group="Elsewhere")
    assert story.routed(10, "experts", purpose="transfer", transfer_id=story.transfer_id(2)) == []
    story.answered(11, "night-desk")
    assert story.last(TransferOffered).queue == "night-desk"
    sound(story)


def test_a_reassignment_to_where_it_is_changes_nothing() -> None:
    story = Story().owned()
    story.seen(10, changed=["group"], group="Helpers")
    story.answered(10, "desk")
    assert story.last(TransferWithdrawn).reason == "it is in desk already"
    assert story.owned_by() == ("acknowledged", "desk")
    sound(story)


def test_without_a_group_people_ask_for_nothing() -> None:
    story = Story().owned()
    assert story.seen(10, changed=["group"], group=None) == []


# -- the router's own proposals


def test_a_queue_that_closes_hands_over() -> None:
    story = Story().owned()
    story.routed(30, "night-desk", purpose="reroute", current="desk", cause="queue_closing")
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.asks, asked.sender_queue) == ("queue_closing", False, "desk")
    assert story.last(TransferOffered).queue == "night-desk"
    story.accept(31, "nightwatch")
    sound(story)


def test_a_proposal_withdraws_an_offer_that_is_open_elsewhere() -> None:
    story = Story().begun()
    story.routed(3, "experts", purpose="reroute", current="desk")
    assert [type(e).__name__ for e in (story.last(TransferWithdrawn), story.last(TransferRequested))] == [
        "TransferWithdrawn",
        "TransferRequested",
    ]
    assert story.last(TransferOffered).queue == "experts"
    sound(story)


def test_a_proposal_before_the_clocks_were_stated_waits_for_them_too() -> None:
    story = Story()
    story.seen(0)
    story.judged(0)
    story.routed(0, "desk")
    story.routed(1, "experts", purpose="reroute", current="desk")
    assert story.all(TransferOffered) == []
    story.stated(0, decision=1)
    assert [o.queue for o in story.all(TransferOffered)] == ["experts"]
    assert story.last(TransferOffered).decided_for == at(1)
    sound(story)


def test_a_proposal_to_leave_a_queue_that_has_it_no_more_is_answered_by_a_withdrawal() -> None:
    """So that the router gives up the place that it reserved."""
    story = Story().owned()
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "experts")
    story.accept(11)
    story.routed(12, "night-desk", purpose="reroute", current="desk", cause="queue_closing")
    withdrawn = story.last(TransferWithdrawn)
    assert (withdrawn.queue, withdrawn.reason) == ("night-desk", "it left desk for experts meanwhile")
    assert story.owned_by() == ("acknowledged", "experts")
    sound(story)


def test_what_would_drain_back_stays_with_who_accepted_it_first() -> None:
    """The router proposed it before it heard of the acceptance: by whom it would leave, nobody of a queue yet."""
    story = Story().begun("night-desk")
    story.accept(2, "nightwatch")
    story.routed(3, "desk", purpose="reroute", cause="drained_back")
    withdrawn = story.last(TransferWithdrawn)
    assert (withdrawn.queue, withdrawn.reason) == ("desk", "Nils has it meanwhile")
    assert story.owned_by() == ("acknowledged", "night-desk")
    sound(story)


def test_what_drains_back_in_time_is_offered_at_home() -> None:
    story = Story().begun("night-desk")
    story.routed(3, "desk", purpose="reroute", cause="drained_back")
    assert story.last(TransferWithdrawn).reason == "the router sends it to desk instead"
    assert (story.last(TransferRequested).cause, story.last(TransferOffered).queue) == ("reroute", "desk")
    sound(story)


def test_a_proposal_while_the_router_is_being_asked_waits_for_the_answer() -> None:
    story = Story().owned()
    story.seen(10, changed=["group"], group="Experts")
    assert story.routed(10, "night-desk", purpose="reroute", current="desk", cause="queue_closing") == []
    story.answered(10, "experts")
    assert story.last(TransferOffered).queue == "experts"


def test_a_proposal_for_where_it_is_offered_already_changes_nothing() -> None:
    story = Story().begun()
    assert story.routed(1, "desk", purpose="reroute", current="desk") == []


# -- clocks


def test_a_warning_opens_a_transfer_where_the_agreement_says_so() -> None:
    story = Story(published(pre_breach={"queue": ["desk"], "priority": ["P1"]})).owned()
    story.clock(180, "warned", "resolution", threshold_seconds=900)
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.asks, asked.decided_for) == ("pre_breach", True, at(180))
    assert story.clock(190, "warned", "resolution", threshold_seconds=300) == []
    story.answered(180, "experts")
    story.accept(185)
    assert story.clock(195, "warned", "resolution", threshold_seconds=60) == [], "once for each generation of the clock"
    sound(story)


@pytest.mark.parametrize("condition", [None, {"queue": ["experts"]}, {"priority": ["P4"]}])
def test_a_warning_opens_no_transfer_where_the_agreement_does_not(condition: dict[str, list[str]] | None) -> None:
    story = Story(published(pre_breach=condition)).owned()
    assert story.clock(180, "warned", "resolution", threshold_seconds=900) == []


def test_a_warning_leaves_an_open_transfer_alone() -> None:
    story = Story(published(pre_breach={})).begun()
    assert story.clock(180, "warned", "resolution", threshold_seconds=900) == []


# -- the end, and again


def test_an_end_withdraws_what_is_open() -> None:
    story = Story().begun()
    story.seen(10, status="closed", lifecycle="ended")
    assert story.names()[-2:] == ["Withdrawn", "OwnerChanged"]
    assert story.owned_by() == (None, None)
    with pytest.raises(Refused, match="it was withdrawn"):
        story.accept(11)
    sound(story)


def test_a_reopened_ticket_is_intake_dutys_and_is_decided_on_anew() -> None:
    story = Story().owned()
    story.seen(60, status="resolved")
    story.seen(90, status="open", lifecycle="reopened")
    assert story.owned_by() == ("intake_duty", None)
    story.routed(90, "desk", cause="reopened")
    assert story.all(TransferRequested)[-1].cause == "reopened"
    assert len(story.all(TransferOffered)) == 1, "the clocks of the new decision were not stated yet"
    story.stated(90)
    story.accept(95)
    assert story.owned_by() == ("acknowledged", "desk")
    sound(story)


def test_a_decision_from_before_the_reopening_does_not_count() -> None:
    story = Story()
    story.seen(0)
    story.seen(10, status="closed", lifecycle="ended")
    story.seen(20, status="open", lifecycle="reopened")
    story.judged(0)
    assert story.routed(5, "desk", ticket_version=1) == []
    assert story.ledger.episode == 2
    story.routed(20, "desk", cause="reopened")
    story.stated(20)
    story.accept(21)
    sound(story)


def test_a_decision_about_the_reopened_ticket_may_arrive_before_the_reopening() -> None:
    story = Story().owned()
    story.seen(60, status="closed", lifecycle="ended")
    assert story.routed(90, "desk", cause="reopened", ticket_version=3) == []
    story.stated(90)
    story.seen(90, status="open", lifecycle="reopened")
    assert story.last(TransferOffered).decided_for == at(90)
    story.accept(95)
    sound(story)


def test_an_update_of_an_ended_ticket_changes_nothing() -> None:
    story = Story().owned()
    story.seen(60, status="closed", lifecycle="ended")
    assert story.seen(70, status="closed", changed=["text"]) == []


def test_an_older_version_is_ignored() -> None:
    story = Story().owned()
    story.seen(10)
    before = story.ledger
    story._version = 0
    assert story.seen(0, status="closed", lifecycle="ended") == []
    assert story.ledger == before


def test_nothing_is_decided_for_an_instant_before_the_newest_step() -> None:
    story = Story().owned(minutes=30)
    story.seen(20, status="closed", lifecycle="ended")
    assert story.last(OwnerChanged).decided_for == at(30)
    sound(story)


# -- the agreement


def test_every_step_names_the_agreement_of_its_instant() -> None:
    old, new = published(), published(effective_at=at(10), acknowledge_seconds={"default": 60})
    story = Story(old, new).begun()
    story.decline(9)
    story.answered(11, "experts")
    assert [e.agreement_version for e in story.all(TransferRequested)] == [old.version, old.version]
    offered = story.last(TransferOffered)
    assert (offered.agreement_version, offered.acknowledge_seconds) == (new.version, 60)


def test_the_table_has_two_ends_and_no_other_way_out() -> None:
    assert set(TRANSITIONS.values()) == {"requested", "offered", "completed", "withdrawn"}
    assert {before for before, _ in TRANSITIONS} == {"requested", "offered"}


def test_offers_carry_what_they_announce() -> None:
    story = Story().begun()
    offer, step = story.offer(), story.last(TransferOffered)
    assert (offer.digest, offer.queue, offer.attempt, offer.receiver) == (
        step.digest,
        step.queue,
        step.attempt,
        step.receiver,
    )
    assert isinstance(offer, OfferMade)
    assert offer.acknowledge_by == at(15)
