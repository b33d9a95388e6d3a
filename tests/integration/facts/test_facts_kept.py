"""Facts made anew beside a worker that goes on, and facts that are past their retention."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlalchemy import text

import facts_stories as told
from facts_database import contents, engine_of, write
from facts_worker import LIFECYCLE, publish, workers
from runtime_kafka import KafkaDesk, until
from sla_monitor.facts import schema
from sla_monitor.facts.reading import rows_of
from sla_monitor.facts.retention import KEPT, forget


async def test_facts_made_anew_beside_a_worker_are_those_of_the_topics(
    kafka_bootstrap: str, topic_prefix: str, database_url: str, tmp_path: Path
) -> None:
    """Somebody spoilt some, some are missing; the worker gathers what comes while they are made anew, and after it."""
    stories = told.make_stories(400, seed=11)
    records = [told.agreement(), *(r for story in stories for r in story.records)]
    first, second, third = (records[at::3] for at in range(3))
    desk = KafkaDesk(kafka_bootstrap, topic_prefix, partitions=3)
    async with (
        desk.connected(LIFECYCLE),
        workers(desk, database_url, tmp_path) as start,
        engine_of(database_url) as engine,
    ):
        await publish(desk, first)
        worker = await start()
        await until(worker.caught_up, 90)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM facts.owners WHERE sequence % 2 = 0"))
            await connection.execute(text("UPDATE facts.versions SET status = 'spoilt'"))
        rebuilding = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sla_monitor", "facts", "rebuild"),
            *("--database", database_url, "--bootstrap", kafka_bootstrap, "--prefix", topic_prefix),
            stderr=asyncio.subprocess.PIPE,
        )
        await publish(desk, second)
        _, said = await rebuilding.communicate()
        assert rebuilding.returncode == 0, said.decode()
        await publish(desk, third)
        wanted: dict[str, set[str]] = {}
        for record in records:
            for table, row in rows_of(record.topic, record.ce_type, record.value):
                key = "/".join(str(row[column.name]) for column in table.primary_key)
                wanted.setdefault(table.name, set()).add(key)

        async def gathered() -> bool:
            async with engine.connect() as connection:
                for name, keys in wanted.items():
                    if await connection.scalar(text(f"SELECT count(*) FROM facts.{name}")) != len(keys):
                        return False
            return True

        await until(gathered, 90)
        assert worker.process.returncode is None
        found = await contents(engine)
        await worker.kill()
        await schema.empty(engine)
        await write(engine, records)
        assert found == await contents(engine)
        assert len(found["versions"]) > 400


async def test_facts_of_a_ticket_go_as_a_whole_when_nothing_was_said_of_it_for_as_long_as_topics_keep(
    database_url: str,
) -> None:
    (old,) = told.make_stories(1, seed=3)
    later = told.Story("generic:main:later", told.MONDAY)
    teller = told._Teller(later, old.told_at + KEPT)
    teller.version("created", "new")
    for_ever = told.MONDAY + 10 * KEPT
    async with engine_of(database_url) as engine:
        await write(engine, [told.agreement(), *old.records, *later.records])
        before = await contents(engine)
        assert await forget(engine, for_ever) == 0, "by what was said last, whatever the clock of who looks says"
        teller.wait(1)
        teller.version("updated", "open")
        await write(engine, later.records)
        assert await forget(engine, old.told_at + KEPT) == 0
        assert await forget(engine, for_ever) == 1
        assert await forget(engine, for_ever) == 0
        left = await contents(engine)
        assert any(len(left[name]) < len(rows) for name, rows in before.items())
        await schema.empty(engine)
        await write(engine, [told.agreement(), *later.records])
        assert left == await contents(engine)
