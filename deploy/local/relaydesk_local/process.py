"""One server process: in a session of its own, so that Ctrl-C does not reach it, and never outliving us."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from relaydesk_local import guard
from relaydesk_local.errors import BackendError, disk_full

_LOG_LIMIT = 20_000_000  # bytes; a longer log is begun anew at the next start
_LOCK_SECONDS = 3  # how long a server whose starter has just died may still be ending


class ServerProcess:
    """A running command whose output goes to `log`. `name` is what errors call it."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, stop_signal: signal.Signals, grace: float
    ) -> None:
        """Starts it. `grace` is how many seconds it has to end after `stop_signal` before it is killed."""
        self.name = name
        self.log = log
        self._grace = grace
        lock = _sole_user(log.parent, name)
        begin_anew = log.exists() and log.stat().st_size > _LOG_LIMIT
        with log.open("wb" if begin_anew else "ab") as output:
            self._log_start = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", guard.__file__, str(int(stop_signal)), str(grace), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                pass_fds=[lock],  # the guard holds it from now on: the data is free when the server has really ended
            )
        os.close(lock)
        assert self._guard.stdout is not None
        pid = self._guard.stdout.readline()
        self._guard.stdout.close()
        if not pid:
            self._guard.wait()
            raise self._failure()
        self.pid = int(pid)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def output(self) -> str:
        """What it has written to its log since this start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Raises `BackendError`, and leaves nothing running, if it ends or `timeout` seconds pass before `ready`."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise self._failure()
            if time.monotonic() > deadline:
                self.kill()
                raise BackendError(f"{self.name} was not ready after {timeout:.0f} s: see {self.log}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it in good order; after the grace period by force."""
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError):
            self._guard.stdin.close()
        self._guard.wait(self._grace + 10)

    def kill(self) -> None:
        """SIGKILL, to it and its children at once, as a crash would."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._guard.wait(10)
        self.stop()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its sockets and answers nothing."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _failure(self) -> BackendError:
        output = self.output()
        if "No space left on device" in output or "Disk quota exceeded" in output:
            return disk_full(self.log.parent)
        if "Address already in use" in output:
            return PortLost(f"{self.name} lost its port to another program while starting: start again.")
        if "Cannot allocate memory" in output or "insufficient memory" in output:
            return BackendError(f"Not enough memory for {self.name}: free at least 1 GB, then start again.")
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "it wrote nothing")
        return BackendError(f"{self.name} ended while starting ({last.strip()[:200]}): see {self.log}.")


def _sole_user(data: Path, name: str) -> int:
    """Locks `data` and returns the descriptor that holds the lock. Two servers on one directory would spoil it."""
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise BackendError(f"Another {name} works on {data}: stop it first (make down).") from None
            time.sleep(0.05)
        else:
            return lock


class PortLost(BackendError):
    """The port was free when it was chosen and taken when the server bound it."""
