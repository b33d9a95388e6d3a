"""What the Faust worker is made of, without a broker: its consumer, and its account of what was written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types.tuples import TP

from sla_monitor.facts.measure import FactsMetrics
from sla_monitor.facts.reading import TOPICS, Unreadable, rows_of
from sla_monitor.facts.store import make_engine
from sla_monitor.facts.worker import Gatherer
from ticket_runtime.metrics import Registry

HERE, THERE = TP("transfers", 0), TP("transfers", 1)


@pytest.fixture
async def gatherer(tmp_path: Path) -> AsyncIterator[Gatherer]:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none")
    yield Gatherer("127.0.0.1:1", "test.", engine, tmp_path, FactsMetrics(Registry()))
    await engine.dispose()


def message(tp: TP, offset: int, generation: int) -> Any:
    return SimpleNamespace(tp=tp, offset=offset, generation_id=generation)


async def test_an_agent_reads_each_topic_one_record_after_the_other(gatherer: Gatherer) -> None:
    agents = gatherer.app.agents.values()
    assert sorted(name for agent in agents for name in agent.channel.topics) == sorted(
        f"test.{name}" for name in TOPICS
    )
    assert {agent.concurrency for agent in agents} == {1}


async def test_the_consumer_reads_committed_records_and_lets_no_idle_partition_hold_up_others(
    gatherer: Gatherer,
) -> None:
    app: Any = gatherer.app
    thread = app.consumer._new_consumer_thread()
    consumer = thread._create_worker_consumer(app.transport)
    assert consumer._isolation_level == "read_committed"
    assert consumer._fetch_max_wait_ms <= 100
    assert consumer._auto_offset_reset == "earliest"
    assert not consumer._enable_auto_commit
    assert not app.boot_strategy._should_enable_kafka_producer(), "it sends nothing"


async def test_what_was_written_is_committed_whatever_gaps_lie_between(gatherer: Gatherer) -> None:
    app: Any = gatherer.app
    consumer = app.consumer
    generation = app.consumer_generation_id
    assert consumer._new_offset(HERE) is None
    for offset in (0, 2, 7):  # between them: the markers of transactions, and one that was taken back
        consumer.wrote(message(HERE, offset, generation))
        assert consumer._new_offset(HERE) == offset + 1
    await consumer._add_gap(HERE, 8, 20)
    assert consumer._new_offset(HERE) == 8
    assert consumer._new_offset(THERE) is None


async def test_what_was_acknowledged_without_being_written_is_not_committed(gatherer: Gatherer) -> None:
    consumer: Any = gatherer.app.consumer
    consumer._acked[HERE].extend([0, 1, 2])  # as Faust does with what it skips in a rebalance
    assert consumer._new_offset(HERE) is None
    assert not consumer._acked[HERE]


async def test_what_was_fetched_before_a_rebalance_moves_nothing_after_it(gatherer: Gatherer) -> None:
    app: Any = gatherer.app
    consumer, generation = app.consumer, app.consumer_generation_id
    consumer.wrote(message(HERE, 5, generation - 1))
    assert consumer._new_offset(HERE) is None
    consumer.wrote(message(HERE, 5, generation))
    consumer._written.pop(HERE)
    assert consumer._new_offset(HERE) is None


@pytest.mark.parametrize(
    ("topic", "kind", "value"),
    [
        ("tickets.routed", "", b"{}"),
        ("tickets.routed", "relaydesk.ticket.routed.v1", b"{"),
        ("tickets.routed", "relaydesk.ticket.routed.v1", b'{"ticket": 1}'),
        ("tickets.routed", "relaydesk.ticket.routed.v1", b"\xff"),
        ("tickets.feedback", "", b"[" * 100_000),
        ("desk.agreement", "", b"{}"),
        ("desk.agreement", "", b"not json"),
        ("transfers", "relaydesk.offer.made.v1", b"{}"),
    ],
)
def test_what_is_no_fact_is_said_to_be_none_and_not_repeated(topic: str, kind: str, value: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        rows_of(topic, kind, value)
    assert value.decode(errors="replace") not in str(raised.value) or len(value) < 3
    assert len(str(raised.value)) < 1_000


def test_a_tombstone_says_nothing() -> None:
    assert rows_of("tickets.normalized", "relaydesk.ticket.normalized.v1", None) == []
