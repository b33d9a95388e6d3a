"""The service's loop: facts in, decisions out, once each, whatever is repeated, raced or cut short in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from integration.handoff.ledger_desk import INPUTS, LedgerDesk
from runtime_kafka import until
from ticket_contracts import topics
from ticket_contracts.cloudevents import Event, ce_id
from ticket_contracts.transfers import TransferAccepted, TransferRequested, TransferWithdrawn
from ticket_handoff.adapters.engine import LedgerLoop, LedgerProducer
from ticket_handoff.adapters.relay import Relay
from ticket_handoff.adapters.store import Numbered, Superseded
from ticket_handoff.domain.decision import Refused
from ticket_handoff.handlers import Changes, HandoffWork
from ticket_runtime.clock import Clock
from ticket_runtime.handling import handle
from ticket_runtime.outputs import Collector, Message
from unit.handoff.handoff_desk import at, faults, normalized, published, routed
from unit.handoff.test_handoff_terms import narrowed

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKET = "servicenow:prod:INC1"


def tickets(count: int) -> list[str]:
    return [f"servicenow:prod:INC{number}" for number in range(1, count + 1)]


async def steps(desk: LedgerDesk, count: int) -> bool:
    """Whether so many steps were published."""
    return sum(map(len, (await desk.steps()).values())) >= count


async def sound(desk: LedgerDesk, expected: Sequence[str]) -> None:
    """Every ticket has a history without fault, on the topics as in the ledger, and nothing stands there twice."""
    said = await desk.said()
    assert {event.ticket for _, event in said} == set(expected)
    by_ticket: dict[str, list[tuple[str, Event]]] = {}
    for topic, event in said:
        by_ticket.setdefault(event.ticket, []).append((topic, event))
    for events in by_ticket.values():
        assert faults(events) == []
    checked, found = await desk.store.ledger_faults()
    assert (checked, found) == (len(expected), [])
    for partition in await desk.store.trails():
        assert (await desk.store.trail_faults(partition))[1] == []


async def test_a_ticket_from_its_first_event_to_its_owner(desk: LedgerDesk) -> None:
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
        offer = (await desk.offers())[TICKET]
        await desk.reply(offer)
        await until(lambda: steps(desk, 6))
    accepted = [step for step in (await desk.steps())[TICKET] if isinstance(step, TransferAccepted)]
    assert [each.digest for each in accepted] == [offer.digest]
    history = await desk.store.history(TICKET)
    assert history is not None
    assert [(each["kind"], each["queue"]) for each in history.intervals] == [
        ("intake_duty", None),
        ("acknowledged", "desk"),
    ]
    assert [each["status"] for each in history.transfers] == ["completed"]
    await sound(desk, [TICKET])


async def test_what_was_published_is_not_kept(desk: LedgerDesk) -> None:
    """It holds text; when there is nothing to do it goes."""
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(lambda: steps(desk, 3))

        async def empty() -> bool:
            return not [row for partition in (0, 1) for row in await desk.store.unpublished(partition, 0, 10)]

        await until(empty)


async def test_events_name_their_cause_and_the_chain_that_it_belongs_to(desk: LedgerDesk) -> None:
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
    seen = ce_id(normalized(TICKET, when=NOW))
    record = (await desk.kafka.read(topics.TRANSFERS))[0]
    said = {name: value.decode() for name, value in record.headers}
    assert (said["ce_causationid"], said["ce_correlationid"], said["ce_source"]) == (seen, seen, "/relaydesk/handoff")
    assert record.key == TICKET.encode()


async def test_messages_that_cannot_count_are_dead_letters_with_the_reason(desk: LedgerDesk) -> None:
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
        offer = (await desk.offers())[TICKET]
        await desk.reply(offer, principal="nightwatch")
        await desk.reply(offer, digest="0" * 64)
        await desk.reply(offer, transfer_id="nowhere")
        await desk.kafka.send(topics.REPLIES_INTERNAL, b"yes please", TICKET.encode())
        await desk.kafka.send(topics.REPLIES_INTERNAL, b"{}", None)
        await desk.kafka.send(topics.NORMALIZED, b"{}", TICKET.encode(), ce_id="x", at=NOW)
        await desk.reply(offer)
        await until(lambda: steps(desk, 6))
        await until(lambda: _dead(desk, 6))
    assert await desk.dead(topics.replies("nightwatch")) == [f"there is no transfer {offer.transfer_id}"]
    reasons = " | ".join(await desk.dead(topics.REPLIES_INTERNAL))
    assert "read the newer package" in reasons
    assert "there is no transfer nowhere" in reasons
    assert reasons.count("not a reply") == 2
    await sound(desk, [TICKET])


@pytest.mark.parametrize("ticket", ["servicenow:prod:\0", f"servicenow:prod:{'9' * 3_000}"], ids=["nul", "long"])
async def test_what_the_database_cannot_hold_does_not_end_the_process(desk: LedgerDesk, ticket: str) -> None:
    async with desk.running():
        await desk.publish(topics.NORMALIZED, normalized(ticket, when=NOW))
        await desk.publish(topics.NORMALIZED, normalized(TICKET, when=NOW, assignee="Eve\0"))
        await desk.kafka.send(
            topics.REPLIES_INTERNAL, b'{"transfer_id":"\\u0000","reply_id":"r","action":"accept"}', b"k"
        )
        await until(lambda: steps(desk, 1))
        await until(lambda: _dead(desk, 2))
    assert "no NUL" in (await desk.dead(topics.NORMALIZED))[0]
    await sound(desk, [TICKET])


async def _dead(desk: LedgerDesk, count: int) -> bool:
    found = [
        await desk.dead(topic) for topic in (topics.NORMALIZED, topics.REPLIES_INTERNAL, topics.replies("nightwatch"))
    ]
    return sum(map(len, found)) >= count


async def test_of_fifty_accepts_at_once_one_wins_and_the_others_are_told_who(desk: LedgerDesk) -> None:
    async with desk.running() as loop:
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
        offer = (await desk.offers())[TICKET]
        answers = await asyncio.gather(
            *(desk.give(offer, f"r{n}", loop.appended, actor=f"Person {n}") for n in range(50)), return_exceptions=True
        )
        won = [answer for answer in answers if not isinstance(answer, BaseException)]
        lost = [answer for answer in answers if isinstance(answer, Refused)]
        assert (len(won), len(lost)) == (1, 49)
        assert {each.kind for each in lost} == {"conflict"}
        winner = (await desk.store.history(TICKET)).ledger.past[-1].actor  # type: ignore[union-attr]
        assert all(f"accepted by {winner}" in each.reason for each in lost)
        await until(lambda: steps(desk, 6))
    await sound(desk, [TICKET])


async def test_a_repeated_reply_by_http_is_acknowledged_again(desk: LedgerDesk) -> None:
    async with desk.running() as loop:
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
        offer = (await desk.offers())[TICKET]
        first = await desk.give(offer, "same", loop.appended)
        again = await desk.give(offer, "same", loop.appended)
        assert (first.repeated, again.repeated) == (False, True)
        assert first.owner == again.owner
        await until(lambda: steps(desk, 6))
    await sound(desk, [TICKET])


async def test_what_another_process_appended_is_published_too(desk: LedgerDesk) -> None:
    """A reply by HTTP may reach a process that has not the ticket's partition: nobody tells the relay."""
    async with desk.running():
        await desk.begin([TICKET], NOW)
        await until(desk.offers)
        await desk.give((await desk.offers())[TICKET], "r1")
        await until(lambda: steps(desk, 6))
    await sound(desk, [TICKET])


# -- crashes


class Crash(Exception):
    """The process is gone."""


class CrashingProducer(LedgerProducer):
    """Ends the process once: `before` or `after` the commit of a batch in the database, or before one `in kafka`.

    skip: so many go well before.
    """

    where: ClassVar[str] = ""
    skip: ClassVar[int] = 0
    crashed: ClassVar[bool] = False

    def _crash(self, here: str) -> None:
        if CrashingProducer.where != here or CrashingProducer.crashed:
            return
        CrashingProducer.skip -= 1
        if CrashingProducer.skip < 0:
            CrashingProducer.crashed = True
            raise Crash

    async def _write(self, changes: Any, messages: Sequence[Message], moves: Mapping[str, Any]) -> None:
        if messages:
            self._crash("before")
        await super()._write(changes, messages, moves)
        if messages:
            self._crash("after")

    async def _publish(self, rows: list[Numbered], last: Sequence[Message]) -> None:
        if rows:
            self._crash("in kafka")
        await super()._publish(rows, last)

    async def close(self) -> None:
        """Like a process that was killed: nothing is finished."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.abandon()
        await super(Relay, self).close()


class CrashingLoop(LedgerLoop):
    def _make_producer(self, number: int, changelog: TopicPartition | None) -> CrashingProducer:
        made = CrashingProducer(
            self._settings, number, self._store, self._clock, lambda: self._admin, self._fail, self.appended
        )
        self._relays[number] = made
        return made


@pytest.mark.parametrize("where", ["before", "after", "in kafka"])
async def test_a_crash_neither_loses_nor_doubles(desk: LedgerDesk, where: str) -> None:
    """Twice: at the third death of a process on one message the runtime would give that message up."""
    expected = tickets(40)
    for number, skip in enumerate((0, 2)):
        await desk.begin(expected[20 * number : 20 * number + 20], NOW)
        CrashingProducer.where, CrashingProducer.skip, CrashingProducer.crashed = where, skip, False
        with contextlib.suppress(Crash):
            async with desk.running(partial(CrashingLoop, desk.store), batch=10):
                await until(lambda: CrashingProducer.crashed)  # or the fault missed what was in work
    async with desk.running():
        await until(lambda: steps(desk, 3 * len(expected)))
    assert Counter(map(len, (await desk.steps()).values())) == {3: len(expected)}
    await sound(desk, expected)


async def test_two_owners_of_a_partition_cannot_both_write(desk: LedgerDesk) -> None:
    """One was frozen past its session and woke: what it goes on with is another's by now, and the database says so."""

    async def move(before: int, after: int) -> None:
        async with desk.store.transaction() as connection:
            moves = {topics.NORMALIZED: (before, after, "")}
            await desk.store.write(connection, Changes(), [], {}, 0, moves)

    at = (await desk.store.positions(0, [topics.NORMALIZED]))[topics.NORMALIZED][0]
    await move(at, at + 7)
    with pytest.raises(Superseded):
        await move(at, at + 1)
    assert (await desk.store.positions(0, [topics.NORMALIZED]))[topics.NORMALIZED][0] == at + 7


class Owner:
    """A process that takes a partition for its own, as far as the ledger is concerned."""

    def __init__(self, desk: LedgerDesk, partition: int) -> None:
        settings, clock = desk.kafka.settings(), Clock(stream=False)
        self._ledger = LedgerProducer(
            settings, partition, desk.store, clock, AIOKafkaAdminClient, lambda error: None, lambda rows: None
        )
        self._ledger.work = HandoffWork(desk.agreements)
        self._partition, self._prefix = partition, desk.kafka.prefix
        self._out = Collector("/relaydesk/handoff", partition)

    async def open(self) -> None:
        await self._ledger.positions([TopicPartition(self._prefix + topic, self._partition) for topic in INPUTS])

    async def take(self, record: Any) -> None:
        """One message, until just before its commit."""
        await self._ledger.prepare([record])
        topic = record.topic.removeprefix(self._prefix)
        assert handle(record, topic, NOW, self._ledger.work, self._out, "handoff") == "handled"
        self._next = {TopicPartition(record.topic, record.partition): OffsetAndMetadata(record.offset + 1, "")}

    async def commit(self) -> None:
        messages, stored = self._out.take()
        await self._ledger.commit(messages, stored, self._next)

    async def close(self) -> None:
        await self._ledger.abandon()


async def test_two_owners_cannot_both_begin_a_ticket_from_different_topics(desk: LedgerDesk) -> None:
    """The one that was frozen had the ticket's first version in hand, its successor the routing. There is no row yet on
    which one could wait for the other, and each would write the ticket without what the other knows."""
    await desk.begin([TICKET], NOW)
    (first,), (decision,) = [await desk.kafka.read(topic) for topic in (topics.NORMALIZED, topics.ROUTED)]
    frozen, successor = (Owner(desk, first.partition) for _ in range(2))
    await frozen.open()
    await frozen.take(first)
    await successor.open()
    await successor.take(decision)
    await successor.commit()
    with pytest.raises(Superseded):
        await frozen.commit()
    await frozen.close()
    async with desk.running():
        await until(desk.offers)
    assert len((await desk.steps())[TICKET]) == 3
    await sound(desk, [TICKET])


async def test_partitions_move_between_processes(desk: LedgerDesk) -> None:
    expected = tickets(60)
    async with desk.running():
        await desk.begin(expected[:20], NOW)
        await until(lambda: steps(desk, 30))
        async with desk.running():
            await desk.begin(expected[20:40], NOW)
            await until(lambda: steps(desk, 90))
        await desk.begin(expected[40:], NOW)
        await until(lambda: steps(desk, 180))
    assert Counter(map(len, (await desk.steps()).values())) == {3: 60}
    await sound(desk, expected)


async def test_a_contract_that_narrows_takes_back_what_is_open_in_the_ledger(desk: LedgerDesk) -> None:
    """Also what was offered while nobody was there to follow the agreement."""
    narrowing = LedgerDesk(desk.kafka, desk.store, published())
    async with narrowing.running():
        await narrowing.begin(tickets(3), NOW, "night-desk", "night")
        await until(lambda: steps(narrowing, 9))
    narrowing.agreements.add(narrowed(10, "title", "priority"))
    async with narrowing.running():
        await until(lambda: steps(narrowing, 15))
        for ticket, said in (await narrowing.steps()).items():
            withdrawn, asked = said[-2:]
            assert isinstance(withdrawn, TransferWithdrawn), ticket
            assert isinstance(asked, TransferRequested), ticket
            assert (withdrawn.exposed, asked.asks) == (["category", "status", "text"], True)
            assert withdrawn.decided_for == at(10)
            answer: dict[str, Any] = {
                "purpose": "transfer",
                "transfer_id": asked.transfer_id,
                "when": at(20),
                "decision": 2,
            }
            event = routed(narrowing.agreement, ticket, queue="night-desk", role="night", **answer)
            await narrowing.publish(topics.ROUTED, event)
        await until(lambda: steps(narrowing, 18))  # nothing was left locked
    again = await narrowing.offers("night-desk")
    assert {offer.package.view.text for offer in again.values()} == {None}
    await sound(narrowing, tickets(3))
