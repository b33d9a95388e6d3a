"""The shift brief of a closing is a record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "briefs",
        sa.Column("brief", sa.Text(), primary_key=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("closes_at", _instant, nullable=False),
        sa.Column("opened_at", _instant, nullable=False),
        sa.UniqueConstraint("queue", "closes_at", name="briefs_closing"),
        comment="the shift brief of each closing of a queue that sent tickets on",
    )
    op.create_table(
        "brief_lines",
        sa.Column("brief", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("due_at", _instant),
        sa.Column("transfer_id", sa.Text()),
        sa.PrimaryKeyConstraint("brief", "ticket", name="brief_lines_pkey"),
        sa.ForeignKeyConstraint(["brief"], ["briefs.brief"], ondelete="CASCADE", name="brief_lines_of"),
        comment=(
            "what the queue had then, and by which transfer it left; without one it stayed. due_at: nearest deadline"
            " of that time. Its text is in `texts`"
        ),
    )
    op.drop_index("transfers_closings", "transfers")


def downgrade() -> None:
    op.create_index(
        "transfers_closings",
        "transfers",
        ["sender_queue", "opened_at"],
        postgresql_where=sa.text("cause = 'queue_closing'"),
    )
    op.drop_table("brief_lines")
    op.drop_table("briefs")
