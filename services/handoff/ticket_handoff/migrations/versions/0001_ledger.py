"""The ledger of ownership, transfers with their packages and steps, positions and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "consumed",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="consumed_pkey"),
        comment=(
            "the next offset to handle, advanced by compare-and-set in the transaction of what was "
            "handled; mark: what the task was about, see ticket_runtime.attempts"
        ),
    )
    op.create_table(
        "heads",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition"),
        comment=(
            "the last numbers of outbox and audit trail; locked by whoever appends, so numbers follow the commits"
        ),
    )
    op.create_table(
        "outbox",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("target", sa.SmallInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "seq", name="outbox_pkey"),
        comment=("what must be published, and, for a while, what was; topic without prefix, target: its partition"),
    )
    op.create_table(
        "ownership",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("from_at", _instant, nullable=False),
        sa.Column("until_at", _instant, nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("previous_episode", sa.Integer(), nullable=True),
        sa.Column("previous_seq", sa.Integer(), nullable=True),
        sa.Column("previous_until", _instant, nullable=True),
        sa.Column("next_seq", sa.Integer(), nullable=True),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('intake_duty', 'acknowledged', 'automatic')", name="ownership_kind"),
        sa.CheckConstraint(
            (
                "CASE WHEN seq > 1 THEN previous_episode IS NOT NULL AND previous_episode = episode AND "
                "previous_seq IS NOT NULL AND previous_seq = seq - 1 AND previous_until IS NOT NULL AND "
                "previous_until = from_at WHEN episode > 1 THEN previous_episode IS NOT NULL AND "
                "previous_episode = episode - 1 AND previous_seq IS NOT NULL AND previous_until IS NOT NULL "
                "AND previous_until <= from_at ELSE previous_episode IS NULL AND previous_seq IS NULL AND "
                "previous_until IS NULL END"
            ),
            name="ownership_chained",
        ),
        sa.CheckConstraint(
            (
                "CASE WHEN until_at IS NULL THEN next_seq IS NULL AND NOT last WHEN last THEN next_seq IS "
                "NULL ELSE next_seq IS NOT NULL AND next_seq = seq + 1 END"
            ),
            name="ownership_no_hole",
        ),
        sa.CheckConstraint("episode >= 1 AND seq >= 1", name="ownership_numbered"),
        sa.CheckConstraint("until_at >= from_at", name="ownership_forward"),
        sa.ForeignKeyConstraint(
            ["ticket", "episode", "next_seq", "until_at"],
            ["ownership.ticket", "ownership.episode", "ownership.seq", "ownership.from_at"],
            name="ownership_goes_on",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["ticket", "previous_episode", "previous_seq", "previous_until"],
            ["ownership.ticket", "ownership.episode", "ownership.seq", "ownership.until_at"],
            name="ownership_follows",
        ),
        sa.PrimaryKeyConstraint("ticket", "episode", "seq", name="ownership_pkey"),
        sa.UniqueConstraint("ticket", "episode", "seq", "from_at", name="ownership_begins"),
        sa.UniqueConstraint("ticket", "episode", "seq", "until_at", name="ownership_ends"),
        sa.UniqueConstraint("ticket", "previous_episode", "previous_seq", name="ownership_one_successor"),
        comment=(
            "who owned a ticket from when until when: a list, linked both ways, that has no gap within an episode"
        ),
    )
    op.create_index(
        "ownership_one_open", "ownership", ["ticket"], unique=True, postgresql_where=sa.text("until_at IS NULL")
    )
    op.create_table(
        "packages",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("transfer_id", "attempt", name="packages_pkey"),
        comment=("every context package that was offered; its body goes when the ticket is erased, its digest stays"),
    )
    op.create_index("packages_ticket", "packages", ["ticket"], unique=False)
    op.create_table(
        "steps",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("at", _instant, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("said", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "sequence", name="steps_pkey"),
        sa.UniqueConstraint("partition", "entry", name="steps_entry"),
        comment=("the audit trail: each event of `transfers`, sealed with the entry before it of its partition"),
    )
    op.create_table(
        "texts",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("normalized", sa.LargeBinary(), nullable=True),
        sa.Column("classified", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ticket"),
        comment=("the newest events of a ticket, for packages, and the salt of its digests in the audit trail"),
    )
    op.create_table(
        "tickets",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("known_at", _instant, nullable=True),
        sa.PrimaryKeyConstraint("ticket"),
        comment=("what handoff remembers of a ticket: `state` is the ledger as JSON, the rest is read from it"),
    )
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("opened_at", _instant, nullable=False),
        sa.Column("ended_at", _instant, nullable=True),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("receiver", sa.Text(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.CheckConstraint(
            (
                "CASE WHEN ended_at IS NULL THEN status IN ('requested', 'offered') ELSE status IN "
                "('completed', 'withdrawn') END"
            ),
            name="transfers_status",
        ),
        sa.CheckConstraint("ended_at >= opened_at", name="transfers_forward"),
        sa.PrimaryKeyConstraint("transfer_id"),
        sa.UniqueConstraint("ticket", "number", name="transfers_number"),
        comment="a transfer as its newest step left it; never two open ones of a ticket",
    )
    op.create_index(
        "transfers_one_open", "transfers", ["ticket"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is not taken back: restore a backup")
