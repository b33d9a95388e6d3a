"""A flood of large bodies at the edge's real process: what it holds stays bounded. The broker is one that is slow."""

from __future__ import annotations

import asyncio
import collections
import sys

import httpx
import psutil

from relaydesk_local.ports import free_port
from runtime_kafka import until

EDGE = """
import asyncio, sys, uvicorn
from types import SimpleNamespace
from ticket_intake import documents
from ticket_intake.adapters.edge import Edge
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics

class Slow:
    async def start(self): ...
    async def stop(self): ...
    async def send(self, topic, value, *, headers):
        async def acknowledge():
            await asyncio.sleep(0.3)
            return SimpleNamespace(partition=0, offset=len(value))
        return asyncio.ensure_future(acknowledge())

known = {"generic": documents.load("generic")}
edge = Edge(known, {}, make_producer=Slow)
edge.open(known)
app = make_app("intake-edge", Metrics("intake-edge"), lambda: Health(True), lambda: Health(True))
edge.install(app)
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
"""
BODY = b'{"id": "F", "text": "' + b"x" * 3_500_000 + b'"}'
SENDERS, EACH = 60, 2
IN_FLIGHT = 64 * 1024 * 1024


async def test_a_flood_of_large_bodies_leaves_memory_flat() -> None:
    """420 MB from 60 senders at once: those that find no room are told to come again."""
    port = free_port()
    running = await asyncio.create_subprocess_exec(sys.executable, "-c", EDGE, str(port))
    try:
        process = psutil.Process(running.pid)
        address = f"http://127.0.0.1:{port}"
        statuses: collections.Counter[int] = collections.Counter()

        async def send(client: httpx.AsyncClient, body: bytes) -> None:
            head = {"content-type": "application/json"}
            answer = await client.post(f"{address}/v1/sources/generic/events", content=body, headers=head)
            statuses[answer.status_code] += 1
            assert answer.status_code != 429 or answer.headers["retry-after"] == "1"

        async def many() -> None:
            async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
                for _ in range(EACH):
                    await send(client, BODY)

        async with httpx.AsyncClient(trust_env=False) as client:

            async def listens() -> bool:
                try:
                    return (await client.get(f"{address}/healthz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(listens, 60)
            await send(client, b"{}")
            statuses.clear()
            before = peak = process.memory_info().rss
            senders = [asyncio.create_task(many()) for _ in range(SENDERS)]
            while not all(sender.done() for sender in senders):
                peak = max(peak, process.memory_info().rss)
                await asyncio.sleep(0.02)
            await asyncio.gather(*senders)
            assert sum(statuses.values()) == SENDERS * EACH
            assert set(statuses) == {202, 429}, statuses
            # Each byte in flight may be there twice for a moment: in pieces as it came, and as one.
            assert peak - before < 2 * IN_FLIGHT + 32 * 1024 * 1024, (before, peak, statuses)
            statuses.clear()
            await send(client, b"{}")
            assert statuses == {202: 1}
    finally:
        running.kill()
        await running.wait()
