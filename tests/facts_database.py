"""A database of facts, and what it must hold."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import facts_stories as told
from sla_monitor.facts import schema, store
from sla_monitor.facts.reading import rows_of


@contextlib.asynccontextmanager
async def engine_of(url: str) -> AsyncIterator[AsyncEngine]:
    made = store.make_engine(url)
    try:
        await schema.migrate(made)
        yield made
    finally:
        await made.dispose()


async def write(engine: AsyncEngine, records: Iterable[told.Said], batch: int = 300) -> None:
    everything = list(records)
    for start in range(0, len(everything), batch):
        some = everything[start : start + batch]
        await store.write(engine, [row for r in some for row in rows_of(r.topic, r.ce_type, r.value)])


async def contents(engine: AsyncEngine) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    found = {}
    async with engine.connect() as connection:
        names = await connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'facts' AND tablename <> 'alembic_version'")
        )
        for (name,) in names.all():
            rows = await connection.execute(text(f'SELECT CAST(t AS text) FROM facts."{name}" t'))
            found[name] = sorted(row for (row,) in rows)
    return found
