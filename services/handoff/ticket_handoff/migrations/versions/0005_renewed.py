"""An open offer can have several packages, one after the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("packages", sa.Column("revision", sa.Integer, nullable=False, server_default="1"))
    op.drop_constraint("packages_pkey", "packages")
    op.create_primary_key("packages_pkey", "packages", ["transfer_id", "attempt", "revision"])


def downgrade() -> None:
    op.execute(
        "DELETE FROM packages old USING packages newer WHERE newer.transfer_id = old.transfer_id"
        " AND newer.attempt = old.attempt AND newer.revision > old.revision"
    )
    op.drop_constraint("packages_pkey", "packages")
    op.drop_column("packages", "revision")
    op.create_primary_key("packages_pkey", "packages", ["transfer_id", "attempt"])
