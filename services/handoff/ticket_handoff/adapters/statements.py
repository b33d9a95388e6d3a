"""The statements of the ledger. Rows are given as arrays, one for each column, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from sqlalchemy import text

_COLUMNS: Final[dict[str, dict[str, str]]] = {
    "tickets": {
        "ticket": "text",
        "partition": "integer",
        "state": "bytea",
        "status": "text",
        "owner": "text",
        "queue": "text",
        "transfer_id": "text",
        "known_at": "timestamptz",
        "due_at": "timestamptz",
    },
    "texts": {"ticket": "text", "normalized": "bytea", "classified": "bytea", "added": "bytea", "salt": "bytea"},
    "transfers": {
        "transfer_id": "text",
        "ticket": "text",
        "number": "integer",
        "cause": "text",
        "status": "text",
        "attempt": "integer",
        "opened_at": "timestamptz",
        "ended_at": "timestamptz",
        "sender": "text",
        "queue": "text",
        "receiver": "text",
        "principal": "text",
        "digest": "text",
        "sender_queue": "text",
        "acknowledge_by": "timestamptz",
    },
    "closings": {
        "brief": "text",
        "queue": "text",
        "closes_at": "timestamptz",
        "opened_at": "timestamptz",
        "ticket": "text",
        "transfer_id": "text",
    },
    "packages": {
        "transfer_id": "text",
        "attempt": "integer",
        "revision": "integer",
        "ticket": "text",
        "digest": "text",
        "body": "bytea",
    },
    "notices": {"ticket": "text", "message": "text", "at": "timestamptz", "type": "text", "said": "bytea"},
    "steps": {
        "ticket": "text",
        "sequence": "integer",
        "partition": "integer",
        "entry": "bigint",
        "at": "timestamptz",
        "type": "text",
        "transfer_id": "text",
        "said": "bytea",
        "digest": "bytea",
        "seal": "bytea",
    },
    "outbox": {
        "partition": "integer",
        "seq": "bigint",
        "topic": "text",
        "target": "smallint",
        "key": "bytea",
        "value": "bytea",
        "headers": "bytea",
    },
    "heads": {"partition": "integer", "seq": "bigint", "entry": "bigint", "seal": "bytea"},
    "consumed": {"topic": "text", "before": "bigint", "after": "bigint", "mark": "text"},
    "closed": {"ticket": "text", "episode": "integer", "seq": "integer", "until_at": "timestamptz", "next": "integer"},
    "opened": {
        "ticket": "text",
        "episode": "integer",
        "seq": "integer",
        "from_at": "timestamptz",
        "until_at": "timestamptz",
        "owner": "text",
        "role": "text",
        "queue": "text",
        "kind": "text",
        "transfer_id": "text",
        "previous_episode": "integer",
        "previous_seq": "integer",
        "previous_until": "timestamptz",
        "next_seq": "integer",
        "last": "boolean",
    },
}
"""The columns of what is written in bulk, with their types, in order; a parameter is `<table>_<column>`."""

_TOGETHER: Final = ("tickets", "texts", "transfers", "packages", "notices", "steps", "outbox", "heads", "consumed")
"""Tables that `WRITE` writes at once: none of them looks at another."""


class Rows:
    """Rows to be written, by the names of `_COLUMNS`."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def add(self, name: str, *values: Any) -> None:
        """A row, its values in the order of the columns."""
        self._rows[name].append(values)

    def parameters(self, *names: str) -> dict[str, list[Any]]:
        """What a statement over these takes; without names, what `WRITE` takes."""
        given: dict[str, list[Any]] = {}
        for name in names or _TOGETHER:
            columns = zip(*self._rows[name], strict=True) if self._rows[name] else ((),) * len(_COLUMNS[name])
            for column, values in zip(_COLUMNS[name], columns, strict=True):
                given[f"{name}_{column}"] = list(values)
        return given


def _given(name: str) -> str:
    columns = _COLUMNS[name]
    arrays = ", ".join(f"CAST(:{name}_{column} AS {kind}[])" for column, kind in columns.items())
    return f"unnest({arrays}) AS given({', '.join(columns)})"


def _insert(name: str, into: str | None = None, on_conflict: str = "") -> str:
    columns = ", ".join(_COLUMNS[name])
    return f"INSERT INTO {into or name} ({columns}) SELECT {columns} FROM {_given(name)}{on_conflict}"


def _or_update(key: str, *columns: str) -> str:
    return f" ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns)


_TICKET = ("state", "status", "owner", "queue", "transfer_id", "known_at", "due_at")
_TRANSFER = ("status", "attempt", "ended_at", "queue", "receiver", "principal", "digest", "acknowledge_by")

WRITE: Final = text(
    f"WITH a AS ({_insert('tickets', on_conflict=_or_update('ticket', *_TICKET) + ', kept = true')}),"
    f" b AS ({_insert('texts', on_conflict=_or_update('ticket', 'normalized', 'classified', 'added'))}),"
    f" c AS ({_insert('transfers', on_conflict=_or_update('transfer_id', *_TRANSFER))}),"
    f" d AS ({_insert('packages')}),"
    f" e AS ({_insert('steps')}),"
    f" f AS ({_insert('outbox')}),"
    f" n AS ({_insert('notices', on_conflict=' ON CONFLICT DO NOTHING')}),"
    f" g AS (UPDATE heads SET seq = given.seq, entry = given.entry, seal = given.seal FROM {_given('heads')}"
    " WHERE heads.partition = given.partition),"
    " moved AS (UPDATE consumed SET next_offset = given.after, mark = coalesce(given.mark, consumed.mark)"
    f" FROM {_given('consumed')}"
    " WHERE consumed.partition = :partition AND consumed.topic = given.topic AND consumed.next_offset = given.before"
    " RETURNING 1)"
    " SELECT count(*) FROM moved"
)
"""All but the intervals, at once. Its result: how many positions were where they were said to be, and moved."""
CLOSE: Final = text(
    "UPDATE ownership SET until_at = given.until_at, next_seq = given.next, last = given.next IS NULL"
    f" FROM {_given('closed')} WHERE ownership.ticket = given.ticket AND ownership.episode = given.episode"
    " AND ownership.seq = given.seq AND ownership.until_at IS NULL"
)
OPEN: Final = text(_insert("opened", into="ownership"))
BRIEFS: Final = text(
    "WITH fresh AS (INSERT INTO briefs (brief, queue, closes_at, opened_at)"
    f" SELECT brief, queue, closes_at, min(opened_at) FROM {_given('closings')} GROUP BY brief, queue, closes_at"
    " ORDER BY brief ON CONFLICT DO NOTHING RETURNING brief, queue)"
    " INSERT INTO brief_lines (brief, ticket, due_at) SELECT fresh.brief, t.ticket, t.due_at"
    " FROM fresh JOIN tickets t ON t.queue = fresh.queue WHERE t.owner IS NOT NULL"
)
"""The first transfer that a closing makes opens its brief, with all that the queue has then."""
BRIEF_LINES: Final = text(
    "INSERT INTO brief_lines (brief, ticket, due_at, transfer_id)"
    f" SELECT given.brief, given.ticket, t.due_at, given.transfer_id FROM {_given('closings')}"
    " JOIN tickets t ON t.ticket = given.ticket"
    " ON CONFLICT (brief, ticket) DO UPDATE SET transfer_id = excluded.transfer_id"
)

NEW_POSITIONS: Final = text(
    "INSERT INTO consumed (topic, partition, next_offset, mark)"
    " SELECT topic, :partition, 0, '' FROM unnest(CAST(:topics AS text[])) AS topic ON CONFLICT DO NOTHING"
)
NEW_HEAD: Final = text(
    "INSERT INTO heads (partition, seq, entry, seal) VALUES (:partition, 0, 0, :seal) ON CONFLICT DO NOTHING"
)
POSITIONS: Final = text(
    "SELECT topic, next_offset, mark FROM consumed"
    " WHERE partition = :partition AND topic = ANY(CAST(:topics AS text[]))"
)
LOAD: Final = text(
    "SELECT t.ticket, t.partition, t.state, x.normalized, x.classified, x.added, x.salt"
    " FROM tickets t LEFT JOIN texts x ON x.ticket = t.ticket"
    " WHERE t.ticket = ANY(CAST(:tickets AS text[])) ORDER BY t.ticket FOR UPDATE OF t"
)
TICKETS_OF: Final = text(
    "SELECT transfer_id, ticket FROM transfers WHERE transfer_id = ANY(CAST(:transfers AS text[]))"
)
OUTSIDE: Final = text(
    "SELECT t.ticket, f.opened_at FROM transfers f JOIN tickets t ON t.ticket = f.ticket"
    " WHERE f.ended_at IS NULL AND f.principal <> 'internal' AND t.partition = :partition"
)
HEADS: Final = text(
    "SELECT partition, seq, entry, seal FROM heads WHERE partition = ANY(CAST(:partitions AS integer[]))"
    " ORDER BY partition FOR UPDATE"
)

LAST: Final = text("SELECT partition, seq FROM heads WHERE partition = ANY(CAST(:partitions AS integer[]))")
UNPUBLISHED: Final = text(
    "SELECT seq, topic, target, key, value, headers FROM outbox"
    " WHERE partition = :partition AND seq > :after ORDER BY seq LIMIT :most"
)
FORGET: Final = text("DELETE FROM outbox WHERE partition = :partition AND seq <= :until")

STATE: Final = text("SELECT state FROM tickets WHERE ticket = :ticket")
INTERVALS: Final = text(
    "SELECT episode, seq, from_at, until_at, owner, role, queue, kind, transfer_id FROM ownership"
    " WHERE ticket = :ticket ORDER BY episode, seq"
)
TRANSFERS_OF: Final = text(
    "SELECT transfer_id, number, cause, status, attempt, opened_at, ended_at, sender, queue, receiver, principal,"
    " digest FROM transfers WHERE ticket = :ticket ORDER BY number"
)
ERASE: Final = text(
    "WITH a AS (UPDATE packages SET body = NULL WHERE ticket = :ticket AND body IS NOT NULL RETURNING 1),"
    " b AS (UPDATE steps SET said = NULL WHERE ticket = :ticket AND sequence < :sequence AND said IS NOT NULL"
    " RETURNING 1),"
    " c AS (DELETE FROM notices WHERE ticket = :ticket RETURNING 1),"
    " d AS (UPDATE texts SET salt = :salt WHERE ticket = :ticket)"
    " SELECT (SELECT count(*) FROM a) AS packages, (SELECT count(*) FROM b) AS steps,"
    " (SELECT count(*) FROM c) AS notices"
)
ENDED: Final = text(
    "SELECT t.ticket, x.classified FROM tickets t LEFT JOIN texts x ON x.ticket = t.ticket"
    " WHERE t.owner IS NULL AND t.kept AND t.known_at < :before"
    " ORDER BY t.known_at LIMIT :most FOR UPDATE OF t SKIP LOCKED"
)
FORGET_ENDED: Final = text(
    "WITH given AS (SELECT * FROM unnest(CAST(:tickets AS text[]), CAST(:classified AS bytea[]))"
    " AS each(ticket, classified)),"
    " a AS (UPDATE tickets SET kept = false FROM given WHERE tickets.ticket = given.ticket),"
    " b AS (DELETE FROM packages USING given WHERE packages.ticket = given.ticket),"
    " c AS (DELETE FROM notices USING given WHERE notices.ticket = given.ticket)"
    " UPDATE texts SET normalized = NULL, added = NULL, classified = given.classified FROM given"
    " WHERE texts.ticket = given.ticket"
)
"""What was said of tickets that ended; their intervals, transfers, trail and salt stay, and so does how they were
classified: the classifier says it again only when it changes."""
FORGET_BRIEFS: Final = text("DELETE FROM briefs WHERE closes_at < :before")
STILL_IN_OUTBOX: Final = text("SELECT count(*) FROM outbox WHERE key = :key")

QUEUE: Final = text(
    "SELECT t.ticket, t.state, t.due_at, x.normalized, x.classified, x.added"
    " FROM tickets t LEFT JOIN texts x ON x.ticket = t.ticket WHERE t.owner IS NOT NULL AND t.queue = :queue"
    " AND (coalesce(t.due_at, 'infinity'), t.ticket) > (CAST(CAST(:due AS text) AS timestamptz), :ticket)"
    " ORDER BY coalesce(t.due_at, 'infinity'), t.ticket LIMIT :most"
)
"""Of a queue what follows (due, ticket), the nearest deadline first; those without one last."""
IN_QUEUE: Final = text(
    "SELECT count(*) AS open, count(*) FILTER (WHERE due_at < :now) AS overdue FROM tickets"
    " WHERE owner IS NOT NULL AND queue = :queue"
)
OWNERS: Final = text(
    "SELECT owner, queue, count(*) AS open, count(*) FILTER (WHERE due_at < :now) AS overdue, min(due_at) AS due_at"
    " FROM tickets WHERE owner IS NOT NULL GROUP BY owner, queue ORDER BY owner, queue"
)
WAITING: Final = text(
    "SELECT transfer_id, ticket, number, cause, status, attempt, opened_at, ended_at, sender, sender_queue, queue,"
    " receiver, principal, digest, acknowledge_by FROM transfers"
    " WHERE ended_at IS NULL AND (CAST(:queue AS text) IS NULL OR queue = :queue)"
    " AND (CAST(:principal AS text) IS NULL OR principal = :principal)"
    " ORDER BY acknowledge_by NULLS LAST, opened_at, transfer_id LIMIT :most"
)
TRANSFER: Final = text(
    "SELECT transfer_id, ticket, number, cause, status, attempt, opened_at, ended_at, sender, sender_queue, queue,"
    " receiver, principal, digest, acknowledge_by FROM transfers WHERE transfer_id = :transfer"
)
PACKAGES: Final = text(
    "SELECT attempt, digest, body FROM packages WHERE transfer_id = :transfer ORDER BY attempt, revision"
)
TICKET: Final = text(
    "SELECT t.state, x.normalized, x.classified, x.added FROM tickets t LEFT JOIN texts x ON x.ticket = t.ticket"
    " WHERE t.ticket = :ticket"
)
BRIEFS_OF: Final = text(
    "SELECT b.brief, b.queue, b.closes_at, b.opened_at, count(l.ticket) AS tickets, count(l.transfer_id) AS sent_on"
    " FROM briefs b LEFT JOIN brief_lines l ON l.brief = b.brief WHERE b.queue = :queue"
    " GROUP BY b.brief ORDER BY b.closes_at DESC LIMIT :most"
)
BRIEF: Final = text("SELECT brief, queue, closes_at, opened_at FROM briefs WHERE brief = :brief")
LINES: Final = text(
    "SELECT l.ticket, l.due_at, l.transfer_id, f.status, f.queue, f.receiver, t.state, t.queue AS now_in,"
    " x.normalized, x.classified, x.added"
    " FROM brief_lines l JOIN tickets t ON t.ticket = l.ticket LEFT JOIN texts x ON x.ticket = l.ticket"
    " LEFT JOIN transfers f ON f.transfer_id = l.transfer_id WHERE l.brief = :brief"
    " ORDER BY coalesce(l.due_at, 'infinity'), l.ticket LIMIT :most"
)
"""The tickets of a brief, the least time left first, as it stood when the brief was opened."""
NOTICES: Final = text("SELECT at, type, said FROM notices WHERE ticket = :ticket ORDER BY at, message")
STEPS: Final = text("SELECT at, type, said FROM steps WHERE ticket = :ticket ORDER BY sequence")
PULSE: Final = text("SELECT coalesce(sum(seq), 0) FROM heads")

PARTITIONS: Final = text("SELECT partition FROM heads ORDER BY partition")
HEAD: Final = text("SELECT entry, seal FROM heads WHERE partition = :partition")
TRAIL: Final = text(
    "SELECT s.entry, s.ticket, s.sequence, s.at, s.type, s.digest, s.seal, x.salt, s.said"
    " FROM steps s LEFT JOIN texts x ON x.ticket = s.ticket WHERE s.partition = :partition ORDER BY s.entry"
)
AGAINST: Final = text(
    "SELECT t.ticket, t.state, t.owner, o.owner AS interval_owner, f.transfer_id AS open_transfer, s.last_step"
    " FROM tickets t"
    " LEFT JOIN ownership o ON o.ticket = t.ticket AND o.until_at IS NULL"
    " LEFT JOIN transfers f ON f.ticket = t.ticket AND f.ended_at IS NULL"
    " LEFT JOIN (SELECT ticket, max(sequence) AS last_step FROM steps GROUP BY ticket) s ON s.ticket = t.ticket"
    " ORDER BY t.ticket"
)
"""Every ticket's state, with what the tables say of it."""
