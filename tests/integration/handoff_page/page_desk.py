"""The desk page over a real PostgreSQL on a port of its own, and people before it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Error, Page
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from integration.handoff_page.scene import Case, morning
from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_handoff.adapters.access import Access
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.http import install
from ticket_handoff.adapters.inquiries import Inquiries
from ticket_handoff.adapters.keys import KeyFile, Keys, add_key
from ticket_handoff.adapters.store import Store
from ticket_handoff.desk.app import Desk
from ticket_handoff.desk.signing_in import Provider, SignIn
from ticket_handoff.handlers import AgreementBook, Changes
from ticket_runtime.agreements import Agreements
from ticket_runtime.http import Health, Server, make_app
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Collector
from unit.handoff.handoff_desk import Story

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
ACTORS = {
    "Priya Nair": "internal",
    "Tobias Lang": "internal",
    "Rui Almeida": "campo",
    "Maricel Santos": "helpline",
}
SECRET = "a secret that signs the sessions of these tests"


class PageDesk:
    """The HTTP side of the service. now: the desk's present (UTC). cases: number -> its story."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: Path,
        version: Published,
        now: Callable[[], datetime],
        provider: Provider | None = None,
    ) -> None:
        self.keys = keys
        self.tokens = {actor: add_key(keys, principal, actor) for actor, principal in ACTORS.items()}
        self.version, self.agreements, self.now = version, Agreements([version]), now
        self.store = Store(engine, lambda tickets: self.desk.live.changed(tickets))
        self.inquiries = Inquiries(engine, AgreementBook(self.agreements), now)
        self.known: Keys = KeyFile(keys)
        self.engine, self.provider = engine, provider
        self.desk: Desk
        self.address = ""
        self.cases: dict[str, Case] = {}
        self._told: dict[str, int] = {}

    def replies(self) -> Replies:
        return Replies(self.store, self.agreements, lambda rows: None)

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[PageDesk]:
        book = AgreementBook(self.agreements)
        sign_in = SignIn(self.known, self.provider)
        self.desk = Desk(self.engine, self.inquiries, self.replies, book, self.now, sign_in, SECRET)
        app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
        install(app, Access(self.known, None, "600/minute"), self.replies, lambda: self.inquiries, self.now)
        self.desk.install(app)
        listener = socket.create_server(("127.0.0.1", port))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as uvloop does it for the service
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = Server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield self
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, 20)  # open pages must not hold it up
            await self.desk.stop()

    async def open_for_the_day(self) -> None:
        for case in morning(self.version, self.now()):
            self.cases[case.number] = case
        await self.tell(*self.cases.values())

    async def tell(self, *cases: Case, at_once: bool = False) -> None:
        """Writes what these stories came to since they were last told; each in a transaction of its own, or all in
        one."""
        await self.store.positions(0, [topics.NORMALIZED])
        for some in [cases] if at_once else [(case,) for case in cases]:
            async with self.store.transaction() as connection:
                await self._write(connection, [case.story for case in some])

    async def _write(self, connection: AsyncConnection, stories: list[Story]) -> None:
        out, changes = Collector("/relaydesk/handoff", 0), Changes()
        for story in stories:
            for topic, event in story.out.emitted[self._told.get(story.ticket, 0) :]:
                out.emit(topic, event)
            self._told[story.ticket] = len(story.out.emitted)
            story.work.tickets[story.ticket].partition = 0
            own = story.work.take_changes()
            for field in dataclasses.fields(Changes):
                whole, more = getattr(changes, field.name), getattr(own, field.name)
                whole.extend(more) if isinstance(whole, list) else whole.update(more)
        messages, _ = out.take()
        loaded = await self.store.load(connection, sorted(changes.tickets))
        await self.store.write(connection, changes, messages, loaded.salts)

    async def owner(self, number: str) -> str | None:
        history = await self.store.history(f"servicenow:prod:{number}")
        assert history is not None
        return None if history.ledger.owner is None else history.ledger.owner.owner


class Person:
    """Somebody before a browser of their own. faults: what the browser complained about; a test ends with none."""

    def __init__(self, desk: PageDesk, page: Page) -> None:
        self.desk, self.page = desk, page
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", self._error)
        page.on("dialog", lambda dialog: self.faults.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: self._asked(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _error(self, error: Error) -> None:
        self.faults.append(str(error))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.desk.address, "data:")):
            self.faults.append(f"asked {url}")

    async def sign_in(self, actor: str) -> None:
        """By the link that the start of a desk prints."""
        await self.page.goto(f"{self.desk.address}/desk/sign-in#token={self.desk.tokens[actor]}")
        await self.page.wait_for_url("**/desk/")

    async def see(self, path: str = "") -> Page:
        await self.page.goto(f"{self.desk.address}/desk/{path}")
        return self.page

    async def ticket(self, number: str) -> Page:
        return await self.see(f"ticket/servicenow:prod:{number}")

    async def live(self) -> None:
        await self.page.wait_for_selector("#line[data-state=live]")

    def rows(self) -> Any:
        return self.page.locator("#rows tr")


@contextlib.asynccontextmanager
async def person(
    browser: Browser, desk: PageDesk, actor: str | None = "Priya Nair", **context: Any
) -> AsyncIterator[Person]:
    """Signed in as this actor, if one is named. context: of the browser: viewport, color_scheme, ..."""
    made = await browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Berlin", **context})
    made.set_default_timeout(15_000)
    try:
        found = Person(desk, await made.new_page())
        if actor is not None:
            await found.sign_in(actor)
        yield found
        assert not found.faults, f"the browser complained: {found.faults}"
    finally:
        await made.close()
