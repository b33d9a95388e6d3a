"""The router's processes on a real broker: killed and frozen while they work, their loads and caps stay exact."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from chaos.kept import Kept
from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Event, Trace, ce_id, headers, instant_text
from ticket_contracts.routing import TicketRouted
from ticket_router.handlers import RouterWork
from ticket_runtime.agreements import Agreements
from unit.router.router_desk import ALL_DAYS, MONDAY, agreement, classified, hours, normalized, published

MANILA = ZoneInfo("Asia/Manila")
WAVE = 500
"""Tickets that come at once; a fault strikes while they are worked off."""
MADE = published(
    agreement(
        calendars={"always": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
        partners={"nightwatch": {"calendar": "always", "caps": {"daily": 9000, "monthly": 9000}}},
        queues={"desk": {"calendar": None, "capacity": None, "overflow": None}},
        routing={
            "rules": [
                {"name": "outside", "when": {"tier": [3]}, "to": ["night-desk"]},
                {"name": "inside", "to": ["desk"]},
            ]
        },
    )
)


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    made = MADE.agreement
    wanted = topics.desk_topics(made.sources, list(made.queues), list(made.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


@pytest.fixture
def routers(desk: KafkaDesk, tmp_path: Path) -> Iterator[Kept]:
    """Two: one decides, the other stands by."""
    kept = Kept("ticket_router", desk, tmp_path / "routers.log", batch=64)
    try:
        yield kept
    finally:
        kept.stop()


async def tell(desk: KafkaDesk, topic: str, event: Event) -> None:
    own = ce_id(event)
    said = headers(own, event.TYPE, "/test", event.ticket, instant_text(event.decided_for), Trace(own, own, ""))
    await desk.producer.send(desk.prefix + topic, msgspec.json.encode(event), event.ticket.encode(), headers=said)


async def wave(desk: KafkaDesk, number: int) -> None:
    """Both halves of every ticket, some classified long before or after they are normalized."""
    halves: list[tuple[str, Event]] = []
    for ticket_number in range(number * WAVE, (number + 1) * WAVE):
        at = MONDAY + timedelta(seconds=ticket_number % 600)
        ticket = f"servicenow:main:INC{ticket_number:05}"
        tier = 3 if ticket_number % 3 else 1
        halves.append((topics.NORMALIZED, normalized(at=at, ticket=ticket)))
        halves.append((topics.CLASSIFIED, classified(at=at, ticket=ticket, agreement_version=MADE.version, tier=tier)))
    Random(number).shuffle(halves)
    for topic, half in halves:
        await tell(desk, topic, half)
    await desk.producer.flush()


class Growth:
    """Watches `tickets.routed` grow; quick, so that a fault strikes in the middle of a wave."""

    def __init__(self, desk: KafkaDesk) -> None:
        self._reader = AIOKafkaConsumer(bootstrap_servers=desk.bootstrap)
        self._partitions = [TopicPartition(desk.prefix + topics.ROUTED, p) for p in range(desk.partitions)]

    async def __aenter__(self) -> Growth:
        await self._reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.stop()

    async def offsets(self) -> int:
        """The sum of its ends, transaction markers included."""
        return sum((await self._reader.end_offsets(self._partitions)).values())


async def decided(desk: KafkaDesk) -> list[TicketRouted]:
    return [msgspec.json.decode(r.value, type=TicketRouted) for r in await desk.read(topics.ROUTED)]


async def worked_off(desk: KafkaDesk, routers: Kept, growth: Growth, expected: int) -> list[TicketRouted]:
    """Waits for as many decisions; however slow the machine, some must come in each minute and a half. After a kill
    each message of the old batch has a transaction of its own."""
    found = await decided(desk)
    while len(found) < expected:
        before = await growth.offsets()

        async def goes_on(before: int = before) -> bool:
            routers.keep_up()
            return await growth.offsets() > before + 50

        with contextlib.suppress(TimeoutError):  # the last of them are fewer
            await until(goes_on, 90)
        count, found = len(found), await decided(desk)
        assert len(found) > count, f"{count} of {expected} decided, and none since"
    return found


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(["kill"], id="a kill"),
        pytest.param(
            ["kill", "kill", "freeze", "kill"],
            id="kills and a freeze",
            marks=[pytest.mark.long, pytest.mark.timeout(1_500)],
        ),
    ],
)
async def test_loads_and_caps_stay_exact(desk: KafkaDesk, routers: Kept, faults: list[str]) -> None:
    expected = WAVE * len(faults)
    async with Growth(desk) as growth:
        for number, fault in enumerate(faults):
            before = await growth.offsets()
            await wave(desk, number)

            async def at_work(before: int = before) -> bool:
                routers.keep_up()
                return await growth.offsets() > before + 20

            await until(at_work, 400)  # a router that follows a kill goes message by message: first halves say nothing
            if fault == "kill":
                routers.kill()
                assert len(await decided(desk)) < (number + 1) * WAVE, "the fault struck pending work"
            else:
                await routers.freeze(replaced=True)

        found = await worked_off(desk, routers, growth, expected)
    assert len(found) == expected
    assert {e.ticket for e in found} == {f"servicenow:main:INC{n:05}" for n in range(expected)}
    assert {e.decision for e in found} == {1}
    seen: dict[str, list[Any]] = {"desk": [], "night-desk": []}
    for event in found:
        seen[event.queue].append(event.inputs.loads[event.queue])
    outside = len(seen["night-desk"])
    assert sorted(seen["desk"]) == list(range(expected - outside)), "each reservation saw the ones before it, once"
    assert sorted(seen["night-desk"]) == list(range(outside))
    taken = [e.inputs.taken["nightwatch"] for e in found if e.support_model == "partner"]
    assert sorted(taken) == [[n, n, n] for n in range(outside)]
    notices = [r for queue in seen for r in await desk.read(topics.queue(queue))]
    assert len(notices) == expected
    await recounted(desk, found)


async def recounted(desk: KafkaDesk, found: list[TicketRouted]) -> None:
    """What the next owner of the task would restore, beside a recount of what stands on the topics."""
    restored = RouterWork(Agreements([MADE]))
    for record in await desk.read(topics.changelog("router"), partitions=1):
        restored.restore(record.key, record.value)
    held: Counter[str] = Counter()
    given: Counter[tuple[str, str]] = Counter()
    for event in found:  # none of them has ended, moved or been declined
        held[event.queue] += 1
        if event.support_model == "partner":
            given["nightwatch", event.decided_for.astimezone(MANILA).date().isoformat()] += 1
    assert restored.loads.loads == held
    assert restored.loads.tickets == held
    assert restored.loads.days == given
    assert {day for _, day in given} == {"2026-03-02"}
    assert restored.loads.taken("nightwatch", "2026-03-31") == (0, sum(given.values())), "the month's"
    assert len(restored.snapshot()["tickets"]) == len(found)
