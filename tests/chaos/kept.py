"""Processes of one service, kept up as a supervisor would, and hurt."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from runtime_kafka import KafkaDesk

SESSION = 6.0
"""Seconds after which Kafka takes a silent process for gone."""


class Kept:
    """`wanted` processes of a service that `python -m module serve` starts; their logs go to one file."""

    def __init__(self, module: str, desk: KafkaDesk, log: Path, *, batch: int, wanted: int = 2, **more: str) -> None:
        self._command = [sys.executable, "-m", module, "serve"]
        self._environment = {
            **os.environ,
            "RELAYDESK_BOOTSTRAP": desk.bootstrap,
            "RELAYDESK_TOPIC_PREFIX": desk.prefix,
            "RELAYDESK_SESSION_SECONDS": str(SESSION),
            "RELAYDESK_BATCH": str(batch),
            **more,
        }
        self.log = log
        self._written = log.open("ab")
        self._wanted = wanted
        self._running: list[subprocess.Popen[bytes]] = []

    def _start(self) -> None:
        self._running.append(
            subprocess.Popen(self._command, env=self._environment, stdout=self._written, stderr=self._written)
        )

    def keep_up(self) -> None:
        """Starts anew what has ended."""
        self._running = [process for process in self._running if process.poll() is None]
        while len(self._running) < self._wanted:
            self._start()

    def kill(self, count: int | None = None) -> None:
        """As many of them; all, when no number is given."""
        for process in self._running[:count]:
            process.kill()
            process.wait()

    async def freeze(self, count: int | None = None, *, replaced: bool) -> None:
        """They stand still past the session's end, and wake as zombies that must find themselves fenced. replaced: by
        one more process meanwhile."""
        frozen = self._running[:count]
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        if replaced:
            self._start()
        await asyncio.sleep(SESSION + 1)
        for process in frozen:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self._written.close()
