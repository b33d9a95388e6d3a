"""A migrated database for each test, and a desk with the topics that handoff reads and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.handoff.ledger_desk import LedgerDesk, wanted
from runtime_kafka import KafkaDesk
from ticket_handoff.adapters import schema
from ticket_handoff.adapters.store import Store, make_engine


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = make_engine(database_url)
    await schema.migrate(made)
    yield made
    await made.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> Store:
    return Store(engine)


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str, store: Store) -> AsyncIterator[LedgerDesk]:
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=2).connected(wanted()) as kafka:
        made = LedgerDesk(kafka, store)
        await made.exists()
        yield made
