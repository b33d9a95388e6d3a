"""The step before the services: topics and a first agreement, once, however often it runs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from ticket_contracts import topics
from ticket_contracts.agreement.publishing import read_versions
from ticket_contracts.agreement.reading import read_agreement

DEPLOY = Path(__file__).parents[3] / "deploy"
AGREEMENT = DEPLOY / "agreements" / "default.yaml"


async def test_topics_and_one_version_of_the_agreement_after_two_runs(kafka_bootstrap: str, topic_prefix: str) -> None:
    environment = os.environ | {"RELAYDESK_BOOTSTRAP": kafka_bootstrap, "RELAYDESK_TOPIC_PREFIX": topic_prefix}
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(DEPLOY / "compose" / "prepare.py"), str(AGREEMENT)),
            env=environment | {"RELAYDESK_PARTITIONS": "2"},
        )
        assert await asyncio.wait_for(process.wait(), 120) == 0

    agreement = read_agreement(AGREEMENT.read_text(), str(AGREEMENT))
    wanted = topics.desk_topics(agreement.sources, list(agreement.queues), list(agreement.partners))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        there = set(await admin.list_topics())
    finally:
        await admin.close()
    assert {topic_prefix + topic.name for topic in wanted} <= there
    assert len(await read_versions(kafka_bootstrap, topic_prefix)) == 1
