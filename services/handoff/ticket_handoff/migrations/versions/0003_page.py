"""What the desk page asks: all open tickets by time left, and a ticket by the number that its tool gave it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "tickets_by_due",
        "tickets",
        [sa.text("coalesce(due_at, 'infinity')"), "ticket"],
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index("texts_number", "texts", [sa.text("substring(ticket, '^[^:]*:[^:]*:(.*)$')")])


def downgrade() -> None:
    op.drop_index("texts_number", "texts")
    op.drop_index("tickets_by_due", "tickets")
