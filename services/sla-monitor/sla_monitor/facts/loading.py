"""All facts at once: from an export of a replay, or from the topics themselves. The same rows as the worker writes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.adapters.recorded import from_directory
from sla_monitor.facts import schema, store, tables
from sla_monitor.facts.reading import TOPICS, Row, Unreadable, rows_of

_BATCH = 2_000


class Refused(ValueError):
    """It would lose facts; says what to do."""


@dataclass(slots=True)
class Loaded:
    """records: read; facts: new ones. unreadable: records without a fact, by topic."""

    records: int = 0
    facts: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)


class _Writer:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: list[Row] = []
        self.loaded = Loaded()

    async def add(self, topic: str, ce_type: str, value: bytes | None, partition: int, offset: int) -> None:
        self.loaded.records += 1
        try:
            self._rows += rows_of(topic, ce_type, value)
        except Unreadable as why:
            self.loaded.unreadable[topic] = self.loaded.unreadable.get(topic, 0) + 1
            where = {"topic": topic, "partition": partition, "offset": offset, "reason": str(why)}
            self._rows.append((tables.unreadable, where))
        if len(self._rows) >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        rows, self._rows = self._rows, []
        self.loaded.facts += await store.write(self._engine, rows)


async def load(engine: AsyncEngine, directory: Path) -> Loaded:
    """Adds the facts of an export (`make replay FEED=… OUT=DIR`). Raises RecordedError."""
    await schema.migrate(engine)
    writer = _Writer(engine)
    for record in from_directory(directory, TOPICS):
        await writer.add(record.topic, record.ce_type, bytes(record.data), -1, writer.loaded.records)
    await _finish(engine, writer)
    return writer.loaded


async def rebuild(
    engine: AsyncEngine, bootstrap: str, prefix: str, *, forget: bool, say: Callable[[str], None] = lambda _: None
) -> Loaded:
    """Takes every fact away and reads the topics from their beginning to their present end. Safe beside a worker: what
    it adds meanwhile is added again, which changes nothing.

    forget: also when the topics no longer hold the oldest events, whose facts are then gone.
    Raises Refused, KafkaError.
    """
    await schema.migrate(engine)
    writer = _Writer(engine)
    async with _reader(bootstrap) as (consumer, admin):
        partitions = await _partitions(admin, prefix)
        beginnings = await consumer.beginning_offsets([tp for tp, _ in partitions])
        gone = sorted({name for tp, name in partitions if beginnings[tp] > 0 and name not in _COMPACTED})
        if gone and not forget:
            raise Refused(
                f"the oldest records of {', '.join(gone)} are past their retention: their facts could not be made"
                " again. Run it with --forget to lose them"
            )
        await schema.empty(engine)
        for tp, name in partitions:
            await _read(consumer, tp, name, writer)
            say(f"{tp.topic}/{tp.partition}: {writer.loaded.records:,} records, {writer.loaded.facts:,} facts so far")
    await _finish(engine, writer)
    return writer.loaded


_COMPACTED = ("desk.agreement",)


async def _partitions(admin: AIOKafkaAdminClient, prefix: str) -> list[tuple[TopicPartition, str]]:
    described = await admin.describe_topics([prefix + name for name in TOPICS])
    missing = [topic["topic"] for topic in described if topic["error_code"]]
    if missing:
        raise Refused(f"the broker has no topic {', '.join(sorted(missing))}: is it this desk's, and its prefix?")
    return sorted(
        (TopicPartition(topic["topic"], partition["partition"]), topic["topic"].removeprefix(prefix))
        for topic in described
        for partition in topic["partitions"]
    )


async def _read(consumer: AIOKafkaConsumer, tp: TopicPartition, name: str, writer: _Writer) -> None:
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    await consumer.seek_to_beginning(tp)
    while await consumer.position(tp) < end:
        for record in (await consumer.getmany(timeout_ms=100)).get(tp, ()):
            kind = dict(record.headers).get("ce_type", b"").decode(errors="replace")
            await writer.add(name, kind, record.value, record.partition, record.offset)


async def _finish(engine: AsyncEngine, writer: _Writer) -> None:
    await writer.flush()
    async with engine.begin() as connection:
        for table in tables.metadata.sorted_tables:
            await connection.execute(text(f"ANALYZE {tables.SCHEMA}.{table.name}"))


@contextlib.asynccontextmanager
async def _reader(bootstrap: str) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaAdminClient]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    async with contextlib.AsyncExitStack() as stack:
        await admin.start()
        stack.push_async_callback(admin.close)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        yield consumer, admin
