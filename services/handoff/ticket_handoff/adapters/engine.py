"""The runtime's loop over a ledger: a batch is one database transaction, and what it says is relayed to Kafka after it.

Everything else is the runtime's own: the gate, the fence, care after a crash, dead letters, the steps of a replay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from ticket_contracts import topics
from ticket_contracts.ids import event_id
from ticket_handoff.adapters.measure import HandoffMetrics
from ticket_handoff.adapters.relay import Relay
from ticket_handoff.adapters.store import Move, Numbered, Store
from ticket_handoff.domain.decision import Answer
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.handlers import OF_TICKETS, Changes, HandoffWork
from ticket_runtime import decisions
from ticket_runtime.agreements import Agreements
from ticket_runtime.attempts import read_mark
from ticket_runtime.clock import Clock
from ticket_runtime.context import LiveView
from ticket_runtime.handling import Arrived
from ticket_runtime.logs import logger
from ticket_runtime.loop import Loop
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Collector, Message
from ticket_runtime.runner import Position, TaskGroup, TaskRunner
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.task import Record, Transient
from ticket_runtime.transactions import TaskProducer

SOURCE: Final = "/relaydesk/handoff"
_OUTBOX_SECONDS: Final = 1.0
"""How often it is told how far the relays are: a process that cannot publish lives for seconds."""
_LEDGER_SECONDS: Final = 10.0
"""How often the gauges of the ledger are read."""
_HOUSEKEEPING_SECONDS: Final = 600.0
"""How often it is looked for what is to be forgotten."""

log = logger(__name__)


class LedgerProducer(Relay):
    """What a task commits to: the ledger first, in one transaction with the offsets, then, by the relay, Kafka.

    appended: is told of the rows that other partitions' outboxes got; committed: of what was written to the ledger.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        partition: int,
        store: Store,
        clock: Clock,
        admin: Callable[[], AIOKafkaAdminClient],
        fail: Callable[[BaseException], None],
        appended: Callable[[Mapping[int, Sequence[Numbered]]], None],
        committed: Callable[[Changes], None] = lambda _: None,
    ) -> None:
        super().__init__(settings, partition, store, admin, fail)
        self._prefix, self._clock, self._tell, self._committed = len(settings.topic_prefix), clock, appended, committed
        self._at: dict[str, int] = {}
        self._session: contextlib.AsyncExitStack | None = None
        self._connection: AsyncConnection | None = None
        self._salts: dict[str, bytes] = {}
        self.work: HandoffWork

    async def fence(self) -> None:
        await super().fence()
        self.follow()

    async def positions(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Position]:
        """Where the ledger stands. To be asked after fencing."""
        found = await self._store.positions(self._partition, [self._name(tp) for tp in partitions])
        self._at = {topic: offset for topic, (offset, _) in found.items()}
        # What took effect while nobody was at work is followed at once.
        self.work.followed = await self._store.oldest_outside(self._partition)
        return {tp: Position(found[self._name(tp)][0], read_mark(found[self._name(tp)][1])) for tp in partitions}

    async def prepare(self, batch: Sequence[Arrived]) -> None:
        """Begins the transaction of a batch and loads its tickets; one that goes on after an interruption stays."""
        if self._connection is not None:
            if self.work.changed:
                return
            await self.abandon()
        connection = await self._begin()
        tickets, transfers = set(), set()
        for arrived in batch:
            if arrived.topic.startswith(topics.REPLIES, self._prefix):
                named = _named_in(arrived.value)
                transfers.add(named.transfer_id)
                tickets.add(named.ticket or "")
            elif arrived.key is not None:
                tickets.add(arrived.key.decode(errors="replace"))
        ticket_of = await self._store.tickets_of(connection, transfers)
        loaded = await self._store.load(connection, sorted(tickets | set(ticket_of.values())))
        self.work.hold(loaded.held, ticket_of)
        self._salts = loaded.salts

    async def prepare_to_fire(self, now: datetime) -> None:
        """Adds the tickets that an agreement's new version is about: those with an offer outside."""
        due = self.work.next_due()
        if due is None or due > now:
            return
        if self._connection is None:  # what was held before is no longer locked
            self.work.hold({}, {})
            self._salts = {}
        connection = self._connection or await self._begin()
        outside = await self._store.offered_outside(connection, self._partition)
        loaded = await self._store.load(connection, sorted(set(outside) - set(self.work.tickets)))
        self.work.hold({**loaded.held, **self.work.tickets}, self.work.ticket_of)
        self._salts = {**loaded.salts, **self._salts}

    async def commit(
        self,
        messages: list[Message],
        stored: list[tuple[bytes, bytes | None]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        """Raises Superseded, LedgerFault, the database's errors, or TimeoutError: the process ends with each."""
        own = [message for message in messages if message.topic == topics.PROGRESS]
        published = messages if not own else [message for message in messages if message.topic != topics.PROGRESS]
        changes = self.work.take_changes()
        # All of the partition's, also those that stay: of two owners at once, whose topics differ, one writes.
        moves: dict[str, Move] = {topic: (offset, offset, None) for topic, offset in self._at.items()}
        for tp, position in offsets.items():
            topic = self._name(tp)
            moves[topic] = self._at[topic], position.offset, position.metadata
        if not self._clock.streaming:
            await self._write(changes, published, moves)
            return
        async with self.alone:  # a round and its answer are published together
            await self._write(changes, published, moves)
            await self._flush(own)

    async def _write(self, changes: Changes, messages: Sequence[Message], moves: Mapping[str, Move]) -> None:
        async with asyncio.timeout(self._settings.commit_seconds):
            connection = self._connection or await self._begin()
            appended = await self._store.write(connection, changes, messages, self._salts, self._partition, moves)
            await self._end()
        self._committed(changes)
        self._at |= {topic: after for topic, (_, after, _) in moves.items()}
        self.appended(appended.pop(self._partition, ()))
        self._tell(appended)

    async def let_go(self) -> None:
        """Ends the transaction of a batch of which nothing was handled: others need not wait for it."""
        if not self.work.changed:
            await self.abandon()

    async def close(self) -> None:
        """Never raises."""
        with contextlib.suppress(Exception):
            await self.abandon()
        await super().close()

    def _name(self, tp: TopicPartition) -> str:
        return str(tp.topic[self._prefix :])

    async def _begin(self) -> AsyncConnection:
        session = contextlib.AsyncExitStack()
        self._connection = await session.enter_async_context(self._store.transaction())
        self._session = session
        return self._connection

    async def _end(self) -> None:
        session, self._session, self._connection = self._session, None, None
        if session is not None:
            await session.aclose()

    async def abandon(self) -> None:
        """Rolls back what was begun; what was handled meanwhile counts no more."""
        session, connection = self._session, self._connection
        self._session = self._connection = None
        self.work.take_changes()
        if session is not None and connection is not None:
            await connection.rollback()
            await session.aclose()


class LedgerRunner(TaskRunner):
    """A task whose state is in the ledger."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if not isinstance(self._producer, LedgerProducer) or not isinstance(self.work, HandoffWork):
            raise TypeError(f"a ledger serves handoff's work, not {self.work!r}")
        self._ledger = self._producer
        self._ledger.work = self.work

    async def _prepare(self, batch: list[Arrived]) -> None:
        await self._ledger.prepare(batch)

    async def _prepare_to_fire(self, now: datetime) -> None:
        await self._ledger.prepare_to_fire(now)

    async def _nothing_came_of_it(self) -> None:
        await self._ledger.let_go()

    async def _pause(self, trouble: Transient) -> bool:
        await self._ledger.let_go()
        return await super()._pause(trouble)

    async def _sign_off(self) -> None:
        """What was handled and not committed is given back."""
        await self._ledger.abandon()
        await super()._sign_off()


class LedgerLoop(Loop):
    """The loop of one process, and the relays of the partitions that it has."""

    runner_type = LedgerRunner

    def __init__(
        self, store: Store, group: TaskGroup, settings: RuntimeSettings, clock: Clock, metrics: Metrics, view: LiveView
    ) -> None:
        super().__init__(group, settings, clock, metrics, view)
        self._store = store
        self.ledger_metrics = HandoffMetrics(metrics.registry)
        self._relays: dict[int, LedgerProducer] = {}

    def appended(self, rows: Mapping[int, Sequence[Numbered]]) -> None:
        """Rows of the outbox that were just committed, by partition. Relays in other processes find theirs by
        themselves."""
        for partition, found in rows.items():
            if partition in self._relays:
                self._relays[partition].appended(found)

    def _make_producer(self, number: int, changelog: TopicPartition | None) -> TaskProducer:
        ledger = LedgerProducer(
            self._settings,
            number,
            self._store,
            self._clock,
            lambda: self._admin,
            self._fail,
            self.appended,
            self.ledger_metrics.committed,
        )
        self._relays[number] = ledger
        return ledger

    async def _positions(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Position]:
        return await self._relays[partitions[0].partition].positions(partitions)

    def _helpers(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        return [*super()._helpers(), self._measure_outboxes, self._measure_ledger, self._forget_ended]

    async def _forget_ended(self) -> None:
        """As many days after the end of a ticket as the agreement in force says. A replay forgets nothing: when this
        comes is no part of its time."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            work = next((runner.work for runner in self._runners.values()), None)
            if self._clock.streaming or not isinstance(work, HandoffWork):
                continue
            now, count = self._clock.now(), 0
            try:
                days = work.book.in_force(now).agreement.routing.ended_kept_days
                while found := await self._store.forget_ended(now - timedelta(days=days)):
                    count += found
            except Transient:
                continue  # no agreement is known yet
            except (SQLAlchemyError, OSError) as error:
                log.warning("what ended could not be forgotten: tried again later", reason=type(error).__name__)
            if count:
                log.info("forgot what was said of tickets that ended", tickets=count)

    async def _measure_outboxes(self) -> None:
        while True:
            self.ledger_metrics.outboxes({number: self._relays[number].outbox for number in self._runners})
            await asyncio.sleep(_OUTBOX_SECONDS)

    async def _measure_ledger(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LEDGER_SECONDS):
                    await self.ledger_metrics.look(self._store.engine)
            except (SQLAlchemyError, OSError) as error:
                # Whoever writes ends with the same error; for who does not, the metric of the last answer says it.
                log.warning("the ledger does not answer", reason=type(error).__name__)
            await asyncio.sleep(_LEDGER_SECONDS)


class Replies:
    """Replies that come by HTTP: the same protocol as for those of a topic, in a transaction of their own.

    appended: is told what was appended to the outbox; committed: what was written to the ledger.
    """

    def __init__(
        self,
        store: Store,
        agreements: Agreements,
        appended: Callable[[Mapping[int, Sequence[Numbered]]], None],
        committed: Callable[[Changes], None] = lambda _: None,
    ) -> None:
        self._store, self._agreements, self._appended, self._count = store, agreements, appended, committed

    async def give(self, given: ReplyGiven, trace: Mapping[str, str] | None = None) -> Answer:
        """trace: `traceparent` and `correlationid` of the request, as far as it brought them. Raises Refused, and
        Transient while the agreement is not known."""
        work = HandoffWork(self._agreements)
        out = Collector(SOURCE, None)
        reply = given.reply
        async with self._store.transaction() as connection:
            ticket_of = await self._store.tickets_of(connection, [reply.transfer_id] if reply.transfer_id else [])
            wanted = [reply.ticket or ""] if reply.action in OF_TICKETS else ticket_of.values()
            loaded = await self._store.load(connection, wanted)
            work.hold(loaded.held, ticket_of)
            out.begin(_as_record(given, trace or {}))
            answer = work.answer(given, event_id("http", given.principal, given.reply.reply_id), out)
            decided, records = out.decided, out.records
            messages, _ = out.take()
            changes = work.take_changes()
            appended = await self._store.write(connection, changes, messages, loaded.salts)
        self._count(changes)
        decisions.tell("handoff", decided, records)
        self._appended(appended)
        return answer


def _as_record(given: ReplyGiven, trace: Mapping[str, str]) -> Record:
    """The cause that the events of a reply by HTTP name; a repetition is the same cause."""
    reply = given.reply
    own_id = event_id("http-reply", given.principal, reply.transfer_id or reply.ticket or "", reply.reply_id)
    return Record(
        topic="http",
        partition=-1,
        offset=0,
        key=None,
        value=None,
        headers={"ce_id": own_id.encode(), **{f"ce_{name}": said.encode() for name, said in trace.items()}},
        timestamp_ms=int(given.at.timestamp() * 1_000),
        instant=given.at,
    )


class _Named(msgspec.Struct):
    transfer_id: str = ""
    ticket: str | None = None


_named = msgspec.json.Decoder(_Named)


def _named_in(value: bytes | None) -> _Named:
    """What a reply is about."""
    try:
        return _named.decode(value or b"")
    except msgspec.DecodeError:
        return _Named()  # refused when it is handled
