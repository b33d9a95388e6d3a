"""Text of what ended goes after the agreed days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tickets", sa.Column("kept", sa.Boolean, nullable=False, server_default="true"))
    op.create_index("tickets_ended", "tickets", ["known_at"], postgresql_where=sa.text("owner IS NULL AND kept"))
    op.create_table_comment(
        "tickets",
        "what handoff remembers of a ticket: `state` is the ledger as JSON, the rest is read from it; due_at: the"
        " nearest deadline of a clock that runs; kept: it may have text, which goes some days after its end; the index"
        " holds what is owned, so that ended tickets cost a queue nothing",
    )


def downgrade() -> None:
    op.drop_column("tickets", "kept")
