"""From the outbox to Kafka: each row once for a reader of committed messages, whatever is killed in between.

The number of the last row published is committed, as an offset of `handoff.outbox`, in the Kafka transaction that
publishes it. Whoever relays a partition next fences the former relay first, and only then reads that number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from ticket_handoff.adapters.store import Numbered, Store
from ticket_runtime.logs import logger
from ticket_runtime.outputs import Message
from ticket_runtime.settings import CannotRun, RuntimeSettings
from ticket_runtime.transactions import TaskProducer

GROUP: Final = "handoff-relay"
OUTBOX: Final = "handoff.outbox"

_ROWS: Final = 2_000
"""Of one Kafka transaction."""
_KEPT: Final = 20_000
"""Rows held in memory for a relay that is behind; it reads further ones from the database."""
_FORGET_EACH: Final = 20_000
_LOOK_SECONDS: Final = 0.5
"""How often a relay looks for rows that another process appended."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Outbox:
    """Of one partition. waiting: rows that are known to be committed and not published yet. published: number of the
    last row that is; it grows for good, whoever relays."""

    waiting: int
    published: int


class RelayStopped(Exception):
    """A transaction ended without a word: whether it was committed is for the next relay to find out."""


class Relay(TaskProducer):
    """The relay of one partition. fail: is told of the error that ended it; the process must end with it.

    alone: is held while it publishes."""

    def __init__(
        self,
        settings: RuntimeSettings,
        partition: int,
        store: Store,
        admin: Callable[[], AIOKafkaAdminClient],
        fail: Callable[[BaseException], None],
    ) -> None:
        group = settings.topic_prefix + GROUP
        super().__init__(settings, f"{group}-{partition}", group, None)
        self._outbox = TopicPartition(settings.topic_prefix + OUTBOX, partition)
        self._relay_group, self._partition, self._store, self._admin, self._fail = group, partition, store, admin, fail
        self._published = self._forgotten = self._last = 0
        self._position_known = False
        self._fresh: deque[Numbered] = deque()
        self._wake = asyncio.Event()
        self.alone = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._closing = False
        self._unsure = False

    async def fence(self) -> None:
        """After this nobody else relays this partition. Raises CannotRun when database and broker are not of one
        desk."""
        await super().fence()
        self._published = await self._position()
        self._last = last = (await self._store.last_numbers([self._partition])).get(self._partition, 0)
        next_rows = await self._store.unpublished(self._partition, self._published, 1)
        if self._published > last or (self._published < last and [r.seq for r in next_rows] != [self._published + 1]):
            raise CannotRun(
                f"the ledger's outbox of partition {self._partition} ends at {last}, the broker has published "
                f"{self._published} of it: this database and this broker are not of one desk, or one was set back; "
                "restore what belongs together, or start both empty"
            )
        self._position_known = True
        await self.flush()

    def follow(self) -> None:
        """From here on publishes by itself what is appended, here or by another process."""
        self._following = asyncio.create_task(self._follow(), name=f"relay-{self._partition}")

    @property
    def outbox(self) -> Outbox | None:
        """How far it is; None before it knows."""
        return Outbox(self._last - self._published, self._published) if self._position_known else None

    def appended(self, rows: Sequence[Numbered]) -> None:
        """Rows that were just committed; saves reading them back."""
        if rows:
            self._last = max(self._last, rows[-1].seq)
        if len(self._fresh) < _KEPT:
            self._fresh.extend(rows)
        self._wake.set()

    async def flush(self, last: Sequence[Message] = ()) -> None:
        """Publishes all that was committed before this was called; `last` goes out after it, in its last
        transaction."""
        async with self.alone:
            await self._flush(last)

    async def close(self) -> None:
        """Publishes what is left, if all is well; the next relay does it otherwise. Never cuts a transaction short: one
        that ended without a word may have been committed, and must not be begun again."""
        self._closing = True
        self._wake.set()
        if self._following is not None:
            await asyncio.wait({self._following})
        if not self._unsure:
            with contextlib.suppress(Exception):
                await self.flush()
        await super().close()

    async def _flush(self, last: Sequence[Message] = ()) -> None:
        while True:
            rows = await self._next_rows()
            final = len(rows) < _ROWS
            if rows or (final and last):
                await self._publish(rows, last if final else ())
            if final:
                return

    async def _follow(self) -> None:
        try:
            while not self._closing:
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    await self._forget()
                self._wake.clear()
                await self.flush()
        except Exception as error:
            self._fail(error)

    async def _next_rows(self) -> list[Numbered]:
        """What follows the last row published: as it was handed over, or from the database."""
        fresh = self._fresh
        while fresh and fresh[0].seq <= self._published:
            fresh.popleft()
        if not fresh or fresh[0].seq != self._published + 1:
            return await self._store.unpublished(self._partition, self._published, _ROWS)
        rows: list[Numbered] = []
        while fresh and len(rows) < _ROWS and fresh[0].seq == self._published + len(rows) + 1:
            rows.append(fresh.popleft())
        return rows

    async def _publish(self, rows: list[Numbered], last: Sequence[Message]) -> None:
        if self._unsure:
            raise RelayStopped(f"the relay of partition {self._partition} ended in a transaction")
        reached = rows[-1].seq if rows else self._published
        self._last = max(self._last, reached)  # what another process appended is known by being read
        messages = [row.message for row in rows]
        self._unsure = True
        # An offset is where a group goes on: the number of the last row, as it reads in the group's lag too.
        await super().commit([*messages, *last], [], {self._outbox: OffsetAndMetadata(reached, "")} if rows else {})
        self._unsure = False
        self._published = reached
        if reached - self._forgotten >= _FORGET_EACH:
            await self._forget()

    async def _forget(self) -> None:
        """What was published is kept no longer: it holds text."""
        published = self._published
        if self._forgotten < published:
            await self._store.forget(self._partition, published)
            self._forgotten = published

    async def _position(self) -> int:
        while True:
            try:
                found = await self._admin().list_consumer_group_offsets(self._relay_group, partitions=[self._outbox])
            except KafkaError as error:
                if not error.retriable:
                    raise
                found = {}
            # A coordinator that still loads answers without the partition: nothing is known, not "none committed".
            if self._outbox in found:
                return max(int(found[self._outbox].offset), 0)
            await asyncio.sleep(0.1)
