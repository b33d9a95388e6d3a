"""A service as its process: what it says, how it stops, what it exits with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos import chaos_worker
from runtime_kafka import KafkaDesk
from ticket_contracts.topics import Topic

WANTED = [
    *(Topic(name=name, written_by="a test") for name in (chaos_worker.LEFT, chaos_worker.RIGHT)),
    *(Topic(name=name, written_by="x") for name in (chaos_worker.COPIED, chaos_worker.COUNTED, chaos_worker.JOINED)),
    Topic(name="chaos.changelog", written_by="chaos", compacted=True),
]


class Process:
    """A worker of the fault tests, as a service like any other."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.endpoint = directory / "endpoint.json"
        self.log = directory / "log"
        self._environment = {**os.environ, "RELAYDESK_ENDPOINT_FILE": str(self.endpoint), **environment}
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, chaos_worker.__file__, env=self._environment, stdout=log, stderr=log
            )

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(json.loads(self.endpoint.read_bytes())["http"] + path)

    async def ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(FileNotFoundError, httpx.TransportError):
                    if (await self.get("/readyz")).status_code == 200:
                        return
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def ends(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.asynccontextmanager
async def running(process: Process) -> AsyncIterator[Process]:
    await process.start()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.process.kill()
        await process.process.wait()


@pytest.fixture
def process(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Process:
    return Process(tmp_path, RELAYDESK_BOOTSTRAP=kafka_bootstrap, RELAYDESK_TOPIC_PREFIX=topic_prefix)


async def test_it_serves_health_and_metrics_and_stops_in_order_when_asked(
    process: Process, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with KafkaDesk(kafka_bootstrap, topic_prefix).connected(WANTED) as desk, running(process):
        await process.ready()
        await desk.send(chaos_worker.LEFT, b"not a number", b"chaos:desk:1", ce_id="bad", headers=[("x", b"y")])
        await desk.send(chaos_worker.LEFT, b"1", b"chaos:desk:1", ce_id="good")
        async with asyncio.timeout(30):
            while 'outcome="handled"' not in (await process.get("/metrics")).text:
                assert process.process.returncode is None, process.said()[-1]
                await asyncio.sleep(0.05)
        healthy = await process.get("/healthz")
        assert (healthy.status_code, healthy.json()["tasks"]) == (200, {"0": "running", "1": "running"})
        missing = await process.get("/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert missing.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "Not Found",
            "instance": "/nothing",
        }
        process.process.send_signal(signal.SIGTERM)
        assert await process.ends() == 0
        assert process.said()[-1]["event"] == "stopped"
        assert "not a number" not in process.log.read_text()


async def test_topics_that_are_not_there_are_told_in_one_line(process: Process) -> None:
    async with running(process):
        assert await process.ends() == 2
    (line,) = [said for said in process.said() if said["level"] == "error"]
    assert line["event"] == "cannot run"
    assert "create the desk's topics first" in line["reason"]


async def test_no_broker_is_told(tmp_path: Path) -> None:
    process = Process(tmp_path, RELAYDESK_BOOTSTRAP="127.0.0.1:1")
    async with running(process):
        assert await process.ends() == 2
    assert "no broker answers at 127.0.0.1:1" in process.said()[-1]["reason"]


async def test_a_taken_port_is_told(process: Process, tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process(
            tmp_path,
            RELAYDESK_BOOTSTRAP=kafka_bootstrap,
            RELAYDESK_TOPIC_PREFIX=topic_prefix,
            RELAYDESK_HTTP_PORT=str(port),
        )
        async with running(process):
            assert await process.ends() == 2
    assert f"cannot listen on 127.0.0.1:{port}" in process.said()[-1]["reason"]
