"""What leaves the review for spreadsheets and browsers: no formula, no markup, no script."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from sla_monitor.review.files import table
from sla_monitor.review.measures import Counted, ninetieth
from sla_monitor.review.page import environment, link
from sla_monitor.review.period import month_of, quarter_of
from sla_monitor.review.shown import shown


@pytest.mark.parametrize(
    "hostile", ['=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "|calc", "＝1", "%0A"]
)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(hostile: str) -> None:
    (row,) = list(csv.reader(io.StringIO(table(["name", "value"], [[hostile, -1.5]]).removeprefix("\ufeff"))))[1:]
    assert row == ["'" + hostile, "-1.5"]


def test_a_table_keeps_commas_quotes_and_lines() -> None:
    rows: list[list[Any]] = [['a "quoted", thing', "two\nlines"], ["ä – ü", None]]
    read = list(csv.reader(io.StringIO(table(["one", "two"], rows).removeprefix("\ufeff"), newline="")))
    assert read == [["one", "two"], ['a "quoted", thing', "two\nlines"], ["ä – ü", ""]]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://tool.example/1", "https://tool.example/1"),
        ("HTTP://tool.example/1", "HTTP://tool.example/1"),
        ("javascript:alert(1)", None),
        ("data:text/html,<script>", None),
        ("//tool.example", None),
        (None, None),
    ],
)
def test_only_an_address_of_the_web_becomes_a_link(url: str | None, expected: str | None) -> None:
    assert link(Counted("t", "", None, url)) == expected


def test_what_comes_from_tools_and_documents_is_escaped() -> None:
    parts = environment().get_template("parts.html.j2").module
    hostile = Counted('"><script>alert(1)</script>', "<b>", None, 'https://x/"onmouseover="alert(1)')
    shown_page = str(parts.tickets([hostile], 5))  # type: ignore[attr-defined]
    assert "<script>" not in shown_page
    assert "<b>" not in shown_page
    assert '"onmouseover' not in shown_page


@pytest.mark.parametrize("text", ["2016-13", "2016-3", "0000-01", "March", "2016-00", "'; drop", ""])
def test_what_is_no_month_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 2016-03"):
        month_of(text)


def test_periods_and_the_ones_before_them() -> None:
    december, first = month_of("2015-12"), quarter_of("2016-Q1")
    assert (december.until.year, december.until.month) == (2016, 1)
    assert month_of("2016-01").before() == december
    assert (first.since.month, first.until.month, first.days) == (1, 4, 91)
    assert first.before() == quarter_of("2015-Q4")
    with pytest.raises(ValueError, match="2016-Q1"):
        quarter_of("2016-Q5")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "ratio", "–"),
        (0.5, "ratio", "50.0 %"),
        (1.0, "ratio", "100 %"),
        (0.997, "ratio", "99.7 %"),  # three breaches of a thousand clocks are not all of them kept
        (0.9999, "ratio", "> 99.9 %"),
        (0.0, "ratio", "0 %"),
        (0.0001, "ratio", "< 0.1 %"),
        (1.25, "ratio", "125 %"),
        (41, "seconds", "41 s"),
        (89.6, "seconds", "90 s"),
        (3_599, "seconds", "60 min"),
        (7_500, "seconds", "2 h 05 min"),
        (86_400 * 3 + 3_600 * 4, "seconds", "3 d 4 h"),
        (1234.5, "money", "1,234.50"),
        (4.256, "score", "4.26"),
        (12_460, "count", "12,460"),
    ],
)
def test_numbers_as_people_read_them(value: float | None, unit: str, expected: str) -> None:
    assert shown(value, unit) == expected


def test_the_ninetieth_percentile_is_a_spreadsheets() -> None:
    assert ninetieth([1.0]) == 1.0
    assert ninetieth([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(4.6)
    assert ninetieth(list(range(101))) == pytest.approx(90)
