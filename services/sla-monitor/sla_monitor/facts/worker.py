"""The Faust worker that gathers facts: an agent for each topic, stateless, one at a time, in batches, sending nothing.

A batch is acknowledged after the transaction that wrote its facts, so a kill repeats what came since, and the inserts
make the repetition nothing. An exception in a Faust agent would acknowledge the message and leave the agent dead for
seconds, so none leaves ours: what the database cannot take is recorded as unreadable, what cannot be reached is tried
again for a while, and then the process ends and is started anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts import store, tables
from sla_monitor.facts.measure import FactsMetrics
from sla_monitor.facts.reading import TOPICS, Row, Unreadable, rows_of
from ticket_runtime.logs import logger

GROUP = "facts"
_BATCH = 500
_WITHIN_SECONDS = 0.2
_GIVE_UP_SECONDS = 60.0

log = logger(__name__)


class _CommittedThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for it, and would count what a transaction took back.
        assert consumer._isolation_level == "read_uncommitted"
        consumer._isolation_level = "read_committed"
        # Faust's 1.5 s: so long one drained partition holds up all others of its broker.
        consumer._fetch_max_wait_ms = 100
        return consumer


class _CommittedConsumer(Consumer):
    """Commits what was written, and nothing else.

    Faust derives the offset from acknowledgements without a gap, and takes a gap for acknowledged up to and with the
    record behind it. On topics whose transactions end in markers everything is full of gaps: it stood still for good on
    most partitions of a replay. And it acknowledges what it skips in a rebalance.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._written: dict[Any, int] = {}

    def wrote(self, message: Any) -> None:
        """Its facts, and those of all before it in its partition, are in the database. What was fetched before a
        rebalance says nothing: the partition is read from its committed offset again."""
        if message.generation_id == self.app.consumer_generation_id:
            self._written[message.tp] = message.offset + 1

    async def on_partitions_revoked(self, revoked: Any) -> None:
        for tp in revoked:
            self._written.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    def _new_offset(self, tp: Any) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._written.get(tp)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Gaps are of no interest."""

    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class _CommittedTransport(Transport):
    Consumer = _CommittedConsumer


class _OnlyReads(BootStrategy):
    enable_kafka_producer = False
    enable_web = False


class _App(faust.App):
    BootStrategy = _OnlyReads


class Gatherer:
    """The agents of one process. failed: done, with the reason, when the process must end."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        engine: AsyncEngine,
        directory: Path,
        metrics: FactsMetrics,
        *,
        session_seconds: float = 10.0,
    ) -> None:
        self._prefix, self._engine = prefix, engine
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._metrics = metrics
        self.app = _App(
            prefix + GROUP,
            broker=f"kafka://{bootstrap}",
            datadir=directory,
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=session_seconds,
            broker_heartbeat_interval=session_seconds / 4,
            broker_max_poll_records=2 * _BATCH,
            # Ours are bytes: nothing is decoded on the way, so nothing can fail there.
            key_serializer="raw",
            value_serializer="raw",
        )
        self.app.transport = _CommittedTransport(self.app.conf.broker, self.app)
        for topic in TOPICS:
            self._agent(topic)

    def _agent(self, topic: str) -> None:
        async def gather(stream: Any) -> None:
            batches: AsyncIterator[Sequence[Any]] = stream.noack_take(_BATCH, within=_WITHIN_SECONDS)
            async for events in batches:
                await self._handle(topic, events)
                consumer: Any = self.app.consumer
                for event in events:
                    event.ack()
                    consumer.wrote(event.message)

        channel = self.app.topic(self._prefix + topic, key_serializer="raw", value_serializer="raw")
        self.app.agent(channel, name=f"{GROUP}.{topic}", concurrency=1)(gather)

    async def _handle(self, topic: str, events: Sequence[Any]) -> None:
        """Returns when the facts of these events are written; never raises but to be cancelled."""
        try:
            with self._metrics.batch.labels(topic).time():
                new = await self._write(topic, [self._record(topic, event.message) for event in events])
            self._metrics.records.labels(topic).inc(len(events))
            self._metrics.written.labels(topic).inc(new)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Nothing is acknowledged: the process ends, and the next begins with these events.
            if not self.failed.done():
                self.failed.set_exception(error)
            await asyncio.Event().wait()

    def _record(self, topic: str, message: Any) -> tuple[tuple[int, int], list[Row]]:
        """((partition, offset), rows) of a record."""
        where = message.partition, message.offset
        try:
            kind = dict(message.headers or ()).get("ce_type", b"").decode(errors="replace")
            return where, rows_of(topic, kind, message.value)
        except Unreadable as why:
            return where, [self._spoilt(topic, where, str(why))]

    def _spoilt(self, topic: str, where: tuple[int, int], reason: str) -> Row:
        self._metrics.unreadable.labels(topic).inc()
        log.warning("unreadable", topic=topic, partition=where[0], offset=where[1], reason=reason)
        return tables.unreadable, {"topic": topic, "partition": where[0], "offset": where[1], "reason": reason}

    async def _write(self, topic: str, records: list[tuple[tuple[int, int], list[Row]]]) -> int:
        try:
            return await self._patiently([row for _, rows in records for row in rows])
        except DBAPIError as error:
            if not store.is_lasting(error):
                raise
            if len(records) == 1:
                spoilt = self._spoilt(topic, records[0][0], f"the database refuses it: {store.sqlstate(error)}")
                return await self._patiently([spoilt])
        # One of them is at fault: the others are written.
        return sum([await self._write(topic, [record]) for record in records])

    async def _patiently(self, rows: list[Row]) -> int:
        """Trouble of the database is waited out for a minute."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GIVE_UP_SECONDS
        pause = 0.05
        while True:
            try:
                return await store.write(self._engine, rows)
            except (DBAPIError, OSError, TimeoutError) as error:
                if (isinstance(error, DBAPIError) and store.is_lasting(error)) or loop.time() > until:
                    raise
                self._metrics.retries.inc()
                log.warning("the database is in trouble", error=store.first_line(error), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)
