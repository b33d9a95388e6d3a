"""One message through a task's work: who it is for, what it gives out, what becomes of it when it cannot be handled.

The same for the real loop and for the in-memory desk of `ticket_runtime.testing`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec

from ticket_contracts import topics
from ticket_runtime.outputs import Collector, Message, instant_of
from ticket_runtime.task import Poison, Record, Transient, Work

DLT = "kafka_dlt-"
ONLY_FOR_GROUP = "relaydesk-only-for-group"
"""Header of a replayed dead letter: every other consumer group passes it by."""

FAILED_PATH = DLT + "failed-path"
"""Header of a dead letter: where in the message it failed, when that is one place."""

Outcome = Literal["handled", "dead_letter", "not_for_us"]

_OTHERS_WRITE = (topics.INBOUND, topics.REPLIES, topics.FEEDBACK)


class Arrived(Protocol):
    """A record as a consumer gives it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]: ...


class DeadLetterLimit(msgspec.Struct, frozen=True, kw_only=True):
    """When dead letters stop being single bad messages and become a fault of ours, so that the process must stop
    instead.

    consecutive: this many in a row. ratio: of the last `window` messages, once so many were seen.
    """

    consecutive: int = 200
    ratio: float = 0.5
    window: int = 2_000


class DeadLetterCount:
    """What a `DeadLetterLimit` judges: the recent outcomes of one task."""

    def __init__(self) -> None:
        self._in_row = 0
        self._seen = 0
        self._dead = 0

    def count(self, limit: DeadLetterLimit, *, dead: bool) -> None:
        """Raises TooManyDeadLetters when the limit is reached."""
        self._seen += 1
        if not dead:
            self._in_row = 0
        else:
            self._in_row += 1
            self._dead += 1
            if self._in_row >= limit.consecutive:
                raise TooManyDeadLetters(f"{self._in_row} messages in a row could not be handled")
        if self._seen >= limit.window:
            if self._dead >= limit.ratio * self._seen:
                raise TooManyDeadLetters(f"{self._dead} of the last {self._seen} messages could not be handled")
            self._seen = self._dead = 0


class TooManyDeadLetters(Exception):
    """Everything fails: stop, and let a person look, rather than dead-letter a whole topic."""


def to_record(arrived: Arrived, topic: str, present: datetime) -> Record:
    """The record that a service sees. topic: without the prefix. present: of the desk (UTC). Raises ValueError for one
    of our own topics when `ce_time` is missing or wrong."""
    return _record(arrived, topic, present, dict(arrived.headers))


def _record(arrived: Arrived, topic: str, present: datetime, headers: dict[str, bytes]) -> Record:
    if topic.startswith(_OTHERS_WRITE):
        instant = min(_instant(arrived.timestamp, present), present)
    else:
        instant = instant_of(headers)
    return Record(
        topic=topic,
        partition=arrived.partition,
        offset=arrived.offset,
        key=arrived.key,
        value=arrived.value,
        headers=headers,
        timestamp_ms=arrived.timestamp,
        instant=instant,
    )


def handle(arrived: Arrived, topic: str, present: datetime, work: Work, out: Collector, group: str) -> Outcome:
    """One message in; what it gives out, or its dead letter, is in `out` afterwards. Raises Transient, and whatever
    else the work raises, with `out` as it was before."""
    headers = dict(arrived.headers)
    own = group.encode()
    if headers.get(ONLY_FOR_GROUP, own) != own:
        return "not_for_us"
    try:
        record = _record(arrived, topic, present, headers)
    except ValueError as error:
        out.begin(None)
        out.add(dead_letter(arrived, topic, group, error))
        out.refused = "headers"
        return "dead_letter"
    mark = out.begin(record)
    try:
        work.handle(record, out)
    except Poison as reason:
        out.drop_since(mark)
        out.add(dead_letter(arrived, topic, group, reason))
        out.refused = reason.kind
        return "dead_letter"
    except BaseException:
        out.drop_since(mark)
        raise
    return "handled"


def fire(work: Work, now: datetime, out: Collector) -> Transient | None:
    """Lets the work fire once if something is due. Returns what interrupted it; then nothing of it has happened."""
    due = work.next_due()
    if due is None or due > now:
        return None
    mark = out.begin(None)
    try:
        work.fire(now, out)
    except Transient as reason:
        out.drop_since(mark)
        return reason
    return None


def fire_all(work: Work, now: datetime, out: Collector) -> Transient | None:
    """Until nothing is due any more, for a work may take its housekeeping in parts; or until nothing moves, which is
    for the caller to notice. Returns what interrupted the last part; those before it have happened."""
    while (due := work.next_due()) is not None and due <= now:
        mark = out.begin(None)
        trouble = fire(work, now, out)
        if trouble is not None or (out.begin(None) == mark and work.next_due() == due):
            return trouble
    return None


def dead_letter(arrived: Arrived, topic: str, group: str, reason: Exception) -> Message:
    """The message untouched, with the headers that Kafka people know: where it was, for whom, and why it failed.
    Numbers are big-endian, the partition of 4 bytes, the others of 8."""
    headers = [
        *((name, said) for name, said in arrived.headers if name != ONLY_FOR_GROUP and not name.startswith(DLT)),
        (DLT + "original-topic", arrived.topic.encode()),
        (DLT + "original-partition", arrived.partition.to_bytes(4, "big")),
        (DLT + "original-offset", arrived.offset.to_bytes(8, "big")),
        (DLT + "original-timestamp", max(arrived.timestamp, 0).to_bytes(8, "big")),
        (DLT + "original-consumer-group", group.encode()),
        (DLT + "exception-fqcn", f"{type(reason).__module__}.{type(reason).__qualname__}".encode()),
        (DLT + "exception-message", str(reason)[:_REASON_AT_MOST].encode()),
    ]
    if isinstance(reason, Poison) and reason.path is not None:
        headers.append((FAILED_PATH, reason.path[:_REASON_AT_MOST].encode()))
    return Message(topics.dead_letter(topic), arrived.key, arrived.value, headers, arrived.partition)


_REASON_AT_MOST = 2_000


def _instant(timestamp_ms: int, present: datetime) -> datetime:
    """A broker may hold any 64-bit number as a timestamp, also none (-1)."""
    if timestamp_ms < 0:
        return present
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return present


__all__ = [
    "DLT",
    "ONLY_FOR_GROUP",
    "Arrived",
    "DeadLetterCount",
    "DeadLetterLimit",
    "Outcome",
    "TooManyDeadLetters",
    "Transient",
    "dead_letter",
    "handle",
    "to_record",
]
