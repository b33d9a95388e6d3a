"""What the page says of a review, in words and not in colour alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sla_monitor.review.page import render
from sla_monitor.review.report import make
from unit.review.test_review_insights import AT, finished, material


def resolved(hours: int) -> list[Any]:
    more = {"responded_at": None, "taken_at": None, "first_tier": None, "tool_moves": 0, "tool_returns": 0}
    return [finished(n, resolved_at=AT + timedelta(hours=hours), **more) for n in range(20)]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [(2, 5, "2 h 00 min in the period before: worse now<"), (5, 2, "5 h 00 min in the period before: better now<"),
     (2, 2, "2 h 00 min in the period before<")],
)  # fmt: skip
def test_a_tile_says_whether_it_went_the_good_way(before: int, now: int, said: str) -> None:
    made = make(material(finished=resolved(now)), material(finished=resolved(before)))
    assert said in render(made)
