"""Every decision of a desk as JSON Lines, a file per topic, sorted: two replays can be compared byte by byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from ticket_contracts import topics

_HEADERS = ("ce_id", "ce_type", "ce_time", "ce_correlationid", "ce_causationid")
_NOT_DECISIONS = (topics.TIME, topics.PROGRESS, topics.ARTICLES, "handoff.outbox")


def exported(names: Iterable[str]) -> list[str]:
    """The topics that hold decisions or accepted messages; not changelogs, nor the replay's own."""
    return [n for n in names if not n.endswith(topics.CHANGELOG) and n not in _NOT_DECISIONS]


async def export(bootstrap: str, prefix: str, names: Iterable[str], directory: Path) -> int:
    """Writes all committed records of these topics, up to their present end, as `<topic>.jsonl` with the lines in the
    order of their bytes; returns how many. One topic is in memory at a time."""
    directory.mkdir(parents=True, exist_ok=True)
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
        existing = await consumer.topics()
        for name in sorted(names):
            if prefix + name in existing:
                texts = await _read(consumer, prefix + name)
                if texts:
                    (directory / f"{name}.jsonl").write_bytes(b"".join(text + b"\n" for text in sorted(texts)))
                written += len(texts)
    finally:
        await consumer.stop()
    return written


async def _read(consumer: AIOKafkaConsumer, topic: str) -> list[bytes]:
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    await consumer.seek_to_beginning(*partitions)
    behind = {tp for tp in partitions if ends[tp] > 0}
    texts = []
    while behind:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            texts += [_line(record.key, record.headers, record.value) for record in records]
        behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
    return texts


def _line(key: bytes | None, headers: Iterable[tuple[str, bytes]], value: bytes | None) -> bytes:
    said = dict(headers)
    row: dict[str, object] = {"key": None if key is None else key.decode(errors="replace")}
    row |= {name: said[name].decode(errors="replace") for name in _HEADERS if name in said}
    row |= {name: said[name].decode(errors="replace") for name in sorted(said) if name.startswith("relaydesk-")}
    try:
        row["data"] = msgspec.Raw(value) if value and msgspec.json.decode(value) is not None else None
    except msgspec.DecodeError:
        row["data_bytes"] = len(value or b"")
    return msgspec.json.encode(row)


def read_topic(directory: Path, topic: str) -> Iterator[dict[str, object]]:
    """The lines of one exported topic; none when it held no record."""
    path = directory / f"{topic}.jsonl"
    if path.exists():
        for text in path.read_bytes().splitlines():
            yield msgspec.json.decode(text)
