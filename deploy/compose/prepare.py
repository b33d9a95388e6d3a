"""What a desk needs before its services start: its topics, and an agreement in force. Does nothing where both are.

python prepare.py AGREEMENT.yaml

Environment: RELAYDESK_BOOTSTRAP, RELAYDESK_TOPIC_PREFIX, RELAYDESK_PARTITIONS (4).
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from ticket_contracts import topics
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.publishing import publish, read_versions
from ticket_contracts.agreement.reading import read_agreement
from ticket_runtime.topics import create_topics


async def prepare(agreement: Agreement, bootstrap: str, prefix: str, partitions: int) -> None:
    """partitions: of topics keyed by ticket; how often each is kept is the broker's default. Raises TopicsUnfit for
    topics that are there with another count."""
    wanted = topics.desk_topics(agreement.sources, list(agreement.queues), list(agreement.partners))
    await create_topics(bootstrap, prefix, wanted, partitions, live=True)
    if await read_versions(bootstrap, prefix):
        return
    approvals = {party.name: "the desk's setup" for party in agreement.parties}
    now = datetime.now(UTC)
    await publish(bootstrap, agreement, now=now, effective_at=None, approvals=approvals, prefix=prefix)


def main() -> None:
    document = Path(sys.argv[1])
    asyncio.run(
        prepare(
            read_agreement(document.read_text(), str(document)),
            os.environ.get("RELAYDESK_BOOTSTRAP", "127.0.0.1:9092"),
            os.environ.get("RELAYDESK_TOPIC_PREFIX", ""),
            int(os.environ.get("RELAYDESK_PARTITIONS", "4")),
        )
    )


if __name__ == "__main__":
    main()
