"""Bringing a database to the schema that this version needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ticket_handoff import migrations

_LOCK = 0x52656C6179  # two that migrate at once wait for each other


class SchemaOutdated(Exception):
    """The database is not at this version's schema; says what to do."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


async def migrate(engine: AsyncEngine) -> str:
    """Brings the database to the newest schema; returns its revision. Safe to run again, and at the same time."""

    def run(connection: Connection) -> str:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return _newest()

    async with engine.begin() as connection:
        return await connection.run_sync(run)


async def check(engine: AsyncEngine) -> None:
    """Raises SchemaOutdated when the database is at another revision than this version needs."""

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with engine.connect() as connection:
        found = await connection.run_sync(current)
    if found != _newest():
        raise SchemaOutdated(
            f"the database is at schema {found}, this version needs {_newest()}: run `python -m ticket_handoff migrate`"
        )


def _newest() -> str:
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise SchemaOutdated("this installation has no migrations: install the package anew")
    return newest
