"""The monitor as a process on a real broker: a million open clocks restored, and how late it speaks under load.

The clocks are put into its changelog as it would have written them. Lateness is what a reader of committed events sees:
from the due instant to the event in its hands. The broker and this test share the machine with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from bench.test_bench_sla import packed_at, resident_mb, template
from chaos.sla.test_chaos_sla import INPUTS, classified, normalized, tell
from runtime_kafka import KafkaDesk
from sla_monitor.domain.packing import Packing
from sla_monitor.handlers import SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.sla import ClockEvent
from unit.sla.sla_desk import HOUR, MONDAY, FakeAgreements, agreement, published, resolution

pytestmark = pytest.mark.bench

OPEN_CLOCKS = int(os.environ.get("OPEN_CLOCKS", "1000000"))
DIFFERENT = 1_000
"""Of so many instants; each ticket has a value of its own all the same, once it is read."""
EVENTS_A_SECOND, SECONDS = 1_000, 20
MEMORY_MB, RESTORE_SECONDS, LATE_SECONDS = 500, 15, 1.0
GOAL, LEFT = 4 * HOUR, 5
MADE = published(
    agreement(
        {
            "critical": resolution(GOAL, None, when={"priority": ["P1", "P4"]}, warn=[{"left_seconds": LEFT}]),
            "fix": resolution(1_000 * HOUR, "eight_to_six"),
        }
    ),
    MONDAY,
)


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    names = {*INPUTS, topics.SLA_EVENTS, topics.AGREEMENT, topics.changelog("sla-monitor")}
    wanted = [topic for topic in topics.desk_topics(["itsm"], ["first_line"], []) if topic.name in names]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


async def fill(desk: KafkaDesk) -> None:
    """The changelog of tickets whose deadlines lie half a year ahead, a day apart at most; in batches made by hand,
    since one record after another would take minutes."""
    work, packing = SlaWork(FakeAgreements(MADE.agreement)), Packing()
    ticket = template(MADE.agreement)
    later = int((datetime.now(UTC) - MONDAY).total_seconds())
    values = [packed_at(ticket, later + number * 86_400 // DIFFERENT, work, packing) for number in range(DIFFERENT)]
    words = [(b"~word:%d" % count, word.encode()) for count, word in packing.take_new()]
    name = desk.prefix + topics.changelog("sla-monitor")
    partitioner = DefaultPartitioner()
    numbers = list(range(desk.partitions))
    records: list[list[tuple[bytes, bytes]]] = [list(words) for _ in numbers]
    for number in range(OPEN_CLOCKS):
        key = f"servicenow:prod:INC{number:07}".encode()
        records[partitioner(key, numbers, numbers)].append((key, values[number % DIFFERENT]))
    producer = AIOKafkaProducer(bootstrap_servers=desk.bootstrap, max_batch_size=512 * 1024)
    await producer.start()
    try:
        for partition in numbers:
            batch = producer.create_batch()
            for key, value in records[partition]:
                while batch.append(key=key, value=value, timestamp=None) is None:
                    await producer.send_batch(batch, name, partition=partition)
                    batch = producer.create_batch()
            await producer.send_batch(batch, name, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def lateness(desk: KafkaDesk, ready: asyncio.Event) -> list[float]:
    """Of each warning and breach, in seconds, as a reader of committed events sees it."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=desk.bootstrap,
        isolation_level="read_committed",
        fetch_max_wait_ms=20,
        enable_auto_commit=False,
    )
    await reader.start()
    found: list[float] = []
    try:
        partitions = [TopicPartition(desk.prefix + topics.SLA_EVENTS, p) for p in range(desk.partitions)]
        reader.assign(partitions)
        await reader.seek_to_end(*partitions)
        ready.set()
        quiet = 0
        while quiet < 100:
            records = await reader.getmany(timeout_ms=100)
            now = datetime.now(UTC)
            quiet = 0 if records or not found else quiet + 1
            for record in (each for batch in records.values() for each in batch):
                event = msgspec.json.decode(record.value, type=ClockEvent)
                if event.due_at is not None:
                    found.append((now - event.due_at).total_seconds())
    finally:
        await reader.stop()
    return found


async def feed(desk: KafkaDesk) -> int:
    """Tickets that warn and breach within the next seconds, at a steady rate. Returns how many."""
    begun, count = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < SECONDS:
        while count < passed * EVENTS_A_SECOND / 2:
            now = datetime.now(UTC)
            due = now + timedelta(seconds=LEFT + 1 + count % 10)
            await tell(
                desk, topics.NORMALIZED, normalized(f"itsm:one:{count}", 1, now, due - timedelta(seconds=GOAL), "open")
            )
            await tell(desk, topics.CLASSIFIED, classified(f"itsm:one:{count}", now))
            count += 1
        await asyncio.sleep(0.01)
    await desk.producer.flush()
    return count


async def test_bench_sla_speaks_in_time_among_a_million_clocks(desk: KafkaDesk, tmp_path: Path) -> None:
    await fill(desk)
    endpoint = tmp_path / "endpoint.json"
    environment = {
        **os.environ,
        "RELAYDESK_BOOTSTRAP": desk.bootstrap,
        "RELAYDESK_TOPIC_PREFIX": desk.prefix,
        "RELAYDESK_ENDPOINT_FILE": str(endpoint),
    }
    begun = time.monotonic()
    process = served(environment, tmp_path / "monitor.log")
    try:
        async with asyncio.timeout(300), httpx.AsyncClient() as client:
            while not endpoint_of(endpoint) or not await ready(client, endpoint_of(endpoint)):
                assert process.poll() is None, (tmp_path / "monitor.log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        restored = time.monotonic() - begun
        listening = asyncio.Event()
        reading = asyncio.create_task(lateness(desk, listening))
        await listening.wait()
        spent = cpu_seconds(process.pid)
        tickets = await feed(desk)
        found = sorted(await reading)
        spent = cpu_seconds(process.pid) - spent
        resident = resident_mb(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    print(  # noqa: T201
        f"\n{OPEN_CLOCKS:,} open clocks: ready {restored:.1f} s after the start, {resident:.0f} MB resident; "
        f"{tickets * 2 / SECONDS:.0f} events/s, {len(found):,} warnings and breaches, "
        f"{spent / tickets / 2 * 1e6:.0f} us of CPU an event, what it brings included; "
        f"late by {p50:.2f} s (median), {p99:.2f} s (p99), {found[-1]:.2f} s (most)"
    )
    assert len(found) == 2 * tickets
    assert restored <= RESTORE_SECONDS
    assert resident <= MEMORY_MB
    assert p99 <= LATE_SECONDS


def cpu_seconds(process: int) -> float:
    """Of the process so far, in user and kernel."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sla_monitor", "serve"]
    with log.open("wb") as said:
        return subprocess.Popen(command, env=environment, stdout=said, stderr=said)


def endpoint_of(path: Path) -> str:
    """Empty until it listens."""
    return str(json.loads(path.read_text())["http"]) if path.exists() else ""


async def ready(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
