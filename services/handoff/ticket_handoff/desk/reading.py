"""The open tickets as the page's queue asks for them: a window by time left, a few by name, and how many there are.

What else people ask of the ledger is answered by `ticket_handoff.adapters.inquiries`, for the page and for HTTP alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Select, String, and_, func, literal, or_, select, text, tuple_, union_all
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine

from ticket_handoff.adapters.tables import texts, tickets, transfers
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.handlers import is_name

_ledger = msgspec.json.Decoder(Ledger)

WINDOW: Final = 100
"""Rows of one page of the queue."""
SOON: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ticket:
    ledger: Ledger
    texts: Texts


@dataclass(frozen=True, slots=True)
class Filter:
    """Which open tickets: those that are in one of these queues, or offered to one; those that this person owns, or has
    an offer of; None: all."""

    queues: tuple[str, ...] | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in the order. due: None for a ticket without a clock that runs; these come last."""

    due: datetime | None
    ticket: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Of open tickets. over: past the nearest deadline; soon: within SOON of it; waiting: offers that nobody has
    answered yet."""

    open: int = 0
    over: int = 0
    soon: int = 0
    waiting: int = 0

    @classmethod
    def of(cls, several: Iterable[Counts]) -> Counts:
        each = [(one.open, one.over, one.soon, one.waiting) for one in several]
        return cls(*map(sum, zip(*each, strict=True))) if each else cls()


class Reading:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def some(self, names: Sequence[str]) -> list[Ticket]:
        """These tickets, as far as there are any."""
        wanted = [name for name in names if is_name(name)]
        return await self._tickets(_WHOLE.where(tickets.c.ticket.in_(wanted))) if wanted else []

    async def numbered(self, name: str) -> list[Ticket]:
        """The tickets with this id, or with this number in the tool that they came from; the newest first."""
        if not is_name(name):
            return []
        # In one list, so that each half finds its index: an OR would read every ticket.
        named = union_all(select(literal(name, String)), select(texts.c.ticket).where(_number == name))
        chosen = _WHOLE.where(tickets.c.ticket.in_(named))
        return await self._tickets(chosen.order_by(tickets.c.known_at.desc().nulls_last()).limit(10))

    async def window(self, which: Filter, after: Place | None = None, at_most: int = WINDOW) -> list[Ticket]:
        """The open tickets that come next, the nearest deadline first."""
        chosen = _WHOLE.where(tickets.c.owner.is_not(None), *_where(which)).order_by(_DUE, tickets.c.ticket)
        if after is not None:
            due = literal(after.due, _INSTANT) if after.due is not None else _NEVER
            chosen = chosen.where(tuple_(_DUE, tickets.c.ticket) > tuple_(due, literal(after.ticket, String)))
        return await self._tickets(chosen.limit(at_most))

    async def counts(self, now: datetime) -> dict[str | None, Counts]:
        """By queue; None: what no transfer has brought into one yet."""
        due = tickets.c.due_at
        held = select(
            tickets.c.queue,
            func.count(),
            func.count().filter(due <= now),
            func.count().filter(due > now, due <= now + SOON),
        )
        offered = select(transfers.c.queue, func.count()).where(_OFFERED).group_by(transfers.c.queue)
        found: dict[str | None, Counts] = {}
        async with self._engine.connect() as connection:
            for queue, *counted in await connection.execute(
                held.where(tickets.c.owner.is_not(None)).group_by(tickets.c.queue)
            ):
                found[queue] = Counts(*counted)
            for queue, waiting in await connection.execute(offered):
                found[queue] = replace(found.get(queue, Counts()), waiting=waiting)
        return found

    async def _tickets(self, chosen: Select[tuple[str, bytes, bytes, bytes]]) -> list[Ticket]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(chosen)
            return [Ticket(_ledger.decode(row.state), Texts(row.normalized, row.classified)) for row in rows]


_number = func.substring(texts.c.ticket, text("'^[^:]*:[^:]*:(.*)$'"), type_=String)
"""Of a ticket's id, the number that its tool gave it; as the index has it."""
_INSTANT = TIMESTAMP(timezone=True)
_NEVER = text("'infinity'::timestamptz")
_DUE = func.coalesce(tickets.c.due_at, text("'infinity'"))
_OFFERED = and_(transfers.c.ended_at.is_(None), transfers.c.status == "offered")
_WHOLE = select(tickets.c.ticket, tickets.c.state, texts.c.normalized, texts.c.classified).select_from(
    tickets.outerjoin(texts, texts.c.ticket == tickets.c.ticket)
)


def _where(which: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []

    def either(own: ColumnElement[bool], offer: ColumnElement[bool]) -> ColumnElement[bool]:
        return or_(own, tickets.c.transfer_id.in_(select(transfers.c.transfer_id).where(_OFFERED, offer)))

    if which.queues is not None:
        found.append(either(tickets.c.queue.in_(which.queues), transfers.c.queue.in_(which.queues)))
    if which.person is not None:
        found.append(either(tickets.c.owner == which.person, transfers.c.receiver == which.person))
    return found
