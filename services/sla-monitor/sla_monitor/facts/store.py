"""Writing facts: idempotent inserts in bulk, each batch in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Table, Text, bindparam, cast, func, make_url, select, tuple_
from sqlalchemy import column as column_of
from sqlalchemy.dialects.postgresql import JSON, Insert, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sla_monitor.facts import tables
from sla_monitor.facts.reading import Row

_encode = msgspec.json.Encoder().encode


def make_engine(url: str) -> AsyncEngine:
    """For `postgresql://` or `postgresql+asyncpg://` addresses."""
    address = make_url(url).set(drivername="postgresql+asyncpg")
    # Compiling the figures' query takes PostgreSQL three seconds, running it a tenth of that.
    plain = {"server_settings": {"jit": "off", "application_name": "relaydesk-facts"}}
    return create_async_engine(address, pool_size=8, max_overflow=0, connect_args=plain)


async def write(engine: AsyncEngine, rows: Iterable[Row]) -> int:
    """Adds rows in one transaction and returns how many were new. A row that is there already changes nothing."""
    grouped: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for table, row in rows:
        key = "\x1f".join(str(row[column.name]) for column in table.primary_key)
        there = grouped[table.name].get(key)
        if there is None or (table is tables.feedback and _stands(row, there)):
            grouped[table.name][key] = row
    new = 0
    async with engine.begin() as connection:
        for name in sorted(grouped):
            # In the order of their keys, so that two writers of the same rows wait for each other and never in a ring.
            ordered = [grouped[name][key] for key in sorted(grouped[name])]
            # A text of PostgreSQL holds no NUL.
            said = _encode(ordered).replace(b"\\u0000", b"\\ufffd").decode()
            result = await connection.execute(_statements[name], {"rows": said})
            new += result.rowcount
    return new


def is_lasting(error: DBAPIError) -> bool:
    """Whether trying again cannot help, because of what was to be written: data, integrity, limits."""
    return sqlstate(error)[:2] in ("22", "23", "54")


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five letters; empty when it was not reached."""
    return str(getattr(error.orig, "sqlstate", None) or "")


def first_line(error: BaseException) -> str:
    """What went wrong, without the statement and without what was to be written."""
    said = str(getattr(error, "orig", None) or error).splitlines()
    return said[0] if said else type(error).__name__


def _stands(row: dict[str, Any], there: dict[str, Any]) -> bool:
    return (row["at"], row["digest"]) < (there["at"], there["digest"])


def _statement(table: Table) -> Insert:
    """All rows as one parameter."""
    columns = [column.name for column in table.columns]
    rows = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    given = rows.table_valued(*(column_of(column.name, column.type) for column in table.columns), name="given")
    adding = insert(table).from_select(columns, select(*given.render_derived(with_types=True).c))
    if table is not tables.feedback:
        return adding.on_conflict_do_nothing()
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: new[name] for name in columns if name != "id"},
        where=tuple_(new.at, new.digest) < tuple_(table.c.at, table.c.digest),
    )


_statements = {table.name: _statement(table) for table in tables.metadata.sorted_tables}
