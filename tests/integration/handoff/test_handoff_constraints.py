"""The database itself refuses what must never be: a second owner, an overlap, a hole, a second open transfer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ticket_handoff.adapters import schema
from ticket_handoff.adapters.tables import metadata, ownership, transfers

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKET = "servicenow:prod:INC1"


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def interval(seq: int, begins: int, ends: int | None = None, episode: int = 1, **said: Any) -> dict[str, Any]:
    """A row as the service writes it; `said` breaks it."""
    row: dict[str, Any] = {
        "ticket": TICKET,
        "episode": episode,
        "seq": seq,
        "from_at": at(begins),
        "until_at": None if ends is None else at(ends),
        "owner": "Ada",
        "role": "first-line",
        "queue": None,
        "kind": "acknowledged",
        "transfer_id": None,
        "previous_episode": None,
        "previous_seq": None,
        "previous_until": None,
        "next_seq": None,
        "last": False,
    }
    if seq > 1:
        row |= {"previous_episode": episode, "previous_seq": seq - 1, "previous_until": at(begins)}
    return {**row, **said}


async def write(engine: AsyncEngine, *rows: dict[str, Any], closing: dict[str, Any] | None = None) -> None:
    """One transaction: the open row is changed by `closing`, then the rows are added."""
    async with engine.begin() as connection:
        await _write(connection, *rows, closing=closing)


async def _write(connection: AsyncConnection, *rows: dict[str, Any], closing: dict[str, Any] | None) -> None:
    if closing is not None:
        await connection.execute(update(ownership).where(ownership.c.until_at.is_(None)).values(**closing))
    for row in rows:
        await connection.execute(insert(ownership).values(**row))


def closes(minutes: int, goes_on: int | None) -> dict[str, Any]:
    return {"until_at": at(minutes), "next_seq": goes_on, "last": goes_on is None}


async def test_a_chain_of_owners_is_kept(engine: AsyncEngine) -> None:
    await write(engine, interval(1, 0))
    await write(engine, interval(2, 5), closing=closes(5, 2))
    await write(engine, interval(3, 5), closing=closes(5, 3))  # for no time at all
    await write(engine, closing=closes(9, None))
    reopened: dict[str, Any] = {"previous_episode": 1, "previous_seq": 3, "previous_until": at(9)}
    await write(engine, interval(1, 20, episode=2, **reopened))


async def test_a_second_owner_is_refused(engine: AsyncEngine) -> None:
    await write(engine, interval(1, 0))
    with pytest.raises(IntegrityError, match="ownership_one_open"):
        await write(engine, interval(2, 5, owner="Bea"))


@pytest.mark.parametrize(
    ("rows", "closing", "constraint"),
    [
        ([interval(2, 4, previous_until=at(4))], closes(5, 2), "ownership_follows"),
        ([interval(2, 6, previous_until=at(6))], closes(5, 2), "ownership_follows"),
        ([interval(2, 6, previous_until=at(5))], closes(5, 2), "ownership_chained"),
        ([interval(3, 5, previous_seq=1)], closes(5, 3), "ownership_no_hole"),
        ([interval(3, 5, previous_seq=1)], closes(5, 2), "ownership_chained"),
        ([], closes(5, 2), "ownership_goes_on"),
        ([], {"until_at": at(5)}, "ownership_no_hole"),
        ([], {"last": True}, "ownership_no_hole"),
        ([], closes(-1, None), "ownership_forward"),
        ([interval(2, 5, 9)], closes(5, 2), "ownership_no_hole"),
        ([interval(2, 5, kind="stolen")], closes(5, 2), "ownership_kind"),
    ],
    ids=[
        "overlap",
        "hole",
        "hole that lies about its predecessor",
        "a number left out",
        "a number left out, wrongly linked",
        "closed, and nobody goes on",
        "closed without a word",
        "ended, but open",
        "ends before it begins",
        "closed at once, and nobody goes on",
        "a kind that is none",
    ],
)
async def test_no_overlap_and_no_hole(
    engine: AsyncEngine, rows: list[dict[str, Any]], closing: dict[str, Any], constraint: str
) -> None:
    await write(engine, interval(1, 0))
    with pytest.raises(IntegrityError, match=constraint):
        await write(engine, *rows, closing=closing)


@pytest.mark.parametrize(
    ("previous", "constraint"),
    [
        ({}, "ownership_chained"),
        ({"previous_episode": 1, "previous_seq": 1, "previous_until": at(5)}, "ownership_one_successor"),
        ({"previous_episode": 1, "previous_seq": 2, "previous_until": at(8)}, "ownership_follows"),
        ({"previous_episode": 1, "previous_seq": 2, "previous_until": at(30)}, "ownership_chained"),
    ],
    ids=["out of nothing", "after a middle one", "after an end that was not", "before the end of the last"],
)
async def test_an_episode_begins_after_the_last_one_ended(
    engine: AsyncEngine, previous: dict[str, Any], constraint: str
) -> None:
    await write(engine, interval(1, 0))
    await write(engine, interval(2, 5), closing=closes(5, 2))
    await write(engine, closing=closes(9, None))
    with pytest.raises(IntegrityError, match=constraint):
        await write(engine, interval(1, 20, episode=2, **previous))


async def test_the_past_cannot_be_moved(engine: AsyncEngine) -> None:
    await write(engine, interval(1, 0))
    await write(engine, interval(2, 5), closing=closes(5, 2))
    first = update(ownership).where(ownership.c.seq == 1)
    for change in ({"until_at": at(4)}, {"from_at": at(6)}):
        with pytest.raises(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(first.values(**change))


def transfer(number: int, ended: int | None = None, status: str = "requested") -> dict[str, Any]:
    return {
        "transfer_id": f"t{number}",
        "ticket": TICKET,
        "number": number,
        "cause": "first",
        "status": status,
        "attempt": 1,
        "opened_at": at(0),
        "ended_at": None if ended is None else at(ended),
        "sender": "Ira",
    }


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (transfer(2), "transfers_one_open"),
        (transfer(2, ended=3), "transfers_status"),
        (transfer(2, status="completed"), "transfers_status"),
        (transfer(2, ended=-1, status="completed"), "transfers_forward"),
        ({**transfer(1, ended=3, status="withdrawn"), "transfer_id": "t9"}, "transfers_number"),
    ],
    ids=["a second open one", "ended, yet requested", "completed, yet open", "backwards", "the same number"],
)
async def test_transfers_are_one_at_a_time(engine: AsyncEngine, row: dict[str, Any], constraint: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(transfers).values(**transfer(1)))
    with pytest.raises(IntegrityError, match=constraint):
        async with engine.begin() as connection:
            await connection.execute(insert(transfers).values(**row))


async def test_the_migrations_make_the_tables_that_statements_name(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c, opts={"compare_type": True}), metadata)
        )
    assert found == []


async def test_an_outdated_database_is_named_with_its_remedy(database_url: str) -> None:
    engine = create_async_engine(database_url)
    with pytest.raises(schema.SchemaOutdated, match="ticket_handoff migrate"):
        await schema.check(engine)
    assert await schema.migrate(engine) == await schema.migrate(engine)
    await schema.check(engine)
    await engine.dispose()
