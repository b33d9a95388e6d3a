"""The broker goes away under load and comes back: what was accepted is there, once; what was not got 503."""

from __future__ import annotations

import asyncio
import collections
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from relaydesk_local import LocalKafka
from relaydesk_replay.supervisor import Service, Supervisor
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from unit.classifier.classifier_desk import content

SENDERS = 6


async def test_the_broker_away_under_load(broker: LocalKafka, tmp_path: Path) -> None:
    await away(broker, tmp_path, seconds=6)


@pytest.mark.long
async def test_the_broker_away_for_a_minute_under_load(broker: LocalKafka, tmp_path: Path) -> None:
    await away(broker, tmp_path, seconds=60)


async def away(broker: LocalKafka, folder: Path, seconds: float) -> None:
    agreement = Agreement.model_validate(content() | {"sources": ["generic"]})
    made = Published(
        version=digest(agreement), effective_at=datetime.now(UTC) - timedelta(days=1), approvals=[], agreement=agreement
    )
    wanted = topics.desk_topics(["generic"], list(agreement.queues), list(agreement.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    environment = {"RELAYDESK_BOOTSTRAP": broker.address, "RELAYDESK_TOPIC_PREFIX": "away."}
    edge, tasks = (Service(command, "ticket_intake", environment, command) for command in ("edge", "serve"))
    supervisor = Supervisor([edge, tasks], folder / "services")
    async with KafkaDesk(broker.address, "away.", partitions=3).connected(wanted) as desk, supervisor.running():
        key, value, said = record_of(made, made.effective_at)
        await desk.send(topics.AGREEMENT, value, key, headers=said)
        endpoints = await supervisor.endpoints()
        client = httpx.AsyncClient(base_url=endpoints["edge"], timeout=60)
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

        senders = [asyncio.create_task(send(n)) for n in range(SENDERS)]
        await until(lambda: len(accepted) > 100, 60)
        await asyncio.to_thread(broker.stop)
        gone = time.time()
        await until(lambda: answers[503] > SENDERS, 60)
        before = len(accepted)
        await asyncio.sleep(seconds)
        assert len(accepted) == before, "something was accepted while there was no broker"
        # One that had nothing in work when the broker went waits for it; any other has ended with its transaction.
        if tasks.starts == 1:
            shown = (await client.get(f"{endpoints['serve']}/metrics")).text
            answered = re.search(r"^relaydesk_broker_last_answer_timestamp_seconds\S* (\S+)$", shown, re.M)
            assert answered is not None
            assert float(answered[1]) < gone, "the outage did not reach the tasks"
        await asyncio.to_thread(broker.start)
        await until(lambda: len(accepted) > before + 100, 120)
        over.set()
        await asyncio.gather(*senders)
        assert edge.starts == 1, "the edge did not stay"
        supervisor.raise_failure()

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
