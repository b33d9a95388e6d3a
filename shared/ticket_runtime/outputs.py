"""What the work of one batch gave out, held back until it is certain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from ticket_contracts import cloudevents
from ticket_contracts.cloudevents import Event, Trace
from ticket_contracts.ids import event_id as derive_id
from ticket_runtime.task import Reason, Record

FORWARDED_TYPE = "relaydesk.message.forwarded.v1"
"""The `ce_type` of a message that was re-keyed untouched, unless it brings one."""

_ID = re.compile("[0-9a-f]{32}")
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_OWN_ATTRIBUTES = frozenset({"ce_id", "ce_correlationid", "ce_causationid", "ce_traceparent"})


class Message(msgspec.Struct, frozen=True):
    """One record to be written. partition: None where the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int | None


class Collector:
    """`ticket_runtime.task.Outputs` over lists.

    source: `/relaydesk/<service>`. own_partition: of the task, whose tickets all have it; None for a task over all
    partitions.
    """

    def __init__(self, source: str, own_partition: int | None) -> None:
        self.messages: list[Message] = []
        self.stored: list[tuple[bytes, bytes | None]] = []
        self.decided: list[tuple[str, Event]] = []
        """What was emitted, as events: for who counts them once they are committed."""
        self.records: list[Message] = []
        """The same as it is written, in the same order."""
        self.cause: Record | None = None
        """The record that was handled last, None for a timer or one that could not be read."""
        self.refused: Reason = "refused"
        """Why the last dead letter is one."""
        self._source = source
        self._own_partition = own_partition
        self._trace: Trace | None = None
        self._cause_id = ""

    def begin(self, cause: Record | None) -> tuple[int, int, int]:
        """What follows is caused by this record, or by itself. Returns the mark that `drop_since` takes."""
        self.cause = cause
        self._trace = None
        return len(self.messages), len(self.stored), len(self.decided)

    def drop_since(self, mark: tuple[int, int, int]) -> None:
        del self.messages[mark[0] :], self.stored[mark[1] :], self.decided[mark[2] :], self.records[mark[2] :]

    def take(self) -> tuple[list[Message], list[tuple[bytes, bytes | None]]]:
        """All that was given out, which is forgotten here: messages and changelog records, each in order. Who needs
        `decided` or `records` reads them before."""
        taken = self.messages, self.stored
        self.messages, self.stored, self.decided, self.records = [], [], [], []
        return taken

    def emit(self, topic: str, event: Event) -> str:
        own_id = cloudevents.ce_id(event)
        key = event.ticket.encode()
        self.decided.append((topic, event))
        record = Message(
            topic,
            key,
            cloudevents.encode(event),
            cloudevents.headers(
                own_id,
                event.TYPE,
                self._source,
                event.ticket,
                cloudevents.instant_text(event.decided_for),
                self._trace_of(own_id),
            ),
            self._partition_of(key),
        )
        self.messages.append(record)
        self.records.append(record)
        return own_id

    def forward(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        kept = [(name, said) for name, said in headers if name not in _OWN_ATTRIBUTES]
        brought = {name for name, _ in kept}
        at = self.cause.instant if self.cause is not None else None
        if at is None:
            raise ValueError("only a record can be forwarded: `forward` was called outside of `handle`")
        added = cloudevents.headers(
            event_id,
            FORWARDED_TYPE,
            self._source,
            key.decode(errors="replace"),
            cloudevents.instant_text(at),
            self._trace_of(event_id),
        )
        kept.extend(header for header in added if header[0] not in brought)
        self.messages.append(Message(topic, key, value, kept, self._partition_of(key)))

    def store(self, key: bytes, value: bytes | None) -> None:
        self.stored.append((key, value))

    def add(self, message: Message) -> None:
        """A record of the runtime's own: a dead letter, a progress."""
        self.messages.append(message)

    def _partition_of(self, key: bytes) -> int | None:
        cause = self.cause
        if cause is None:
            return self._own_partition
        return cause.partition if cause.key == key else None

    def _trace_of(self, own_id: str) -> Trace:
        if self.cause is None:
            return Trace(own_id, own_id, cloudevents.root_traceparent(own_id))
        if self._trace is None:
            self._trace, self._cause_id = trace_of(self.cause)
        return cloudevents.follow(self._trace, self._cause_id, own_id)


def is_traceparent(text: str) -> bool:
    """Whether a W3C trace context can go on from this."""
    return _TRACEPARENT.fullmatch(text) is not None


def trace_of(record: Record) -> tuple[Trace, str]:
    """The trace that a record carries, or the one that begins with it, and the record's own id."""
    return trace_from(record.headers, record.topic, record.partition, record.offset)


def trace_from(said: Mapping[str, bytes], topic: str, partition: int, offset: int) -> tuple[Trace, str]:
    """The same of headers by name, and where they stand; topic: without prefix."""
    own = said.get("ce_id")
    own_id = own.decode(errors="replace") if own else derive_id(topic, partition, offset)
    named = said.get("ce_correlationid")
    correlation = own_id if named is None else named.decode(errors="replace")
    traceparent = (said.get("ce_traceparent") or said.get("traceparent") or b"").decode(errors="replace")
    if not _TRACEPARENT.fullmatch(traceparent):
        hexadecimal = correlation if _ID.fullmatch(correlation) else derive_id(correlation)
        traceparent = cloudevents.root_traceparent(hexadecimal)
    named = said.get("ce_causationid")
    causation = own_id if named is None else named.decode(errors="replace")
    return Trace(correlation, causation, traceparent), own_id


def instant_of(headers: dict[str, bytes]) -> datetime:
    """The `ce_time` of one of Relaydesk's own events. Raises ValueError saying what is wrong with it."""
    said = headers.get("ce_time")
    if said is None:
        raise ValueError("the header ce_time is missing; send CloudEvents 1.0 in binary mode")
    try:
        return cloudevents.parse_instant(said.decode())
    except ValueError:
        raise ValueError("the header ce_time is not an RFC 3339 instant such as 2026-03-02T09:00:00Z") from None
