"""The context package: complete for who is inside, cut to its contract for a partner, never offered with a gap."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.routing import TicketView
from ticket_contracts.transfers import (
    ContextPackage,
    OfferMade,
    TransferAccepted,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import Story, at, classified, faults, published, running, started


def test_inside_the_package_has_everything() -> None:
    package = Story().begun().offer().package
    assert package.view.title == "Laptop does not start"
    assert package.view.comments is not None
    assert package.view.comments[0].text == "Help"
    assert (package.view.priority, package.view.flags) == ("P1", ["vip"])
    assert package.classification["rule"] == "words"
    assert (package.articles, package.article_titles) == (["KB1"], {"KB1": "Laptops that do not start"})
    assert package.links == ["https://itsm.example.com/INC1"]
    assert package.sender in ("Ira", "Ian")
    assert package.question


def test_the_digest_is_that_of_the_package_that_was_published() -> None:
    offer = Story().begun().offer()
    read_back = msgspec.json.decode(encode(offer), type=OfferMade)
    assert sha256(encode(read_back.package)).hexdigest() == offer.digest
    assert len(offer.digest) == 64


def at_the_partner(**transfers: Any) -> Story:
    story = Story(published(**transfers))
    story.seen(0)
    story.judged(0)
    story.routed(0, "night-desk")
    story.stated(0, running(at(240)))
    return story


def test_a_partner_sees_what_its_contract_names_and_nothing_else() -> None:
    package = at_the_partner().offer().package
    shown = {name for name in TicketView.__struct_fields__ if getattr(package.view, name) is not None}
    assert shown == {"title", "text", "status", "category", "priority"}
    assert set(package.classification) == {"category", "priority"}
    assert (package.articles, package.article_titles, package.links) == ([], {}, [])
    assert package.sender == "Company"
    said = encode(package).decode()
    for hidden in ("Rosa", "rosa@example.com", "itsm.example.com", "KB1", "Ira", "Ian", "Help"):
        assert hidden not in said


def test_a_partner_does_not_see_what_others_tried() -> None:
    story = Story().begun()
    story.decline(3, reason="Ask Bea, she knows")
    story.answered(3, "night-desk")
    assert story.offer().package.tried == []
    story.decline(4, "nightwatch", reason="no spare parts")
    story.answered(4, "night-desk")
    assert [(t.queue, t.reason) for t in story.offer().package.tried] == [("night-desk", "no spare parts")]
    story.decline(5, "nightwatch")
    story.answered(5, "experts")
    assert [t.queue for t in story.offer().package.tried] == ["desk", "night-desk", "night-desk"]


def test_every_part_of_a_package_is_thought_of_for_partners() -> None:
    """A part that is added to the package must be cut for partners as well: then this test is to be extended."""
    assert set(ContextPackage.__struct_fields__) == {
        *("ticket", "transfer_id", "attempt", "as_of", "cause", "queue", "question"),  # said to any receiver
        *("view", "classification"),  # by the allow-list
        *("sender", "tried", "articles", "article_titles", "links", "steps"),  # inside only, or its own
        "clocks",  # numbers of the ticket's own clocks
    }


# -- clocks


def test_the_clocks_are_those_of_the_offers_instant() -> None:
    story = Story()
    story.seen(0)
    story.judged(0)
    story.clock(0, "started", "resolution", **started(at(240)))
    story.routed(0)
    story.stated(0, running(at(240)))
    assert [(c.clock, c.elapsed_seconds, c.running) for c in story.offer().package.clocks] == [("resolution", 0, True)]
    story.decline(30)
    story.answered(30, "experts")
    clock = story.offer().package.clocks[0]
    assert (clock.elapsed_seconds, clock.goal_seconds, clock.deadline) == (1_800, 14_400, at(240))


def test_a_clock_counts_in_its_own_calendar() -> None:
    """The office closes at 18:00: of an hour from 17:30 on, half counts."""
    story = Story()
    story.seen(510)
    story.judged(510)
    story.routed(510)
    deadline = at(510) + timedelta(hours=15, minutes=30)
    story.stated(510, running(deadline, goal=5_400))
    story.decline(570)
    story.answered(570, "experts")
    assert story.offer().package.clocks[0].elapsed_seconds == 1_800


def test_a_paused_clock_stands_still_and_one_that_was_met_is_gone() -> None:
    story = Story().begun()
    story.clock(0, "started", "resolution", **started(at(240)))
    story.clock(0, "started", "first_response", **started(at(60), goal=3_600))
    story.clock(20, "paused", "resolution", sequence=2)
    story.clock(25, "met", "first_response", sequence=2)
    story.decline(30)
    story.answered(30, "experts")
    clocks = story.offer().package.clocks
    assert [(c.clock, c.elapsed_seconds, c.running, c.deadline) for c in clocks] == [("resolution", 1_200, False, None)]


def test_an_overdue_clock_shows_by_how_much() -> None:
    story = Story().begun()
    story.clock(0, "started", "resolution", **started(at(10), goal=600))
    story.clock(10, "breached", "resolution", deadline=at(10), inputs=started(at(10), goal=600)["inputs"], sequence=2)
    story.decline(15)
    story.answered(15, "experts")
    assert story.offer().package.clocks[0].elapsed_seconds == 900


# -- required parts


def test_what_the_desk_must_move_with_a_gap_goes_to_the_duty_owner() -> None:
    story = Story(published(required={"default": ["view", "articles", "clocks"]})).begun()
    withdrawn, offered = story.last(TransferWithdrawn), story.last(TransferOffered)
    assert (withdrawn.queue, withdrawn.reason) == ("desk", "the package lacks clocks: the duty owner gets it")
    assert (offered.queue, offered.incomplete) == ("duty", ["clocks"])
    assert story.last(TransferRequested).tried == ["desk"]
    assert story.last(TransferAccepted).automatic
    assert story.owned_by() == ("automatic", "duty")
    assert [offer.queue for offer in story.all(OfferMade)] == ["duty"], "never offered with the gap to anybody else"
    assert faults(story.out.emitted) == []


def test_people_are_told_what_is_missing_and_keep_the_ticket() -> None:
    story = Story(published(required={"default": ["view"], "source": ["view", "question"]})).owned()
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "experts")
    withdrawn = story.last(TransferWithdrawn)
    assert withdrawn.reason == "the package lacks question: add it and it is asked for again"
    assert story.owned_by() == ("acknowledged", "desk")
    assert faults(story.out.emitted) == []


def test_a_part_that_the_contract_hides_is_a_gap_for_that_partner() -> None:
    story = at_the_partner(required={"default": ["view", "articles"]})
    assert story.last(TransferOffered).queue == "duty"
    assert story.last(TransferOffered).incomplete == []


# -- text stays where it can be erased


def test_the_ledger_holds_no_text_of_the_ticket() -> None:
    story = Story().begun()
    state = msgspec.json.encode(story.ledger).decode()
    for text in ("Laptop does not start", "It only blinks", "Rosa", "Help", "rosa@example.com"):
        assert text not in state


def test_refusals_hold_no_text_of_the_ticket() -> None:
    story = Story().begun()
    for said in ({"digest": "0"}, {"attempt": 7}, {"transfer_id": "nowhere"}):
        with pytest.raises(Refused) as refused:
            story.accept(5, **said)
        assert "Laptop" not in refused.value.reason


def test_a_newer_classification_reaches_the_next_package() -> None:
    story = Story().begun()
    story.decline(3)
    newer = msgspec.structs.replace(classified(story.agreement, version=2, when=at(3)), articles=["KB9"])
    story.publish(topics.CLASSIFIED, newer)
    story.answered(4, "experts", classification_version=2)
    assert story.offer().package.articles == ["KB9"]
