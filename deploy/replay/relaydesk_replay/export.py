"""Every decision of a desk as JSON Lines, a file per topic, sorted: two replays can be compared byte by byte."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from ticket_contracts import topics

_HEADERS = ("ce_id", "ce_type", "ce_time", "ce_correlationid", "ce_causationid")
_NOT_DECISIONS = (topics.TIME, topics.PROGRESS, topics.ARTICLES, "handoff.outbox")


@dataclass(frozen=True, slots=True)
class Line:
    """One record as a line: key, the CloudEvents attributes, and the data when it is JSON (else its length)."""

    topic: str
    text: bytes


def exported(names: Iterable[str]) -> list[str]:
    """The topics that hold decisions or accepted messages; not changelogs, nor the replay's own."""
    return [n for n in names if not n.endswith(topics.CHANGELOG) and n not in _NOT_DECISIONS]


async def read_lines(bootstrap: str, prefix: str, names: Iterable[str]) -> list[Line]:
    """All committed records of these topics, from their beginning to their present end."""
    wanted = {prefix + name for name in names}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    lines = []
    try:
        existing = await consumer.topics()
        parts = [
            TopicPartition(t, p) for t in sorted(wanted & existing) for p in consumer.partitions_for_topic(t) or ()
        ]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        open_parts = {tp for tp in parts if ends[tp] > 0}
        while open_parts:
            for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                name = tp.topic.removeprefix(prefix)
                lines += [Line(name, _line(record.key, record.headers, record.value)) for record in records]
            open_parts = {tp for tp in open_parts if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
    return lines


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


def write(lines: list[Line], directory: Path) -> None:
    """`<topic>.jsonl` for each topic that has records, lines in the order of their bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    by_topic: dict[str, list[bytes]] = defaultdict(list)
    for line in lines:
        by_topic[line.topic].append(line.text)
    for topic, texts in by_topic.items():
        (directory / f"{topic}.jsonl").write_bytes(b"".join(text + b"\n" for text in sorted(texts)))


def read_topic(directory: Path, topic: str) -> Iterator[dict[str, object]]:
    """The lines of one exported topic; none when it held no record."""
    path = directory / f"{topic}.jsonl"
    if path.exists():
        for text in path.read_bytes().splitlines():
            yield msgspec.json.decode(text)
