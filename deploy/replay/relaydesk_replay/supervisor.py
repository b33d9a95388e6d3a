"""Starts the services' processes, starts again what ends by itself, and stops everything in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psutil

from relaydesk_local import guard

_RESTART_WINDOW_SECONDS = 60.0
_RESTARTS_AT_MOST = 8
_STOP_SECONDS = 20
_WAITS = 2
"""Exit code of a service that cannot run as things are: no broker answers."""

_LOG = logging.getLogger(__name__)


class ServiceFailed(RuntimeError):
    """A service that does not stay up, with the last lines that it wrote."""


@dataclass(slots=True)
class Service:
    """name: of the process. module, command: started as `python -m module command`. env: besides this process's own
    environment. later: a desk is up without it; it is started when the others are ready, and nobody waits for it."""

    name: str
    module: str
    env: Mapping[str, str]
    command: str = "serve"
    later: bool = False
    process: asyncio.subprocess.Process | None = None
    pid: int = 0
    starts: int = 0
    faults: list[float] = field(default_factory=list)


class Supervisor:
    """The services of one desk. directory: for their logs and endpoint files."""

    def __init__(self, services: list[Service], directory: Path) -> None:
        self._services = services
        self._directory = directory
        self._stopping = False
        self._was_ready = False
        self._failure: asyncio.Future[None] | None = None
        self._keepers: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All services, from here until the block ends; then each finishes its transaction and goes."""
        self._failure = asyncio.get_running_loop().create_future()
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            for service in self._services:
                self._endpoint_file(service).unlink(missing_ok=True)
            self._start(later=False)
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*(self._stop(service) for service in self._services))
            for keeper in self._keepers:
                keeper.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)
            self._failure.cancel()

    def _start(self, *, later: bool) -> None:
        self._keepers += [
            asyncio.create_task(self._keep_up(service)) for service in self._services if service.later == later
        ]

    async def endpoints(self, timeout: float = 90.0) -> dict[str, str]:
        """name -> `http://host:port`, once every service says that it is ready; then those that come later are
        started. Raises ServiceFailed."""
        found: dict[str, str] = {}
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for service in self._services:
                if service.later:
                    continue
                try:
                    async with asyncio.timeout(timeout):
                        found[service.name] = await self._ready(service, client)
                except TimeoutError:
                    raise ServiceFailed(
                        f"{service.name} is not ready after {timeout:.0f} s; {self._last_words(service)}"
                    ) from None
        self._was_ready = True
        self._start(later=True)
        return found

    def raise_failure(self) -> None:
        """Raises ServiceFailed when a service would not stay up."""
        if self._failure is not None and self._failure.done():
            self._failure.result()

    def cpu_seconds(self) -> dict[str, float]:
        """name -> user and system CPU seconds of the service's present process."""
        used = {}
        for service in self._services:
            if service.process is not None and service.process.returncode is None:
                times = psutil.Process(service.pid).cpu_times()
                used[service.name] = times.user + times.system
        return used

    def restarts(self) -> int:
        return sum(max(service.starts - 1, 0) for service in self._services)

    async def _ready(self, service: Service, client: httpx.AsyncClient) -> str:
        while True:
            self.raise_failure()
            with contextlib.suppress(FileNotFoundError, msgspec.DecodeError, httpx.TransportError):
                address: str = msgspec.json.decode(self._endpoint_file(service).read_bytes())["http"]
                if (await client.get(f"{address}/readyz")).status_code == 200:
                    return address
            await asyncio.sleep(0.1)

    async def _keep_up(self, service: Service) -> None:
        """Starts it again whenever it ends, unless it ends again and again. Once the desk was ready, a service that
        finds no broker is waiting for one, however long that takes."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            recent = [at for at in service.faults if loop.time() - at < _RESTART_WINDOW_SECONDS]
            if len(recent) >= _RESTARTS_AT_MOST:
                assert self._failure is not None
                words = f"{service.name} ended {len(recent)} times in a minute; {self._last_words(service)}"
                if service.later:
                    _LOG.warning(words)  # the desk goes on without it
                else:
                    self._failure.set_exception(ServiceFailed(words))
                return
            service.starts += 1
            with self._log(service).open("ab") as log:
                service.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", guard.__file__, str(int(signal.SIGTERM)), str(_STOP_SECONDS)),
                    *(sys.executable, "-m", service.module, *service.command.split()),
                    stdin=asyncio.subprocess.PIPE,  # the service lives no longer than our end of this
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **service.env, "RELAYDESK_ENDPOINT_FILE": str(self._endpoint_file(service))},
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops its services in order
                )
            assert service.process.stdout is not None
            service.pid = int(await service.process.stdout.readline() or 0)
            code = await service.process.wait()
            if not (self._was_ready and code == _WAITS):
                service.faults.append(loop.time())
            if not self._stopping:
                await asyncio.sleep(min(0.2 * 2 ** len(recent), 5.0))

    async def _stop(self, service: Service) -> None:
        process = service.process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()

    def _last_words(self, service: Service) -> str:
        path = self._log(service)
        lines = path.read_text(errors="replace").splitlines()[-12:] if path.exists() else []
        return f"{path} ends with:\n" + "\n".join(f"  {line[:400]}" for line in lines)

    def _log(self, service: Service) -> Path:
        return self._directory / f"{service.name}.log"

    def _endpoint_file(self, service: Service) -> Path:
        return self._directory / f"{service.name}.endpoint.json"
