"""Leads the services through a replay: names each step, waits until all have worked it off, goes to the next due
instant.

A step has an instant. Its rounds: (1) what the feed and the simulated people send up to that instant is written; rounds
go on while anybody emits something; (2) a round with `fire` lets timers due by then go off, and their effects settle as
well. The grain keeps the steps few; every decision is made for its own exact instant all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2

from relaydesk_replay.feed import Feed, FeedItem
from relaydesk_replay.people import Answer, People
from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.time import Progress, TimeStep
from ticket_contracts.transfers import OfferClosed, OfferMade

_progress = msgspec.json.Decoder(Progress)
_offer = msgspec.json.Decoder(OfferMade)
_closed = msgspec.json.Decoder(OfferClosed)
_OFFER_TYPE, _CLOSED_TYPE = OfferMade.TYPE.encode(), OfferClosed.TYPE.encode()


class ReplayStuck(RuntimeError):
    """A round that was not worked off in time: names who is missing."""


@dataclass(slots=True)
class Pulse:
    """Where a replay is, for a progress bar: instant, rounds so far, messages fed and to be fed."""

    instant: datetime
    rounds: int
    fed: int
    of: int


@dataclass(slots=True)
class _Group:
    name: str
    inputs: list[str]
    tasks: int
    next_due: dict[int, datetime] = field(default_factory=dict)


def _partition(key: bytes, count: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % count


class Driver:
    """One replay of one desk. Not reusable.

    names: the desk's topics without prefix. partitions: of topics keyed by ticket. grain: of a step.
    round_timeout: seconds after which a round that is not worked off is an error.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        names: list[str],
        partitions: int,
        people: People,
        *,
        grain: timedelta,
        round_timeout: float = 120.0,
    ) -> None:
        self._bootstrap, self._prefix, self._partitions = bootstrap, prefix, partitions
        self._people, self._grain, self._timeout = people, grain, round_timeout
        readers = topics.readers(names)
        self._groups = {
            group: _Group(group, inputs, 1 if group == "router" else partitions) for group, inputs in readers.items()
        }
        self._consumed = sorted({name for inputs in readers.values() for name in inputs})
        self._offers = sorted(
            name for name in names if name.startswith(topics.OFFERS) and not name.endswith(topics.DEAD_LETTER)
        )
        self._replies: list[tuple[datetime, str, Answer]] = []
        self._over: set[tuple[str, int | None]] = set()
        self._unanswered: dict[tuple[str, int | None], str | None] = {}
        self._ends: dict[str, list[int]] = {}
        self._heard: dict[TopicPartition, int] = {}
        self._step = self._round = self.rounds = 0

    async def play(self, feed: Feed, pulse: Callable[[Pulse], None] = lambda _: None) -> datetime:
        """Plays the feed to its end and returns the instant reached. The services run already, in stream time. Raises
        ReplayStuck."""
        async with self._connections():
            items = iter(feed.items)
            upcoming: FeedItem | None = next(items, None)
            last = feed.items[-1].at
            instant = datetime.min.replace(tzinfo=UTC)
            fed = 0
            self._ends = await self._end_offsets()
            while True:
                due = [at for at in (upcoming.at if upcoming else None, self._next_due(), self._next_reply()) if at]
                if not due or (upcoming is None and instant >= last):
                    return instant
                instant = max(self._ceil(min(due)), instant)
                batch: list[FeedItem] = []
                while upcoming is not None and upcoming.at <= instant:
                    batch.append(upcoming)
                    upcoming = next(items, None)
                await self._send(batch)
                fed += len(batch)
                await self._work_off(instant)
                self._step += 1
                pulse(Pulse(instant, self.rounds, fed, len(feed.items)))

    async def go_live(self) -> None:
        """Tells the services to go on by the wall clock."""
        async with self._connections():
            await self._name_round(datetime.now(UTC), fire=True, mode="wall")

    async def _work_off(self, instant: datetime) -> None:
        self._round = 0
        while True:
            emitted = await self._one_round(instant, fire=False)
            replied = await self._send_replies(instant)
            if emitted or replied:
                continue
            due = self._next_due()
            if due is None or due > instant:
                return
            if await self._one_round(instant, fire=True):
                continue
            # What is forgotten in silence may have been the last that was due at all.
            due = self._next_due()
            if due is not None and due <= instant:
                raise ReplayStuck(f"what is due by {instant} was neither fired nor moved: {self._overdue(instant)}")

    async def _one_round(self, instant: datetime, *, fire: bool) -> int:
        """Returns how many records the services emitted."""
        before = self._ends
        self._ends = await self._end_offsets()
        concerned = {
            (group.name, task)
            for group in self._groups.values()
            for task in range(group.tasks)
            if self._moved(group, task, before)
            or (fire and group.next_due.get(task, datetime.max.replace(tzinfo=UTC)) <= instant)
        }
        if not concerned:
            return 0
        await self._name_round(instant, fire=fire, mode="stream")
        emitted = 0
        waiting = set(concerned)
        offers_written = False
        async for progress in self._answers():
            if (progress.step, progress.round) != (self._step, self._round):
                continue
            group = self._groups[progress.group]
            if progress.next_due is None:
                group.next_due.pop(progress.task, None)
            else:
                group.next_due[progress.task] = progress.next_due
            emitted += progress.emitted
            offers_written |= progress.group == "handoff" and progress.emitted > 0
            waiting.discard((progress.group, progress.task))
            if not waiting:
                break
        self._round += 1
        self.rounds += 1
        if offers_written:
            await self._hear_offers()
        return emitted

    def _moved(self, group: _Group, task: int, before: dict[str, list[int]]) -> bool:
        partitions = range(self._partitions) if group.tasks == 1 else (task,)
        return any(
            self._ends[name][p] > (before[name][p] if name in before else 0)
            for name in group.inputs
            for p in partitions
        )

    async def _name_round(self, instant: datetime, *, fire: bool, mode: str) -> None:
        step = TimeStep(
            mode="wall" if mode == "wall" else "stream",
            step=self._step,
            round=self._round,
            instant=instant,
            ends=self._ends,
            fire=fire,
        )
        await self._producer.send_and_wait(self._prefix + topics.TIME, encode(step), partition=0)

    async def _answers(self) -> AsyncIterator[Progress]:
        deadline = asyncio.get_running_loop().time() + self._timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    record = await self._progress_reader.getone()
            except TimeoutError:
                raise ReplayStuck(
                    f"step {self._step} round {self._round} was not worked off within {self._timeout:.0f} s; "
                    "the services' logs say what they wait for"
                ) from None
            yield _progress.decode(record.value)

    async def _end_offsets(self) -> dict[str, list[int]]:
        partitions = [
            TopicPartition(self._prefix + name, p) for name in self._consumed for p in range(self._partitions)
        ]
        ends = await self._ends_reader.end_offsets(partitions)
        return {
            name: [ends[TopicPartition(self._prefix + name, p)] for p in range(self._partitions)]
            for name in self._consumed
        }

    async def _send(self, batch: list[FeedItem]) -> None:
        sent = [
            await self._producer.send(
                self._prefix + topics.inbound(item.source),
                item.body,
                partition=_partition(item.thread.encode(), self._partitions),
                timestamp_ms=_milliseconds(item.at),
            )
            for item in batch
        ]
        await asyncio.gather(*sent)

    async def _hear_offers(self) -> None:
        """Reads every new offer, and what its receiver will answer, when. Only partitions that grew are asked for: a
        desk of seventy queues would otherwise cost a request over hundreds of partitions each time."""
        everywhere = [TopicPartition(self._prefix + name, p) for name in self._offers for p in range(self._partitions)]
        ends = await self._ends_reader.end_offsets(everywhere)
        behind = {tp: end for tp, end in ends.items() if self._heard.get(tp, 0) < end}
        if not behind:
            return
        self._offers_reader.assign(list(behind))
        for tp in behind:
            self._offers_reader.seek(tp, self._heard.get(tp, 0))
        waiting = set(behind)
        async with asyncio.timeout(self._timeout):
            while waiting:
                for records in (await self._offers_reader.getmany(timeout_ms=50)).values():
                    for record in records:
                        self._hear(dict(record.headers).get("ce_type"), record.value)
                waiting = {tp for tp in waiting if await self._offers_reader.position(tp) < behind[tp]}
        self._heard.update(behind)

    def _hear(self, kind: bytes | None, value: bytes) -> None:
        if kind == _CLOSED_TYPE:
            closed = _closed.decode(value)
            self._over.add((closed.transfer_id, closed.attempt))
        elif kind == _OFFER_TYPE:
            offer = _offer.decode(value)
            if (offer.transfer_id, offer.attempt) in self._unanswered:  # they will have read the newest package
                self._unanswered[offer.transfer_id, offer.attempt] = offer.digest
                return
            answer = self._people.answer(offer)
            if answer is not None:
                self._unanswered[offer.transfer_id, offer.attempt] = offer.digest
                self._will_say(answer)

    def _will_say(self, answer: Answer) -> None:
        heapq.heappush(self._replies, (answer.at, answer.reply.reply_id, answer))

    async def _send_replies(self, instant: datetime) -> int:
        sent = []
        while self._replies and self._replies[0][0] <= instant:
            at, _, answer = heapq.heappop(self._replies)
            reply = answer.reply
            if reply.transfer_id:  # what they say of a ticket that they have needs no package
                digest = self._unanswered.pop((reply.transfer_id, reply.attempt))
                reply = msgspec.structs.replace(reply, digest=digest)
            if (reply.transfer_id, reply.attempt) in self._over:
                continue  # its receiver has been told that the offer is over, and does not answer it
            assert reply.ticket is not None
            key = reply.ticket.encode()
            sent.append(
                await self._producer.send(
                    self._prefix + topics.replies(answer.principal),
                    encode(reply),
                    key=key,
                    partition=_partition(key, self._partitions),
                    timestamp_ms=_milliseconds(at),
                )
            )
            if answer.then is not None:
                self._will_say(answer.then)
        await asyncio.gather(*sent)
        return len(sent)

    def _overdue(self, instant: datetime) -> str:
        return ", ".join(
            f"{group.name}-{task} since {due}"
            for group in self._groups.values()
            for task, due in sorted(group.next_due.items())
            if due <= instant
        )

    def _ceil(self, at: datetime) -> datetime:
        grain = int(self._grain.total_seconds())
        return datetime.fromtimestamp(-(-int(at.timestamp()) // grain) * grain, UTC)

    @contextlib.asynccontextmanager
    async def _connections(self) -> AsyncIterator[None]:
        reading: dict[str, Any] = {
            "bootstrap_servers": self._bootstrap,
            "auto_offset_reset": "latest",
            "enable_auto_commit": False,
        }
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True, linger_ms=0, max_batch_size=262_144
        )
        self._progress_reader = AIOKafkaConsumer(isolation_level="read_committed", fetch_max_wait_ms=500, **reading)
        self._ends_reader = AIOKafkaConsumer(isolation_level="read_uncommitted", **reading)
        self._offers_reader = AIOKafkaConsumer(isolation_level="read_committed", fetch_max_wait_ms=20, **reading)
        async with contextlib.AsyncExitStack() as stack:
            for client in (self._producer, self._progress_reader, self._ends_reader, self._offers_reader):
                await client.start()
                stack.push_async_callback(client.stop)
            progress = TopicPartition(self._prefix + topics.PROGRESS, 0)
            self._progress_reader.assign([progress])
            await self._progress_reader.seek_to_end(progress)
            yield

    def _next_due(self) -> datetime | None:
        return min((due for group in self._groups.values() for due in group.next_due.values()), default=None)

    def _next_reply(self) -> datetime | None:
        return self._replies[0][0] if self._replies else None


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
