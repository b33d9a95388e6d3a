"""Following one ticket: every record that speaks of it, on every topic of a desk, in the order in which it happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2

from ticket_contracts import topics
from ticket_contracts.cloudevents import instant_text, parse_instant
from ticket_runtime.outputs import trace_from
from ticket_runtime.topics import partition_counts

_LEFT_OUT: Final = (topics.CHANGELOG, topics.TIME, topics.PROGRESS, topics.AGREEMENT, topics.ARTICLES)
_INBOUND: Final = "relaydesk-inbound"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a ticket, without its text. at: its own time (RFC 3339), or the broker's where it has none.

    cause: id of the event that it followed from. correlationid: of the inbound message that began the chain;
    traceparent: as it stands in the record, or as it follows from it.
    """

    at: str
    topic: str
    partition: int
    offset: int
    type: str
    id: str
    cause: str
    correlationid: str
    traceparent: str


async def follow(bootstrap: str, prefix: str, ticket: str) -> list[Seen]:
    """What the topics hold of a ticket, committed records alone; the messages that it was made of included. Raises
    KafkaConnectionError. Reads the ticket's partition of every topic to its present end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        counts = await partition_counts(admin)
    finally:
        await admin.close()
    ours = {name: count for name, count in counts.items() if name.startswith(prefix) and not name.startswith("__")}
    kept = {name: count for name, count in ours.items() if not name.endswith(_LEFT_OUT)}
    key = ticket.encode()
    at = [TopicPartition(name, (murmur2(key) & 0x7FFFFFFF) % count) for name, count in kept.items()]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=16_000_000,
    )
    await consumer.start()
    try:
        found: list[Seen] = []
        sources: set[tuple[str, int, int]] = set()
        async for record in _read(consumer, at):
            if record.key == key:
                found.append(_seen(record, prefix))
                inbound = dict(record.headers).get(_INBOUND, b"").decode().rsplit("/", 2)
                if len(inbound) == 3:
                    sources.add((prefix + inbound[0], int(inbound[1]), int(inbound[2])))
        # A tool's message has any key, or none: the record under the ticket's key says where it stood.
        found += [
            _seen(record, prefix)
            async for record in _read(consumer, [TopicPartition(topic, partition) for topic, partition, _ in sources])
            if (record.topic, record.partition, record.offset) in sources and record.key != key
        ]
    finally:
        await consumer.stop()
    return _in_order(found)


async def _read(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> AsyncIterator[Any]:
    wanted = sorted(set(partitions))
    if not wanted:
        return
    consumer.assign(wanted)
    ends = await consumer.end_offsets(wanted)
    await consumer.seek_to_beginning(*wanted)
    while any([await consumer.position(tp) < ends[tp] for tp in wanted]):
        for records in (await consumer.getmany(timeout_ms=50)).values():
            for record in records:
                yield record


def _seen(record: Any, prefix: str) -> Seen:
    said = dict(record.headers)
    topic = record.topic.removeprefix(prefix)
    trace, own = trace_from(said, topic, record.partition, record.offset)
    at = said.get("ce_time", b"").decode(errors="replace")
    return Seen(
        at=at or _text_of(record.timestamp),
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        type=said.get("ce_type", b"").decode(errors="replace"),
        id=own,
        cause=said.get("ce_causationid", b"").decode(errors="replace"),
        correlationid=trace.correlation,
        traceparent=trace.traceparent,
    )


def _text_of(milliseconds: int) -> str:
    return instant_text(datetime.fromtimestamp(max(milliseconds, 0) / 1_000, UTC))


def _in_order(found: list[Seen]) -> list[Seen]:
    """By time; of one instant causes stand before what followed from them."""
    depth: dict[str, int] = {}
    by_id = {seen.id: seen for seen in found}

    def deep(seen: Seen) -> int:
        if seen.id not in depth:
            depth[seen.id] = 0  # ends what would go round
            cause = by_id.get(seen.cause)
            depth[seen.id] = 0 if cause is None or cause is seen else deep(cause) + 1
        return depth[seen.id]

    return sorted(found, key=lambda seen: (parse_instant(seen.at), deep(seen), seen.topic, seen.offset))
