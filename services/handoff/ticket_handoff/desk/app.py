"""The desk page as an application of its own under `/desk`: who may come in, headers, errors, static files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.inquiries import Inquiries
from ticket_handoff.desk.acting import Acting
from ticket_handoff.desk.forms import Form, is_elsewhere, is_forged, read_form
from ticket_handoff.desk.live import Live
from ticket_handoff.desk.pages import Pages
from ticket_handoff.desk.reading import Reading
from ticket_handoff.desk.seats import Seat
from ticket_handoff.desk.signing_in import COOKIE, SESSION_SECONDS, NotLetIn, SignIn
from ticket_handoff.domain.terms import Book

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
}
_TITLES: Final = {
    400: "That did not work",
    401: "Sign in again",
    403: "Not allowed",
    404: "Not here",
    409: "Somebody was faster",
    413: "Too long",
    422: "Not understood",
    429: "Too many tries",
    503: "In a moment",
}

Seated = Callable[[Request, Seat], Awaitable[Response]]
Filled = Callable[[Request, Seat, Form], Awaitable[Response]]


class Desk:
    """now: the desk's present (UTC). book: raises Transient while no agreement is known. secret: signs sessions."""

    def __init__(
        self,
        engine: AsyncEngine,
        inquiries: Inquiries,
        replies: Callable[[], Replies],
        book: Book,
        now: Callable[[], datetime],
        sign_in: SignIn,
        secret: str,
    ) -> None:
        self._sign_in = sign_in
        self._pages = pages = Pages(Reading(engine), inquiries, lambda: self.live, book, now, sign_in)
        self.live = Live(engine.url, pages.describe, pages.count)
        self._telling: asyncio.Task[None] | None = None
        acting = Acting(pages, replies, now)
        self.app = Starlette(
            routes=[
                Route("/sign-in", self._sign_in_page, methods=["GET"]),
                Route("/sign-in", self._by_key, methods=["POST"]),
                Route("/sign-in/start", self._to_provider, methods=["GET"]),
                Route("/sign-in/back", self._from_provider, methods=["GET"]),
                Route("/sign-out", self._filled(self._sign_out), methods=["POST"]),
                Route("/", self._seated(pages.queue), methods=["GET"]),
                Route("/live", self._seated(pages.news), methods=["GET"]),
                Route("/find", self._seated(pages.find), methods=["GET"]),
                Route("/waiting", self._seated(pages.waiting), methods=["GET"]),
                Route("/owners", self._seated(pages.owners), methods=["GET"]),
                Route("/brief", self._seated(pages.brief), methods=["GET"]),
                Route("/ticket/{ticket:path}", self._seated(pages.ticket), methods=["GET"]),
                Route("/ticket/{ticket:path}", self._filled(acting.act), methods=["POST"]),
                Route("/timeline/{ticket:path}", self._seated(pages.timeline), methods=["GET"]),
                Route("/text/{ticket:path}", self._seated(pages.text), methods=["GET"]),
                Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
            ],
            middleware=[
                Middleware(_Headers, secure=sign_in.secure),
                Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=4),
                Middleware(
                    SessionMiddleware,
                    secret_key=secret,
                    session_cookie=COOKIE,
                    max_age=SESSION_SECONDS,
                    path="/desk",
                    same_site="lax",
                    https_only=sign_in.secure,
                ),
            ],
            exception_handlers={HTTPException: self._error, Exception: self._fault},
        )

    def install(self, app: FastAPI) -> None:
        """Mounts the page and lets its news flow, for as long as the event loop runs; `/` leads to it."""

        @app.get("/", include_in_schema=False)
        async def root() -> Response:
            return RedirectResponse("/desk/")

        app.mount("/desk", self.app)
        app.state.on_stop.append(self.live.close)
        self._telling = asyncio.create_task(self.live.run(), name="desk-live")

    async def stop(self) -> None:
        """Where the loop goes on after the service has ended."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    # -- who may come in

    def _seated(self, handler: Seated) -> Callable[[Request], Awaitable[Response]]:
        """Who is not signed in does so first, and comes back."""

        async def seated(request: Request) -> Response:
            seat = self._sign_in.seat(request)
            if seat is not None:
                return await handler(request, seat)
            if request.method != "GET" or request.headers.get("sec-fetch-dest", "document") != "document":
                raise HTTPException(401, "Your session is over. Sign in again; nothing was done.")
            query = request.url.query
            asked = request.scope["raw_path"].decode() + (f"?{query}" if query else "")
            if len(asked) < 1_000:
                request.session["after"] = asked
            return RedirectResponse("/desk/sign-in", 303)

        return seated

    def _filled(self, handler: Filled) -> Callable[[Request], Awaitable[Response]]:
        """Reads the form that was sent, when a page of this session sent it."""

        async def filled(request: Request, seat: Seat) -> Response:
            form = await read_form(request)
            if is_forged(request, seat, form, self._sign_in.address(request)):
                raise HTTPException(403, "That form is not from this session. Go back, load the page again, and retry.")
            return await handler(request, seat, form)

        return self._seated(filled)

    async def _sign_in_page(self, request: Request) -> Response:
        if self._sign_in.seat(request) is not None:
            return RedirectResponse("/desk/", 303)
        return self._not_yet(request)

    async def _by_key(self, request: Request) -> Response:
        form = await read_form(request)
        if is_elsewhere(request, self._sign_in.address(request)):
            raise HTTPException(403, "That form is not from this desk.")
        try:
            self._sign_in.by_key(request, form.get("token", ""))
        except NotLetIn as reason:
            return self._not_yet(request, reason)
        return self._welcome(request)

    async def _to_provider(self, request: Request) -> Response:
        if self._sign_in.provider is None:
            raise HTTPException(404, "This desk has no such sign-in.")
        try:
            return await self._sign_in.to_provider(request)
        except NotLetIn as reason:
            return self._not_yet(request, reason)

    async def _from_provider(self, request: Request) -> Response:
        if self._sign_in.provider is None:
            raise HTTPException(404, "This desk has no such sign-in.")
        try:
            await self._sign_in.from_provider(request, set(self._pages.terms().agreement.partners))
        except NotLetIn as reason:
            return self._not_yet(request, reason)
        return self._welcome(request)

    async def _sign_out(self, request: Request, seat: Seat, form: Form) -> Response:
        request.session.clear()
        return RedirectResponse("/desk/sign-in", 303)

    def _not_yet(self, request: Request, reason: NotLetIn | None = None) -> Response:
        return self._pages.page(
            request,
            None,
            "sign_in.html",
            200 if reason is None else reason.status,
            error=None if reason is None else str(reason),
            oidc=self._sign_in.provider is not None,
            keys=self._sign_in.has_keys,
        )

    def _welcome(self, request: Request) -> Response:
        """Back to where somebody wanted to go, if that is on this desk."""
        after = request.session.pop("after", None)
        return RedirectResponse(after if isinstance(after, str) and after.startswith("/desk/") else "/desk/", 303)

    async def _error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        # While there is no agreement there is no bar either: its pages would say the same.
        seat = self._sign_in.seat(request) if error.status_code != 503 else None
        heading = _TITLES.get(error.status_code, "That did not work")
        return self._pages.page(request, seat, "message.html", error.status_code, heading=heading, words=error.detail)

    async def _fault(self, request: Request, error: Exception) -> Response:
        words = "A fault of ours; the service's log says more. Look at the ticket: what you did may not have been done."
        return self._pages.page(request, None, "message.html", 500, heading="That did not work", words=words)


class _Headers:
    """What every answer of the desk says to browsers. Pages hold what not everybody may read, so nobody keeps them."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self._app = app
        headers = dict(_HEADERS)
        if secure:
            headers["strict-transport-security"] = "max-age=31536000"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        static = scope.get("path", "").startswith("/desk/static/")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep = (b"cache-control", b"no-cache" if static else b"no-store")
                given = [pair for pair in message["headers"] if pair[0].lower() != b"cache-control"]
                message = {**message, "headers": [*given, *self._headers, keep]}
            await send(message)

        await self._app(scope, receive, with_headers)
