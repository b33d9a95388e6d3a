"""The edge's process. It is apart from the tasks', which ends with its transactions when the broker goes away and is
started again: this one stays and says 503, for a tool that gets no answer switches its webhook off."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ticket_contracts import topics
from ticket_contracts.agreement import parse_published
from ticket_intake.adapters.edge import Edge
from ticket_runtime.closing import quietly
from ticket_runtime.http import Health, make_app
from ticket_runtime.logs import configure_logs, logger
from ticket_runtime.metrics import Metrics
from ticket_runtime.service import STOPPED, UNFIT, listening
from ticket_runtime.settings import CannotRun, RuntimeSettings

_PAUSE_SECONDS: Final = 1.0

log = logger(__name__)


def run_edge(edge: Edge, settings: RuntimeSettings) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    configure_logs("intake-edge", settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(edge, settings))


async def _serve(edge: Edge, settings: RuntimeSettings) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    metrics = Metrics("intake-edge")
    edge.observe(metrics.registry)
    app = make_app("intake-edge", metrics, lambda: Health(True), lambda: _ready(edge))
    edge.install(app)
    try:
        async with listening(app, settings):
            following = asyncio.create_task(_follow(edge, settings))
            stop = asyncio.create_task(stopped.wait())
            try:
                await asyncio.wait({stop, following}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
                return STOPPED
            finally:
                stop.cancel()
                following.cancel()
                await asyncio.gather(stop, following, return_exceptions=True)
    except CannotRun as reason:
        log.error("cannot run", reason=str(reason))
        return UNFIT


def _ready(edge: Edge) -> Health:
    return Health(edge.is_open, "" if edge.is_open else "no agreement has been read yet")


async def _follow(edge: Edge, settings: RuntimeSettings) -> None:
    """Opens the sources that any version of the agreement names, as they are published; a broker that is away is waited
    for."""
    sources: set[str] = set()
    partition = TopicPartition(settings.topic_prefix + topics.AGREEMENT, 0)
    while True:
        reader = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        try:
            await reader.start()
            reader.assign([partition])
            await reader.seek_to_beginning(partition)
            async for record in reader:
                if record.value is not None:
                    sources.update(parse_published(record.value).agreement.sources)
                    edge.open(sources)
        except (KafkaError, OSError) as error:
            log.warning("no agreement to be read now", reason=f"{type(error).__name__}: {error}")
        finally:
            await quietly(reader.stop)
        await asyncio.sleep(_PAUSE_SECONDS)
