"""Facts in a real PostgreSQL: whatever the order and however often, the same rows; the figures equal a recount."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import facts_stories as told
from facts_database import contents, engine_of, write
from sla_monitor.facts import schema
from sla_monitor.facts.figures import WINDOWS, figures


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with engine_of(database_url) as made:
        yield made


async def test_facts_are_the_same_in_any_order_and_however_often(engine: AsyncEngine) -> None:
    records = [told.agreement(), *(r for story in told.make_stories(60) for r in story.records)]
    await write(engine, records)
    once = await contents(engine)
    assert {name for name, rows in once.items() if not rows} == {"unreadable"}
    await write(engine, records)
    assert await contents(engine) == once
    await schema.empty(engine)
    shuffled = [*records, *random.Random(3).sample(records, 400)]
    random.Random(2).shuffle(shuffled)
    await write(engine, shuffled, batch=7)
    assert await contents(engine) == once


async def test_every_event_is_a_row_and_no_text_or_name_is_kept(engine: AsyncEngine) -> None:
    records = [r for story in told.make_stories(40) for r in story.records]
    await write(engine, records)
    async with engine.connect() as connection:
        for name, expected in told.event_ids(records).items():
            rows = await connection.execute(text(f"SELECT id FROM facts.{name}"))
            assert {id_ for (id_,) in rows} == expected, name
    everything = str(await contents(engine))
    for word in ("secret", "We are on it", "Nora", "Ana", "Kim"):
        assert word not in everything


@pytest.mark.parametrize("seed", [1, 2])
async def test_figures_equal_a_recount_in_plain_python(engine: AsyncEngine, seed: int) -> None:
    stories = [story for story in told.make_stories(2_000, seed) if story.told_at <= told.SATURDAY]
    await write(engine, [told.agreement(), *(r for story in stories for r in story.records)], batch=3_000)
    found = await figures(engine, told.SATURDAY)
    assert found.partners == ["owls"]
    assert found.priorities == ["P1", "P3"]
    for window, length in WINDOWS.items():
        until = told.SATURDAY + timedelta(microseconds=1)  # a window holds its end, not its beginning
        expected = told.recount(stories, until - length, until)
        totals: dict[tuple[str, str], Any] = {
            (str(f.figure), f.side or f.partner or ""): (f.of, pytest.approx(f.value))
            for f in found.values
            if f.window == window and f.category is None and f.priority is None
        }
        assert totals == expected, window
        assert sum(of for of, _ in expected.values()) > {"1h": 20, "1d": 1_000, "1w": 5_000}[window]


async def test_figures_by_category_and_priority_add_up(engine: AsyncEngine) -> None:
    stories = [story for story in told.make_stories(300) if story.told_at <= told.SATURDAY]
    await write(engine, [told.agreement(), *(r for story in stories for r in story.records)])
    week = [f for f in (await figures(engine, told.SATURDAY)).values if f.window == "1w"]
    for total in week:
        if total.category is None and total.priority is None:
            same = [f for f in week if (f.figure, f.side, f.partner) == (total.figure, total.side, total.partner)]
            for parts in ([f for f in same if f.category], [f for f in same if f.priority]):
                assert len(parts) > 1
                assert sum(f.of for f in parts) == total.of
                assert sum(f.of * f.value for f in parts) == pytest.approx(total.of * total.value)
