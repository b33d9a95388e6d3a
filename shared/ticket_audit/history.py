"""The history of a desk, read from exported topics: typed, grouped by ticket, in the order of each topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published, parse_published
from ticket_contracts.catalogue import BY_TYPE
from ticket_contracts.cloudevents import Event


class Row(msgspec.Struct, kw_only=True):
    """One record as it is exported: `<topic>.jsonl`, a row a line. n: its place among the records of its key and
    partition.

    at: partition/offset, on messages from outside. data: the value when it is JSON."""

    key: str | None = None
    n: int = 0
    at: str | None = None
    ce_id: str | None = None
    ce_type: str | None = None
    relaydesk_inbound: str | None = msgspec.field(default=None, name="relaydesk-inbound")
    dlt_topic: str | None = msgspec.field(default=None, name="kafka_dlt-original-topic")
    dlt_partition: int | None = msgspec.field(default=None, name="kafka_dlt-original-partition")
    dlt_offset: int | None = msgspec.field(default=None, name="kafka_dlt-original-offset")
    dlt_group: str | None = msgspec.field(default=None, name="kafka_dlt-original-consumer-group")
    data: msgspec.Raw = msgspec.Raw(b"null")


class Entry(msgspec.Struct, frozen=True):
    """One of Relaydesk's own events, with the id that it was published under and its place on its topic. data: as it
    was published, byte for byte."""

    topic: str
    n: int
    ce_id: str
    event: Event
    data: msgspec.Raw


class History:
    """What the eight are checked against. rows: topic -> its rows in any order; all of it is held in memory."""

    def __init__(self, rows: Mapping[str, Iterable[Row]]) -> None:
        self.rows: dict[str, list[Row]] = {topic: list(found) for topic, found in rows.items()}
        self.entries: dict[str, list[Entry]] = {}
        self.unreadable: list[str] = []
        self.agreements: dict[str, Published] = {}
        for row in self.rows.get(topics.AGREEMENT, []):
            published = parse_published(bytes(row.data))
            self.agreements[published.version] = published
        decoders = {name: msgspec.json.Decoder(model) for name, model in BY_TYPE.items()}
        for topic, found in self.rows.items():
            self.entries[topic] = []
            for row in found:
                decoder = decoders.get(row.ce_type or "")
                if decoder is None or row.ce_id is None or topic.endswith(topics.DEAD_LETTER):
                    continue
                try:
                    self.entries[topic].append(Entry(topic, row.n, row.ce_id, decoder.decode(row.data), row.data))
                except msgspec.ValidationError as error:
                    self.unreadable.append(f"{topic} {row.ce_id}: {error}")
            self.entries[topic].sort(key=lambda entry: (entry.event.ticket, entry.n))

    def in_force(self, at: datetime) -> str | None:
        """The agreement's version for decisions at that instant; a desk's first is in force for all before as well."""
        versions = sorted(self.agreements.values(), key=lambda published: published.effective_at)
        chosen = versions[0].version if versions else None
        for published in versions[1:]:
            if published.effective_at <= at:
                chosen = published.version
        return chosen

    def family(self, name: str) -> Iterator[str]:
        """Topics of this name, or of this family where it ends with a dot; never dead letters."""
        for topic in sorted(self.rows):
            if (topic == name or (name.endswith(".") and topic.startswith(name))) and not topic.endswith(
                topics.DEAD_LETTER
            ):
                yield topic

    def dead_letters(self, name: str) -> list[Row]:
        """Dead letters of the topics of this name or family."""
        return [row for topic in list(self.family(name)) for row in self.rows.get(topic + topics.DEAD_LETTER, [])] + [
            row
            for topic, found in self.rows.items()
            if topic.endswith(topics.DEAD_LETTER)
            and topic.removesuffix(topics.DEAD_LETTER) not in self.rows
            and (topic.startswith(name) if name.endswith(".") else topic == name + topics.DEAD_LETTER)
            for row in found
        ]

    def by_ticket(self, topic: str) -> dict[str, list[Entry]]:
        """ticket -> its events on this topic, in order."""
        grouped: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries.get(topic, []):
            grouped[entry.event.ticket].append(entry)
        return grouped


_row = msgspec.json.Decoder(Row)


def read_history(directory: Path, *names: str) -> History:
    """From the directory of an export. names: of topics, or of families where they end with a dot; all, without any.
    Raises ValueError naming the file and line of what is no row."""
    return History(
        {
            path.stem: _rows(path)
            for path in sorted(directory.glob("*.jsonl"))
            if not names or path.stem in names or path.stem.startswith(tuple(n for n in names if n.endswith(".")))
        }
    )


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _row.decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"{path}:{number}: not a row of an export: {error}") from error
