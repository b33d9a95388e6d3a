"""Alembic's entry: it is given a connection by `ticket_handoff.adapters.schema`, and never reads a configuration."""

from __future__ import annotations

from alembic import context

from ticket_handoff.adapters.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
