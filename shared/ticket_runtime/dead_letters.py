"""Dead letters after the fact: what there is, what became of it, sending one again, putting one aside.

What is decided about a dead letter is a record on the same partition of the same topic, so that its whole story is in
one place, nothing is ever changed, and it needs no store of its own.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ticket_contracts import topics
from ticket_contracts.cloudevents import CONTENT_TYPE, encode
from ticket_runtime.handling import DLT, ONLY_FOR_GROUP

RESOLVES = "relaydesk-resolves"
"""Header of a resolution: the offset of the dead letter on the same partition, in decimal digits."""
REPLAY_OF = "relaydesk-replay-of"
"""Header of a message that was sent again: the id of the dead letter."""

Outcome = Literal["replayed", "superseded", "discarded"]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about a dead letter. at: UTC. reason: in a person's words, or what it was superseded by."""

    outcome: Outcome
    at: datetime
    by: str
    reason: str = ""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter. topic, partition, offset: of the message that failed, for the consumer group `group`; topic
    without prefix. at: its timestamp (UTC). error, reason: why. key, value, headers: as they came.

    where: topic, partition and offset of the dead letter itself. resolution: the latest, None while it is open.
    """

    where: tuple[str, int, int]
    topic: str
    partition: int
    offset: int
    group: str
    at: datetime
    error: str
    reason: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    resolution: Resolution | None = None

    @property
    def id(self) -> str:
        """`tickets.normalized/2/17`: partition and offset are those on the dead-letter topic."""
        _, partition, offset = self.where
        return f"{self.topic}/{partition}/{offset}"


class DeadLetters:
    """The dead letters of one desk. Made by `connect`."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        self._consumer: AIOKafkaConsumer
        self._admin: AIOKafkaAdminClient

    async def all(self) -> list[DeadLetter]:
        """Every dead letter with what became of it, by topic, partition and offset."""
        names = [
            name
            for name in sorted(await self._admin.list_topics())
            if name.startswith(self._prefix) and name.endswith(topics.DEAD_LETTER)
        ]
        found: dict[tuple[str, int, int], DeadLetter] = {}
        for name in names:
            for partition in sorted(await self._partitions(name)):
                async for record in self._read(TopicPartition(name, partition)):
                    said = dict(record.headers)
                    if RESOLVES in said:
                        at = name, partition, int(said[RESOLVES])
                        if at in found:
                            decided = msgspec.json.decode(record.value, type=Resolution)
                            found[at] = msgspec.structs.replace(found[at], resolution=decided)
                    elif DLT + "original-topic" in said:
                        letter = _read_letter(record, self._prefix)
                        found[letter.where] = letter
        return list(found.values())

    async def replay(self, letters: Iterable[DeadLetter], by: str) -> list[tuple[DeadLetter, Resolution]]:
        """Sends messages to their topics again, each for the group that it failed for alone, and records it in the same
        transaction. One whose group has handled something newer of the same key is recorded as superseded instead."""
        done = []
        async with self._writing() as producer:
            for letter in letters:
                newer = await self._handled_newer(letter)
                if newer is not None:
                    said = f"{letter.group} has handled offset {newer} of the same key since"
                    resolution = Resolution(outcome="superseded", at=datetime.now(UTC), by=by, reason=said)
                else:
                    resolution = Resolution(outcome="replayed", at=datetime.now(UTC), by=by)
                async with producer.transaction():
                    if newer is None:
                        await self._publish(producer, letter)
                    await self._record(producer, letter, resolution)
                done.append((letter, resolution))
        return done

    async def discard(self, letters: Iterable[DeadLetter], by: str, reason: str) -> list[tuple[DeadLetter, Resolution]]:
        """Records that messages will not be handled, and why."""
        done = []
        async with self._writing() as producer:
            for letter in letters:
                resolution = Resolution(outcome="discarded", at=datetime.now(UTC), by=by, reason=reason)
                async with producer.transaction():
                    await self._record(producer, letter, resolution)
                done.append((letter, resolution))
        return done

    async def _publish(self, producer: AIOKafkaProducer, letter: DeadLetter) -> None:
        headers = [
            *((name, said) for name, said in letter.headers if not name.startswith(DLT)),
            (ONLY_FOR_GROUP, letter.group.encode()),
            (REPLAY_OF, letter.id.encode()),
        ]
        batch = producer.create_batch()
        stamp = int(letter.at.timestamp() * 1_000)
        batch.append(timestamp=stamp, key=letter.key, value=letter.value, headers=headers)
        await (await producer.send_batch(batch, self._prefix + letter.topic, partition=letter.partition))

    async def _record(self, producer: AIOKafkaProducer, letter: DeadLetter, resolution: Resolution) -> None:
        topic, partition, offset = letter.where
        headers = [("content-type", CONTENT_TYPE), (RESOLVES, str(offset).encode())]
        await producer.send_and_wait(topic, encode(resolution), letter.key, partition=partition, headers=headers)

    async def _handled_newer(self, letter: DeadLetter) -> int | None:
        """The offset of a later message with the same key that the group is past. One that became a dead letter of that
        group as well was not handled; one without a key is nobody's successor."""
        if letter.key is None:
            return None
        original = TopicPartition(self._prefix + letter.topic, letter.partition)
        group = self._prefix + letter.group
        committed = (await self._admin.list_consumer_group_offsets(group, partitions=[original])).get(original)
        # A group that keeps its position elsewhere is taken to be past everything.
        until = committed.offset if committed is not None and committed.offset >= 0 else None
        failed = {
            other.offset
            for other in await self.all()
            if (other.topic, other.partition, other.group) == (letter.topic, letter.partition, letter.group)
        }
        async for record in self._read(original, letter.offset + 1, until):
            only_for = dict(record.headers).get(ONLY_FOR_GROUP, letter.group.encode())
            if record.key == letter.key and record.offset not in failed and only_for == letter.group.encode():
                return int(record.offset)
        return None

    async def _partitions(self, topic: str) -> list[int]:
        described = await self._admin.describe_topics([topic])
        return [partition["partition"] for partition in described[0]["partitions"]]

    async def _read(self, tp: TopicPartition, start: int = 0, until: int | None = None) -> AsyncIterator[Any]:
        """The committed records of a partition up to its present end, or to an earlier offset."""
        self._consumer.assign([tp])
        end = (await self._consumer.end_offsets([tp]))[tp]
        beginning = (await self._consumer.beginning_offsets([tp]))[tp]
        end = end if until is None else min(end, until)
        self._consumer.seek(tp, max(start, beginning))
        while await self._consumer.position(tp) < end:
            for record in (await self._consumer.getmany(timeout_ms=50)).get(tp, ()):
                if record.offset < end:
                    yield record

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=f"{self._prefix}dead-letters",
            enable_idempotence=True,
            acks="all",
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


@contextlib.asynccontextmanager
async def connect(bootstrap: str, prefix: str) -> AsyncIterator[DeadLetters]:
    """The dead letters of the desk with this topic prefix. Raises KafkaConnectionError."""
    letters = DeadLetters(bootstrap, prefix)
    async with contextlib.AsyncExitStack() as stack:
        letters._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await letters._admin.start()
        stack.push_async_callback(letters._admin.close)
        letters._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
        )
        await letters._consumer.start()
        stack.push_async_callback(letters._consumer.stop)
        yield letters


def _read_letter(record: Any, prefix: str) -> DeadLetter:
    said = dict(record.headers)

    def text(name: str) -> str:
        return str(said.get(DLT + name, b"").decode(errors="replace"))

    def number(name: str, form: str) -> int:
        try:
            return int(struct.unpack(form, said[DLT + name])[0])
        except (KeyError, struct.error):
            return -1

    milliseconds = max(number("original-timestamp", ">q"), 0)
    return DeadLetter(
        where=(record.topic, record.partition, record.offset),
        topic=text("original-topic").removeprefix(prefix),
        partition=number("original-partition", ">i"),
        offset=number("original-offset", ">q"),
        group=text("original-consumer-group"),
        at=datetime.fromtimestamp(milliseconds / 1_000, UTC),
        error=text("exception-fqcn"),
        reason=text("exception-message"),
        key=record.key,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if not name.startswith(DLT)],
    )
