"""What the page says of a review, in words and not in colour alone."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sla_monitor.review.page import render
from sla_monitor.review.period import quarter_of
from sla_monitor.review.report import KNOWN, MISTAKEN, make
from unit.review.test_review_insights import AT, finished, material, row


def resolved(hours: int) -> list[Any]:
    more = {"responded_at": None, "taken_at": None, "first_tier": None, "tool_moves": 0, "tool_returns": 0}
    return [finished(n, resolved_at=AT + timedelta(hours=hours), **more) for n in range(20)]


@pytest.mark.parametrize(
    ("quarter", "said"),
    [
        ("2016-Q1", "By week and the side that took them first"),  # 91 days
        ("2016-Q3", "By week and the side that took them first; the last bar is of 1 day"),
        ("2015-Q1", "By week and the side that took them first; the last bar is of 6 days"),
    ],
)
def test_a_quarter_says_how_short_its_last_bar_is(quarter: str, said: str) -> None:
    period = quarter_of(quarter)
    opened = [row(opened_at=period.until - timedelta(hours=1), channel="mail")]
    (chart,) = make(material(period=period, opened=opened)).charts
    assert chart.says == said


@pytest.mark.parametrize(
    ("covered", "corrected", "cause"),
    [
        (11, 3, "knowledge"),
        (12, 3, "skills"),
        (12, 4, "the taxonomy or the rules"),
        (11, 4, "knowledge and the taxonomy or the rules"),
    ],
)
def test_the_review_names_the_cause_that_the_alert_has_named(covered: int, corrected: int, cause: str) -> None:
    theirs: dict[str, Any] = {"partner": "owls", "escalated": True, "cause": "escalation"}
    passed_on = [row(ticket=f"t{n}", covered=n < covered, corrected=n < corrected, **theirs) for n in range(20)]
    (said,) = make(material(stays=passed_on)).findings
    assert said.endswith(f"The likely cause is {cause}.")
    alert = (Path(__file__).parents[3] / "deploy/prometheus/rules/alerts.yml").read_text()
    assert {f"lt $coverage {KNOWN}", f"gt $corrected {MISTAKEN}"} <= set(re.findall(r"[lg]t \$\w+ [\d.]+", alert))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [(2, 5, "2 h 00 min in the period before: worse now<"), (5, 2, "5 h 00 min in the period before: better now<"),
     (2, 2, "2 h 00 min in the period before<")],
)  # fmt: skip
def test_a_tile_says_whether_it_went_the_good_way(before: int, now: int, said: str) -> None:
    made = make(material(finished=resolved(now)), material(finished=resolved(before)))
    assert said in render(made)
