"""What a newcomer does: start the desk, see the week, send a ticket, watch it arrive, Ctrl-C, and start it again."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import backends
from relaydesk_local import BackendError
from relaydesk_local.jars import kafka_jars
from relaydesk_local.java import find_java

_UP = "Ctrl-C stops everything."


@pytest.fixture(scope="module", autouse=True)
def _can_run() -> None:
    """`run` brings its own backends."""
    try:
        kafka_jars()
        find_java()
    except BackendError as error:
        backends.unavailable(str(error))


@contextmanager
def _running(cwd: Path, *arguments: str) -> Iterator[str]:
    """`python -m relaydesk_replay run` as from a terminal: yields what it printed, once it says that it is up. Then
    Ctrl-C, after which it must end by itself, cleanly."""
    printed = cwd / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "relaydesk_replay", "run", *arguments],
            cwd=cwd,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "RELAYDESK_PORTS": "free", "COLUMNS": "200"},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            until = time.monotonic() + 240
            while _UP not in printed.read_text():
                assert process.poll() is None, printed.read_text()[-4_000:]
                assert time.monotonic() < until, printed.read_text()[-4_000:]
                time.sleep(0.2)
            yield printed.read_text()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=90) == 0, printed.read_text()[-4_000:]
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=90)


def _as_printed(text: str, cwd: Path, having: str) -> str:
    """Runs the `curl` line that holds these words, as it was printed, and returns what it answered."""
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith("curl") and having in line)
    return subprocess.run(["sh", "-c", line], cwd=cwd, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.timeout(720)  # what its own waits come to
def test_e2e_newcomer_plays_sends_watches_stops_and_starts_again(tmp_path: Path) -> None:
    with _running(tmp_path, "--limit", "25") as text:
        assert "What always holds, checked on this run" in text
        assert not re.search(r"✗", text)
        assert "id" in msgspec.json.decode(_as_printed(text, tmp_path, "/events"))
        first = _owners(text, tmp_path)
        logs = "".join(path.read_text() for path in (tmp_path / ".run/desk/services").glob("*.log"))
        assert "ended by" not in logs, "a service had to be started again"
        addresses = msgspec.json.decode((tmp_path / ".run/endpoints.json").read_bytes())
        assert {"intake", "desk", "router", "sla", "handoff", "kafka", "postgres"} <= set(addresses)
    assert not (tmp_path / ".run/endpoints.json").exists()

    began = time.monotonic()
    with _running(tmp_path, "--limit", "25") as text:
        assert "What always holds" not in text, "the week is played once"
        assert _owners(text, tmp_path) == first
    assert time.monotonic() - began < 200


def _owners(text: str, cwd: Path) -> list[str]:
    """The owners of the demonstration ticket, once the desk knows it."""
    until = time.monotonic() + 60
    while True:
        answer = msgspec.json.decode(_as_printed(text, cwd, "/owners"))
        if answer.get("intervals"):
            return [each["owner"] for each in answer["intervals"]][:1]
        assert time.monotonic() < until, answer
        time.sleep(0.3)


def test_e2e_newcomer_each_printed_command_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are one shell command each: the quotes of the ticket do not meet those of the shell."""
    from rich.console import Console

    from relaydesk_replay import __main__ as command
    from relaydesk_replay import desk as desks

    monkeypatch.setattr(command, "RUN", tmp_path)
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / desks.OPERATOR_KEY).write_text("a-key")

    class Up:
        endpoints = dict.fromkeys((*desks.PORTS, "desk", "sla"), "http://127.0.0.1:1")

    console = Console(record=True, width=80, file=open(os.devnull, "w"))  # noqa: SIM115 - for the process's life
    command._addresses(console, Up())  # type: ignore[arg-type]
    lines = [line.strip() for line in console.export_text().splitlines() if line.strip().startswith("curl")]
    assert len(lines) == 2
    assert all(shlex.split(line)[0] == "curl" and shlex.split(line)[-1].startswith("http") for line in lines)
