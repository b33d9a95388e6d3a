"""The audit trail: each entry is sealed with the seal of the one before, so that none can be altered or taken out.

An entry holds a digest of what was said, salted with the ticket's own salt: when text and salt are erased, the seals
still verify and nobody can guess what was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

FIRST_SEAL: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One step. number: counted from 1 in each partition. salt, said: None when they were erased."""

    number: int
    ticket: str
    sequence: int
    at: datetime
    type: str
    digest: bytes
    seal: bytes
    salt: bytes | None = None
    said: bytes | None = None


def digest(salt: bytes, said: bytes) -> bytes:
    return sha256(salt + said).digest()


def seal(previous: bytes, number: int, ticket: str, sequence: int, at: datetime, kind: str, said: bytes) -> bytes:
    """The seal of an entry. said: its digest."""
    text = f"{number}\x1f{ticket}\x1f{sequence}\x1f{at.timestamp():.6f}\x1f{kind}\x1f".encode()
    return sha256(previous + text + said).digest()


def faults(entries: Iterable[Entry], last: tuple[int, bytes]) -> Iterable[str]:
    """What is wrong with the trail of a partition, whose entries are given in order. last: number and seal that the
    partition's head names."""
    number, before = 0, FIRST_SEAL
    for entry in entries:
        number += 1
        if entry.number != number:
            yield f"entry {number} is missing: {entry.number} follows"
            number = entry.number
        elif seal(before, number, entry.ticket, entry.sequence, entry.at, entry.type, entry.digest) != entry.seal:
            yield f"entry {number}, step {entry.sequence} of {entry.ticket}, was altered, or the one before it was"
        if entry.salt is not None and entry.said is not None and digest(entry.salt, entry.said) != entry.digest:
            yield f"entry {number}: what step {entry.sequence} of {entry.ticket} said was altered"
        before = entry.seal
    if (number, before) != last:
        yield f"the trail ends at entry {number}, its head says {last[0]}: entries were cut off, or the head altered"
