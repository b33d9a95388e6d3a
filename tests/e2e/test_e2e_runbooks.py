"""Each trouble is caused on one running desk: the alert fires on a real Prometheus, what the runbook tells one to look
at says so, and what it tells one to do ends it.

Only time is shortened: windows, ages and `for` of the rules are divided, the expressions stay. The desk is live, and
nobody answers its offers but the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import psutil
import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy.engine import make_url

from relaydesk_replay import desk as desks
from relaydesk_replay.desk import Plan
from relaydesk_replay.supervisor import Service
from ticket_contracts import topics
from ticket_contracts.agreement import digest
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.transfers import TransferAccepted
from ticket_runtime.following import follow
from watched_desk import AGREEMENTS, QUICKLY, ROOT, Watched, needs_prometheus, until

FACTORS = {
    "SourceSilent": 7_200,
    "TransferUnacknowledged": 240,
    "TransferUndelivered": 60,
    "IntakeRefusing": 4,
    "LedgerUnreachable": 3,
    "ServiceRestarting": 10,
}
"""Alert -> by how much its times are divided; others by `FACTOR`."""
FACTOR = 20
SLO_FACTOR = 120
CLOCK_BEHIND = timedelta(hours=1)
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(2_400)]


def _shorter(expression: str, factor: int) -> str:
    def window(found: re.Match[str]) -> str:
        return f"[{max(int(found[1]) * SECONDS[found[2]] // factor, 30)}s"

    def age(found: re.Match[str]) -> str:
        seconds = int(found[1]) * int(found[2] or 1)
        return f"> {max(seconds // factor, 10)}" if seconds >= 60 else found[0]

    expression = re.sub(r"\[(\d+)([smhdw])", window, expression)
    return re.sub(r"> (\d+)(?: \* (\d+))?(?![\d.*])", age, expression) if "time()" in expression else expression


def hurried(directory: Path) -> Path:
    """The desk's rules in a desk whose days are minutes."""
    directory.mkdir()
    for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group["interval"] = "2s"
            for rule in group["rules"]:
                name = rule.get("alert", "")
                slo = "record" in rule or "Slo" in name
                rule["expr"] = _shorter(rule["expr"], SLO_FACTOR if slo else FACTORS.get(name, FACTOR))
                for waiting in ("for", "keep_firing_for"):
                    if waiting in rule:
                        rule[waiting] = "2s"
        (directory / path.name).write_text(yaml.safe_dump(document))
    return directory


class Drill:
    """A desk, and what one does to it."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.desk, self.client = watched, watched.desk, watched.client

    async def send(self, external: str, **fields: Any) -> str:
        body = {"id": external, "title": "Outlook does not start", "text": "It hangs.", "status": "new"} | fields
        assert (await self.watched.post(json.dumps(body).encode())).status_code == 202
        return f"generic:main:{external}"

    async def fires(self, alert: str, seconds: float = 120, where: str = "") -> dict[str, str]:
        """Its labels. where: what else they must be."""

        async def firing() -> Any:
            return await self.watched.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"{where}}}')

        (first, *_) = await until(firing, seconds, f"{alert} fires")
        labels: dict[str, str] = first["metric"]
        return labels

    async def over(self, alert: str, seconds: float = 180, where: str = "") -> None:
        async def quiet() -> bool:
            return not await self.watched.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"{where}}}')

        await until(quiet, seconds, f"{alert} is over")

    async def looked_at(self, runbook: str, **names: str) -> str:
        """All that the fenced lines of a runbook answer. Fails when a query answers nothing, or a command cannot run.
        names: what stands for `$NAME` in them."""
        text = (ROOT / "docs/runbooks" / f"{runbook}.md").read_text()
        blocks = re.findall(r"^```(promql|sql|sh)\n(.*?)^```", text, re.M | re.S)
        assert blocks, f"{runbook} has nothing to run"
        said: list[str] = []
        for kind, block in blocks:
            for line in block.strip().splitlines():
                if kind == "promql":
                    # Who is called looks some seconds later than the alert.
                    found = await until(partial(self.watched.ask, line), 20, f"{runbook}: an answer to {line}")
                    said += [json.dumps([sample["metric"], sample["value"][1]]) for sample in found]
                elif kind == "sql":
                    said += [str(dict(row)) for row in await self.sql(line)]
                else:
                    said.append(await self.run(line, names))
        return "\n".join(said)

    async def run(self, line: str, names: dict[str, str]) -> str:
        environment = {
            **os.environ,
            "RELAYDESK_BOOTSTRAP": self.desk.bootstrap,
            "RELAYDESK_DATABASE_URL": self.desk.database,
            **names,
        }
        python, *arguments = shlex.split(line)
        assert python == "python"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(environment[word[1:]] if word.startswith("$") else word for word in arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode in (0, 1), f"{line}: {said.decode()}"
        return said.decode()

    async def sql(self, statement: str) -> list[Any]:
        url = make_url(self.desk.database).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(url)
        try:
            found: list[Any] = await connection.fetch(statement)
            return found
        finally:
            await connection.close()

    @contextlib.contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """It neither works nor answers until the block ends."""
        pid = self.service(service).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def service(self, name: str) -> Service:
        (found,) = [each for each in self.desk.supervisor._services if each.name == name]
        return found

    async def restarted(self, name: str) -> None:
        """As a service's keeper would: it is told to end, and is ready again."""
        service = self.service(name)
        before = service.starts
        os.kill(service.pid, signal.SIGTERM)

        async def ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.client.get(f"{self.desk.endpoints[name]}/readyz")
                return service.starts > before and answer.status_code == 200
            return False

        await until(ready, 60, f"{name} is ready again")

    @contextlib.asynccontextmanager
    async def otherwise(self, name: str, directory: Path, code: str) -> AsyncIterator[None]:
        """The service begins with these lines until the block ends, and is then as before."""
        service = self.service(name)
        module, environment = service.module, service.env
        (directory / "otherwise.py").write_text(
            f"import runpy\n{code}\nrunpy.run_module({module!r}, run_name='__main__')\n"
        )
        service.module, service.env = "otherwise", {**environment, "PYTHONPATH": str(directory)}
        try:
            await self.restarted(name)
            yield
        finally:
            service.module, service.env = module, environment
            await self.restarted(name)

    def log_of(self, name: str) -> str:
        return (self.watched.plan.directory / "services" / f"{name}.log").read_text()

    async def open_transfers(self) -> list[dict[str, Any]]:
        answer = await self.client.get(
            f"{self.desk.endpoints['handoff']}/v1/transfers", headers=self.watched.keys["internal"]
        )
        found: list[dict[str, Any]] = answer.json()
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Drill]:
    needs_prometheus()
    directory = tmp_path_factory.mktemp("drill")
    plan = Plan(
        directory,
        AGREEMENTS / "default.yaml",
        datetime.now(UTC) - 2 * CLOCK_BEHIND,
        partitions=2,
        fresh=True,
        ephemeral=True,
        watched=True,
        scrapes=QUICKLY,
        rules=hurried(directory / "rules"),
    )
    keys = {}
    for partner in ("helpline", "campo"):
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ticket_handoff", "key", partner, "tester"),
            *("--file", str(directory / "handoff-keys.json")),
            stdout=asyncio.subprocess.PIPE,
        )
        keys[partner] = (await made.communicate())[0].decode().strip()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RELAYDESK_SECRET_JIRA", "known to both")
        async with desks.running(plan) as desk, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            keys["internal"] = (directory / desks.OPERATOR_KEY).read_text().strip()
            headers = {who: {"authorization": f"Bearer {key}"} for who, key in keys.items()}
            here = Drill(Watched(plan, desk, client, headers, time.time()))

            async def looked() -> Any:
                return await here.watched.ask('count_over_time(up{service="intake-edge"}[30s]) >= 3')

            await until(looked, 90, "Prometheus looks at the desk")
            yield here


async def test_runbook_a_classifier_that_stands_still(drill: Drill) -> None:
    """OldestUnrouted, ServiceDown, and, once it goes on, both about the promise of routing."""
    await drill.send("BEFORE")
    with drill.frozen("classifier"):
        tickets = [await drill.send(f"WAITS-{number}") for number in range(7)]
        began = time.monotonic()
        await drill.fires("ServiceDown", where=', service="classifier"')
        assert '"service": "classifier"' in await drill.looked_at("ServiceDown")
        await drill.fires("OldestUnrouted")
        said = await drill.looked_at("OldestUnrouted", TICKET=tickets[0])
        assert "tickets.normalized" in said
        assert "tickets.classified" not in said
        await asyncio.sleep(max(35 - (time.monotonic() - began), 0))  # the promise is 30 s
    await drill.over("OldestUnrouted")
    await drill.over("ServiceDown")
    await drill.fires("RoutingSloFastBurn")
    await drill.looked_at("RoutingSloFastBurn")
    await drill.fires("RoutingSloSlowBurn")
    await drill.looked_at("RoutingSloSlowBurn")
    await drill.over("RoutingSloFastBurn")


async def test_runbook_a_service_that_ends_again_and_again(drill: Drill, tmp_path: Path) -> None:
    """As one that is killed for its memory: it has no last words."""
    short_lived = "import os, threading\nthreading.Timer(12, os._exit, (9,)).start()"
    async with drill.otherwise("classifier", tmp_path, short_lived):
        ticket = await drill.send("IN-BETWEEN")
        assert (await drill.fires("ServiceRestarting"))["group"] == "classifier"
        assert '"service": "classifier"' in await drill.looked_at("ServiceRestarting")
        await drill.watched.offered(ticket)  # it is decided all the same
    await drill.over("ServiceRestarting")


async def test_runbook_a_source_whose_secret_is_not_set(drill: Drill) -> None:
    for _ in range(12):
        refused = await drill.watched.post(b"{}", "zendesk")
        assert refused.status_code == 503, refused.text
        await asyncio.sleep(0.3)
    await drill.fires("IntakeRefusing")
    said = await drill.looked_at("IntakeRefusing")
    assert re.search(r'"source": "zendesk", "status": "503"', said)
    assert "none of the secrets" in refused.text
    await drill.over("IntakeRefusing")


async def test_runbook_a_secret_that_differs(drill: Drill) -> None:
    for _ in range(10):
        wrong = "sha256=" + hmac.new(b"another", b"{}", hashlib.sha256).hexdigest()
        assert (await drill.watched.post(b"{}", "jira", **{"x-hub-signature": wrong})).status_code == 401
        await asyncio.sleep(0.3)
    assert (await drill.fires("SignatureFailures"))["source"] == "jira"
    assert re.search(r'"source": "jira", "status": "401"', await drill.looked_at("SignatureFailures"))
    right = "sha256=" + hmac.new(b"known to both", b"{}", hashlib.sha256).hexdigest()
    assert (await drill.watched.post(b"{}", "jira", **{"x-hub-signature": right})).status_code == 202
    await drill.over("SignatureFailures")


async def test_runbook_a_message_that_cannot_be_read(drill: Drill) -> None:
    assert (await drill.watched.post(b"{ not json")).status_code == 202
    assert (await drill.fires("DeadLetters"))["topic"].startswith("inbound.")
    said = await drill.looked_at("DeadLetters")
    (letter,) = set(re.findall(r"inbound\.generic\S*/\d+/\d+", said))
    shown = await drill.run(f"python -m ticket_runtime dead-letters show {letter}", {})
    assert "{ not json" in shown
    await drill.run(f"python -m ticket_runtime dead-letters discard {letter} --reason 'nobody can read it'", {})
    assert letter not in await drill.run("python -m ticket_runtime dead-letters list", {})
    await drill.over("DeadLetters")


async def test_runbook_a_ticket_without_an_owner(drill: Drill) -> None:
    ticket = await drill.send("UNOWNED")
    await drill.watched.offered(ticket)

    async def taken_away() -> Any:
        """Until it is told: what still comes of the ticket makes handoff write its owner down again."""
        await drill.sql(f"UPDATE tickets SET owner = NULL WHERE ticket = '{ticket}' AND owner IS NOT NULL")
        return await drill.watched.ask('ALERTS{alertname="TicketWithoutOwner", alertstate="firing"}')

    await until(taken_away, 120, "TicketWithoutOwner fires")
    said = await drill.looked_at("TicketWithoutOwner")
    assert f"'ticket': '{ticket}'" in said
    await drill.send("UNOWNED", text="It still hangs.")  # any update makes handoff decide about it again
    await drill.over("TicketWithoutOwner")


async def test_runbook_a_receiver_who_says_nothing(drill: Drill) -> None:
    ticket = await drill.send("SILENCE")
    await drill.watched.offered(ticket)
    await drill.fires("TransferUnacknowledged")
    said = await drill.looked_at("TransferUnacknowledged")
    assert ticket in said

    async def all_answered() -> bool:
        """Whoever was asked takes what they were offered."""
        waiting = await drill.open_transfers()
        for each in waiting:
            if each["status"] == "offered":
                transfer = await drill.watched.offered(each["ticket"])
                await drill.watched.reply(transfer, "accept")
        return not waiting

    await until(all_answered, 90, "every transfer is acknowledged")
    await drill.over("TransferUnacknowledged")


async def test_runbook_a_transfer_that_everybody_declines(drill: Drill) -> None:
    ticket = await drill.send("UNWANTED")

    async def at_the_duty_owner() -> bool:
        answer = await drill.client.get(
            f"{drill.desk.endpoints['handoff']}/v1/tickets/{ticket}/owners", headers=drill.watched.keys["internal"]
        )
        owned = answer.json()
        for each in owned.get("transfers", []):
            if each["status"] == "offered":
                await drill.watched.reply(each, "decline", reason="not ours")
        return any(each["kind"] == "automatic" for each in owned.get("intervals", []))

    await until(at_the_duty_owner, 120, "the duty owner has it")
    assert (await drill.fires("TransferUndelivered"))["why"] == "nobody"
    said = await drill.looked_at("TransferUndelivered", TICKET=ticket)
    assert "relaydesk.transfer.declined.v1" in said or "declined" in said
    await drill.over("TransferUndelivered")


async def test_runbook_deadlines_that_are_missed_and_near(drill: Drill) -> None:
    """Tickets that come late, one past its deadline and a dozen an hour before it, while the monitor stands still: so
    the promise of saying it in time is broken, too."""
    now = datetime.now(UTC)
    critical = {
        "title": "SAP is down for everyone",
        "text": "The whole company cannot work, all users are affected, production is down.",
    }
    with drill.frozen("sla-monitor"):
        ticket = await drill.send("OVERDUE", **critical, created_at=(now - timedelta(hours=9)).isoformat())
        soon = (now - timedelta(hours=3, minutes=20)).isoformat()
        near = [await drill.send(f"NEAR-{number}", **critical, created_at=soon) for number in range(12)]
        await asyncio.sleep(8)  # the promise is 5 s
    await drill.fires("WarningSloFastBurn")
    await drill.looked_at("WarningSloFastBurn")
    await drill.fires("WarningSloSlowBurn")
    await drill.looked_at("WarningSloSlowBurn")
    await drill.fires("SlaBreached")
    assert "breached" in await drill.looked_at("SlaBreached", TICKET=ticket)
    await drill.fires("SlaAtRisk")
    assert '"resolution"' in await drill.looked_at("SlaAtRisk")
    for name in (ticket, *near):
        external = name.rsplit(":", 1)[1]
        assert (
            await drill.watched.post(json.dumps({"id": external, "status": "resolved"}).encode())
        ).status_code == 202
    for alert in ("SlaAtRisk", "SlaBreached", "WarningSloFastBurn"):
        await drill.over(alert)


async def test_runbook_a_source_that_falls_silent(drill: Drill) -> None:
    await drill.send("LAST-WORD")
    generic = ', topic="inbound.generic"'
    await drill.fires("SourceSilent", where=generic)
    assert "inbound.generic" in await drill.looked_at("SourceSilent")
    await drill.send("TEST-EVENT")
    await drill.over("SourceSilent", 20, where=generic)


async def test_runbook_facts_that_are_not_gathered(drill: Drill) -> None:
    with drill.frozen("facts"):
        await drill.fires("FiguresStale")
        await drill.looked_at("FiguresStale")
    await drill.over("FiguresStale")


async def test_runbook_a_database_that_does_not_answer(drill: Drill) -> None:
    (started,) = (drill.watched.plan.directory / "postgres").rglob("postmaster.pid")
    server = psutil.Process(int(started.read_text().split()[0]))
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        await drill.fires("LedgerUnreachable")
        await drill.looked_at("LedgerUnreachable")
    finally:
        for process in family:
            process.resume()
    await drill.over("LedgerUnreachable")
    ticket = await drill.send("AFTER-THE-LEDGER")
    await drill.watched.offered(ticket)


async def test_runbook_an_agreement_that_nobody_has_read(drill: Drill, tmp_path: Path) -> None:
    """A classification that names a version which is not on its topic yet: the router waits for it, and goes on."""
    ticket = await drill.send("STALLED")
    await drill.watched.offered(ticket)
    title = "support desk, next year"
    version = digest(read_agreement((AGREEMENTS / "default.yaml").read_text().replace("support desk", title), "next"))
    classified = await last_of(drill.desk.bootstrap, topics.CLASSIFIED, ticket)
    event = msgspec.json.decode(classified.value)
    event |= {
        "classification_version": event["classification_version"] + 1,
        "agreement_version": version,
    }
    headers = [(name, b"drill-1" if name == "ce_id" else said) for name, said in classified.headers]
    producer = AIOKafkaProducer(bootstrap_servers=drill.desk.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(
            topics.CLASSIFIED,
            msgspec.json.encode(event),
            classified.key,
            partition=classified.partition,
            headers=headers,
        )
    finally:
        await producer.stop()
    await drill.fires("ConsumerStalled")
    said = await drill.looked_at("ConsumerStalled")
    assert '"group": "router"' in said
    assert version[:12] not in said, "the version that it waits for is not published"
    assert await publish_next(drill, tmp_path, title) == version
    await drill.over("ConsumerStalled")


async def test_runbook_a_machine_whose_clock_is_behind(drill: Drill, tmp_path: Path) -> None:
    """The classifier's is an hour slow when a version takes effect: by its clock the one before is in force."""
    slow_clock = (
        "from datetime import timedelta\n"
        "from ticket_runtime.clock import Clock\n"
        "right = Clock.now\n"
        f"Clock.now = lambda self: right(self) - timedelta(seconds={CLOCK_BEHIND.total_seconds()})"
    )
    async with drill.otherwise("classifier", tmp_path, slow_clock):
        await clock_behind(drill, tmp_path)
    await drill.over("AgreementVersionsDiffer")


async def clock_behind(drill: Drill, tmp_path: Path) -> None:
    version = await publish_next(drill, tmp_path, "support desk, with a clock")
    labels = '"group": "{group}", .*"version": "{version}"'

    async def in_force() -> Any:
        return await drill.watched.ask(f'relaydesk_agreement_info{{group="router",version="{version}"}}')

    await until(in_force, 180, "the new version with the router")  # an earlier one may differ already
    await drill.fires("AgreementVersionsDiffer")
    said = await drill.looked_at("AgreementVersionsDiffer")
    assert re.search(labels.format(group="router", version=version), said)
    assert not re.search(labels.format(group="classifier", version=version), said)
    ticket = await drill.send("BY-ITS-INSTANT")
    await drill.watched.offered(ticket)
    classified, routed = [
        msgspec.json.decode((await last_of(drill.desk.bootstrap, topic, ticket)).value)["agreement_version"]
        for topic in (topics.CLASSIFIED, topics.ROUTED)
    ]
    assert classified == routed == version, "a decision goes by the instant of its message, whatever the clock says"


async def test_runbook_a_route_that_fails(drill: Drill) -> None:
    """A table that a route needs is not there, as when the database was not migrated."""
    queue = next(iter(drill.desk.agreement.queues))
    trace = "6e0c63257de34c926f9efcd03927272e"

    async def ask() -> httpx.Response:
        headers = {**drill.watched.keys["internal"], "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        return await drill.client.get(f"{drill.desk.endpoints['handoff']}/v1/queues/{queue}/briefs", headers=headers)

    assert (await ask()).status_code == 200
    await drill.sql("ALTER TABLE briefs RENAME TO briefs_elsewhere")
    try:
        for _ in range(8):
            assert (await ask()).status_code == 500
            await asyncio.sleep(0.5)
        fired = await drill.fires("HttpErrors")
        assert (fired["group"], fired["route"]) == ("handoff", "/v1/queues/{queue}/briefs")
        assert '"route": "/v1/queues/{queue}/briefs", "status": "500"' in await drill.looked_at("HttpErrors")
        named = [line for line in drill.log_of("handoff").splitlines() if '\\"briefs\\" does not exist' in line]
        assert named
        assert all(trace in line for line in named)
    finally:
        await drill.sql("ALTER TABLE briefs_elsewhere RENAME TO briefs")
    assert (await ask()).status_code == 200
    await drill.over("HttpErrors")


async def test_runbook_a_reply_while_the_broker_stands_still(drill: Drill) -> None:
    """The ledger takes an acceptance by HTTP, and cannot say so: it goes out once, when the broker goes on."""
    ticket = await drill.send("UNHEARD")
    transfer = await drill.watched.offered(ticket)
    with suspended(drill.watched.plan.directory / "kafka"):
        assert (await drill.watched.reply(transfer, "accept")).status_code == 200
        await drill.fires("OutboxStuck")
        await drill.looked_at("OutboxStuck")
    await drill.over("OutboxStuck")

    async def heard() -> Any:
        return [seen for seen in await follow(drill.desk.bootstrap, "", ticket) if seen.type == TransferAccepted.TYPE]

    assert len(await until(heard, 120, "the acceptance goes out")) == 1
    await drill.over("BrokerUnreachable")


@contextlib.contextmanager
def suspended(directory: Path) -> Iterator[None]:
    """The server whose data is there neither works nor answers until the block ends."""
    family = [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.pid != os.getpid() and any(str(directory) in word for word in process.info["cmdline"] or ())
    ]
    assert family
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


async def test_runbook_a_flood_that_a_service_does_not_keep_up_with(drill: Drill) -> None:
    """Tickets come faster than one handles them, until another process of it has taken over one of its tasks."""
    over = asyncio.Event()
    flooding = asyncio.create_task(flood(drill, over))
    try:
        group = (await drill.fires("ConsumerLagging", 300))["group"]
        assert f'"group": "{group}"' in await drill.looked_at("ConsumerLagging")
        async with another(drill, drill.service(group)):
            over.set()
            last = await flooding
            await drill.over("ConsumerLagging", 600)
    finally:
        over.set()
        await flooding
    # What the other had comes back, and was worked off: nothing is left for whoever has it now.
    await drill.watched.offered(last)

    async def worked_off() -> Any:
        return await drill.watched.ask(
            f'sum(relaydesk_consumer_lag_offsets{{group="{group}"}}) == 0 and'
            f' sum(relaydesk_task_running{{group="{group}"}}) == 2'
        )

    await until(worked_off, 300, f"{group} has worked off everything")


async def flood(drill: Drill, over: asyncio.Event) -> str:
    """As a tool that publishes to its topic: more whenever nobody is well behind. Returns the last ticket."""
    sent = 0
    producer = AIOKafkaProducer(bootstrap_servers=drill.desk.bootstrap)
    await producer.start()
    try:
        while not over.is_set():
            behind = await drill.watched.ask("max(sum by (group) (relaydesk_consumer_lag_offsets))")
            if not behind or float(behind[0]["value"][1]) < 2_000:
                for number in range(sent, sent + 500):
                    body = {"id": f"FLOOD-{number}", "title": "Outlook does not start", "status": "new"}
                    await producer.send("inbound.generic", json.dumps(body).encode())
                await producer.flush()
                sent += 500
            await asyncio.sleep(0.5)
    finally:
        await producer.stop()
    return f"generic:main:FLOOD-{sent - 1}"


@contextlib.asynccontextmanager
async def another(drill: Drill, service: Service) -> AsyncIterator[None]:
    """A second process of a service, which has a task of its own before the block begins."""
    endpoint = drill.watched.plan.directory / "another.json"
    own = {"RELAYDESK_HTTP_PORT": "0", "RELAYDESK_ENDPOINT_FILE": str(endpoint)}
    with (drill.watched.plan.directory / "another.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", service.module, *service.command.split()),
            env={**os.environ, **service.env, **own},
            stderr=log,
        )

    async def takes_part() -> bool:
        with contextlib.suppress(httpx.TransportError, FileNotFoundError, msgspec.DecodeError):
            address = msgspec.json.decode(endpoint.read_bytes())["http"]
            shown = (await drill.client.get(f"{address}/readyz")).json()
            return "running" in shown["tasks"].values()
        return False

    try:
        await until(takes_part, 120, f"another {service.name} has a task")
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


async def publish_next(drill: Drill, directory: Path, title: str) -> str:
    """Publishes the desk's agreement under another title, and returns its version: it takes effect in a minute and a
    half."""
    path = directory / "next.yaml"
    text = (AGREEMENTS / "default.yaml").read_text().replace("support desk", title)
    path.write_text(text)
    agreement = read_agreement(text, str(path))
    at = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    approvals = " ".join(shlex.quote(f"--approve={party.name}=Ines") for party in agreement.parties)
    published = await drill.run(
        f"python -m ticket_contracts agreement publish {path} --effective-at {at} {approvals}", {}
    )
    assert digest(agreement)[:8] in published, published
    return digest(agreement)


async def last_of(bootstrap: str, topic: str, ticket: str) -> Any:
    """The last record of a ticket on a topic of two partitions."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(2)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found = None
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found = next((record for record in reversed(records) if record.key == ticket.encode()), found)
        assert found is not None
        return found
    finally:
        await consumer.stop()
