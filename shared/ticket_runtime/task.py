"""What a service gives the runtime: the work of one task, without I/O and without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, Protocol, get_args

import msgspec

from ticket_contracts.cloudevents import Event


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One consumed message.

    topic: without the desk's prefix. headers: by name, the last of a name counts.
    instant: when it happened (UTC): `ce_time` for Relaydesk's own events; for topics that others write, the record's
    timestamp, at most the desk's present.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    timestamp_ms: int
    instant: datetime


Reason = Literal["headers", "unreadable", "unknown_type", "key", "refused", "deadly"]
"""Why a message became a dead letter, in the words of a metric. headers: its CloudEvents attributes are missing or
wrong; unreadable: the value is not what it should be; unknown_type: of a newer version, or none of the topic's; key:
not the ticket's id; refused: it can be read, and cannot count; deadly: it ended the process again and again."""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class Poison(Exception):
    """This message can never be handled: it becomes a dead letter with this reason, and the next one goes on.

    The reason says what is wrong, where and how to mend it, and holds no text of the ticket. kind: of the reason. path:
    where in the message, when it is one place.
    """

    def __init__(self, reason: str, kind: Reason = "refused", path: str | None = None) -> None:
        super().__init__(reason)
        self.kind: Reason = kind
        self.path = path


class Transient(Exception):
    """Nothing is wrong with the message: try it again after `delay` seconds; nothing of it has taken effect."""

    def __init__(self, reason: str, delay: float = 1.0) -> None:
        super().__init__(reason)
        self.delay = delay


class Outputs(Protocol):
    """What a task's work gives out; all of a batch reaches Kafka in one transaction with the offsets, or not at all.

    When `handle` raises, whatever it gave out for that message is dropped.
    """

    def emit(self, topic: str, event: Event) -> str:
        """Publish an event under its ticket's key, caused by the record being handled (or by itself, in `fire`);
        returns its `ce_id`."""
        ...

    def forward(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        """Publish bytes as they are under `key` (re-keying); headers given here stay, the CloudEvents ones are
        added."""
        ...

    def store(self, key: bytes, value: bytes | None) -> None:
        """Write a record of the task's state to its changelog; None deletes the key."""
        ...


class Work(Protocol):
    """The domain of one task. Made anew at every assignment, then restored, then fed.

    Rules: `handle` and `fire` change nothing of their own state before they can no longer raise; what they
    change, they also `store`; they are called one at a time.
    """

    def restore(self, key: bytes, value: bytes | None) -> None:
        """One record of the changelog, in order."""
        ...

    def handle(self, record: Record, out: Outputs) -> None:
        """One message, in order. Raises Poison or Transient; anything else ends the process."""
        ...

    def fire(self, now: datetime, out: Outputs) -> None:
        """Emit all that fell due at or before `now`, in order of its instant. What is only the work's own housekeeping
        may be done in parts: it is called again while something is due."""
        ...

    def next_due(self) -> datetime | None:
        """The earliest instant at which `fire` has something to do."""
        ...
