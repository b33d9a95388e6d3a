"""A desk page that serves its morning, and a browser; both for all tests of a module, each with tickets of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

import backends
from integration.handoff_page.page_desk import CHROMIUM, FLAGS, PageDesk
from integration.handoff_page.scene import NOW, default_agreement
from ticket_handoff.adapters import schema
from ticket_handoff.adapters.store import make_engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    name = f"page_{uuid.uuid4().hex[:12]}"
    await _execute(postgres_url, f'CREATE DATABASE "{name}"')
    made = make_engine(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    await schema.migrate(made)
    yield made
    await made.dispose()
    await _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(engine: AsyncEngine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PageDesk]:
    """The default desk on a Tuesday morning; the time goes on from there."""
    begun = datetime.now(UTC)
    keys = tmp_path_factory.mktemp("page") / "keys.json"
    made = PageDesk(engine, keys, default_agreement(), lambda: NOW + (datetime.now(UTC) - begun))
    async with made.serving():
        await made.open_for_the_day()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        backends.unavailable("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()
