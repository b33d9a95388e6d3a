"""A contract that comes to allow less: what is open is taken back and offered again; the record says what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.transfers import OfferMade, TransferOffered, TransferRequested, TransferWithdrawn
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import Story, at, content, faults, published


def narrowed(minutes: float, *fields: str, **transfers: Any) -> Published:
    """A version in force from then on, under which Nightwatch sees these fields."""
    said = content(**transfers)
    said["partners"]["nightwatch"]["fields"] = list(fields)
    made = Agreement.model_validate(said)
    return Published(version=digest(made), effective_at=at(minutes), approvals=[], agreement=made)


def offered_outside(*versions: Published) -> Story:
    story = Story(published(), *versions)
    story.seen(0)
    story.judged(0)
    story.routed(0, "night-desk")
    story.stated(0)
    return story


def fire(story: Story, minutes: float) -> None:
    story.work.fire(at(minutes), story.out)


def test_an_open_offer_is_taken_back_when_the_contract_narrows_and_offered_again() -> None:
    story = offered_outside(narrowed(10, "title", "priority"))
    first = story.offer()
    assert story.work.next_due() == at(10)
    fire(story, 9)
    assert story.last(TransferOffered).transfer_id == first.transfer_id
    fire(story, 20)
    withdrawn, asked = story.last(TransferWithdrawn), story.last(TransferRequested)
    assert (withdrawn.decided_for, withdrawn.exposed) == (at(10), ["category", "status", "text"])
    assert "cannot be unread" in withdrawn.reason
    assert (asked.cause, asked.asks) == ("first", True)
    assert story.work.next_due() is None
    story.answered(20, "night-desk")
    second = story.offer()
    assert second.package.view.title is not None
    assert (second.package.view.text, second.digest != first.digest) == (None, True)
    assert faults(story.out.emitted) == []


def test_an_acknowledgement_of_the_older_package_is_refused_with_the_newer() -> None:
    story = offered_outside(narrowed(10, "title", "priority"))
    first = story.offer()
    fire(story, 10)
    story.answered(11, "night-desk")
    with pytest.raises(Refused) as caught:
        story.accept(12, "nightwatch", transfer_id=first.transfer_id, digest=first.digest)
    second = story.offer()
    assert (caught.value.newer, caught.value.digest, caught.value.status) == (
        second.transfer_id,
        second.digest,
        "offered",
    )
    story.accept(13, "nightwatch")
    assert story.owned_by() == ("acknowledged", "night-desk")


def test_nothing_is_acknowledged_between_the_change_and_the_withdrawal() -> None:
    story = offered_outside(narrowed(10, "title"))
    with pytest.raises(Refused, match="no longer allows"):
        story.accept(11, "nightwatch")
    assert story.owned_by()[0] == "intake_duty"


@pytest.mark.parametrize(
    "fields",
    [("title", "text", "category", "priority", "status"), (*content()["partners"]["nightwatch"]["fields"], "url")],
)
def test_a_contract_that_allows_as_much_or_more_changes_nothing(fields: tuple[str, ...]) -> None:
    story = offered_outside(narrowed(10, *fields))
    fire(story, 20)
    assert story.all(TransferWithdrawn) == []
    story.accept(21, "nightwatch")


def test_what_is_offered_inside_or_owned_stays() -> None:
    inside = Story(published(), narrowed(10, "title")).begun()
    owned = offered_outside(narrowed(10, "title"))
    owned.accept(5, "nightwatch")
    for story in (inside, owned):
        before = len(story.out.emitted)
        fire(story, 20)
        assert len(story.out.emitted) == before


def without_the_night_desk(minutes: float) -> Published:
    """A version in force from then on, in which Nightwatch has its contract and no queue."""
    said = content()
    del said["queues"]["night-desk"]
    made = Agreement.model_validate(said)
    return Published(version=digest(made), effective_at=at(minutes), approvals=[], agreement=made)


def test_an_offer_to_a_queue_that_the_agreement_no_longer_has_is_taken_back() -> None:
    story = offered_outside(without_the_night_desk(10))
    fire(story, 20)
    withdrawn, asked = story.last(TransferWithdrawn), story.last(TransferRequested)
    assert (withdrawn.decided_for, asked.asks) == (at(10), True)
    assert withdrawn.exposed == ["category", "priority", "status", "text", "title"]
    story.answered(21, "desk")
    story.accept(22)
    assert story.owned_by() == ("acknowledged", "desk")
    assert faults(story.out.emitted) == []


def test_what_changes_before_that_is_not_told_to_a_queue_without_a_contract() -> None:
    story = offered_outside(without_the_night_desk(10))
    before = story.offer()
    story.seen(15, title="Another one")
    assert story.offer() == before


def test_nothing_is_offered_to_a_queue_that_is_gone_by_then() -> None:
    story = Story(published(), without_the_night_desk(10))
    story.seen(0)
    story.judged(0)
    story.routed(0, "night-desk")
    story.stated(11)
    assert story.all(OfferMade) == [], "a whole package, in a topic that a partner reads"
    assert (story.last(TransferWithdrawn).queue, story.last(TransferRequested).asks) == ("night-desk", True)
    story.answered(12, "desk")
    story.accept(13)
    assert story.owned_by() == ("acknowledged", "desk")
    assert faults(story.out.emitted) == []


def test_a_contract_that_narrows_twice_is_followed_twice() -> None:
    story = offered_outside(narrowed(10, "title", "text", "priority"), narrowed(20, "title", "priority"))
    fire(story, 10)
    story.answered(11, "night-desk")
    fire(story, 30)
    story.answered(30, "night-desk")
    assert [withdrawn.exposed for withdrawn in story.all(TransferWithdrawn)] == [
        ["category", "status"],
        ["text"],
    ]
    assert len(story.all(OfferMade)) == 3
