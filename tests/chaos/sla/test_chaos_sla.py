"""The monitor killed and frozen, and its broker killed, while clocks fall due: each warning and breach is said once.

What must be said, and when, is computed here from creation, goal, pauses and stop alone, and compared to the id.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chaos.kept import SESSION, Kept
from relaydesk_local import LocalKafka
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, Trace, ce_id, headers, instant_text
from ticket_contracts.ids import event_id
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import Status, TicketNormalized
from unit.sla.sla_desk import MONDAY, agreement, published, resolution

GOAL = 3600
LEFT = 10
MADE = published(agreement({"r": resolution(GOAL, None, warn=[{"left_seconds": LEFT}])}), MONDAY)
INPUTS = (topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.TRANSFERS)


@pytest.fixture
async def desk(broker: LocalKafka) -> AsyncIterator[KafkaDesk]:
    names = {*INPUTS, topics.SLA_EVENTS, topics.AGREEMENT, topics.changelog("sla-monitor")}
    wanted = [topic for topic in topics.desk_topics(["itsm"], ["first_line"], []) if topic.name in names]
    async with KafkaDesk(broker.address, "chaos.", partitions=4).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


@pytest.fixture
def monitors(desk: KafkaDesk, tmp_path: Path) -> Iterator[Kept]:
    kept = Kept("sla_monitor", desk, tmp_path / "monitors.log", batch=200)
    try:
        yield kept
    finally:
        kept.stop()


def normalized(ticket: str, version: int, at: datetime, created: datetime, status: Status) -> TicketNormalized:
    return TicketNormalized(
        ticket=ticket,
        decided_for=at,
        ticket_version=version,
        source_version=str(version),
        delivery=f"d{version}",
        lifecycle="created" if version == 1 else "updated",
        changed=["status"],
        source="itsm",
        instance="one",
        external_id=ticket,
        status=status,
        created_at=created,
        received_at=at,
    )


def classified(ticket: str, at: datetime) -> TicketClassified:
    return TicketClassified(
        ticket=ticket,
        decided_for=at,
        ticket_version=1,
        classification_version=1,
        rule="test",
        agreement_version=MADE.version,
        category=None,
        kind="incident",
        impact="low",
        urgency="low",
        priority="P4",
        tier=1,
        inputs=ClassificationInputs(normalized="n"),
    )


async def tell(desk: KafkaDesk, topic: str, event: Event) -> None:
    own = ce_id(event)
    said = headers(own, event.TYPE, "/test", event.ticket, instant_text(event.decided_for), Trace(own, own, ""))
    await desk.producer.send(desk.prefix + topic, msgspec.json.encode(event), event.ticket.encode(), headers=said)


class Fate(msgspec.Struct, frozen=True):
    """What happens to a ticket: (seconds after the beginning, status), and what follows for its clock: each warning and
    breach with its instant, by id, and the ids of the rest."""

    ticket: str
    created: datetime
    changes: list[tuple[int, Status]]
    due: dict[str, datetime]
    besides: set[str]


WAITED = 3


def fate_of(number: int, due: datetime) -> Fate:
    """Of a ticket whose clock is to run out at `due`, unless something else happens. Plain arithmetic on the goal, the
    pauses and the stop; it asks nothing of the monitor but the way its ids are made."""
    ticket = f"itsm:one:{number}"

    def ident(*what: str | int) -> str:
        return event_id(ClockEvent.TYPE, ticket, "resolution", 1, *what)

    created = due - timedelta(seconds=GOAL)
    said = {ident("warned", LEFT): due - timedelta(seconds=LEFT), ident("breached"): due}
    started = ident("started", 1)
    match number % 4:
        case 0:
            return Fate(ticket, created, [], said, {started})
        case 1:
            return Fate(ticket, created, [(1, "resolved")], {}, {started, ident("met", 2)})
        case 2:
            # On hold for some seconds: it began that much earlier, to be due at the same time.
            waited = created - timedelta(seconds=WAITED)
            besides = {started, ident("paused", 2), ident("resumed", 3)}
            return Fate(ticket, waited, [(1, "on_hold"), (1 + WAITED, "open")], said, besides)
        case _:
            return Fate(ticket, created, [(1, "pending_customer")], {}, {started, ident("paused", 2)})


class Ears:
    """Everything that is said and committed, as it comes; a broker that goes away is waited for."""

    def __init__(self, desk: KafkaDesk) -> None:
        self._desk = desk
        self.heard: Counter[str] = Counter()

    async def __aenter__(self) -> Ears:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._desk.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await self._consumer.start()
        partitions = [TopicPartition(self._desk.prefix + topics.SLA_EVENTS, p) for p in range(self._desk.partitions)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        async for record in self._consumer:
            self.heard[ce_id(msgspec.json.decode(record.value, type=ClockEvent))] += 1

    async def __aexit__(self, *_: object) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._consumer.stop()


async def restart(broker: LocalKafka) -> None:
    """Killed, away for some seconds while clocks fall due, and back with what it had."""
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(3)
    await asyncio.to_thread(broker.start)


@pytest.mark.parametrize(
    ("clocks", "seconds", "faults"),
    [
        pytest.param(1_000, 25, ["kill all", "broker"], id="1,000 clocks, one kill, one outage"),
        pytest.param(
            20_000,
            75,
            ["kill one", "freeze", "broker", "kill all", "broker", "kill one", "freeze"],
            id="20,000 clocks",
            marks=[pytest.mark.long, pytest.mark.timeout(600)],
        ),
    ],
)
async def test_each_warning_and_breach_is_said_once(
    broker: LocalKafka, desk: KafkaDesk, monitors: Kept, clocks: int, seconds: int, faults: list[str]
) -> None:
    chosen = random.Random(clocks)
    async with Ears(desk) as ears:
        # The schedule begins when monitors are at work, however long that takes: one ticket that is put off shows it.
        now = datetime.now(UTC).replace(microsecond=0)
        early = fate_of(-1, now + timedelta(seconds=GOAL))
        await tell(desk, topics.NORMALIZED, normalized(early.ticket, 1, now, early.created, "open"))
        await tell(desk, topics.CLASSIFIED, classified(early.ticket, now))

        def at_work() -> bool:
            monitors.keep_up()
            return bool(ears.heard)

        await until(at_work, 240)
        begun = datetime.now(UTC).replace(microsecond=0)
        # The first of the clocks falls due when the desk is fed; the last, when all the faults are over.
        first_due = begun + timedelta(seconds=20 + clocks // 400)
        fates = [
            fate_of(number, first_due + timedelta(seconds=chosen.randrange(LEFT, seconds))) for number in range(clocks)
        ]
        for fate in fates:
            opened = normalized(fate.ticket, 1, begun, fate.created, "open")
            await tell(desk, topics.NORMALIZED, opened)
            await tell(desk, topics.CLASSIFIED, classified(fate.ticket, begun))
        await desk.producer.flush()
        fates.append(early)
        due = {ident: at for fate in fates for ident, at in fate.due.items()}
        expected = due.keys() | {ident for fate in fates for ident in fate.besides}

        def some_started() -> bool:
            monitors.keep_up()
            return len(ears.heard) > clocks // 10

        await until(some_started, 120)
        monitors.kill()  # what changes comes while nobody is there, and is to be heard before anything fires
        for fate in fates:
            for version, (after, status) in enumerate(fate.changes, 2):
                at = begun + timedelta(seconds=after)
                await tell(desk, topics.NORMALIZED, normalized(fate.ticket, version, at, fate.created, status))
        await desk.producer.flush()
        assert datetime.now(UTC) < first_due, "the machine is too slow for this schedule"
        await asyncio.sleep(max(0.0, (first_due + timedelta(seconds=LEFT) - datetime.now(UTC)).total_seconds()))

        missed = []
        for fault in faults:
            monitors.keep_up()
            if not expected - ears.heard.keys():
                missed.append(fault)
            match fault:
                case "kill all":
                    monitors.kill()
                case "kill one":
                    monitors.kill(1)
                case "broker":
                    await restart(broker)
                case _:
                    await monitors.freeze(1, replaced=False)
            await asyncio.sleep(1.0)
        assert missed == [], "every fault must strike while something is still to be said"

        def all_said() -> bool:
            monitors.keep_up()
            return ears.heard.keys() >= expected

        await until(all_said, 240)
        await asyncio.sleep(2 * SESSION)  # whatever a zombie would add

    said = [msgspec.json.decode(record.value, type=ClockEvent) for record in await desk.read(topics.SLA_EVENTS)]
    times = Counter(ce_id(event) for event in said)
    assert set(times) == expected
    assert [ident for ident, count in times.items() if count > 1] == []
    notices = {ce_id(event): event for event in said if event.occurrence in ("warned", "breached")}
    assert {ident: event.due_at for ident, event in notices.items()} == due
    assert all(event.due_at == event.decided_for for event in notices.values())
    assert any(event.late for event in notices.values()), "nothing fell due while nobody was there"
    assert not any(event.late for event in said if event.due_at is None)
