"""The process that gathers facts and tells the figures: Faust, a watch over it, and an HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts import schema, store
from sla_monitor.facts.http import FiguresCollector, Snapshots, add_routes
from sla_monitor.facts.measure import FactsMetrics
from sla_monitor.facts.reading import TOPICS
from sla_monitor.facts.retention import forget
from sla_monitor.facts.watch import Standing, watching
from sla_monitor.facts.worker import GROUP, Gatherer
from ticket_runtime.clock import Clock
from ticket_runtime.http import Health, make_app
from ticket_runtime.logs import configure_logs, logger
from ticket_runtime.metrics import Metrics
from ticket_runtime.service import listening
from ticket_runtime.settings import CannotRun, RuntimeSettings
from ticket_runtime.stepping import follow_steps

_LOOK_SECONDS = 3.0
_STUCK_SECONDS = 90.0
_STOP_SECONDS = 15.0
_PATIENCE_SECONDS = 60.0
_FORGET_SECONDS = 6 * 3_600.0

log = logger(__name__)


class Stuck(Exception):
    """There is something to read, and nothing has been committed for a while."""


def serve(settings: RuntimeSettings) -> int:
    """Runs until SIGTERM or SIGINT, or until something ends it. 0: asked to stop; 1: a fault, start it again; 2: it
    cannot run as things are."""
    configure_logs("facts", settings.log_level)
    for name in ("faust", "mode"):
        # Each of its services says that it starts and stops.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    try:
        return asyncio.run(_serve(settings))
    except CannotRun as reason:
        log.error("cannot run", reason=str(reason))
        return 2
    except (KafkaError, DBAPIError, OSError, TimeoutError) as error:
        log.error("ended by the broker or the database", error=store.first_line(error))
        return 1
    except Stuck as reason:
        log.error("ended, as it stood still", reason=str(reason))
        return 1
    except Exception:
        log.exception("ended by a fault")
        return 1


def database_url(settings: RuntimeSettings) -> str:
    """Raises CannotRun."""
    if settings.database_url is None:
        raise CannotRun("facts need a database: set RELAYDESK_DATABASE_URL, as postgresql://user:password@host/name")
    return settings.database_url


async def _serve(settings: RuntimeSettings) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    engine = store.make_engine(database_url(settings))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        await _migrated(engine)
        metrics = Metrics(GROUP)
        clock = Clock(stream=settings.clock == "stream")
        state = _State()
        snapshots = Snapshots(engine, lambda: _present(clock), lambda: state.caught_up)
        FiguresCollector(snapshots, metrics.registry)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relaydesk-facts-")))
        gatherer = Gatherer(
            settings.bootstrap,
            settings.topic_prefix,
            engine,
            directory,
            FactsMetrics(metrics.registry),
            session_seconds=settings.session_seconds,
        )
        app = make_app(GROUP, metrics, state.alive, state.ready)
        add_routes(app, snapshots)
        await stack.enter_async_context(listening(app, settings))
        helpers = [
            asyncio.create_task(_watch(settings, state), name="watch"),
            asyncio.create_task(snapshots.keep_fresh(), name="figures"),
            asyncio.create_task(_keep_house(engine, clock), name="housekeeping"),
        ]
        if clock.streaming:
            helpers.append(asyncio.create_task(_follow(settings, clock), name="time"))
        await stack.enter_async_context(_gathering(gatherer))
        ends: list[asyncio.Future[Any]] = [gatherer.failed, *helpers, asyncio.create_task(stopped.wait())]
        ends.append(asyncio.create_task(_crashed(gatherer)))
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
            log.info("stopped")
            return 0
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


async def _migrated(engine: Any) -> None:
    """A database that starts at the same time is waited for."""
    until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        try:
            log.info("the database is ready", schema=await schema.migrate(engine))
            return
        except (OSError, DBAPIError) as error:
            if asyncio.get_running_loop().time() > until:
                raise CannotRun(f"no database answers: {store.first_line(error)}") from None
            await asyncio.sleep(0.5)


async def _keep_house(engine: AsyncEngine, clock: Clock) -> None:
    """Trouble of the database is for the next time."""
    while True:
        now = _present(clock)
        if now is not None:
            try:
                gone = await forget(engine, now)
                if gone:
                    log.info("forgot tickets that are past their retention", tickets=gone)
            except (OSError, DBAPIError) as error:
                log.warning("nothing was forgotten", error=store.first_line(error))
        await asyncio.sleep(_FORGET_SECONDS)


def _present(clock: Clock) -> datetime | None:
    return None if clock.streaming and clock.step is None else clock.now()


async def _follow(settings: RuntimeSettings, clock: Clock) -> None:
    """A replay's time; when the replay is over the wall clock goes on by itself."""
    await follow_steps(settings.bootstrap, settings.topic_prefix, clock, lambda: None)
    await asyncio.Event().wait()


async def _crashed(gatherer: Gatherer) -> None:
    """Raises when Faust gave up by itself."""
    await gatherer.app.wait_until_stopped()
    raise Stuck(f"Faust stopped: {gatherer.app.crash_reason!r}")


@contextlib.asynccontextmanager
async def _gathering(gatherer: Gatherer) -> AsyncIterator[None]:
    await gatherer.app.start()
    try:
        yield
    finally:
        # What is not acknowledged by then is read again by the next process.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await gatherer.app.stop()


class _State:
    """What the watch saw last."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.moved_at = 0.0

    @property
    def caught_up(self) -> bool:
        return self.standing is not None and not self.standing.pending

    def alive(self) -> Health:
        return Health(ok=True, tasks=self._tasks())

    def ready(self) -> Health:
        ok = self.standing is not None
        return Health(ok=ok, reason="" if ok else "it has not looked at its topics yet", tasks=self._tasks())

    def _tasks(self) -> dict[str, str]:
        if self.standing is None:
            return {}
        behind = {tp.topic for tp in self.standing.pending}
        return {tp.topic: "behind" if tp.topic in behind else "caught up" for tp in self.standing.committed}

    def saw(self, standing: Standing, now: float) -> None:
        """Raises Stuck."""
        if self.standing is None or not standing.pending or standing.committed != self.standing.committed:
            self.moved_at = now
        self.standing = standing
        if now - self.moved_at > _STUCK_SECONDS:
            where = ", ".join(sorted({tp.topic for tp in standing.pending}))
            raise Stuck(
                f"there is something to read on {where}, and no offset was committed for {_STUCK_SECONDS:.0f} s"
            )


async def _watch(settings: RuntimeSettings, state: _State) -> None:
    names = [settings.topic_prefix + topic for topic in TOPICS]
    loop = asyncio.get_running_loop()
    async with watching(settings.bootstrap, settings.topic_prefix + GROUP, names) as watch:
        seen_at = loop.time()
        while True:
            try:
                state.saw(await watch.look(), loop.time())
                seen_at = loop.time()
            except KafkaError as error:
                # A broker that starts has no coordinator yet, one that restarts is away for a while.
                if loop.time() - seen_at > _STUCK_SECONDS:
                    raise
                log.warning("the broker does not say how far the group is", error=store.first_line(error))
            await asyncio.sleep(_LOOK_SECONDS if state.standing else 0.5)
