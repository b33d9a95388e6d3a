"""The commands that read a desk's topics from its broker: what a person asks of a desk that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Event, Trace, ce_id, encode, headers, instant_text
from ticket_contracts.routing import TicketRouted
from ticket_router.__main__ import main
from ticket_router.handlers import INPUTS, RouterWork
from ticket_runtime.agreements import Agreements
from unit.router.router_desk import MONDAY, agreement, classified, normalized, published

MADE = published(agreement())
TICKETS = 12


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    made = MADE.agreement
    wanted = topics.desk_topics(made.sources, list(made.queues), list(made.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=3).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


async def tell(desk: KafkaDesk, topic: str, event: Event) -> None:
    own = ce_id(event)
    said = headers(own, event.TYPE, "/test", event.ticket, instant_text(event.decided_for), Trace(own, own, ""))
    await desk.send(topic, encode(event), event.ticket.encode(), headers=said)


async def ask(desk: KafkaDesk, *command: str) -> int:
    return await asyncio.to_thread(main, [*command, "--bootstrap", desk.bootstrap, "--topic-prefix", desk.prefix])


async def test_a_running_desks_decisions_are_made_again_explained_and_tried_otherwise(
    desk: KafkaDesk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(TICKETS):
        at, ticket = MONDAY + timedelta(minutes=number), f"servicenow:main:INC{number}"
        await tell(desk, topics.NORMALIZED, normalized(at=at, ticket=ticket))
        await tell(desk, topics.CLASSIFIED, classified(at=at, ticket=ticket, agreement_version=MADE.version))
    agreements = Agreements([MADE])
    async with desk.running("router", INPUTS, lambda _: RouterWork(agreements), whole=True):

        async def all_routed() -> bool:
            return len(await desk.read(topics.ROUTED)) == TICKETS

        await until(all_routed, 60)
    first = msgspec.json.decode((await desk.read(topics.ROUTED))[0].value, type=TicketRouted)

    capsys.readouterr()  # what the runtime logged
    assert await ask(desk, "redecide") == 0
    assert json.loads(capsys.readouterr().out) == {"checked": TICKETS, "different": 0}
    assert await ask(desk, "explain", first.ticket, "--at", instant_text(first.decided_for)) == 0
    assert "matched: by-day" in capsys.readouterr().out
    candidate = tmp_path / "candidate.yaml"
    changed = agreement(
        parties=[{"name": "Company", "side": "company"}, {"name": "N", "side": "partner", "partner": "nightwatch"}],
        queues={"desk": {"overflow": None, "capacity": None}, "night-desk": {"owner_role": "night"}},
        routing={"rules": [{"name": "all", "to": ["specialists"]}], "group_queues": {}},
    )
    candidate.write_text(yaml.safe_dump(changed.model_dump(mode="json", exclude_defaults=True)))
    assert await ask(desk, "whatif", "--agreement", str(candidate), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["current"]["tickets"], found["candidate"]["by_queue"]) == (TICKETS, {"specialists": TICKETS})
    assert len(found["elsewhere"]) == TICKETS


async def test_a_broker_without_the_desk_is_said_in_one_line(
    kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["redecide", "--bootstrap", kafka_bootstrap, "--topic-prefix", "nobody."]
    assert await asyncio.to_thread(main, command) == 2
    assert "has no topic nobody." in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--bootstrap", "127.0.0.1:9"]) == 2
    assert "no answer from the broker at 127.0.0.1:9" in capsys.readouterr().err
