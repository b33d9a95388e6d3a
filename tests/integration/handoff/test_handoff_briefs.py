"""The shift brief of a closing: one record, whoever writes it and however often."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from integration.handoff.test_handoff_http import Edge, edge
from ticket_contracts import topics
from ticket_contracts.ids import brief_id
from ticket_handoff.adapters.store import Store
from ticket_runtime.outputs import Collector
from unit.handoff.handoff_desk import Story, at, running

__all__ = ["edge"]

CLOSES = at(540)
NAMES = [f"servicenow:prod:INC{number}" for number in range(1, 5)]


class Written(Story):
    """A ticket that is written to the ledger as it goes on."""

    partition = 0
    published = 0

    async def to(self, store: Store) -> Written:
        await store.positions(self.partition, [topics.NORMALIZED])
        self.work.tickets[self.ticket].partition = self.partition
        async with store.transaction() as connection:
            await self.write(store, connection)
        self.published = len(self.out.emitted)
        self.work.take_changes()
        return self

    async def write(self, store: Store, connection: Any) -> None:
        out = Collector("/relaydesk/handoff", self.partition)
        for topic, event in self.out.emitted[self.published :]:
            out.emit(topic, event)
        loaded = await store.load(connection, [self.ticket])
        await store.write(connection, self.work._changes, out.take()[0], loaded.salts)

    def leaves(self, minutes: float = 510, queue: str = "night-desk") -> Written:
        """The router sends it on, for its queue closes."""
        said = {"current": "desk", "cause": "queue_closing", "closes_at": CLOSES}
        self.routed(minutes, queue, purpose="reroute", **said)
        return self


async def in_queue(store: Store, ticket: str, left: int, partition: int = 0) -> Written:
    """Owned at the desk, with so many minutes left at its closing."""
    story = Written(ticket=ticket)
    story.partition = partition
    story.owned()
    story.stated(6, running(CLOSES + timedelta(minutes=left)), decision=2)
    return await story.to(store)


async def test_a_closing_leaves_one_record_with_all_that_its_queue_had(edge: Edge, store: Store) -> None:
    soon, stays, late = [await in_queue(store, name, left) for name, left in zip(NAMES, (5, 60, 90), strict=False)]
    await late.leaves().to(store)
    await soon.leaves(512, "experts").to(store)
    (kept,) = (await edge.ask("queues/desk/briefs")).json()
    assert (kept["brief"], kept["tickets"], kept["sent_on"]) == (brief_id("desk", CLOSES), 3, 2)
    brief = (await edge.ask(f"briefs/{kept['brief']}")).json()
    assert [(line["ticket"], line["to_queue"]) for line in brief["tickets"]] == [
        (soon.ticket, "experts"),
        (stays.ticket, None),
        (late.ticket, "night-desk"),
    ]
    assert (brief["closes_at"], brief["as_of"]) == (CLOSES.isoformat().replace("+00:00", "Z"), "2026-03-02T17:30:00Z")
    assert brief["tickets"][2]["tried"] == ["Queue: accepted"], "by the queue's title"


async def test_it_says_what_became_of_each_later_on(edge: Edge, store: Store) -> None:
    story = await in_queue(store, NAMES[0], 5)
    await story.leaves().to(store)
    story.decline(515, "nightwatch")
    story.answered(516, "experts")
    story.accept(517)
    await story.to(store)
    (line,) = (await edge.ask(f"briefs/{brief_id('desk', CLOSES)}")).json()["tickets"]
    assert (line["to_queue"], line["outcome"]) == ("experts", "completed")
    assert len((await edge.ask("queues/desk/briefs")).json()) == 1


async def test_a_transaction_that_is_lost_leaves_none_and_its_repetition_the_same(edge: Edge, store: Store) -> None:
    story = (await in_queue(store, NAMES[0], 5)).leaves()
    async with store.transaction() as connection:
        await story.write(store, connection)
        await connection.rollback()
    assert (await edge.ask("queues/desk/briefs")).json() == []
    await story.to(store)
    (kept,) = (await edge.ask("queues/desk/briefs")).json()
    assert (kept["brief"], kept["sent_on"]) == (brief_id("desk", CLOSES), 1)


async def test_tickets_of_several_partitions_stand_in_one_brief(edge: Edge, store: Store) -> None:
    stories = [await in_queue(store, name, 10 * n, partition=n % 2) for n, name in enumerate(NAMES)]
    await asyncio.gather(*(story.leaves().to(store) for story in stories))
    (kept,) = (await edge.ask("queues/desk/briefs")).json()
    assert (kept["tickets"], kept["sent_on"]) == (4, 4)


async def test_who_turned_a_proposal_down_has_no_brief(edge: Edge, store: Store) -> None:
    """It left the closing queue meanwhile: the queue that has it now does not close."""
    story = await in_queue(store, NAMES[0], 5)
    story.tell(500, "escalate", reason="?")
    story.answered(501, "experts")
    story.accept(502)
    await story.leaves().to(store)
    assert (await edge.ask("queues/experts/briefs")).json() == []
    assert (await edge.ask("queues/desk/briefs")).json() == []


async def test_a_partner_is_told_of_a_ticket_that_left_that_it_has(edge: Edge, store: Store) -> None:
    story = Written(ticket=NAMES[0])
    story.owned(queue="night-desk", principal="nightwatch")
    story.routed(510, "experts", purpose="reroute", current="night-desk", cause="queue_closing", closes_at=CLOSES)
    story.accept(511)
    story.seen(512, status="on_hold")
    await story.to(store)
    asked = f"briefs/{brief_id('night-desk', CLOSES)}"
    assert [(await edge.ask(asked)).json()["tickets"][0][name] for name in ("status", "to_queue")] == [
        "on_hold",
        "experts",
    ]
    (line,) = (await edge.ask(asked, "nightwatch")).json()["tickets"]
    assert (line["title"], line["status"], line["owner"], line["outcome"]) == (None, "", "", "completed")


async def test_a_partner_sees_no_other_queues_record(edge: Edge, store: Store) -> None:
    await (await in_queue(store, NAMES[0], 5)).leaves().to(store)
    for asked in ("queues/desk/briefs", f"briefs/{brief_id('desk', CLOSES)}", "briefs/none"):
        assert (await edge.ask(asked, "nightwatch")).status_code == 404
