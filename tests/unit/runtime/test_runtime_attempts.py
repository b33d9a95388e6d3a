"""What a new owner concludes from the mark beside a committed offset."""

from __future__ import annotations

import pytest

from ticket_runtime.attempts import Care, Mark, care_after, read_mark


@pytest.mark.parametrize(
    "mark",
    [Mark(), Mark("batch", 64), Mark("narrow", 15, 900), Mark("alone", 2, 900), Mark("rest", 1, 900)],
)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert read_mark(mark.text()) == mark


@pytest.mark.parametrize("text", ["", "clean", "batch", "batch many", "alone 1", "something of a stranger's"])
def test_what_is_not_ours_counts_as_clean(text: str) -> None:
    assert read_mark(text) == Mark()


@pytest.mark.parametrize(
    ("name", "mark", "end", "expected"),
    [
        ("stopped in order", Mark(), 900, None),
        ("a quiet desk's batch: one at a time", Mark("batch", 64), 900, Care(1, 164)),
        ("a large batch: a few at a time", Mark("batch", 1_000), 5_000, Care(15, 1_100)),
        ("the batch cannot have reached beyond the end", Mark("batch", 1_000), 150, Care(15, 150)),
        ("nothing to read, so nothing was in work", Mark("batch", 64), 100, None),
        ("died among a few: one at a time", Mark("narrow", 15, 900), 5_000, Care(1, 900)),
        ("died alone, once", Mark("alone", 1, 900), 5_000, Care(1, 900, 1)),
        ("died alone at the old batch's end", Mark("alone", 2, 100), 5_000, Care(1, 101, 2)),
        ("stopped in order while careful", Mark("rest", 15, 900), 5_000, Care(15, 900)),
        ("careful, and done with it", Mark("rest", 15, 100), 5_000, None),
    ],
)
def test_care_after_a_mark(name: str, mark: Mark, end: int, expected: Care | None) -> None:
    assert care_after(mark, 100, end) == expected, name
