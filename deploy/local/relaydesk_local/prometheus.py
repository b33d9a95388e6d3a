"""Prometheus and Alertmanager on one machine, where they are installed, with the desk's rules, routes and addresses."""

from __future__ import annotations

import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from relaydesk_local.errors import BackendError
from relaydesk_local.ports import HOST
from relaydesk_local.process import ServerProcess
from relaydesk_local.server import LocalServer

DEPLOY = Path(__file__).parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 20


class LocalAlertmanager(LocalServer):
    """config: its routes; by default those of the desk."""

    name = "Alertmanager"
    binaries = ("prometheus-alertmanager", "alertmanager")

    def __init__(self, data: Path, *, port: int | None = None, config: Path | None = None) -> None:
        super().__init__(data, port=port)
        self._config = config or DEPLOY / "alertmanager" / "alertmanager.yml"

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _prepare(self) -> None:
        """Nothing but the directory."""

    def _launch(self, port: int) -> ServerProcess:
        command = [
            _binary(self.binaries),
            f"--config.file={self._config}",
            f"--storage.path={self.data / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--cluster.listen-address=",  # alone
        ]
        return _launch(self, command, port)


class LocalPrometheus(LocalServer):
    """targets: service -> its address, `http://host:port`. alertmanager: likewise, None for none. intervals: in place
    of those of the desk's own configuration, such as `scrape_interval`. rules: a directory, by default the desk's."""

    name = "Prometheus"
    binaries = ("prometheus",)

    def __init__(
        self,
        data: Path,
        targets: Mapping[str, str],
        *,
        port: int | None = None,
        alertmanager: str | None = None,
        rules: Path | None = None,
        intervals: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data, port=port)
        self._targets, self._alertmanager, self._intervals = targets, alertmanager, intervals or {}
        self._rules = rules or DEPLOY / "prometheus" / "rules"

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _prepare(self) -> None:
        """The desk's configuration, with this desk's addresses in it."""
        config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] |= self._intervals
        config["rule_files"] = [str(self._rules.absolute() / "*.yml")]
        if self._alertmanager is None:
            del config["alerting"]
        else:
            config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [_host(self._alertmanager)]}]}]
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [_host(address)], "labels": {"service": service}} for service, address in self._targets.items()
        ]
        (self.data / "prometheus.yml").write_text(yaml.safe_dump(config))

    def _launch(self, port: int) -> ServerProcess:
        command = [
            _binary(self.binaries),
            f"--config.file={self.data / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.data / 'data'}",
            "--enable-feature=exemplar-storage",
            f"--web.listen-address={HOST}:{port}",
        ]
        return _launch(self, command, port)


def installed() -> bool:
    """Whether both can be started here."""
    return all(any(map(shutil.which, kind.binaries)) for kind in (LocalPrometheus, LocalAlertmanager))


def _binary(names: tuple[str, ...]) -> str:
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise BackendError(f"{names[-1]} is not installed: get it (Debian: prometheus, prometheus-alertmanager)")


def _launch(server: LocalServer, command: list[str], port: int) -> ServerProcess:
    log = server.data / f"{server.name.lower()}.log"
    process = ServerProcess(server.name, command, log=log, stop_signal=signal.SIGTERM, grace=_STOP_SECONDS)
    process.wait_until(lambda: _answers(f"http://{HOST}:{port}/-/ready"), _START_SECONDS)
    return process


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _host(address: str) -> str:
    return address.removeprefix("http://")
