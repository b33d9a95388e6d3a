"""Worker processes of the facts over real topics: started, killed, frozen, and asked how far they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import msgspec
from aiokafka import AIOKafkaProducer

import facts_stories as told
from runtime_kafka import KafkaDesk, event_headers
from sla_monitor.facts.reading import TOPICS
from ticket_contracts import topics
from ticket_contracts.topics import Topic

LIFECYCLE = [
    Topic(name=name, written_by="the test", ticket_keyed=name != topics.AGREEMENT, compacted=name == topics.AGREEMENT)
    for name in TOPICS
]


class Worker:
    """One `python -m sla_monitor facts serve`."""

    def __init__(self, process: asyncio.subprocess.Process, endpoint: Path, log: Path) -> None:
        self.process, self.endpoint, self.log = process, endpoint, log

    async def get(self, path: str) -> httpx.Response:
        address = msgspec.json.decode(self.endpoint.read_bytes())["http"]
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            return await client.get(address + path)

    async def ready(self) -> bool:
        """Raises when it ended by itself."""
        assert self.process.returncode is None, self.log.read_text()[-3000:]
        with contextlib.suppress(FileNotFoundError, httpx.TransportError):
            return (await self.get("/readyz")).status_code == 200
        return False

    async def caught_up(self) -> bool:
        if not await self.ready():
            return False
        states = (await self.get("/readyz")).json()["tasks"]
        return set(states.values()) == {"caught up"}

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def workers(desk: KafkaDesk, database_url: str, directory: Path, **more: str) -> AsyncIterator[Starter]:
    """Starts workers, each by a call; what runs at the end is killed."""
    starter = Starter(desk, database_url, directory, more)
    try:
        yield starter
    finally:
        for worker in starter.started:
            if worker.process.returncode is None:
                worker.wake()
                await worker.kill()


class Starter:
    def __init__(self, desk: KafkaDesk, database_url: str, directory: Path, more: dict[str, str]) -> None:
        self._desk, self._url, self._directory, self._more = desk, database_url, directory, more
        self.started: list[Worker] = []

    async def __call__(self) -> Worker:
        number = len(self.started)
        endpoint, log = self._directory / f"{number}.json", self._directory / f"{number}.log"
        with log.open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sla_monitor", "facts", "serve"),
                stdout=said,
                stderr=said,
                env={
                    **os.environ,
                    "RELAYDESK_BOOTSTRAP": self._desk.bootstrap,
                    "RELAYDESK_TOPIC_PREFIX": self._desk.prefix,
                    "RELAYDESK_DATABASE_URL": self._url,
                    "RELAYDESK_ENDPOINT_FILE": str(endpoint),
                    "RELAYDESK_HTTP_PORT": "0",
                    **self._more,
                },
            )
        self.started.append(Worker(process, endpoint, log))
        return self.started[-1]


async def publish(desk: KafkaDesk, records: Iterable[told.Said], *, aborted: Iterable[told.Said] = ()) -> None:
    """Writes records as the desk does, in transactions; `aborted` in one that is taken back."""
    producer = AIOKafkaProducer(bootstrap_servers=desk.bootstrap, transactional_id=f"{desk.prefix}told")
    await producer.start()
    try:
        everything = list(records)
        for start in range(0, len(everything), 500):
            async with producer.transaction():
                for record in everything[start : start + 500]:
                    await _send(producer, desk, record)
        withdrawn = list(aborted)
        if withdrawn:
            await producer.begin_transaction()
            for record in withdrawn:
                await _send(producer, desk, record)
            await producer.flush()
            await producer.abort_transaction()
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, desk: KafkaDesk, record: told.Said) -> None:
    headers = event_headers(record.ce_id, told.MONDAY, record.ce_type) if record.ce_id else []
    await producer.send(desk.prefix + record.topic, record.value, record.key.encode(), headers=headers)
