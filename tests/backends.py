"""A real Kafka and PostgreSQL for the tests: in containers where a Docker engine answers, local ones elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import docker
import pytest
from docker.errors import DockerException

from relaydesk_local import BackendError, LocalKafka, LocalPostgres
from relaydesk_local.ports import free_port

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:17"


def unavailable(reason: str) -> NoReturn:
    """Skips the asking test, saying why; in CI, where a missing backend would hide a failure, fails it."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI needs this backend: {reason}", pytrace=False)
    pytest.skip(reason)


def docker_answers() -> bool:
    try:
        client = docker.from_env(timeout=3)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False


@contextmanager
def kafka(data: Path) -> Iterator[str]:
    """Yields a bootstrap address. Raises `BackendError` or `DockerException` where no broker can be had."""
    if docker_answers():
        with _kafka_container() as bootstrap:
            yield bootstrap
        return
    server = LocalKafka(data)
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def postgres(data: Path) -> Iterator[str]:
    """Yields a `postgresql+asyncpg://` URL whose user may create databases. Raises as `kafka` does."""
    if docker_answers():
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer(POSTGRES_IMAGE) as container:
            yield container.get_connection_url(driver="asyncpg")
        return
    server = LocalPostgres(data, ephemeral=True)
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def _kafka_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    port = free_port()  # the same inside and outside, for a broker tells its clients where it is
    listeners = f"PLAINTEXT://:{port},CONTROLLER://:9093"
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    host = container.get_docker_client().host() or "127.0.0.1"
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": listeners,
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_MESSAGE_MAX_BYTES": str(12 * 1024 * 1024),
    }
    for name, value in settings.items():
        container.with_env(name, value)
    with container:
        wait_for_logs(container, "Kafka Server started", timeout=90)
        yield f"{host}:{port}"


def reason_of(error: Exception) -> str:
    return str(error) if isinstance(error, BackendError) else f"Docker: {error}"
