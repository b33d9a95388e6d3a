"""The HTTP surface that every service has, and errors as problem documents (RFC 9457)."""

from __future__ import annotations

import contextlib
import functools
import http
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import Counter, Histogram
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticket_runtime.logs import logger
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import is_traceparent

TRACEPARENT = "traceparent"
CORRELATION = "correlationid"
"""Headers of a request and of its answer, named as the CloudEvents attributes are."""
_OPERATION = "operation"
_PROBLEM = "application/problem+json"

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """ok, and why not. task_states: task number -> what it does."""

    ok: bool
    reason: str = ""
    tasks: dict[str, str] = field(default_factory=dict)


class Problem(Exception):
    """An answer that is an error: raised by a route, sent as `application/problem+json`.

    detail says what is wrong and how to mend it. more: further members of the document.
    """

    def __init__(self, status: int, detail: str, *, type_: str = "about:blank", **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.type, self.more = status, detail, type_, more


def problem_document(status: int, detail: str, instance: str, type_: str = "about:blank", **more: Any) -> JSONResponse:
    content = {"type": type_, "title": _title(status), "status": status, "detail": detail, "instance": instance, **more}
    return JSONResponse(content, status, media_type=_PROBLEM)


def problem_responses(
    *statuses: int, when: Mapping[int, str] | None = None, more: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Answers that are problem documents as OpenAPI describes them. when: status -> what brings it, by its title
    elsewhere. more: schemas of the further members that a document may have."""
    plain = {"type": "string"}
    schema = {
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": plain,
            "title": plain,
            "status": {"type": "integer"},
            "detail": plain,
            "instance": plain,
            **(more or {}),
        },
    }
    return {
        status: {"description": (when or {}).get(status, _title(status)), "content": {_PROBLEM: {"schema": schema}}}
        for status in statuses
    }


def _title(status: int) -> str:
    return http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "Error"


def make_app(service: str, metrics: Metrics, alive: Callable[[], Health], ready: Callable[[], Health]) -> FastAPI:
    """alive: false when restarting the process is what would help. ready: false while it restores. Who gives answers
    that do not end by themselves puts into `state.on_stop` what ends them."""
    app = FastAPI(title=f"Relaydesk {service}", docs_url=None, redoc_url=None)
    app.state.on_stop = []

    app.add_middleware(Observed, metrics=metrics)

    @app.get("/healthz", tags=[_OPERATION])
    async def healthz() -> Response:
        return _health(alive())

    @app.get("/readyz", tags=[_OPERATION])
    async def readyz() -> Response:
        return _health(ready())

    @app.get("/metrics", tags=[_OPERATION])
    async def show_metrics(request: Request) -> Response:
        """In Prometheus's text format, or in OpenMetrics where that is asked for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> Response:
        return problem_document(error.status, error.detail, request.url.path, error.type, **error.more)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        answer = problem_document(error.status_code, str(error.detail), request.url.path)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        # Where and why, never what was sent: that may be a ticket's text.
        errors = [{"pointer": "/" + "/".join(map(str, e["loc"])), "detail": e["msg"]} for e in error.errors()]
        return problem_document(
            422, "the request does not have the form that is asked for", request.url.path, errors=errors
        )

    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> Response:
        return _fault(request.url.path)

    return app


def _fault(path: str) -> Response:
    return problem_document(500, "a fault of ours; the log says more", path)


def _health(health: Health) -> Response:
    content: dict[str, Any] = {"status": "ok" if health.ok else "unavailable", "tasks": health.tasks}
    if health.reason:
        content["reason"] = health.reason
    return JSONResponse(content, 200 if health.ok else 503)


class Observed:
    """Counts and times requests by their route, and lets every log line of a request name its trace."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._expected = False
        self._series = functools.cache(self._find_series)  # a look-up by labels takes a lock and texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._expected:
            self._expect(scope["app"].routes)
            self._expected = True
        told = trace_headers(scope)
        began = time.perf_counter()
        status, streams, begun = 500, False, False

        async def answer(message: Message) -> None:
            nonlocal status, streams, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = message.setdefault("headers", [])
                streams = any(name == b"content-type" and b"event-stream" in value for name, value in headers)
                if told:
                    names = {name for name, _ in headers}
                    headers += [(n.encode(), said.encode()) for n, said in told.items() if n.encode() not in names]
            await send(message)

        with structlog.contextvars.bound_contextvars(**told) if told else contextlib.nullcontext():
            try:
                await self._app(scope, receive, answer)
            except Exception:
                # Told here, where the line has the trace: the server's own would be without.
                log.exception("a request failed", method=scope["method"], path=scope["path"])
                if begun:
                    raise  # an answer that was cut off: the server ends the connection
                await _fault(scope["path"])(scope, receive, answer)
            finally:
                self._count(scope, status, None if streams else time.perf_counter() - began)

    def _expect(self, routes: Iterable[BaseRoute]) -> None:
        """Faults of every route are there at 0, or the first of them would not count as an increase."""
        for route in routes:
            if _OPERATION not in getattr(route, "tags", ()):
                for method in getattr(route, "methods", None) or ():
                    self._metrics.http_requests.labels(self._metrics.group, method, getattr(route, "path", ""), 500)

    def _find_series(self, method: str, path: str, status: int) -> tuple[Counter, Histogram]:
        group = self._metrics.group
        return (
            self._metrics.http_requests.labels(group, method, path, status),
            self._metrics.http_seconds.labels(group, method, path),
        )

    def _count(self, scope: Scope, status: int, seconds: float | None) -> None:
        route = scope.get("route")
        if route is not None and _OPERATION in getattr(route, "tags", ()):
            return
        method = scope["method"] if scope["method"] in _METHODS else "other"
        requests, durations = self._series(method, getattr(route, "path", "none"), status)
        requests.inc()
        if seconds is not None:
            durations.observe(seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What a client may call its method is not bounded; a label must be."""
_CORRELATION_AT_MOST = 200


def trace_headers(scope: Scope) -> dict[str, str]:
    """What a request says about its trace, as far as it can be believed."""
    said: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"traceparent" and is_traceparent(text := value.decode("latin-1")):
            said[TRACEPARENT] = text
        elif name == b"correlationid" and len(value) <= _CORRELATION_AT_MOST and value.isascii():
            said[CORRELATION] = value.decode()
    return said


class Server(uvicorn.Server):
    """uvicorn inside a process whose signals are somebody else's."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing: the runtime finishes its transaction first and then stops the server."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the answers that are under way, once those that would never end have been ended."""
        for end in self._app.state.on_stop:
            end()
        await super().shutdown(sockets)
