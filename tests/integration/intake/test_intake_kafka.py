"""Intake's process on a real broker: what tools send ends as an effect, a duplicate or a dead letter."""

from __future__ import annotations

import asyncio
import base64
import collections
import copy
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_intake import documents
from ticket_intake.handlers import PART, keyed_id
from unit.classifier.classifier_desk import content
from unit.intake.test_intake_authentication import SIGNED
from unit.intake.test_intake_edge import STAMPED
from unit.intake.test_intake_mutations import VALUES
from unit.intake.tool_events import EVENTS

SOURCES = documents.shipped()
SECRET = "s"
SECRETS = {
    secret.env or "": SECRET
    for name in SOURCES
    if name != "jira"  # one whose secret nobody has set
    for scheme in documents.load(name).authentication
    if scheme.scheme != "none"
    for secret in scheme.secrets
}


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
                        **SECRETS,
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


async def ended(desk: KafkaDesk, ids: set[str], seconds: float = 60) -> dict[str, str]:
    """What became of these, once each has an end."""
    async with asyncio.timeout(seconds):
        while True:
            found = await outcomes(desk)
            if ids <= found.keys():
                return found
            await asyncio.sleep(0.2 + len(ids) / 20_000)


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
    assert (await post(client, {"id": 1}, "nosuch")).status_code == 404  # not among the agreement's sources
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


# --- mutated bodies

SEEDS = [(told.source, json.dumps(body).encode()) for told in EVENTS if told.source != "jira" for body in told.bodies]
ALPHABET = [
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"-"),
    *(b"null", b"1e999", b"\x00", b"\xff", b"\\ud800", b'"id":'),
]
EDITS = st.tuples(
    st.integers(0, 3), st.integers(0, 20_000), st.sampled_from(ALPHABET), st.integers(0, 255), st.integers(1, 40)
)
PLACES = st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.sampled_from(VALUES))


def edited(body: bytes, edits: list[tuple[int, int, bytes, int, int]]) -> bytes:
    """Bytes inserted, taken away, changed, repeated."""
    changed = bytearray(body)
    for kind, place, piece, byte, length in edits:
        at = place % (len(changed) + 1)
        match kind:
            case 0:
                changed[at:at] = piece
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at : at + 1] = bytes([byte])
            case _:
                changed[at:at] = changed[at : at + length]
    return bytes(changed)


def replaced(body: bytes, places: list[tuple[list[int], Any]]) -> bytes:
    """Values in the place of others, somewhere in the document."""
    content = json.loads(body)
    for way, value in places:
        inner = content
        for depth, step in enumerate(way, 1):
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = keys[step % len(keys)]
            if depth == len(way) or not isinstance(inner[key], dict | list):
                inner[key] = copy.deepcopy(value)  # the next place may lie within it
                break
            inner = inner[key]
    return json.dumps(content).encode()


BODIES = st.sampled_from(SEEDS).flatmap(
    lambda seed: st.tuples(
        st.just(seed[0]),
        st.lists(EDITS, max_size=4).map(lambda edits: edited(seed[1], edits))
        | st.lists(PLACES, min_size=1, max_size=3).map(lambda places: replaced(seed[1], places)),
    )
)


def credentials(source: str, body: bytes) -> dict[str, str]:
    """As the tool would send them."""
    for scheme in documents.load(source).authentication:
        if scheme.scheme == "hmac":
            signing = "zendesk" if source == "zendesk_triggers" else source
            return SIGNED[signing](SECRET, body, *([time.time()] if signing in STAMPED else []))
        if scheme.scheme == "header":
            return {scheme.header: SECRET}
        if scheme.scheme == "bearer":
            return {"authorization": f"Bearer {SECRET}"}
        if scheme.scheme == "basic":
            return {"authorization": "Basic " + base64.b64encode(f"{scheme.user}:{SECRET}".encode()).decode()}
    return {}


async def test_mutated_bodies_each_have_an_end(desk: KafkaDesk, intake: Intake) -> None:
    await explore(desk, intake, batches=12)


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_a_hundred_thousand_mutated_bodies_each_have_an_end(desk: KafkaDesk, intake: Intake) -> None:
    """`RELAYDESK_FUZZ=20000` sends fewer."""
    await explore(desk, intake, batches=int(os.environ.get("RELAYDESK_FUZZ", "100000")) // BATCH)


BATCH = 50


async def explore(desk: KafkaDesk, intake: Intake, batches: int) -> None:
    """Bodies of every tool, mutated by Hypothesis, signed and sent to the real endpoint: none brings a 5xx or ends a
    process, memory stays flat, and each that was accepted ends as an effect, a duplicate or a dead letter."""
    client = await intake.client()
    address = str(client.base_url)
    await client.aclose()
    statuses: collections.Counter[int] = collections.Counter()
    ids: set[str] = set()
    sizes: list[dict[str, int]] = []

    def send(sender: httpx.Client, source: str, body: bytes) -> None:
        head = {"content-type": "application/json", **credentials(source, body)}
        while True:
            answer = sender.post(f"/v1/sources/{source}/events", content=body, headers=head)
            if answer.status_code != 429:
                break
            time.sleep(0.1)
        statuses[answer.status_code] += 1
        if answer.status_code == 202:
            ids.add(answer.json()["id"])
        else:
            assert answer.headers["content-type"] == "application/problem+json"

    def campaign() -> None:
        with httpx.Client(base_url=address, timeout=30) as sender, ThreadPoolExecutor(8) as pool:

            @settings(max_examples=batches, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(st.lists(BODIES, min_size=BATCH, max_size=BATCH))
            def mutate(bodies: list[tuple[str, bytes]]) -> None:
                for sent in [pool.submit(send, sender, *body) for body in bodies]:
                    sent.result()
                sizes.append(intake.memory())

            mutate()

    await asyncio.to_thread(campaign)
    print(f"{sum(statuses.values())} bodies: {dict(statuses)}; memory {sizes[0]} ... {sizes[-1]}")  # noqa: T201 - figures
    assert set(statuses) <= {202, 422}, statuses
    assert len(ids) == statuses[202] >= batches * BATCH * 0.9
    found = await ended(desk, ids, seconds=30 + batches)
    # An alert's notification is told by the id of its first part; the others have ends of their own.
    parts = {
        said["ce_id"].decode()
        for said in (dict(record.headers) for record in await desk.read(topics.KEYED))
        if said.get(PART, b"0") != b"0"
    }
    assert found.keys() - ids == parts
    assert set(found.values()) == {"effect", "same_delivery", "no_change", "dead letter"}
    print(collections.Counter(found.values()))  # noqa: T201 - figures
    if len(sizes) > 100:
        for name, last in sizes[-1].items():
            assert last < sizes[len(sizes) // 2][name] + 32 * 1024 * 1024, (sizes[len(sizes) // 2], sizes[-1])
