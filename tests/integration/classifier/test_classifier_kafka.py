"""The classifier's process on a real broker: what it says, and that each of it is the same when made again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Trace, ce_id, encode, headers, instant_text
from ticket_contracts.knowledge import Article
from ticket_contracts.tickets import TicketNormalized
from unit.classifier.classifier_desk import MONDAY, agreement, feedback, normalized, published

TICKETS = 400
MADE = published(agreement())


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    made = MADE.agreement
    wanted = topics.desk_topics(made.sources, list(made.queues), list(made.partners))
    known = {topics.TIME, topics.PROGRESS}
    wanted = [t for t in wanted if t.name not in known and not t.name.endswith(topics.DEAD_LETTER)]
    async with KafkaDesk(kafka_bootstrap, topic_prefix, partitions=4).connected(wanted) as connected:
        key, value, said = record_of(MADE, MONDAY)
        await connected.send(topics.AGREEMENT, value, key, headers=said)
        yield connected


def environment(desk: KafkaDesk) -> dict[str, str]:
    return {**os.environ, "RELAYDESK_BOOTSTRAP": desk.bootstrap, "RELAYDESK_TOPIC_PREFIX": desk.prefix}


@pytest.fixture
def process(desk: KafkaDesk, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "classifier.log").open("wb") as log:
        command = [sys.executable, "-m", "ticket_classifier", "serve"]
        running = subprocess.Popen(command, env=environment(desk), stdout=log, stderr=log)
        try:
            yield running
        finally:
            running.kill()
            running.wait()


async def tell(desk: KafkaDesk, ticket: TicketNormalized) -> None:
    own = ce_id(ticket)
    said = headers(own, ticket.TYPE, "/test", ticket.ticket, instant_text(ticket.decided_for), Trace(own, own, ""))
    await desk.producer.send(desk.prefix + topics.NORMALIZED, encode(ticket), ticket.ticket.encode(), headers=said)


async def decisions(desk: KafkaDesk) -> list[TicketClassified]:
    return [msgspec.json.decode(r.value, type=TicketClassified) for r in await desk.read(topics.CLASSIFIED)]


async def test_tickets_are_classified_corrected_and_decided_again(
    desk: KafkaDesk, process: subprocess.Popen[bytes]
) -> None:
    for number in range(TICKETS):
        at = MONDAY + timedelta(seconds=number)
        await tell(desk, normalized("VPN drops", f"{number} users", ticket=f"jira:main:{number}", at=at))
    await desk.producer.flush()

    async def said(count: int) -> bool:
        assert process.poll() is None, "the process ended"
        return len(await decisions(desk)) >= count

    await until(lambda: said(TICKETS), 60)
    for number in (0, 1):
        correction = feedback(f"c{number}", 1 + number, ticket=f"jira:main:{number}", category="wifi")
        await desk.send(topics.FEEDBACK, encode(correction), correction.ticket.encode())
    await until(lambda: said(TICKETS + 1), 60)

    async def dead() -> bool:
        return bool(await desk.read(topics.dead_letter(topics.FEEDBACK)))

    await until(dead, 60)
    [letter] = await desk.read(topics.dead_letter(topics.FEEDBACK))
    assert letter.key == b"jira:main:1"
    assert b"of classification 2, the ticket's is 1" in dict(letter.headers)["kafka_dlt-exception-message"]

    found = await decisions(desk)
    assert len(found) == TICKETS + 1
    assert {(e.ticket, e.classification_version) for e in found} == {
        *((f"jira:main:{n}", 1) for n in range(TICKETS)),
        ("jira:main:0", 2),
    }
    again = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticket_classifier", "redecide", "--bootstrap", desk.bootstrap),
        env=environment(desk),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await asyncio.wait_for(again.communicate(), 60)
    assert again.returncode == 0, errors.decode()
    assert printed.decode().splitlines()[-1] == f'{{"checked":{TICKETS + 1},"different":0}}'


async def test_articles_are_read_to_their_end_before_the_first_decision_and_followed(
    desk: KafkaDesk, request: pytest.FixtureRequest
) -> None:
    for number in range(300):
        article = Article(article_id=f"KB-{number}", title=f"VPN token {number}", category="vpn")
        await desk.send(topics.ARTICLES, msgspec.json.encode(article), article.article_id.encode())
    await desk.send(topics.ARTICLES, b"no article", b"KB-odd")
    await tell(desk, normalized("VPN token 299"))
    process: subprocess.Popen[bytes] = request.getfixturevalue("process")

    async def said(count: int) -> bool:
        assert process.poll() is None, "the process ended"
        return len(await decisions(desk)) >= count

    await until(lambda: said(1), 60)
    assert (await decisions(desk))[0].articles[0] == "KB-299", "the last of them was there"
    await desk.send(topics.ARTICLES, None, b"KB-299")
    new = Article(article_id="KB-new", title="VPN token 299", category="vpn")
    await desk.send(topics.ARTICLES, msgspec.json.encode(new), b"KB-new")
    asked = 1

    async def followed() -> bool:
        nonlocal asked
        asked += 1
        await tell(desk, normalized("VPN token 299", ticket=f"jira:main:again-{asked}"))
        await desk.producer.flush()
        await until(lambda: said(asked), 60)
        return any(decision.articles[:1] == ["KB-new"] for decision in await decisions(desk))

    await until(followed, 60)
