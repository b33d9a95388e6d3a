"""`make review`: finds the database whose facts are asked for, and lets the SLA monitor write the review."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from relaydesk_local import BackendError, LocalPostgres


async def write_review(run: Path, period: list[str], to: Path, export: Path | None) -> int:
    """period: `--month 2016-03` or `--quarter 2016-Q1`. export: the directory that a replay wrote; None: the facts of
    the desk below `run`, whether it is up or not, else of the last replay. Returns the command's exit code."""
    loading = [] if export is None else ["--load", str(export)]
    async with _database(run, export) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sla_monitor", "review", *period, "--to", str(to), *loading),
            env={**os.environ, "RELAYDESK_DATABASE_URL": url},
        )
        return await process.wait()


@contextlib.asynccontextmanager
async def _database(run: Path, export: Path | None) -> AsyncIterator[str]:
    if export is not None:
        directory = run / "review" / "postgres"
        shutil.rmtree(directory, ignore_errors=True)
    else:
        there = [run / name / "postgres" for name in ("desk", "replay") if (run / name / "postgres").exists()]
        if not there:
            raise BackendError(
                f"There are no facts below {run}: `make replay FEED=…` makes some, or name what one wrote: FROM=DIR"
            )
        directory = there[0]
        endpoints = (run if directory.parent.name == "desk" else directory.parent) / "endpoints.json"
        if endpoints.exists():
            yield _running(msgspec.json.decode(endpoints.read_bytes())["postgres"], directory)
            return
    postgres = LocalPostgres(directory, ephemeral=export is not None)
    try:
        yield await asyncio.to_thread(postgres.start)
    finally:
        await asyncio.to_thread(postgres.stop)


def _running(address: str, directory: Path) -> str:
    """The address of a desk's server with its password, which stands in the data directory alone."""
    parts = urlsplit(address)
    password = (directory / "password").read_text()
    return f"postgresql://{parts.username}:{password}@{parts.hostname}:{parts.port}{parts.path}"
