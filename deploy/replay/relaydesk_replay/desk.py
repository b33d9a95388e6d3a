"""One desk on this machine: backends, topics, agreement, services and facts, up for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from relaydesk_local import BackendError, LocalKafka, LocalPostgres, prometheus
from relaydesk_local.ports import free_port, is_free, require_free
from relaydesk_local.prometheus import LocalAlertmanager, LocalPrometheus
from relaydesk_local.server import LocalServer
from relaydesk_replay.supervisor import Service, ServiceFailed, Supervisor
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.publishing import publish, read_versions
from ticket_contracts.agreement.reading import read_agreement
from ticket_runtime.topics import create_topics, stamp_by_broker

_T = TypeVar("_T")

MODULES = {
    "intake": "ticket_intake",
    "classifier": "ticket_classifier",
    "router": "ticket_router",
    "sla-monitor": "sla_monitor",
    "handoff": "ticket_handoff",
}
EDGE = "intake-edge"
"""Intake's HTTP edge: a process of its own, which stays and answers 503 while the broker is away."""
PORTS = {
    EDGE: 8600,
    "handoff": 8601,
    "router": 8602,
    "sla-monitor": 8603,
    "classifier": 8604,
    "intake": 8605,
    "facts": 8606,
    "kafka": 9092,
    "postgres": 5433,
    "prometheus": 9090,
    "alertmanager": 9093,
}
"""Where a desk that stays up listens; a replay takes free ports."""


WATCHERS = ("prometheus", "alertmanager")

OPERATOR_KEY = "operator.key"
_KEYS = "handoff-keys.json"
_SESSIONS = "session.key"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to bring up. directory: for data and logs. agreement: its document. now: when the desk is set up (UTC).
    partitions: of topics keyed by ticket. clock: `stream` follows a replay from the start. ports: name -> port, absent
    ones are free ports.
    fresh: nothing of an earlier run is kept. ephemeral: PostgreSQL need not survive a power cut. watched: Prometheus
    and Alertmanager are started with it, where they are installed. scrapes, rules: intervals, and a directory of rules,
    in place of the usual ones. addresses: the file that holds its addresses while it runs, by default `endpoints.json`
    in the directory."""

    directory: Path
    agreement: Path
    now: datetime
    partitions: int = 4
    clock: str = "wall"
    ports: dict[str, int] = field(default_factory=dict)
    fresh: bool = False
    ephemeral: bool = False
    watched: bool = False
    scrapes: Mapping[str, str] = field(default_factory=dict)
    rules: Path | None = None
    addresses: Path | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """A desk that is up. names: its topics. endpoints: as `endpoints.json` holds them. kafka, database: the broker, and
    the address of the database with its password."""

    bootstrap: str
    names: list[str]
    agreement: Agreement
    supervisor: Supervisor
    endpoints: dict[str, str]
    kafka: LocalKafka
    database: str


@contextlib.asynccontextmanager
async def running(plan: Plan, say: Callable[[str], None] = lambda _: None) -> AsyncIterator[Desk]:
    """Brings a desk up and takes it down again, in order. say: is told each stage. Raises BackendError, ServiceFailed,
    or AgreementError for a document that cannot be signed."""
    agreement = read_agreement(plan.agreement.read_text(), str(plan.agreement))
    if plan.fresh:
        for name in ("kafka", "postgres", "services", *WATCHERS):
            shutil.rmtree(plan.directory / name, ignore_errors=True)
    for name, port in plan.ports.items():
        if name not in WATCHERS:
            require_free(port, name)
    # A process that is started again is found where it was.
    plan = dataclasses.replace(plan, ports={**{name: free_port() for name in (EDGE, *MODULES, "facts")}, **plan.ports})
    kafka = LocalKafka(plan.directory / "kafka", port=plan.ports.get("kafka"))
    postgres = LocalPostgres(plan.directory / "postgres", port=plan.ports.get("postgres"), ephemeral=plan.ephemeral)
    try:
        say("Starting Kafka and PostgreSQL")
        bootstrap, database = await _both(kafka.start, postgres.start)
        say("Creating topics, publishing the agreement")
        names = await _prepare_topics(bootstrap, agreement, plan)
        await _agree(bootstrap, agreement, plan.now)
        await _handoff(["migrate"], {"RELAYDESK_DATABASE_URL": database})
        await _operator_key(plan.directory)
        say("Starting the five services")
        supervisor = Supervisor(_services(plan, bootstrap, database), plan.directory / "services")
        async with supervisor.running(), contextlib.AsyncExitStack() as stack:
            endpoints = _endpoints(plan, await supervisor.endpoints(), bootstrap, database)
            if plan.watched and prometheus.installed():
                say("Starting Prometheus and Alertmanager")
                watchers = _watchers(plan)
                for watcher in watchers:
                    stack.push_async_callback(asyncio.to_thread, watcher.stop)
                endpoints |= await _watch(watchers, say)
            path = plan.addresses or plan.directory / "endpoints.json"
            path.write_bytes(msgspec.json.format(msgspec.json.encode(endpoints)))
            try:
                yield Desk(bootstrap, names, agreement, supervisor, endpoints, kafka, database)
            finally:
                path.unlink(missing_ok=True)
    finally:
        await _both(kafka.stop, postgres.stop)


def _watchers(plan: Plan) -> list[LocalServer]:
    """Alertmanager and Prometheus, in the order of their start. A port that somebody has is theirs: nobody else asks
    for these."""
    given = [plan.ports.get(name) for name in WATCHERS]
    port, alerts_port = (port if port is not None and is_free(port) else free_port() for port in given)
    alertmanager = LocalAlertmanager(plan.directory / "alertmanager", port=alerts_port)
    targets = {name: f"http://127.0.0.1:{plan.ports[name]}" for name in (EDGE, *MODULES, "facts")}
    watching = LocalPrometheus(
        plan.directory / "prometheus",
        targets,
        port=port,
        alertmanager=alertmanager.address,
        intervals=plan.scrapes,
        rules=plan.rules,
    )
    return [alertmanager, watching]


async def _watch(watchers: list[LocalServer], say: Callable[[str], None]) -> dict[str, str]:
    """Starts them; a desk does without where that fails."""
    try:
        return {watcher.name.lower(): await asyncio.to_thread(watcher.start) for watcher in watchers}
    except BackendError as error:
        say(f"without Prometheus: {error}")
        return {}


async def _both(*work: Callable[[], _T]) -> list[_T]:
    """Runs blocking calls side by side and waits for all of them, also when one fails: none may go on behind our
    back."""
    done = await asyncio.gather(*(asyncio.to_thread(one) for one in work), return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]


async def _prepare_topics(bootstrap: str, agreement: Agreement, plan: Plan) -> list[str]:
    wanted = topics.desk_topics(agreement.sources, list(agreement.queues), list(agreement.partners))
    await create_topics(bootstrap, "", wanted, plan.partitions, live=plan.clock == "wall")
    return [topic.name for topic in wanted]


async def _agree(bootstrap: str, agreement: Agreement, now: datetime) -> None:
    """Publishes the document unless the desk has a version already: a later one is for people to approve, by the
    command."""
    if not await read_versions(bootstrap):
        approvals = {party.name: "the desk's setup" for party in agreement.parties}
        await publish(bootstrap, agreement, now=now, effective_at=now, approvals=approvals)


async def go_live(desk: Desk) -> None:
    """Lets the broker stamp what others write: on a live desk the sender's clock is not trusted."""
    wanted = topics.desk_topics(desk.agreement.sources, list(desk.agreement.queues), list(desk.agreement.partners))
    await stamp_by_broker(desk.bootstrap, "", wanted)


async def _operator_key(directory: Path) -> None:
    """A key for who runs the desk, made once: handoff keeps its hash, `operator.key` the key, for its owner alone. And
    what signs the sessions of the desk page, so that they outlive a restart."""
    if not (directory / OPERATOR_KEY).exists():
        made = await _handoff(["key", "internal", "operator", "--file", str(directory / _KEYS)], {})
        _keep_to_oneself(directory / OPERATOR_KEY, made)
    if not (directory / _SESSIONS).exists():
        _keep_to_oneself(directory / _SESSIONS, secrets.token_urlsafe(32))


def _keep_to_oneself(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def page_link(directory: Path, endpoints: Mapping[str, str]) -> str:
    """The address of the desk page that signs in who runs the desk. The key stands behind the #, which browsers send to
    nobody."""
    return f"{endpoints['desk']}/desk/sign-in#token={(directory / OPERATOR_KEY).read_text().strip()}"


async def _handoff(arguments: list[str], env: dict[str, str]) -> str:
    """What one of handoff's commands says. Raises ServiceFailed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULES["handoff"], *arguments),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise ServiceFailed(f"handoff {arguments[0]} failed: " + "\n".join(lines[-5:]))
    return said.decode()


def _services(plan: Plan, bootstrap: str, database: str) -> list[Service]:
    own = {
        "handoff": {
            "RELAYDESK_DATABASE_URL": database,
            "RELAYDESK_HANDOFF_KEYS_FILE": str((plan.directory / _KEYS).absolute()),
            "RELAYDESK_DESK_SESSION_FILE": str((plan.directory / _SESSIONS).absolute()),
        },
    }

    def env(name: str) -> dict[str, str]:
        return {
            "RELAYDESK_BOOTSTRAP": bootstrap,
            "RELAYDESK_CLOCK": plan.clock,
            "RELAYDESK_HTTP_PORT": str(plan.ports.get(name, 0)),
            **own.get(name, {}),
        }

    facts = env("facts") | {"RELAYDESK_DATABASE_URL": database}
    return [
        *(
            Service(name, module, env(name), command)
            for name, module, command in (
                (EDGE, MODULES["intake"], "edge"),
                *((name, module, "serve") for name, module in MODULES.items()),
            )
        ),
        # A desk is up without figures: whoever waits for a desk does not wait for these.
        Service("facts", MODULES["sla-monitor"], facts, "facts serve", later=True),
    ]


async def facts_gathered(desk: Desk, seconds: float = 180.0) -> bool:
    """Waits until every event is a fact; False when that takes longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), httpx.AsyncClient(timeout=10, trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"{desk.endpoints['facts']}/v1/figures?window=1h")
                    if answer.status_code == 200 and answer.json()["caught_up"]:
                        return True
                await asyncio.sleep(0.5)
    return False


def _endpoints(plan: Plan, services: dict[str, str], bootstrap: str, database: str) -> dict[str, str]:
    """The addresses that others rely on; without the database's password, which is in the data directory."""
    postgres = urlsplit(database)
    return {
        "intake": services[EDGE],
        "intake-tasks": services["intake"],
        "desk": services["handoff"],
        "router": services["router"],
        "sla": services["sla-monitor"],
        "handoff": services["handoff"],
        "classifier": services["classifier"],
        "facts": f"http://127.0.0.1:{plan.ports['facts']}",
        "kafka": bootstrap,
        "postgres": f"postgresql://{postgres.username}@{postgres.hostname}:{postgres.port}{postgres.path}",
    }
