"""Handoff's processes on a real broker and database: killed, frozen, and with the database killed under them, while
transfers are under way. The checker of `handoff_desk` proves from the topics alone that nothing came of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from chaos.kept import Kept
from integration.handoff.ledger_desk import LedgerDesk, event_of, wanted
from relaydesk_local import LocalKafka, LocalPostgres
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Event
from ticket_contracts.topics import Topic
from ticket_contracts.transfers import OfferMade, Reply
from ticket_handoff.adapters import schema
from ticket_handoff.adapters.store import Store, make_engine
from unit.handoff.handoff_desk import faults, published

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WAVE = int(os.environ.get("CHAOS_TRANSFERS", "300"))
"""Transfers that begin at once; a fault strikes while they are worked off, another while they are acknowledged."""
CAMPAIGN = int(os.environ.get("CHAOS_CAMPAIGN", "5000"))
"""Transfers of the long campaign, in waves."""
STALLED_SECONDS = 240.0
"""Without a step published while some are due: hung, however busy the machine. A process alone may take a minute to
start there."""
Fault = Literal["kill", "freeze", "database", "broker"]


class Handoffs(Kept):
    """Two of them, and what they rest on."""

    def __init__(self, kafka: KafkaDesk, database: LocalPostgres, log: Path, broker: LocalKafka | None = None) -> None:
        super().__init__("ticket_handoff", kafka, log, batch=40, RELAYDESK_DATABASE_URL=database.address)
        self.database, self.broker = database, broker

    async def keep_two(self) -> None:
        """Beside whatever else goes on, for what a process left undone may be settled by its successor alone; what has
        ended is started a second later."""
        while True:
            self.keep_up()
            await asyncio.sleep(1)

    async def strike(self, fault: Fault) -> None:
        if fault == "kill":
            self.kill()
        elif fault == "freeze":
            await self.freeze(replaced=True)
        else:
            server = self.database if fault == "database" else self.broker
            assert server is not None, "a broker of this test's own"
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(server.start)

    def unsaid_ends(self) -> list[bytes]:
        """The bare tracebacks of their log, whose other lines are JSON."""
        return [line for line in self.log.read_bytes().splitlines() if line.startswith(b"Traceback")]


class Published:
    """What a reader of committed messages has seen of handoff so far. It reads on, for a campaign publishes too much to
    be read anew each time somebody asks."""

    def __init__(self, kafka: KafkaDesk) -> None:
        self._kafka = kafka
        self.steps = 0
        self.offers: dict[str, OfferMade] = {}

    async def follow(self) -> None:
        offers = self._kafka.prefix + topics.offers("desk")
        names = [self._kafka.prefix + topics.TRANSFERS, offers]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(name, p) for name in names for p in range(self._kafka.partitions)])
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    if tp.topic != offers:
                        self.steps += len(records)
                        continue
                    for event in map(event_of, records):
                        if isinstance(event, OfferMade):
                            self.offers[event.ticket] = event
        finally:
            await consumer.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalPostgres]:
    """A server of this test's own, durable, for it is killed."""
    server = LocalPostgres(tmp_path / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str, database: LocalPostgres) -> AsyncIterator[LedgerDesk]:
    async with ledger_desk(kafka_bootstrap, topic_prefix, database) as made:
        yield made


@contextlib.asynccontextmanager
async def ledger_desk(bootstrap: str, prefix: str, database: LocalPostgres) -> AsyncIterator[LedgerDesk]:
    made = published()
    engine = make_engine(database.address, check=True)
    await schema.migrate(engine)
    agreement = Topic(name=topics.AGREEMENT, written_by="the test", ticket_keyed=False, compacted=True)
    topics_of_desk = [*(t for t in wanted() if t.name != topics.AGREEMENT), agreement]
    async with KafkaDesk(bootstrap, prefix, partitions=4).connected(topics_of_desk) as kafka:
        key, value, said = record_of(made, NOW)
        await kafka.send(topics.AGREEMENT, value, key, headers=said)
        yield LedgerDesk(kafka, Store(engine), made)
    await engine.dispose()


@pytest.fixture
def processes(desk: LedgerDesk, database: LocalPostgres, tmp_path: Path) -> Iterator[Handoffs]:
    kept = Handoffs(desk.kafka, database, tmp_path / "handoff.log")
    try:
        yield kept
    finally:
        kept.stop()


async def acknowledge(desk: LedgerDesk, offers: list[OfferMade]) -> None:
    """Each receiver, twice: by the same reply."""
    for offer in [*offers, *offers]:
        reply = Reply(transfer_id=offer.transfer_id, reply_id="mine", action="accept", digest=offer.digest)
        await desk.kafka.producer.send(
            desk.kafka.prefix + topics.REPLIES_INTERNAL, msgspec.json.encode(reply), offer.ticket.encode()
        )
    await desk.kafka.producer.flush()


@pytest.mark.parametrize(
    "waves",
    [
        pytest.param([("kill", "kill")], id="kills"),
        pytest.param([("database", "freeze")], id="the database and a freeze", marks=pytest.mark.long),
        pytest.param(
            [("kill", "database"), ("freeze", "kill"), ("database", "kill")], id="everything", marks=pytest.mark.long
        ),
    ],
)
async def test_every_ticket_has_one_owner_whatever_is_killed(
    desk: LedgerDesk, processes: Handoffs, waves: list[tuple[Fault, Fault]]
) -> None:
    await endure(desk, processes, waves)


@pytest.mark.long
@pytest.mark.timeout(4 * 3_600)  # what hangs is found by `STALLED_SECONDS`
@pytest.mark.parametrize("seed", [int(os.environ.get("CHAOS_SEED", "1"))])
async def test_every_ticket_has_one_owner_whatever_is_killed_at_random(
    database: LocalPostgres, broker: LocalKafka, tmp_path: Path, seed: int
) -> None:
    """The service, the database and the broker, at random, during 5,000 transfers. A failure names its seed."""
    draw = random.Random(seed)
    faults_of_all: list[Fault] = ["kill", "database", "broker", "freeze"]
    waves: list[tuple[Fault, Fault]] = [
        (draw.choice(faults_of_all), draw.choice(faults_of_all)) for _ in range(-(-CAMPAIGN // WAVE))
    ]
    waves[:2] = [("broker", "database"), ("kill", "broker")]  # each of the three whatever is drawn
    async with ledger_desk(broker.address, "chaos.", database) as desk:
        processes = Handoffs(desk.kafka, database, tmp_path / "handoff.log", broker)
        try:
            await endure(desk, processes, waves)
        finally:
            processes.stop()


async def endure(desk: LedgerDesk, processes: Handoffs, waves: list[tuple[Fault, Fault]]) -> None:
    """Waves of transfers, each struck twice in the midst of its work; then the whole history is looked at."""
    reader = Published(desk.kafka)
    struck: list[tuple[Fault, float]] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as beside:
        helpers = [beside.create_task(work()) for work in (processes.keep_two, reader.follow)]
        expected = await _waves(desk, processes, reader, waves, struck)
        for helper in helpers:
            helper.cancel()
    seconds = time.monotonic() - began

    by_ticket: dict[str, list[tuple[str, Event]]] = {ticket: [] for ticket in expected}
    for topic, event in await desk.said():
        by_ticket[event.ticket].append((topic, event))
    for events in by_ticket.values():
        assert faults(events) == []
    assert processes.unsaid_ends() == [], "what ends a process is said in its log"
    assert {len(steps) for steps in (await desk.steps()).values()} == {6}
    assert await desk.dead(topics.REPLIES_INTERNAL) == [], "a repeated reply is acknowledged again"
    assert await desk.store.ledger_faults() == (len(expected), [])
    for partition in await desk.store.trails():
        assert (await desk.store.trail_faults(partition))[1] == []
    times = Counter(fault for fault, _ in struck)
    slowest = {fault: max(each for kind, each in struck if kind == fault) for fault in times}
    said = ", ".join(f"{n} x {fault} (worked off within {slowest[fault]:.0f} s)" for fault, n in times.items())
    print(f"\n{len(expected):,} transfers in {seconds:.0f} s: {said}; nothing found")  # noqa: T201 - the figures


async def _waves(
    desk: LedgerDesk,
    processes: Handoffs,
    reader: Published,
    waves: list[tuple[Fault, Fault]],
    struck: list[tuple[Fault, float]],
) -> list[str]:
    """Returns the tickets. struck: gets each fault, with the seconds from its end until all was published."""

    async def decided_steps() -> int:
        """In the ledger: before they are published, so that a fault strikes in the middle of the work."""
        async with desk.store.transaction() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM steps"))).scalar_one())

    async def worked_off(steps: int, tickets: list[str]) -> None:
        """Until so many steps are published, and the offers of these tickets: a transaction shows on one topic before
        it does on the other."""
        seen, since = -1, time.monotonic()
        while reader.steps < steps or not reader.offers.keys() >= set(tickets):
            now = time.monotonic()
            if reader.steps > seen:
                seen, since = reader.steps, now
            assert now - since < STALLED_SECONDS, f"{seen} of {steps} steps, and no more for {now - since:.0f} s"
            await asyncio.sleep(0.05)

    async def strike(fault: Fault, begun: int, steps: int, tickets: list[str]) -> None:
        """While so many steps are to come; then waits until they have."""

        async def at_work() -> bool:
            return await decided_steps() > begun

        await until(at_work, STALLED_SECONDS)
        assert await decided_steps() < steps, "the fault strikes pending work"
        await processes.strike(fault)
        over = time.monotonic()
        await worked_off(steps, tickets)
        struck.append((fault, time.monotonic() - over))

    expected: list[str] = []
    for number, (first, second) in enumerate(waves):
        tickets = [f"servicenow:prod:INC{number * WAVE + n}" for n in range(WAVE)]
        done = 6 * len(expected)
        expected += tickets
        await desk.begin(tickets, NOW)
        await strike(first, done, done + 3 * WAVE, tickets)
        await acknowledge(desk, [reader.offers[ticket] for ticket in tickets])
        await strike(second, done + 3 * WAVE, done + 6 * WAVE, tickets)
    return expected
