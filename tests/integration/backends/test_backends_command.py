"""`python -m relaydesk_local`: start in one terminal, look and stop from another."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

import backends
from relaydesk_local import BackendError
from relaydesk_local.jars import kafka_jars
from relaydesk_local.ports import is_free
from relaydesk_local.postgres import find_binaries


@pytest.fixture(scope="module", autouse=True)
def _can_run() -> None:
    try:
        kafka_jars()
        find_binaries()
    except BackendError as error:
        backends.unavailable(str(error))


def command(data: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "relaydesk_local", *arguments, "--data", str(data)]


def status(data: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(subprocess.run(command(data, "status", "--json"), capture_output=True).stdout)
    return told


def started(data: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    starter = subprocess.Popen(
        command(data, "start", "--ephemeral"),
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 100
    while not (told := status(data))["running"]:
        assert starter.poll() is None, "start ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return starter, told


def test_both_serve_until_they_are_stopped_from_another_terminal(tmp_path: Path) -> None:
    starter, told = started(tmp_path)
    asyncio.run(serving(told))
    again = subprocess.run(command(tmp_path, "start"), capture_output=True, text=True)
    assert (again.returncode, again.stderr.startswith("They run already")) == (1, True)
    assert status(tmp_path) == told

    assert subprocess.run(command(tmp_path, "stop"), timeout=60).returncode == 0
    assert starter.wait(60) == 0
    assert status(tmp_path) == {"running": False}
    assert is_free(int(told["kafka"].split(":")[1]))


async def serving(told: dict[str, Any]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=told["kafka"])
    await admin.start()
    await admin.close()
    connection = await asyncpg.connect(told["postgres"].replace("+asyncpg", ""))
    await connection.close()


def test_an_interrupt_stops_both_in_good_order(tmp_path: Path) -> None:
    starter, told = started(tmp_path)
    starter.send_signal(signal.SIGINT)
    assert starter.wait(60) == 0
    assert is_free(int(told["kafka"].split(":")[1]))
    assert not (tmp_path / "postgres" / "cluster" / "postmaster.pid").exists(), "PostgreSQL did not end in good order"


def test_a_taken_port_is_one_line_and_leaves_nothing_running(tmp_path: Path) -> None:
    starter, told = started(tmp_path / "first")
    port = told["kafka"].split(":")[1]
    second = subprocess.run(
        command(tmp_path / "second", "start", "--ephemeral", "--kafka-port", port), capture_output=True, text=True
    )
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"Port {port} on 127.0.0.1, wanted by Kafka, is taken by java")
    assert not (tmp_path / "second" / "postgres" / "cluster" / "postmaster.pid").exists(), "PostgreSQL was left behind"
    starter.terminate()
    assert starter.wait(60) == 0
