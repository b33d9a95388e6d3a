"""Making a desk's topics, and refusing to run on ones that would separate a task's partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from ticket_contracts import topics
from ticket_contracts.agreement import Agreement
from ticket_contracts.topics import Topic
from ticket_runtime.settings import CannotRun

RECEIVED_AT_MOST = 11 * 1024 * 1024
"""Bytes of a record that others send us; 10 MB of message and its headers."""
WRITTEN_AT_MOST = 12 * 1024 * 1024
"""Bytes of a record that we write: a dead letter holds the largest message and says why as well."""


async def create_topics(
    bootstrap: str, prefix: str, wanted: Iterable[Topic], partitions: int, *, live: bool, replication: int = -1
) -> None:
    """Makes those of a desk's topics that are missing. partitions: of topics keyed by ticket. live: the broker's clock
    stamps what others write; a replay keeps the sender's, and deletes nothing however long ago it plays.
    replication -1: the broker's default. Raises CannotRun when a topic that is there has another partition count.
    """
    wanted = list(wanted)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await _create(admin, prefix, wanted, partitions, live=live, replication=replication)
        expected = {prefix + topic.name: _count(topic, partitions) for topic in wanted}
        _check(expected, await _once_known(admin, expected))
    finally:
        await admin.close()


async def stamp_by_broker(bootstrap: str, prefix: str, wanted: Iterable[Topic]) -> None:
    """A replay is over: from here on the topics are kept and stamped as on a live desk."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, prefix + topic.name, configs_of(topic, live=True))
            for topic in wanted
        ]
        for response in await admin.alter_configs(resources):
            for code, message, _, name in response.resources:
                if code:
                    raise for_code(code)(f"topic {name}: {message}")
    finally:
        await admin.close()


async def add_missing_topics(bootstrap: str, prefix: str, agreements: Iterable[Agreement], *, live: bool) -> None:
    """Makes the topics of queues, partners and sources that came with a newer agreement, as many partitions each as the
    desk has. Does nothing on a broker without a desk: `create_topics` says how many partitions that is to have."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        normalized = prefix + topics.NORMALIZED
        partitions = (await partition_counts(admin, [normalized])).get(normalized)
        if partitions is None:
            return
        wanted = {
            topic.name: topic
            for agreement in agreements
            for topic in topics.desk_topics(list(agreement.sources), list(agreement.queues), list(agreement.partners))
        }
        await _create(admin, prefix, list(wanted.values()), partitions, live=live, replication=-1)
        await _once_known(admin, [prefix + name for name in wanted])
    finally:
        await admin.close()


async def partition_counts(admin: AIOKafkaAdminClient, names: Iterable[str] | None = None) -> dict[str, int]:
    """Full name -> partitions, of the topics that exist; of all when none are named."""
    described = await admin.describe_topics(None if names is None else sorted(names))
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}


async def _once_known(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """A topic is created by the controller, and a little later known to the broker that is asked for it."""
    wanted = set(names)
    async with asyncio.timeout(_KNOWN_SECONDS):
        while True:
            counts = await partition_counts(admin, wanted)
            if wanted <= set(counts):
                return counts
            await asyncio.sleep(0.05)


_KNOWN_SECONDS = 30.0


async def _create(
    admin: AIOKafkaAdminClient, prefix: str, wanted: list[Topic], partitions: int, *, live: bool, replication: int
) -> None:
    there = set(await admin.list_topics())
    missing = [topic for topic in wanted if prefix + topic.name not in there]
    if not missing:
        return
    response = await admin.create_topics(
        [
            NewTopic(
                prefix + topic.name,
                _count(topic, partitions),
                replication,
                {},  # given, although empty: without it aiokafka refuses the broker's default replication
                topic_configs=configs_of(topic, live=live),
            )
            for topic in missing
        ]
    )
    for name, code, *said in response.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise for_code(code)(f"topic {name}: {' '.join(str(word) for word in said if word)}")


def configs_of(topic: Topic, *, live: bool) -> dict[str, str]:
    """The configuration that a topic is created with, on a live desk or for a replay."""
    at_most = RECEIVED_AT_MOST if topic.broker_time else WRITTEN_AT_MOST
    configs = {"max.message.bytes": str(at_most)}
    configs["message.timestamp.type"] = "LogAppendTime" if topic.broker_time and live else "CreateTime"
    if topic.compacted:
        # Small segments: only a closed one is compacted, and a restore reads what is left.
        configs |= {"cleanup.policy": "compact", "segment.bytes": str(64 * 1024 * 1024), "segment.ms": "3600000"}
    else:
        configs["retention.ms"] = str(topic.retention_seconds * 1_000) if live else "-1"
    if not live:
        # A replay's timestamps lie far apart; segments rolled by them would be as many as the months.
        configs["segment.ms"] = "9223372036854775807"
    return configs


def _count(topic: Topic, partitions: int) -> int:
    return partitions if topic.ticket_keyed else 1


def _check(expected: Mapping[str, int], actual: Mapping[str, int]) -> None:
    for name, count in sorted(expected.items()):
        if actual.get(name, count) != count:
            raise CannotRun(
                f"topic {name} has {actual[name]} partitions where {count} are needed: all topics keyed by ticket have "
                "one count, fixed at creation; use another topic prefix, or start with an empty broker"
            )
