from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import backends
from relaydesk_local import BackendError, LocalKafka
from relaydesk_local.ports import free_port


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """One of the test's own, for it is hurt."""
    server = LocalKafka(tmp_path / "kafka", port=free_port())
    try:
        await asyncio.to_thread(server.start)
    except BackendError as error:
        backends.unavailable(str(error))
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)
