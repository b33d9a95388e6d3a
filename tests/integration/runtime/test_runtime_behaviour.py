"""One suite over the desk in memory and over the real loop: what a service can rely on is the same in both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

import msgspec
import pytest

from runtime_kafka import KafkaDesk, Replay
from ticket_contracts.cloudevents import Event
from ticket_contracts.topics import Topic
from ticket_runtime.context import TaskContext
from ticket_runtime.task import Outputs, Poison, Record, Transient, Work
from ticket_runtime.testing import InMemoryDesk

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PARTITIONS = 2
INBOUND, PAIRED, RUNG = "inbound.test", "paired", "rung"


class Noted(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "test.noted.v1"

    text: str
    seen: int

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.text, self.seen


class Noting:
    """Notes each message with how many it has seen of its key, and rings at the minutes that a message asks for.

    `stop` takes back what was not rung yet: the classic race between a timer and what stops it.
    """

    def __init__(self, context: TaskContext) -> None:
        self.seen: dict[str, int] = {}
        self.rings: dict[str, datetime] = {}
        self.litter: dict[bytes, datetime] = {}
        self.patience = 1

    def restore(self, key: bytes, value: bytes | None) -> None:
        if key.startswith(b"litter"):
            if value is None:
                self.litter.pop(key, None)
            else:
                self.litter[key] = datetime.fromisoformat(value.decode())
            return
        seen, ring = msgspec.json.decode(value or b"", type=tuple[int, datetime | None])
        self.seen[key.decode()] = seen
        self.rings.pop(key.decode(), None)
        if ring is not None:
            self.rings[key.decode()] = ring

    def handle(self, record: Record, out: Outputs) -> None:
        ticket, text = (record.key or b"").decode(), (record.value or b"").decode()
        if text == "poison":
            raise Poison("the text is poison")
        if text == "busy" and self.patience:
            self.patience -= 1
            raise Transient("busy", delay=0.01)
        ring = self.rings.get(ticket)
        if text == "stop":
            ring = None
        elif text.startswith("litter "):
            for number in range(int(text.removeprefix("litter "))):
                self.litter[b"litter %d" % number] = record.instant + MINUTE
                out.store(b"litter %d" % number, self.litter[b"litter %d" % number].isoformat().encode())
        elif text.startswith("ring "):
            ring = record.instant + int(text.removeprefix("ring ")) * MINUTE
        seen = self.seen.get(ticket, 0) + 1
        out.emit(PAIRED, Noted(ticket=ticket, decided_for=record.instant, text=text, seen=seen))
        self._keep(ticket, seen, ring, out)

    def fire(self, now: datetime, out: Outputs) -> None:
        for at, ticket in sorted((at, ticket) for ticket, at in self.rings.items() if at <= now):
            out.emit(RUNG, Noted(ticket=ticket, decided_for=at, text="rung", seen=self.seen[ticket]))
            self._keep(ticket, self.seen[ticket], None, out)
        for key in [key for key, at in self.litter.items() if at <= now][:2]:
            del self.litter[key]
            out.store(key, None)

    def next_due(self) -> datetime | None:
        return min((*self.rings.values(), *self.litter.values()), default=None)

    def _keep(self, ticket: str, seen: int, ring: datetime | None, out: Outputs) -> None:
        out.store(ticket.encode(), msgspec.json.encode((seen, ring)))
        self.seen[ticket] = seen
        self.rings.pop(ticket, None)
        if ring is not None:
            self.rings[ticket] = ring


class Echoing:
    """Reads what Noting wrote and what came in, in whatever order they arrive, and counts both by ticket."""

    def __init__(self, context: TaskContext) -> None:
        self.seen: dict[bytes, int] = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.seen[key] = int(value or b"0")

    def handle(self, record: Record, out: Outputs) -> None:
        key = record.key or b""
        seen = self.seen.get(key, 0) + 1
        text = f"{record.topic} {(record.value or b'').decode()}"
        out.emit("echoed", Noted(ticket=key.decode(), decided_for=record.instant, text=text, seen=seen))
        out.store(key, str(seen).encode())
        self.seen[key] = seen

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


GROUPS: dict[str, tuple[list[str], Callable[[TaskContext], Work], bool]] = {
    "noting": ([INBOUND], Noting, False),
    "echoing": ([INBOUND, PAIRED], Echoing, True),
}


class Stage(Protocol):
    def send(self, value: bytes, key: bytes, at: datetime) -> None: ...

    async def run(self, until: datetime) -> None: ...

    async def restart(self) -> None:
        """Every service stops and starts again, with what its changelog holds."""

    async def said(self, topic: str) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
        """(key, data, ce headers) of everything on a topic, sorted: partitions have no order among each other."""


def _said(records: list[Any]) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    rows = [
        (
            r.key.decode(),
            msgspec.json.decode(r.value),
            {name: said.decode() for name, said in r.headers if name.startswith("ce_")},
        )
        for r in records
    ]
    return sorted(rows, key=lambda row: (row[2]["ce_time"], row[0], row[2]["ce_id"]))


class InMemory:
    def __init__(self) -> None:
        self._desk = InMemoryDesk(START, PARTITIONS)
        for name, (inputs, make_work, whole) in GROUPS.items():
            self._desk.add(name, inputs, make_work, single_task=whole)

    def send(self, value: bytes, key: bytes, at: datetime) -> None:
        self._desk.send(INBOUND, value, key, at=at)

    async def run(self, until: datetime) -> None:
        self._desk.run(until)

    async def restart(self) -> None:
        for name in GROUPS:
            self._desk.restart(name)

    async def said(self, topic: str) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
        return _said(self._desk.records(topic))

    async def dead(self) -> list[tuple[bytes | None, str]]:
        return [(letter.record.value, letter.reason) for letter in self._desk.dead_letters()]


class OverKafka:
    def __init__(self, desk: KafkaDesk) -> None:
        self._desk = desk
        self._replay = Replay(desk, {name: inputs for name, (inputs, _, _) in GROUPS.items()}, whole={"echoing"})
        self._running = contextlib.AsyncExitStack()

    async def start(self) -> None:
        settings = self._desk.settings(clock="stream")
        for name, (inputs, make_work, whole) in GROUPS.items():

            def make(task: int, make_work: Callable[[TaskContext], Work] = make_work) -> Work:
                return make_work(TaskContext(task, None))  # type: ignore[arg-type]

            await self._running.enter_async_context(
                self._desk.running(name, inputs, make, settings=settings, whole=whole)
            )

    def send(self, value: bytes, key: bytes, at: datetime) -> None:
        self._replay.send(INBOUND, value, key, at)

    async def run(self, until: datetime) -> None:
        await self._replay.run(until)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        await self._running.aclose()

    async def said(self, topic: str) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
        return _said(await self._desk.read(topic))

    async def dead(self) -> list[tuple[bytes | None, str]]:
        found = await self._desk.read(f"{INBOUND}.dead-letter")
        return [(r.value, dict(r.headers)["kafka_dlt-exception-message"].decode()) for r in found]


@contextlib.asynccontextmanager
async def over_kafka(bootstrap: str, prefix: str) -> AsyncIterator[OverKafka]:
    wanted = [
        Topic(name=INBOUND, written_by="a test", broker_time=True),
        *(Topic(name=name, written_by="noting") for name in (PAIRED, RUNG, "echoed")),
        Topic(name="noting.changelog", written_by="noting", compacted=True),
        Topic(name="echoing.changelog", written_by="echoing", compacted=True, ticket_keyed=False),
    ]
    async with KafkaDesk(bootstrap, prefix, PARTITIONS).connected(wanted, live=False) as desk:
        stage = OverKafka(desk)
        await stage.start()
        try:
            yield stage
        finally:
            await stage.stop()


@pytest.fixture(params=["memory", "kafka"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[InMemory | OverKafka]:
    if request.param == "memory":
        yield InMemory()
        return
    bootstrap, prefix = request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix")
    async with over_kafka(bootstrap, prefix) as real:
        yield real


Either = InMemory | OverKafka


async def test_messages_of_a_step_are_handled_by_their_instant_not_by_their_arrival(stage: Either) -> None:
    stage.send(b"second", b"a:b:1", START + 2 * MINUTE)
    stage.send(b"first", b"a:b:1", START + MINUTE)
    await stage.run(START + 3 * MINUTE)
    assert [(data["text"], data["seen"]) for _, data, _ in await stage.said(PAIRED)] == [("first", 1), ("second", 2)]


async def test_a_timer_goes_off_at_its_instant_and_not_when_it_was_stopped_in_time(stage: Either) -> None:
    stage.send(b"ring 5", b"a:b:1", START)
    stage.send(b"ring 5", b"a:b:2", START)
    stage.send(b"stop", b"a:b:2", START + 5 * MINUTE)  # at the very instant: what came in is seen first
    stage.send(b"ring 7", b"a:b:3", START + MINUTE)
    await stage.run(START + 60 * MINUTE)
    assert [(key, data["decided_for"]) for key, data, _ in await stage.said(RUNG)] == [
        ("a:b:1", "2026-03-02T09:05:00Z"),
        ("a:b:3", "2026-03-02T09:08:00Z"),
    ]


async def test_nothing_of_the_future_happens(stage: Either) -> None:
    stage.send(b"ring 5", b"a:b:1", START)
    await stage.run(START + 4 * MINUTE)
    assert await stage.said(RUNG) == []
    await stage.run(START + 5 * MINUTE)
    assert len(await stage.said(RUNG)) == 1


async def test_housekeeping_may_come_in_parts(stage: Either) -> None:
    stage.send(b"litter 9", b"a:b:1", START)
    stage.send(b"ring 1", b"a:b:1", START)
    await stage.run(START + 2 * MINUTE)
    await stage.restart()
    stage.send(b"more", b"a:b:1", START + 3 * MINUTE)
    await stage.run(START + 3 * MINUTE)
    assert len(await stage.said(RUNG)) == 1
    assert sorted(data["seen"] for _, data, _ in await stage.said(PAIRED)) == [1, 2, 3]


async def test_poison_and_trouble_are_told_apart(stage: Either) -> None:
    for text in (b"one", b"poison", b"busy", b"two"):
        stage.send(text, b"a:b:1", START)
    await stage.run(START)
    said = [(data["text"], data["seen"]) for _, data, _ in await stage.said(PAIRED)]
    assert sorted(said) == [("busy", 2), ("one", 1), ("two", 3)]
    assert await stage.dead() == [(b"poison", "the text is poison")]


async def test_a_restart_goes_on_from_the_changelog_timers_included(stage: Either) -> None:
    stage.send(b"ring 5", b"a:b:1", START)
    await stage.run(START + MINUTE)
    await stage.restart()
    stage.send(b"more", b"a:b:1", START + 2 * MINUTE)
    await stage.run(START + 10 * MINUTE)
    assert [data["seen"] for _, data, _ in await stage.said(PAIRED)] == [1, 2]
    assert [data["seen"] for _, data, _ in await stage.said(RUNG)] == [2]


async def test_a_chain_can_be_followed_from_the_message_that_began_it(stage: Either) -> None:
    stage.send(b"one", b"a:b:1", START)
    await stage.run(START)
    ((_, _, first),) = await stage.said(PAIRED)
    echoes = [said for _, data, said in await stage.said("echoed") if data["text"].startswith(PAIRED)]
    assert [said["ce_causationid"] for said in echoes] == [first["ce_id"]]
    assert [said["ce_correlationid"] for said in echoes] == [first["ce_correlationid"]]
    assert first["ce_source"] == "/relaydesk/noting"


async def test_both_desks_say_the_same_word_for_word(kafka_bootstrap: str, topic_prefix: str) -> None:
    memory = InMemory()
    async with over_kafka(kafka_bootstrap, topic_prefix) as real:
        for stage in (memory, real):
            for number in range(40):
                text = f"ring {number % 7}" if number % 3 else "stop"
                stage.send(text.encode(), f"a:b:{number % 5}".encode(), START + (number * 7 % 20) * MINUTE)
            await stage.run(START + 60 * MINUTE)
        for topic in (PAIRED, RUNG, "echoed"):
            assert await real.said(topic) == await memory.said(topic)
