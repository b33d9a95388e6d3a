"""Intake's process on a real broker: what tools send ends as an effect, a duplicate or a dead letter."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_intake.handlers import keyed_id
from unit.classifier.classifier_desk import content

SOURCES = ["generic", "servicenow", "jira", "alertmanager"]


def published() -> Published:
    agreement = Agreement.model_validate(content() | {"sources": SOURCES})
    at = datetime.now(UTC) - timedelta(days=30)
    return Published(version=digest(agreement), effective_at=at, approvals=[], agreement=agreement)


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    made = published()
    wanted = topics.desk_topics(SOURCES, list(made.agreement.queues), list(made.agreement.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=3).connected(wanted) as connected:
        key, value, said = record_of(made, made.effective_at)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


class Intake:
    """The service's two processes, the edge and the tasks, and a client of the edge."""

    def __init__(self, desk: KafkaDesk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for command in ("edge", "serve"):
            self._endpoint(command).unlink(missing_ok=True)
            with self._log(command).open("ab") as log:
                self.processes[command] = subprocess.Popen(
                    [sys.executable, "-m", "ticket_intake", command],
                    env={
                        **os.environ,
                        "RELAYDESK_BOOTSTRAP": self.desk.bootstrap,
                        "RELAYDESK_TOPIC_PREFIX": self.desk.prefix,
                        "RELAYDESK_ENDPOINT_FILE": str(self._endpoint(command)),
                    },
                    stdout=log,
                    stderr=log,
                )

    async def client(self) -> httpx.AsyncClient:
        """Of the edge, once both listen and are ready."""
        client, tasks = await self._ready("edge"), await self._ready("serve")
        await tasks.aclose()
        return client

    async def _ready(self, command: str) -> httpx.AsyncClient:
        await until(self._endpoint(command).exists, 60)
        client = httpx.AsyncClient(base_url=json.loads(self._endpoint(command).read_text())["http"], timeout=30)

        async def ready() -> bool:
            assert self.processes[command].poll() is None, self._log(command).read_text()[-3_000:]
            return (await client.get("/readyz")).status_code == 200

        await until(ready, 60)
        return client

    def memory(self) -> dict[str, int]:
        """Bytes resident, by process."""
        return {name: psutil.Process(process.pid).memory_info().rss for name, process in self.processes.items()}

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _endpoint(self, command: str) -> Path:
        return self.folder / f"{command}.json"

    def _log(self, command: str) -> Path:
        return self.folder / f"{command}.log"


@pytest.fixture
def intake(desk: KafkaDesk, tmp_path: Path) -> Iterator[Intake]:
    running = Intake(desk, tmp_path)
    running.start()
    try:
        yield running
    finally:
        running.stop()


async def outcomes(desk: KafkaDesk) -> dict[str, str]:
    """`ce_id` of each keyed message, or place of an inbound one that never became one -> what became of it."""
    found: dict[str, str] = {}
    for record in await desk.read(topics.NORMALIZED):
        if dict(record.headers)["ce_type"].decode() == TicketNormalized.TYPE:
            delivery, end = msgspec.json.decode(record.value, type=TicketNormalized).delivery, "effect"
        else:
            duplicate = msgspec.json.decode(record.value, type=TicketDuplicate)
            delivery, end = duplicate.delivery, str(duplicate.reason)
        assert delivery not in found, "a message has two ends"
        found[delivery] = end
    for source in SOURCES:
        for letter in await desk.read(topics.dead_letter(topics.inbound(source))):
            said = dict(letter.headers)
            partition = int.from_bytes(said["kafka_dlt-original-partition"], "big")
            offset = int.from_bytes(said["kafka_dlt-original-offset"], "big")
            name = keyed_id(topics.inbound(source), partition, offset)
            assert name not in found, "a message has two ends"
            found[name] = "dead letter"
    for letter in await desk.read(topics.dead_letter(topics.KEYED)):
        name = dict(letter.headers)["ce_id"].decode()
        assert name not in found, "a message has two ends"
        found[name] = "dead letter"
    return found


async def ended(desk: KafkaDesk, ids: set[str]) -> dict[str, str]:
    """What became of these, once each has an end."""
    async with asyncio.timeout(60):
        while True:
            found = await outcomes(desk)
            if ids <= found.keys():
                return found
            await asyncio.sleep(0.2)


async def post(client: httpx.AsyncClient, body: Any, source: str = "generic", **headers: str) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await client.post(f"/v1/sources/{source}/events", content=raw, headers=said)


async def test_tickets_by_http_and_by_kafka(desk: KafkaDesk, intake: Intake) -> None:
    client = await intake.client()
    first = await post(client, {"id": "T-1", "title": "Printer", "version": 1})
    again = await post(client, {"id": "T-1", "title": "Printer", "version": 1})
    bad = await post(client, b"not json")
    wrong = await post(client, {"id": "T-2", "version": "one"})
    answers = (first, again, bad, wrong)
    assert [answer.status_code for answer in answers] == [202] * 4
    first_id, again_id, bad_id, wrong_id = (answer.json()["id"] for answer in answers)
    for version in (2, 3, 1):  # straight to the topic, under keys of no meaning, and late
        record = {
            "number": "INC7",
            "sys_mod_count": str(version),
            "incident_state": "Active",
            "cmdb_ci": f"ci{version}",
        }
        await desk.send(topics.inbound("servicenow"), json.dumps(record).encode(), uuid.uuid4().bytes)
    found = await ended(desk, {first_id, again_id, bad_id, wrong_id})
    assert {found[first_id], found[again_id]} == {"effect", "same_delivery"}
    assert (found[bad_id], found[wrong_id]) == ("dead letter", "dead letter")

    async def settled() -> bool:
        return len(await outcomes(desk)) == 7

    await until(settled, 30)
    tickets = [msgspec.json.decode(r.value) for r in await desk.read(topics.NORMALIZED)]
    last = max(
        (t for t in tickets if t["ticket"] == "servicenow:main:INC7" and "title" in t),
        key=lambda t: t["ticket_version"],
    )
    assert (last["configuration_item"], last["source_version"]) == ("ci3", "3")
    assert (await post(client, {"id": 1}, "pagerduty")).status_code == 404  # not among the agreement's sources
    assert (await post(client, {"id": 1}, "jira")).status_code == 503  # no secret is set
    assert 'relaydesk_intake_requests_total{source="generic",status="202"} 4.0' in (await client.get("/metrics")).text


async def test_killed_and_started_again_it_knows_what_it_has_seen(desk: KafkaDesk, intake: Intake) -> None:
    client = await intake.client()
    bodies = [{"id": n, "title": f"t{n}"} for n in range(50)]
    ids = {(await post(client, body)).json()["id"] for body in bodies}
    intake.stop()  # in the middle of its work: some of it is committed, some is not
    intake.start()
    client = await intake.client()
    again = {(await post(client, body)).json()["id"] for body in bodies}
    found = await ended(desk, ids | again)
    assert len(found) == 100
    assert collections.Counter(found.values()) == {"effect": 50, "same_delivery": 50}


ALPHABET = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"null",
    b"1e999",
    b"\x00",
    b"\xff",
    b"\\ud800",
    b'"id":',
    b"-",
]


def mutated(body: bytes, choice: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(choice.choice([0, 1, 1, 2, 5])):
        at = choice.randrange(len(changed) + 1)
        match choice.randrange(4):
            case 0:
                changed[at:at] = choice.choice(ALPHABET)
            case 1:
                del changed[at : at + choice.randrange(1, 20)]
            case 2:
                changed[at : at + 1] = bytes([choice.randrange(256)])
            case _:
                end = min(len(changed), at + choice.randrange(40))
                changed[at:at] = changed[at:end]
    return bytes(changed)


async def test_mutated_bodies_each_have_an_end(desk: KafkaDesk, intake: Intake) -> None:
    """`RELAYDESK_FUZZ=100000` runs the long form."""
    count = int(os.environ.get("RELAYDESK_FUZZ", "600"))
    client = await intake.client()
    choice = random.Random(int(os.environ.get("RELAYDESK_FUZZ_SEED", "7")))
    seeds = [
        {
            "id": 1,
            "version": 2,
            "title": "ä <b>x</b>",
            "text": "<p>pwd: abcd1234</p>" * 3,
            "status": "open",
            "vip": True,
        },
        {"id": "T", "updated_at": "2026-03-02T09:00:00Z", "comments": [{"id": 1, "text": "x", "at": 1772445600}]},
        {
            "id": 9,
            "requester": {"name": "Ann", "email": "a@b.example"},
            "attachments": [{"name": "a", "size_bytes": 1}],
        },
    ]
    statuses: collections.Counter[int] = collections.Counter()
    ids: set[str] = set()
    sizes: list[dict[str, int]] = []

    async def send_some(bodies: list[bytes]) -> None:
        for body in bodies:
            answer = await post(client, body)
            statuses[answer.status_code] += 1
            if answer.status_code == 202:
                ids.add(answer.json()["id"])
            else:
                assert answer.headers["content-type"] == "application/problem+json"

    for start in range(0, count, 500):
        bodies = [mutated(json.dumps(choice.choice(seeds)).encode(), choice) for _ in range(min(500, count - start))]
        await asyncio.gather(*(send_some(bodies[n::8]) for n in range(8)))
        sizes.append(intake.memory())
    assert set(statuses) <= {202, 422}, statuses
    assert len(ids) == statuses[202]
    found = await ended(desk, ids)
    assert ids == found.keys()
    assert set(found.values()) == {"effect", "same_delivery", "no_change", "dead letter"}
    if len(sizes) > 4:
        for name, last in sizes[-1].items():
            assert last < sizes[len(sizes) // 2][name] + 32 * 1024 * 1024, sizes
