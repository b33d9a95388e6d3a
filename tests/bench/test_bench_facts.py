"""Facts: how fast they are written, how fast a worker catches up beside a bare consumer, and what the figures cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import text

import facts_stories as told
from facts_database import engine_of
from facts_worker import LIFECYCLE, publish, workers
from runtime_kafka import KafkaDesk, until
from sla_monitor.facts import store
from sla_monitor.facts.figures import figures
from sla_monitor.facts.reading import rows_of

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

TICKETS = 100_000
FIGURES_SECONDS = 15.0
"""Prometheus asks every 15 s; the query must be done well before, or the figures are never fresh."""


async def test_facts_a_second_and_catching_up(
    kafka_bootstrap: str, topic_prefix: str, database_url: str, tmp_path: Path
) -> None:
    records = [told.agreement(), *(r for story in told.make_stories(1_500) for r in story.records)]
    began = time.perf_counter()
    rows = [row for record in records for row in rows_of(record.topic, record.ce_type, record.value)]
    reading = (time.perf_counter() - began) / len(records)
    desk = KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4)
    async with desk.connected(LIFECYCLE), workers(desk, database_url, tmp_path) as start:
        await publish(desk, records)
        async with engine_of(database_url) as engine:
            began = time.perf_counter()
            for first in range(0, len(rows), 500):
                await store.write(engine, rows[first : first + 500])
            writing = (time.perf_counter() - began) / len(rows)
            again = time.perf_counter()
            for first in range(0, len(rows), 500):
                assert await store.write(engine, rows[first : first + 500]) == 0
            repeating = (time.perf_counter() - again) / len(rows)
            for name in (
                "versions",
                "clocks",
                "owners",
                "steps",
                "routings",
                "classifications",
                "comments",
                "feedback",
            ):
                async with engine.begin() as connection:
                    await connection.execute(text(f"TRUNCATE facts.{name}"))
            began = time.perf_counter()
            await start()
            wanted = sum(len(ids) for ids in told.event_ids(records).values())

            async def all_there() -> bool:
                async with engine.connect() as connection:
                    found = [await connection.scalar(text(f"SELECT count(*) FROM facts.{n}")) for n in _EVENTS]
                return bool(sum(found) == wanted)

            await until(all_there, 300)
            caught_up = time.perf_counter() - began
    print(  # noqa: T201
        f"\nfacts: reading {1e6 * reading:.0f} us a record, writing {1e6 * writing:.0f} us a row (again"
        f" {1e6 * repeating:.0f}); a worker, its start included, gathers {len(records):,} records in {caught_up:.1f} s:"
        f" {len(records) / caught_up:,.0f} a second"
    )
    assert repeating < 2 * writing, "a redelivery costs no more than what it repeats"


_EVENTS = ("versions", "classifications", "routings", "clocks", "owners", "steps")


async def test_the_figures_over_a_hundred_thousand_tickets(database_url: str) -> None:
    async with engine_of(database_url) as engine:
        seen = [s for s in told.make_stories(6_000) if s.told_at <= told.SATURDAY]
        records = [told.agreement(), *(r for story in seen for r in story.records)]
        for first in range(0, len(records), 3_000):
            some = records[first : first + 3_000]
            await store.write(engine, [row for r in some for row in rows_of(r.topic, r.ce_type, r.value)])
        copies = -(-TICKETS // len(seen))
        async with engine.begin() as connection:
            for name in (*_EVENTS, "comments", "feedback"):
                columns = await connection.execute(
                    text(
                        "SELECT column_name FROM information_schema.columns"
                        " WHERE table_schema = 'facts' AND table_name = :n"
                    ),
                    {"n": name},
                )
                others = ", ".join(f'"{c}"' for (c,) in columns if c not in ("id", "ticket"))
                await connection.execute(
                    text(
                        f"INSERT INTO facts.{name} (id, ticket, {others}) SELECT id || '-' || n, ticket || '-' || n,"
                        f" {others}"
                        f" FROM facts.{name}, generate_series(2, {copies}) AS n"
                    )
                )
        async with engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for name in (*_EVENTS, "comments", "feedback", "queues"):
                await plain.execute(text(f"ANALYZE facts.{name}"))
            tickets = await connection.scalar(text("SELECT count(DISTINCT ticket) FROM facts.versions"))
        took = []
        for _ in range(3):
            began = time.perf_counter()
            found = await figures(engine, told.SATURDAY)
            took.append(time.perf_counter() - began)
        resolved = sum(
            f.of
            for f in found.values
            if f.figure == "resolution_seconds_mean" and f.window == "1w" and not f.category and not f.priority
        )
    said = f"{min(took):.2f} s"
    print(f"\nfigures over a week of {tickets:,} tickets, {resolved:,} resolved in it: {said}")  # noqa: T201
    assert min(took) < FIGURES_SECONDS
