"""Handoff in a replay: it works a round off in the order of instants, answers in the transaction that publishes what it
came to, and two replays give the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from integration.handoff.ledger_desk import INPUTS, LedgerDesk, wanted
from integration.handoff.test_handoff_engine import CrashingLoop, CrashingProducer
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.time import Progress, TimeStep
from ticket_contracts.transfers import OfferMade, TransferOffered
from ticket_handoff.adapters import schema
from ticket_handoff.adapters.store import Store, make_engine
from unit.handoff.handoff_desk import faults

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKETS = [f"servicenow:prod:INC{number}" for number in range(1, 21)]


@pytest.fixture
async def replay(kafka_bootstrap: str, topic_prefix: str, store: Store) -> AsyncIterator[LedgerDesk]:
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=2).connected(wanted(), live=False) as kafka:
        made = LedgerDesk(kafka, store)
        await made.exists()
        yield made


async def ends(desk: LedgerDesk) -> dict[str, list[int]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=desk.kafka.bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(desk.kafka.prefix + topic, p) for topic in INPUTS for p in (0, 1)]
        found = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {topic: [found[TopicPartition(desk.kafka.prefix + topic, p)] for p in (0, 1)] for topic in INPUTS}


async def name_round(desk: LedgerDesk, number: int, instant: datetime) -> None:
    step = TimeStep(mode="stream", step=0, round=number, instant=instant, ends=await ends(desk), fire=False)
    await desk.kafka.send(topics.TIME, encode(step), partition=0)


async def answers(desk: LedgerDesk, number: int) -> dict[int, int]:
    """task -> how many records it emitted in that round, once both have answered."""
    found: dict[int, int] = {}

    async def both() -> bool:
        for record in await desk.kafka.read(topics.PROGRESS, partitions=1):
            said = msgspec.json.decode(record.value, type=Progress)
            assert (said.group, said.next_due) == ("handoff", None), "handoff keeps no timer"
            if said.round == number:
                found[said.task] = said.emitted
        return set(found) == {0, 1}

    await until(both)
    return found


async def play(desk: LedgerDesk) -> dict[int, dict[int, int]]:
    """Two rounds: tickets up to their offers, then replies."""
    await desk.begin(TICKETS, NOW)
    await name_round(desk, 0, NOW)
    found = {0: await answers(desk, 0)}
    offers = await desk.offers()
    for ticket, offer in sorted(offers.items()):
        at = offer.decided_for + timedelta(seconds=60)
        await _reply_at(desk, offer, at, f"reply-{ticket}")
    await name_round(desk, 1, NOW + timedelta(minutes=5))
    found[1] = await answers(desk, 1)
    return found


async def _reply_at(desk: LedgerDesk, offer: OfferMade, at: datetime, reply_id: str) -> None:
    reply = {"transfer_id": offer.transfer_id, "reply_id": reply_id, "action": "accept", "digest": offer.digest}
    await desk.kafka.send(topics.REPLIES_INTERNAL, msgspec.json.encode(reply), offer.ticket.encode(), at=at)


async def test_a_round_is_answered_with_what_it_emitted(replay: LedgerDesk) -> None:
    async with replay.running(clock="stream"):
        found = await play(replay)
    assert sum(found[0].values()) == 4 * len(TICKETS)  # owner, request, offer, and the package
    assert sum(found[1].values()) == 4 * len(TICKETS)  # accepted, completed, owner, and the receiver's word
    for ticket in TICKETS:
        events = [(topic, event) for topic, event in await replay.said() if event.ticket == ticket]
        assert faults(events) == []
    offered = [s for steps in (await replay.steps()).values() for s in steps if isinstance(s, TransferOffered)]
    assert {each.decided_for for each in offered} == {NOW}


async def test_a_process_that_ended_in_the_middle_of_a_round_has_its_round_answered(replay: LedgerDesk) -> None:
    await replay.begin(TICKETS, NOW)
    for where in ("after", "in kafka"):
        CrashingProducer.where, CrashingProducer.skip, CrashingProducer.crashed = where, 0, False
        with contextlib.suppress(Exception):
            async with replay.running(partial(CrashingLoop, replay.store), clock="stream"):
                await name_round(replay, 0, NOW)
                await until(lambda: CrashingProducer.crashed)
    async with replay.running(clock="stream"):
        await answers(replay, 0)
    assert {len(steps) for steps in (await replay.steps()).values()} == {3}
    assert set(await replay.steps()) == set(TICKETS)


async def test_two_replays_give_the_same_bytes(kafka_bootstrap: str, topic_prefix: str, postgres_url: str) -> None:
    told = []
    for number in (1, 2):
        async with (
            KafkaDesk(kafka_bootstrap, f"{topic_prefix}{number}.", partitions=2).connected(
                wanted(), live=False
            ) as kafka,
            _database(postgres_url, f"replay_{number}_{topic_prefix[5:11]}") as store,
        ):
            desk = LedgerDesk(kafka, store)
            await desk.exists()
            async with desk.running(clock="stream"):
                await play(desk)
            names = [topic.name for topic in wanted() if topic.name.startswith((topics.TRANSFERS, topics.OFFERS))]
            told.append(
                {name: [(r.key, r.value, tuple(r.headers)) for r in await desk.kafka.read(name)] for name in names}
            )
    assert sum(map(len, told[0].values())) == 8 * len(TICKETS)
    assert told[0] == told[1]


@contextlib.asynccontextmanager
async def _database(postgres_url: str, name: str) -> AsyncIterator[Store]:
    """One more beside that of the fixture."""
    import asyncpg
    from sqlalchemy import make_url

    address = make_url(postgres_url)
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    await connection.execute(f'CREATE DATABASE "{name}"')
    engine = make_engine(address.set(database=name).render_as_string(hide_password=False))
    try:
        await schema.migrate(engine)
        yield Store(engine)
    finally:
        await engine.dispose()
        await asyncio.shield(connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'))
        await connection.close()
