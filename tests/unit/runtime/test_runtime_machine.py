"""One task's runner against a model log: owners come, die before or after a commit, are frozen and wake, give up in
order; messages poison, kill and delay. Whatever the order, each result is there once and in its key's order.

No broker and no time: the fakes keep what Kafka promises (a transaction is whole or nothing, a fenced producer's
fails), so that thousands of histories run in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ticket_contracts.cloudevents import Event
from ticket_runtime.attempts import read_mark
from ticket_runtime.clock import Clock
from ticket_runtime.handling import DeadLetterLimit
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Message
from ticket_runtime.runner import Position, TaskGroup, TaskRunner
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.task import Outputs, Poison, Record, Transient
from ticket_runtime.testing import StoredRecord

LEFT, RIGHT = TopicPartition("left", 0), TopicPartition("right", 0)
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEADERS = (("ce_id", b"0" * 32), ("ce_time", b"2026-03-02T12:00:00Z"))
DEATHS_AT_MOST = 5
"""Of one message: with the largest batch, then with a few, then alone; and one more owner that gives it up."""


class Fenced(Exception):
    pass


class Died(Exception):
    pass


class Done(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "test.done.v1"

    place: str
    count: int

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.place


class Log:
    """What the broker knows."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[StoredRecord]] = {LEFT: [], RIGHT: []}
        self.committed: dict[TopicPartition, tuple[int, str]] = {}
        self.changelog: dict[bytes, bytes] = {}
        self.written: list[Message] = []
        self.epoch = 0


class FakeProducer:
    """A `TaskProducer` over the log. dies: at the next commit, before or after it took effect."""

    def __init__(self, log: Log) -> None:
        self.log, self.epoch, self.dies = log, 0, ""

    async def fence(self) -> None:
        self.log.epoch += 1
        self.epoch = self.log.epoch

    async def commit(
        self,
        messages: list[Message],
        stored: list[tuple[bytes, bytes | None]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        if self.epoch != self.log.epoch:
            raise Fenced
        if self.dies == "before":
            raise Died
        self.log.written += messages
        self.log.changelog |= {key: value or b"" for key, value in stored}
        self.log.committed |= {tp: (at.offset, at.metadata) for tp, at in offsets.items()}
        if self.dies == "after":
            raise Died

    async def close(self) -> None: ...


class FakeConsumer:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.position: dict[TopicPartition, int] = {}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.position[tp] = offset

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.log.records[tp]) for tp in tps}


class Counting:
    """Counts the messages of a key, in its state; says so."""

    def __init__(self, task: int) -> None:
        self.counts: dict[bytes, int] = {}
        self.patience = 2

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.counts[key] = int(value or b"0")

    def handle(self, record: Record, out: Outputs) -> None:
        match record.value:
            case b"poison":
                raise Poison("poison")
            case b"deadly":
                raise ZeroDivisionError
            case b"busy" if self.patience:
                self.patience -= 1
                raise Transient("busy", delay=0)
        key = record.key or b""
        count = self.counts.get(key, 0) + 1
        place = f"{record.topic}/{record.offset}"
        out.emit("done", Done(ticket=key.decode(), decided_for=record.instant, place=place, count=count))
        out.store(key, str(count).encode())
        self.counts[key] = count

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


class FakeRunner(TaskRunner):
    log: Log

    async def _restore(self) -> int:
        for key, value in self.log.changelog.items():
            self.work.restore(key, value)
        return len(self.log.changelog)


class Owner:
    """A process that has the task, or thinks so."""

    def __init__(self, log: Log, batch: int) -> None:
        self.log, self.producer, self.consumer = log, FakeProducer(log), FakeConsumer(log)
        self.error: BaseException | None = None
        self.over = False

        async def positions(tps: list[TopicPartition]) -> dict[TopicPartition, Position]:
            found = {tp: log.committed.get(tp, (0, "")) for tp in tps}
            return {tp: Position(offset, read_mark(text)) for tp, (offset, text) in found.items()}

        given: list[Any] = [
            TaskGroup(
                name="g", inputs=["left", "right"], make_work=Counting, limit=DeadLetterLimit(consecutive=10_000)
            ),
            0,
            [LEFT, RIGHT],
            self.consumer,
            positions,
            RuntimeSettings(batch=batch),
            Clock(stream=False),
            Metrics("g"),
            self.producer,
            None,
            lambda: None,
        ]
        self.runner = FakeRunner(*given)
        self.runner.log = log
        self.runner.start(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.over = True
        if not task.cancelled():
            self.error = task.exception()

    def fetch(self, most: int) -> None:
        """What the pump does: records from the position on go into the inbox, and the position moves."""
        if not self.runner.wants_records:
            return
        for tp in (LEFT, RIGHT):
            records = self.log.records[tp][self.consumer.position[tp] :][:most]
            if records:
                self.consumer.position[tp] += len(records)
                self.runner.put(tp, records)


class TaskMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.events = asyncio.Runner()
        self.log = Log()
        self.owner: Owner | None = None
        self.sleepers: list[Owner] = []
        self.killed_by_us = 0

    @initialize(batch=st.sampled_from([2, 100, 1_000]))
    def size(self, batch: int) -> None:
        self.batch = batch

    def settle(self, turns: int = 200) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.events.run(turn())
        if self.owner is not None and self.owner.over:
            self.owner = None

    @rule(
        side=st.sampled_from([LEFT, RIGHT]),
        values=st.lists(
            st.sampled_from([b"1", b"1", b"1", b"1", b"poison", b"busy", b"deadly"]), min_size=1, max_size=8
        ),
        key=st.sampled_from([b"a", b"b"]),
    )
    def arrive(self, side: TopicPartition, values: list[bytes], key: bytes) -> None:
        log = self.log.records[side]
        log += [StoredRecord(side.topic, 0, len(log) + n, 0, key, value, HEADERS) for n, value in enumerate(values)]

    @precondition(lambda self: self.owner is None)
    @rule()
    def an_owner_starts(self) -> None:
        async def start() -> Owner:
            return Owner(self.log, self.batch)

        self.owner = self.events.run(start())
        self.settle()

    @precondition(lambda self: self.owner is not None)
    @rule(most=st.integers(1, 40))
    def it_works(self, most: int) -> None:
        assert self.owner is not None
        self.owner.fetch(most)
        self.settle()

    @precondition(lambda self: self.owner is not None)
    @rule(when=st.sampled_from(["before", "after"]), most=st.integers(1, 40))
    def it_is_killed_at_a_commit(self, when: str, most: int) -> None:
        assert self.owner is not None
        self.killed_by_us += 1
        self.owner.producer.dies = when
        self.owner.fetch(most)
        self.settle()

    @precondition(lambda self: self.owner is not None)
    @rule(most=st.integers(0, 40))
    def it_falls_asleep_with_records_in_hand(self, most: int) -> None:
        """Frozen: others think that it is gone, and it does not know."""
        assert self.owner is not None
        self.killed_by_us += 1
        self.owner.fetch(most)
        self.sleepers.append(self.owner)
        self.owner = None

    @precondition(lambda self: self.sleepers and self.owner is not None)
    @rule()
    def a_sleeper_wakes_when_another_has_the_task(self) -> None:
        sleeper = self.sleepers.pop()
        sleeper.fetch(40)
        self.settle()
        if not sleeper.over:
            self.events.run(sleeper.runner.close())
        assert not isinstance(sleeper.error, AssertionError), sleeper.error

    @precondition(lambda self: self.owner is not None)
    @rule()
    def it_gives_up_in_order(self) -> None:
        assert self.owner is not None
        self.events.run(self.owner.runner.close())
        self.settle()
        self.owner = None

    @invariant()
    def nothing_happens_twice_and_each_key_is_in_order(self) -> None:
        counts: dict[str, int] = {}
        places: set[str] = set()
        for message in self.log.written:
            if message.topic == "done":
                done = msgspec.json.decode(message.value or b"", type=Done)
                assert done.place not in places
                places.add(done.place)
                assert done.count == counts.get(done.ticket, 0) + 1
                counts[done.ticket] = done.count

    def teardown(self) -> None:
        """Left alone, a healthy owner finishes: nothing is lost, and what kills ends as a dead letter in time."""
        for sleeper in self.sleepers:
            self.events.run(sleeper.runner.close())
        deadly = sum(r.value == b"deadly" for log in self.log.records.values() for r in log)
        for _ in range(DEATHS_AT_MOST * deadly + 5):
            if self.owner is None:
                self.an_owner_starts()
            for _ in range(40):
                if self.owner is None:
                    break
                self.it_works(100)
            if self.owner is not None:
                break
        assert self.owner is not None, "it never came to rest"
        self.it_gives_up_in_order()
        self.nothing_happens_twice_and_each_key_is_in_order()
        ended = [m for m in self.log.written if m.topic == "done" or m.topic.endswith(".dead-letter")]
        assert len(ended) == sum(len(log) for log in self.log.records.values())
        dead = [m.value for m in ended if m.topic.endswith(".dead-letter")]
        assert dead.count(b"poison") == sum(r.value == b"poison" for log in self.log.records.values() for r in log)
        innocent = [value for value in dead if value in (b"1", b"busy")]
        assert len(innocent) <= self.killed_by_us // 3
        self.events.close()


TaskMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTask = TaskMachine.TestCase
