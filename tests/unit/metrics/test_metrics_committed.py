"""What a batch came to is counted with its commit: not before, and not again when the batch is handled again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from prometheus_client.openmetrics.exposition import generate_latest

from ticket_contracts.agreement import Agreement
from ticket_contracts.cloudevents import Event, instant_text
from ticket_contracts.time import TimeStep
from ticket_runtime.attempts import read_mark
from ticket_runtime.clock import Clock
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Collector, Message
from ticket_runtime.runner import Position, TaskGroup, TaskRunner
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.tally import Tally
from ticket_runtime.task import Outputs, Poison, Record, Transient, Work
from ticket_runtime.testing import StoredRecord

IN = TopicPartition("in", 0)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
HEADERS = (("ce_id", b"1"), ("ce_time", instant_text(AT).encode()))


class Done(Event, frozen=True, kw_only=True):
    TYPE = "test.done.v1"

    value: str

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.value


class Working:
    """Says what it got; `busy` is busy for as long as `busy` says so."""

    busy = True

    def restore(self, key: bytes, value: bytes | None) -> None: ...

    def handle(self, record: Record, out: Outputs) -> None:
        if record.value == b"poison":
            raise Poison("it is no good", "unreadable")
        if record.value == b"busy" and self.busy:
            raise Transient("busy", delay=0.0005)
        out.emit("done", Done(ticket="a:b:c", decided_for=record.instant, value=(record.value or b"").decode()))

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


class HeldBack:
    """A producer whose commits happen when they are let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.commits = 0

    async def fence(self) -> None: ...

    async def commit(
        self,
        messages: list[Message],
        stored: list[tuple[bytes, bytes | None]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        if self.commits:  # the first says that the task has an owner
            await self.let.wait()
        self.commits += 1

    async def close(self) -> None: ...


class Consumer:
    def seek(self, tp: TopicPartition, offset: int) -> None: ...

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        self.events += [event for _, event in decided]

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None: ...


class Desk:
    def __init__(self, *, stream: bool = False) -> None:
        self.metrics, self.heard, self.producer, self.work = Metrics("g"), Heard(), HeldBack(), Working()
        self.clock = Clock(stream=stream)
        self._offset = 0
        self.runner = self.start()

    def start(self) -> TaskRunner:
        async def positions(tps: list[TopicPartition]) -> dict[TopicPartition, Position]:
            return {tp: Position(0, read_mark("")) for tp in tps}

        given: list[Any] = [
            TaskGroup(name="g", inputs=["in"], make_work=lambda _: self.work, stateful=False, observer=self.heard),
            *(0, [IN], Consumer(), positions, RuntimeSettings(), self.clock, self.metrics, self.producer, None),
            lambda: None,
        ]
        runner = TaskRunner(*given)
        runner.start(lambda _: None)
        self.runner = runner
        return runner

    def arrive(self, *values: bytes) -> None:
        records = [
            StoredRecord("in", 0, self._offset + n, int(AT.timestamp() * 1_000), b"a:b:c", value, HEADERS)
            for n, value in enumerate(values)
        ]
        self.runner.put(IN, records)
        self._offset += len(values)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"group": "g", **labels}) or 0.0

    def handled(self, outcome: str = "handled") -> float:
        return self.count("relaydesk_messages_total", topic="in", outcome=outcome)


async def settle() -> None:
    """Until all that can go on has gone on; what waits out trouble does so for a fraction of this."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - counters tell nobody
            await asyncio.sleep(0.001)


async def test_nothing_is_counted_before_the_commit() -> None:
    desk = Desk()
    await settle()
    desk.arrive(b"1", b"poison", b"2")
    await settle()
    assert (desk.handled(), desk.handled("dead_letter"), desk.heard.events) == (0, 0, [])
    desk.producer.let.set()
    await settle()
    assert (desk.handled(), desk.handled("dead_letter")) == (2, 1)
    assert desk.count("relaydesk_dead_letters_total", topic="in", reason="unreadable") == 1
    assert desk.count("relaydesk_written_total", topic="done") == 2
    assert desk.count("relaydesk_written_total", topic="in.dead-letter") == 1
    assert desk.count("relaydesk_handling_seconds_total", topic="in") > 0
    assert desk.count("relaydesk_input_last_seen_timestamp_seconds", topic="in") == AT.timestamp()
    assert [event.value for event in desk.heard.events if isinstance(event, Done)] == ["1", "2"]
    await desk.runner.close()


async def test_a_batch_that_is_interrupted_counts_each_message_once() -> None:
    desk = Desk()
    desk.producer.let.set()
    await settle()
    desk.arrive(b"1", b"busy", b"2")
    await until(lambda: desk.count("relaydesk_transient_failures_total") > 1)
    assert desk.handled() == 1
    desk.work.busy = False
    await until(lambda: desk.handled() == 3)
    assert len(desk.heard.events) == 3
    await desk.runner.close()


async def test_a_round_that_is_given_back_counts_when_its_next_owner_commits_it() -> None:
    desk = Desk(stream=True)
    desk.producer.let.set()
    await settle()
    desk.clock.follow(TimeStep(mode="stream", step=1, round=0, instant=AT, ends={"in": [2]}, fire=False))
    desk.arrive(b"1", b"busy")
    desk.runner.wake()
    await settle()
    assert desk.count("relaydesk_transient_failures_total") > 0
    await desk.runner.close()
    assert (desk.handled(), desk.heard.events) == (0, [])
    desk.work.busy = False
    desk.start()
    await settle()
    desk._offset = 0
    desk.arrive(b"1", b"busy")
    await until(lambda: desk.handled() == 2)
    assert len(desk.heard.events) == 2
    assert desk.count("relaydesk_event_age_seconds_count", topic="in") == 0, "time does not pass in a replay"
    await desk.runner.close()


async def test_the_age_of_an_event_is_that_at_its_commit() -> None:
    desk = Desk()
    desk.producer.let.set()
    await settle()
    desk.arrive(b"1")
    await settle()
    assert desk.count("relaydesk_event_age_seconds_count", topic="in") == 1
    age = desk.count("relaydesk_event_age_seconds_sum", topic="in")
    assert age == pytest.approx((datetime.now(UTC) - AT).total_seconds(), abs=60)
    await desk.runner.close()


async def test_what_a_task_says_of_itself_goes_with_it() -> None:
    desk = Desk()
    desk.producer.let.set()
    await settle()
    desk.runner.measure()
    labels = {"group": "g", "task": "0"}
    value = desk.metrics.registry.get_sample_value
    assert value("relaydesk_oldest_waiting_timestamp_seconds", labels) == 0
    assert value("relaydesk_task_running", labels) == 1
    desk.runner.measure_lag({IN: 700}, {IN: 0})
    of_input = {"group": "g", "topic": "in", "partition": "0"}
    assert value("relaydesk_consumer_lag_offsets", of_input) == 700
    await desk.runner.close()
    assert value("relaydesk_oldest_waiting_timestamp_seconds", labels) is None
    assert value("relaydesk_consumer_lag_offsets", of_input) is None, "who has it now says what waits"
    assert value("relaydesk_task_running", labels) == 0


async def test_lag_is_what_was_not_handled_yet_and_zero_behind_the_markers_of_transactions() -> None:
    desk = Desk()
    await settle()
    desk.arrive(b"1", b"2", b"3")
    await settle()
    value = desk.metrics.registry.get_sample_value
    labels = {"group": "g", "topic": "in", "partition": "0"}
    desk.arrive(b"4", b"5")  # these wait while the first three are in a transaction
    desk.runner.measure_lag({IN: 6}, {IN: 6})
    assert value("relaydesk_consumer_lag_offsets", labels) == 3, "4, 5 and the marker"
    desk.producer.let.set()
    await settle()
    desk.runner.measure_lag({IN: 6}, {IN: 6})
    assert value("relaydesk_consumer_lag_offsets", labels) == 0
    await desk.runner.close()


def test_the_oldest_event_of_a_batch_is_the_one_whose_trace_is_told() -> None:
    """In whatever order they came, and of the next batch none of this one."""
    metrics = Metrics("classifier")
    tally, collector = Tally(metrics), Collector("/test", None)

    def trace_told(*ages: int) -> str:
        for age in ages:
            traceparent = f"00-{age:032x}-{1:016x}-01".encode()
            collector.begin(
                Record(
                    topic="in",
                    partition=0,
                    offset=age,
                    key=None,
                    value=b"",
                    headers={"ce_traceparent": traceparent},
                    timestamp_ms=0,
                    instant=AT - timedelta(seconds=age),
                )
            )
            tally.message(StoredRecord("in", 0, age, 0, None, b"", ()), "in", "handled", collector)
        tally.settle([], AT.timestamp())
        text = generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]
        told: list[tuple[str, str]] = re.findall(r'trace_id="0*([0-9a-f]+)"\} [0-9.]+ ([0-9.]+)', text)
        return max(told, key=lambda one: float(one[1]))[0]

    assert trace_told(3, 40, 7) == f"{40:x}"
    assert trace_told(2, 1) == "2"
