"""The audit trail finds an entry that was altered, taken out or added, and verifies still when a ticket was erased."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.handoff.ledger_desk import written
from ticket_handoff.adapters.store import Store

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def faults(store: Store) -> list[str]:
    return (await store.trail_faults(0))[1]


async def test_a_trail_that_nobody_touched_verifies(store: Store) -> None:
    await written(store, ["servicenow:prod:INC1", "servicenow:prod:INC2"])
    assert await store.trail_faults(0) == (6, [])
    assert await store.ledger_faults() == (2, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE steps SET at = at + interval '1 minute' WHERE entry = 3", "entry 3, step"),
        ("UPDATE steps SET type = 'relaydesk.transfer.declined.v1' WHERE entry = 3", "entry 3, step"),
        ("UPDATE steps SET ticket = 'servicenow:prod:INC9' WHERE entry = 3", "entry 3, step"),
        ("UPDATE steps SET said = 'x' WHERE entry = 3", "what step"),
        ("UPDATE steps SET digest = sha256('x') WHERE entry = 3", "entry 3, step"),
        ("UPDATE steps SET seal = sha256('x') WHERE entry = 3", "entry 3, step"),
        ("DELETE FROM steps WHERE entry = 3", "entry 3 is missing"),
        ("DELETE FROM steps WHERE entry = 6", "were cut off"),
        ("UPDATE heads SET entry = entry - 1", "or the head altered"),
    ],
)
async def test_a_change_is_found(store: Store, engine: AsyncEngine, change: str, said: str) -> None:
    await written(store, ["servicenow:prod:INC1", "servicenow:prod:INC2"])
    async with engine.begin() as connection:
        await connection.execute(text(change))
    found = await faults(store)
    assert any(said in fault for fault in found), found


async def test_what_was_erased_leaves_a_trail_that_verifies(store: Store, engine: AsyncEngine) -> None:
    await written(store, ["servicenow:prod:INC1", "servicenow:prod:INC2"])
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM texts WHERE ticket = 'servicenow:prod:INC1'"))
        await connection.execute(text("UPDATE steps SET said = NULL WHERE ticket = 'servicenow:prod:INC1'"))
        await connection.execute(text("UPDATE packages SET body = NULL WHERE ticket = 'servicenow:prod:INC1'"))
    assert await store.trail_faults(0) == (6, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE ownership SET owner = 'Mallory' WHERE until_at IS NULL", "the open interval Mallory"),
        ("UPDATE tickets SET owner = 'Mallory'", "tickets Mallory"),
        ("UPDATE transfers SET ended_at = opened_at, status = 'withdrawn'", "the table None"),
        ("DELETE FROM steps WHERE sequence = 3", "3 steps were said, 2 are in the trail"),
    ],
)
async def test_tables_that_say_something_else_than_the_ledger_are_found(
    store: Store, engine: AsyncEngine, change: str, said: str
) -> None:
    await written(store, ["servicenow:prod:INC1"])
    async with engine.begin() as connection:
        await connection.execute(text(change))
    _, found = await store.ledger_faults()
    assert any(said in fault for fault in found), found
