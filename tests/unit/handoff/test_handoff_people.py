"""What owners ask for: an escalation with its question, and the part of a package that was missing."""

from __future__ import annotations

from typing import Any

import pytest

from ticket_contracts.transfers import ContextAdded, TransferOffered, TransferRequested, TransferWithdrawn
from ticket_handoff.domain.context import PARTS_AT_MOST
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import Story, faults, published


def needing(*parts: str, cause: str = "escalation") -> Story:
    return Story(published(required={"default": ["view"], cause: list(parts)})).owned()


def refusal(story: Story, minutes: float, action: Any, principal: str = "internal", **said: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        story.tell(minutes, action, principal, **said)
    return caught.value


def test_an_escalation_carries_its_question_to_the_receiver() -> None:
    story = Story().owned()
    answer = story.tell(10, "escalate", reason="Is the board broken?", actor="Bea")
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.asks, asked.requested_by, asked.reason) == (
        "escalation",
        True,
        "Bea",
        "Is the board broken?",
    )
    assert (answer.transfer_id, answer.status, answer.queue) == (asked.transfer_id, "requested", "desk")
    story.answered(11, "experts")
    assert story.offer().package.question == "Is the board broken?"
    assert story.owned_by() == ("acknowledged", "desk"), "until somebody has accepted"
    assert faults(story.out.emitted) == []


def test_an_escalation_of_a_ticket_on_its_way_is_refused_with_the_state() -> None:
    story = Story().begun()
    refused = refusal(story, 1, "escalate", reason="?")
    assert (refused.kind, refused.status) == ("conflict", "offered")
    assert "offered to desk" in refused.reason


def test_an_escalation_needs_what_the_agreement_requires_and_names_each_gap() -> None:
    story = needing("view.text", "steps", "links", "articles")
    refused = refusal(story, 10, "escalate", reason="Why?")
    assert (refused.kind, refused.missing) == ("invalid", ["steps"])
    story.tell(11, "add", part="steps", items=["Changed the battery", "  "])
    story.tell(12, "escalate", reason="Why?")
    story.answered(13, "experts")
    assert [(step.text, step.by) for step in story.offer().package.steps] == [("Changed the battery", "Ada")]
    assert story.last(TransferOffered).incomplete == []


def test_what_was_asked_for_in_the_source_is_asked_for_again_once_its_gap_is_filled() -> None:
    story = needing("view", "question", "steps", cause="source")
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "experts")
    assert story.last(TransferWithdrawn).lacking == ["question", "steps"]
    first = story.tell(11, "add", part="question", items=["Is it under warranty?"])
    assert first.status == "added; the package still lacks steps"
    assert story.ledger.transfer is None
    second = story.tell(12, "add", part="steps", items=["Looked for the receipt"])
    asked = story.last(TransferRequested)
    assert (asked.cause, asked.target_group, asked.transfer_id) == ("source", "Experts", second.transfer_id)
    story.answered(12, "experts")
    assert story.offer().package.question == "Is it under warranty?"
    assert story.ledger.gap is None
    assert faults(story.out.emitted) == []


def test_a_gap_is_forgotten_when_something_newer_is_asked_for() -> None:
    story = needing("view", "question", cause="source")
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "experts")
    story.tell(11, "escalate", reason="?")
    assert refusal(story, 12, "add", part="question", items=["Late"]).kind == "conflict"


def test_what_is_added_says_who_and_stands_in_the_record() -> None:
    story = Story().owned()
    story.tell(10, "add", part="links", items=["https://wiki.example.com/x"], actor="Bea")
    said = story.last(ContextAdded)
    assert (said.part, said.items, said.actor) == ("links", ["https://wiki.example.com/x"], "Bea")
    assert story.names()[-1] == "ContextAdded"


def test_what_is_added_to_a_package_under_offer_makes_it_outdated() -> None:
    story = Story().owned()
    story.tell(10, "escalate", reason="Why?")
    story.answered(11, "experts")
    first = story.offer()
    added = story.tell(12, "add", part="steps", items=["Changed the battery"])
    assert (added.transfer_id, added.status) == (first.transfer_id, "offered")
    assert story.all(TransferWithdrawn) == []
    with pytest.raises(Refused) as caught:
        story.accept(14, digest=first.digest)
    assert (caught.value.status, caught.value.digest) == ("offered", story.offer().digest)
    assert [step.text for step in story.offer().package.steps] == ["Changed the battery"]
    assert faults(story.out.emitted) == []


def test_what_the_receiver_would_not_see_leaves_its_offer_alone() -> None:
    story = Story().owned()
    story.tell(10, "escalate", reason="Why?")
    story.answered(11, "night-desk")
    story.tell(12, "add", part="links", items=["https://wiki.example.com/x"])
    assert story.all(TransferWithdrawn) == []
    story.accept(13, "nightwatch")
    assert story.owned_by() == ("acknowledged", "night-desk")


def test_a_partner_sees_the_steps_that_its_contract_allows_and_not_who_took_them() -> None:
    story = Story().owned()
    story.tell(10, "add", part="steps", items=["Changed the battery"])
    story.tell(10, "add", part="links", items=["https://wiki.example.com/x"])
    story.tell(11, "escalate", reason="?")
    story.answered(11, "night-desk")
    assert (story.offer().package.steps, story.offer().package.links) == ([], []), "its contract names no comments"
    story.accept(12, "nightwatch")
    story.tell(13, "add", "nightwatch", part="steps", items=["Asked the user"], actor="Nora")
    story.tell(14, "escalate", "nightwatch", reason="?", actor="Nora")
    story.answered(14, "experts")
    assert [step.by for step in story.offer().package.steps] == ["Ada", "Nora"], "inside everything is seen"


def test_who_does_not_own_the_ticket_learns_nothing_of_it() -> None:
    story = Story().owned(queue="night-desk", principal="nightwatch")
    for action, said in (("escalate", {"reason": "?"}), ("add", {"part": "steps", "items": ["x"]})):
        assert refusal(story, 10, action, "otherwise", **said).kind == "unknown"
    story.tell(11, "escalate", reason="We take it back")
    story.answered(11, "desk")
    story.accept(12)
    assert refusal(story, 13, "escalate", "nightwatch", reason="?").kind == "conflict"


def offered_to_nightwatch(**transfers: Any) -> Story:
    story = Story(published(**transfers))
    story.seen(0)
    story.judged(0)
    story.routed(0, "night-desk")
    story.stated(0)
    return story


def test_a_partner_is_told_who_owns_the_ticket_while_that_is_one_of_its_own() -> None:
    story = offered_to_nightwatch(required={"default": ["view"]})
    declined = story.decline(1, "nightwatch")
    assert (declined.status, declined.owner, declined.queue) == ("declined", None, None)
    story.answered(2, "night-desk")
    accepted = {"transfer_id": story.offer().transfer_id, "digest": story.offer().digest, "reply_id": "mine"}
    taken = story.accept(3, "nightwatch", **accepted)
    assert (taken.owner, taken.queue) == (story.offer().receiver, "night-desk")
    story.tell(4, "escalate", reason="Is it a known fault?")
    story.answered(4, "other-desk")
    with pytest.raises(Refused, match="on its way") as refused:
        story.tell(5, "escalate", "nightwatch", reason="?")
    assert "other-desk" not in refused.value.reason
    story.accept(6, "otherwise")
    again = story.accept(7, "nightwatch", **accepted)
    assert (again.repeated, again.owner, again.queue) == (True, None, None)
    with pytest.raises(Refused, match=r"accepted by .*; somebody else owns it, by a later transfer"):
        story.accept(8, "nightwatch", **accepted | {"reply_id": "another"})


def test_a_partner_does_not_read_which_queue_got_what_was_taken_from_it() -> None:
    story = offered_to_nightwatch()
    story.routed(3, "experts", purpose="reroute")
    story.accept(4)
    assert story.last(TransferWithdrawn).reason == "the router sends it to experts instead"
    story.tell(5, "escalate", reason="Is it a known fault?")
    story.answered(5, "night-desk")
    (tried,) = story.offer().package.tried
    assert (tried.queue, tried.outcome, tried.reason) == (
        "night-desk",
        "withdrawn",
        "the router sends it elsewhere instead",
    )


def test_who_let_an_offer_expire_that_another_then_took_owns_nothing() -> None:
    story = offered_to_nightwatch()
    story.overdue(240)
    assert story.owned_by() == ("automatic", "duty")
    assert refusal(story, 250, "escalate", "nightwatch", reason="?").kind == "unknown"


def test_an_ended_ticket_is_not_escalated() -> None:
    story = Story().owned()
    story.seen(10, lifecycle="ended", status="closed")
    assert "ended" in refusal(story, 11, "escalate", reason="?").reason


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"items": ["x"]}, "which part"),
        ({"part": "steps"}, "nothing to add"),
        ({"part": "steps", "items": [" "]}, "nothing to add"),
        ({"part": "steps", "items": ["x"] * 21}, "at most 20"),
        ({"part": "steps", "items": ["x" * 10_001]}, "10000"),
        ({"part": "question", "items": ["x"]}, "escalate or return"),
    ],
)
def test_an_addition_that_is_none_is_refused_by_name(said: dict[str, Any], word: str) -> None:
    story = Story().owned()
    before = len(story.out.emitted)
    assert word in refusal(story, 10, "add", **said).reason
    assert len(story.out.emitted) == before


def test_nobody_adds_without_end() -> None:
    story = Story().owned()
    for _ in range(PARTS_AT_MOST // 20):
        story.tell(10, "add", part="steps", items=["x"] * 20)
    assert refusal(story, 11, "add", part="steps", items=["x"]).kind == "conflict"
