"""How a version of the agreement comes into force: what is asked of it, and the topic that holds it for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from ticket_contracts import topics
from ticket_contracts.agreement.model import Agreement
from ticket_contracts.agreement.published import Approval, Published, digest, parse_published
from ticket_contracts.cloudevents import Trace, headers, instant_text, root_traceparent

NOTICE = timedelta(seconds=60)
"""So long before it takes effect a version must be known, so that every service has read it by then."""
TYPE = "relaydesk.agreement.published.v1"
_CLIENT_TIMEOUT_MS = 15_000


class Refused(ValueError):
    """This version cannot be published, or not now; the text says why and what to do."""


def prepare(
    agreement: Agreement,
    versions: Sequence[Published],
    *,
    now: datetime,
    effective_at: datetime | None,
    approvals: Mapping[str, str],
) -> Published:
    """The version to publish after `versions`, those of the desk so far. Pure; instants are aware.

    effective_at: at least 60 s after `now`; None, or any instant, for a desk's first, which takes effect at once.
    approvals: party -> who approved, for every party of the agreement. Raises Refused.
    """
    version = digest(agreement)
    parties = {party.name for party in agreement.parties}
    for party in approvals:
        if party not in parties:
            raise Refused(f"{party!r} is no party of this agreement; its parties are {', '.join(sorted(parties))}")
    for party in sorted(parties - approvals.keys()):
        raise Refused(f"{party} has not approved; add --approve '{party}=NAME'")
    for party, name in approvals.items():
        if not name.strip():
            raise Refused(f"the approval of {party} has no name; write --approve '{party}=NAME'")
    for known in versions:
        if known.version == version:
            # Under the same key the topic would forget when it was in force before.
            raise Refused(
                f"this content is version {version} already, in force from {instant_text(known.effective_at)}; "
                "to return to it, change something that tells the two apart, as the title"
            )
    if versions and effective_at is None:
        raise Refused(
            "say from when on it holds with --effective-at 2026-03-02T09:00:00Z: this is not the first version"
        )
    if versions and effective_at is not None and effective_at < now + NOTICE:
        earliest = instant_text((now + NOTICE).replace(microsecond=0) + timedelta(seconds=1))
        raise Refused(
            f"it would take effect at {instant_text(effective_at)}, before services know it; write {earliest} or later"
        )
    return Published(
        version=version,
        effective_at=(effective_at or now).astimezone(UTC),
        approvals=[Approval(party=party.name, name=approvals[party.name], at=now) for party in agreement.parties],
        agreement=agreement,
    )


def record_of(published: Published, at: datetime) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """(key, value, headers) of a version on `desk.agreement`, published at that instant."""
    version = published.version
    trace = Trace(version, version, root_traceparent(version))
    return (
        version.encode(),
        published.model_dump_json(exclude_defaults=True).encode(),
        headers(version, TYPE, "/relaydesk/agreement", version, instant_text(at), trace),
    )


async def read_versions(bootstrap: str, prefix: str = "") -> list[Published]:
    """Every version of a desk in the order of its topic. Raises Refused when there is no such topic; KafkaError."""
    from aiokafka import AIOKafkaConsumer, TopicPartition  # the models above are read where there is no broker

    topic = prefix + topics.AGREEMENT
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        request_timeout_ms=_CLIENT_TIMEOUT_MS,
    )
    try:
        await consumer.start()
        if topic not in await consumer.topics():
            raise Refused(
                f"{bootstrap} has no topic {topic}; start the desk first (`make up`), or name its --topic-prefix"
            )
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[Published] = []
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(partition, timeout_ms=1_000)).values():
                found += [parse_published(record.value) for record in records if record.value is not None]
        return found
    finally:
        await consumer.stop()


async def publish(
    bootstrap: str,
    agreement: Agreement,
    *,
    now: datetime,
    effective_at: datetime | None,
    approvals: Mapping[str, str],
    prefix: str = "",
) -> Published:
    """Publishes the agreement as the desk's next version. Raises Refused, also when somebody else publishes at the same
    time; KafkaError."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import ProducerFenced

    topic = prefix + topics.AGREEMENT
    # One transactional id for all who publish: whoever begins later stops the earlier, so that none decides on an old
    # list.
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"{prefix}agreement-publish",
        request_timeout_ms=_CLIENT_TIMEOUT_MS,
    )
    try:
        await producer.start()
        published = prepare(
            agreement, await read_versions(bootstrap, prefix), now=now, effective_at=effective_at, approvals=approvals
        )
        key, value, found = record_of(published, now)
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, value, key=key, headers=found, partition=0)
        except ProducerFenced:
            raise Refused("somebody else is publishing a version at this moment; run the command again") from None
        return published
    finally:
        await producer.stop()
