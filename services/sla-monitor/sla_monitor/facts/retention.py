"""How long facts are kept: as long as the events that they came from.

The review asks for a quarter at most, the figures for a week. A ticket goes as a whole, once nothing has been said of
it for as long as topics keep what was said: what remains is what `facts rebuild` would make.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts.tables import SCHEMA, metadata
from ticket_contracts import topics

KEPT: Final = timedelta(seconds=topics.KEPT_SECONDS)
_AT_ONCE: Final = 2_000
"""Tickets of one transaction."""

_EVENTS: Final = [table.name for table in metadata.sorted_tables if "ticket" in table.columns]
_SAID: Final = " UNION ALL ".join(
    f"SELECT ticket, max(at) AS at FROM {SCHEMA}.{name} GROUP BY ticket" for name in _EVENTS
)
_OLD: Final = text(
    f"WITH said AS (SELECT ticket, max(at) AS at FROM ({_SAID}) AS each GROUP BY ticket)"
    " SELECT ticket FROM said WHERE at < (SELECT least(max(at), CAST(:now AS timestamptz)) FROM said)"
    " - CAST(:kept AS interval) ORDER BY ticket"
)


async def forget(engine: AsyncEngine, now: datetime) -> int:
    """Takes away the facts of every ticket of which nothing was said for `KEPT` before `now` (UTC), or before what was
    said last where that is earlier: a history that was loaded has a present of its own. Returns of how many tickets.
    Raises DBAPIError, with some tickets gone as a whole and none in part."""
    async with engine.connect() as connection:
        old = list((await connection.execute(_OLD, {"now": now, "kept": KEPT})).scalars())
    for start in range(0, len(old), _AT_ONCE):
        async with engine.begin() as connection:
            for name in _EVENTS:
                gone = text(f"DELETE FROM {SCHEMA}.{name} WHERE ticket = ANY(:tickets)")
                await connection.execute(gone, {"tickets": old[start : start + _AT_ONCE]})
    return len(old)
