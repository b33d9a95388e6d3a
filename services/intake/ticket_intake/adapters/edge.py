"""The HTTP edge: what tools send is verified, bounded, and acknowledged only when all in-sync replicas have it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from fastapi import FastAPI, Path, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from ticket_contracts import topics
from ticket_contracts.ids import event_id
from ticket_intake.adapters.authentication import Secrets, Verdict, Verifier
from ticket_intake.adapters.measure import EdgeMetrics
from ticket_intake.documents import Document
from ticket_intake.handlers import DELIVERY, keyed_id
from ticket_runtime.http import CORRELATION, TRACEPARENT, problem_document, problem_responses
from ticket_runtime.metrics import Registry
from ticket_runtime.outputs import is_traceparent

log = structlog.get_logger(__name__)

MESSAGE_BYTES: Final = 12 * 1024 * 1024
_BODY_SECONDS: Final = 20.0
_HEADER_LIMIT: Final = 512


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """in_flight, in_flight_bytes: of all sources together; beyond them 429. send_seconds: how long a broker may take to
    acknowledge before the answer is 503."""

    in_flight: int = 256
    in_flight_bytes: int = 64 * 1024 * 1024
    send_seconds: float = 10.0


class Bucket:
    """A token bucket: `per_second` requests, `burst` at once."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> float:
        """0 when a request may pass, else the seconds until one may."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second


def too_deep(body: bytes, limit: int) -> bool:
    """Whether brackets are nested deeper than `limit`, without parsing: brackets within texts do not count.

    Each pass takes away one level of pairs, at the speed of bytes.replace; 18 KB take 20 µs. Of a body that is no JSON,
    since its brackets do not pair, only the pairs count.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(part.translate(_ONE_KIND, _NO_BRACKETS) for part in bare.split(b'"')[::2])
    for _ in range(limit):
        fewer = brackets.replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return False
        brackets = fewer
    return b"[]" in brackets


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")


@dataclass(slots=True)
class _Source:
    document: Document
    verifier: Verifier
    bucket: Bucket
    topic: str
    headers: list[str]


class Producer(Protocol):
    """What the edge needs of an idempotent producer: `send` hands over, and its future is done when all in-sync
    replicas have the message."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, topic: str, value: bytes, *, headers: Sequence[tuple[str, bytes]]) -> asyncio.Future[Any]: ...


def kafka_producer(bootstrap: str, send_seconds: float) -> Producer:
    """The real one. Idempotent, so that its own retries write nothing twice; its keys are null: tools' keys mean
    nothing either, and intake puts each ticket under its own."""
    producer: Producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_request_size=MESSAGE_BYTES,
        max_batch_size=256 * 1024,
        linger_ms=0,  # what waits while a batch is on its way makes the next one
        request_timeout_ms=int(send_seconds * 1_000),
    )
    return producer


class _Direct(APIRoute):
    """A route that hands the request on as it is: described like any other, but nothing of it is looked for, converted
    or checked by the framework, which took a third of what an accepted event costs."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **said: Any) -> None:
        super().__init__(path, endpoint, **said)

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            answer: Response = await endpoint(Request(scope, receive, send), **scope["path_params"])
            await answer(scope, receive, send)

        self.app = call


class Edge:
    """`POST /v1/sources/{source}/events`. One per process; its producer is idempotent, not transactional: what it
    accepts does not hang on what the tasks of this process are doing."""

    def __init__(
        self,
        documents: Mapping[str, Document],
        environment: Mapping[str, str],
        *,
        make_producer: Callable[[], Producer],
        topic_prefix: str = "",
        limits: EdgeLimits | None = None,
    ) -> None:
        secrets = Secrets(environment)
        now = time.monotonic()
        self._sources = {
            name: _Source(
                document,
                Verifier(document.authentication, secrets),
                Bucket(document.limits.per_second, document.limits.burst, now),
                topics.inbound(name),
                [header.lower() for header in document.delivery.headers],
            )
            for name, document in documents.items()
        }
        self._make_producer, self._prefix = make_producer, topic_prefix
        self._open: frozenset[str] | None = None
        self._limits = limits or EdgeLimits()
        self._in_flight = 0
        self._bytes = 0
        self._producer: Producer | None = None
        self._starting = asyncio.Lock()
        self._metrics: EdgeMetrics | None = None

    def open(self, sources: Iterable[str]) -> None:
        """The desk's sources: those that have a topic. To the others the edge answers 404, for a message must not make
        a topic that nobody reads."""
        self._open = frozenset(sources)
        if self._metrics is not None:
            self._metrics.expect(self._open)

    @property
    def is_open(self) -> bool:
        """Whether the desk's sources are known."""
        return self._open is not None

    def observe(self, registry: Registry) -> None:
        """Registers the metrics, once."""
        self._metrics = EdgeMetrics(registry)
        self._metrics.expect(self._open or ())

    def install(self, app: FastAPI) -> None:
        """Adds the routes, and closes the producer when the application stops."""
        around = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(application: Any) -> AsyncIterator[Any]:
            async with around(application) as state:
                try:
                    yield state
                finally:
                    await self.close()

        app.router.lifespan_context = lifespan
        app.router.add_api_route(
            "/v1/sources/{source}/events",
            self.receive,
            methods=["POST"],
            route_class_override=_Direct,
            status_code=202,
            tags=["events"],
            summary="A tool's event",
            response_class=Response,
            responses=_RESPONSES,
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
        )
        app.add_api_route(
            "/v1/sources/{source}/events",
            self.challenge,
            methods=["GET"],
            tags=["events"],
            summary="GLPI's challenge",
            response_class=Response,
            responses={
                200: {"description": "The token's HMAC", "content": {"text/plain": {}}},
                **problem_responses(400, 404, 422, 503),
            },
        )

    # --- requests

    async def receive(self, request: Request, source: Annotated[str, Path(max_length=64)]) -> Response:
        """Accepts one event as it is. 202 means that it is on `inbound.<source>`, on all in-sync replicas; what it
        means is decided afterwards, and a body that nobody understands becomes a dead letter."""
        known = self._known(request, source)
        answer = known if isinstance(known, Response) else await self._accept(request, source, known)
        if self._metrics is not None and answer is not known:
            self._metrics.answered(source, answer.status_code)
        return answer

    async def challenge(self, request: Request, source: Annotated[str, Path(max_length=64)]) -> Response:
        """Answers the challenge by which a tool makes sure that it talks to somebody who has the secret."""
        known = self._known(request, source)
        if isinstance(known, Response):
            return known
        answer = known.verifier.answer(request.query_params)
        if answer is None:
            return _problem(request, 400, "no challenge that this source answers; events are sent with POST")
        return Response(answer, media_type="text/plain")

    def _known(self, request: Request, source: str) -> _Source | Response:
        if self._open is None:
            detail = "the agreement, which names the desk's sources, has not been read yet; send it again"
            return _problem(request, 503, detail, {"Retry-After": "5"})
        known = self._sources.get(source) if source in self._open else None
        return known or _problem(request, 404, "no such source is open here; the agreement names the desk's sources")

    async def _accept(self, request: Request, name: str, source: _Source) -> Response:
        headers = _headers(request)
        document, limits = source.document, source.document.limits
        announced = headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() and len(announced) < 19 else 0
        if self._in_flight >= self._limits.in_flight or not self._has_room(size):
            return _busy(request)
        client = request.client.host if request.client is not None else None
        if not source.verifier.reads_body:
            refusal = self._refusal(request, source, headers, b"", client)
            if refusal is not None:
                return refusal
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and kind not in document.media_types and not kind.endswith("+json"):
            wanted = ", ".join(document.media_types)
            detail = f"content-type {kind!r}; let the tool send {wanted}, or name it in the source's `media_types`"
            return _problem(request, 415, detail)
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            return _problem(request, 415, "a compressed body; send it as it is, without Content-Encoding")
        if size > limits.body_bytes:
            return _too_large(request, limits.body_bytes)
        self._in_flight += 1
        self._bytes += size  # what is announced takes its place now, not when it has come
        held, taken = 0, size
        try:
            chunks: list[bytes] = []
            more = True
            async with asyncio.timeout(_BODY_SECONDS):
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        return _problem(request, 400, "the connection was closed before the body was whole")
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    held += len(chunk)
                    if held > limits.body_bytes:
                        return _too_large(request, limits.body_bytes)
                    if held > taken:
                        if not self._has_room(held - taken):
                            return _busy(request)
                        self._bytes += held - taken
                        taken = held
                    chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()  # a body is held once
            if source.verifier.reads_body:
                refusal = self._refusal(request, source, headers, body, client)
                if refusal is not None:
                    return refusal
            if not body:
                return _problem(request, 422, "an empty body; send the event as JSON")
            if too_deep(body, limits.depth):
                return _problem(request, 422, f"brackets nested deeper than {limits.depth}; send a flatter body")
            return await self._write(request, name, source, headers, body)
        except TimeoutError:
            return _problem(request, 408, f"the body did not arrive within {_BODY_SECONDS:g} s; send it again")
        finally:
            self._in_flight -= 1
            self._bytes -= taken

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes more may be held; one body alone always may, or the largest would never pass."""
        return not self._bytes or self._bytes + size <= self._limits.in_flight_bytes

    def _refusal(
        self, request: Request, source: _Source, headers: Mapping[str, str], body: bytes, client: str | None
    ) -> Response | None:
        verdict = source.verifier.verify(headers, body, client, time.time())
        if verdict is Verdict.AUTHENTIC:
            # Counted from here on: who is not authentic cannot use up what the tool may send.
            wait = source.bucket.take(time.monotonic())
            if not wait:
                return None
            detail = f"more than {source.document.limits.per_second:g} events a second; send again after Retry-After"
            return _problem(request, 429, detail, {"Retry-After": str(math.ceil(wait))})
        if verdict is Verdict.UNCONFIGURED:
            detail = "none of the secrets that this source's document names is set; set one and restart intake"
            return _problem(request, 503, detail, {"Retry-After": "60"})
        challenge = source.verifier.challenge
        detail = "the signature or credentials do not fit; compare the secret here with the one in the tool"
        if source.verifier.by_address:
            detail = f"this source asks for no signature; its document says who may send (`allow`), and not {client}"
        return _problem(request, 401, detail, {} if challenge is None else {"WWW-Authenticate": challenge})

    async def _write(
        self, request: Request, name: str, source: _Source, said: Mapping[str, str], body: bytes
    ) -> Response:
        headers: list[tuple[str, bytes]] = [("content-type", b"application/json")]
        for header in source.headers:
            if given := said.get(header, ""):
                headers.append((DELIVERY, given[:_HEADER_LIMIT].encode("utf-8", "replace")))
                break
        traceparent = said.get(TRACEPARENT, "")
        if is_traceparent(traceparent):
            headers.append((TRACEPARENT, traceparent.encode()))
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                producer = await self._connected()
                written = await (await producer.send(self._prefix + source.topic, body, headers=headers))
        except MessageSizeTooLargeError:
            return _too_large(request, source.document.limits.body_bytes)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("not_accepted", source=name, reason=f"{type(error).__name__}: {error}")
            if not isinstance(error, TimeoutError):
                await self._discard()
            detail = "the broker does not acknowledge; the event may not be kept, send it again"
            return _problem(request, 503, detail, {"Retry-After": "5"})
        own_id = keyed_id(source.topic, written.partition, written.offset)
        content = {
            "id": own_id,
            "source": name,
            "topic": source.topic,
            "partition": written.partition,
            "offset": written.offset,
        }
        # Where it stands begins the chain that it leads to.
        correlation = event_id(source.topic, written.partition, written.offset)
        return Response(msgspec.json.encode(content), 202, {CORRELATION: correlation}, media_type="application/json")

    # --- the producer

    async def _connected(self) -> Producer:
        if self._producer is not None:
            return self._producer
        async with self._starting:
            if self._producer is None:
                producer = self._make_producer()
                try:
                    await producer.start()
                except BaseException:
                    await asyncio.shield(producer.stop())
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self) -> None:
        """Throws the producer away after an error that it may not recover from; the next request starts another."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._limits.send_seconds):
                    await producer.stop()

    async def close(self) -> None:
        """Writes what is still on its way, and closes the producer."""
        await self._discard()


def _headers(request: Request) -> dict[str, str]:
    """By lower-case name; of a repeated one the first counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(request.scope["headers"])}


# --- answers


def _problem(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    answer = problem_document(status, detail, request.url.path)
    answer.headers.update(headers or {})
    return answer


def _busy(request: Request) -> Response:
    return _problem(request, 429, "too many events are being written; send again", {"Retry-After": "1"})


def _too_large(request: Request, limit: int) -> Response:
    return _problem(
        request, 413, f"more than {limit} bytes; send links instead of attachments, or raise `limits.body_bytes`"
    )


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "Kept, on all in-sync replicas",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["id", "source", "topic", "partition", "offset"],
                    "properties": {
                        "id": {"type": "string"},
                        "source": {"type": "string"},
                        "topic": {"type": "string"},
                        "partition": {"type": "integer"},
                        "offset": {"type": "integer"},
                    },
                }
            }
        },
    },
    **problem_responses(400, 401, 404, 408, 413, 415, 422, 429, 503),
}
