"""For tests of services: outputs as lists, and a whole desk in memory that plays like a replay.

No Kafka, no clock, no threads: `InMemoryDesk` leads its services by the rules of `ticket_contracts.time`, so a story
such as "a ticket comes, nobody accepts the offer, an hour passes" is a few lines, runs in milliseconds and always gives
the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec
from aiokafka.partitioner import murmur2

from ticket_contracts import cloudevents, topics
from ticket_contracts.catalogue import BY_TYPE
from ticket_contracts.cloudevents import Event, Trace
from ticket_runtime.agreements import Agreements
from ticket_runtime.context import TaskContext
from ticket_runtime.handling import DLT, DeadLetterCount, DeadLetterLimit, fire_all, handle, to_record
from ticket_runtime.outputs import Collector, Message
from ticket_runtime.task import Transient, Work

_E = TypeVar("_E", bound=Event)


@dataclass(frozen=True, slots=True)
class Forwarded:
    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    event_id: str


@dataclass(slots=True)
class FakeOutputs:
    """`Outputs` that remembers. emitted: (topic, event) in order. stored: in order; `state` is what a restore would
    read."""

    emitted: list[tuple[str, Event]] = field(default_factory=list)
    forwarded: list[Forwarded] = field(default_factory=list)
    stored: list[tuple[bytes, bytes | None]] = field(default_factory=list)

    def emit(self, topic: str, event: Event) -> str:
        self.emitted.append((topic, event))
        return cloudevents.ce_id(event)

    def forward(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        self.forwarded.append(Forwarded(topic, key, value, list(headers), event_id))

    def store(self, key: bytes, value: bytes | None) -> None:
        self.stored.append((key, value))

    def events(self, topic: str) -> list[Event]:
        return [event for on, event in self.emitted if on == topic]

    @property
    def state(self) -> dict[bytes, bytes]:
        return {key: value for key, value in dict(self.stored).items() if value is not None}


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record on a topic in memory; see `ticket_runtime.handling.Arrived`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str | None:
        said = dict(self.headers).get(name)
        return None if said is None else said.decode()


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A dead letter: the topic and group it failed for, why, and the untouched message."""

    topic: str
    group: str
    reason: str
    record: StoredRecord


@dataclass(slots=True)
class _Task:
    group: str
    number: int
    inputs: list[str]
    partitions: list[int]
    make_work: Callable[[TaskContext], Work]
    agreements: Agreements
    work: Work
    collector: Collector
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    changelog: dict[bytes, bytes] = field(default_factory=dict)
    count: DeadLetterCount = field(default_factory=DeadLetterCount)
    held: list[StoredRecord] = field(default_factory=list)


class InMemoryDesk:
    """Services over topics in memory.

    now: the desk's present (UTC); it moves by `run` alone. partitions: of every topic.
    """

    def __init__(self, now: datetime, partitions: int = 1, limit: DeadLetterLimit | None = None) -> None:
        self.now = now
        self._partitions = partitions
        self._limit = limit or DeadLetterLimit()
        self._topics: dict[tuple[str, int], list[StoredRecord]] = {}
        self._tasks: list[_Task] = []
        self._later: list[tuple[datetime, int, str, bytes | None, bytes | None, list[tuple[str, bytes]]]] = []

    # -- services

    def add(
        self,
        name: str,
        inputs: list[str],
        make_work: Callable[[TaskContext], Work],
        *,
        agreements: Agreements | None = None,
        single_task: bool = False,
    ) -> None:
        """A service, as its `ServiceSpec` says: one task for each partition, or one over all."""
        known = agreements if agreements is not None else Agreements()
        for number in range(1 if single_task else self._partitions):
            self._tasks.append(
                _Task(
                    group=name,
                    number=number,
                    inputs=inputs,
                    partitions=list(range(self._partitions)) if single_task else [number],
                    make_work=make_work,
                    agreements=known,
                    work=make_work(TaskContext(number, known)),
                    collector=Collector(f"/relaydesk/{name}", None if single_task else number),
                )
            )

    def work(self, name: str, task: int = 0) -> Work:
        """The work of one task, to look at."""
        return next(t.work for t in self._tasks if (t.group, t.number) == (name, task))

    def restart(self, name: str) -> None:
        """What a crash leaves: the work is made anew and restored from its changelog."""
        for task in self._tasks:
            if task.group == name:
                task.work = task.make_work(TaskContext(task.number, task.agreements))
                for key, value in sorted(task.changelog.items()):
                    task.work.restore(key, value)

    def state(self, name: str) -> dict[bytes, bytes]:
        """What the changelog of a service holds, of all its tasks."""
        return {key: value for task in self._tasks if task.group == name for key, value in task.changelog.items()}

    # -- messages in

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        at: datetime | None = None,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """A message from outside at an instant (default: now); a later one arrives when `run` gets there."""
        when = at or self.now
        self._later.append((when, len(self._later), topic, key, value, list(headers)))

    def publish(self, topic: str, event: Event, source: str = "/relaydesk/test") -> str:
        """An event as another service would have emitted it, beginning a chain of its own; returns its `ce_id`."""
        own_id = cloudevents.ce_id(event)
        trace = Trace(own_id, own_id, cloudevents.root_traceparent(own_id))
        at = cloudevents.instant_text(event.decided_for)
        headers = cloudevents.headers(own_id, event.TYPE, source, event.ticket, at, trace)
        self.send(topic, cloudevents.encode(event), event.ticket.encode(), at=event.decided_for, headers=headers)
        return own_id

    # -- time

    def run(self, until: datetime | None = None) -> None:
        """Lets the desk work until an instant (default: now): what arrives and what falls due on the way, each at its
        own instant.

        Raises Transient when a task waits for something that never comes.
        """
        end = max(until or self.now, self.now)
        while True:
            self._arrive()
            self._settle()
            upcoming = min((at for at in (self._next_arrival(), self._next_due()) if at is not None), default=None)
            if upcoming is None or upcoming > end:
                self.now = end
                return
            self.now = upcoming

    def _settle(self) -> None:
        """One step of a replay: rounds over the inputs until nobody emits, then what is due, and so on."""
        while True:
            if self._round(fire=False):
                continue
            due = self._next_due()
            if due is None or due > self.now:
                return
            self._round(fire=True)
            if self._next_due() == due and not any(task.held for task in self._tasks):
                raise AssertionError(f"what was due at {due} was neither fired nor moved")

    def _round(self, *, fire: bool) -> bool:
        """Returns whether anybody did anything."""
        ends = {at: len(records) for at, records in self._topics.items()}
        moved = False
        waiting: list[Transient] = []
        written: list[tuple[_Task, list[Message]]] = []
        for task in self._tasks:
            handled, reason = self._consume(task, ends)
            moved |= handled
            if reason is not None:
                waiting.append(reason)
            elif fire and (due := task.work.next_due()) is not None and due <= self.now:
                trouble = fire_all(task.work, self.now, task.collector)
                moved |= trouble is None
                if trouble is not None:
                    waiting.append(trouble)
            messages, stored = task.collector.take()
            for key, value in stored:
                if value is None:
                    task.changelog.pop(key, None)
                else:
                    task.changelog[key] = value
            written.append((task, messages))
        for _, messages in written:
            for message in messages:
                moved = True
                self._write(message)
        if waiting and not moved:
            raise waiting[0]
        return moved

    def _consume(self, task: _Task, ends: dict[tuple[str, int], int]) -> tuple[bool, Transient | None]:
        """Returns whether anything was handled, and what interrupted it: the rest is kept for the next round."""
        for at in ((topic, p) for topic in task.inputs for p in task.partitions):
            task.held += self._topics.get(at, [])[task.positions.get(at, 0) : ends.get(at, 0)]
            task.positions[at] = ends.get(at, 0)
        pending = sorted(task.held, key=self._order)
        task.held = []
        for done, record in enumerate(pending):
            try:
                outcome = handle(record, record.topic, self.now, task.work, task.collector, task.group)
            except Transient as reason:
                task.held = pending[done:]
                return done > 0, reason
            task.count.count(self._limit, dead=outcome == "dead_letter")
        return bool(pending), None

    def _order(self, record: StoredRecord) -> tuple[datetime, str, bytes, int]:
        try:
            instant = to_record(record, record.topic, self.now).instant
        except ValueError:
            instant = self.now
        return instant, record.topic, record.key or b"", record.offset

    # -- what came of it

    def records(self, topic: str) -> list[StoredRecord]:
        """Everything on a topic, by partition and offset."""
        return [record for p in range(self._partitions) for record in self._topics.get((topic, p), [])]

    def events(self, topic: str, model: type[_E]) -> list[_E]:
        """The events of one model on a topic, in the order of `decided_for`."""
        kind = model.TYPE
        decoder = msgspec.json.Decoder(model)
        found = [decoder.decode(r.value or b"") for r in self.records(topic) if r.header("ce_type") == kind]
        return sorted(found, key=lambda event: event.decided_for)

    def all_events(self, topic: str) -> list[Event]:
        """The events of every model on a topic, in the order of `decided_for`."""
        found = [
            msgspec.json.decode(r.value or b"", type=BY_TYPE[kind])
            for r in self.records(topic)
            if (kind := r.header("ce_type")) in BY_TYPE
        ]
        return sorted(found, key=lambda event: event.decided_for)

    def dead_letters(self) -> list[DeadLettered]:
        return [
            DeadLettered(
                topic.removesuffix(topics.DEAD_LETTER),
                record.header(DLT + "original-consumer-group") or "",
                record.header(DLT + "exception-message") or "",
                record,
            )
            for (topic, _), records in sorted(self._topics.items())
            if topic.endswith(topics.DEAD_LETTER)
            for record in records
        ]

    # -- topics

    def _arrive(self) -> None:
        self._later.sort(key=lambda entry: entry[:2])
        while self._later and self._later[0][0] <= self.now:
            at, _, topic, key, value, headers = self._later.pop(0)
            self._write(Message(topic, key, value, headers, None), at)

    def _write(self, message: Message, at: datetime | None = None) -> None:
        partition = message.partition
        if partition is None:
            partition = (murmur2(message.key) & 0x7FFFFFFF) % self._partitions if message.key is not None else 0
        log = self._topics.setdefault((message.topic, partition), [])
        timestamp = int((at or self.now).timestamp() * 1000)
        log.append(
            StoredRecord(
                message.topic, partition, len(log), timestamp, message.key, message.value, tuple(message.headers)
            )
        )

    def _next_arrival(self) -> datetime | None:
        return min((entry[0] for entry in self._later), default=None)

    def _next_due(self) -> datetime | None:
        return min((due for task in self._tasks if (due := task.work.next_due()) is not None), default=None)
