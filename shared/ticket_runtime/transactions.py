"""One task's producer: fences the former owner, then writes results, state and offsets in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import Future
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2
from aiokafka.structs import OffsetAndMetadata

from ticket_runtime.outputs import Message
from ticket_runtime.settings import RuntimeSettings

_BATCH_BYTES = 262_144
_STOP_SECONDS = 5.0


class TaskProducer:
    """A transactional producer of one task. Any error of it is final: the process has to end.

    group: full name of the consumer group. changelog: where `store`d records go, if the task has a state.
    """

    def __init__(
        self, settings: RuntimeSettings, transactional_id: str, group: str, changelog: TopicPartition | None
    ) -> None:
        self._settings, self._group, self._changelog = settings, group, changelog
        self._counts: dict[str, int] = {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(settings.transaction_seconds * 1_000),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            # The broker refuses the next transaction for the few milliseconds that the markers of the last one take.
            retry_backoff_ms=20,
        )

    async def fence(self) -> None:
        """After this nobody else can commit for the task, and its last transaction is settled one way or the other."""
        await self._producer.start()

    async def commit(
        self,
        messages: list[Message],
        stored: list[tuple[bytes, bytes | None]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        """All of it, or nothing. Raises KafkaError, or TimeoutError when it took longer than `commit_seconds`."""
        async with asyncio.timeout(self._settings.commit_seconds):
            producer = self._producer
            await producer.begin_transaction()
            written = asyncio.gather(*await self._send(messages, stored))
            written.add_done_callback(_seen)
            if offsets:
                await producer.send_offsets_to_transaction(dict(offsets), self._group)
            # A batch that was refused does not fail the commit by itself.
            await written
            await producer.commit_transaction()

    async def close(self) -> None:
        """Never raises: what was committed is committed, and the next owner fences the rest."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._producer.stop()

    async def _send(self, messages: list[Message], stored: list[tuple[bytes, bytes | None]]) -> list[Future[Any]]:
        """By batch, not by record: a record sent alone costs a future and two passes over its headers."""
        producer = self._producer
        builders: dict[tuple[str, int], Any] = {}
        futures: list[Future[Any]] = []

        async def append(
            topic: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
        ) -> None:
            at = topic, partition
            builder = builders.get(at)
            if builder is None:
                builder = builders[at] = producer.create_batch()
            if builder.append(timestamp=None, key=key, value=value, headers=headers) is not None:
                return
            futures.append(await producer.send_batch(builder, topic, partition=partition))
            builder = builders[at] = producer.create_batch()
            if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
                raise AssertionError("an empty batch takes any record")

        for message in messages:
            topic = self._settings.topic_prefix + message.topic
            count = self._counts.get(topic) or await self._count(topic)
            partition = message.partition
            if count == 1:
                partition = 0
            elif partition is None:
                partition = 0 if message.key is None else (murmur2(message.key) & 0x7FFFFFFF) % count
            await append(topic, partition, message.key, message.value, message.headers)
        if stored:
            if self._changelog is None:
                raise RuntimeError(f"{self._group} stores state but its ServiceSpec says that it has none")
            # The last of a key is all that a restore needs.
            for key, value in dict(stored).items():
                await append(self._changelog.topic, self._changelog.partition, key, value, [])
        for (topic, partition), builder in builders.items():
            futures.append(await producer.send_batch(builder, topic, partition=partition))
        return futures

    async def _count(self, topic: str) -> int:
        partitions = await self._producer.partitions_for(topic)
        self._counts[topic] = len(partitions)
        return len(partitions)


def _seen(written: Future[Any]) -> None:
    """Where the offsets fail first, with the same error, nobody asks for this one any more."""
    if not written.cancelled():
        written.exception()
