"""What becomes known of a ticket while it is under offer: its receiver acknowledges that, or nothing."""

from __future__ import annotations

import pytest

from ticket_contracts import topics
from ticket_contracts.tickets import Comment
from ticket_contracts.transfers import (
    RENEWALS_AT_MOST,
    OfferClosed,
    OfferMade,
    TransferOffered,
    TransferRenewed,
    TransferWithdrawn,
)
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import Story, at, faults, normalized, published
from unit.handoff.test_handoff_terms import narrowed

SMOKE = "Now it smokes!"


def offered(queue: str = "desk", *versions: object) -> Story:
    story = Story(*versions)  # type: ignore[arg-type]
    story.seen(0)
    story.judged(0)
    story.routed(0, queue)
    story.stated(0)
    return story


def test_a_changed_text_gives_the_same_offer_another_package_and_no_more_time() -> None:
    story = offered()
    first = story.offer()
    story.seen(5, text=SMOKE)
    second, step = story.offer(), story.last(TransferRenewed)
    assert (second.package.view.text, second.revision, step.revision) == (SMOKE, 2, 2)
    assert (second.transfer_id, second.attempt, second.receiver) == (first.transfer_id, first.attempt, first.receiver)
    assert second.acknowledge_by == first.acknowledge_by
    assert step.digest == second.digest != first.digest
    assert len(story.all(TransferOffered)) == 1
    with pytest.raises(Refused) as caught:
        story.accept(6, digest=first.digest)
    assert (caught.value.kind, caught.value.status, caught.value.digest) == ("conflict", "offered", second.digest)
    story.accept(6)
    assert story.owned_by() == ("acknowledged", "desk")
    assert faults(story.out.emitted) == []


@pytest.mark.parametrize("what", ["title", "comment", "priority"])
def test_whatever_the_receiver_sees_of_the_ticket_renews(what: str) -> None:
    story = offered()
    if what == "title":
        story.seen(5, title="Laptop burns")
    elif what == "comment":
        said = Comment(id="2", author="Rosa", author_role="customer", visibility="public", at=at(5), text="Hello?")
        story.seen(5, comments=[said])
    else:
        story.judged(5, version=2, priority="P2")
    assert story.offer().revision == 2


def test_what_a_contract_does_not_show_renews_nothing() -> None:
    story = offered("night-desk")
    said = Comment(id="2", author="Rosa", author_role="customer", visibility="public", at=at(5), text="Hello?")
    story.seen(5, comments=[said], updated_at=at(5), service="laptops")
    assert [offer.revision for offer in story.all(OfferMade)] == [1]
    story.seen(6, comments=[said], text=SMOKE)
    assert [offer.revision for offer in story.all(OfferMade)] == [1, 2]
    assert story.offer().package.view.comments is None


def test_that_the_tool_or_the_classifier_touched_it_renews_nothing() -> None:
    story = offered()
    story.seen(5, updated_at=at(5))
    story.judged(6, version=2)
    assert story.all(TransferRenewed) == []


def test_duplicates_and_what_comes_late_renew_nothing_twice() -> None:
    story = offered()
    newer, late = normalized(version=3, when=at(6), text=SMOKE), normalized(version=2, when=at(5), text="Hm")
    story.publish(topics.NORMALIZED, newer)
    assert story.publish(topics.NORMALIZED, late) == []
    assert story.publish(topics.NORMALIZED, newer) == []
    assert [offer.revision for offer in story.all(OfferMade)] == [1, 2]
    assert story.offer().package.view.text == SMOKE


def test_who_writes_without_pause_is_read_with_the_answer() -> None:
    story = offered()
    for number in range(RENEWALS_AT_MOST + 2):
        story.seen(1 + number, text=f"And {number}")
    assert [offer.revision for offer in story.all(OfferMade)] == [1, 2, 3, 4]
    stands = story.offer()
    answer = story.accept(9)
    closed = story.last(OfferClosed)
    assert answer.newer is not None
    assert closed.newer == answer.newer
    assert (stands.package.view.text, answer.newer.view.text) == ("And 2", "And 4")
    assert faults(story.out.emitted) == []


def test_an_answer_to_what_is_up_to_date_carries_no_package() -> None:
    story = offered()
    story.seen(1, text=SMOKE)
    assert story.accept(2).newer is None
    assert story.last(OfferClosed).newer is None


def test_the_next_attempt_starts_with_what_is_known_and_may_be_renewed_again() -> None:
    story = offered()
    for number in range(RENEWALS_AT_MOST + 1):
        story.seen(1 + number, text=f"And {number}")
    story.decline(9)
    story.answered(10, "experts")
    assert (story.offer().package.view.text, story.offer().revision) == ("And 3", 1)
    story.seen(11, text=SMOKE)
    assert (story.offer().package.view.text, story.offer().revision) == (SMOKE, 2)


def test_an_offer_that_its_contract_no_longer_allows_is_withdrawn_not_renewed() -> None:
    story = offered("night-desk")
    story.agreements.add(narrowed(5, "title", "priority"))
    story.seen(6, text=SMOKE)
    assert story.all(TransferRenewed) == []
    story.work.fire(at(7), story.out)
    assert story.last(TransferWithdrawn).exposed
    assert faults(story.out.emitted) == []


def test_a_part_that_the_agreement_requires_and_that_is_gone_ends_the_offer() -> None:
    story = offered("desk", published(required={"default": ["view.text"]}))
    story.seen(5, text="")
    assert story.last(TransferWithdrawn).lacking == ["view.text"]
    assert story.owned_by() == ("automatic", "duty")
    assert faults(story.out.emitted) == []
