"""Workers that are killed, frozen, added and removed by a seeded schedule, and a reader who knows what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from chaos import chaos_worker
from relaydesk_local import LocalKafka
from runtime_kafka import KafkaDesk, event_headers
from ticket_contracts.topics import Topic

PARTITIONS = 4
KEYS = 120
SESSION_SECONDS = 3.0
FREEZE_SECONDS = 5.0
TRANSACTION_SECONDS = 12.0
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
_OUTPUTS = (chaos_worker.COPIED, chaos_worker.COUNTED, chaos_worker.JOINED)
TOPICS = [
    *(Topic(name=name, written_by="the test") for name in (chaos_worker.LEFT, chaos_worker.RIGHT)),
    *(
        Topic(name=name, written_by="chaos")
        for name in (chaos_worker.COPIED, chaos_worker.COUNTED, chaos_worker.JOINED)
    ),
    Topic(name="chaos.changelog", written_by="chaos", compacted=True),
]

_E = TypeVar("_E")
Kind = Literal["kill", "freeze", "add", "remove", "restart broker"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a worker that ran `tasks` with so many messages `pending`."""

    kind: Kind
    tasks: int
    pending: int

    @property
    def hit(self) -> bool:
        return self.pending > 0 and (self.tasks > 0 or self.kind in ("add", "restart broker"))


@dataclass(frozen=True, slots=True)
class Plan:
    """seed: of the schedule. messages: over both topics. work_seconds: of each. faults: how many, spread over the work
    and not over the time, so that a fast machine is struck as often as a slow one. kinds: with their weights.
    broker_restarts: among the faults. without: a protection to take away."""

    seed: int
    messages: int
    work_seconds: float
    faults: int
    kinds: dict[Kind, int] = field(default_factory=lambda: {"kill": 4, "freeze": 3, "add": 1, "remove": 1})
    broker_restarts: int = 0
    without: Literal["fence", "gate"] | None = None

    def schedule(self) -> list[tuple[int, Kind]]:
        """Each fault with the number of handled messages that it waits for."""
        chosen = random.Random(self.seed)
        kinds: list[Kind] = chosen.choices(list(self.kinds), list(self.kinds.values()), k=self.faults)
        for number in range(self.broker_restarts):
            kinds.insert((number + 1) * len(kinds) // (self.broker_restarts + 1), "restart broker")
        return [(self.messages * (n + 1) // (len(kinds) + 2), kind) for n, kind in enumerate(kinds)]


@dataclass(slots=True)
class Findings:
    """What the audit found: results that are missing, that came twice, or that nobody sent anything for."""

    lost: int = 0
    twice: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def violations(self) -> int:
        return self.lost + self.twice + self.wrong

    def compare(self, what: str, found: Counter[Any], expected: set[Any]) -> None:
        missing = expected - set(found)
        doubled = [result for result, times in found.items() if times > 1]
        unasked = set(found) - expected
        self.lost += len(missing)
        self.twice += len(doubled)
        self.wrong += len(unasked)
        self.examples += [
            f"{what}: {kind} {result}"
            for kind, results in (("lost", missing), ("twice", doubled), ("wrong", unasked))
            for result in sorted(results)[:3]
        ]


class Worker:
    """One process of the service."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, endpoint: Path) -> None:
        self.number, self.process, self.endpoint = number, process, endpoint
        self.frozen = False
        self.leaving = False

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)


class ChaosDesk:
    """A broker of its own, workers, and faults. directory: for data and logs."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan, self._directory = plan, directory
        self.faults: list[Fault] = []
        self.restarts = 0
        self._random = random.Random(plan.seed)
        self._workers: list[Worker] = []
        self._numbers = itertools.count()
        self._broker = LocalKafka(directory / "kafka")
        self._admin: AIOKafkaAdminClient | None = None
        self._thaws: set[asyncio.Task[None]] = set()
        self._ends: dict[TopicPartition, int] = {}

    async def run(self, most_seconds: float) -> Findings:
        """The whole story: feed, disturb until little is left, let the rest be worked off, audit."""
        bootstrap = await asyncio.to_thread(self._broker.start)
        desk = KafkaDesk(bootstrap, "", PARTITIONS)
        try:
            async with asyncio.timeout(most_seconds), desk.connected(TOPICS):
                await self._feed(desk)
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(self._stop_all)
                    for _ in range(3):
                        await self._add(desk)
                    keeper = asyncio.create_task(self._keep_up(desk))
                    stack.callback(keeper.cancel)
                    await self._disturb(desk)
                    await asyncio.gather(*self._thaws)
                    while await self._pending(desk):
                        if keeper.done():
                            keeper.result()
                        await asyncio.sleep(0.2)
                await self._forget_admin()
                return await self._audit(desk)
        finally:
            await asyncio.to_thread(self._broker.stop)

    # -- what is sent, and what must come of it

    def _sent(self) -> list[tuple[str, bytes, int]]:
        half = self.plan.messages // 2
        sent = []
        for topic in (chaos_worker.LEFT, chaos_worker.RIGHT):
            numbers = list(range(half))
            self._random.shuffle(numbers)
            sent += [(topic, f"chaos:desk:{number % KEYS}".encode(), number) for number in numbers]
        self._random.shuffle(sent)
        return sent

    async def _feed(self, desk: KafkaDesk) -> None:
        sending = [
            await desk.producer.send(
                topic, msgspec.json.encode(number), key, headers=event_headers(f"{topic}-{number}", AT)
            )
            for topic, key, number in self._sent()
        ]
        await asyncio.gather(*sending)
        self._ends = await desk.ends([chaos_worker.LEFT, chaos_worker.RIGHT])

    async def _audit(self, desk: KafkaDesk) -> Findings:
        findings = Findings()
        half = self.plan.messages // 2
        copied = await _events(desk, chaos_worker.COPIED, chaos_worker.Copied)
        findings.compare(
            "copied",
            Counter((event.side, event.number) for event in copied),
            {(side, n) for side in (chaos_worker.LEFT, chaos_worker.RIGHT) for n in range(half)},
        )
        counted = await _events(desk, chaos_worker.COUNTED, chaos_worker.Counted)
        of_key = Counter(f"chaos:desk:{number % KEYS}" for number in range(half))
        findings.compare(
            "counted",
            Counter((event.ticket, event.count) for event in counted),
            {(key, count + 1) for key, times in of_key.items() for count in range(2 * times)},
        )
        joined = await _events(desk, chaos_worker.JOINED, chaos_worker.Joined)
        findings.compare("joined", Counter(event.number for event in joined), set(range(half)))
        for side in (chaos_worker.LEFT, chaos_worker.RIGHT):
            dead = await desk.read(f"{side}.dead-letter")
            findings.wrong += len(dead)
            findings.examples += [f"dead letter of {record.key!r}" for record in dead[:3]]
        return findings

    # -- faults

    async def _disturb(self, desk: KafkaDesk) -> None:
        for handled, kind in self.plan.schedule():
            while self.plan.messages - await self._pending(desk) < handled:  # noqa: ASYNC110 - offsets tell nobody
                await asyncio.sleep(0.05)
            await self._strike(desk, kind)

    async def _strike(self, desk: KafkaDesk, kind: Kind) -> None:
        if kind == "restart broker":
            self.faults.append(Fault(kind, 0, await self._pending(desk)))
            await asyncio.to_thread(self._broker.stop)
            await asyncio.to_thread(self._broker.start)
            return
        if kind == "add":
            await self._add(desk)
            self.faults.append(Fault(kind, 0, await self._pending(desk)))
            return
        hit = await self._hit(desk)
        while hit is None:
            await asyncio.sleep(0.05)  # they are starting still: a fault would pass for nothing
            hit = await self._hit(desk)
        worker, tasks, pending = hit
        if kind == "remove" and len([w for w in self._workers if not w.frozen and not w.leaving]) < 3:
            kind = "kill"
        self.faults.append(Fault(kind, tasks, pending))
        if kind == "kill":
            worker.signal(signal.SIGKILL)
        elif kind == "remove":
            worker.leaving = True
            worker.signal(signal.SIGTERM)
        else:
            worker.frozen = True
            worker.signal(signal.SIGSTOP)
            thaw = asyncio.create_task(self._thaw(worker))
            self._thaws.add(thaw)
            thaw.add_done_callback(self._thaws.discard)

    async def _hit(self, desk: KafkaDesk) -> tuple[Worker, int, int] | None:
        """A worker that has something to do, with the number of its tasks and of the messages that wait for them. None
        while there is none."""
        candidates = []
        for worker in self._workers:
            if not worker.frozen and not worker.leaving:
                tasks = await self._tasks(worker)
                pending = await self._pending(desk, tasks)
                if pending:
                    candidates.append((worker, len(tasks), pending))
        return self._random.choice(candidates) if candidates else None

    async def _thaw(self, worker: Worker) -> None:
        """Past the session timeout, when others have taken its tasks over."""
        await asyncio.sleep(FREEZE_SECONDS)
        worker.signal(signal.SIGCONT)
        worker.frozen = False

    # -- workers

    async def _add(self, desk: KafkaDesk) -> None:
        number = next(self._numbers)
        endpoint = self._directory / f"worker-{number}.json"
        environment = {
            **os.environ,
            "RELAYDESK_BOOTSTRAP": desk.bootstrap,
            "RELAYDESK_TOPIC_PREFIX": "",
            "RELAYDESK_HTTP_PORT": "0",
            "RELAYDESK_ENDPOINT_FILE": str(endpoint),
            "RELAYDESK_SESSION_SECONDS": str(SESSION_SECONDS),
            "RELAYDESK_TRANSACTION_SECONDS": str(TRANSACTION_SECONDS),
            "RELAYDESK_BATCH": "200",
            "CHAOS_WORK_SECONDS": str(self.plan.work_seconds),
        }
        command = [sys.executable, chaos_worker.__file__]
        if self.plan.without:
            command += ["--without", self.plan.without]
        with (self._directory / f"worker-{number}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._workers.append(Worker(number, process, endpoint))

    async def _keep_up(self, desk: KafkaDesk) -> None:
        """A supervisor: what ends is started again, unless it was asked to leave."""
        while True:
            for worker in list(self._workers):
                if worker.process.returncode is not None:
                    self._workers.remove(worker)
                    if not worker.leaving:
                        self.restarts += 1
                        await self._add(desk)
            await asyncio.sleep(0.1)

    async def _stop_all(self) -> None:
        for thaw in self._thaws:
            thaw.cancel()
        for worker in self._workers:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        for worker in self._workers:
            try:
                async with asyncio.timeout(20):
                    await worker.process.wait()
            except TimeoutError:
                worker.signal(signal.SIGKILL)
                await worker.process.wait()

    async def _tasks(self, worker: Worker) -> list[int]:
        """The tasks that a worker says it runs."""
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            address = msgspec.json.decode(worker.endpoint.read_bytes())["http"]
            async with httpx.AsyncClient(timeout=0.5, trust_env=False) as client:
                told = (await client.get(f"{address}/readyz")).json()["tasks"]
            return [int(task) for task, state in told.items() if state == "running"]
        return []

    async def _pending(self, desk: KafkaDesk, tasks: list[int] | None = None) -> int:
        """Messages whose offset is not committed yet, of these tasks or of all."""
        inputs = [
            TopicPartition(topic, task)
            for topic in (chaos_worker.LEFT, chaos_worker.RIGHT)
            for task in (range(PARTITIONS) if tasks is None else tasks)
        ]
        while True:
            try:
                if self._admin is None:
                    self._admin = AIOKafkaAdminClient(bootstrap_servers=desk.bootstrap)
                    await self._admin.start()
                committed = await self._admin.list_consumer_group_offsets(chaos_worker.GROUP, partitions=inputs)
                if set(committed) >= set(inputs):
                    return sum(self._ends[tp] - max(committed[tp].offset, 0) for tp in inputs)
            except (KafkaError, TimeoutError):
                await self._forget_admin()  # the broker is being restarted
            await asyncio.sleep(0.1)

    async def _forget_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(Exception):
                await admin.close()


async def _events(desk: KafkaDesk, topic: str, model: type[_E]) -> list[_E]:
    decoder = msgspec.json.Decoder(model)
    return [decoder.decode(record.value) for record in await desk.read(topic)]
