"""The commands that read a desk's topics from its broker: what a person asks of a desk that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from integration.sla.test_sla_on_a_desk import CONTENT, story
from runtime_kafka import KafkaDesk, until
from sla_monitor.__main__ import main
from sla_monitor.handlers import INPUTS, SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Trace, ce_id, encode, headers, instant_text
from unit.sla.sla_desk import MONDAY, TICKET, TOPIC_OF, FakeAgreements, published

MADE = published(CONTENT, MONDAY - timedelta(days=365))


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    names = {*INPUTS, topics.SLA_EVENTS, topics.AGREEMENT, topics.changelog("sla-monitor")}
    wanted = [topic for topic in topics.desk_topics(["itsm"], ["first_line"], []) if topic.name in names]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=3).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


async def ask(desk: KafkaDesk, *command: str) -> int:
    return await asyncio.to_thread(main, [*command, "--bootstrap", desk.bootstrap, "--prefix", desk.prefix])


async def test_a_running_desk_s_clocks_are_explained_verified_and_decided_again(
    desk: KafkaDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    for event in story():
        own = ce_id(event)
        said = headers(own, event.TYPE, "/test", event.ticket, instant_text(event.decided_for), Trace(own, own, ""))
        topic = TOPIC_OF.get(type(event), topics.TRANSFERS)
        await desk.send(topic, encode(event), event.ticket.encode(), headers=said)
    agreements = FakeAgreements(CONTENT)
    async with desk.running("sla-monitor", INPUTS, lambda _: SlaWork(agreements)):

        async def all_said() -> bool:
            events = [json.loads(record.value) for record in await desk.read(topics.SLA_EVENTS)]
            ends = [event for event in events if event["occurrence"] == "met" and event["clock"] == "resolution"]
            return len(ends) == 2

        await until(all_said, 60)

    capsys.readouterr()  # what the runtime logged
    assert await ask(desk, "verify") == 0
    assert json.loads(capsys.readouterr().out)["checked"] == 4
    assert await ask(desk, "redecide") == 0
    assert json.loads(capsys.readouterr().out)["checked"] > 15
    assert await ask(desk, "explain", TICKET) == 0
    told = capsys.readouterr().out
    assert "resolution #1: met" in told
    assert "pending_customer" in told


async def test_a_broker_without_the_desk_is_said_in_one_line(
    kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["verify", "--bootstrap", kafka_bootstrap, "--prefix", "nobody."]
    assert await asyncio.to_thread(main, command) == 2
    assert "has no topics nobody.tickets.normalized" in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--bootstrap", "127.0.0.1:9"]) == 2
    assert "no answer from the broker at 127.0.0.1:9" in capsys.readouterr().err
