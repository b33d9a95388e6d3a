"""A row for each event of the lifecycle topics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agreements",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("effective_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("version"),
        schema="facts",
        comment="desk.agreement: every version as it was published",
    )
    op.create_table(
        "classifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("corrected", sa.Boolean(), nullable=False),
        sa.Column("articles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="tickets.classified; corrected: it rests on a person's correction",
    )
    op.create_index("classifications_at", "classifications", ["at"], unique=False, schema="facts")
    op.create_index("classifications_ticket", "classifications", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "clocks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("ticket_version", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("goal_seconds", sa.Integer(), nullable=True),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deadline", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("revises", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="sla.events but `stated`; clock: its kind, without the transfer that it may run on",
    )
    op.create_index("clocks_at", "clocks", ["at"], unique=False, schema="facts")
    op.create_index("clocks_ticket", "clocks", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "comments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="who wrote a comment when (customer, agent, system), never what; id: digest of ticket and comment",
    )
    op.create_index("comments_at", "comments", ["at"], unique=False, schema="facts")
    op.create_index("comments_ticket", "comments", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("corrects", sa.Boolean(), nullable=False),
        sa.Column("csat", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="tickets.feedback; of two that share an id the earlier stands, then the one of the lesser digest",
    )
    op.create_index("feedback_at", "feedback", ["at"], unique=False, schema="facts")
    op.create_index("feedback_ticket", "feedback", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "owners",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="transfers: from when on which role owned the ticket, in which queue; the role, not the person",
    )
    op.create_index("owners_at", "owners", ["at"], unique=False, schema="facts")
    op.create_index("owners_ticket", "owners", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "queues",
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("agreement", "queue", name="queues_pkey"),
        schema="facts",
        comment="the queues of each version of the agreement; price: what its partner asks for a ticket of its tier",
    )
    op.create_table(
        "routings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="tickets.routed: where the router sent it and by which rule",
    )
    op.create_index("routings_at", "routings", ["at"], unique=False, schema="facts")
    op.create_index("routings_ticket", "routings", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "steps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("sender_queue", sa.Text(), nullable=True),
        sa.Column("automatic", sa.Boolean(), nullable=True),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="transfers: requested, offered, accepted, declined, expired, withdrawn, completed; queue: where to",
    )
    op.create_index("steps_at", "steps", ["at"], unique=False, schema="facts")
    op.create_index("steps_ticket", "steps", ["ticket"], unique=False, schema="facts")
    op.create_table(
        "unreadable",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="unreadable_pkey"),
        schema="facts",
        comment="records from which no fact could be read, and why; nothing of what they hold",
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="facts",
        comment="tickets.normalized: the ticket at each version",
    )
    op.create_index("versions_at", "versions", ["at"], unique=False, schema="facts")
    op.create_index("versions_ticket", "versions", ["ticket"], unique=False, schema="facts")
    # ### end Alembic commands ###


def downgrade() -> None:
    raise NotImplementedError("facts are not taken back: python -m sla_monitor facts rebuild")
