"""Alembic's entry: it is given a connection by `sla_monitor.facts.schema`, and never reads a configuration."""

from __future__ import annotations

from alembic import context

from sla_monitor.facts.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,  # handoff's revisions may stand in the same database
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
