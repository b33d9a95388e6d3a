"""The ledger in PostgreSQL: a batch is loaded in one statement and written in a handful, whatever its size.

Locks are taken in one order everywhere, so that nothing waits in a circle: positions, tickets by their id, heads by
their partition. No statement asks the database for the time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ticket_handoff.domain import trail
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.handlers import Changes, Held, Sealed
from ticket_runtime.outputs import Message

_ledger = msgspec.json.Decoder(Ledger)
_encode = msgspec.json.Encoder().encode
_headers = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
_pack = msgspec.msgpack.Encoder().encode


_IDLE_MILLISECONDS: Final = 30_000


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


def make_engine(url: str, *, connections: int = 12) -> AsyncEngine:
    """url: `postgresql+asyncpg://...`. connections: at most; each partition in work and each request takes one."""
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=False,
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

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            yield connection

    # -- positions

    async def positions(self, partition: int, topics: Sequence[str]) -> dict[str, tuple[int, str]]:
        """topic -> the next offset to handle of that partition, with the mark that was left there; 0 and an empty mark
        where nothing was handled yet."""
        async with self._engine.begin() as connection:
            await connection.execute(_NEW_POSITIONS, {"topics": list(topics), "partition": partition})
            await connection.execute(_NEW_HEAD, {"partition": partition, "seal": trail.FIRST_SEAL})
            rows = await connection.execute(_POSITIONS, {"topics": list(topics), "partition": partition})
            return {row.topic: (row.next_offset, row.mark) for row in rows}

    async def advance(
        self, connection: AsyncConnection, partition: int, moves: Mapping[str, tuple[int, int, str]]
    ) -> None:
        """topic -> (from, to, mark). Raises Superseded when somebody else has moved one of them."""
        if not moves:
            return
        names = sorted(moves)
        done = await connection.execute(
            _ADVANCE,
            {
                "partition": partition,
                "topics": names,
                "before": [moves[name][0] for name in names],
                "after": [moves[name][1] for name in names],
                "marks": [moves[name][2] for name in names],
            },
        )
        if done.rowcount != len(names):
            raise Superseded(f"partition {partition} has another owner: it moved an offset of {', '.join(names)}")

    # -- tickets

    async def load(self, connection: AsyncConnection, tickets: Iterable[str]) -> Loaded:
        """The ledgers and texts of these tickets, as far as there are any; locks them."""
        loaded = Loaded({}, {})
        wanted = list(tickets)
        if not wanted:
            return loaded
        for row in await connection.execute(_LOAD, {"tickets": wanted}):
            ticket, partition, state, normalized, classified, salt = row
            loaded.held[ticket] = Held(_ledger.decode(state), Texts(normalized, classified), partition)
            if salt is not None:
                loaded.salts[ticket] = salt
        return loaded

    async def tickets_of(self, connection: AsyncConnection, transfers: Iterable[str]) -> dict[str, str]:
        """transfer -> its ticket, of those that exist."""
        wanted = list(transfers)
        if not wanted:
            return {}
        return {row.transfer_id: row.ticket for row in await connection.execute(_TICKETS_OF, {"transfers": wanted})}

    async def write(
        self, connection: AsyncConnection, changes: Changes, messages: Sequence[Message], salts: Mapping[str, bytes]
    ) -> dict[int, list[Numbered]]:
        """All that a batch came to. Returns what it appended to the outbox, by partition."""
        salts = dict(salts)
        await self._write_tickets(connection, changes)
        await self._write_texts(connection, changes, salts)
        await self._write_intervals(connection, changes)
        await self._write_transfers(connection, changes)
        if changes.packages:
            transfers, attempts, tickets, digests, bodies = zip(*changes.packages, strict=True)
            await connection.execute(
                _PACKAGES,
                {
                    "transfers": list(transfers),
                    "attempts": list(attempts),
                    "tickets": list(tickets),
                    "digests": list(digests),
                    "bodies": list(bodies),
                },
            )
        return await self._append(connection, changes, messages, salts)

    async def _write_tickets(self, connection: AsyncConnection, changes: Changes) -> None:
        if not changes.tickets:
            return
        rows = sorted(changes.tickets.items())
        ledgers = [held.ledger for _, held in rows]
        await connection.execute(
            _TICKETS,
            {
                "tickets": [ticket for ticket, _ in rows],
                "partitions": [_partition(held) for _, held in rows],
                "states": [_encode(ledger) for ledger in ledgers],
                "statuses": [ledger.status for ledger in ledgers],
                "owners": [ledger.owner.owner if ledger.owner else None for ledger in ledgers],
                "queues": [ledger.owner.queue if ledger.owner else None for ledger in ledgers],
                "transfers": [ledger.transfer.id if ledger.transfer else None for ledger in ledgers],
                "known": [ledger.known_at for ledger in ledgers],
            },
        )

    async def _write_texts(self, connection: AsyncConnection, changes: Changes, salts: dict[str, bytes]) -> None:
        without = {step.event.ticket for step in changes.steps if step.event.ticket not in salts}
        changed = sorted(changes.texts | without)
        if not changed:
            return
        for ticket in changed:
            salts.setdefault(ticket, os.urandom(16))
        texts = [changes.tickets[ticket].texts for ticket in changed]
        await connection.execute(
            _TEXTS,
            {
                "tickets": changed,
                "normalized": [each.normalized for each in texts],
                "classified": [each.classified for each in texts],
                "salts": [salts[ticket] for ticket in changed],
            },
        )

    async def _write_intervals(self, connection: AsyncConnection, changes: Changes) -> None:
        goes_on = {
            (ticket, each.previous[0], each.previous[1]): each.number
            for (ticket, episode, _), each in changes.opened.items()
            if each.previous is not None and each.previous[0] == episode
        }
        closed = [(key, closing) for key, closing in changes.closed.items() if key not in changes.opened]
        if closed:
            done = await connection.execute(
                _CLOSE,
                {
                    "tickets": [ticket for (ticket, _, _), _ in closed],
                    "episodes": [closing.episode for _, closing in closed],
                    "numbers": [closing.number for _, closing in closed],
                    "untils": [closing.until_at for _, closing in closed],
                    "nexts": [goes_on.get(key) for key, _ in closed],
                },
            )
            if done.rowcount != len(closed):
                raise LedgerFault(f"{len(closed)} intervals were to be closed, of which {done.rowcount} were open")
        if not changes.opened:
            return
        columns: dict[str, list[Any]] = defaultdict(list)
        for key, each in changes.opened.items():
            closing = changes.closed.get(key)
            previous = each.previous or (None, None, None)
            columns["tickets"].append(key[0])
            columns["episodes"].append(each.episode)
            columns["numbers"].append(each.number)
            columns["froms"].append(each.from_at)
            columns["untils"].append(closing.until_at if closing else None)
            columns["owners"].append(each.owner)
            columns["roles"].append(each.role)
            columns["queues"].append(each.queue)
            columns["kinds"].append(each.kind)
            columns["transfers"].append(each.transfer_id)
            columns["previous_episodes"].append(previous[0])
            columns["previous_numbers"].append(previous[1])
            columns["previous_untils"].append(previous[2])
            columns["nexts"].append(goes_on.get(key))
            columns["lasts"].append(closing is not None and key not in goes_on)
        await connection.execute(_OPEN, columns)

    async def _write_transfers(self, connection: AsyncConnection, changes: Changes) -> None:
        if not changes.transfers:
            return
        # By number: one that ends must be written before the next of its ticket is open.
        rows = sorted(changes.transfers.values(), key=lambda row: (row[0], row[1].number))
        states = [state for _, state in rows]
        await connection.execute(
            _TRANSFERS,
            {
                "transfers": [state.id for state in states],
                "tickets": [ticket for ticket, _ in rows],
                "numbers": [state.number for state in states],
                "causes": [state.cause for state in states],
                "statuses": [state.status for state in states],
                "attempts": [state.attempt for state in states],
                "opened": [state.opened_at for state in states],
                "ended": [state.ended_at for state in states],
                "senders": [state.sender for state in states],
                "queues": [state.queue for state in states],
                "receivers": [state.receiver for state in states],
                "principals": [state.principal for state in states],
                "digests": [state.digest for state in states],
            },
        )

    async def _append(
        self, connection: AsyncConnection, changes: Changes, messages: Sequence[Message], salts: Mapping[str, bytes]
    ) -> dict[int, list[Numbered]]:
        """Numbers what is to be published, and the steps of the trail, while the partitions' heads are locked."""
        out: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            target = message.partition
            if target is None:
                target = _partition(changes.tickets[(message.key or b"").decode()])
            out[target].append(message)
        steps: dict[int, list[Sealed]] = defaultdict(list)
        for step in changes.steps:
            steps[_partition(changes.tickets[step.event.ticket])].append(step)
        partitions = sorted({*out, *steps})
        if not partitions:
            return {}
        heads = {row.partition: row for row in await connection.execute(_HEADS, {"partitions": partitions})}
        appended: dict[int, list[Numbered]] = {}
        entries: dict[str, list[Any]] = defaultdict(list)
        after: list[tuple[int, int, int, bytes]] = []
        for partition in partitions:
            head = heads.get(partition)
            if head is None:
                raise LedgerFault(f"partition {partition} has no head: this desk has fewer partitions")
            appended[partition] = [
                Numbered(head.seq + number, message) for number, message in enumerate(out[partition], 1)
            ]
            entry, seal = _seal(steps[partition], partition, head, salts, entries)
            after.append((partition, head.seq + len(out[partition]), entry, seal))
        if entries:
            await connection.execute(_STEPS, entries)
        rows = [(partition, each.seq, each.message) for partition, found in appended.items() for each in found]
        if rows:
            await connection.execute(
                _OUTBOX,
                {
                    "partitions": [partition for partition, _, _ in rows],
                    "seqs": [seq for _, seq, _ in rows],
                    "topics": [message.topic for _, _, message in rows],
                    "targets": [partition for partition, _, _ in rows],
                    "keys": [message.key for _, _, message in rows],
                    "values": [message.value for _, _, message in rows],
                    "headers": [_pack(message.headers) for _, _, message in rows],
                },
            )
        await connection.execute(
            _MOVE_HEADS,
            {
                "partitions": [partition for partition, _, _, _ in after],
                "seqs": [seq for _, seq, _, _ in after],
                "entries": [entry for _, _, entry, _ in after],
                "seals": [seal for _, _, _, seal in after],
            },
        )
        return appended

    # -- the outbox

    async def last_numbers(self, partitions: Sequence[int]) -> dict[int, int]:
        """partition -> the last number of its outbox that was committed."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_LAST, {"partitions": list(partitions)})
            return {row.partition: row.seq for row in rows}

    async def unpublished(self, partition: int, after: int, at_most: int) -> list[Numbered]:
        """What follows number `after`, in order."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_UNPUBLISHED, {"partition": partition, "after": after, "most": at_most})
            return [
                Numbered(row.seq, Message(row.topic, row.key, row.value, _headers.decode(row.headers), row.target))
                for row in rows
            ]

    async def forget(self, partition: int, until: int) -> None:
        """Deletes what was published, up to this number."""
        async with self._engine.begin() as connection:
            await connection.execute(_FORGET, {"partition": partition, "until": until})

    # -- what people ask

    async def history(self, ticket: str) -> History | None:
        """Everything about who owned a ticket; None when it was never seen."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_STATE, {"ticket": ticket})).first()
            if row is None:
                return None
            intervals = await connection.execute(_INTERVALS, {"ticket": ticket})
            transfers = await connection.execute(_TRANSFERS_OF, {"ticket": ticket})
            return History(
                _ledger.decode(row.state),
                [dict(each._mapping) for each in intervals],
                [dict(each._mapping) for each in transfers],
            )

    async def trails(self) -> list[int]:
        """The partitions that have an audit trail."""
        async with self._engine.connect() as connection:
            return [row.partition for row in await connection.execute(_PARTITIONS)]

    async def trail_faults(self, partition: int) -> tuple[int, list[str]]:
        """How many entries the trail of a partition has, and what is wrong with it."""
        async with self._engine.connect() as connection:
            head = (await connection.execute(_HEAD, {"partition": partition})).one()
            rows = await connection.execute(_TRAIL, {"partition": partition})
            entries = [trail.Entry(*row) for row in rows]
        return len(entries), list(trail.faults(entries, (head.entry, head.seal)))

    async def ledger_faults(self) -> tuple[int, list[str]]:
        """How many tickets there are, and of which the state differs from what the tables say."""
        found: list[str] = []
        count = 0
        async with self._engine.connect() as connection:
            for row in await connection.execute(_AGAINST):
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


def _seal(
    steps: list[Sealed], partition: int, head: Row[Any], salts: Mapping[str, bytes], into: dict[str, list[Any]]
) -> tuple[int, bytes]:
    """Seals the steps of a partition behind its head; returns the number and the seal of the last."""
    entry, seal = head.entry, head.seal
    for step in steps:
        event = step.event
        digest = trail.digest(salts[event.ticket], step.body)
        entry += 1
        seal = trail.seal(seal, entry, event.ticket, event.sequence, event.decided_for, event.TYPE, digest)
        into["tickets"].append(event.ticket)
        into["sequences"].append(event.sequence)
        into["partitions"].append(partition)
        into["entries"].append(entry)
        into["ats"].append(event.decided_for)
        into["types"].append(event.TYPE)
        into["transfers"].append(getattr(event, "transfer_id", None))
        into["said"].append(step.body)
        into["digests"].append(digest)
        into["seals"].append(seal)
    return entry, seal


def _unnest(**columns: str) -> str:
    """`unnest` of arrays that are given as parameters, with the type of each."""
    return f"unnest({', '.join(f'CAST(:{name} AS {kind}[])' for name, kind in columns.items())})"


_NEW_POSITIONS: Final = text(
    "INSERT INTO consumed (topic, partition, next_offset, mark)"
    " SELECT topic, :partition, 0, '' FROM unnest(CAST(:topics AS text[])) AS topic ON CONFLICT DO NOTHING"
)
_NEW_HEAD: Final = text(
    "INSERT INTO heads (partition, seq, entry, seal) VALUES (:partition, 0, 0, :seal) ON CONFLICT DO NOTHING"
)
_POSITIONS: Final = text(
    "SELECT topic, next_offset, mark FROM consumed"
    " WHERE partition = :partition AND topic = ANY(CAST(:topics AS text[]))"
)
_ADVANCE: Final = text(
    "UPDATE consumed SET next_offset = moved.after, mark = moved.mark FROM "
    + _unnest(topics="text", before="bigint", after="bigint", marks="text")
    + " AS moved(topic, before, after, mark)"
    " WHERE consumed.partition = :partition AND consumed.topic = moved.topic AND consumed.next_offset = moved.before"
)
_LOAD: Final = text(
    "SELECT t.ticket, t.partition, t.state, x.normalized, x.classified, x.salt"
    " FROM tickets t LEFT JOIN texts x ON x.ticket = t.ticket"
    " WHERE t.ticket = ANY(CAST(:tickets AS text[])) ORDER BY t.ticket FOR UPDATE OF t"
)
_TICKETS_OF: Final = text(
    "SELECT transfer_id, ticket FROM transfers WHERE transfer_id = ANY(CAST(:transfers AS text[]))"
)
_TICKETS: Final = text(
    "INSERT INTO tickets (ticket, partition, state, status, owner, queue, transfer_id, known_at) SELECT * FROM "
    + _unnest(
        tickets="text",
        partitions="integer",
        states="bytea",
        statuses="text",
        owners="text",
        queues="text",
        transfers="text",
        known="timestamptz",
    )
    + " ON CONFLICT (ticket) DO UPDATE SET state = excluded.state, status = excluded.status, owner = excluded.owner,"
    " queue = excluded.queue, transfer_id = excluded.transfer_id, known_at = excluded.known_at"
)
_TEXTS: Final = text(
    "INSERT INTO texts (ticket, normalized, classified, salt) SELECT * FROM "
    + _unnest(tickets="text", normalized="bytea", classified="bytea", salts="bytea")
    + " ON CONFLICT (ticket) DO UPDATE SET normalized = excluded.normalized, classified = excluded.classified"
)
_CLOSE: Final = text(
    "UPDATE ownership SET until_at = done.until_at, next_seq = done.next, last = done.next IS NULL FROM "
    + _unnest(tickets="text", episodes="integer", numbers="integer", untils="timestamptz", nexts="integer")
    + " AS done(ticket, episode, seq, until_at, next)"
    " WHERE ownership.ticket = done.ticket AND ownership.episode = done.episode AND ownership.seq = done.seq"
    " AND ownership.until_at IS NULL"
)
_OPEN: Final = text(
    "INSERT INTO ownership (ticket, episode, seq, from_at, until_at, owner, role, queue, kind, transfer_id,"
    " previous_episode, previous_seq, previous_until, next_seq, last) SELECT * FROM "
    + _unnest(
        tickets="text",
        episodes="integer",
        numbers="integer",
        froms="timestamptz",
        untils="timestamptz",
        owners="text",
        roles="text",
        queues="text",
        kinds="text",
        transfers="text",
        previous_episodes="integer",
        previous_numbers="integer",
        previous_untils="timestamptz",
        nexts="integer",
        lasts="boolean",
    )
)
_TRANSFERS: Final = text(
    "INSERT INTO transfers (transfer_id, ticket, number, cause, status, attempt, opened_at, ended_at, sender, queue,"
    " receiver, principal, digest) SELECT * FROM "
    + _unnest(
        transfers="text",
        tickets="text",
        numbers="integer",
        causes="text",
        statuses="text",
        attempts="integer",
        opened="timestamptz",
        ended="timestamptz",
        senders="text",
        queues="text",
        receivers="text",
        principals="text",
        digests="text",
    )
    + " ON CONFLICT (transfer_id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,"
    " ended_at = excluded.ended_at, queue = excluded.queue, receiver = excluded.receiver,"
    " principal = excluded.principal, digest = excluded.digest"
)
_PACKAGES: Final = text(
    "INSERT INTO packages (transfer_id, attempt, ticket, digest, body) SELECT * FROM "
    + _unnest(transfers="text", attempts="integer", tickets="text", digests="text", bodies="bytea")
)
_HEADS: Final = text(
    "SELECT partition, seq, entry, seal FROM heads WHERE partition = ANY(CAST(:partitions AS integer[]))"
    " ORDER BY partition FOR UPDATE"
)
_STEPS: Final = text(
    "INSERT INTO steps (ticket, sequence, partition, entry, at, type, transfer_id, said, digest, seal) SELECT * FROM "
    + _unnest(
        tickets="text",
        sequences="integer",
        partitions="integer",
        entries="bigint",
        ats="timestamptz",
        types="text",
        transfers="text",
        said="bytea",
        digests="bytea",
        seals="bytea",
    )
)
_OUTBOX: Final = text(
    "INSERT INTO outbox (partition, seq, topic, target, key, value, headers) SELECT * FROM "
    + _unnest(
        partitions="integer",
        seqs="bigint",
        topics="text",
        targets="smallint",
        keys="bytea",
        values="bytea",
        headers="bytea",
    )
)
_MOVE_HEADS: Final = text(
    "UPDATE heads SET seq = moved.seq, entry = moved.entry, seal = moved.seal FROM "
    + _unnest(partitions="integer", seqs="bigint", entries="bigint", seals="bytea")
    + " AS moved(partition, seq, entry, seal) WHERE heads.partition = moved.partition"
)
_LAST: Final = text("SELECT partition, seq FROM heads WHERE partition = ANY(CAST(:partitions AS integer[]))")
_UNPUBLISHED: Final = text(
    "SELECT seq, topic, target, key, value, headers FROM outbox"
    " WHERE partition = :partition AND seq > :after ORDER BY seq LIMIT :most"
)
_FORGET: Final = text("DELETE FROM outbox WHERE partition = :partition AND seq <= :until")
_STATE: Final = text("SELECT state FROM tickets WHERE ticket = :ticket")
_INTERVALS: Final = text(
    "SELECT episode, seq, from_at, until_at, owner, role, queue, kind, transfer_id FROM ownership"
    " WHERE ticket = :ticket ORDER BY episode, seq"
)
_TRANSFERS_OF: Final = text(
    "SELECT transfer_id, number, cause, status, attempt, opened_at, ended_at, sender, queue, receiver, principal,"
    " digest FROM transfers WHERE ticket = :ticket ORDER BY number"
)
_PARTITIONS: Final = text("SELECT partition FROM heads ORDER BY partition")
_HEAD: Final = text("SELECT entry, seal FROM heads WHERE partition = :partition")
_TRAIL: Final = text(
    "SELECT s.entry, s.ticket, s.sequence, s.at, s.type, s.digest, s.seal, x.salt, s.said"
    " FROM steps s LEFT JOIN texts x ON x.ticket = s.ticket WHERE s.partition = :partition ORDER BY s.entry"
)
_AGAINST: Final = text(
    "SELECT t.ticket, t.state, t.owner, o.owner AS interval_owner, f.transfer_id AS open_transfer, s.last_step"
    " FROM tickets t"
    " LEFT JOIN ownership o ON o.ticket = t.ticket AND o.until_at IS NULL"
    " LEFT JOIN transfers f ON f.ticket = t.ticket AND f.ended_at IS NULL"
    " LEFT JOIN (SELECT ticket, max(sequence) AS last_step FROM steps GROUP BY ticket) s ON s.ticket = t.ticket"
    " ORDER BY t.ticket"
)
