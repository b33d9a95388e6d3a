"""What the two local servers have in common: a data directory, a port that stays, and the ways to end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from relaydesk_local.errors import BackendError, said_plainly
from relaydesk_local.ports import free_port, require_free
from relaydesk_local.process import PortLost, ServerProcess

_CHOSEN_PORT_ATTEMPTS = 5


class LocalServer(ABC):
    """One server on 127.0.0.1. Not thread-safe; every method blocks until it has taken effect.

    The port stays the same from the first start on, so that clients find a restarted server again.
    """

    name: str

    def __init__(self, data: Path, *, port: int | None = None) -> None:
        """`data` is made when missing. `port` None: a free one is chosen."""
        self.data = data.absolute()
        self._port = port
        self._process: ServerProcess | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """What clients are given. Raises `BackendError` before the first start where no port was given."""

    @abstractmethod
    def _prepare(self) -> None:
        """Whatever must be there before the first launch."""

    @abstractmethod
    def _launch(self, port: int) -> ServerProcess:
        """Starts it on `port` and returns once it serves. Raises `BackendError`, leaving nothing running."""

    @property
    def port(self) -> int:
        if self._port is None:
            raise BackendError(f"This {self.name} has no address yet: start it first.")
        return self._port

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> str:
        """Starts it, unless it runs, and returns `address` once it serves. Raises `BackendError`."""
        if self.running:
            return self.address
        with said_plainly(self.data):
            self.data.mkdir(parents=True, exist_ok=True)
            self._prepare()
            if self._port is not None:
                require_free(self._port, self.name)
                self._process = self._launch(self._port)
            else:
                self._process = self._launch_anywhere()
        return self.address

    def stop(self) -> None:
        """Ends it in good order. Does nothing when it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """SIGKILL to it and its children. `start` brings it back on the same port with what it had."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> str:
        self.stop()
        return self.start()

    def freeze(self) -> None:
        """SIGSTOP, until `thaw`: connections stay open and nothing is answered."""
        self._running_process().freeze()

    def thaw(self) -> None:
        self._running_process().thaw()

    def _running_process(self) -> ServerProcess:
        if self._process is None:
            raise BackendError(f"This {self.name} does not run: start it first.")
        return self._process

    def _launch_anywhere(self) -> ServerProcess:
        for _ in range(_CHOSEN_PORT_ATTEMPTS - 1):
            port = free_port()
            try:
                process = self._launch(port)
            except PortLost:
                continue  # somebody took it between the look and the launch
            self._port = port
            return process
        self._port = free_port()
        return self._launch(self._port)
