"""A task's state, read back from its changelog."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from ticket_runtime.closing import quietly
from ticket_runtime.task import Work


async def restore(
    bootstrap: str, changelog: TopicPartition, work: Work, progress: Callable[[float], None] = lambda _: None
) -> int:
    """Feeds every committed record of a changelog partition to the work, up to the end at the time of the call.

    To be called after the former owner was fenced: from then on nobody else writes there. Returns how many records.
    progress: is told how much has been read, 0 to 1.
    """
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await reader.start()
    try:
        reader.assign([changelog])
        end = (await reader.end_offsets([changelog]))[changelog]
        await reader.seek_to_beginning(changelog)
        count = 0
        first = await reader.position(changelog)
        # The position also passes transaction markers, which are no records but have offsets.
        while (position := await reader.position(changelog)) < end:
            progress((position - first) / (end - first))
            for record in (await reader.getmany(timeout_ms=20)).get(changelog, ()):
                work.restore(record.key or b"", record.value)
                count += 1
        progress(1.0)
        return count
    finally:
        await quietly(reader.stop)
