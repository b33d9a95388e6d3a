"""The transactional loop over a real broker."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest
from aiokafka.errors import KafkaError

from runtime_kafka import KafkaDesk, until
from ticket_contracts.cloudevents import Event
from ticket_contracts.topics import Topic
from ticket_runtime.handling import DLT, ONLY_FOR_GROUP, DeadLetterLimit, TooManyDeadLetters
from ticket_runtime.runner import MessageFault
from ticket_runtime.settings import CannotRun
from ticket_runtime.task import Outputs, Poison, Record, Transient
from ticket_runtime.topics import create_topics, stamp_by_broker
from ticket_runtime.transactions import TaskProducer

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


def counted(records: list[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in records:
        event = msgspec.json.decode(record.value, type=Counted)
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


async def test_poison_becomes_a_dead_letter_untouched_and_the_others_go_on(desk: KafkaDesk) -> None:
    await desk.send("numbers", b"poison", b"a:b:1", ce_id="bad", at=NOON, headers=[("x", b"\xff")], partition=1)
    await desk.send("numbers", b"1", b"a:b:1", ce_id="good", at=NOON, partition=1)
    async with desk.running("counter", ["numbers"], Counting):
        await until(lambda: _has(desk, 1))
    (dead,) = await desk.read("numbers.dead-letter")
    said = dict(dead.headers)
    assert (dead.key, dead.value, dead.partition, said["x"], said["ce_id"]) == (b"a:b:1", b"poison", 1, b"\xff", b"bad")
    assert said[DLT + "original-topic"] == f"{desk.prefix}numbers".encode()
    assert said[DLT + "original-partition"] == b"\0\0\0\1"
    assert said[DLT + "original-offset"] == b"\0" * 8
    assert said[DLT + "original-consumer-group"] == b"counter"
    assert said[DLT + "exception-fqcn"] == b"ticket_runtime.task.Poison"
    assert said[DLT + "exception-message"] == b"the value is poison; send a number"
    assert counted(await desk.read("counted")) == {"a:b:1": [1]}


@pytest.mark.parametrize(
    ("name", "headers", "value"),
    [
        ("no ce_time", [("ce_id", b"1")], b"1"),
        ("a ce_time that is none", [("ce_id", b"1"), ("ce_time", b"yesterday")], b"1"),
        ("ten megabytes of poison", [("ce_time", b"2026-03-02T12:00:00Z")], b"poison" + b"x" * 10 * 1024 * 1024),
        ("neither key nor value", [("ce_id", b"1")], None),
    ],
)
async def test_bad_input_ends_as_a_dead_letter(
    desk: KafkaDesk, name: str, headers: list[tuple[str, bytes]], value: bytes | None
) -> None:
    batch = desk.producer.create_batch()
    batch.append(timestamp=None, key=None, value=value, headers=headers)
    await (await desk.producer.send_batch(batch, f"{desk.prefix}numbers", partition=0))
    await desk.send("numbers", b"1", b"a:b:1", ce_id="good", at=NOON, partition=0)
    async with desk.running("counter", ["numbers"], Picky):
        await until(lambda: _has(desk, 1))
    (dead,) = await desk.read("numbers.dead-letter")
    assert dead.value == value, name


class Picky(Counting):
    def handle(self, record: Record, out: Outputs) -> None:
        if record.value != b"1":
            raise Poison("not the number one")
        super().handle(record, out)


async def test_transient_trouble_is_waited_out_in_order(desk: KafkaDesk) -> None:
    for value in (b"1", b"busy", b"1"):
        await desk.send("numbers", value, b"a:b:1", ce_id="x", at=NOON)
    async with desk.running("counter", ["numbers"], Counting):
        await until(lambda: _has(desk, 3))
    assert counted(await desk.read("counted")) == {"a:b:1": [1, 2, 3]}
    assert await desk.read("numbers.dead-letter") == []


async def test_a_message_that_ends_the_process_is_given_up_at_its_third_death(desk: KafkaDesk) -> None:
    for value in (b"1", b"1", b"deadly", b"1"):
        await desk.send("numbers", value, b"a:b:1", ce_id="x", at=NOON, partition=0)
    deaths = 0
    while True:
        try:
            async with desk.running("counter", ["numbers"], Counting):
                await until(lambda: _has(desk, 3), seconds=15)
            break
        except MessageFault as fault:
            where = fault.where
            deaths += 1
    assert (deaths, where["offset"]) == (3, 2)
    (dead,) = await desk.read("numbers.dead-letter")
    assert dead.value == b"deadly"
    assert counted(await desk.read("counted")) == {"a:b:1": [1, 2, 3]}


async def test_a_stop_in_order_counts_as_no_death(desk: KafkaDesk) -> None:
    await desk.send("numbers", b"1", b"a:b:1", ce_id="x", at=NOON, partition=0)
    for _ in range(4):
        async with desk.running("counter", ["numbers"], Counting) as loop:
            await until(lambda: _has(desk, 1))
            assert not any(runner.is_careful for runner in loop.runners)


async def test_everything_failing_stops_the_process_rather_than_dead_letter_a_topic(desk: KafkaDesk) -> None:
    for number in range(60):
        await desk.send("numbers", b"poison", b"a:b:1", ce_id=f"{number}", at=NOON, partition=0)
    with pytest.raises(TooManyDeadLetters, match="20 messages in a row"):
        async with desk.running("counter", ["numbers"], Counting, limit=DeadLetterLimit(consecutive=20)) as loop:
            await until(lambda: not loop.runners)
    assert await desk.read("numbers.dead-letter") == []
    async with desk.running("counter", ["numbers"], Counting, limit=DeadLetterLimit(consecutive=100)):
        await until(lambda: _has(desk, 60, "numbers.dead-letter"))


async def test_a_replayed_message_is_for_one_group_alone(desk: KafkaDesk) -> None:
    await desk.send("numbers", b"1", b"a:b:1", ce_id="x", at=NOON, headers=[(ONLY_FOR_GROUP, b"somebody")])
    await desk.send("numbers", b"1", b"a:b:2", ce_id="x", at=NOON, headers=[(ONLY_FOR_GROUP, b"counter")])
    async with desk.running("counter", ["numbers"], Counting):
        await until(lambda: _has(desk, 1))
    assert counted(await desk.read("counted")) == {"a:b:2": [1]}


async def test_a_timer_waits_for_the_backlog_and_then_for_its_instant(desk: KafkaDesk) -> None:
    for number in range(5):
        await desk.send("numbers", b"1", b"a:b:1", ce_id=f"{number}", at=NOON, partition=0)

    def make(task: int) -> Counting:
        work = Counting(task)
        if task == 0:
            work.due = NOON
        return work

    async with desk.running("counter", ["numbers"], make):
        await until(lambda: _has(desk, 6))
    events = [msgspec.json.decode(r.value, type=Counted) for r in await desk.read("counted")]
    assert [event.count for event in events if event.ticket != "timer:of:task"] == [1, 2, 3, 4, 5]
    assert events[-1].count == -1


async def test_who_was_given_up_cannot_write_any_more(desk: KafkaDesk) -> None:
    """A frozen owner that wakes: its transaction fails, and its process ends."""
    async with desk.running("counter", ["numbers"], Counting) as loop:
        (runner,) = (r for r in loop.runners if r.number == 0)
        successor = TaskProducer(desk.settings(), f"{desk.prefix}counter-0", f"{desk.prefix}counter", None)
        await successor.fence()
        await successor.close()
        with pytest.raises(KafkaError):
            await runner._producer.commit([], [(b"k", b"v")], {})
    assert await desk.read("counter.changelog") == []


async def test_tasks_move_to_a_newcomer_and_back_without_loss(desk: KafkaDesk) -> None:
    async def feed(round_: int) -> None:
        for number in range(40):
            await desk.send("numbers", b"1", f"a:b:{number % 8}".encode(), ce_id=f"{round_}-{number}", at=NOON)

    async with desk.running("counter", ["numbers"], Counting) as first:
        await feed(1)
        async with desk.running("counter", ["numbers"], Counting) as second:
            await until(lambda: len(first.runners) == 1 and len(second.runners) == 1)
            await feed(2)
            await until(lambda: _has(desk, 80))
        await until(lambda: len(first.runners) == 2)
        await feed(3)
        await until(lambda: _has(desk, 120))
    assert counted(await desk.read("counted")) == {f"a:b:{n}": list(range(1, 16)) for n in range(8)}


async def test_a_single_task_has_one_owner_and_a_stand_by_that_takes_over(desk: KafkaDesk) -> None:
    await create_topics(
        desk.bootstrap,
        desk.prefix,
        [Topic(name="whole.changelog", written_by="whole", compacted=True, ticket_keyed=False)],
        desk.partitions,
        live=True,
    )
    async with contextlib.AsyncExitStack() as elder:
        first = await elder.enter_async_context(desk.running("whole", ["numbers"], Counting, whole=True))
        async with desk.running("whole", ["numbers"], Counting, whole=True) as second:
            await until(lambda: first.ready().ok and second.ready().ok)
            assert len(first.runners) + len(second.runners) == 1
            for number in range(10):
                await desk.send("numbers", b"1", f"a:b:{number}".encode(), ce_id=f"{number}", at=NOON)
            await until(lambda: _has(desk, 10))
            await elder.aclose()
            await until(lambda: len(second.runners) == 1)
            await desk.send("numbers", b"1", b"a:b:1", ce_id="last", at=NOON)
            await until(lambda: _has(desk, 11))
    assert counted(await desk.read("counted"))["a:b:1"] == [1, 2]


async def test_unequal_partition_counts_are_refused(desk: KafkaDesk) -> None:
    await create_topics(desk.bootstrap, desk.prefix, [Topic(name="narrow", written_by="x")], 1, live=True)
    with pytest.raises(CannotRun, match="need one partition count"):
        async with desk.running("counter", ["numbers", "narrow"], Counting):
            pass
    with pytest.raises(CannotRun, match="narrow has 1 partitions where 2 are needed"):
        await create_topics(desk.bootstrap, desk.prefix, [Topic(name="narrow", written_by="x")], 2, live=True)
    with pytest.raises(CannotRun, match="there is no topic"):
        async with desk.running("counter", ["numbers", "nowhere"], Counting):
            pass


async def _has(desk: KafkaDesk, number: int, topic: str = "counted") -> bool:
    return len(await desk.read(topic)) >= number


async def test_after_a_replay_the_broker_stamps_what_others_write(desk: KafkaDesk) -> None:
    inbound = Topic(name="inbound.played", written_by="a tool", broker_time=True)
    await create_topics(desk.bootstrap, desk.prefix, [inbound], desk.partitions, live=False)
    long_ago = datetime(2016, 3, 1, 9, tzinfo=UTC)
    await desk.send(inbound.name, b"{}", at=long_ago, partition=0)
    await stamp_by_broker(desk.bootstrap, desk.prefix, [inbound])
    await desk.send(inbound.name, b"{}", at=long_ago, partition=0)
    played, live = await desk.read(inbound.name)
    assert played.timestamp == long_ago.timestamp() * 1_000
    assert live.timestamp > datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000
