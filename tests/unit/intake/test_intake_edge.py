"""The HTTP edge over a producer in memory: what is accepted, what is refused and why, and its limits."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from ticket_contracts import topics
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_intake import documents
from ticket_intake.adapters.edge import Bucket, Edge, EdgeLimits, too_deep
from ticket_intake.handlers import IntakeWork, keyed_id
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics
from ticket_runtime.testing import InMemoryDesk
from unit.intake.test_intake_authentication import SIGNED
from unit.intake.tool_events import EVENTS

GENERIC = "/v1/sources/generic/events"
JSON = {"content-type": "application/json"}


@dataclass
class MemoryProducer:
    """Keeps what it is sent. away: raises on start. hold: acknowledges only when set."""

    sent: list[tuple[str, bytes, list[tuple[str, bytes]]]] = field(default_factory=list)
    away: bool = False
    fails: Exception | None = None
    hold: asyncio.Event | None = None
    stopped: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def received(self, count: int) -> None:
        """Returns when so many messages have been sent."""
        while len(self.sent) < count:
            self.arrived.clear()
            await self.arrived.wait()

    async def start(self) -> None:
        if self.away:
            raise KafkaConnectionError("no broker")

    async def stop(self) -> None:
        self.stopped += 1

    async def send(self, topic: str, value: bytes, *, headers: Sequence[tuple[str, bytes]]) -> asyncio.Future[Any]:
        if self.fails is not None:
            raise self.fails
        self.sent.append((topic, value, list(headers)))
        self.arrived.set()
        offset = len(self.sent) - 1

        async def acknowledge() -> Any:
            if self.hold is not None:
                await self.hold.wait()
            return SimpleNamespace(partition=3, offset=offset)

        return asyncio.ensure_future(acknowledge())


@dataclass
class Desk:
    producer: MemoryProducer
    client: httpx.AsyncClient
    metrics: Metrics
    edge: Edge


@functools.cache
def every() -> dict[str, documents.Document]:
    return {name: documents.load(name) for name in documents.shipped()}


def desk(
    environment: dict[str, str] | None = None,
    *,
    client: str = "127.0.0.1",
    limits: EdgeLimits | None = None,
    **source: Any,
) -> Desk:
    """Generic is open to `client`s as its document says; `source` changes its limits."""
    producer = MemoryProducer()
    known = dict(every())
    if source:
        generic = known["generic"]
        known["generic"] = generic.model_copy(update={"limits": generic.limits.model_copy(update=source)})
    edge = Edge(known, environment or {}, make_producer=lambda: producer, topic_prefix="desk.", limits=limits)
    edge.open(known)
    metrics = Metrics("intake")
    edge.observe(metrics.registry)
    healthy: Callable[[], Health] = lambda: Health(True)  # noqa: E731
    app: FastAPI = make_app("intake", metrics, healthy, healthy)
    edge.install(app)
    transport = httpx.ASGITransport(app, client=(client, 4711))
    return Desk(producer, httpx.AsyncClient(transport=transport, base_url="http://intake"), metrics, edge)


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of a problem document, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["instance"].startswith("/v1/sources/")
    return str(document["detail"])


async def test_accepted_means_written_as_it_came() -> None:
    here = desk()
    body = b'{"id": 1,  "title": "\\u00e4"}'
    answer = await here.client.post(GENERIC, content=body, headers={**JSON, "Idempotency-Key": "k-1"})
    assert answer.status_code == 202
    topic, value, headers = here.producer.sent[0]
    assert (topic, value) == ("desk.inbound.generic", body)
    assert ("relaydesk-delivery", b"k-1") in headers
    assert answer.json() == {
        "id": keyed_id("inbound.generic", 3, 0),
        "source": "generic",
        "topic": "inbound.generic",
        "partition": 3,
        "offset": 0,
    }
    shown = generate_latest(here.metrics.registry).decode()
    assert 'relaydesk_intake_requests_total{source="generic",status="202"} 1.0' in shown


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b'{"id": ', b"[]", b"<html>"])
async def test_what_nobody_understands_is_accepted_and_kept(body: bytes) -> None:
    here = desk()
    assert (await here.client.post(GENERIC, content=body, headers=JSON)).status_code == 202
    assert here.producer.sent[0][1] == body


async def test_the_answer_waits_for_the_acknowledgement() -> None:
    here = desk()
    here.producer.hold = asyncio.Event()
    asked = asyncio.ensure_future(here.client.post(GENERIC, content=b"{}", headers=JSON))
    await here.producer.received(1)
    assert not asked.done()
    here.producer.hold.set()
    assert (await asked).status_code == 202


async def test_unknown_and_closed_sources() -> None:
    here = desk()
    problem(await here.client.post("/v1/sources/nosuch/events", content=b"{}", headers=JSON), 404)
    here.edge.open(["jira"])
    problem(await here.client.post(GENERIC, content=b"{}", headers=JSON), 404)
    assert here.producer.sent == []


async def test_who_is_not_authentic_is_refused_before_anything_is_written() -> None:
    here = desk({"RELAYDESK_SECRET_JIRA": "s", "RELAYDESK_SECRET_ALERTMANAGER": "t"}, client="192.0.2.9")
    detail = problem(await here.client.post(GENERIC, content=b"{}", headers=JSON), 401)
    assert "asks for no signature" in detail
    assert "not 192.0.2.9" in detail  # there is no secret that could be compared
    problem(await here.client.post("/v1/sources/jira/events", content=b"{}", headers=JSON), 401)
    answer = await here.client.post("/v1/sources/alertmanager/events", content=b"{}", headers=JSON)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "secrets" in problem(await here.client.post("/v1/sources/glpi/events", content=b"{}", headers=JSON), 503)
    assert here.producer.sent == []


async def test_a_signed_event_is_accepted() -> None:
    here = desk({"RELAYDESK_SECRET_JIRA": "s"})
    body = b'{"issue": {"id": "1"}}'
    signature = "sha256=" + hmac.new(b"s", body, hashlib.sha256).hexdigest()
    headers = {**JSON, "X-Hub-Signature": signature, "X-Atlassian-Webhook-Identifier": "w1"}
    assert (await here.client.post("/v1/sources/jira/events", content=body, headers=headers)).status_code == 202
    assert ("relaydesk-delivery", b"w1") in here.producer.sent[0][2]


async def test_glpis_challenge() -> None:
    here = desk({"RELAYDESK_SECRET_GLPI": "s"})
    token = "ab" * 32
    answer = await here.client.get(f"/v1/sources/glpi/events?crc_token={token}")
    assert answer.text == hmac.new(b"s", token.encode(), hashlib.sha256).hexdigest()
    problem(await here.client.get("/v1/sources/glpi/events"), 400)
    problem(await here.client.get("/v1/sources/nosuch/events"), 404)


async def test_other_media_types_encodings_and_empty_bodies() -> None:
    here = desk()
    post = here.client.post
    detail = problem(await post(GENERIC, content=b"<a/>", headers={"content-type": "application/xml"}), 415)
    assert "let the tool send application/json, or name it in the source's `media_types`" in detail
    problem(await post(GENERIC, content=b"{}", headers={**JSON, "content-encoding": "gzip"}), 415)
    problem(await post(GENERIC, content=b"", headers=JSON), 422)
    for kind in ("application/json; charset=utf-8", "application/vnd.tool+json", "Application/JSON"):
        assert (await post(GENERIC, content=b"{}", headers={"content-type": kind})).status_code == 202


async def test_too_large_whether_announced_or_streamed() -> None:
    here = desk(body_bytes=1_000)

    async def stream() -> Any:
        for _ in range(20):
            yield b"x" * 100

    problem(await here.client.post(GENERIC, content=b"x" * 1_001, headers=JSON), 413)
    problem(await here.client.post(GENERIC, content=stream(), headers=JSON), 413)
    assert (await here.client.post(GENERIC, content=b"x" * 1_000, headers=JSON)).status_code == 202


async def test_too_deep() -> None:
    here = desk(depth=10)
    assert "10" in problem(await here.client.post(GENERIC, content=b"[" * 11 + b"]" * 11, headers=JSON), 422)
    assert (await here.client.post(GENERIC, content=b"[" * 10 + b"]" * 10, headers=JSON)).status_code == 202


async def test_the_rate_of_a_source() -> None:
    here = desk(per_second=0.5, burst=2)
    answers = [await here.client.post(GENERIC, content=b"{}", headers=JSON) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    problem(answers[2], 429)
    assert 1 <= int(answers[2].headers["retry-after"]) <= 2


async def test_requests_in_flight() -> None:
    here = desk(limits=EdgeLimits(in_flight=2))
    here.producer.hold = asyncio.Event()
    held = [asyncio.ensure_future(here.client.post(GENERIC, content=b"{}", headers=JSON)) for _ in range(2)]
    await here.producer.received(2)
    answer = await here.client.post(GENERIC, content=b"{}", headers=JSON)
    problem(answer, 429)
    assert answer.headers["retry-after"] == "1"
    here.producer.hold.set()
    assert [answer.status_code for answer in await asyncio.gather(*held)] == [202, 202]
    assert (await here.client.post(GENERIC, content=b"{}", headers=JSON)).status_code == 202


async def test_bytes_in_flight_whether_announced_or_streamed() -> None:
    """However many senders begin at once, no more is held than the limit, beside one body that may always pass."""
    here = desk(limits=EdgeLimits(in_flight_bytes=2_500))
    here.producer.hold = asyncio.Event()

    async def stream() -> Any:
        for _ in range(10):
            yield b"x" * 100

    held = [asyncio.ensure_future(here.client.post(GENERIC, content=b"x" * 1_000, headers=JSON)) for _ in range(2)]
    await here.producer.received(2)
    for body in (b"x" * 1_000, stream()):
        answer = await here.client.post(GENERIC, content=body, headers=JSON)
        problem(answer, 429)
        assert answer.headers["retry-after"] == "1"
    here.producer.hold.set()
    assert [answer.status_code for answer in await asyncio.gather(*held)] == [202, 202]
    assert (await here.client.post(GENERIC, content=b"x" * 3_000, headers=JSON)).status_code == 202
    assert (await here.client.post(GENERIC, content=stream(), headers=JSON)).status_code == 202


async def test_the_broker_away_and_back() -> None:
    here = desk(limits=EdgeLimits(send_seconds=0.05))
    here.producer.away = True
    answer = await here.client.post(GENERIC, content=b"{}", headers=JSON)
    assert "send it again" in problem(answer, 503)
    assert answer.headers["retry-after"] == "5"
    here.producer.away = False
    assert (await here.client.post(GENERIC, content=b"{}", headers=JSON)).status_code == 202
    here.producer.fails = KafkaTimeoutError()
    problem(await here.client.post(GENERIC, content=b"{}", headers=JSON), 503)
    assert here.producer.stopped == 2  # thrown away after each error, so that a broken one does not stay
    here.producer.fails = None
    here.producer.hold = asyncio.Event()
    problem(await here.client.post(GENERIC, content=b"{}", headers=JSON), 503)
    here.producer.hold = None
    assert (await here.client.post(GENERIC, content=b"{}", headers=JSON)).status_code == 202


def test_a_bucket_refills() -> None:
    bucket = Bucket(per_second=2, burst=2, now=0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [0, 0, 0.5]
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) == 0.5
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 0.5]


JSON_VALUES = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\ax', max_size=6) | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@given(value=JSON_VALUES, limit=st.integers(1, 6), indent=st.sampled_from([None, 1]))
def test_depth_is_what_a_parser_would_find(value: Any, limit: int, indent: int | None) -> None:
    assert too_deep(json.dumps(value, indent=indent).encode(), limit) == (depth_of(value) > limit)


@given(st.binary(max_size=200))
def test_depth_of_anything_is_decided(body: bytes) -> None:
    assert too_deep(body, 3) in (True, False)


@pytest.mark.parametrize("source", SIGNED)
async def test_a_signed_request_that_is_sent_again_changes_nothing(source: str) -> None:
    """Authentic both times, as its signature says; what it means is decided once, also after a restart."""
    told = next(told for told in EVENTS if told.source == source)
    body = json.dumps(told.bodies[0]).encode()
    document = every()[source]
    variable = next(s.env for scheme in document.authentication if scheme.scheme == "hmac" for s in scheme.secrets)
    here = desk({variable or "": "s"})
    headers = {**JSON, **SIGNED[source]("s", body, *([time.time()] if source in STAMPED else []))}
    for _ in range(2):
        answer = await here.client.post(f"/v1/sources/{source}/events", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
    work = InMemoryDesk(datetime.now(UTC))
    sources = {source: document.compile()}
    work.add("intake", [topics.inbound(source), topics.KEYED], lambda c: IntakeWork(sources, lambda title, text: None))
    for topic, value, said in here.producer.sent:
        work.send(topic.removeprefix("desk."), value, headers=said)
        work.run()
        work.restart("intake")
    tickets = len(work.events(topics.NORMALIZED, TicketNormalized))
    assert tickets >= 1
    reasons = [d.reason for d in work.events(topics.NORMALIZED, TicketDuplicate)]
    assert reasons == ["same_delivery"] * tickets


STAMPED = ("zendesk", "glpi", "grafana")
