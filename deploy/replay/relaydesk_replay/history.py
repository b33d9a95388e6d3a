"""A feed as the desk would understand it: tickets and classifications, by intake's and the classifier's own code, in
one process and without a broker. What a policy is tried on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from relaydesk_replay.feed import Feed
from ticket_contracts import cloudevents, topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.cloudevents import Event
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison, Record, Work

WRITTEN = (topics.NORMALIZED, topics.CLASSIFIED)


def write_history(feed: Feed, agreement: Agreement, directory: Path) -> dict[str, int]:
    """Writes `<topic>.jsonl` for each of WRITTEN and the agreement, as an export has them, and returns how many records
    each holds; `not_understood`: messages that a live desk would dead-letter."""
    from ticket_classifier.handlers import ClassifierWork
    from ticket_intake import documents
    from ticket_intake.domain import language
    from ticket_intake.handlers import IntakeWork

    begin = feed.items[0].at
    published = Published(version=digest(agreement), effective_at=begin, approvals=[], agreement=agreement)
    sources = {item.source for item in feed.items}
    language.load()
    line = _Line(
        IntakeWork(
            {name: documents.load(name).compile() for name in documents.shipped() if name in sources}, language.detect
        ),
        ClassifierWork(Agreements([published])),
    )
    for offset, item in enumerate(feed.items):
        line.take(
            Record(
                topic=topics.inbound(item.source),
                partition=0,
                offset=offset,
                key=None,
                value=item.body,
                headers={},
                timestamp_ms=int(item.at.timestamp() * 1000),
                instant=item.at,
            )
        )
    directory.mkdir(parents=True, exist_ok=True)
    for topic in WRITTEN:
        (directory / f"{topic}.jsonl").write_bytes(b"".join(row + b"\n" for row in sorted(line.rows[topic])))
    _, value, _ = record_of(published, begin)
    row = msgspec.json.encode({"key": published.version, "data": msgspec.Raw(value)})
    (directory / f"{topics.AGREEMENT}.jsonl").write_bytes(row + b"\n")
    return {**{topic: len(line.rows[topic]) for topic in WRITTEN}, "not_understood": line.not_understood}


class _Line:
    """Intake and classifier, the one behind the other; the `Outputs` of both."""

    def __init__(self, intake: Work, classifier: Work) -> None:
        self._readers = {topics.KEYED: intake, topics.NORMALIZED: classifier}
        self._first = intake
        self._waiting: list[Record] = []
        self._now: Record | None = None
        self._seen: Counter[tuple[str, str]] = Counter()
        self.rows: dict[str, list[bytes]] = {topic: [] for topic in WRITTEN}
        self.not_understood = 0

    def take(self, record: Record) -> None:
        """One message of a tool, through to its classification."""
        self._handle(self._first, record)
        while self._waiting:
            record = self._waiting.pop(0)
            self._handle(self._readers[record.topic], record)

    def _handle(self, work: Work, record: Record) -> None:
        self._now = record
        try:
            work.handle(record, self)
        except Poison:
            self.not_understood += 1

    def emit(self, topic: str, event: Event) -> str:
        value, own = cloudevents.encode(event), cloudevents.ce_id(event)
        self._seen[topic, event.ticket] += 1
        row = {
            "key": event.ticket,
            "ce_id": own,
            "ce_type": event.TYPE,
            "n": self._seen[topic, event.ticket],
            "data": msgspec.Raw(value),
        }
        self.rows[topic].append(msgspec.json.encode(row))
        if topic in self._readers:
            self._pass_on(topic, event.ticket.encode(), value, [("ce_type", event.TYPE.encode())], own)
        return own

    def forward(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        self._pass_on(topic, key, value, headers, event_id)

    def store(self, key: bytes, value: bytes | None) -> None:
        """What a task remembers, it remembers itself."""

    def _pass_on(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        cause = self._now
        assert cause is not None
        self._waiting.append(
            Record(
                topic=topic,
                partition=0,
                offset=0,
                key=key,
                value=value,
                headers={**dict(headers), "ce_id": event_id.encode()},
                timestamp_ms=cause.timestamp_ms,
                instant=cause.instant,
            )
        )
