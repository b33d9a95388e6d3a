"""What a task was about when it went: said in the metadata of its committed offsets, so that a message which kills the
process does so three times at most.

A commit says in a few bytes what comes next. The hot path pays nothing for it, and whoever starts after an end without
a word goes on in narrower steps up to the old batch's end: one message at a time where batches were small, by way of a
few where they were large. A message that is being handled alone counts how often it was begun.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ALONE_AT_MOST = 2
"""A message that ended the process this often while it was alone is given up: with its batch, three deaths."""

NARROWER = 64
"""After a death steps are so many times smaller: batches of the size that a quiet desk has become single messages."""


class Mark(msgspec.Struct, frozen=True):
    """What stands beside a committed offset.

    clean: stopped in order. batch: up to `number` messages of each partition may be in work. narrow: the same, careful
    up to the offset `until`. alone: the message at the offset was begun alone for the `number`-th time, careful up to
    `until`. rest: stopped in order, but up to `until` no more than `number` at a time.
    """

    kind: Literal["clean", "batch", "narrow", "alone", "rest"] = "clean"
    number: int = 0
    until: int = 0

    def text(self) -> str:
        match self.kind:
            case "clean":
                return "clean"
            case "batch":
                return f"batch {self.number}"
            case _:
                return f"{self.kind} {self.number} {self.until}"


class Care(msgspec.Struct, frozen=True):
    """How a new owner goes on at a partition: no more than `size` messages at a time before the offset `until`; the
    first was begun alone `attempts` times."""

    size: int
    until: int
    attempts: int = 0


def read_mark(text: str) -> Mark:
    """The inverse of `Mark.text`. What is not ours, or empty, counts as clean."""
    match text.split():
        case ["batch", number] if number.isdigit():
            return Mark("batch", int(number))
        case [("narrow" | "alone" | "rest") as kind, number, until] if number.isdigit() and until.isdigit():
            return Mark(kind, int(number), int(until))
        case _:
            return Mark()


def care_after(mark: Mark, offset: int, end: int) -> Care | None:
    """What follows from a mark found at a committed offset; None: nothing was in work.

    end: of the partition when the task was assigned: what came later cannot have been in the old batch.
    """
    match mark.kind:
        case "clean":
            care = None
        case "batch":
            care = Care(max(1, mark.number // NARROWER), min(offset + mark.number, end))
        case "narrow":
            care = Care(max(1, mark.number // NARROWER), min(mark.until, end))
        case "alone":
            care = Care(1, max(min(mark.until, end), offset + 1), mark.number)
        case "rest":
            care = Care(max(1, mark.number), min(mark.until, end))
    return care if care is not None and care.until > offset else None
