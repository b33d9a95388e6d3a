"""Every decision of a desk as JSON Lines, a file per topic, sorted: two replays can be compared byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ticket_contracts import topics
from ticket_runtime.topics import partition_counts

_HEADERS = ("ce_id", "ce_type", "ce_time", "ce_correlationid", "ce_causationid")
_DLT_NUMBERS = ("kafka_dlt-original-partition", "kafka_dlt-original-offset", "kafka_dlt-original-timestamp")
_NOT_DECISIONS = (topics.TIME, topics.PROGRESS, topics.ARTICLES, "handoff.outbox")


def exported(names: Iterable[str]) -> list[str]:
    """The topics that hold decisions or accepted messages; not changelogs, nor the replay's own."""
    return [n for n in names if not n.endswith(topics.CHANGELOG) and n not in _NOT_DECISIONS]


async def export(bootstrap: str, prefix: str, names: Iterable[str], directory: Path) -> int:
    """Writes all committed records of these topics, up to their present end, as `<topic>.jsonl` with the lines in the
    order of their bytes; returns how many. One topic is in memory at a time."""
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a file a topic, nobody waits meanwhile
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    written = 0
    try:
        partitions = await partition_counts_of(bootstrap)
        for name in sorted(names):
            if prefix + name in partitions:
                texts = await _read(consumer, prefix + name, partitions[prefix + name])
                if texts:
                    (directory / f"{name}.jsonl").write_bytes(b"".join(text + b"\n" for text in sorted(texts)))
                written += len(texts)
    finally:
        await consumer.stop()
    return written


async def partition_counts_of(bootstrap: str) -> dict[str, int]:
    """Full topic name -> partitions, of all that the broker has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await partition_counts(admin)
    finally:
        await admin.close()


async def _read(consumer: AIOKafkaConsumer, topic: str, count: int) -> list[bytes]:
    partitions = [TopicPartition(topic, p) for p in range(count)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    await consumer.seek_to_beginning(*partitions)
    behind = {tp for tp in partitions if ends[tp] > 0}
    texts = []
    seen: Counter[tuple[int, bytes | None]] = Counter()
    while behind:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            for record in records:
                seen[record.partition, record.key] += 1
                texts.append(_line(record, seen[record.partition, record.key]))
        behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
    return texts


def _line(record: ConsumerRecord[bytes | None, bytes | None], ordinal: int) -> bytes:
    """`n` counts the records of a key, in their order. `at` (partition/offset) stands on messages from outside only:
    theirs does not depend on where transaction markers fell."""
    said = dict(record.headers)
    row: dict[str, object] = {"key": None if record.key is None else record.key.decode(errors="replace")}
    if "ce_id" not in said or record.topic.find(topics.INBOUND) >= 0:
        row["at"] = f"{record.partition}/{record.offset}"
    row |= {name: said[name].decode(errors="replace") for name in _HEADERS if name in said}
    row |= {name: said[name].decode(errors="replace") for name in sorted(said) if name.startswith("relaydesk-")}
    row["n"] = ordinal
    for name in sorted(said):
        if name.startswith("kafka_dlt-original-") and name not in _DLT_NUMBERS:
            row[name] = said[name].decode(errors="replace")
        elif name in _DLT_NUMBERS:
            row[name] = int.from_bytes(said[name], "big")
        elif name.startswith("kafka_dlt-exception-"):
            row[name] = said[name].decode(errors="replace")
    row["data"] = msgspec.Raw(record.value) if record.value and _is_json(record.value) else None
    row["bytes"] = len(record.value or b"")
    return msgspec.json.encode(row)


def _is_json(value: bytes) -> bool:
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        return False
    return True


def read_topic(directory: Path, topic: str) -> Iterator[dict[str, object]]:
    """The lines of one exported topic; none when it held no record."""
    path = directory / f"{topic}.jsonl"
    if path.exists():
        for text in path.read_bytes().splitlines():
            yield msgspec.json.decode(text)
