"""The group that the ticket's tool names, beside the queue that owns it here.

Facts that were gathered before have none: `python -m sla_monitor facts rebuild` adds it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("assigned", sa.Text(), nullable=True), schema="facts")
    op.execute(
        "COMMENT ON TABLE facts.versions IS"
        " 'tickets.normalized: the ticket at each version; assigned: the group that its tool names'"
    )


def downgrade() -> None:
    raise NotImplementedError("facts are not taken back: python -m sla_monitor facts rebuild")
