"""The Faust worker over a real broker and a real database."""

from __future__ import annotations

import random
from pathlib import Path

from sqlalchemy import text

import facts_stories as told
from facts_database import contents, engine_of, write
from facts_worker import LIFECYCLE, publish, workers
from runtime_kafka import KafkaDesk, until
from sla_monitor.facts import schema
from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified


async def test_a_worker_gathers_all_facts_of_committed_records_and_tells_the_figures(
    kafka_bootstrap: str, topic_prefix: str, database_url: str, tmp_path: Path
) -> None:
    stories = told.make_stories(140)
    records = [told.agreement(), *(r for story in stories[:120] for r in story.records)]
    taken_back = [r for story in stories[120:] for r in story.records]
    desk = KafkaDesk(kafka_bootstrap, topic_prefix)
    async with desk.connected(LIFECYCLE), workers(desk, database_url, tmp_path) as start:
        await publish(desk, records, aborted=taken_back)
        # What no fact can be read from is recorded, and holds nothing up.
        await desk.send(topics.ROUTED, b"{", b"k")
        headers = [("ce_type", TicketClassified.TYPE.encode())]
        await desk.send(topics.CLASSIFIED, b'{"ticket": 1}', b"k", headers=headers)
        await desk.send(topics.FEEDBACK, b"[" * 100_000, b"k")
        await desk.send(topics.TRANSFERS, None, b"k")
        nul = told.make_stories(1, seed=5)[0].records[0]
        key = "generic:main:" + "".join(f"{random.Random(n).getrandbits(64):x}" for n in range(500))
        value = nul.value.replace(nul.key.encode(), b"generic:main:\\u0000nul")
        await desk.send(topics.NORMALIZED, value, b"k", headers=[("ce_type", nul.ce_type.encode())])
        value = nul.value.replace(nul.key.encode(), key.encode())
        await desk.send(topics.NORMALIZED, value, b"k", headers=[("ce_type", nul.ce_type.encode())])
        worker = await start()
        await until(worker.caught_up, 60)
        async with engine_of(database_url) as engine:
            found = await contents(engine)
            spoilt = found.pop("unreadable")
            assert len(spoilt) == 4, spoilt  # too long for an index, too; the tombstone says nothing
            odd = [row for row in found["versions"] if "\ufffdnul" in row]
            assert len(odd) == 1
            found["versions"].remove(odd[0])
            found["comments"] = [row for row in found["comments"] if "\ufffdnul" not in row]
            async with engine.connect() as connection:
                reasons = await connection.execute(text("SELECT topic, reason FROM facts.unreadable"))
                assert "54000" in str(reasons.all())
        answer = await worker.get("/v1/figures?window=1w")
        assert answer.status_code == 200
        assert answer.json()["caught_up"] is True
        assert (await worker.get("/v1/figures?window=1y")).status_code == 422
        metrics = (await worker.get("/metrics")).text
        assert 'relaydesk_partner_first_line_tickets{partner="owls",window="1d"} 0.0' in metrics
        assert 'relaydesk_sla_adherence_ratio{priority="P3",side="partner",window="1h"} NaN' in metrics
        assert 'relaydesk_facts_unreadable_total{topic="tickets.routed"} 1.0' in metrics
        document = (await worker.get("/openapi.json")).json()
        assert "/v1/figures" in document["paths"]
        await worker.kill()
        async with engine_of(database_url) as engine:
            await schema.empty(engine)
            await write(engine, records)
            expected = await contents(engine)
            assert {**expected, "unreadable": spoilt} == {**found, "unreadable": spoilt}
