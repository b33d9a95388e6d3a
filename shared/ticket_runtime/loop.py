"""The transactional loop of a process: its membership in the consumer group, and one runner for each task it has.

A task is (group, partition number) over all the group's inputs. Nothing of a task runs outside of its assignment: the
gate is closed, with every transaction finished, before a rebalance may give the task to somebody else, and opened only
after the former owner was fenced. Any error of a transaction, of a listener or of the work ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError, KafkaError

from ticket_contracts import topics
from ticket_runtime.assignor import RangePartitionAssignor, SingleTaskAssignor
from ticket_runtime.attempts import Mark, read_mark
from ticket_runtime.clock import Clock
from ticket_runtime.closing import quietly
from ticket_runtime.context import LiveView
from ticket_runtime.http import Health
from ticket_runtime.logs import logger
from ticket_runtime.metrics import Metrics
from ticket_runtime.runner import Position, TaskGroup, TaskRunner
from ticket_runtime.settings import CannotRun, RuntimeSettings
from ticket_runtime.stepping import follow_steps
from ticket_runtime.topics import partition_counts
from ticket_runtime.transactions import TaskProducer

_POLL_SECONDS = 0.25
_HURRY_SECONDS = 0.002
_STUCK_SECONDS = 120.0
_ASK_SECONDS = 5.0

log = logger(__name__)


class Loop(ConsumerRebalanceListener):  # type: ignore[misc]
    """One process of a group. `run` returns after `stop`, or raises what ended it; never used twice."""

    runner_type: type[TaskRunner] = TaskRunner
    """A loop whose tasks keep their state elsewhere has another, with producers and positions to it."""

    def __init__(
        self, group: TaskGroup, settings: RuntimeSettings, clock: Clock, metrics: Metrics, view: LiveView
    ) -> None:
        self._group, self._settings, self._clock, self._metrics, self._view = group, settings, clock, metrics, view
        self._name = settings.topic_prefix + group.name
        self._topics = [settings.topic_prefix + topic for topic in group.inputs]
        self._runners: dict[int, TaskRunner] = {}
        self._generation = 0
        self._joined = False
        self._partitions = 0
        self._stop_asked = False
        self._ended: asyncio.Future[None] | None = None
        self._pump_wake: asyncio.Future[None] | None = None
        self._consumer: AIOKafkaConsumer
        self._admin: AIOKafkaAdminClient

    # -- life

    async def run(self) -> None:
        """Raises CannotRun, KafkaError, TimeoutError, TooManyDeadLetters, or what the work raised."""
        self._ended = asyncio.get_running_loop().create_future()
        if self._stop_asked:
            return
        async with contextlib.AsyncExitStack() as stack:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.bootstrap)
            await self._admin.start()
            stack.push_async_callback(quietly, self._admin.close)
            await self._check_topics()
            self._consumer = self._make_consumer()
            await self._consumer.start()
            stack.push_async_callback(quietly, self._consumer.stop)
            self._metrics.expect(self._group.inputs)
            helpers = [asyncio.create_task(work()) for work in self._helpers()]
            if self._clock.streaming:
                helpers.append(
                    asyncio.create_task(
                        follow_steps(
                            self._settings.bootstrap, self._settings.topic_prefix, self._clock, self._time_moved
                        )
                    )
                )
            for helper in helpers:
                helper.add_done_callback(self._helper_ended)
            self._consumer.subscribe(topics=self._topics, listener=self)
            try:
                await self._ended
            finally:
                await self._close_gate()
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)

    def _helpers(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        """What goes on beside the tasks; the process ends with an error of any."""
        return [self._pump, self._measure, self._ask_broker]

    def stop(self) -> None:
        """Lets `run` return after every task has finished its transaction."""
        self._stop_asked = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, error: BaseException) -> None:
        """The first error ends the process; what follows from it is not told."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _helper_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    @property
    def runners(self) -> list[TaskRunner]:
        """The tasks that this process has right now."""
        return list(self._runners.values())

    # -- health

    def alive(self) -> Health:
        """Alive: the committed offset moves while there is something to read. Lag is no measure of it."""
        now = time.time()
        stuck = [
            f"task {number} has committed nothing for {now - since:.0f} s"
            for number, runner in self._runners.items()
            if (since := runner.stuck_since) is not None and now - since > _STUCK_SECONDS
        ]
        return Health(not stuck, "; ".join(stuck), self._states())

    def ready(self) -> Health:
        """Ready: in the group, and every task it has here is restored. A stand-by is ready."""
        if not self._joined:
            return Health(False, "waiting for the group to assign tasks", self._states())
        opening = [str(number) for number, runner in self._runners.items() if runner.state == "opening"]
        return Health(not opening, f"restoring task {', '.join(opening)}" if opening else "", self._states())

    def _states(self) -> dict[str, str]:
        return {str(number): runner.state for number, runner in sorted(self._runners.items())}

    # -- the gate

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called by the client before others may get our tasks. What it raises would only be logged there."""
        try:
            await self._close_gate()
        except BaseException as error:
            self._fail(error)
            raise

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called by the client before it sends heartbeats: so the tasks are made ready beside it."""
        try:
            await self._close_gate()
            self._open_gate(self._tasks_of(assigned))
        except BaseException as error:
            self._fail(error)
            raise

    async def _close_gate(self) -> None:
        """Afterwards no task runs here, and what is fetched from now on belongs to no task."""
        self._generation += 1
        self._joined = False
        runners, self._runners = self._runners, {}
        self._wake_pump()
        for runner in runners.values():
            self._view.hide(runner.number)
        if runners:
            await asyncio.gather(*(runner.close() for runner in runners.values()))

    def _open_gate(self, tasks: dict[int, list[TopicPartition]]) -> None:
        for number, partitions in tasks.items():
            runner = self._make_runner(number, partitions)
            self._runners[number] = runner
            self._view.show(number, runner.work)
            runner.start(self._runner_ended)
        self._joined = True
        log.info("tasks assigned", tasks=sorted(tasks), generation=self._generation)

    def _runner_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._wake_pump()

    def _tasks_of(self, assigned: set[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """Task number -> its partitions. Raises CannotRun when the group separated the topics of a task."""
        if not assigned:
            return {}
        numbers = sorted({tp.partition for tp in assigned})
        whole = {TopicPartition(topic, number) for topic in self._topics for number in numbers}
        if assigned != whole or (self._group.whole and len(numbers) != self._partitions):
            raise CannotRun(
                f"the group {self._name} assigned {sorted(whole ^ assigned)} apart from the rest of their task; "
                "all its members must read the same topics: stop those of another version"
            )
        if self._group.whole:
            return {0: sorted(assigned)}
        return {number: [TopicPartition(topic, number) for topic in self._topics] for number in numbers}

    def _make_runner(self, number: int, partitions: list[TopicPartition]) -> TaskRunner:
        changelog = None
        if self._group.stateful:
            changelog = TopicPartition(self._settings.topic_prefix + topics.changelog(self._group.name), number)
        return self.runner_type(
            self._group,
            number,
            partitions,
            self._consumer,
            self._positions,
            self._settings,
            self._clock,
            self._metrics,
            self._make_producer(number, changelog),
            changelog,
            self._wake_pump,
        )

    def _make_producer(self, number: int, changelog: TopicPartition | None) -> TaskProducer:
        return TaskProducer(self._settings, self._transactional_id(number), self._name, changelog)

    def _transactional_id(self, number: int) -> str:
        """Deterministic: whoever starts a producer with it fences the one before."""
        return f"{self._name}-{number}"

    async def _positions(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Position]:
        """Where the group stands, with the marks. To be asked after fencing."""
        while True:
            try:
                found = await self._admin.list_consumer_group_offsets(self._name, partitions=partitions)
            except KafkaError as error:
                if not error.retriable:
                    raise
                found = {}
            # A coordinator that still loads answers without the partitions: nothing is known, not "none committed".
            if set(found) >= set(partitions):
                break
            await asyncio.sleep(0.1)
        fresh = [tp for tp in partitions if found[tp].offset < 0]
        beginnings = await self._consumer.beginning_offsets(fresh) if fresh else {}
        return {
            tp: Position(beginnings[tp], Mark())
            if tp in beginnings
            else Position(found[tp].offset, read_mark(found[tp].metadata or ""))
            for tp in partitions
        }

    # -- records

    async def _pump(self) -> None:
        """Moves what the client fetched into the runners' inboxes, from partitions whose task is ready for it."""
        loop = asyncio.get_running_loop()
        while True:
            self._pump_wake = loop.create_future()
            generation = self._generation
            ready = [runner for runner in self._runners.values() if self._takes_records(runner)]
            wanting = {tp: runner for runner in ready for tp in runner.inputs}
            if not wanting:
                await asyncio.wait({self._pump_wake}, timeout=_POLL_SECONDS)
                continue
            hurry = any(runner.behind for runner in self._runners.values())
            timeout_ms = int(1_000 * (_HURRY_SECONDS if hurry else _POLL_SECONDS))
            getter = asyncio.ensure_future(self._consumer.getmany(*wanting, timeout_ms=timeout_ms))
            await asyncio.wait({getter, self._pump_wake}, return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                getter.cancel()  # it waits for records and holds none
                await asyncio.wait({getter})
            if getter.cancelled():
                continue
            fetched = getter.result()
            if not self._is_current(generation):
                # Fetched under another assignment. Its tasks are closed; opened again they seek to what is committed.
                continue
            for tp, records in fetched.items():
                wanting[tp].put(tp, records)
            for tp, runner in wanting.items():
                if runner.needs_positions:
                    # Also passes the markers of transactions, for which nothing is fetched.
                    with contextlib.suppress(IllegalStateError):
                        runner.reach(tp, await self._consumer.position(tp))

    def _takes_records(self, runner: TaskRunner) -> bool:
        return runner.wants_records

    def _is_current(self, generation: int) -> bool:
        return generation == self._generation

    def _wake_pump(self) -> None:
        if self._pump_wake is not None and not self._pump_wake.done():
            self._pump_wake.set_result(None)

    def _time_moved(self) -> None:
        for runner in self._runners.values():
            runner.wake()
        self._wake_pump()

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(1)
            for runner in self._runners.values():
                runner.measure()

    async def _ask_broker(self) -> None:
        """How far the inputs reach, which also tells whether the broker is there: a service with nothing to do would
        not notice."""
        while True:
            inputs = [tp for runner in self._runners.values() if runner.state != "opening" for tp in runner.inputs]
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    ends = await self._consumer.end_offsets(inputs or [TopicPartition(self._topics[0], 0)])
                    self._metrics.broker.set(time.time())
                    assigned = self._consumer.assignment()
                    positions = {tp: await self._consumer.position(tp) for tp in inputs if tp in assigned}
            except (KafkaError, TimeoutError):
                pass  # the metric stays as it was: that is what it says
            else:
                for runner in self._runners.values():
                    runner.measure_lag(ends, positions)
            await asyncio.sleep(_ASK_SECONDS)

    # -- setting up

    def _make_consumer(self) -> AIOKafkaConsumer:
        settings = self._settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            client_id=self._name,
            group_id=self._name,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            # The default, round robin, separates the topics of a task.
            partition_assignment_strategy=[SingleTaskAssignor if self._group.whole else RangePartitionAssignor],
            session_timeout_ms=int(settings.session_seconds * 1_000),
            heartbeat_interval_ms=int(settings.session_seconds * 1_000 / 4),
            rebalance_timeout_ms=int((settings.commit_seconds + settings.session_seconds) * 1_000),
            # A task that waits for something to come back keeps its place; `alive` says when it waits too long.
            max_poll_interval_ms=24 * 3_600 * 1_000,
            # With the default of 500 one drained partition holds up the others; in a replay, where everything is taken
            # out at once, none is left behind, and asking fifty times a second would only cost.
            fetch_max_wait_ms=250 if self._clock.streaming else 20,
            check_crcs=False,
        )

    async def _check_topics(self) -> None:
        needed = {name: self._settings.topic_prefix + name for name in self._group.inputs}
        if self._group.stateful:
            changelog = topics.changelog(self._group.name)
            needed[changelog] = self._settings.topic_prefix + changelog
        counts = await partition_counts(self._admin, needed.values())
        missing = sorted(set(needed.values()) - set(counts))
        if missing:
            raise CannotRun(f"there is no topic {', '.join(missing)}: create the desk's topics first")
        inputs = {full: counts[full] for name, full in needed.items() if not name.endswith(topics.CHANGELOG)}
        if len(set(inputs.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in sorted(inputs.items()))
            raise CannotRun(f"the inputs of {self._group.name} need one partition count, but {said}")
        self._partitions = next(iter(inputs.values()))
        if self._group.stateful:
            count, wanted = (
                counts[needed[topics.changelog(self._group.name)]],
                1 if self._group.whole else self._partitions,
            )
            if count != wanted:
                name = needed[topics.changelog(self._group.name)]
                raise CannotRun(f"{name} has {count} partitions where {wanted} are needed")
