"""A transfer that cannot be delivered is an alert: counted, and told in the log with what to do."""

from __future__ import annotations

import pytest

from ticket_handoff.adapters.measure import HandoffMetrics
from ticket_runtime.metrics import Registry
from unit.handoff.handoff_desk import Story, published


def counted(story: Story) -> dict[tuple[str, str], float]:
    """(why, cause) -> how many, of all that the story came to."""
    registry = Registry()
    HandoffMetrics(registry).committed(story.work.take_changes())
    return {
        (sample.labels["why"], sample.labels["cause"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "relaydesk_transfers_undelivered_total" and sample.value
    }


def test_a_transfer_that_took_too_long_and_reached_the_duty_owner_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story().begun()
    story.overdue(240)
    assert story.owned_by() == ("automatic", "duty")
    assert counted(story) == {("nobody", "first"): 1.0}
    told = capsys.readouterr()
    assert "transfer not delivered" in told.out + told.err
    assert "Laptop" not in told.out + told.err


def test_a_package_with_a_gap_is_told() -> None:
    story = Story(published(required={"default": ["view"], "source": ["view", "question"]})).owned()
    story.seen(10, changed=["group"], group="Experts")
    story.answered(10, "experts")
    assert counted(story) == {("gap", "source"): 1.0}


def test_what_is_delivered_is_not() -> None:
    assert counted(Story().owned()) == {}
