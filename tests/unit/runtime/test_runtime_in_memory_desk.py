"""The desk in memory plays by the rules of a replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest

from ticket_contracts.cloudevents import Event
from ticket_runtime.context import TaskContext
from ticket_runtime.task import Outputs, Poison, Record, Transient
from ticket_runtime.testing import InMemoryDesk

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Rung(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "test.rung.v1"

    number: int

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.number


class Alarms:
    """Counts the messages of a key, and rings an hour after each."""

    def __init__(self, context: TaskContext) -> None:
        self.counts: dict[bytes, int] = {}
        self.due: list[tuple[datetime, bytes]] = []
        self.refusals = 0

    def restore(self, key: bytes, value: bytes | None) -> None:
        assert value is not None
        count, due = msgspec.json.decode(value, type=tuple[int, datetime])
        self.counts[key] = count
        self.due.append((due, key))

    def handle(self, record: Record, out: Outputs) -> None:
        assert record.key is not None
        if record.value == b"poison":
            out.store(b"never", b"kept")
            raise Poison("it is poison")
        if record.value == b"later" and self.refusals < 2:
            self.refusals += 1
            raise Transient("not yet")
        if record.value == b"never":
            raise Transient("this never comes")
        self.counts[record.key] = self.counts.get(record.key, 0) + 1
        due = record.instant + HOUR
        self.due.append((due, record.key))
        out.store(record.key, msgspec.json.encode((self.counts[record.key], due)))

    def fire(self, now: datetime, out: Outputs) -> None:
        for due, key in sorted(entry for entry in self.due if entry[0] <= now):
            out.emit("rings", Rung(ticket=key.decode(), decided_for=due, number=self.counts[key]))
        self.due = [entry for entry in self.due if entry[0] > now]

    def next_due(self) -> datetime | None:
        return min((at for at, _ in self.due), default=None)


def desk_with_alarms() -> InMemoryDesk:
    desk = InMemoryDesk(START)
    desk.add("alarms", ["inbound.test"], Alarms)
    return desk


def test_what_falls_due_on_the_way_is_fired_at_its_own_instant() -> None:
    desk = desk_with_alarms()
    desk.send("inbound.test", b"one", b"a")
    desk.send("inbound.test", b"two", b"b", at=START + timedelta(minutes=90))
    desk.run(until=START + 3 * HOUR)
    rings = desk.events("rings", Rung)
    assert [(r.ticket, r.decided_for) for r in rings] == [("a", START + HOUR), ("b", START + timedelta(minutes=150))]
    assert desk.now == START + 3 * HOUR


def test_nothing_that_is_due_later_is_fired() -> None:
    desk = desk_with_alarms()
    desk.send("inbound.test", b"one", b"a")
    desk.run(until=START + HOUR - timedelta(seconds=1))
    assert desk.events("rings", Rung) == []


def test_poison_becomes_a_dead_letter_and_leaves_nothing_else() -> None:
    desk = desk_with_alarms()
    desk.send("inbound.test", b"poison", b"a")
    desk.send("inbound.test", b"one", b"b")
    desk.run()
    (dead,) = desk.dead_letters()
    assert (dead.topic, dead.group, dead.reason, dead.record.value) == (
        "inbound.test",
        "alarms",
        "it is poison",
        b"poison",
    )
    assert set(desk.state("alarms")) == {b"b"}


def test_a_restarted_service_goes_on_from_its_changelog() -> None:
    desk = desk_with_alarms()
    desk.send("inbound.test", b"one", b"a")
    desk.run()
    desk.restart("alarms")
    desk.run(until=START + HOUR)
    assert [r.ticket for r in desk.events("rings", Rung)] == ["a"]


def test_transient_trouble_that_never_ends_is_told() -> None:
    desk = desk_with_alarms()
    desk.send("inbound.test", b"never", b"a")
    with pytest.raises(Transient, match="never comes"):
        desk.run()


def test_a_key_stays_on_its_partition_and_its_event_too() -> None:
    desk = InMemoryDesk(START, partitions=4)
    desk.add("alarms", ["inbound.test"], Alarms)
    for number in range(20):
        desk.send("inbound.test", b"one", f"k{number}".encode())
    desk.run(until=START + HOUR)
    where = {record.key: record.partition for record in desk.records("inbound.test")}
    assert len(set(where.values())) > 1
    assert {record.key: record.partition for record in desk.records("rings")} == where
