"""Dead letters after the fact: what there is, what became of it, sending one again, putting one aside.

What is decided about a dead letter is a record on the same partition of the same topic, so that its whole story is in
one place, nothing is ever changed, and it needs no store of its own.
"""

from __future__ import annotations

import base64
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
    """One dead letter, without its message: see `DeadLetters.value`.

    topic, partition, offset: of the message that failed, for the consumer group `group`; topic without prefix. at: its
    timestamp (UTC). error, reason: why. path: where in the message, when that is one place. key, headers: as they came;
    size: of the value, in bytes. where: topic, partition and offset of the dead letter itself. resolution: the latest,
    None while it is open.
    """

    where: tuple[str, int, int]
    topic: str
    partition: int
    offset: int
    group: str
    at: datetime
    error: str
    reason: str
    path: str | None
    key: bytes | None
    size: int
    headers: list[tuple[str, bytes]]
    resolution: Resolution | None = None

    @property
    def id(self) -> str:
        """`tickets.normalized/2/17`: partition and offset are those on the dead-letter topic."""
        _, partition, offset = self.where
        return f"{self.topic}/{partition}/{offset}"

    @property
    def source(self) -> str:
        """The tool it came from: of the topic's name, or of the ticket's key; empty when neither says so."""
        if self.topic.startswith(topics.INBOUND):
            return self.topic.removeprefix(topics.INBOUND)
        name, colon, _ = (self.key or b"").decode(errors="replace").partition(":")
        return name if colon else ""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters. group: the service. reason: a part of it, in any case. since, until: of the message's own
    timestamp (UTC), until exclusive. resolved: also those that something was decided about."""

    topic: str | None = None
    group: str | None = None
    source: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    resolved: bool = False

    def takes(self, letter: DeadLetter) -> bool:
        return (
            (self.resolved or letter.resolution is None)
            and self.topic in (None, letter.topic)
            and self.group in (None, letter.group)
            and self.source in (None, letter.source)
            and (self.reason is None or self.reason.lower() in letter.reason.lower())
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


Decided = list[tuple[DeadLetter, Resolution]]


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

    async def value(self, letter: DeadLetter) -> bytes | None:
        """The message as it came. Raises LookupError when the topic keeps it no longer."""
        topic, partition, offset = letter.where
        async for record in self._read(TopicPartition(topic, partition), offset, offset + 1):
            if record.offset == offset:
                value: bytes | None = record.value
                return value
        raise LookupError(f"{letter.id} is kept no longer")

    async def replay(self, letters: Iterable[DeadLetter], by: str, *, dry_run: bool = False) -> Decided:
        """Sends messages to their topics again, each for the group that it failed for alone, and records it in the same
        transaction. One whose group has handled something newer of the same key is recorded as superseded instead.
        What was decided meanwhile is left out. dry_run: says what would be done, and does nothing."""
        if dry_run:
            return [decided async for decided in self._decide(list(letters), by)]
        done: Decided = []
        async with self._writing() as producer:
            async for letter, resolution in self._decide(await self._still_open(letters), by):
                value = await self.value(letter) if resolution.outcome == "replayed" else None
                async with producer.transaction():
                    if resolution.outcome == "replayed":
                        await self._publish(producer, letter, value)
                    await self._record(producer, letter, resolution)
                done.append((letter, resolution))
        return done

    async def discard(self, letters: Iterable[DeadLetter], by: str, reason: str, *, dry_run: bool = False) -> Decided:
        """Records that messages will not be handled, and why. dry_run: as of `replay`."""

        def decided() -> Resolution:
            return Resolution(outcome="discarded", at=datetime.now(UTC), by=by, reason=reason)

        if dry_run:
            return [(letter, decided()) for letter in letters if letter.resolution is None]
        done: Decided = []
        async with self._writing() as producer:
            for letter in await self._still_open(letters):
                resolution = decided()
                async with producer.transaction():
                    await self._record(producer, letter, resolution)
                done.append((letter, resolution))
        return done

    async def _still_open(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Asked once our producer has fenced every other: nobody else can decide about them now."""
        wanted = [letter.where for letter in letters]
        present = {letter.where: letter for letter in await self.all()}
        return [present[where] for where in wanted if where in present and present[where].resolution is None]

    async def _decide(self, letters: list[DeadLetter], by: str) -> AsyncIterator[tuple[DeadLetter, Resolution]]:
        newer = await self._handled_newer(letters)
        for letter in letters:
            if letter.resolution is not None:
                continue
            at = datetime.now(UTC)
            if letter.where in newer:
                said = f"{letter.group} has handled offset {newer[letter.where]} of the same key since"
                yield letter, Resolution(outcome="superseded", at=at, by=by, reason=said)
            else:
                yield letter, Resolution(outcome="replayed", at=at, by=by)

    async def _publish(self, producer: AIOKafkaProducer, letter: DeadLetter, value: bytes | None) -> None:
        headers = [
            *((name, said) for name, said in letter.headers if not name.startswith(DLT)),
            (ONLY_FOR_GROUP, letter.group.encode()),
            (REPLAY_OF, letter.id.encode()),
        ]
        batch = producer.create_batch()
        stamp = int(letter.at.timestamp() * 1_000)
        batch.append(timestamp=stamp, key=letter.key, value=value, headers=headers)
        await (await producer.send_batch(batch, self._prefix + letter.topic, partition=letter.partition))

    async def _record(self, producer: AIOKafkaProducer, letter: DeadLetter, resolution: Resolution) -> None:
        topic, partition, offset = letter.where
        headers = [("content-type", CONTENT_TYPE), (RESOLVES, str(offset).encode())]
        await producer.send_and_wait(topic, encode(resolution), letter.key, partition=partition, headers=headers)

    async def _handled_newer(self, letters: list[DeadLetter]) -> dict[tuple[str, int, int], int]:
        """Where a dead letter stands -> the offset of a later message with the same key that its group is past. One
        that became a dead letter of that group as well was not handled; one without a key is nobody's successor.

        Nothing supersedes what intake could not read: it puts a ticket's messages in order by the source's own version,
        so an old one that comes late overwrites nothing, and may hold what no other does.
        """
        ordered = [
            letter
            for letter in letters
            if letter.key is not None and letter.topic != topics.KEYED and not letter.topic.startswith(topics.INBOUND)
        ]
        if not ordered:
            return {}
        failed = {(other.topic, other.partition, other.group, other.offset) for other in await self.all()}
        places: dict[tuple[str, int, str], list[DeadLetter]] = {}
        for letter in ordered:
            places.setdefault((letter.topic, letter.partition, letter.group), []).append(letter)
        newer: dict[tuple[str, int, int], int] = {}
        for (topic, partition, group), mine in places.items():
            original = TopicPartition(self._prefix + topic, partition)
            stands = await self._admin.list_consumer_group_offsets(self._prefix + group, partitions=[original])
            committed = stands.get(original)
            # A group that keeps its position elsewhere is taken to be past everything.
            until = committed.offset if committed is not None and committed.offset >= 0 else None
            by_key: dict[bytes | None, list[DeadLetter]] = {}
            for letter in mine:
                by_key.setdefault(letter.key, []).append(letter)
            async for record in self._read(original, min(letter.offset for letter in mine) + 1, until):
                if (topic, partition, group, record.offset) in failed:
                    continue
                if dict(record.headers).get(ONLY_FOR_GROUP, group.encode()) == group.encode():
                    for letter in by_key.get(record.key, ()):
                        if letter.offset < record.offset:
                            newer.setdefault(letter.where, int(record.offset))
        return newer

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
        path=text("failed-path") or None,
        key=record.key,
        size=len(record.value or b""),
        headers=[(name, value) for name, value in record.headers if not name.startswith(DLT)],
    )


def shown(letter: DeadLetter, resolution: Resolution | None = None) -> dict[str, Any]:
    """A dead letter as it is told, without its message."""
    decided = resolution or letter.resolution
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "group": letter.group,
        "source": letter.source or None,
        "key": None if letter.key is None else letter.key.decode(errors="replace"),
        "at": letter.at.isoformat(),
        "error": letter.error,
        "reason": letter.reason,
        "path": letter.path,
        "bytes": letter.size,
        "resolution": None
        if decided is None
        else {
            "outcome": decided.outcome,
            "at": decided.at.isoformat(),
            "by": decided.by,
            "reason": decided.reason,
        },
    }


def shown_whole(letter: DeadLetter, value: bytes | None) -> dict[str, Any]:
    """With its headers and its message: as text where it is one, and in base64, since it may be anything."""
    try:
        text = None if value is None else value.decode()
    except UnicodeDecodeError:
        text = None
    return {
        **shown(letter),
        "headers": {name: said.decode(errors="replace") for name, said in letter.headers},
        "value": text,
        "value_base64": None if value is None else base64.b64encode(value).decode(),
    }
