"""Fixtures that every area may ask for. A backend starts when the first test asks, and serves the whole session."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from docker.errors import DockerException
from sqlalchemy import make_url

import backends
from relaydesk_local import BackendError


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that all tests share; see `topic_prefix`. Tests that hurt a broker start their own."""
    with ExitStack() as stack:
        try:
            bootstrap = stack.enter_context(backends.kafka(tmp_path_factory.mktemp("kafka")))
        except (BackendError, DockerException) as error:
            backends.unavailable(backends.reason_of(error))
        yield bootstrap


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that all tests share; see `database_url`."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(backends.postgres(tmp_path_factory.mktemp("postgres")))
        except (BackendError, DockerException) as error:
            backends.unavailable(backends.reason_of(error))
        yield url


@pytest.fixture
def topic_prefix(kafka_bootstrap: str) -> Iterator[str]:
    """A prefix, ending in a dot, for the topics of this test alone; they are deleted after it."""
    prefix = f"test-{uuid.uuid4().hex[:12]}."
    yield prefix
    asyncio.run(_delete_topics(kafka_bootstrap, prefix))


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """The URL (`postgresql+asyncpg://`) of an empty database for this test alone; it is dropped after it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(postgres_url, f'CREATE DATABASE "{name}"'))
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    asyncio.run(execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _delete_topics(bootstrap: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        mine = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if mine:
            await admin.delete_topics(mine)
    finally:
        await admin.close()


async def execute(url: str, statement: str) -> None:
    """On a server, outside of a transaction."""
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
