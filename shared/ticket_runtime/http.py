"""The HTTP surface that every service has, and errors as problem documents (RFC 9457)."""

from __future__ import annotations

import contextlib
import http
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from ticket_runtime.metrics import Metrics


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
    title = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "Error"
    content = {"type": type_, "title": title, "status": status, "detail": detail, "instance": instance, **more}
    return JSONResponse(content, status, media_type="application/problem+json")


def make_app(service: str, metrics: Metrics, alive: Callable[[], Health], ready: Callable[[], Health]) -> FastAPI:
    """alive: false when restarting the process is what would help. ready: false while it restores."""
    app = FastAPI(title=f"Relaydesk {service}", docs_url=None, redoc_url=None)

    @app.get("/healthz", tags=["operation"])
    async def healthz() -> Response:
        return _health(alive())

    @app.get("/readyz", tags=["operation"])
    async def readyz() -> Response:
        return _health(ready())

    @app.get("/metrics", tags=["operation"])
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

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
        return problem_document(500, "a fault of ours; the log says more", request.url.path)

    return app


def _health(health: Health) -> Response:
    content: dict[str, Any] = {"status": "ok" if health.ok else "unavailable", "tasks": health.tasks}
    if health.reason:
        content["reason"] = health.reason
    return JSONResponse(content, 200 if health.ok else 503)


class Server(uvicorn.Server):
    """uvicorn inside a process whose signals are somebody else's."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing: the runtime finishes its transaction first and then stops the server."""
        yield
