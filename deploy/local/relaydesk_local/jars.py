"""Kafka's own jars: fetched once from Maven Central by jgo, checked against `kafka-jars.lock`, kept per user."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import platformdirs
import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from relaydesk_local.errors import BackendError, said_plainly

KAFKA_VERSION = "4.1.1"
BROKER = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"  # with all that its POM asks for
BESIDE_IT = (
    "org.apache.logging.log4j:log4j-api:2.24.3",  # the broker links to log4j, its POM does not say so
    "org.apache.logging.log4j:log4j-core:2.24.3",
    "org.slf4j:slf4j-simple:1.7.36",  # the binding of slf4j-api 1.7.36: plain lines on standard error
)
_AT_ONCE = 8  # downloads


@dataclass(frozen=True)
class Jar:
    coordinate: str  # group:artifact:version
    sha256: str  # hex

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


Fetch = Callable[[Jar, Path], Path]  # brings a jar into a scratch directory and returns where it is


def locked_jars() -> list[Jar]:
    lines = resources.files("relaydesk_local").joinpath("kafka-jars.lock").read_text().splitlines()
    return [Jar(*line.split(" sha256:")) for line in lines if line and not line.startswith("#")]


def cache_dir() -> Path:
    """Where this user's copies are kept (on Linux `$XDG_CACHE_HOME/relaydesk`)."""
    return Path(platformdirs.user_cache_dir("relaydesk"))


def kafka_jars(cache: Path | None = None, fetch: Fetch | None = None, console: Console | None = None) -> list[Path]:
    """The class path of Kafka, from `cache`; fetched there first where it is missing. Raises `BackendError`.

    `fetch` is jgo's download by default.
    """
    cache = cache or cache_dir()
    jars = locked_jars()
    digest = hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()
    home = cache / f"kafka-{KAFKA_VERSION}-{digest[:8]}"  # it exists only complete: see the rename
    if not home.exists():
        with said_plainly(cache):
            _fetch_all(jars, home, fetch or _fetch_with_jgo, console or Console(stderr=True))
    return [home / jar.filename for jar in jars]


def _fetch_all(jars: list[Jar], home: Path, fetch: Fetch, console: Console) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=home.parent))
    progress = Progress(
        TextColumn("Fetching Kafka {task.fields[version]} (once)"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    try:
        ready = scratch / "ready"
        ready.mkdir()
        with progress, ThreadPoolExecutor(_AT_ONCE) as pool:
            task = progress.add_task("", total=len(jars), version=KAFKA_VERSION)
            fetching = pool.map(lambda jar: (jar, fetch(jar, scratch)), jars)
            try:
                for jar, path in fetching:
                    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
                        raise BackendError(
                            f"{jar.filename} is not the file that Relaydesk was tested with (SHA-256 differs): "
                            "try again, and if it stays so, look at the proxy or mirror between here and Maven Central."
                        )
                    shutil.copyfile(path, ready / jar.filename)
                    progress.advance(task)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        try:
            ready.rename(home)
        except OSError:
            if not home.exists():  # another process may have been faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetch_with_jgo(jar: Jar, scratch: Path) -> Path:
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    group, artifact, version = jar.coordinate.split(":")
    context = MavenContext(
        repo_cache=scratch / "repository",
        local_repos=[Path(os.environ.get("M2_REPO", Path.home() / ".m2" / "repository"))],  # what Maven has already
        remote_repos=GlobalSettings.load().repositories or None,  # a mirror, where the user has set one for jgo
        timeout=30,
    )
    try:
        return Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except (requests.RequestException, RuntimeError) as error:  # RuntimeError: how jgo says "not found"
        raise BackendError(
            f"Kafka {KAFKA_VERSION} could not be fetched from Maven Central ({type(error).__name__}): "
            "check the network or proxy and start again; it is needed this once."
        ) from error


def lock_lines() -> list[str]:
    """Resolves the class path anew (needs the network) and returns the lines of `kafka-jars.lock`."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=30)
        # Alone: jgo takes every input for a bill of materials, and log4j's would pin an old kafka-clients.
        inputs, transitive = context.resolver.resolve([context.create_dependency(BROKER)])
        wanted = {f"{d.groupId}:{d.artifactId}:{d.version}" for d in [*inputs, *transitive] if d.scope != "test"}
        lines = []
        for coordinate in sorted(wanted | set(BESIDE_IT)):
            group, artifact, version = coordinate.split(":")
            path = context.project(group, artifact).at_version(version).artifact().resolve()
            lines.append(f"{coordinate} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        return lines
