"""Erasing a ticket: its text goes from the ledger in one transaction, which also tells the other services."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timedelta

from ticket_contracts.ids import event_id
from ticket_contracts.topics import Topic
from ticket_handoff.adapters.store import Store
from ticket_handoff.domain.facts import ErasureAsked
from ticket_handoff.handlers import ERASURE_MESSAGE, HandoffWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.outputs import Collector
from ticket_runtime.task import Record

_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure came to. packages, steps, notices: whose text is gone. step: the number of the step that says
    so. published: whether the other services were told yet. topics_until: when the last record that may hold text
    leaves the topics with a retention."""

    ticket: str
    step: int
    packages: int
    steps: int
    notices: int
    published: bool
    topics_until: datetime


async def erase(
    store: Store,
    agreements: Agreements,
    ticket: str,
    *,
    actor: str,
    reason: str,
    at: datetime,
    patience: float = 30.0,
) -> Erased:
    """patience: seconds to wait until a running service has told the others. Raises Refused: there is no such ticket,
    or somebody owns it."""
    work = HandoffWork(agreements)
    own_id = event_id("erasure", ticket, actor, at.isoformat())
    out = Collector("/relaydesk/handoff", None)
    async with store.transaction() as connection:
        loaded = await store.load(connection, [ticket])
        work.hold(loaded.held, {})
        out.begin(_cause(own_id, at))
        asked = ErasureAsked(actor=actor, reason=reason, at=at)
        step = work.erase(ticket, asked, f"{ERASURE_MESSAGE}{own_id}", out)
        messages, _ = out.take()
        salt = os.urandom(16)
        await store.write(connection, work.take_changes(), messages, {ticket: salt})
        gone = await store.erase(connection, ticket, step, salt)
    published = await _published(store, ticket, patience)
    kept = timedelta(seconds=Topic(name="", written_by="").retention_seconds)
    return Erased(ticket, step, gone["packages"], gone["steps"], gone["notices"], published, at + kept)


async def _published(store: Store, ticket: str, patience: float) -> bool:
    """The outbox holds text too, until a relay has published it and forgotten it."""
    deadline = asyncio.get_running_loop().time() + patience
    while await store.in_outbox(ticket):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def _cause(own_id: str, at: datetime) -> Record:
    return Record(
        topic="erasure",
        partition=-1,
        offset=0,
        key=None,
        value=None,
        headers={"ce_id": own_id.encode()},
        timestamp_ms=int(at.timestamp() * 1_000),
        instant=at,
    )
