"""What is remembered of each event, in the schema `facts`. One row an event, under the event's id; nothing is ever
updated, so neither the order of arrival nor a redelivery matters. No text of a ticket and no name of a person is here,
nor a digest of one: an erasure finds nothing to remove.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

SCHEMA = "facts"
metadata = MetaData(schema=SCHEMA)
_instant = TIMESTAMP(timezone=True)


def _event(name: str, *columns: Column[object], comment: str) -> Table:
    """id: the event's ce_id, at: the instant it was decided for."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True),
        Column("ticket", Text, nullable=False),
        Column("at", _instant, nullable=False),
        *columns,
        Index(f"{name}_ticket", "ticket"),
        Index(f"{name}_at", "at"),
        comment=comment,
    )


versions = _event(
    "versions",
    Column("version", Integer, nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("url", Text),
    Column("created_at", _instant),
    Column("assigned", Text),
    comment="tickets.normalized: the ticket at each version; assigned: the group that its tool names",
)

comments = _event(
    "comments",
    Column("author", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    comment="who wrote a comment when (customer, agent, system), never what; id: digest of ticket and comment",
)

classifications = _event(
    "classifications",
    Column("version", Integer, nullable=False),
    Column("category", Text),
    Column("kind", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("corrected", Boolean, nullable=False),
    Column("articles", ARRAY(Text), nullable=False),
    comment="tickets.classified; corrected: it rests on a person's correction",
)

routings = _event(
    "routings",
    Column("decision", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("transfer_id", Text),
    Column("cause", Text),
    Column("agreement", Text, nullable=False),
    comment="tickets.routed: where the router sent it and by which rule",
)

clocks = _event(
    "clocks",
    Column("clock", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("ticket_version", Integer, nullable=False),
    Column("policy", Text, nullable=False),
    Column("goal_seconds", Integer),
    Column("due_at", _instant),
    Column("deadline", _instant),
    Column("transfer_id", Text),
    Column("revises", Text),
    Column("late", Boolean, nullable=False),
    Column("agreement", Text, nullable=False),
    comment="sla.events but `stated`; clock: its kind, without the transfer that it may run on",
)

steps = _event(
    "steps",
    Column("sequence", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Column("attempt", Integer),
    Column("cause", Text),
    Column("queue", Text),
    Column("sender_queue", Text),
    Column("automatic", Boolean),
    Column("agreement", Text, nullable=False),
    comment="transfers: requested, offered, accepted, declined, expired, withdrawn, completed; queue: where to",
)

owners = _event(
    "owners",
    Column("sequence", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text),
    Column("queue", Text),
    Column("transfer_id", Text),
    Column("agreement", Text, nullable=False),
    comment="transfers: from when on which role owned the ticket, in which queue; the role, not the person",
)

feedback = _event(
    "feedback",
    Column("digest", Text, nullable=False),
    Column("corrects", Boolean, nullable=False),
    Column("csat", SmallInteger),
    comment="tickets.feedback; of two that share an id the earlier stands, then the one of the lesser digest",
)

agreements = Table(
    "agreements",
    metadata,
    Column("version", Text, primary_key=True),
    Column("effective_at", _instant, nullable=False),
    Column("document", JSONB, nullable=False),
    comment="desk.agreement: every version as it was published",
)

queues = Table(
    "queues",
    metadata,
    Column("agreement", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("side", Text, nullable=False),
    Column("partner", Text),
    Column("price", Numeric(12, 4)),
    Column("currency", Text),
    PrimaryKeyConstraint("agreement", "queue", name="queues_pkey"),
    comment="the queues of each version of the agreement; price: what its partner asks for a ticket of its tier",
)

unreadable = Table(
    "unreadable",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("topic", "partition", "offset", name="unreadable_pkey"),
    comment="records from which no fact could be read, and why; nothing of what they hold",
)
