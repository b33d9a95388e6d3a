"""The local PostgreSQL: what was committed is there after a stop and a kill, as root and as anybody else."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import backends
from relaydesk_local import BackendError, LocalPostgres
from relaydesk_local.postgres import binaries_version, candidate_directories, find_binaries


@pytest.fixture(scope="module", autouse=True)
def _binaries() -> None:
    try:
        find_binaries()
    except BackendError as error:
        backends.unavailable(str(error))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalPostgres]:
    server = LocalPostgres(tmp_path / "postgres")
    yield server
    server.stop()


async def execute(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def test_rows_and_address_survive_a_stop_and_a_kill(server: LocalPostgres) -> None:
    url = server.start()
    await execute(url, "CREATE TABLE kept (what text)")
    await execute(url, "INSERT INTO kept VALUES ('before the stop')")

    server.stop()
    assert not server.running
    assert server.start() == url
    await execute(url, "INSERT INTO kept VALUES ('before the kill')")

    killed = server.pid
    server.kill()
    assert killed is not None
    assert not psutil.pid_exists(killed)
    assert server.start() == url
    rows = await execute(url, "SELECT what FROM kept ORDER BY what")
    assert [row["what"] for row in rows] == ["before the kill", "before the stop"]


@pytest.mark.parametrize(("ephemeral", "fsync"), [(False, "on"), (True, "off")])
async def test_it_is_durable_unless_it_is_said_to_be_ephemeral(tmp_path: Path, ephemeral: bool, fsync: str) -> None:
    server = LocalPostgres(tmp_path / "postgres", ephemeral=ephemeral)
    try:
        url = server.start()
        assert (await execute(url, "SHOW fsync"))[0][0] == fsync
        assert (await execute(url, "SHOW synchronous_commit"))[0][0] == fsync
    finally:
        server.stop()


async def test_sqlalchemy_takes_the_address_and_a_wrong_password_is_refused(server: LocalPostgres) -> None:
    url = server.start()
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_user, current_database()"))).one() == (
            "relaydesk",
            "relaydesk",
        )
    await engine.dispose()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace("+asyncpg", ""), password="a guess")
    assert stat.S_IMODE((server.data / "password").stat().st_mode) == 0o600


async def test_it_runs_below_a_directory_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    """Root's home is such a place, and PostgreSQL does not run as root."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = LocalPostgres(private / "postgres", ephemeral=True)
    try:
        await execute(server.start(), "SELECT 1")
        assert server.pid is not None
        assert psutil.Process(server.pid).uids().effective != 0
    finally:
        server.stop()


async def test_every_version_found_here_works_and_data_of_one_is_not_given_to_another(tmp_path: Path) -> None:
    usable = {directory: version for directory in candidate_directories() if (version := binaries_version(directory))}
    oldest, newest = min(usable, key=usable.__getitem__), max(usable, key=usable.__getitem__)
    for directory in {oldest, newest}:
        data = tmp_path / f"postgres-{usable[directory]}"
        server = LocalPostgres(data, ephemeral=True, binaries=directory)
        try:
            told = await execute(server.start(), "SHOW server_version_num")
            assert int(told[0][0]) // 10_000 == usable[directory]
        finally:
            server.stop()
        again = LocalPostgres(data, ephemeral=True)
        try:
            assert (await execute(again.start(), "SHOW server_version_num"))[0][0] == told[0][0]
        finally:
            again.stop()


def test_a_taken_port_is_one_clear_line(server: LocalPostgres, tmp_path: Path) -> None:
    server.start()
    second = LocalPostgres(tmp_path / "second", port=server.port, ephemeral=True)
    with pytest.raises(
        BackendError, match=rf"^Port {server.port} on 127.0.0.1, wanted by PostgreSQL, is taken by postgres"
    ):
        second.start()
    assert not second.running


def test_data_in_use_is_one_clear_line(server: LocalPostgres, tmp_path: Path) -> None:
    server.start()
    second = LocalPostgres(tmp_path / "postgres")
    with pytest.raises(BackendError, match=r"^Another PostgreSQL works on .*make down"):
        second.start()
