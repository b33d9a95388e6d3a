"""What changed, to every open page: told by the ledger's commits, read once for all who look.

A commit tells which tickets it wrote; PostgreSQL's NOTIFY carries that to every process of the service, and each reads
these tickets once, however many pages are open. What is told is a hint and never the truth: it is sent after the
commit, so whoever falls behind, or loses the line, is told to read anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from ticket_handoff.desk.seats import Seat
from ticket_runtime.logs import logger

CHANNEL: Final = "relaydesk_changed"
_GATHER_SECONDS: Final = 0.15
"""What changes within this is told at once: a batch of the ledger commits many tickets."""
_AT_ONCE: Final = 200
"""More tickets than this: pages read anew what they show, which is cheaper than all of them."""
_PAYLOAD: Final = 7_500  # bytes; PostgreSQL takes less than 8,000
_BEHIND: Final = 100
_FIGURES_SECONDS: Final = 3.0
_AGAIN_SECONDS: Final = 1.0

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class News:
    """name: `tickets` or `counts`, with data for the page, or `anew`: read again what you show."""

    name: str
    data: str = ""


ANEW: Final = News("anew")


@dataclass(eq=False, slots=True)
class _Reader:
    seat: Seat
    news: asyncio.Queue[News | None] = field(default_factory=lambda: asyncio.Queue(_BEHIND))


Describe = Callable[[str, Sequence[str]], Awaitable[list[Any]]]
"""What a principal may be told of these tickets, as it goes to the page."""
Count = Callable[[str], Awaitable[Any]]
"""The figures that a principal sees above its queues."""


class Live:
    """The news of one process. Begin it with `run`; `changed` may be called before."""

    def __init__(self, database: URL, describe: Describe, count: Count) -> None:
        self._address = database.set(drivername="postgresql").render_as_string(hide_password=False)
        self._describe, self._count = describe, count
        self._readers: set[_Reader] = set()
        self._told: set[str] = set()
        self._heard: set[str] | None = set()  # None: more than can be named
        self._wake, self._listen, self._recount = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._closed = False

    def changed(self, tickets: Iterable[str]) -> None:
        """Tickets that a commit has just written. Never raises and never waits."""
        self._told.update(tickets)
        self._wake.set()

    @property
    def readers(self) -> int:
        """Open pages that listen."""
        return len(self._readers)

    async def news(self, seat: Seat, seconds: float) -> AsyncIterator[News]:
        """For so long at most; until the reader goes, or the service stops."""
        reader = _Reader(seat)
        until = asyncio.get_running_loop().time() + seconds
        self._readers.add(reader)
        try:
            while not self._closed:
                try:
                    async with asyncio.timeout_at(until):
                        told = await reader.news.get()
                except TimeoutError:
                    return
                if told is None:
                    return
                yield told
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """Lets every reader go."""
        self._closed = True
        for reader in self._readers:
            self._put(reader, None)

    async def run(self) -> None:
        """Never ends by itself. While the database is away it tries again, and tells all to read anew afterwards."""
        while True:
            try:
                await self._follow()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError) as error:
                log.warning("live updates wait for the database", error=type(error).__name__)
            except Exception:
                log.exception("live updates begin anew after a fault")
            await asyncio.sleep(_AGAIN_SECONDS)
            self._hear("")

    async def _follow(self) -> None:
        connection = await asyncpg.connect(self._address, server_settings={"application_name": "handoff desk"})
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        try:
            await connection.add_listener(CHANNEL, lambda *said: self._hear(said[3]))
            work = [
                asyncio.create_task(each)
                for each in (gone.wait(), self._tell(connection), self._deliver(), self._figures())
            ]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            finally:
                for each in work:
                    each.cancel()
                await asyncio.gather(*work, return_exceptions=True)
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=2)

    async def _tell(self, connection: asyncpg.Connection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            told, self._told = self._told, set()
            for payload in _payloads(sorted(told)):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
            await asyncio.sleep(_GATHER_SECONDS)

    def _hear(self, payload: str) -> None:
        """An empty payload: whatever it was, it is more than can be named."""
        if not payload or self._heard is None:
            self._heard = None
        else:
            self._heard.update(msgspec.json.decode(payload, type=list[str]))
            if len(self._heard) > _AT_ONCE:
                self._heard = None
        self._listen.set()

    async def _deliver(self) -> None:
        while True:
            await self._listen.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._listen.clear()
            heard, self._heard = self._heard, set()
            for principal, readers in self._by_principal().items():
                told = ANEW
                if heard is not None:
                    said = await self._describe(principal, sorted(heard))
                    if not said:
                        continue
                    told = News("tickets", msgspec.json.encode(said).decode())
                for reader in readers:
                    self._put(reader, told)
            self._recount.set()

    async def _figures(self) -> None:
        """However much happens, people read no figure that changes all the time."""
        while True:
            await self._recount.wait()
            self._recount.clear()
            for principal, readers in self._by_principal().items():
                told = News("counts", msgspec.json.encode(await self._count(principal)).decode())
                for reader in readers:
                    self._put(reader, told)
            await asyncio.sleep(_FIGURES_SECONDS)

    def _by_principal(self) -> dict[str, list[_Reader]]:
        found: dict[str, list[_Reader]] = {}
        for reader in self._readers:
            found.setdefault(reader.seat.principal, []).append(reader)
        return found

    def _put(self, reader: _Reader, news: News | None) -> None:
        """Who does not keep up has what waits for it replaced by the word to read anew."""
        if reader.news.full() or news is None:
            while not reader.news.empty():
                reader.news.get_nowait()
            news = ANEW if news is not None else None
        reader.news.put_nowait(news)


def _payloads(tickets: Sequence[str]) -> list[str]:
    """As many as are needed to name these tickets; one that names none where they are too many."""
    if len(tickets) > _AT_ONCE:
        return [""]
    found: list[list[str]] = []
    size = _PAYLOAD
    for ticket in tickets:
        needs = len(msgspec.json.encode(ticket)) + 1
        if size + needs > _PAYLOAD:
            found.append([])
            size = 2
        found[-1].append(ticket)
        size += needs
    return [msgspec.json.encode(each).decode() for each in found]
