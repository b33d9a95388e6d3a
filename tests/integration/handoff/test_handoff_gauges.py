"""The gauges of the ledger: what they say of real tables, and that they cost nothing for what has ended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from ticket_handoff.adapters import schema
from ticket_handoff.adapters.measure import HandoffMetrics
from ticket_handoff.adapters.store import make_engine
from ticket_runtime.metrics import Registry

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
_TICKETS = """
INSERT INTO tickets (ticket, partition, state, status, owner)
SELECT 'a:b:' || n, 0, '{}', CASE WHEN n % 1000 = 0 THEN 'open' ELSE 'closed' END,
       CASE WHEN n % 1000 = 0 THEN 'Ada' END
FROM generate_series(1, 20000) AS n
"""


@pytest.mark.asyncio
async def test_the_gauges_say_what_stands_in_the_ledger(database_url: str) -> None:
    engine = make_engine(database_url)
    registry = Registry()
    metrics = HandoffMetrics(registry)
    value = registry.get_sample_value
    try:
        await schema.migrate(engine)
        await metrics.look(engine)
        assert value("relaydesk_unowned_tickets") == 0
        assert value("relaydesk_oldest_unacknowledged_timestamp_seconds") == 0
        async with engine.begin() as connection:
            await connection.execute(text(_TICKETS))
            await connection.execute(text("UPDATE tickets SET owner = NULL WHERE ticket = 'a:b:3000'"))
            await connection.execute(
                text(
                    "INSERT INTO ownership (ticket, episode, seq, from_at, owner, role, kind, last)"
                    " VALUES ('a:b:1000', 1, 1, :at, 'Ada', 'duty', 'intake_duty', false)"
                ),
                {"at": AT},
            )
            await connection.execute(
                text(
                    "INSERT INTO transfers (transfer_id, ticket, number, cause, status, attempt, opened_at, sender)"
                    " VALUES ('t', 'a:b:1000', 1, 'first', 'offered', 1, :at, 'Ada')"
                ),
                {"at": AT},
            )
        await metrics.look(engine)
        assert value("relaydesk_unowned_tickets") == 1
        assert value("relaydesk_owned_tickets", {"kind": "intake_duty"}) == 1
        assert value("relaydesk_open_transfers", {"status": "offered"}) == 1
        assert value("relaydesk_oldest_unacknowledged_timestamp_seconds") == AT.timestamp()
        async with engine.connect() as connection:
            await connection.execute(text("ANALYZE tickets"))
            plan = "\n".join(
                row[0]
                for row in await connection.execute(
                    text(
                        "EXPLAIN SELECT count(*) FROM tickets"
                        " WHERE owner IS NULL AND status NOT IN ('closed', 'merged', 'deleted')"
                    )
                )
            )
        assert "tickets_unowned" in plan, plan
    finally:
        await engine.dispose()
