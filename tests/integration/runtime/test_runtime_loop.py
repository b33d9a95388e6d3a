"""The transactional loop over a real broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.cloudevents import Event
from ticket_contracts.topics import Topic
from ticket_runtime.handling import DLT, ONLY_FOR_GROUP
from ticket_runtime.task import Outputs, Poison, Record, Transient

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WANTED = [
    Topic(name="inbound.test", written_by="a test", broker_time=True),
    Topic(name="numbers", written_by="a test"),
    Topic(name="counted", written_by="counter"),
    Topic(name="counter.changelog", written_by="counter", compacted=True),
]


class Counted(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "test.counted.v1"

    count: int

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.count


class Counting:
    """Counts the messages of each key; says so, and remembers it."""

    def __init__(self, task: int) -> None:
        self.counts: Counter[bytes] = Counter()
        self.due: datetime | None = None
        self.refused = 0
        self.restored = 0

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.restored += 1
        self.counts[key] = int(value or b"0")

    def handle(self, record: Record, out: Outputs) -> None:
        key = record.key or b"none"
        match record.value:
            case b"poison":
                out.emit("counted", Counted(ticket="never:seen:1", decided_for=record.instant, count=0))
                raise Poison("the value is poison; send a number")
            case b"busy" if self.refused < 2:
                self.refused += 1
                raise Transient("the other side is away", delay=0.05)
            case b"deadly":
                raise ZeroDivisionError("a fault")
        count = self.counts[key] + 1
        out.store(key, str(count).encode())
        out.emit("counted", Counted(ticket=key.decode(), decided_for=record.instant, count=count))
        self.counts[key] = count

    def fire(self, now: datetime, out: Outputs) -> None:
        assert self.due is not None
        out.emit("counted", Counted(ticket="timer:of:task", decided_for=self.due, count=-1))
        self.due = None

    def next_due(self) -> datetime | None:
        return self.due


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    async with KafkaDesk(kafka_bootstrap, topic_prefix).connected(WANTED) as connected:
        yield connected


def counted(records: list[object]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in records:
        event = msgspec.json.decode(record.value, type=Counted)  # type: ignore[attr-defined]
        found.setdefault(event.ticket, []).append(event.count)
    return found


async def test_results_state_and_offsets_are_one_transaction_that_a_restart_goes_on_from(desk: KafkaDesk) -> None:
    for number in range(10):
        await desk.send("numbers", b"1", f"a:b:{number % 3}".encode(), ce_id=f"first-{number}", at=NOON)
    async with desk.running("counter", ["numbers"], Counting):
        await until(lambda: _has(desk, 10))
    works: list[Counting] = []
    for number in range(10):
        await desk.send("numbers", b"1", f"a:b:{number % 3}".encode(), ce_id=f"second-{number}", at=NOON)

    def make(task: int) -> Counting:
        works.append(Counting(task))
        return works[-1]

    async with desk.running("counter", ["numbers"], make):
        await until(lambda: _has(desk, 20))
    assert sum(work.restored for work in works) >= 3
    assert counted(await desk.read("counted")) == {
        "a:b:0": list(range(1, 9)),
        "a:b:1": list(range(1, 7)),
        "a:b:2": list(range(1, 7)),
    }


async def _has(desk: KafkaDesk, number: int) -> bool:
    return len(await desk.read("counted")) >= number
