"""What the gauges ask every ten seconds: open tickets without an owner, of which there are none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "tickets_unowned",
        "tickets",
        ["ticket"],
        postgresql_where=sa.text("owner IS NULL AND status NOT IN ('closed', 'merged', 'deleted')"),
    )


def downgrade() -> None:
    op.drop_index("tickets_unowned", "tickets")
