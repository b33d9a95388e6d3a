"""How a service is put together and run: `raise SystemExit(run_service(spec, settings))`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from fastapi import FastAPI

from ticket_contracts import topics
from ticket_contracts.agreement import parse_published
from ticket_runtime.agreements import Agreements
from ticket_runtime.clock import Clock
from ticket_runtime.closing import quietly
from ticket_runtime.context import LiveView, TaskContext
from ticket_runtime.handling import DeadLetterLimit, TooManyDeadLetters
from ticket_runtime.http import Server, make_app
from ticket_runtime.logs import configure_logs, logger
from ticket_runtime.loop import Loop
from ticket_runtime.metrics import Metrics, Observer, Registry
from ticket_runtime.runner import MessageFault, TaskGroup
from ticket_runtime.settings import CannotRun, RuntimeSettings
from ticket_runtime.task import Work
from ticket_runtime.topics import add_missing_topics

__all__ = ["LiveView", "ServiceSpec", "TaskContext", "listening", "run_service"]

STOPPED = 0
"""Exit codes: a signal asked for it, and every transaction was finished."""
FAILED = 1
"""A fault or a fence; a supervisor starts it again."""
UNFIT = 2
"""It cannot run as things are: no broker, topics that do not fit. The log says what to do."""
TOO_MANY_DEAD_LETTERS = 3
"""Everything fails: a person should look before it is started again."""
RENEWED = 75
"""A newer agreement gives the service other inputs: start it again."""

log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """What a service is to the runtime.

    name: consumer group, changelog `<name>.changelog`, source `/relaydesk/<name>`, metrics label.
    inputs: topics without prefix, or what says them of the agreements read at the start.
    make_work: makes the work of a task, anew at every assignment. single_task: one task over all partitions, the other
    processes stand by. stateful: it has a changelog. routes: adds HTTP routes of its own.
    needs_agreement: the agreements are read to their end before the first decision, and followed.
    dead_letters: when they stop the process, where what comes in is in nobody's hand here; None: by the settings.
    observe: registers the service's own metrics, once, and returns what keeps them.
    tables: topic of one partition -> what takes in each of its records (key, value; None deletes). All of it is taken
    in before the first message is handled, and what comes later as it comes.
    """

    name: str
    inputs: list[str] | Callable[[Agreements], list[str]]
    make_work: Callable[[TaskContext], Work]
    single_task: bool = False
    stateful: bool = True
    routes: Callable[[FastAPI, LiveView], None] | None = None
    needs_agreement: bool = True
    dead_letters: DeadLetterLimit | None = None
    observe: Callable[[Registry], Observer] | None = None
    tables: Mapping[str, Callable[[bytes, bytes | None], None]] = field(default_factory=dict)


def run_service(spec: ServiceSpec, settings: RuntimeSettings, make_loop: Callable[..., Loop] = Loop) -> int:
    """Runs until SIGTERM or SIGINT, or until something ends it; returns the exit code."""
    configure_logs(spec.name, settings.log_level)
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(spec, settings, make_loop))


async def _serve(spec: ServiceSpec, settings: RuntimeSettings, make_loop: Callable[..., Loop]) -> int:
    try:
        code = await _run(spec, settings, make_loop)
    except CannotRun as reason:
        log.error("cannot run", reason=str(reason))
        return UNFIT
    except KafkaConnectionError as error:
        log.error("cannot run", reason=f"no broker answers at {settings.bootstrap}: {error}")
        return UNFIT
    except TooManyDeadLetters as reason:
        log.error("stopped rather than dead-letter everything", reason=str(reason))
        return TOO_MANY_DEAD_LETTERS
    except (KafkaError, TimeoutError) as error:
        log.error("ended by a transaction or the broker", error=repr(error))
        return FAILED
    except MessageFault as fault:
        log.error("ended by a message", error=fault.kind, frames=fault.frames, **fault.where)
        return FAILED
    except Exception:
        log.exception("ended by a fault")
        return FAILED
    log.info("stopped", code=code)
    return code


async def _run(spec: ServiceSpec, settings: RuntimeSettings, make_loop: Callable[..., Loop]) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    agreements = Agreements()
    news = asyncio.Event()
    metrics = Metrics(spec.name)
    clock = Clock(stream=settings.clock == "stream")
    view = LiveView()
    async with contextlib.AsyncExitStack() as stack:
        ends: set[asyncio.Future[Any]] = {asyncio.create_task(stopped.wait())}
        following: asyncio.Task[None] | None = None
        if spec.needs_agreement:
            following = await stack.enter_async_context(_following(settings, agreements, news, stopped))
            ends.add(following)
            if stopped.is_set():
                return STOPPED
        tables = [
            await stack.enter_async_context(_table(settings, topic, take, stopped))
            for topic, take in spec.tables.items()
        ]
        ends.update(tables)
        inputs = spec.inputs(agreements) if callable(spec.inputs) else spec.inputs
        group = TaskGroup(
            name=spec.name,
            inputs=inputs,
            make_work=lambda task: spec.make_work(TaskContext(task, agreements, clock)),
            whole=spec.single_task,
            stateful=spec.stateful,
            limit=spec.dead_letters or DeadLetterLimit(consecutive=settings.dead_letters_in_row),
            observer=spec.observe(metrics.registry) if spec.observe is not None else None,
        )
        loop = make_loop(group, settings, clock, metrics, view)
        looking = asyncio.create_task(_look(group.observer, agreements, clock, metrics, view), name="gauges")
        ends.add(looking)
        app = make_app(spec.name, metrics, loop.alive, loop.ready)
        if spec.routes is not None:
            spec.routes(app, view)
        await stack.enter_async_context(listening(app, settings))
        working = asyncio.create_task(loop.run(), name="loop")
        renewal = asyncio.create_task(_ended_by(spec, agreements, inputs, news))
        try:
            await asyncio.wait({working, renewal, *ends}, return_when=asyncio.FIRST_COMPLETED)
            loop.stop()
            await working
            for helper in (following, looking, *tables):
                if helper is not None and helper.done():
                    helper.result()
            return RENEWED if renewal.done() and not stopped.is_set() else STOPPED
        finally:
            for task in (working, renewal, *ends):
                task.cancel()


async def _ended_by(spec: ServiceSpec, agreements: Agreements, inputs: list[str], news: asyncio.Event) -> None:
    """Returns when a newer agreement gives the service other inputs: the process starts anew with them."""
    while not callable(spec.inputs) or spec.inputs(agreements) == inputs:
        news.clear()
        await news.wait()


async def _look(
    observer: Observer | None, agreements: Agreements, clock: Clock, metrics: Metrics, view: LiveView
) -> None:
    """Every second: which agreement is in force, and what the service's own gauges show."""
    while True:
        in_force = None
        if len(agreements) and (not clock.streaming or clock.step is not None):
            in_force = agreements.in_force(clock.now())
            metrics.agreement(in_force)
        if observer is not None:
            observer.look(view.tasks, None if in_force is None else in_force.agreement)
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def _following(
    settings: RuntimeSettings, agreements: Agreements, news: asyncio.Event, stopped: asyncio.Event
) -> AsyncIterator[asyncio.Task[None]]:
    """The agreements are read to the end, at least one unless it is stopped meanwhile, and followed by the task that
    this yields; it ends by a fault alone."""
    async with _reading(settings, topics.AGREEMENT) as (reader, partition, end):

        async def read() -> None:
            fetched = await reader.getmany(timeout_ms=1_000)
            versions = [parse_published(record.value) for records in fetched.values() for record in records]
            if versions:
                await add_missing_topics(
                    settings.bootstrap,
                    settings.topic_prefix,
                    [version.agreement for version in versions],
                    live=settings.clock == "wall",
                )
            for version in versions:
                agreements.add(version)
                log.info("agreement read", version=version.version, effective_at=version.effective_at.isoformat())
                news.set()

        if not end:
            log.warning("no agreement yet", remedy="python -m ticket_contracts agreement publish")
        while not stopped.is_set() and (not len(agreements) or await reader.position(partition) < end):
            await read()

        async def follow() -> None:
            while True:
                await read()

        following = asyncio.create_task(follow(), name="agreements")
        try:
            yield following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@contextlib.asynccontextmanager
async def _table(
    settings: RuntimeSettings, topic: str, take: Callable[[bytes, bytes | None], None], stopped: asyncio.Event
) -> AsyncIterator[asyncio.Task[None]]:
    """A topic is taken in to its end, unless it is stopped meanwhile, and followed by the task that this yields."""
    async with _reading(settings, topic) as (reader, partition, end):

        async def read() -> None:
            for records in (await reader.getmany(timeout_ms=1_000)).values():
                for record in records:
                    take(record.key or b"", record.value)

        while not stopped.is_set() and await reader.position(partition) < end:
            await read()

        async def follow() -> None:
            while True:
                await read()

        following = asyncio.create_task(follow(), name=topic)
        try:
            yield following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@contextlib.asynccontextmanager
async def _reading(
    settings: RuntimeSettings, topic: str
) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition, int]]:
    """A reader at the beginning of a topic of one partition, and that partition's end."""
    partition = TopicPartition(settings.topic_prefix + topic, 0)
    reader = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await reader.start()
    try:
        reader.assign([partition])
        end = (await reader.end_offsets([partition]))[partition]
        await reader.seek_to_beginning(partition)
        yield reader, partition, end
    finally:
        await quietly(reader.stop)


@contextlib.asynccontextmanager
async def listening(app: FastAPI, settings: RuntimeSettings) -> AsyncIterator[None]:
    """Serves HTTP as the settings say, for as long as the block lasts, and tells the endpoint file where."""
    try:
        listener = socket.create_server((settings.http_host, settings.http_port))
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        raise CannotRun(f"cannot listen on {where} ({error.strerror}): set RELAYDESK_HTTP_PORT, 0 for any") from None
    server = Server(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        host, port = listener.getsockname()[:2]
        log.info("listening", address=f"http://{host}:{port}")
        if settings.endpoint_file is not None:
            _write_whole(settings.endpoint_file, msgspec.json.encode({"http": f"http://{host}:{port}"}))
        yield
    finally:
        server.should_exit = True
        await serving


def spare_the_collector() -> None:
    """A batch is some ten thousand objects that all live until its commit, and a task's state may be millions that live
    on: with the usual thresholds a third of the time of handling goes into looking for cycles among them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _write_whole(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
