"""Erasing a ticket: no byte of its text is left in the database, and what was decided can still be proved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.handoff.ledger_desk import LedgerDesk
from runtime_kafka import until
from ticket_contracts import topics
from ticket_contracts.transfers import TicketErased
from ticket_handoff.adapters.erasure import erase
from ticket_handoff.domain.decision import Refused
from unit.handoff.handoff_desk import normalized

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKET, OTHER = "servicenow:prod:INC1", "servicenow:prod:INC2"
SECRETS = (
    *(b"Laptop does not start", b"It only blinks", b"Rosa", b"rosa@example.com"),
    *(b"Changed the battery", b"no hands"),
)
"""Text of the ticket, its requester, what people said and why they declined."""


async def everything(engine: AsyncEngine, ticket: str) -> bytes:
    """All that the database holds of a ticket, in every table and column, as bytes."""
    found: list[bytes] = []
    async with engine.connect() as connection:
        tables = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for (table,) in tables.all():
            rows: Any = (await connection.execute(text(f'SELECT * FROM "{table}"'))).mappings().all()
            for row in rows:
                values = [bytes(v) if isinstance(v, (bytes, memoryview)) else str(v).encode() for v in row.values()]
                if any(ticket.encode() in value for value in values):
                    found += values
    return b"\n".join(found)


async def ended(desk: LedgerDesk, engine: AsyncEngine) -> None:
    """Two tickets that were offered, declined, added to, accepted, and closed."""
    await desk.begin([TICKET, OTHER], NOW)

    async def offered() -> bool:
        return set(await desk.offers()) == {TICKET, OTHER}

    await until(offered)
    for ticket, offer in (await desk.offers()).items():
        await desk.give(offer, "r1", action="decline", reason="no hands")
        said: dict[str, Any] = {"transfer_id": "", "ticket": ticket, "part": "steps", "items": ["Changed the battery"]}
        await desk.give(offer, "r2", action="add", **said)
    closed = [normalized(t, 2, datetime.now(UTC), lifecycle="ended", status="closed") for t in (TICKET, OTHER)]
    await desk.publish(topics.NORMALIZED, *closed)

    async def over() -> bool:
        histories = [await desk.store.history(ticket) for ticket in (TICKET, OTHER)]
        return all(history is not None and history.ledger.owner is None for history in histories)

    await until(over)


async def test_no_byte_of_its_text_is_left_and_the_record_still_verifies(desk: LedgerDesk, engine: AsyncEngine) -> None:
    async with desk.running():
        await ended(desk, engine)
        before = await everything(engine, TICKET)
        assert all(secret in before for secret in SECRETS)
        async with engine.connect() as connection:
            salt = await connection.scalar(text("SELECT salt FROM texts WHERE ticket = :t"), {"t": TICKET})
        done = await erase(desk.store, desk.agreements, TICKET, actor="Petra", reason="request 7", at=datetime.now(UTC))
    assert done.published
    after = await everything(engine, TICKET)
    assert [secret for secret in SECRETS if secret in after] == []
    assert bytes(salt) not in after, "nor can anybody try what its digests are of"
    untouched = await everything(engine, OTHER)
    assert all(secret in untouched for secret in SECRETS)

    for partition in await desk.store.trails():
        assert (await desk.store.trail_faults(partition))[1] == []
    assert (await desk.store.ledger_faults())[1] == []
    last = (await desk.steps())[TICKET][-1]
    assert isinstance(last, TicketErased)
    assert (last.actor, last.reason, last.sequence) == ("Petra", "request 7", done.step)
    told = await desk.kafka.read(topics.ERASED)
    assert [record.key for record in told] == [TICKET.encode()]
    history = await desk.store.history(TICKET)
    assert history is not None
    assert [each["kind"] for each in history.intervals] == ["intake_duty"], "who owned it when stays known"


async def test_an_altered_record_is_found_after_an_erasure_too(desk: LedgerDesk, engine: AsyncEngine) -> None:
    async with desk.running():
        await ended(desk, engine)
        done = await erase(desk.store, desk.agreements, TICKET, actor="Petra", reason="7", at=datetime.now(UTC))
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE steps SET said = convert_to('{}', 'UTF8') WHERE ticket = :t AND sequence = :s"),
            {"t": TICKET, "s": done.step},
        )
    found = [fault for p in await desk.store.trails() for fault in (await desk.store.trail_faults(p))[1]]
    assert len(found) == 1


async def test_a_ticket_that_is_owned_or_unknown_is_not_erased(desk: LedgerDesk) -> None:
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
    for ticket, kind in ((TICKET, "conflict"), ("servicenow:prod:NONE", "unknown")):
        with pytest.raises(Refused) as caught:
            await erase(desk.store, desk.agreements, ticket, actor="Petra", reason="7", at=NOW, patience=0)
        assert caught.value.kind == kind
    assert len((await desk.steps())[TICKET]) == 3
