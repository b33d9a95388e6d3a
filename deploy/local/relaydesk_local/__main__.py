"""The local Kafka and PostgreSQL by themselves, without a desk on them; and the lock of Kafka's jars.

python -m relaydesk_local start     in the foreground until Ctrl-C, SIGTERM or `stop`
python -m relaydesk_local status    where they are; exit code 1 when they do not run
python -m relaydesk_local stop      from another terminal
python -m relaydesk_local fetch     fetch Kafka into the user's cache, for a later start without a network
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from relaydesk_local.errors import BackendError
from relaydesk_local.jars import kafka_jars, lock_lines
from relaydesk_local.kafka import LocalKafka
from relaydesk_local.postgres import LocalPostgres

_STOP_SECONDS = 75  # both servers' own grace, and some
_LOCK = Path(__file__).with_name("kafka-jars.lock")


@dataclass(frozen=True)
class Running:
    """What `start` leaves in its state file: its own process id and the two addresses."""

    pid: int
    kafka: str
    postgres: str

    def lines(self) -> str:
        return f"kafka     {self.kafka}\npostgres  {self.postgres}"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    state: Path = options.data / "backends.json"
    try:
        match options.command:
            case "start":
                _start(options, state)
            case "stop":
                return _stop(state)
            case "status":
                return _status(state, options.json)
            case "fetch":
                print(kafka_jars()[0].parent)
            case "lock":
                head = "# Written by `make lock`: the class path of the local Kafka."
                _LOCK.write_text("\n".join([head, *lock_lines(), ""]))
    except BackendError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m relaydesk_local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["start", "stop", "status", "fetch", "lock"])
    parser.add_argument("--data", type=Path, default=Path(".run/backends"), help="default .run/backends")
    parser.add_argument("--kafka-port", type=int, help="default: a free one")
    parser.add_argument("--postgres-port", type=int, help="default: a free one")
    parser.add_argument("--ephemeral", action="store_true", help="PostgreSQL without fsync, for tests")
    parser.add_argument("--json", action="store_true", help="status as one JSON object")
    return parser


def _start(options: argparse.Namespace, state: Path) -> None:
    """Both are stopped in good order whatever ends the wait, an error of the second's start included."""
    if (running := _running(state)) is not None:
        raise BackendError(f"They run already (process {running.pid}): python -m relaydesk_local stop")
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        kafka = LocalKafka(options.data / "kafka", port=options.kafka_port)
        postgres = LocalPostgres(options.data / "postgres", port=options.postgres_port, ephemeral=options.ephemeral)
        try:
            stack.callback(state.unlink, missing_ok=True)  # last of all: `stop` waits for it
            stack.callback(kafka.stop)
            stack.callback(postgres.stop)
            running = Running(pid=os.getpid(), postgres=postgres.start(), kafka=kafka.start())
            state.touch(mode=0o600)  # the address of PostgreSQL holds its password
            state.write_text(json.dumps(asdict(running)))
            print(running.lines(), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("stopping", file=sys.stderr)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop(state: Path) -> int:
    running = _running(state)
    if running is None:
        print("They do not run.", file=sys.stderr)
        return 0
    psutil.Process(running.pid).terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    while _running(state) is not None:
        if time.monotonic() > deadline:
            raise BackendError(
                f"Process {running.pid} did not end in {_STOP_SECONDS} s: see the logs in {state.parent}."
            )
        time.sleep(0.05)
    return 0


def _status(state: Path, as_json: bool) -> int:
    running = _running(state)
    if as_json:
        print(json.dumps({"running": running is not None, **(asdict(running) if running else {})}))
    elif running is None:
        print("They do not run: python -m relaydesk_local start")
    else:
        print(running.lines())
    return 0 if running else 1


def _running(state: Path) -> Running | None:
    """What `state` tells, unless the process that wrote it is gone."""
    try:
        running = Running(**json.loads(state.read_text()))
        command = psutil.Process(running.pid).cmdline()
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return running if "relaydesk_local" in command else None


if __name__ == "__main__":
    sys.exit(main())
