"""The database's tables. The migrations make them; this is how statements name them, and where each is explained.

Text of tickets is in `texts`, `packages`, `steps.said` and, until it is published, in `outbox`: nowhere else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata = MetaData()
_instant = TIMESTAMP(timezone=True)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("owner", Text),
    Column("queue", Text),
    Column("transfer_id", Text),
    Column("known_at", _instant),
    Column("due_at", _instant),
    Column("kept", Boolean, nullable=False, server_default="true"),
    Index("tickets_ended", "known_at", postgresql_where=text("owner IS NULL AND kept")),
    Index(
        "tickets_by_queue",
        "queue",
        text("coalesce(due_at, 'infinity')"),
        "ticket",
        postgresql_where=text("owner IS NOT NULL"),
    ),
    Index(
        "tickets_by_due",
        text("coalesce(due_at, 'infinity')"),
        "ticket",
        postgresql_where=text("owner IS NOT NULL"),
    ),
    Index("tickets_by_owner", "owner", "queue", "due_at", postgresql_where=text("owner IS NOT NULL")),
    Index(
        "tickets_unowned",
        "ticket",
        postgresql_where=text("owner IS NULL AND status NOT IN ('closed', 'merged', 'deleted')"),
    ),
    comment="what handoff remembers of a ticket: `state` is the ledger as JSON, the rest is read from it; due_at: the"
    " nearest deadline of a clock that runs; kept: it may have text, which goes some"
    " days after its end; the index holds what is owned, so that ended tickets cost a queue nothing",
)

texts = Table(
    "texts",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("normalized", LargeBinary),
    Column("classified", LargeBinary),
    Column("added", LargeBinary),
    Column("salt", LargeBinary, nullable=False),
    Index("texts_number", text("substring(ticket, '^[^:]*:[^:]*:(.*)$')")),
    comment="the newest events of a ticket, for packages, what people added to these, and the salt of the ticket's"
    " digests in the audit trail",
)

ownership = Table(
    "ownership",
    metadata,
    Column("ticket", Text, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("from_at", _instant, nullable=False),
    Column("until_at", _instant),
    Column("owner", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("queue", Text),
    Column("kind", Text, nullable=False),
    Column("transfer_id", Text),
    Column("previous_episode", Integer),
    Column("previous_seq", Integer),
    Column("previous_until", _instant),
    Column("next_seq", Integer),
    Column("last", Boolean, nullable=False),
    PrimaryKeyConstraint("ticket", "episode", "seq", name="ownership_pkey"),
    UniqueConstraint("ticket", "episode", "seq", "until_at", name="ownership_ends"),
    UniqueConstraint("ticket", "episode", "seq", "from_at", name="ownership_begins"),
    UniqueConstraint("ticket", "previous_episode", "previous_seq", name="ownership_one_successor"),
    ForeignKeyConstraint(
        ["ticket", "previous_episode", "previous_seq", "previous_until"],
        ["ownership.ticket", "ownership.episode", "ownership.seq", "ownership.until_at"],
        name="ownership_follows",
    ),
    ForeignKeyConstraint(
        ["ticket", "episode", "next_seq", "until_at"],
        ["ownership.ticket", "ownership.episode", "ownership.seq", "ownership.from_at"],
        name="ownership_goes_on",
        deferrable=True,
        initially="DEFERRED",
    ),
    CheckConstraint("episode >= 1 AND seq >= 1", name="ownership_numbered"),
    CheckConstraint("until_at >= from_at", name="ownership_forward"),
    CheckConstraint("kind IN ('intake_duty', 'acknowledged', 'automatic')", name="ownership_kind"),
    CheckConstraint(
        "CASE WHEN seq > 1 THEN previous_episode IS NOT NULL AND previous_episode = episode"
        " AND previous_seq IS NOT NULL AND previous_seq = seq - 1"
        " AND previous_until IS NOT NULL AND previous_until = from_at"
        " WHEN episode > 1 THEN previous_episode IS NOT NULL AND previous_episode = episode - 1"
        " AND previous_seq IS NOT NULL AND previous_until IS NOT NULL AND previous_until <= from_at"
        " ELSE previous_episode IS NULL AND previous_seq IS NULL AND previous_until IS NULL END",
        name="ownership_chained",
    ),
    CheckConstraint(
        "CASE WHEN until_at IS NULL THEN next_seq IS NULL AND NOT last"
        " WHEN last THEN next_seq IS NULL"
        " ELSE next_seq IS NOT NULL AND next_seq = seq + 1 END",
        name="ownership_no_hole",
    ),
    Index("ownership_one_open", "ticket", unique=True, postgresql_where=text("until_at IS NULL")),
    comment="who owned a ticket from when until when: a list, linked both ways, that has no gap within an episode",
)

transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("ticket", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("opened_at", _instant, nullable=False),
    Column("ended_at", _instant),
    Column("sender", Text, nullable=False),
    Column("queue", Text),
    Column("receiver", Text),
    Column("principal", Text),
    Column("digest", Text),
    Column("sender_queue", Text),
    Column("acknowledge_by", _instant),
    UniqueConstraint("ticket", "number", name="transfers_number"),
    CheckConstraint("ended_at >= opened_at", name="transfers_forward"),
    CheckConstraint(
        "CASE WHEN ended_at IS NULL THEN status IN ('requested', 'offered')"
        " ELSE status IN ('completed', 'withdrawn') END",
        name="transfers_status",
    ),
    Index("transfers_one_open", "ticket", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("transfers_waiting", "queue", "acknowledge_by", postgresql_where=text("ended_at IS NULL")),
    comment="a transfer as its newest step left it; never two open ones of a ticket",
)

briefs = Table(
    "briefs",
    metadata,
    Column("brief", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("closes_at", _instant, nullable=False),
    Column("opened_at", _instant, nullable=False),
    UniqueConstraint("queue", "closes_at", name="briefs_closing"),
    comment="the shift brief of each closing of a queue that sent tickets on",
)

brief_lines = Table(
    "brief_lines",
    metadata,
    Column("brief", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("due_at", _instant),
    Column("transfer_id", Text),
    PrimaryKeyConstraint("brief", "ticket", name="brief_lines_pkey"),
    ForeignKeyConstraint(["brief"], ["briefs.brief"], ondelete="CASCADE", name="brief_lines_of"),
    comment="what the queue had then, and by which transfer it left; without one it stayed. due_at: nearest deadline"
    " of that time. Its text is in `texts`",
)

packages = Table(
    "packages",
    metadata,
    Column("transfer_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("ticket", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("body", LargeBinary),
    PrimaryKeyConstraint("transfer_id", "attempt", "revision", name="packages_pkey"),
    Index("packages_ticket", "ticket"),
    comment="every context package that was offered; its body goes when the ticket is erased, its digest stays",
)

steps = Table(
    "steps",
    metadata,
    Column("ticket", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("at", _instant, nullable=False),
    Column("type", Text, nullable=False),
    Column("transfer_id", Text),
    Column("said", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    PrimaryKeyConstraint("ticket", "sequence", name="steps_pkey"),
    UniqueConstraint("partition", "entry", name="steps_entry"),
    comment="the audit trail: each event of `transfers`, sealed with the entry before it of its partition",
)

notices = Table(
    "notices",
    metadata,
    Column("ticket", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", _instant, nullable=False),
    Column("type", Text, nullable=False),
    Column("said", LargeBinary, nullable=False),
    PrimaryKeyConstraint("ticket", "message", name="notices_pkey"),
    comment="what handoff heard of a ticket from the other services, without its text: with the steps, its timeline",
)

heads = Table(
    "heads",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    comment="the last numbers of outbox and audit trail; locked by whoever appends, so numbers follow the commits",
)

outbox = Table(
    "outbox",
    metadata,
    Column("partition", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("target", SmallInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", LargeBinary, nullable=False),
    PrimaryKeyConstraint("partition", "seq", name="outbox_pkey"),
    comment="what must be published, and, for a while, what was; topic without prefix, target: its partition",
)

consumed = Table(
    "consumed",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("mark", Text, nullable=False),
    PrimaryKeyConstraint("topic", "partition", name="consumed_pkey"),
    comment="the next offset to handle, advanced by compare-and-set in the transaction of what was handled; mark: what"
    " the task was about, see ticket_runtime.attempts",
)
