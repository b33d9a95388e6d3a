"""The ledger in PostgreSQL: a batch is loaded in one statement and written in a handful, whatever its size.

Locks are taken in one order everywhere, so that nothing waits in a circle: positions, tickets by their id, heads by
their partition, briefs. No statement asks the database for the time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ticket_contracts import topics
from ticket_contracts.ids import brief_id
from ticket_contracts.transfers import TransferEvent
from ticket_handoff.adapters import statements as sql
from ticket_handoff.adapters.statements import Rows
from ticket_handoff.domain import context, trail
from ticket_handoff.domain.decision import TransferState
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.handlers import Changes, Held, is_name
from ticket_runtime.outputs import Message

_ledger = msgspec.json.Decoder(Ledger)
_encode = msgspec.json.Encoder().encode
_headers = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
_pack = msgspec.msgpack.Encoder().encode


_IDLE_MILLISECONDS: Final = 30_000


Move = tuple[int, int, str | None]
"""Of a position: from, to, and the mark that is left there; None leaves the one that stands there."""


class Superseded(Exception):
    """A newer owner of the partition is at work: what this one was about to write is not written, and it must stop."""


class LedgerFault(Exception):
    """The database holds something else than the ledger says: a fault of ours, never of a message."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message of the outbox with its number in its partition."""

    seq: int
    message: Message


@dataclass(slots=True)
class Loaded:
    """The tickets of a batch, locked until its transaction ends. salts: of those that have one."""

    held: dict[str, Held]
    salts: dict[str, bytes]


def make_engine(url: str, *, connections: int = 12, check: bool = False) -> AsyncEngine:
    """url: `postgresql+asyncpg://...`. connections: at most; each partition in work and each request takes one.
    check: each before it is used, for those who live on when the database was restarted."""
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=check,
        hide_parameters=True,  # they hold a ticket's text, and errors are logged
        connect_args={
            "server_settings": {
                "application_name": "handoff",
                "jit": "off",
                # A process that was frozen in the midst of a transaction must not hold its successor up for long.
                "idle_in_transaction_session_timeout": str(_IDLE_MILLISECONDS),
            }
        },
    )


class Store:
    """Not bound to a partition; every method that takes a connection works in the caller's transaction."""

    def __init__(self, engine: AsyncEngine, changed: Callable[[Iterable[str]], None] | None = None) -> None:
        """changed: is told of the tickets that a transaction has written, after its commit. It must not raise."""
        self._engine, self._changed = engine, changed
        self._written: dict[AsyncConnection, Iterable[str]] = {}

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            try:
                yield connection
            finally:
                written = self._written.pop(connection, ())
        if written and self._changed is not None:
            self._changed(written)

    # -- positions

    async def positions(self, partition: int, topics: Sequence[str]) -> dict[str, tuple[int, str]]:
        """topic -> the next offset to handle of that partition, with the mark that was left there; 0 and an empty mark
        where nothing was handled yet."""
        async with self._engine.begin() as connection:
            await connection.execute(sql.NEW_POSITIONS, {"topics": list(topics), "partition": partition})
            await connection.execute(sql.NEW_HEAD, {"partition": partition, "seal": trail.FIRST_SEAL})
            rows = await connection.execute(sql.POSITIONS, {"topics": list(topics), "partition": partition})
            return {row.topic: (row.next_offset, row.mark) for row in rows}

    # -- tickets

    async def load(self, connection: AsyncConnection, tickets: Iterable[str]) -> Loaded:
        """The ledgers and texts of these tickets, as far as there are any; locks them."""
        loaded = Loaded({}, {})
        wanted = [ticket for ticket in tickets if is_name(ticket)]
        if not wanted:
            return loaded
        for row in await connection.execute(sql.LOAD, {"tickets": wanted}):
            ticket, partition, state, normalized, classified, added, salt = row
            loaded.held[ticket] = Held(_ledger.decode(state), Texts(normalized, classified, added), partition)
            if salt is not None:
                loaded.salts[ticket] = salt
        return loaded

    async def tickets_of(self, connection: AsyncConnection, transfers: Iterable[str]) -> dict[str, str]:
        """transfer -> its ticket, of those that exist."""
        wanted = [transfer for transfer in transfers if is_name(transfer)]
        if not wanted:
            return {}
        return {row.transfer_id: row.ticket for row in await connection.execute(sql.TICKETS_OF, {"transfers": wanted})}

    async def write(
        self,
        connection: AsyncConnection,
        changes: Changes,
        messages: Sequence[Message],
        salts: Mapping[str, bytes],
        partition: int = -1,
        moves: Mapping[str, Move] | None = None,
    ) -> dict[int, list[Numbered]]:
        """All that a batch came to, and the positions that it leaves, by topic. Returns what it appended to the outbox,
        by partition. Raises Superseded when one of these positions is somewhere else by now. An owner names all that a
        partition has: rows that do not exist yet cannot be locked, so that this alone keeps two owners apart."""
        rows, salts = Rows(), dict(salts)
        _ticket_rows(changes, rows)
        _text_rows(changes, salts, rows)
        _transfer_rows(changes, rows)
        for package in changes.packages:
            rows.add("packages", *package)
        for notice in changes.notices:
            rows.add("notices", *notice)
        for topic, move in sorted((moves or {}).items()):
            rows.add("consumed", topic, *move)
        await self._write_intervals(connection, changes)
        appended = await self._number(connection, changes, messages, salts, rows)
        done = await connection.execute(sql.WRITE, {**rows.parameters(), "partition": partition})
        if done.scalar_one() != len(moves or {}):
            raise Superseded(f"partition {partition} has another owner: it moved an offset of {', '.join(moves or {})}")
        await self._write_briefs(connection, changes)
        self._written[connection] = changes.tickets
        return appended

    async def _write_briefs(self, connection: AsyncConnection, changes: Changes) -> None:
        """After all else is written: a brief shows its queue as this transaction leaves it."""
        newest: dict[tuple[str, str], tuple[str, datetime, TransferState]] = {}
        for ticket, each in sorted(changes.transfers.values(), key=lambda row: (row[0], row[1].number)):
            if each.closes_at is not None and each.sender_queue is not None:
                brief = brief_id(each.sender_queue, each.closes_at)
                newest[brief, ticket] = each.sender_queue, each.closes_at, each
        if not newest:
            return
        rows = Rows()
        for (brief, ticket), (queue, closes_at, each) in sorted(newest.items(), key=lambda row: row[0]):
            rows.add("closings", brief, queue, closes_at, each.opened_at, ticket, each.id)
        await connection.execute(sql.BRIEFS, rows.parameters("closings"))
        await connection.execute(sql.BRIEF_LINES, rows.parameters("closings"))

    async def _write_intervals(self, connection: AsyncConnection, changes: Changes) -> None:
        """In statements of their own: one that ends must be written before the next is open."""
        if not changes.opened and not changes.closed:
            return
        goes_on = {
            (ticket, each.previous[0], each.previous[1]): each.number
            for (ticket, episode, _), each in changes.opened.items()
            if each.previous is not None and each.previous[0] == episode
        }
        rows = Rows()
        closed = [(key, closing) for key, closing in changes.closed.items() if key not in changes.opened]
        for key, closing in closed:
            rows.add("closed", *key, closing.until_at, goes_on.get(key))
        if closed:
            done = await connection.execute(sql.CLOSE, rows.parameters("closed"))
            if done.rowcount != len(closed):
                raise LedgerFault(f"{len(closed)} intervals were to be closed, of which {done.rowcount} were open")
        for key, each in changes.opened.items():
            ends = changes.closed.get(key)
            rows.add(
                "opened",
                *(*key, each.from_at, ends.until_at if ends else None),
                *(each.owner, each.role, each.queue, each.kind, each.transfer_id),
                *(each.previous or (None, None, None)),
                *(goes_on.get(key), ends is not None and key not in goes_on),
            )
        if changes.opened:
            await connection.execute(sql.OPEN, rows.parameters("opened"))

    async def _number(
        self,
        connection: AsyncConnection,
        changes: Changes,
        messages: Sequence[Message],
        salts: Mapping[str, bytes],
        rows: Rows,
    ) -> dict[int, list[Numbered]]:
        """Numbers what is to be published and seals the steps of the trail, while the partitions' heads are locked."""
        out: dict[int, list[Message]] = defaultdict(list)
        said: dict[int, list[bytes]] = defaultdict(list)
        for message in messages:
            target = message.partition
            if target is None:
                target = _partition(changes.tickets[(message.key or b"").decode()])
            out[target].append(message)
            if message.topic == topics.TRANSFERS:
                said[target].append(message.value or b"")
        steps: dict[int, list[TransferEvent]] = defaultdict(list)
        for step in changes.steps:
            steps[_partition(changes.tickets[step.ticket])].append(step)
        if not out:
            return {}
        heads = {row.partition: row for row in await connection.execute(sql.HEADS, {"partitions": sorted(out)})}
        appended: dict[int, list[Numbered]] = {}
        for partition in sorted(out):
            head = heads.get(partition)
            if head is None:
                raise LedgerFault(f"partition {partition} has no head: this desk has fewer partitions")
            entry, seal = head.entry, head.seal
            for step, body in zip(steps[partition], said[partition], strict=True):
                entry += 1
                digest = trail.digest(salts[step.ticket], body)
                seal = trail.seal(seal, entry, step.ticket, step.sequence, step.decided_for, step.TYPE, digest)
                where = (step.ticket, step.sequence, partition, entry)
                transfer = getattr(step, "transfer_id", None)
                rows.add("steps", *where, step.decided_for, step.TYPE, transfer, body, digest, seal)
            appended[partition] = [Numbered(head.seq + n, message) for n, message in enumerate(out[partition], 1)]
            for each in appended[partition]:
                message, packed = each.message, _pack(each.message.headers)
                rows.add("outbox", partition, each.seq, message.topic, partition, message.key, message.value, packed)
            rows.add("heads", partition, head.seq + len(out[partition]), entry, seal)
        return appended

    async def offered_outside(self, connection: AsyncConnection, partition: int) -> list[str]:
        """The tickets of a partition that a partner has an offer of."""
        rows = await connection.execute(sql.OUTSIDE, {"partition": partition})
        return [row.ticket for row in rows]

    async def oldest_outside(self, partition: int) -> datetime | None:
        """Since when the oldest offer that a partner has before it is on its way."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(sql.OUTSIDE, {"partition": partition})
            return min((row.opened_at for row in rows), default=None)

    async def erase(self, connection: AsyncConnection, ticket: str, before: int, salt: bytes) -> dict[str, int]:
        """Forgets what was said of a ticket before a step, and its salt: another takes its place. Returns how much of
        what there was."""
        given = {"ticket": ticket, "sequence": before, "salt": salt}
        row = (await connection.execute(sql.ERASE, given)).one()
        return dict(row._mapping)

    async def in_outbox(self, ticket: str) -> int:
        """How many of its messages are not published yet, or were a moment ago."""
        async with self._engine.connect() as connection:
            return int((await connection.execute(sql.STILL_IN_OUTBOX, {"key": ticket.encode()})).scalar_one())

    # -- the outbox

    async def last_numbers(self, partitions: Sequence[int]) -> dict[int, int]:
        """partition -> the last number of its outbox that was committed."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(sql.LAST, {"partitions": list(partitions)})
            return {row.partition: row.seq for row in rows}

    async def unpublished(self, partition: int, after: int, at_most: int) -> list[Numbered]:
        """What follows number `after`, in order."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(sql.UNPUBLISHED, {"partition": partition, "after": after, "most": at_most})
            return [
                Numbered(row.seq, Message(row.topic, row.key, row.value, _headers.decode(row.headers), row.target))
                for row in rows
            ]

    async def forget(self, partition: int, until: int) -> None:
        """Deletes what was published, up to this number."""
        async with self._engine.begin() as connection:
            await connection.execute(sql.FORGET, {"partition": partition, "until": until})

    # -- what ended

    async def forget_ended(self, before: datetime, most: int = 500) -> int:
        """Forgets what was said of tickets that ended before an instant, and the briefs of closings before it. Returns
        of how many tickets, at most `most` at a time; what somebody is at work on waits for the next time."""
        async with self._engine.begin() as connection:
            await connection.execute(sql.FORGET_BRIEFS, {"before": before})
            rows = (await connection.execute(sql.ENDED, {"before": before, "most": most})).all()
            if rows:
                tickets = [row.ticket for row in rows]
                classified = [context.without_words(row.classified) for row in rows]
                await connection.execute(sql.FORGET_ENDED, {"tickets": tickets, "classified": classified})
        return len(rows)

    # -- what people ask

    async def history(self, ticket: str) -> History | None:
        """Everything about who owned a ticket; None when it was never seen."""
        if not is_name(ticket):
            return None
        async with self._engine.connect() as connection:
            row = (await connection.execute(sql.STATE, {"ticket": ticket})).first()
            if row is None:
                return None
            intervals = await connection.execute(sql.INTERVALS, {"ticket": ticket})
            transfers = await connection.execute(sql.TRANSFERS_OF, {"ticket": ticket})
            return History(
                _ledger.decode(row.state),
                [dict(each._mapping) for each in intervals],
                [dict(each._mapping) for each in transfers],
            )

    async def trails(self) -> list[int]:
        """The partitions that have an audit trail."""
        async with self._engine.connect() as connection:
            return [row.partition for row in await connection.execute(sql.PARTITIONS)]

    async def trail_faults(self, partition: int) -> tuple[int, list[str]]:
        """How many entries the trail of a partition has, and what is wrong with it."""
        async with self._engine.connect() as connection:
            head = (await connection.execute(sql.HEAD, {"partition": partition})).one()
            rows = await connection.execute(sql.TRAIL, {"partition": partition})
            entries = [trail.Entry(*row) for row in rows]
        return len(entries), list(trail.faults(entries, (head.entry, head.seal)))

    async def ledger_faults(self) -> tuple[int, list[str]]:
        """How many tickets there are, and of which the state differs from what the tables say."""
        found: list[str] = []
        count = 0
        async with self._engine.connect() as connection:
            for row in await connection.execute(sql.AGAINST):
                count += 1
                ledger = _ledger.decode(row.state)
                owner = ledger.owner.owner if ledger.owner else None
                if (owner, owner) != (row.owner, row.interval_owner):
                    found.append(
                        f"{row.ticket}: its ledger names the owner {owner}, tickets {row.owner}, the open interval "
                        f"{row.interval_owner}"
                    )
                transfer = ledger.transfer.id if ledger.transfer else None
                if transfer != row.open_transfer:
                    found.append(f"{row.ticket}: its ledger has {transfer} open, the table {row.open_transfer}")
                if ledger.sequence != (row.last_step or 0):
                    found.append(
                        f"{row.ticket}: {ledger.sequence} steps were said, {row.last_step or 0} are in the trail"
                    )
        return count, found


@dataclass(frozen=True, slots=True)
class History:
    """intervals, transfers: rows of their tables, by column, in order."""

    ledger: Ledger
    intervals: list[dict[str, Any]]
    transfers: list[dict[str, Any]]


def _partition(held: Held) -> int:
    if held.partition is None:
        raise LedgerFault(f"ticket {held.ledger.ticket} has no partition")
    return held.partition


def _ticket_rows(changes: Changes, rows: Rows) -> None:
    for ticket, held in sorted(changes.tickets.items()):
        ledger, owner = held.ledger, held.ledger.owner
        rows.add(
            "tickets",
            *(ticket, _partition(held), _encode(ledger), ledger.status),
            *((owner.owner, owner.queue) if owner else (None, None)),
            *(ledger.transfer.id if ledger.transfer else None, ledger.known_at, ledger.due_at),
        )


def _text_rows(changes: Changes, salts: dict[str, bytes], rows: Rows) -> None:
    """Gives a salt to who has none yet."""
    for ticket in sorted(changes.texts | {step.ticket for step in changes.steps if step.ticket not in salts}):
        texts = changes.tickets[ticket].texts
        salt = salts.setdefault(ticket, os.urandom(16))
        rows.add("texts", ticket, texts.normalized, texts.classified, texts.added, salt)


def _transfer_rows(changes: Changes, rows: Rows) -> None:
    # By number: one that ends must be written before the next of its ticket is open.
    for ticket, each in sorted(changes.transfers.values(), key=lambda row: (row[0], row[1].number)):
        rows.add(
            "transfers",
            *(each.id, ticket, each.number, each.cause, each.status, each.attempt, each.opened_at, each.ended_at),
            *(each.sender, each.queue, each.receiver, each.principal, each.digest),
            *(each.sender_queue, each.acknowledge_by),
        )
