"""Making handoff's decisions again from what a desk has written, to see whether they come out as they were published.

The topics of a ticket's facts are not ordered among each other; each published step names the messages that handoff had
heard since the one before, in that order. They are told again so, and what follows is compared.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import parse_published
from ticket_contracts.catalogue import BY_TYPE
from ticket_contracts.cloudevents import Event, encode, parse_instant
from ticket_contracts.ids import event_id
from ticket_contracts.transfers import (
    ContextAdded,
    Reply,
    TicketErased,
    TransferAccepted,
    TransferDeclined,
    TransferEvent,
    TransferRequested,
)
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ReplyGiven, TermsChanged
from ticket_handoff.domain.ledger import Ledger, Texts
from ticket_handoff.domain.terms import INTERNAL
from ticket_handoff.handlers import AGREEMENT_MESSAGE, HandoffWork, Held
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison, Record
from ticket_runtime.testing import FakeOutputs


class Line(msgspec.Struct, kw_only=True):
    """A line of an export. n: its place among the records of its key. at: partition/offset, of messages from
    outside."""

    key: str | None = None
    n: int = 0
    at: str | None = None
    ce_id: str | None = None
    ce_type: str = ""
    ce_time: str = ""
    ce_causationid: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """sequence: of the step, 0 for one that was not published. field -> (as published, as decided again)."""

    ticket: str
    sequence: int
    differs: dict[str, tuple[Any, Any]]

    def text(self) -> str:
        parts = "; ".join(f"{name} was {was}, now {now}" for name, (was, now) in self.differs.items())
        return f"{self.ticket} step {self.sequence}: {parts}"


@dataclass(frozen=True, slots=True)
class _Fact:
    topic: str
    line: Line


@dataclass(slots=True)
class _Ticket:
    """facts: by id. steps: as published, in order."""

    facts: dict[str, _Fact] = field(default_factory=dict)
    steps: list[TransferEvent] = field(default_factory=list)


_line = msgspec.json.Decoder(Line)


def redecide_directory(directory: Path) -> tuple[int, list[Difference]]:
    """(steps compared, those that differ) of an export. Raises OSError, and ValueError for what is no export."""
    agreements = Agreements()
    for line in _lines(directory / f"{topics.AGREEMENT}.jsonl"):
        agreements.add(parse_published(bytes(line.data)))
    if not len(agreements):
        raise ValueError(
            f"{directory} holds no {topics.AGREEMENT}.jsonl with a version: give a directory of `make replay OUT=DIR`"
        )
    checked = 0
    differences: list[Difference] = []
    for name, ticket in sorted(_tickets(directory).items()):
        checked += len(ticket.steps)
        differences += _again(name, ticket, agreements)
    return checked, differences


def _tickets(directory: Path) -> dict[str, _Ticket]:
    tickets: dict[str, _Ticket] = defaultdict(_Ticket)
    read = [topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.SLA_EVENTS]
    read += sorted(
        path.stem for path in directory.glob(f"{topics.REPLIES}*.jsonl") if not path.stem.endswith(topics.DEAD_LETTER)
    )
    for topic in read:
        for line in _lines(directory / f"{topic}.jsonl"):
            own_id = line.ce_id or event_id(topic, *map(int, (line.at or "0/0").split("/")))
            tickets[line.key or ""].facts[own_id] = _Fact(topic, line)
    for line in _lines(directory / f"{topics.TRANSFERS}.jsonl"):
        event = msgspec.json.decode(line.data, type=BY_TYPE[line.ce_type])
        if isinstance(event, TransferEvent):
            tickets[event.ticket].steps.append(event)
    for ticket in tickets.values():
        ticket.steps.sort(key=lambda step: step.sequence)
    return tickets


def _lines(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            try:
                yield _line.decode(text)
            except msgspec.DecodeError as error:
                raise ValueError(f"{path}:{number}: not a line of an export: {error}") from None


class _Telling:
    """One ticket, told again."""

    def __init__(self, name: str, agreements: Agreements) -> None:
        self._name = name
        self._work = HandoffWork(agreements)
        self._work.hold({name: Held(Ledger(ticket=name), Texts(), 0)}, {})
        self._offset = 0

    def tell(self, fact: _Fact, at: datetime) -> list[TransferEvent]:
        """The steps that it leads to. at: of a message from outside, which does not say when it was sent."""
        self._offset += 1
        out = FakeOutputs()
        line = fact.line
        value = bytes(line.data)
        instant = parse_instant(line.ce_time) if line.ce_time else at
        record = Record(
            topic=fact.topic,
            partition=0,
            offset=self._offset,
            key=self._name.encode(),
            value=value,
            headers={"ce_type": line.ce_type.encode()},
            timestamp_ms=0,
            instant=instant,
        )
        try:
            self._work.handle(record, out)
        except Poison:
            return []
        return [event for _, event in out.emitted if isinstance(event, TransferEvent)]

    def terms(self, message: str, at: datetime) -> list[TransferEvent]:
        """The steps of a version of the agreement that took effect."""
        out = FakeOutputs()
        self._work.follow(self._name, TermsChanged(at=at), message.removeprefix(AGREEMENT_MESSAGE), out)
        return [event for _, event in out.emitted if isinstance(event, TransferEvent)]

    def reply(self, step: TransferEvent) -> list[TransferEvent]:
        """The steps of a reply by HTTP, which stands on no topic: what it said is in the first of them."""
        ledger = self._work.tickets[self._name].ledger
        said = _said(step, ledger)
        own = said.transfer_id if said is not None else None
        if said is not None and not own:  # by whoever owns the ticket, or somebody inside
            own = ledger.owner.transfer_id if ledger.owner is not None else None
        offers = [past.principal for past in ledger.past if past.transfer_id == own]
        if said is not None and not said.transfer_id:
            offers.append(INTERNAL)
        if said is not None and ledger.transfer is not None and ledger.transfer.offer is not None:
            offers.append(ledger.transfer.offer.principal)
        if said is None or not offers:
            return []
        out = FakeOutputs()
        try:
            self._work.answer(
                ReplyGiven(reply=said, principal=offers[-1], actor=said.actor, at=step.decided_for), "", out
            )
        except Refused:
            return []
        return [event for _, event in out.emitted if isinstance(event, TransferEvent)]


def _said(step: TransferEvent, ledger: Ledger) -> Reply | None:
    """The reply that led to a step, None when none did. ledger: as it was before."""
    given: dict[str, Any]
    transfer = ""
    match step:
        case TransferAccepted(reply_id=str(reply_id)):
            transfer = step.transfer_id
            given = {"action": "accept", "digest": step.digest, "actor": step.actor}
        case TransferDeclined(reply_id=reply_id):
            transfer = step.transfer_id
            given = {"action": "decline", "reason": step.reason, "actor": step.actor}
        case TransferRequested(cause="return", reply_id=str(reply_id)):
            transfer = (ledger.owner and ledger.owner.transfer_id) or ""
            given = {"action": "return", "reason": step.reason, "actor": step.requested_by}
        case TransferRequested(cause="escalation", reply_id=str(reply_id)):
            given = {"action": "escalate", "ticket": step.ticket, "reason": step.reason, "actor": step.requested_by}
        case ContextAdded(reply_id=reply_id):
            given = {
                "action": "add",
                "ticket": step.ticket,
                "part": step.part,
                "items": step.items,
                "actor": step.actor,
            }
        case _:
            return None
    return msgspec.convert({"transfer_id": transfer, "reply_id": reply_id, **given}, type=Reply)


def _again(name: str, ticket: _Ticket, agreements: Agreements) -> Iterator[Difference]:
    telling = _Telling(name, agreements)
    place = 0
    while place < len(ticket.steps):
        first = ticket.steps[place]
        if isinstance(first, TicketErased):
            return  # what was decided before it can no longer be decided again, and what follows rests on that
        published = [first, *itertools.takewhile(lambda step: not step.heard, ticket.steps[place + 1 :])]
        place += len(published)
        again: list[TransferEvent] = []
        for message in first.heard:
            fact = ticket.facts.get(message)
            if message.startswith(AGREEMENT_MESSAGE):
                again += telling.terms(message, first.decided_for)
                continue
            again += telling.tell(fact, first.decided_for) if fact is not None else telling.reply(first)
        yield from _compare(name, published, _marked(again, first.heard))


def _marked(again: list[TransferEvent], heard: list[str]) -> list[TransferEvent]:
    """The first step names what was heard; telling knows no ids of its own."""
    return [msgspec.structs.replace(step, heard=heard if n == 0 else []) for n, step in enumerate(again)]


def _compare(name: str, published: list[TransferEvent], again: Iterable[Event]) -> Iterator[Difference]:
    redone = list(again)
    for number in range(max(len(published), len(redone))):
        was = _plain(published[number]) if number < len(published) else {}
        now = _plain(redone[number]) if number < len(redone) else {}
        differs = {key: (was.get(key), now.get(key)) for key in {**was, **now} if was.get(key) != now.get(key)}
        if differs:
            sequence = published[number].sequence if number < len(published) else 0
            yield Difference(ticket=name, sequence=sequence, differs=differs)


def _plain(event: Event) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(encode(event))
    return {"type": event.TYPE, **said}
