"""What the environment says about how a service runs; nothing about what it decides."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CannotRun(Exception):
    """The surroundings are not as a service needs them: says what is wrong and what to do, in one line for a person."""


class RuntimeSettings(BaseSettings):
    """Read from `RELAYDESK_*` by the composition root of a service, once. All durations in seconds.

    topic_prefix: put before every topic, group and transactional id, so that several desks share a cluster.
    clock: `wall`, or `stream` to follow a replay. endpoint_file: where the service writes `{"http": "http://..."}` when
    it listens. http_port 0: any free one. database_url: for services with a ledger.
    batch: the most messages of one transaction. commit_seconds: after it a transaction is given up and the process
    ends; well below the clients' request timeout.
    """

    model_config = SettingsConfigDict(env_prefix="RELAYDESK_", frozen=True, extra="ignore")

    bootstrap: str = "127.0.0.1:9092"
    topic_prefix: str = ""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock: Literal["wall", "stream"] = "wall"
    database_url: str | None = None
    endpoint_file: Path | None = None

    batch: int = Field(default=1_000, ge=1)
    commit_seconds: float = Field(default=15.0, gt=0)
    session_seconds: float = Field(default=10.0, gt=0)
    transaction_seconds: float = Field(default=60.0, gt=0)
    dead_letters_in_row: int = Field(default=200, ge=1)
