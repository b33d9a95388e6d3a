"""Simulated people answer an offer the same way in every replay, and as often as their habit says."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from audit_history import a_true_history
from relaydesk_replay.driver import Driver
from relaydesk_replay.people import Habit, People
from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.ids import event_id
from ticket_contracts.transfers import OfferMade

OFFER = msgspec.json.decode(a_true_history().rows[topics.offers("first")][0].data, type=OfferMade)


def _people(habit: Habit, seed: int = 1) -> People:
    return People({"*": Habit(), "first": habit}, {"first": "owls"}, seed)


def _offers(count: int) -> list[OfferMade]:
    return [msgspec.structs.replace(OFFER, transfer_id=event_id("t", n)) for n in range(count)]


def test_an_answer_repeats_the_digest_and_comes_within_the_habit() -> None:
    answer = _people(Habit(after=60, until=120)).answer(OFFER)
    assert answer is not None
    assert (answer.principal, answer.reply.action, answer.reply.digest) == ("owls", "accept", OFFER.digest)
    assert 60 <= (answer.at - OFFER.decided_for).total_seconds() <= 120
    assert answer.then is None


def test_the_same_offer_gets_the_same_answer() -> None:
    assert _people(Habit(declines=0.5)).answer(OFFER) == _people(Habit(declines=0.5)).answer(OFFER)


def test_habits_are_kept_over_many_offers() -> None:
    people = _people(Habit(declines=0.3, silent=0.2))
    answers = [people.answer(offer) for offer in _offers(2_000)]
    silent = sum(answer is None for answer in answers)
    declined = sum(answer is not None and answer.reply.action == "decline" for answer in answers)
    assert 330 < silent < 470
    assert 520 < declined < 680
    assert all(answer.reply.reason for answer in answers if answer and answer.reply.action == "decline")


def test_a_share_of_what_was_accepted_is_passed_on_with_a_question() -> None:
    people = _people(Habit(after=60, until=120, declines=0.2, escalates=0.35))
    answers = [answer for offer in _offers(2_000) if (answer := people.answer(offer)) is not None]
    accepted = [answer for answer in answers if answer.reply.action == "accept"]
    passed_on = [answer for answer in answers if answer.then is not None]
    assert 0.31 * len(accepted) < len(passed_on) < 0.39 * len(accepted)
    for answer in passed_on:
        assert answer.then is not None
        assert answer.reply.action == "accept"
        assert (answer.then.reply.action, answer.then.reply.ticket) == ("escalate", OFFER.ticket)
        assert answer.then.reply.reason
        assert 60 <= (answer.then.at - answer.at).total_seconds() <= 120


def test_who_is_not_named_answers_by_the_star() -> None:
    answer = _people(Habit(silent=1.0)).answer(msgspec.structs.replace(OFFER, queue="second"))
    assert answer is not None
    assert answer.principal == "internal"


def test_whoever_has_not_answered_yet_reads_the_newest_package_and_answers_when_they_would_have() -> None:
    driver = Driver("", "", [], 1, _people(Habit()), grain=timedelta(minutes=15))
    renewed = msgspec.structs.replace(OFFER, revision=2, digest="f" * 64, decided_for=OFFER.decided_for + timedelta(1))
    driver._hear(OFFER.TYPE.encode(), encode(OFFER))
    (planned,) = driver._replies
    driver._hear(OFFER.TYPE.encode(), encode(renewed))
    assert driver._replies == [planned]
    assert driver._unanswered == {(OFFER.transfer_id, OFFER.attempt): renewed.digest}
    driver._unanswered.clear()  # it is sent, of the package before, and refused
    driver._hear(OFFER.TYPE.encode(), encode(renewed))
    again = max(driver._replies)
    assert (again[2].reply.digest, again[2].reply.reply_id == planned[2].reply.reply_id) == (renewed.digest, False)
