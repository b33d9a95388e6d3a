"""What the metrics cost: a task's work with them and without, and one scrape. CPU time, so that a busy machine does not
count."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import generate_latest

from ticket_classifier.adapters.measure import ClassifierMetrics
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import instant_text
from ticket_runtime import runner as runners
from ticket_runtime.attempts import read_mark
from ticket_runtime.clock import Clock
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Message
from ticket_runtime.runner import Position, TaskGroup, TaskRunner
from ticket_runtime.service import spare_the_collector
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.task import Outputs, Record
from ticket_runtime.testing import StoredRecord

pytestmark = pytest.mark.bench

MESSAGES = 20_000
BATCH = 500
ROUNDS = 7
RECORDS_A_TICKET = 18
"""Of a ticket of the incident log, over all topics."""
GOAL = 1.15
IN = TopicPartition("tickets.normalized", 0)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Working:
    """A decision with all that one has, and nothing that would take time by itself."""

    def restore(self, key: bytes, value: bytes | None) -> None: ...

    def handle(self, record: Record, out: Outputs) -> None:
        event = _event.decode(record.value or b"")
        out.emit("tickets.classified", event)
        out.store(record.key or b"", record.value)

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


class NoProducer:
    async def fence(self) -> None: ...

    async def commit(
        self,
        messages: list[Message],
        stored: list[tuple[bytes, bytes | None]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None: ...

    async def close(self) -> None: ...


class NoConsumer:
    def seek(self, tp: TopicPartition, offset: int) -> None: ...

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)


class NoTally:
    """In place of a tally, as cheap as can be."""

    def begin(self, topic: str) -> None: ...
    def end(self) -> None: ...
    def message(self, arrived: object, topic: str, outcome: str, out: object) -> None: ...
    def settle(self, written: list[Message], committed_at: float | None) -> None: ...
    def drop(self) -> None: ...


class Silent:
    """In place of metrics: takes any call and does nothing."""

    group = "classifier"

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Silent:
        return self


_event = msgspec.json.Decoder(TicketClassified)


def records() -> list[StoredRecord]:
    made = []
    for n in range(MESSAGES):
        at = AT + timedelta(seconds=n)
        event = TicketClassified(
            ticket=f"generic:main:{n}",
            decided_for=at,
            ticket_version=1,
            classification_version=1,
            rule="vpn",
            agreement_version="0" * 32,
            category="vpn",
            kind="incident",
            impact="low",
            urgency="medium",
            priority="P4",
            tier=1,
            confidence=0.88,
            inputs=ClassificationInputs(normalized="0" * 32),
        )
        headers = (("ce_id", b"%032x" % n), ("ce_time", instant_text(at).encode()))
        key, value = event.ticket.encode(), msgspec.json.encode(event)
        made.append(StoredRecord(IN.topic, 0, n, int(at.timestamp() * 1_000), key, value, headers))
    return made


async def cpu_us(messages: list[StoredRecord], *, counted: bool) -> float:
    """CPU microseconds of one message, from the inbox to its commit."""

    async def positions(tps: list[TopicPartition]) -> dict[TopicPartition, Position]:
        return {tp: Position(0, read_mark("")) for tp in tps}

    metrics: Any = Metrics("classifier") if counted else Silent()
    observer = ClassifierMetrics(metrics.registry) if counted else None
    given: list[Any] = [
        TaskGroup(
            name="classifier", inputs=[IN.topic], make_work=lambda _: Working(), stateful=False, observer=observer
        ),
        *(0, [IN], NoConsumer(), positions, RuntimeSettings(batch=BATCH), Clock(stream=False), metrics, NoProducer()),
        *(None, lambda: None),
    ]
    runner = TaskRunner(*given)
    if not counted:
        runner._tally = NoTally()  # type: ignore[assignment]
    runner.start(lambda _: None)
    while runner.state != "running":  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    runner._batch = BATCH
    began = time.process_time()
    for start in range(0, MESSAGES, BATCH):
        runner.put(IN, messages[start : start + BATCH])
        while runner._inbox:  # noqa: ASYNC110
            await asyncio.sleep(0)
    used = time.process_time() - began
    await runner.close()
    return used * 1e6 / MESSAGES


@pytest.fixture
def spared() -> Iterator[None]:
    """The collector as a service has it: with the usual thresholds, half of what is measured would be its own."""
    before = gc.get_threshold()
    spare_the_collector()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("spared")
async def test_metrics_cost_little_beside_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "log", Silent())
    messages = records()
    on, off = [], []
    for _ in range(ROUNDS):
        off.append(await cpu_us(messages, counted=False))
        on.append(await cpu_us(messages, counted=True))
    # The least of several: whatever else runs here only adds.
    with_them, without = min(on), min(off)
    cost = with_them - without
    print(  # noqa: T201 - the figures are the result
        f"\na message: {with_them:.2f} µs with metrics, {without:.2f} without: {cost:.2f} µs, "
        f"{RECORDS_A_TICKET * cost:.0f} µs a ticket of {RECORDS_A_TICKET} records"
    )
    assert with_them <= GOAL * without


def test_a_scrape_costs_little_of_a_core() -> None:
    metrics = Metrics("router")
    metrics.expect([f"topic-{n}" for n in range(20)])
    began = time.process_time()
    for _ in range(50):
        text = generate_latest(metrics.registry)
    milliseconds = (time.process_time() - began) * 1_000 / 50
    share = milliseconds / 10_000
    print(f"\na scrape: {milliseconds:.1f} ms, {len(text):,} bytes, {share:.2%} of a core every 10 s")  # noqa: T201
    assert share < 0.01
