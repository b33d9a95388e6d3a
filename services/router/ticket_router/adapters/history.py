"""What a desk has decided and under which agreement, read from a replay's directory or from the topics themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ticket_contracts import topics
from ticket_contracts.agreement import Published, digest, parse_published
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.cloudevents import Event
from ticket_runtime.agreements import Agreements
from ticket_runtime.topics import partition_counts

_E = TypeVar("_E", bound=Event)
Told = tuple[str, bytes]
"""(ce_type, the event's JSON)."""


class History(Protocol):
    """Records of a desk by topic; those of one ticket come in their order."""

    def read(self, topic: str) -> Iterable[Told]: ...


class _Line(msgspec.Struct):
    key: str | None = None
    n: int = 0
    ce_type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Directory:
    """A replay's OUT directory: `<topic>.jsonl`, a record a line. Raises FileNotFoundError when it is not there, and
    ValueError naming a line that is no record."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise FileNotFoundError(f"{path} is no directory; make one with `make replay FEED=… OUT={path}`")
        self._path = path
        self._decoder = msgspec.json.Decoder(_Line)

    def read(self, topic: str) -> Iterator[Told]:
        path = self._path / f"{topic}.jsonl"
        if not path.exists():
            return
        found: list[_Line] = []
        with path.open("rb") as lines:
            for number, written in enumerate(lines, 1):
                try:
                    found.append(self._decoder.decode(written))
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise ValueError(
                        f"{path}:{number} is no record ({error}); make the directory anew with `make replay`"
                    ) from None
        for line in sorted(found, key=lambda line: (line.key or "", line.n)):
            yield line.ce_type, bytes(line.data)


class Topics:
    """The topics of a desk on its broker, as far as they are committed now."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix

    def read(self, topic: str) -> list[Told]:
        return asyncio.run(self._read(self._prefix + topic))

    async def _read(self, topic: str) -> list[Told]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            count = (await self._partitions([topic])).get(topic)
            if count is None:
                raise LookupError(f"{self._bootstrap} has no topic {topic}: no desk is there under this topic prefix")
            partitions = [TopicPartition(topic, p) for p in range(count)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            found: list[Told] = []
            behind = {tp for tp in partitions if ends[tp]}
            while behind:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [
                        (dict(r.headers).get("ce_type", b"").decode(), r.value) for r in records if r.value is not None
                    ]
                behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
            return found
        finally:
            await consumer.stop()

    async def _partitions(self, names: list[str]) -> dict[str, int]:
        """Asked of the broker: a consumer knows the partitions of what it is subscribed to only."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await admin.start()
            return await partition_counts(admin, names)
        finally:
            await admin.close()


def events(history: History, topic: str, model: type[_E]) -> Iterator[_E]:
    """The events of one model on a topic. Raises ValueError for one that cannot be read."""
    decoder = msgspec.json.Decoder(model)
    for kind, data in history.read(topic):
        if kind == model.TYPE:
            try:
                yield decoder.decode(data)
            except msgspec.DecodeError as error:
                raise ValueError(f"{topic} holds a {kind} that cannot be read: {error}") from None


def agreements_of(history: History) -> Agreements:
    """The versions that the desk has published."""
    return Agreements(parse_published(data) for _, data in history.read(topics.AGREEMENT))


def agreement_file(path: Path) -> Published:
    """An agreement as a file holds it, in force always: YAML, or JSON of what is published. Raises OSError, or
    AgreementError with all that is wrong in the YAML."""
    text = path.read_text()
    if path.suffix in (".yaml", ".yml"):
        agreement = read_agreement(text, str(path))
    else:
        content: Any = msgspec.json.decode(text.splitlines()[-1])
        return parse_published(msgspec.json.encode(content.get("data", content)))
    return Published.model_validate(
        {
            "version": digest(agreement),
            "effective_at": "1970-01-01T00:00:00Z",
            "approvals": [],
            "agreement": agreement,
        }
    )
