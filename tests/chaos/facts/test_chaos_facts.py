"""Workers of the facts that are killed and frozen while they gather; then the facts are compared with a recount."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import facts_stories as told
from facts_database import contents, engine_of, write
from facts_worker import LIFECYCLE, Worker, publish, workers
from runtime_kafka import KafkaDesk, until
from sla_monitor.facts import schema
from sla_monitor.facts.figures import figures

SESSION_SECONDS = 6.0
FREEZE_SECONDS = 9.0


@pytest.mark.parametrize(
    ("tickets", "kinds"),
    [
        (700, ["freeze", "kill"]),
        pytest.param(6_000, ["kill", "freeze", "kill", "freeze", "kill", "freeze"], marks=pytest.mark.long),
    ],
)
async def test_facts_equal_a_recount_after_kills_and_freezes(
    kafka_bootstrap: str, topic_prefix: str, database_url: str, tmp_path: Path, tickets: int, kinds: list[str]
) -> None:
    stories = [story for story in told.make_stories(tickets, seed=4) if story.told_at <= told.SATURDAY]
    records = [told.agreement(), *(r for story in stories for r in story.records)]
    chosen = random.Random(tickets)
    desk = KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4)
    session = {"RELAYDESK_SESSION_SECONDS": str(SESSION_SECONDS)}
    async with (
        desk.connected(LIFECYCLE),
        workers(desk, database_url, tmp_path, **session) as start,
        engine_of(database_url) as engine,
    ):
        # A part more before each fault, so that it comes while there is something to gather, however fast they are.
        size = len(records) // (len(kinds) + 1) + 1
        parts = [records[at : at + size] for at in range(0, len(records), size)]
        await publish(desk, parts[0])

        async def gathered() -> int:
            async with engine.connect() as connection:
                counts = [await connection.scalar(text(f"SELECT count(*) FROM facts.{name}")) for name in _COUNTED]
            return sum(counts)

        running = [await start(), await start()]
        hits = 0
        for number, kind in enumerate(kinds, 1):
            share = _events(parts[:number]) // 2
            await until(lambda share=share: _reached(gathered, share), 90)  # type: ignore[misc]
            at_work = [worker for worker in running if await worker.ready()]
            victim = chosen.choice(at_work)
            await publish(desk, parts[number])
            hits += await gathered() < _events(parts[: number + 1])
            if kind == "kill":
                await victim.kill()
                running.remove(victim)
                running.append(await start())
            else:
                await _freeze(victim)
        assert hits == len(kinds), "a fault came when all was gathered: it shows nothing"
        for worker in running:
            await until(lambda worker=worker: _settled(worker), 120)  # type: ignore[misc]
        found = await contents(engine)
        ids = {name: await _ids(engine, name) for name in told.event_ids(records)}
        assert ids == told.event_ids(records)
        week = {
            (str(f.figure), f.side or f.partner or ""): (f.of, pytest.approx(f.value))
            for f in (await figures(engine, told.SATURDAY)).values
            if f.window == "1w" and f.category is None and f.priority is None
        }
        ending = told.SATURDAY + timedelta(microseconds=1)
        recounted: dict[Any, Any] = dict(told.recount(stories, ending - timedelta(weeks=1), ending))
        assert week == recounted
        # And row by row as if nothing had happened.
        for worker in running:
            await worker.kill()
        await schema.empty(engine)
        await write(engine, records, batch=3_000)
        assert await contents(engine) == found


def _events(parts: list[list[told.Said]]) -> int:
    """How many facts come of these parts."""
    return sum(len(ids) for ids in told.event_ids([record for part in parts for record in part]).values())


_COUNTED = ("versions", "classifications", "routings", "clocks", "owners", "steps")


async def _reached(gathered: Any, share: int) -> bool:
    return bool(await gathered() >= share)


async def _settled(worker: Worker) -> bool:
    return await worker.caught_up()


async def _freeze(worker: Worker) -> None:
    """Longer than its session lasts: its group goes on without it, and it wakes in the belief that it is a member."""
    worker.freeze()
    await asyncio.sleep(FREEZE_SECONDS)
    worker.wake()


async def _ids(engine: Any, name: str) -> set[str]:
    async with engine.connect() as connection:
        return {id_ for (id_,) in await connection.execute(text(f"SELECT id FROM facts.{name}"))}
