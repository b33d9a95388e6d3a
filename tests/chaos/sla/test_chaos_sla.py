"""The monitor killed and frozen on a real broker while clocks fall due: each warning and breach is said once.

What must be said is computed here, from creation, goal and stop alone, and compared to the id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, Trace, ce_id, headers, instant_text
from ticket_contracts.ids import event_id
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketNormalized
from unit.sla.sla_desk import MONDAY, agreement, published, resolution

GOAL = 3600
LEFT = 10
SESSION = 6.0
MADE = published(agreement({"r": resolution(GOAL, None, warn=[{"left_seconds": LEFT}])}), MONDAY)
INPUTS = (topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.TRANSFERS)


class Monitors:
    """Processes of the service, as a supervisor would keep them."""

    def __init__(self, desk: KafkaDesk, log: Path, wanted: int = 2) -> None:
        self._environment = {
            **os.environ,
            "RELAYDESK_BOOTSTRAP": desk.bootstrap,
            "RELAYDESK_TOPIC_PREFIX": desk.prefix,
            "RELAYDESK_SESSION_SECONDS": str(SESSION),
            "RELAYDESK_BATCH": "200",
        }
        self._log = log.open("ab")
        self._wanted = wanted
        self.running: list[subprocess.Popen[bytes]] = []

    def keep_up(self) -> None:
        self.running = [process for process in self.running if process.poll() is None]
        while len(self.running) < self._wanted:
            command = [sys.executable, "-m", "sla_monitor", "serve"]
            self.running.append(subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log))

    def kill(self, count: int) -> None:
        for process in self.running[:count]:
            process.kill()
            process.wait()

    async def freeze_one(self) -> None:
        """Past the end of its session: it wakes as a zombie, and must find itself fenced."""
        process = self.running[0]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION + 1)
        process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self._log.close()


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    names = {*INPUTS, topics.SLA_EVENTS, topics.AGREEMENT, topics.changelog("sla-monitor")}
    wanted = [topic for topic in topics.desk_topics(["itsm"], ["first_line"], []) if topic.name in names]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


@pytest.fixture
def monitors(desk: KafkaDesk, tmp_path: Path) -> Iterator[Monitors]:
    kept = Monitors(desk, tmp_path / "monitors.log")
    try:
        yield kept
    finally:
        kept.stop()


def normalized(ticket: str, version: int, at: datetime, created: datetime, status: str) -> TicketNormalized:
    return TicketNormalized(
        ticket=ticket,
        decided_for=at,
        ticket_version=version,
        source_version=str(version),
        delivery=f"d{version}",
        lifecycle="created" if version == 1 else "ended",
        changed=["status"],
        source="itsm",
        instance="one",
        external_id=ticket,
        status=status,  # type: ignore[arg-type]
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


def must_be_said(ticket: str, stopped: bool) -> set[str]:
    """The ids of all that a clock says that is met in time, or that runs out."""
    said: list[tuple[str | int, ...]] = [
        ("started", 1),
        *([("met", 2)] if stopped else [("warned", LEFT), ("breached",)]),
    ]
    return {event_id(ClockEvent.TYPE, ticket, "resolution", 1, *what) for what in said}


async def heard(desk: KafkaDesk) -> list[ClockEvent]:
    return [msgspec.json.decode(record.value, type=ClockEvent) for record in await desk.read(topics.SLA_EVENTS)]


@pytest.mark.parametrize(
    ("clocks", "seconds", "faults"),
    [
        pytest.param(1_000, 20, ["kill all"], id="1,000 clocks and one kill"),
        pytest.param(
            20_000,
            60,
            ["kill one", "freeze", "kill all", "kill one", "freeze"],
            id="20,000 clocks",
            marks=pytest.mark.long,
        ),
    ],
)
async def test_each_warning_and_breach_is_said_once(
    desk: KafkaDesk, monitors: Monitors, clocks: int, seconds: int, faults: list[str]
) -> None:
    chosen = random.Random(clocks)
    monitors.keep_up()
    begun = datetime.now(UTC).replace(microsecond=0)
    # The last of the clocks to fall due does so when all the faults are over; the first, when the desk is fed.
    first_due = begun + timedelta(seconds=25 + clocks // 500)
    expected: set[str] = set()
    stops: list[tuple[str, datetime]] = []
    for number in range(clocks):
        ticket = f"itsm:one:{number}"
        due = first_due + timedelta(seconds=chosen.randrange(LEFT, seconds))
        created = due - timedelta(seconds=GOAL)
        stopped = number % 2 == 1
        expected |= must_be_said(ticket, stopped)
        if stopped:
            stops.append((ticket, created))
        await tell(desk, topics.NORMALIZED, normalized(ticket, 1, begun, created, "open"))
        await tell(desk, topics.CLASSIFIED, classified(ticket, begun))
    await desk.producer.flush()

    async def some_started() -> bool:
        monitors.keep_up()
        return len(await heard(desk)) > clocks // 10

    await until(some_started, 120)
    monitors.kill(2)  # the stops come while nobody is there, and are to be heard before anything fires
    for ticket, created in stops:
        await tell(desk, topics.NORMALIZED, normalized(ticket, 2, begun + timedelta(seconds=1), created, "resolved"))
    await desk.producer.flush()
    assert datetime.now(UTC) < first_due, "the machine is too slow for this schedule"
    await asyncio.sleep(max(0.0, (first_due + timedelta(seconds=LEFT) - datetime.now(UTC)).total_seconds()))

    struck = 0
    for fault in faults:
        monitors.keep_up()
        pending = len(expected) - len(await heard(desk))
        struck += pending > 0
        match fault:
            case "kill all":
                monitors.kill(2)
            case "kill one":
                monitors.kill(1)
            case _:
                await monitors.freeze_one()
        await asyncio.sleep(1.0)
    assert struck == len(faults), "every fault struck while something was still to be said"

    async def all_said() -> bool:
        monitors.keep_up()
        return {ce_id(event) for event in await heard(desk)} >= expected

    await until(all_said, 240)
    await asyncio.sleep(2 * SESSION)  # whatever a zombie would add
    said = await heard(desk)
    times = Counter(ce_id(event) for event in said)
    assert set(times) == expected
    assert [ident for ident, count in times.items() if count > 1] == []
    late = [event for event in said if event.late]
    assert late, "nothing fell due while nobody was there"
    assert {event.occurrence for event in late} <= {"warned", "breached"}
    assert all(event.due_at == event.decided_for for event in said if event.occurrence in ("warned", "breached"))
