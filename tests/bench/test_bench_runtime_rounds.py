"""How long a round of a replay takes a group with a handful of records, from its name to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import copy_contenders
from bench.test_bench_runtime_copy import ticket
from runtime_kafka import KafkaDesk
from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.time import Progress, TimeStep
from ticket_contracts.topics import Topic

pytestmark = pytest.mark.bench

ROUNDS = 200
WARM_UP = 20
GOAL = 2
"""Times what a bare transactional copy of the same records takes."""
HANDFUL = 6
IN, OUT, BARE = "tickets.in", "tickets.out", "tickets.bare"
START = datetime(2026, 3, 2, tzinfo=UTC)


@contextlib.asynccontextmanager
async def service(desk: KafkaDesk, endpoint: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The copying service as a process of its own, ready, in stream time."""
    environment = {
        **os.environ,
        "BENCH_BOOTSTRAP": desk.bootstrap,
        "BENCH_IN": IN,
        "BENCH_OUT": OUT,
        "RELAYDESK_TOPIC_PREFIX": desk.prefix,
        "RELAYDESK_CLOCK": "stream",
        "RELAYDESK_ENDPOINT_FILE": str(endpoint),
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, copy_contenders.__file__, "runtime", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while not endpoint.exists():  # noqa: ASYNC110, ASYNC240 - nobody else is served meanwhile
                await asyncio.sleep(0.05)
            address = msgspec.json.decode(endpoint.read_bytes())["http"]  # noqa: ASYNC240
            while (await client.get(f"{address}/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield started
    finally:
        started.terminate()
        await started.wait()


@pytest.mark.parametrize("partitions", [1, 4])
async def test_a_round_of_a_handful_of_records(
    kafka_bootstrap: str, topic_prefix: str, partitions: int, tmp_path: Path
) -> None:
    wanted = [Topic(name=name, written_by="bench") for name in (IN, OUT, BARE)]
    async with (
        KafkaDesk(kafka_bootstrap, topic_prefix, partitions).connected(wanted, live=False) as desk,
        service(desk, tmp_path / "endpoint.json") as process,
    ):
        used = psutil.Process(process.pid).cpu_times
        before = used()
        milliseconds = await _rounds(desk)
        after = used()
        bare = statistics.median((await _bare_rounds(desk, tmp_path))[WARM_UP:])
    cpu = (after.user + after.system - before.user - before.system) * 1_000 / ROUNDS
    measured = sorted(milliseconds[WARM_UP:])
    median, tenth = statistics.median(measured), measured[int(len(measured) * 0.9)]
    print(  # noqa: T201 - the figures are the result
        f"\n{HANDFUL} records a round, {partitions} tasks: {median:.1f} ms (9 of 10 within {tenth:.1f}), "
        f"{cpu:.1f} ms CPU of the service; a bare copy {bare:.1f} ms: {median / bare:.2f} times"
    )
    assert median <= GOAL * bare


async def _rounds(desk: KafkaDesk) -> list[float]:
    """Milliseconds from the name of a round to the last answer, its records having been there before."""
    ears = AIOKafkaConsumer(
        bootstrap_servers=desk.bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await ears.start()
    inputs = [TopicPartition(desk.prefix + IN, p) for p in range(desk.partitions)]
    progress = TopicPartition(desk.prefix + topics.PROGRESS, 0)
    ears.assign([progress])
    await ears.seek_to_end(progress)
    await ears.position(progress)
    ends, taken = dict.fromkeys(inputs, 0), []
    try:
        for step in range(ROUNDS):
            at = START + timedelta(minutes=step)
            for number in range(HANDFUL):
                event = ticket(step * HANDFUL + number)
                await desk.send(IN, msgspec.json.encode(event), event.ticket.encode(), ce_id=f"{step}-{number}", at=at)
            before, ends = ends, await desk.ends([IN])
            waiting = {tp.partition for tp in inputs if ends[tp] > before[tp]}
            until = {IN: [ends[tp] for tp in inputs]}
            named = TimeStep(mode="stream", step=step, round=0, instant=at, ends=until, fire=False)
            began = time.perf_counter()
            await desk.producer.send_and_wait(desk.prefix + topics.TIME, encode(named), partition=0)
            async with asyncio.timeout(30):
                while waiting:
                    said = msgspec.json.decode((await ears.getone()).value, type=Progress)
                    if said.step == step:
                        waiting.discard(said.task)
            taken.append((time.perf_counter() - began) * 1_000)
    finally:
        await ears.stop()
    return taken


async def _bare_rounds(desk: KafkaDesk, directory: Path) -> list[float]:
    """Milliseconds from a handful of records, sent at once, to their last copy, through a loop with nothing around
    it."""
    environment = {
        **os.environ,
        "BENCH_BOOTSTRAP": desk.bootstrap,
        "BENCH_IN": desk.prefix + IN,
        "BENCH_OUT": desk.prefix + BARE,
    }
    outputs = [TopicPartition(desk.prefix + BARE, p) for p in range(desk.partitions)]
    ears = AIOKafkaConsumer(
        bootstrap_servers=desk.bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await ears.start()
    ears.assign(outputs)
    await ears.seek_to_beginning(*outputs)
    with (directory / "bare.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, copy_contenders.__file__, "bare", env=environment, stdout=log, stderr=log
        )
    taken = []
    try:
        copied = 0
        async with asyncio.timeout(60):
            while copied < ROUNDS * HANDFUL:  # what the runtime was given before
                copied += sum(map(len, (await ears.getmany(timeout_ms=100)).values()))
        for step in range(ROUNDS, 2 * ROUNDS):
            events = [ticket(step * HANDFUL + number) for number in range(HANDFUL)]
            began = time.perf_counter()
            await asyncio.gather(
                *(desk.send(IN, msgspec.json.encode(each), each.ticket.encode(), ce_id=each.ticket) for each in events)
            )
            async with asyncio.timeout(30):
                for _ in events:
                    await ears.getone()
            taken.append((time.perf_counter() - began) * 1_000)
    finally:
        process.kill()
        await process.wait()
        await ears.stop()
    return taken
