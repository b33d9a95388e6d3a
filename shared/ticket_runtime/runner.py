"""One task while it runs in this process: made ready, fed batch by batch, closed with its transaction finished."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from ticket_contracts.time import TimeStep
from ticket_runtime import decisions, stepping
from ticket_runtime.attempts import ALONE_AT_MOST, Mark, care_after
from ticket_runtime.changelog import restore
from ticket_runtime.clock import Clock
from ticket_runtime.handling import (
    Arrived,
    DeadLetterCount,
    DeadLetterLimit,
    Outcome,
    TooManyDeadLetters,
    dead_letter,
    fire,
    fire_all,
    handle,
    to_record,
)
from ticket_runtime.logs import logger
from ticket_runtime.metrics import Metrics, Observer
from ticket_runtime.outputs import Collector, trace_from
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.tally import Tally
from ticket_runtime.task import Poison, Transient, Work
from ticket_runtime.transactions import TaskProducer

_BATCH_AT_LEAST = 64
_BACK_OFF_AT_MOST = 30.0


State = Literal["opening", "running", "backing off", "closed"]

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """What is alike for all tasks of a service. name: of the service. inputs: unprefixed. make_work: task number ->
    work. whole: one task has all partitions. stateful: it has a changelog. limit: on dead letters. observer: counts
    what the service decided."""

    name: str
    inputs: list[str]
    make_work: Callable[[int], Work]
    whole: bool = False
    stateful: bool = True
    limit: DeadLetterLimit = DeadLetterLimit()  # noqa: RUF009 - frozen
    observer: Observer | None = None


class MessageFault(Exception):
    """The work could not handle a message and did not say why: a fault of ours, which ends the process.

    where: topic, partition, offset, ticket and trace ids. kind, frames: of the error. Its words are left out, for they
    may be the ticket's; they are in `__cause__`.
    """

    def __init__(self, arrived: Arrived, topic: str, error: Exception) -> None:
        self.where = _where(arrived, topic)
        self.kind = f"{type(error).__module__}.{type(error).__qualname__}"
        self.frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
        super().__init__(f"{self.kind} at {arrived.topic}/{arrived.partition}/{arrived.offset}")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a group stands on a partition: the next offset, and what the former owner was about there."""

    offset: int
    mark: Mark


class TaskRunner:
    """One task, from its assignment to its revocation; never used twice.

    The loop puts records in with `put`, in the order of each partition, and wakes it when time or the replay moved.
    """

    def __init__(
        self,
        group: TaskGroup,
        number: int,
        partitions: Iterable[TopicPartition],
        consumer: AIOKafkaConsumer,
        positions: Callable[[list[TopicPartition]], Any],
        settings: RuntimeSettings,
        clock: Clock,
        metrics: Metrics,
        producer: TaskProducer,
        changelog: TopicPartition | None,
        wants_changed: Callable[[], None],
    ) -> None:
        self.number = number
        prefix = len(settings.topic_prefix)
        self.inputs: dict[TopicPartition, str] = {tp: tp.topic[prefix:] for tp in sorted(partitions)}
        self.state: State = "opening"
        self.work = group.make_work(number)
        self.behind = False
        """Whether a round of a replay waits for records that have not arrived yet."""
        self._group, self._settings, self._clock, self._metrics = group, settings, clock, metrics
        self._consumer, self._positions, self._changelog = consumer, positions, changelog
        self._producer = producer
        self._wants_changed = wants_changed
        self._collector = Collector(f"/relaydesk/{group.name}", None if group.whole else number)
        self._topics = {tp.topic: topic for tp, topic in self.inputs.items()}
        self._inbox: deque[Arrived] = deque()
        self._reached: dict[TopicPartition, int] = {}
        self._backlog: dict[TopicPartition, int] = {}
        self._caught_up = False
        self._worked_off: dict[TopicPartition, int] = {}
        self._careful: dict[TopicPartition, int] = {}
        self._step = 1
        self._begun: dict[TopicPartition, tuple[int, int]] = {}
        self._announced: tuple[TopicPartition, int] | None = None
        self._answered: tuple[int, int] | None = None
        self._count = DeadLetterCount()
        self._tally = Tally(metrics)
        self._batch = _BATCH_AT_LEAST
        self._back_off = 0.0
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._busy_since = 0.0

    # -- called by the loop

    def start(self, done: Callable[[asyncio.Task[None]], None]) -> None:
        self._task = asyncio.create_task(self._run(), name=f"{self._group.name}-{self.number}")
        self._task.add_done_callback(done)

    async def close(self) -> None:
        """Lets the current transaction finish, then gives the task up. Never raises: `start`'s callback is told."""
        self._closing = True
        self.wake()
        if self._task is not None:
            if self.state == "opening":
                self._task.cancel()
            await asyncio.wait({self._task})

    def wake(self) -> None:
        self._wake.set()

    @property
    def wants_records(self) -> bool:
        return (
            self.state in ("running", "backing off")
            and not self._closing
            and (self._clock.streaming or len(self._inbox) <= self._settings.batch)
        )

    @property
    def is_careful(self) -> bool:
        """Whether a former owner ended without a word and its old batch is not worked off yet."""
        return bool(self._careful)

    @property
    def stuck_since(self) -> float | None:
        """Since when (unix time) nothing was committed although there is something to do."""
        if not self._inbox or self._clock.streaming or self.state == "backing off":
            return None  # backing off, it tries again and again: to start anew would not help
        return self._busy_since

    def put(self, tp: TopicPartition, records: Sequence[Arrived]) -> None:
        if not self._inbox:
            self._busy_since = time.time()
        self._inbox.extend(records)
        self.reach(tp, records[-1].offset + 1)

    def reach(self, tp: TopicPartition, position: int) -> None:
        """Everything below this position was `put`; markers of transactions count although they are no records."""
        if self._reached.get(tp, -1) < position:
            self._reached[tp] = position
            self._wake.set()

    @property
    def needs_positions(self) -> bool:
        return self._clock.streaming or not self._caught_up or bool(self._careful)

    # -- life

    async def _run(self) -> None:
        try:
            await self._open()
            while not self._closing:
                if self._clock.streaming:
                    await self._next_round()
                elif self._careful:
                    await self._next_few()
                else:
                    await self._next_batch()
            await self._sign_off()
        except TooManyDeadLetters:
            # Nothing died: the batch is given back whole, for whoever starts next.
            self._give_back()
            await self._sign_off()
            raise
        finally:
            self.state = "closed"
            self._metrics.running.labels(self._group.name, self.number).set(0)
            self._metrics.nothing_of(self.number, [(topic, tp.partition) for tp, topic in self.inputs.items()])
            await self._producer.close()

    async def _open(self) -> None:
        """Fences, and only then looks where the group stands: before, the committed offset is not final."""
        began = time.perf_counter()
        await self._producer.fence()
        tps = list(self.inputs)
        committed: dict[TopicPartition, Position] = await self._positions(tps)
        for tp in tps:
            self._consumer.seek(tp, committed[tp].offset)
            self._reached[tp] = self._worked_off[tp] = committed[tp].offset
        restored = await self._restore()
        self._backlog = await self._consumer.end_offsets(tps)
        cares = {tp: care_after(at.mark, at.offset, self._backlog[tp]) for tp, at in committed.items()}
        self._careful = {tp: care.until for tp, care in cares.items() if care is not None}
        self._begun = {
            tp: (committed[tp].offset, care.attempts)
            for tp, care in cares.items()
            if care is not None and care.attempts
        }
        self._step = min((care.size for care in cares.values() if care is not None), default=1)
        # Says that this owner is at work, so that its end can be noticed as well.
        await self._commit(
            {tp: at.offset for tp, at in committed.items()},
            marks={
                tp: Mark("alone", self._begun[tp][1], self._careful[tp]) if tp in self._begun else self._mark(tp)
                for tp in tps
            },
        )
        # What the work makes of its state to know what is due: before it is ready, and not when something is.
        self.work.next_due()
        self.state = "running"
        self._wants_changed()
        self._metrics.running.labels(self._group.name, self.number).set(1)
        self._metrics.restore_seconds.observe(time.perf_counter() - began)
        log.info(
            "task ready",
            task=self.number,
            restored=restored,
            backlog=sum(self._backlog[tp] - committed[tp].offset for tp in tps),
            careful=sum(until - committed[tp].offset for tp, until in self._careful.items()),
        )

    async def _restore(self) -> int:
        """Gives the work its state back, and returns of how many records it was made."""
        if self._changelog is None:
            return 0
        progress = self._metrics.restored.labels(self._group.name, self.number)
        return await restore(self._settings.bootstrap, self._changelog, self.work, progress.set)

    async def _sign_off(self) -> None:
        """Says that nothing is in work, so that the next owner need not be careful."""
        marks = {
            tp: Mark("rest", self._step, self._careful[tp]) if tp in self._careful else Mark() for tp in self.inputs
        }
        await self._commit(self._worked_off if self._clock.streaming else self._handled(), marks=marks)

    # -- live

    async def _next_batch(self) -> None:
        await self._wait_for_work()
        if self._closing or self._clock.streaming:
            return
        batch = list(islice(self._inbox, self._batch))
        await self._prepare(batch)
        began = time.perf_counter()
        done, trouble = self._handle_all(batch, self._clock.now())
        full = len(self._inbox) > self._settings.batch
        for _ in range(done):
            self._inbox.popleft()
        if full:
            self._wants_changed()
        if trouble is None:
            await self._prepare_to_fire(self._clock.now())
            trouble = self._fire_what_is_due(self._clock.now())
        self._metrics.batch_seconds.observe(time.perf_counter() - began)
        # What a later owner takes for the old batch's end; it grows with the load, and so does the batch.
        self._batch = min(max(_BATCH_AT_LEAST, 2 * len(batch)), self._settings.batch)
        if done or self._collector.messages or self._collector.stored:
            await self._commit(_next_offsets(batch[:done]))
        elif not batch:
            await self._nothing_came_of_it()
        if trouble is not None:
            await self._pause(trouble)

    async def _wait_for_work(self) -> None:
        while not (self._inbox or self._closing or self._clock.streaming or self._careful):
            self._wake.clear()
            wait = None
            self._note_caught_up()
            if self._caught_up and (due := self.work.next_due()) is not None:
                wait = (due - self._clock.now()).total_seconds()
                if wait <= 0:
                    return
            await self._wait(wait)

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _fire_what_is_due(self, now: datetime) -> Transient | None:
        """Not before the backlog is worked off, or a clock that was already stopped would fire."""
        self._note_caught_up()
        return fire(self.work, now, self._collector) if self._caught_up else None

    def _note_caught_up(self) -> None:
        if not self._caught_up:
            handled = self._handled()
            self._caught_up = all(handled[tp] >= end for tp, end in self._backlog.items())

    def _handled(self) -> dict[TopicPartition, int]:
        """The offset of each partition before which nothing is left to do."""
        handled = dict(self._reached)
        for arrived in reversed(self._inbox):
            handled[TopicPartition(arrived.topic, arrived.partition)] = arrived.offset
        return handled

    # -- careful, after an end without a word

    async def _next_few(self) -> None:
        if not self._still_careful():
            await self._commit(self._handled())
        elif not self._inbox:
            self._wake.clear()
            if not self._closing:
                await self._wait(None)
        else:
            _, _, trouble = await self._few(list(islice(self._inbox, self._step + 1)), self._clock.now())
            if trouble is not None:
                await self._pause(trouble)

    def _still_careful(self) -> bool:
        handled = self._handled()
        self._careful = {tp: until for tp, until in self._careful.items() if handled[tp] < until}
        return bool(self._careful)

    async def _few(self, queue: list[Arrived], present: datetime) -> tuple[int, int, Transient | None]:
        """Handles the first few of a queue in a transaction of their own; a single one is announced before it is begun.
        Returns how many it handled, how many records they gave out, and what interrupted the next."""
        batch = queue[: self._step]
        if len(batch) > 1:
            await self._prepare(batch)
            done, trouble = self._handle_all(batch, present)
        else:
            done, trouble = await self._alone(batch[0], present)
        emitted = len(self._collector.messages)
        offsets = _next_offsets(batch[:done])
        for arrived in batch[:done]:
            self._inbox.remove(arrived)
        self._worked_off |= offsets
        self._still_careful()
        marks = {tp: self._mark(tp) for tp in offsets}
        if self._step == 1 and self._careful and done < len(queue) and trouble is None:
            # The next one is announced in the same transaction.
            coming = queue[done]
            tp = TopicPartition(coming.topic, coming.partition)
            if self._begun_before(coming) < ALONE_AT_MOST:
                offsets[tp], marks[tp] = coming.offset, self._announcement(coming)
                self._announced = tp, coming.offset
        if offsets:
            await self._commit(offsets, marks=marks)
        return done, emitted, trouble

    async def _alone(self, arrived: Arrived, present: datetime) -> tuple[int, Transient | None]:
        """Announces a message, handles it, and takes the announcement back when it has to wait."""
        tp = TopicPartition(arrived.topic, arrived.partition)
        if self._begun_before(arrived) >= ALONE_AT_MOST:
            reason = Poison(f"it ended the process of {self._group.name} three times; its log says how", "deadly")
            self._collector.begin(None)
            topic = self._topics[arrived.topic]
            self._collector.add(dead_letter(arrived, topic, self._group.name, reason))
            self._collector.refused = reason.kind
            self._log_outcome(arrived, "dead_letter")
            self._tally.message(arrived, topic, "dead_letter", self._collector)
            self._count.count(self._group.limit, dead=True)
            return 1, None
        if self._announced != (tp, arrived.offset):
            await self._commit({tp: arrived.offset}, marks={tp: self._announcement(arrived)})
        self._announced = None
        await self._prepare([arrived])
        done, trouble = self._handle_all([arrived], present)
        if trouble is not None:
            until = self._careful.get(tp, arrived.offset + 1)
            await self._commit({tp: arrived.offset}, marks={tp: Mark("rest", 1, until)})
        return done, trouble

    def _begun_before(self, arrived: Arrived) -> int:
        """How often former owners began this message alone and were not heard of again."""
        offset, attempts = self._begun.get(TopicPartition(arrived.topic, arrived.partition), (-1, 0))
        return attempts if offset == arrived.offset else 0

    def _announcement(self, arrived: Arrived) -> Mark:
        until = self._careful.get(TopicPartition(arrived.topic, arrived.partition), arrived.offset + 1)
        return Mark("alone", self._begun_before(arrived) + 1, until)

    # -- in a replay

    async def _next_round(self) -> None:
        step = self._clock.step
        if step is None or (step.step, step.round) == self._answered:
            self._wake.clear()
            if not self._closing and step is self._clock.step:
                await self._wait(None)
            return
        ends = stepping.ends_of(step, self.inputs)
        # The first round that is seen is answered in any case: the former owner may have gone without doing so.
        if self._answered is None or stepping.is_concerned(step, ends, self._worked_off, self.work.next_due()):
            await self._work_off(step, ends)
        else:
            self._answered = step.step, step.round

    async def _work_off(self, step: TimeStep, ends: dict[TopicPartition, int]) -> None:
        while any(self._reached[tp] < end for tp, end in ends.items()):
            if not self.behind:
                self.behind = True
                self._wants_changed()
            self._wake.clear()
            await self._wait(None)
            if self._closing:
                return
        self.behind = False
        due = [a for a in self._inbox if a.offset < ends[TopicPartition(a.topic, a.partition)]]
        began = time.perf_counter()
        emitted = 0
        if self._still_careful():
            # In the order of the inbox: offsets that are committed one by one cannot be jumped over.
            while due:
                done, more, trouble = await self._few(due, step.instant)
                del due[:done]
                emitted += more
                if trouble is not None and await self._pause(trouble):
                    return
        due.sort(key=lambda arrived: self._order(arrived, step.instant))
        while due:
            await self._prepare(due)
            done, trouble = self._handle_all(due, step.instant)
            del due[:done]
            if trouble is not None and await self._pause(trouble):
                self._give_back()
                return
        if step.fire:
            await self._prepare_to_fire(step.instant)
        while step.fire and (trouble := fire_all(self.work, step.instant, self._collector)) is not None:
            if await self._pause(trouble):
                self._give_back()
                return
        self._metrics.batch_seconds.observe(time.perf_counter() - began)
        emitted += len(self._collector.messages)
        self._collector.add(stepping.answer(self._group.name, self.number, step, emitted, self.work.next_due()))
        self._inbox = deque(a for a in self._inbox if a.offset >= ends[TopicPartition(a.topic, a.partition)])
        moved = {tp: end for tp, end in ends.items() if end > self._worked_off[tp]}
        await self._commit(moved)
        self._worked_off |= moved
        self._answered = step.step, step.round

    def _order(self, arrived: Arrived, present: datetime) -> tuple[datetime, str, bytes, int]:
        topic = self._topics[arrived.topic]
        try:
            instant = to_record(arrived, topic, present).instant
        except ValueError:
            instant = present
        return instant, topic, arrived.key or b"", arrived.offset

    # -- both

    async def _prepare(self, batch: list[Arrived]) -> None:
        """For a runner whose work needs something loaded before it handles these. After an interruption it is called
        again with what is left."""

    async def _prepare_to_fire(self, now: datetime) -> None:
        """For a runner whose work needs something loaded before it fires what is due."""

    async def _nothing_came_of_it(self) -> None:
        """For a runner that holds something from `_prepare` or `_prepare_to_fire` to the commit, when there is none."""

    def _handle_all(self, batch: list[Arrived], present: datetime) -> tuple[int, Transient | None]:
        """How many were handled, and what interrupted the next one."""
        work, out, group, limit, count = self.work, self._collector, self._group.name, self._group.limit, self._count
        tally, topic = self._tally, ""
        done, trouble = 0, None
        try:
            for arrived in batch:
                before, topic = topic, self._topics[arrived.topic]
                if topic != before:
                    tally.begin(topic)
                outcome = handle(arrived, topic, present, work, out, group)
                if outcome != "handled":
                    self._log_outcome(arrived, outcome)
                tally.message(arrived, topic, outcome, out)
                count.count(limit, dead=outcome == "dead_letter")
                done += 1
        except Transient as reason:
            trouble = reason
        except TooManyDeadLetters:
            raise
        except Exception as error:
            raise MessageFault(batch[done], topic, error) from error
        finally:
            tally.end()
        return done, trouble

    def _give_back(self) -> None:
        """What was handled since the last commit is handled again by whoever has the task next."""
        self._collector.take()
        self._tally.drop()

    def _log_outcome(self, arrived: Arrived, outcome: Outcome) -> None:
        reason = ""
        if outcome == "dead_letter":
            said = dict(self._collector.messages[-1].headers)
            reason = said.get("kafka_dlt-exception-message", b"").decode(errors="replace")
        log.warning(outcome, reason=reason, **_where(arrived, self._topics[arrived.topic]))

    async def _pause(self, trouble: Transient) -> bool:
        """Waits some of the trouble out, longer each time. Returns whether the task is given up meanwhile."""
        self._back_off = min(max(trouble.delay, self._back_off * 2), _BACK_OFF_AT_MOST)
        self._metrics.transient.inc()
        log.warning("waiting for something to come back", task=self.number, reason=str(trouble), delay=self._back_off)
        self.state = "backing off"
        deadline = asyncio.get_running_loop().time() + self._back_off
        while not self._closing and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            await self._wait(left)
        self.state = "running"
        return self._closing

    async def _commit(
        self, offsets: dict[TopicPartition, int], marks: dict[TopicPartition, Mark] | None = None
    ) -> None:
        decided, records = self._collector.decided, self._collector.records
        messages, stored = self._collector.take()
        began = time.perf_counter()
        await self._producer.commit(
            messages,
            stored,
            {
                tp: OffsetAndMetadata(offset, (self._mark(tp) if marks is None else marks[tp]).text())
                for tp, offset in offsets.items()
            },
        )
        self._back_off = 0.0
        self._busy_since = time.time()
        self._metrics.transaction_seconds.observe(time.perf_counter() - began)
        self._metrics.committed.labels(self._group.name, self.number).set(self._busy_since)
        present = None if self._clock.streaming else self._clock.now()
        self._tally.settle(messages, None if present is None else present.timestamp())
        if decided and self._group.observer is not None:
            self._group.observer.committed(self.number, decided, present)
        decisions.tell(self._group.name, decided, records)

    def _mark(self, tp: TopicPartition) -> Mark:
        if not self._careful:
            return Mark("batch", self._settings.batch if self._clock.streaming else self._batch)
        if tp not in self._careful:
            return Mark("batch", self._step)
        return Mark("narrow" if self._step > 1 else "rest", self._step, self._careful[tp])

    def measure(self) -> None:
        """Sets the gauges that are looked at now and then."""
        name, number = self._group.name, self.number
        if self.state in ("opening", "closed"):
            return
        oldest = self._inbox[0].timestamp / 1_000 if self._inbox else 0
        self._metrics.oldest.labels(name, number).set(oldest)
        due = self.work.next_due()
        self._metrics.due.labels(name, number).set(due.timestamp() if due is not None else 0)
        if due is not None and due <= self._clock.now():
            self.wake()  # it became due by what came in beside the messages: a newer agreement

    def measure_lag(self, ends: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]) -> None:
        """ends: of the partitions, as the broker says. positions: up to which they were fetched, markers included."""
        waiting: dict[TopicPartition, int] = {}
        for arrived in reversed(self._inbox):
            waiting[TopicPartition(arrived.topic, arrived.partition)] = arrived.offset
        for tp, topic in self.inputs.items():
            if tp in ends and tp in positions:
                lag = max(ends[tp] - waiting.get(tp, positions[tp]), 0)
                self._metrics.lag.labels(self._group.name, topic, tp.partition).set(lag)


def _next_offsets(done: list[Arrived]) -> dict[TopicPartition, int]:
    last: dict[tuple[str, int], int] = {}
    for arrived in done:
        last[arrived.topic, arrived.partition] = arrived.offset + 1
    return {TopicPartition(topic, partition): offset for (topic, partition), offset in last.items()}


def _where(arrived: Arrived, topic: str) -> dict[str, Any]:
    """What a log line says of a message, so that its ticket can be followed. topic: without prefix."""
    trace, _ = trace_from(dict(arrived.headers), topic, arrived.partition, arrived.offset)
    return {
        "topic": arrived.topic,
        "partition": arrived.partition,
        "offset": arrived.offset,
        "ticket": None if arrived.key is None else arrived.key.decode(errors="replace"),
        "correlationid": trace.correlation,
        "traceparent": trace.traceparent,
    }
