"""Messages per second and CPU per message of the runtime's copy loop, beside a bare transactional aiokafka loop and a
bare Faust agent, in one run on one machine."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import copy_contenders
from runtime_kafka import event_headers
from ticket_contracts.topics import Topic
from ticket_runtime.topics import create_topics

pytestmark = pytest.mark.bench

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "100000"))
PARTITIONS = 4
FAUST_SHARE = 5
"""Faust gets a fifth of the messages: it would take most of the time otherwise."""
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Rate(msgspec.Struct):
    """msg_per_second: from the first output to the last. cpu_us: of the whole process, for each message."""

    msg_per_second: float
    cpu_us: float


def ticket(number: int) -> copy_contenders.Copied:
    return copy_contenders.Copied(
        ticket=f"bench:desk:{number}",
        decided_for=AT,
        ticket_version=1,
        source="bench",
        instance="desk",
        external_id=str(number),
        url=f"https://itsm.example/tickets/{number}",
        channel="portal",
        kind="incident",
        title="The VPN drops every ten minutes since this morning",
        text="We all lose the connection at the same moment, and it comes back by itself. " * 4,
        language="en",
        status="new",
        priority="3 - Moderate",
        service="remote access",
        configuration_item="vpn-gateway-07",
        assignee=None,
        group="network operations",
        created_at=AT,
        updated_at=AT,
        changed=["status", "text", "group"],
        tags={"site": "Utrecht", "cost centre": "4711"},
    )


async def feed(bootstrap: str, topic: str, count: int) -> int:
    """Returns the size of a message in bytes."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=262_144, linger_ms=5)
    await producer.start()
    size = 0
    try:
        for number in range(count):
            event = ticket(number)
            value = msgspec.json.encode(event)
            size = len(value)
            headers = event_headers(f"{number:032x}", AT, event.TYPE)
            await producer.send(topic, value, event.ticket.encode(), partition=number % PARTITIONS, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()
    return size


async def contend(name: str, bootstrap: str, source: str, out: str, count: int, directory: Path) -> Rate:
    environment = {
        **os.environ,
        "BENCH_BOOTSTRAP": bootstrap,
        "BENCH_IN": source,
        "BENCH_OUT": out,
        "BENCH_DIR": str(directory),
    }
    ends = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await ends.start()
    partitions = [TopicPartition(out, p) for p in range(PARTITIONS)]
    with (directory / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, copy_contenders.__file__, name, env=environment, stdout=log, stderr=log
        )
    watched = psutil.Process(process.pid)

    def cpu() -> float:
        used = watched.cpu_times()
        return float(used.user + used.system)

    try:
        async with asyncio.timeout(300):
            began: tuple[float, float, int] | None = None
            while True:
                # Markers of transactions are offsets too: some dozens among the messages.
                written = sum((await ends.end_offsets(partitions)).values())
                if written and began is None:
                    began = time.perf_counter(), cpu(), written
                if written >= count:
                    break
                if process.returncode is not None:
                    raise AssertionError(f"{name} ended: " + (directory / f"{name}.log").read_text()[-2_000:])
                await asyncio.sleep(0.02)
        assert began is not None
        seconds, used, first = time.perf_counter() - began[0], cpu() - began[1], began[2]
        return Rate((count - first) / seconds, used / (count - first) * 1e6)
    finally:
        process.kill()
        await process.wait()
        await ends.stop()


async def test_the_runtimes_copy_loop_beside_bare_ones(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    source, small = f"{topic_prefix}in", f"{topic_prefix}in-small"
    outs = {name: f"{topic_prefix}out-{name}" for name in ("bare", "runtime", "faust")}
    wanted = [Topic(name=name, written_by="bench") for name in (source, small, *outs.values(), f"{source}.dead-letter")]
    await create_topics(kafka_bootstrap, "", wanted, PARTITIONS, live=True)
    size = await feed(kafka_bootstrap, source, MESSAGES)
    await feed(kafka_bootstrap, small, MESSAGES // FAUST_SHARE)
    rates = {}
    for name, out in outs.items():
        topic, count = (small, MESSAGES // FAUST_SHARE) if name == "faust" else (source, MESSAGES)
        rates[name] = await contend(name, kafka_bootstrap, topic, out, count, tmp_path)
    lines = [f"{MESSAGES:,} messages of {size} bytes, {PARTITIONS} partitions, {os.cpu_count()} cores"]
    lines += [f"  {n:<8} {r.msg_per_second:>8,.0f} msg/s   {r.cpu_us:>5.1f} us CPU a message" for n, r in rates.items()]
    print("", *lines, sep="\n")  # noqa: T201 - the figures are the result
    assert rates["runtime"].msg_per_second >= 0.5 * rates["bare"].msg_per_second
    assert rates["runtime"].msg_per_second >= 5 * rates["faust"].msg_per_second
