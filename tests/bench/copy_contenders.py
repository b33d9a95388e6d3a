"""Three ways to copy a topic, each run as a process of its own by the bench: `python copy_contenders.py NAME`.

- bare: aiokafka, one transactional producer for each partition, records passed through as they came.
- faust: an agent that reads and sends, as Faust's guide shows it.
- runtime: a service on the runtime: headers read, a model decoded, changed and encoded, a deterministic id, CloudEvents
  headers, a trace, metrics, offsets with their marks.

Settings by environment: BENCH_BOOTSTRAP, BENCH_IN, BENCH_OUT (topics), BENCH_DIR.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from ticket_contracts.cloudevents import Event, Instant

BOOTSTRAP = os.environ.get("BENCH_BOOTSTRAP", "")
IN, OUT = os.environ.get("BENCH_IN", ""), os.environ.get("BENCH_OUT", "")
BATCH = 1_000


class Copied(Event, frozen=True, kw_only=True):
    """A ticket of some twenty fields, about 950 bytes as JSON."""

    TYPE: ClassVar[str] = "bench.copied.v1"

    ticket_version: int
    source: str
    instance: str
    external_id: str
    url: str | None
    channel: str
    kind: str
    title: str
    text: str
    language: str | None
    status: str
    priority: str | None
    service: str | None
    configuration_item: str | None
    assignee: str | None
    group: str | None
    created_at: Instant
    updated_at: Instant
    changed: list[str]
    tags: dict[str, str]

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.ticket_version


def bare() -> None:
    import uvloop
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor

    async def run() -> None:
        consumer = AIOKafkaConsumer(
            IN,
            bootstrap_servers=BOOTSTRAP,
            group_id=f"{OUT}-bare",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        await consumer.start()
        producers: dict[TopicPartition, AIOKafkaProducer] = {}

        async def copy(tp: TopicPartition, records: list[Any]) -> None:
            if tp not in producers:
                producers[tp] = AIOKafkaProducer(
                    bootstrap_servers=BOOTSTRAP, transactional_id=f"{OUT}-{tp.partition}", max_batch_size=262_144
                )
                await producers[tp].start()
            producer = producers[tp]
            async with producer.transaction():
                for record in records:
                    await producer.send(
                        OUT, record.value, record.key, partition=tp.partition, headers=list(record.headers)
                    )
                await producer.send_offsets_to_transaction({tp: records[-1].offset + 1}, f"{OUT}-bare")

        while True:
            batches = await consumer.getmany(timeout_ms=1_000, max_records=4 * BATCH)
            await asyncio.gather(*(copy(tp, records) for tp, records in batches.items()))

    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(run())


def faust() -> None:
    import faust as streaming

    app = streaming.App(
        f"{OUT}-faust",
        broker=f"kafka://{BOOTSTRAP}",
        datadir=os.path.join(os.environ["BENCH_DIR"], "faust"),
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
    )
    source, sink = app.topic(IN, value_type=bytes), app.topic(OUT, value_type=bytes)

    @app.agent(source)
    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await sink.send(key=event.key, value=event.value)

    streaming.Worker(app, loglevel="ERROR").execute_from_commandline()


def runtime() -> None:
    from ticket_runtime.service import ServiceSpec, run_service
    from ticket_runtime.settings import RuntimeSettings
    from ticket_runtime.task import Outputs, Record

    decoder = msgspec.json.Decoder(Copied)

    class Copying:
        def restore(self, key: bytes, value: bytes | None) -> None: ...

        def handle(self, record: Record, out: Outputs) -> None:
            ticket = decoder.decode(record.value or b"")
            out.emit(OUT, msgspec.structs.replace(ticket, status="open"))

        def fire(self, now: datetime, out: Outputs) -> None: ...

        def next_due(self) -> datetime | None:
            return None

    spec = ServiceSpec(
        name=f"{OUT}-runtime",
        inputs=[IN],
        make_work=lambda context: Copying(),
        stateful=False,
        needs_agreement=False,
    )
    raise SystemExit(run_service(spec, RuntimeSettings(bootstrap=BOOTSTRAP, batch=BATCH, log_level="WARNING")))


if __name__ == "__main__":
    {"bare": bare, "faust": faust, "runtime": runtime}[sys.argv[1]]()
