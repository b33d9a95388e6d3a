"""How often a message has ended the process: counted in the metadata of the committed offsets.

A commit says in a few bytes what its task does next, so that the hot path pays nothing and a later owner knows what was
going on when the former one ended without a word:

- `clean`: stopped in order.
- `batch 64`: a batch of at most so many messages of each partition may be in work.
- `alone 2 900`: the message at this offset is being handled alone, for the second time; the old batch ends before 900.
- `careful 900`: nothing is being handled; up to 900 it is done one at a time.
"""

from __future__ import annotations

import msgspec

ALONE_AT_MOST = 2
"""A message that ended the process this often alone, after its batch did, is given up: the third death."""


class Mark(msgspec.Struct, frozen=True):
    """What the task was about when it committed an offset.

    batch: messages of a partition that may be in work together, 0 for none. attempt: how often the message at the
    offset was begun alone. until: the offset before which messages are handled one at a time, 0 for none.
    """

    batch: int = 0
    attempt: int = 0
    until: int = 0

    def text(self) -> str:
        if self.batch:
            return f"batch {self.batch}"
        if self.attempt:
            return f"alone {self.attempt} {self.until}"
        return f"careful {self.until}" if self.until else "clean"


def read_mark(text: str) -> Mark:
    """The inverse of `Mark.text`. What is not ours, or empty, counts as clean."""
    match text.split():
        case ["batch", size] if size.isdigit():
            return Mark(batch=int(size))
        case ["alone", attempt, until] if attempt.isdigit() and until.isdigit():
            return Mark(attempt=int(attempt), until=int(until))
        case ["careful", until] if until.isdigit():
            return Mark(until=int(until))
        case _:
            return Mark()


def careful_until(mark: Mark, offset: int, end: int) -> int:
    """Up to which offset a new owner handles a partition one message at a time; `offset` itself when it need not.

    offset: the committed one, with this mark. end: of the partition when the task was assigned.
    """
    if mark.batch:
        return min(offset + mark.batch, end)
    return max(min(mark.until, end), offset + 1 if mark.attempt else offset)
