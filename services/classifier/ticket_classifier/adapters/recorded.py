"""A desk's published classifications with all that they rest on, from a replay's directory or from the topics
themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ticket_contracts import topics
from ticket_contracts.agreement import Published, parse_published
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.tickets import Feedback, TicketNormalized
from ticket_runtime.topics import partition_counts

_E = TypeVar("_E", bound=Event)
Read = Callable[[str], Iterable[tuple[str, bytes]]]
"""Topic -> its records as (ce_type, the value's JSON)."""

_TIMEOUT_MS = 15_000


class Recorded:
    """A desk's record, all of it in memory. decisions: by ticket and version. Raises ValueError for an altered
    agreement, and msgspec.DecodeError for what is no record of a desk."""

    def __init__(self, read: Read) -> None:
        published = (parse_published(value) for _, value in read(topics.AGREEMENT))
        self.agreements: dict[str, Published] = {version.version: version for version in published}
        self.decisions = sorted(
            _events(read, topics.CLASSIFIED, TicketClassified), key=lambda e: (e.ticket, e.classification_version)
        )
        wanted = {(event.ticket, event.ticket_version) for event in self.decisions}
        self.tickets: dict[tuple[str, int], TicketNormalized] = {
            key: ticket
            for ticket in _events(read, topics.NORMALIZED, TicketNormalized)
            if (key := (ticket.ticket, ticket.ticket_version)) in wanted
        }
        named = {name for event in self.decisions for name in (event.inputs.feedback, *event.inputs.earlier)}
        self.feedback: dict[str, Feedback] = {}
        for feedback in all_feedback(read):
            if feedback.feedback_id in named:
                self.feedback.setdefault(feedback.feedback_id, feedback)


def _events(read: Read, topic: str, model: type[_E]) -> Iterator[_E]:
    decoder = msgspec.json.Decoder(model)
    return (decoder.decode(value) for kind, value in read(topic) if kind == model.TYPE)


class _Line(msgspec.Struct):
    ce_type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


def directory(path: Path) -> Read:
    """Reads a replay's OUT directory: `<topic>.jsonl`, a record a line. Raises FileNotFoundError when it has no
    classifications."""
    if not (path / f"{topics.CLASSIFIED}.jsonl").is_file():
        raise FileNotFoundError(f"{path} holds no {topics.CLASSIFIED}.jsonl; make one with `make replay … OUT={path}`")
    decoder = msgspec.json.Decoder(_Line)

    def read(topic: str) -> Iterator[tuple[str, bytes]]:
        file = path / f"{topic}.jsonl"
        if file.is_file():
            with file.open("rb") as lines:
                for line in lines:
                    found = decoder.decode(line)
                    yield found.ce_type or "", bytes(found.data)

    return read


class NoRecordError(ValueError):
    """What was read is no record of a desk, or no broker answers: says what to do."""


def reading(out: Path | None, bootstrap: str | None, prefix: str) -> Read:
    """A replay's directory, or a desk's broker. What cannot be read is raised as NoRecordError."""
    read = directory(out) if out is not None else broker(bootstrap or "", prefix)

    def said(topic: str) -> list[tuple[str, bytes]]:
        try:
            return list(read(topic))
        except KafkaError as error:
            raise NoRecordError(
                f"no answer from the broker at {bootstrap} ({error}); name a directory with --out"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NoRecordError(f"{topic} is no record of a desk: {error}") from None

    return said


def newest_tickets(read: Read) -> list[TicketNormalized]:
    """Every ticket as it is now."""
    newest: dict[str, TicketNormalized] = {}
    for ticket in _events(read, topics.NORMALIZED, TicketNormalized):
        if ticket.ticket not in newest or newest[ticket.ticket].ticket_version < ticket.ticket_version:
            newest[ticket.ticket] = ticket
    return list(newest.values())


def decisions(read: Read) -> list[TicketClassified]:
    return list(_events(read, topics.CLASSIFIED, TicketClassified))


def all_feedback(read: Read) -> list[Feedback]:
    """What can be read of it. Others write there: the rest became dead letters, and no decision rests on them."""
    found = []
    for _, value in read(topics.FEEDBACK):
        try:
            found.append(msgspec.json.decode(value, type=Feedback))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def broker(bootstrap: str, prefix: str) -> Read:
    """Reads a desk's topics, as far as they are committed now. Raises KafkaError."""
    return lambda topic: asyncio.run(_committed(bootstrap, prefix + topic))


async def _committed(bootstrap: str, topic: str) -> list[tuple[str, bytes]]:
    """All of a topic; nothing when it is not there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_TIMEOUT_MS)
    try:
        await admin.start()
        count = (await partition_counts(admin, [topic])).get(topic, 0)
    finally:
        await admin.close()
    found: list[tuple[str, bytes]] = []
    if not count:
        return found
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        request_timeout_ms=_TIMEOUT_MS,
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while [p for p in partitions if await consumer.position(p) < ends[p]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if record.value is not None:
                        found.append((dict(record.headers).get("ce_type", b"").decode(), record.value))  # noqa: PERF401
        return found
    finally:
        await consumer.stop()
