"""Bringing a database to the schema that the facts need."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts import migrations
from sla_monitor.facts.tables import SCHEMA, metadata

_LOCK = 0x4661637473  # two that migrate at once wait for each other


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


async def migrate(engine: AsyncEngine) -> str:
    """Brings the database to the newest schema; returns its revision. Safe to run again, and at the same time."""

    def run(connection: Connection) -> str:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(ScriptDirectory.from_config(config).get_current_head())

    async with engine.begin() as connection:
        return await connection.run_sync(run)


async def empty(engine: AsyncEngine) -> None:
    """Takes every fact away; the schema stays."""
    names = ", ".join(f'{SCHEMA}."{table.name}"' for table in metadata.sorted_tables)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {names}"))
