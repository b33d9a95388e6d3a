"""The runtime's loop over a real broker, inside a test's own event loop: topics, messages in, loops, committed records
out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ticket_contracts import topics
from ticket_contracts.cloudevents import CONTENT_TYPE, encode, instant_text
from ticket_contracts.time import Progress, TimeStep
from ticket_contracts.topics import Topic
from ticket_runtime.clock import Clock
from ticket_runtime.context import LiveView
from ticket_runtime.loop import Loop
from ticket_runtime.metrics import Metrics
from ticket_runtime.runner import TaskGroup
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.task import Work
from ticket_runtime.topics import create_topics

PATIENCE_SECONDS = 60.0
"""Until something counts as hung, on however busy a machine."""


def event_headers(ce_id: str, at: datetime, kind: str = "test.input.v1") -> list[tuple[str, bytes]]:
    """What one of the desk's own events carries, as far as the runtime reads it."""
    return [
        ("content-type", CONTENT_TYPE),
        ("ce_specversion", b"1.0"),
        ("ce_id", ce_id.encode()),
        ("ce_type", kind.encode()),
        ("ce_time", instant_text(at).encode()),
    ]


class KafkaDesk:
    """The topics of one test. partitions: of every topic but the runtime's own single ones."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int = 2) -> None:
        self.bootstrap, self.prefix, self.partitions = bootstrap, prefix, partitions
        self.producer: AIOKafkaProducer

    def settings(self, **more: Any) -> RuntimeSettings:
        return RuntimeSettings(
            bootstrap=self.bootstrap, topic_prefix=self.prefix, **{"session_seconds": 6.0, "batch": 500, **more}
        )

    @contextlib.asynccontextmanager
    async def connected(self, wanted: Iterable[Topic], *, live: bool = True) -> AsyncIterator[KafkaDesk]:
        """With these topics, each with its dead letters, and a producer for messages from outside."""
        wanted = list(wanted)
        dead = [Topic(name=topics.dead_letter(t.name), written_by="any service") for t in wanted if t.ticket_keyed]
        own = [Topic(name=n, written_by="replay", ticket_keyed=False) for n in (topics.TIME, topics.PROGRESS)]
        await create_topics(self.bootstrap, self.prefix, [*wanted, *dead, *own], self.partitions, live=live)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
        await self.producer.start()
        try:
            yield self
        finally:
            await self.producer.stop()

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        ce_id: str = "",
        at: datetime | None = None,
        headers: Iterable[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        said = list(headers)
        if ce_id:
            said = event_headers(ce_id, at or datetime.now(UTC)) + said
        stamp = None if at is None else int(at.timestamp() * 1_000)
        await self.producer.send_and_wait(
            self.prefix + topic, value, key, partition=partition, timestamp_ms=stamp, headers=said
        )

    async def read(self, topic: str, partitions: int | None = None) -> list[Any]:
        """All committed records of a topic, by partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            tps = [TopicPartition(self.prefix + topic, p) for p in range(partitions or self.partitions)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
            found: dict[TopicPartition, list[Any]] = {tp: [] for tp in tps}
            behind = [tp for tp in tps if ends[tp] > 0]
            while behind:
                for tp, records in (await consumer.getmany(timeout_ms=20)).items():
                    found[tp] += records
                behind = [tp for tp in behind if await consumer.position(tp) < ends[tp]]
            return [record for tp in tps for record in found[tp]]
        finally:
            await consumer.stop()

    async def ends(self, names: Iterable[str]) -> dict[TopicPartition, int]:
        """The end of each partition, transaction markers included."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            tps = [TopicPartition(self.prefix + name, p) for name in names for p in range(self.partitions)]
            found: dict[TopicPartition, int] = await consumer.end_offsets(tps)
            return found
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def running(
        self,
        name: str,
        inputs: list[str],
        make_work: Callable[[int], Work],
        *,
        settings: RuntimeSettings | None = None,
        make_loop: Callable[..., Loop] = Loop,
        **more: Any,
    ) -> AsyncIterator[Loop]:
        """A loop of this group, ready, until the block ends; then it has stopped in order. Raises what ended it."""
        chosen = settings or self.settings()
        loop = make_loop(
            TaskGroup(name=name, inputs=inputs, make_work=make_work, **more),
            chosen,
            Clock(stream=chosen.clock == "stream"),
            Metrics(name),
            LiveView(),
        )
        running = asyncio.create_task(loop.run())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not loop.ready().ok:
                    if running.done():
                        running.result()
                    await asyncio.sleep(0.02)
            yield loop
        finally:
            loop.stop()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await running


async def until(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition, plain or awaited; TimeoutError when it never holds."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if asyncio.iscoroutine(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(0.02)


class Replay:
    """Leads loops in stream time, by the same rules as the desk's own replay: who is concerned follows from the ends.

    groups: name -> its inputs, unprefixed; whole: the groups of a single task.
    """

    def __init__(self, desk: KafkaDesk, groups: Mapping[str, list[str]], whole: Container[str] = ()) -> None:
        self._desk, self._groups = desk, groups
        self._tasks = [(name, p) for name in groups for p in range(1 if name in whole else desk.partitions)]
        self._inputs = sorted({topic for inputs in groups.values() for topic in inputs})
        self._ends = {topic: [0] * desk.partitions for topic in self._inputs}
        self._due: dict[tuple[str, int], datetime] = {}
        self._later: list[tuple[datetime, int, str, bytes | None, bytes | None, list[tuple[str, bytes]]]] = []
        self._step = self._round = 0
        self.rounds = 0

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        at: datetime,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        self._later.append((at, len(self._later), topic, key, value, list(headers)))

    async def run(self, until: datetime) -> None:
        """Plays what was sent, and what falls due, up to an instant."""
        async with self._hearing():
            while True:
                at = min([entry[0] for entry in self._later] + list(self._due.values()), default=None)
                if at is None or at > until:
                    return
                for entry in sorted(entry for entry in self._later if entry[0] <= at):
                    when, _, topic, key, value, headers = entry
                    await self._desk.send(topic, value, key, at=when, headers=headers)
                self._later = [entry for entry in self._later if entry[0] > at]
                await self._settle(at)
                self._step += 1

    async def _settle(self, at: datetime) -> None:
        self._round = 0
        while True:
            if await self._play(at, fire=False):
                continue
            if not any(due <= at for due in self._due.values()):
                return
            await self._play(at, fire=True)

    async def _play(self, at: datetime, *, fire: bool) -> int:
        before = self._ends
        found = await self._desk.ends(self._inputs)
        prefix = self._desk.prefix
        self._ends = {t: [found[TopicPartition(prefix + t, p)] for p in range(self._desk.partitions)] for t in before}
        waiting = {task for task in self._tasks if self._concerned(task, before, at, fire=fire)}
        if not waiting:
            return 0
        step = TimeStep(mode="stream", step=self._step, round=self._round, instant=at, ends=self._ends, fire=fire)
        await self._desk.producer.send_and_wait(prefix + topics.TIME, encode(step), partition=0)
        emitted = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while waiting:
                said = msgspec.json.decode((await self._ears.getone()).value, type=Progress)
                if (said.step, said.round) == (self._step, self._round):
                    emitted += said.emitted
                    waiting.discard((said.group, said.task))
                    self._due.pop((said.group, said.task), None)
                    if said.next_due is not None:
                        self._due[said.group, said.task] = said.next_due
        self._round += 1
        self.rounds += 1
        return emitted

    def _concerned(self, task: tuple[str, int], before: dict[str, list[int]], at: datetime, *, fire: bool) -> bool:
        name, number = task
        whole = (name, 1) not in self._tasks
        moved = any(
            self._ends[topic][p] > before[topic][p]
            for topic in self._groups[name]
            for p in (range(self._desk.partitions) if whole else [number])
        )
        return moved or (fire and task in self._due and self._due[task] <= at)

    @contextlib.asynccontextmanager
    async def _hearing(self) -> AsyncIterator[None]:
        self._ears = AIOKafkaConsumer(
            bootstrap_servers=self._desk.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="latest",
            enable_auto_commit=False,
        )
        await self._ears.start()
        try:
            progress = TopicPartition(self._desk.prefix + topics.PROGRESS, 0)
            self._ears.assign([progress])
            await self._ears.seek_to_end(progress)
            await self._ears.position(progress)
            yield
        finally:
            await self._ears.stop()
