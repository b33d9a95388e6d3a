"""What was said of a ticket goes some days after its end; what was decided stays and verifies."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.handoff.test_handoff_briefs import Written, in_queue
from integration.handoff.test_handoff_erasure import everything
from ticket_handoff.adapters.store import Store
from unit.handoff.handoff_desk import at

ENDED, OPEN = "servicenow:prod:INC1", "servicenow:prod:INC2"
SAID = (b"Laptop does not start", b"It only blinks", b"rosa@example.com")


async def ended(store: Store, ticket: str = ENDED) -> Written:
    story = await in_queue(store, ticket, 5)
    story.seen(20, lifecycle="ended", status="closed")
    await story.to(store)
    await store.forget(story.partition, 1_000_000)  # as the relay does once it is published
    return story


async def rows(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_what_was_said_goes_and_what_was_decided_verifies(store: Store, engine: AsyncEngine) -> None:
    await ended(store)
    await in_queue(store, OPEN, 5)
    assert await store.forget_ended(at(20)) == 0, "it ended at that instant, not before it"
    before = await everything(engine, ENDED)
    assert all(words in before for words in SAID)
    assert await store.forget_ended(at(21)) == 1
    assert await store.forget_ended(at(21)) == 0
    after = await everything(engine, ENDED)
    assert [words for words in SAID if words in after] == []
    untouched = await everything(engine, OPEN)
    assert all(words in untouched for words in SAID)
    for partition in await store.trails():
        assert (await store.trail_faults(partition))[1] == []
    assert (await store.ledger_faults())[1] == []


async def test_what_is_reopened_later_is_offered_whole_and_kept_again(store: Store, engine: AsyncEngine) -> None:
    story = await ended(store)
    await store.forget_ended(at(21))
    async with store.transaction() as connection:
        story.work.hold((await store.load(connection, [ENDED])).held, {})
    story.seen(30, lifecycle="reopened", text="It blinks again.")
    story.routed(31, "experts")
    story.stated(31)
    package = story.offer().package
    assert (package.view.text, package.view.priority, package.classification["category"]) == (
        *("It blinks again.", "P1"),
        "hardware",
    )
    await story.to(store)
    assert await store.forget_ended(at(500)) == 0, "it is owned"
    assert b"It blinks again." in await everything(engine, ENDED)


@pytest.mark.parametrize("most", [1, 500])
async def test_nothing_is_left_to_grow(store: Store, engine: AsyncEngine, most: int) -> None:
    for number in range(1, 4):
        await (await ended(store, f"servicenow:prod:INC{number}")).to(store)
    closing = await in_queue(store, "servicenow:prod:INC9", 5)
    await closing.leaves().to(store)
    closing.seen(515, lifecycle="ended", status="closed")
    await closing.to(store)
    assert min([await rows(engine, table) for table in ("packages", "briefs", "brief_lines")]) > 0
    while await store.forget_ended(at(60 * 24), most):
        pass
    assert [await rows(engine, table) for table in ("packages", "notices", "briefs", "brief_lines")] == [0, 0, 0, 0]
