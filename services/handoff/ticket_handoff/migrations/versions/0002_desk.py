"""What a desk asks: queues by time left, transfers that wait, what happened to a ticket; what people added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("tickets", sa.Column("due_at", _instant))
    op.create_index(
        "tickets_by_queue",
        "tickets",
        ["queue", sa.text("coalesce(due_at, 'infinity')"), "ticket"],
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index(
        "tickets_by_owner", "tickets", ["owner", "queue", "due_at"], postgresql_where=sa.text("owner IS NOT NULL")
    )
    op.add_column("texts", sa.Column("added", sa.LargeBinary()))
    op.add_column("transfers", sa.Column("sender_queue", sa.Text()))
    op.add_column("transfers", sa.Column("acknowledge_by", _instant))
    op.create_index(
        "transfers_waiting", "transfers", ["queue", "acknowledge_by"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "transfers_closings",
        "transfers",
        ["sender_queue", "opened_at"],
        postgresql_where=sa.text("cause = 'queue_closing'"),
    )
    op.create_table(
        "notices",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", _instant, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "message", name="notices_pkey"),
        comment=(
            "what handoff heard of a ticket from the other services, without its text: with the steps, its timeline"
        ),
    )
    op.create_table_comment(
        "tickets",
        "what handoff remembers of a ticket: `state` is the ledger as JSON, the rest is read from it; due_at: the"
        " nearest deadline of a clock that runs; the index holds what is owned, so that ended tickets cost a queue"
        " nothing",
    )
    op.create_table_comment(
        "texts",
        "the newest events of a ticket, for packages, what people added to these, and the salt of the ticket's"
        " digests in the audit trail",
    )
    # What was known before goes on: deadlines and queues stand in the state, which is JSON.
    op.execute(
        "UPDATE tickets SET due_at = (SELECT min((clock.value->'state'->>'deadline')::timestamptz)"
        " FROM jsonb_each(convert_from(state, 'UTF8')::jsonb->'clocks') AS clock) WHERE owner IS NOT NULL"
    )
    op.execute(
        "UPDATE transfers SET sender_queue = convert_from(t.state, 'UTF8')::jsonb->'transfer'->>'sender_queue'"
        " FROM tickets t WHERE t.ticket = transfers.ticket AND transfers.ended_at IS NULL"
    )


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_index("transfers_closings", "transfers")
    op.drop_index("transfers_waiting", "transfers")
    op.drop_column("transfers", "acknowledge_by")
    op.drop_column("transfers", "sender_queue")
    op.drop_column("texts", "added")
    op.drop_index("tickets_by_owner", "tickets")
    op.drop_index("tickets_by_queue", "tickets")
    op.drop_column("tickets", "due_at")
