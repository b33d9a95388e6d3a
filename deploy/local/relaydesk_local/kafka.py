"""Apache Kafka, one node (KRaft: broker and controller in one process), on 127.0.0.1 with its data in a directory."""

from __future__ import annotations

import base64
import signal
import subprocess
import uuid
from pathlib import Path

from relaydesk_local.errors import BackendError, disk_full
from relaydesk_local.jars import kafka_jars
from relaydesk_local.java import find_java
from relaydesk_local.ports import HOST, free_port
from relaydesk_local.process import ServerProcess
from relaydesk_local.server import LocalServer

START_SECONDS = 90  # a cold disk and a busy machine; usually 3
STOP_SECONDS = 30
_STARTED = "Kafka Server started"  # logged once the broker is unfenced: topics can be created from here on


class LocalKafka(LocalServer):
    """One broker. Records survive `stop` and `kill`: they are in the operating system's page cache or on the disk."""

    name = "Kafka"

    def __init__(self, data: Path, *, port: int | None = None, heap: str = "512m", java: Path | None = None) -> None:
        """`heap` is Java's `-Xmx`; `java` None: the first suitable one (`find_java`)."""
        super().__init__(data, port=port)
        self._java = java
        self._heap = heap
        self._java_command: list[str] = []

    @property
    def address(self) -> str:
        """The bootstrap address, `127.0.0.1:PORT`."""
        return f"{HOST}:{self.port}"

    def _prepare(self) -> None:
        """Finds Java and, at a user's first start, fetches Kafka."""
        class_path = ":".join(str(jar) for jar in kafka_jars())
        self._java_command = [str(self._java or find_java()), "-cp", class_path, f"-Xmx{self._heap}", *_LOGGING]

    def _launch(self, port: int) -> ServerProcess:
        settings = self.data / "server.properties"
        wanted = broker_settings(self.data / "log", port, free_port())
        settings.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
        if not (self.data / "log" / "meta.properties").exists():
            _format(self._java_command, settings)
        process = ServerProcess(
            self.name,
            [*self._java_command, "-Xms256m", "kafka.Kafka", str(settings)],
            log=self.data / "kafka.log",
            stop_signal=signal.SIGTERM,
            grace=STOP_SECONDS,
        )
        process.wait_until(lambda: _STARTED in process.output(), START_SECONDS)
        return process


_LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says _STARTED
    "-Dlog4j2.level=OFF",  # log4j is linked, not used
]


def _format(java_command: list[str], settings: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*java_command, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
    try:
        done = subprocess.run(
            [*command, f"--cluster-id={cluster}", f"--config={settings}"],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"Kafka could not prepare {settings.parent} within {START_SECONDS} s.") from error
    if done.returncode != 0:
        if "No space left on device" in done.stderr:
            raise disk_full(settings.parent)
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise BackendError(f"Kafka could not prepare {settings.parent}: {lines[0][:200]}")


def broker_settings(log_directory: Path, port: int, controller_port: int) -> dict[str, object]:
    """The broker's settings: one replica of everything, and figures for one small machine."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": log_directory,
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Few partitions of the internal topics: they are made at the first use, and a first use should not be slow.
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A desk may stand still for long; offsets that expire meanwhile would make it start over.
        "offsets.retention.minutes": 365 * 24 * 60,
        # How soon after its time-out an abandoned transaction is aborted and stops hiding what follows it.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "transaction.partition.verification.enable": "true",
        # A 10 MB message must reach the services, which refuse it with a record; the broker would leave none.
        "message.max.bytes": 12 * 1024 * 1024,
        # After SIGKILL the new broker waits until its former self's session has ended.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 1000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
        "num.recovery.threads.per.data.dir": 2,
    }
