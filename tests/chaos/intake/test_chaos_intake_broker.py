"""The broker goes away under load and comes back: what was accepted is there, once; what was not got 503.

`RELAYDESK_OUTAGE=60` is the long form.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

import backends
from relaydesk_local import BackendError, LocalKafka
from relaydesk_local.ports import free_port
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from unit.classifier.classifier_desk import content

OUTAGE_SECONDS = float(os.environ.get("RELAYDESK_OUTAGE", "6"))
SENDERS = 6


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """One of its own, for it is hurt."""
    server = LocalKafka(tmp_path / "kafka", port=free_port())
    try:
        await asyncio.to_thread(server.start)
    except BackendError as error:
        backends.unavailable(str(error))
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


class Process:
    """A command of intake, started again whenever it ends, as a supervisor would."""

    def __init__(self, command: str, environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._running: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0

    async def __aenter__(self) -> Process:
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._running is not None and self._running.returncode is None:
            self._running.kill()
            await self._running.wait()

    async def _keep(self) -> None:
        while True:
            with self._log.open("ab") as log:
                command = [sys.executable, "-m", "ticket_intake", self._command]
                self._running = await asyncio.create_subprocess_exec(
                    *command, env=self._environment, stdout=log, stderr=log
                )
            self.starts += 1
            await self._running.wait()
            await asyncio.sleep(0.5)


async def test_the_broker_away_under_load(broker: LocalKafka, tmp_path: Path) -> None:
    agreement = Agreement.model_validate(content() | {"sources": ["generic"]})
    made = Published(
        version=digest(agreement), effective_at=datetime.now(UTC) - timedelta(days=1), approvals=[], agreement=agreement
    )
    wanted = topics.desk_topics(["generic"], list(agreement.queues), list(agreement.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    endpoint = tmp_path / "edge.json"
    environment = {**os.environ, "RELAYDESK_BOOTSTRAP": broker.address, "RELAYDESK_TOPIC_PREFIX": "away."}
    at_edge = {**environment, "RELAYDESK_ENDPOINT_FILE": str(endpoint)}
    async with (
        KafkaDesk(broker.address, "away.", partitions=3).connected(wanted) as desk,
        Process("edge", at_edge, tmp_path / "edge.log") as edge,
        Process("serve", environment, tmp_path / "serve.log"),
    ):
        key, value, said = record_of(made, made.effective_at)
        await desk.send(topics.AGREEMENT, value, key, headers=said)
        await until(endpoint.exists, 60)
        client = httpx.AsyncClient(base_url=json.loads(endpoint.read_text())["http"], timeout=60)
        answers: collections.Counter[int] = collections.Counter()
        accepted: dict[str, str] = {}
        over = asyncio.Event()

        async def send(sender: int) -> None:
            number = 0
            while not over.is_set():
                ticket = f"{sender}-{number}"
                body = json.dumps({"id": ticket, "title": "Printer"}).encode()
                head = {"content-type": "application/json"}
                answer = await client.post("/v1/sources/generic/events", content=body, headers=head)
                answers[answer.status_code] += 1
                if answer.status_code == 202:
                    accepted[ticket] = answer.json()["id"]
                    number += 1
                else:  # sent again, as a tool would
                    assert answer.status_code in (429, 503), answer.text
                    await asyncio.sleep(0.2)

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await until(ready, 60)
        senders = [asyncio.create_task(send(n)) for n in range(SENDERS)]
        await until(lambda: len(accepted) > 100, 60)
        await asyncio.to_thread(broker.stop)
        await until(lambda: answers[503] > SENDERS, 60)
        before = len(accepted)
        await asyncio.sleep(OUTAGE_SECONDS)
        assert len(accepted) == before, "something was accepted while there was no broker"
        await asyncio.to_thread(broker.start)
        await until(lambda: len(accepted) > before + 100, 120)
        over.set()
        await asyncio.gather(*senders)
        assert edge.starts == 1, "the edge did not stay"

        async def ends() -> dict[str, str]:
            found: dict[str, str] = {}
            effects: collections.Counter[str] = collections.Counter()
            for record in await desk.read(topics.NORMALIZED):
                if dict(record.headers)["ce_type"].decode() == TicketNormalized.TYPE:
                    event = msgspec.json.decode(record.value, type=TicketNormalized)
                    effects[event.ticket] += 1
                    assert event.delivery not in found
                    found[event.delivery] = "effect"
                else:
                    duplicate = msgspec.json.decode(record.value, type=TicketDuplicate)
                    assert duplicate.delivery not in found
                    found[duplicate.delivery] = duplicate.reason
            assert set(effects.values()) <= {1}, "an event took effect twice"
            return found

        async def all_ended() -> bool:
            return set(accepted.values()) <= (await ends()).keys()

        await until(all_ended, 120)
        assert len(set(accepted.values())) == len(accepted)
        await client.aclose()
