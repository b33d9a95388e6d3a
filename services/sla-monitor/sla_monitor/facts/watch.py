"""Whether the worker is behind: what its group has committed, against what there is to read.

Faust's consumers can die in silence. And an end offset alone says little: the markers of transactions take offsets that
nobody commits. So what lies between the committed offset and the end is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Standing:
    """committed: next offset of each partition. pending: those with something to read."""

    committed: dict[TopicPartition, int]
    pending: frozenset[TopicPartition]


class Watch:
    """Made by `watching`."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, group: str, topics: list[str]) -> None:
        self._consumer, self._admin, self._group, self._topics = consumer, admin, group, topics

    async def look(self) -> Standing:
        """Raises KafkaError while the broker is away."""
        described = await self._admin.describe_topics(self._topics)
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        found = await self._admin.list_consumer_group_offsets(self._group)
        beginnings = await self._consumer.beginning_offsets(partitions)
        committed = {tp: max(found[tp].offset, beginnings[tp]) if tp in found else beginnings[tp] for tp in partitions}
        ends = await self._consumer.end_offsets(partitions)
        behind = {tp for tp in partitions if committed[tp] < ends[tp]}
        return Standing(committed, frozenset(await self._with_records(committed, ends, behind)))

    async def _with_records(
        self, committed: dict[TopicPartition, int], ends: dict[TopicPartition, int], behind: set[TopicPartition]
    ) -> set[TopicPartition]:
        pending: set[TopicPartition] = set()
        if not behind:
            return pending
        self._consumer.assign(list(behind))
        for tp in behind:
            self._consumer.seek(tp, committed[tp])
        deadline = asyncio.get_running_loop().time() + _LOOK_SECONDS
        while behind and asyncio.get_running_loop().time() < deadline:
            for tp, records in (await self._consumer.getmany(timeout_ms=100)).items():
                if records:
                    pending.add(tp)
            behind = {tp for tp in behind - pending if await self._consumer.position(tp) < ends[tp]}
        return pending | behind  # where nothing came in time, something may be


@contextlib.asynccontextmanager
async def watching(bootstrap: str, group: str, topics: list[str]) -> AsyncIterator[Watch]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=65_536,
    )
    async with contextlib.AsyncExitStack() as stack:
        await admin.start()
        stack.push_async_callback(admin.close)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        yield Watch(consumer, admin, group, topics)
