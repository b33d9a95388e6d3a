"""Recorded topics: an exported directory (`<topic>.jsonl`), or a broker read to its present end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ticket_runtime.topics import partition_counts


class RecordedError(ValueError):
    """What was to be read is not there or has another form; says what to do."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One record. n: its place among the records of its key. data: its value, JSON."""

    topic: str = ""
    key: str | None = None
    n: int = 0
    ce_id: str = ""
    ce_type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_row = msgspec.json.Decoder(Recorded)


def from_directory(directory: Path, topics: Iterable[str]) -> Iterator[Recorded]:
    """The records of these topics, in the order of the files. A topic that nothing was written to has no file."""
    if not directory.is_dir():
        raise RecordedError(f"{directory} is no directory; `make replay FEED=FILE OUT={directory}` makes one")
    for topic in topics:
        path = directory / f"{topic}.jsonl"
        if path.exists():
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        yield msgspec.structs.replace(_row.decode(line), topic=topic)
                    except msgspec.DecodeError as error:
                        raise RecordedError(f"{path}:{number}: not a record of an export: {error}") from error


def from_broker(bootstrap: str, prefix: str, topics: Iterable[str]) -> list[Recorded]:
    """All committed records of these topics up to their present end, by partition and offset. RecordedError when the
    broker does not answer, or has none of them."""
    try:
        return asyncio.run(_read(bootstrap, prefix, list(topics)))
    except KafkaError as error:
        raise RecordedError(f"no answer from the broker at {bootstrap} ({error}); is the desk running?") from error


async def _read(bootstrap: str, prefix: str, topics: list[str]) -> list[Recorded]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        counts = await partition_counts(admin, [prefix + topic for topic in topics])
    finally:
        await admin.close()
    if not counts:
        raise RecordedError(f"the broker at {bootstrap} has no topics {prefix}{topics[0]} …; give the desk's --prefix")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    found: list[Recorded] = []
    try:
        for topic in topics:
            if count := counts.get(prefix + topic):
                found += await _topic(consumer, topic, [TopicPartition(prefix + topic, n) for n in range(count)])
    finally:
        await consumer.stop()
    return found


async def _topic(consumer: AIOKafkaConsumer, topic: str, partitions: list[TopicPartition]) -> list[Recorded]:
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    await consumer.seek_to_beginning(*partitions)
    read: list[tuple[int, int, Recorded]] = []
    behind = {each for each in partitions if ends[each] > 0}
    while behind:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            for record in records:
                said = dict(record.headers)
                row = Recorded(
                    topic=topic,
                    key=record.key.decode() if record.key is not None else None,
                    n=record.offset,
                    ce_id=said.get("ce_id", b"").decode(),
                    ce_type=said.get("ce_type", b"").decode(),
                    data=msgspec.Raw(record.value or b"null"),
                )
                read.append((record.partition, record.offset, row))
        behind = {each for each in behind if await consumer.position(each) < ends[each]}
    read.sort(key=lambda entry: entry[:2])
    return [row for _, _, row in read]
