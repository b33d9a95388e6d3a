"""Intake's work on one task: inbound messages go under their ticket's key, keyed ones become normalized tickets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.ids import event_id, split_ticket_id
from ticket_contracts.tickets import KEYED_TYPE, TicketDuplicate
from ticket_intake.domain import instants, merge
from ticket_intake.domain.errors import NotUnderstood
from ticket_intake.domain.mapping import Source
from ticket_runtime.due import DueQueue
from ticket_runtime.task import Outputs, Poison, Record

SOURCE: Final = "relaydesk-source"
INBOUND: Final = "relaydesk-inbound"
DELIVERY: Final = "relaydesk-delivery"
"""What the sender identified the delivery by; set by the edge from the headers that the source's document names."""
PART: Final = "relaydesk-part"
"""Which of the tickets of a message this record is about, from 0; absent where a message holds one."""


_DAY: Final = 86_400_000_000
"""Microseconds."""
_AT_ONCE: Final = 2_000
"""Tickets that are closed or forgotten before messages have their turn."""


def decode(value: bytes | None) -> Any:
    """A message's JSON, also with line breaks, tabs and backslashes inside its texts as they are: the templates that
    admins write in tools escape quotes at best. Raises NotUnderstood."""
    if value is None:
        raise NotUnderstood(
            "(body)", "no value: a tombstone means nothing here; a ticket is deleted by its source's event"
        )
    try:
        return msgspec.json.decode(value[3:] if value[:3] == b"\xef\xbb\xbf" else value)
    except msgspec.DecodeError as error:
        try:
            return _leniently(value)
        except (ValueError, RecursionError):
            raise NotUnderstood("(body)", f"not JSON: {str(error)[:120]}") from error
    except RecursionError as error:
        raise NotUnderstood("(body)", "not JSON that can be read: nested too deeply") from error
    except UnicodeDecodeError as error:
        raise NotUnderstood("(body)", f"not JSON: not UTF-8 at byte {_not_utf8(value)}") from error


def _not_utf8(value: bytes) -> int:
    """The first byte that is none; the decoder counts from the text that it stands in."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


_BACKSLASH: Final = re.compile(r'\\(?P<escape>["\\/bfnrt]|u[0-9a-fA-F]{4})?')


def _leniently(value: bytes) -> Any:
    """Line breaks and tabs are read as they stand, and a backslash that escapes nothing (`C:\\Users`) as one. Raises
    ValueError for what is no JSON for another reason as well."""
    text = _BACKSLASH.sub(lambda found: found[0] if found["escape"] else "\\\\", value.decode("utf-8-sig"))
    content = json.loads(text, strict=False, parse_constant=_refuse)
    msgspec.json.encode(content)  # a lone surrogate is no text
    return content


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


class Agreements(Protocol):
    """`ticket_runtime.agreements.Agreements`, as far as intake asks."""

    def in_force(self, at: datetime) -> Published: ...


class IntakeWork:
    """The work of one partition.

    State: ticket id -> `merge.State`, kept encoded: small, and nothing changes it by accident.
    """

    def __init__(
        self, sources: Mapping[str, Source], detect: merge.Detect, agreements: Agreements | None = None
    ) -> None:
        """agreements: say how long a ticket that ended is remembered; without them, as long as the work lives."""
        self._sources = sources
        self._detect = detect
        self._agreements = agreements
        self._tickets: dict[bytes, bytes] = {}
        self._due: DueQueue[bytes] | None = None

    def restore(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._tickets.pop(key, None)
        else:
            self._tickets[key] = value

    def handle(self, record: Record, out: Outputs) -> None:
        try:
            if record.topic == topics.KEYED:
                self._normalize(record, out)
            elif record.topic == topics.ERASED:
                self._erase(record.key or b"", out)
            else:
                self._key(record, out)
        except NotUnderstood as error:
            raise Poison(f"{error.path}: {error.why}", "unreadable", error.path) from error

    def fire(self, now: datetime, out: Outputs) -> None:
        until = now.timestamp()
        for _ in range(_AT_ONCE):
            first = self._queue().first()
            if first is None or first[0] > until:
                return
            self._keep_time(first[1], merge.decode(self._tickets[first[1]]), out)

    def next_due(self) -> datetime | None:
        first = self._queue().first()
        return None if first is None else datetime.fromtimestamp(first[0], UTC)

    def ticket(self, ticket: str) -> merge.State | None:
        """What is known of a ticket, for inspection."""
        data = self._tickets.get(ticket.encode())
        return None if data is None else merge.decode(data)

    def _source(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            raise NotUnderstood(
                "(source)", f"no document for source {name!r}; intake has {', '.join(sorted(self._sources))}"
            )
        return source

    def _key(self, record: Record, out: Outputs) -> None:
        name = record.topic.removeprefix(topics.INBOUND)
        source = self._source(name)
        tickets = source.tickets(decode(record.value))
        delivery = record.headers.get(DELIVERY)
        for part, ticket in enumerate(tickets):
            headers = [
                (SOURCE, name.encode()),
                (INBOUND, f"{record.topic}/{record.partition}/{record.offset}".encode()),
            ]
            if delivery is not None:
                headers.append((DELIVERY, delivery))
            if source.parts is not None:
                headers.append((PART, b"%d" % part))
            out.forward(
                topics.KEYED,
                ticket.encode(),
                record.value,
                [("ce_type", KEYED_TYPE.encode()), *headers],
                keyed_id(record.topic, record.partition, record.offset, part),
            )

    def _normalize(self, record: Record, out: Outputs) -> None:
        if record.key is None or SOURCE not in record.headers:
            raise NotUnderstood("(headers)", f"{topics.KEYED} is intake's own: a key and {SOURCE} are missing")
        source = self._source(record.headers[SOURCE].decode())
        delivery = record.headers.get(DELIVERY)
        received = instants.of_datetime(record.instant)
        update = source.read(
            decode(record.value),
            record.value or b"",
            int(record.headers.get(PART, b"0")),
            None if delivery is None else delivery.decode("utf-8", "replace"),
            received,
        )
        key, ticket = record.key, record.key.decode()
        known = self._tickets.get(key)
        state = merge.EMPTY if known is None else merge.decode(known)
        forget_at = self._forget_at(received)
        if state.due and abs(state.due) <= received:
            # Its time came before this message did, whichever has the first turn.
            state = self._keep_time(key, state, out)
        merged = merge.merge(state, update, self._detect, forget_at)
        cause = record.headers["ce_id"].decode()
        if merged.duplicate is not None:
            out.emit(
                topics.NORMALIZED,
                TicketDuplicate(
                    ticket=ticket,
                    decided_for=record.instant,
                    ticket_version=state.version,
                    delivery=cause,
                    reason=merged.duplicate,
                ),
            )
        else:
            assert merged.state is not None
            event = merge.normalized(
                merged.state,
                merged,
                ticket=ticket,
                source=source.name,
                instance=update.instance,
                external_id=update.external_id,
                delivery=cause,
                received=received,
                version_is_time=source.version_is_time,
            )
            out.emit(topics.NORMALIZED, event)
        if merged.state is not None:
            self._keep(key, merged.state, out)

    def _keep_time(self, key: bytes, state: merge.State, out: Outputs) -> merge.State:
        """Forgets the ticket, or says that it is closed, at the instant that it was to be; returns what is known of it
        then."""
        if state.due < 0:
            state = merge.forgotten(state)
            self._keep(key, state, out)
            return state
        ticket = key.decode()
        name, instance, external_id = split_ticket_id(ticket)
        known = self._sources.get(name)
        merged = merge.close(state, self._forget_at(state.due))
        assert merged.state is not None
        event = merge.normalized(
            merged.state,
            merged,
            ticket=ticket,
            source=name,
            instance=instance,
            external_id=external_id,
            delivery=event_id("closed", ticket, merged.state.version),
            received=state.due,
            version_is_time=known is not None and known.version_is_time,
        )
        out.emit(topics.NORMALIZED, event)
        self._keep(key, merged.state, out)
        return merged.state

    def _forget_at(self, at: int) -> int:
        """When a ticket is forgotten that ends at an instant, both in microseconds since the epoch; 0: never."""
        if self._agreements is None:
            return 0
        days = self._agreements.in_force(instants.to_datetime(at)).agreement.routing.ended_kept_days
        return at + days * _DAY

    def _queue(self) -> DueQueue[bytes]:
        """Made when first asked for, after the last record of state was restored."""
        if self._due is None:
            self._due = DueQueue(self._turn)
            for key in self._tickets:
                if turn := self._turn(key):
                    self._due.add(turn, key)
        return self._due

    def _turn(self, key: bytes) -> int:
        """When a ticket's time is kept without a message, in unix seconds; 0: never. What is to be forgotten goes a day
        later: nothing that comes then is older."""
        data = self._tickets.get(key)
        due = 0 if data is None else merge.due_of(data)
        return -(-(due if due >= 0 else _DAY - due) // 1_000_000)

    def _keep(self, key: bytes, state: merge.State, out: Outputs) -> None:
        data = merge.encode(state)
        out.store(key, data)
        self._tickets[key] = data
        if state.due and self._due is not None:
            self._due.add(self._turn(key), key)

    def _erase(self, key: bytes, out: Outputs) -> None:
        """Handoff's word that the ticket's text is to be forgotten."""
        known = self._tickets.get(key)
        if known is not None:
            self._keep(key, merge.erased(merge.decode(known)), out)


def keyed_id(topic: str, partition: int, offset: int, part: int = 0) -> str:
    """The `ce_id` of a `tickets.keyed` record, from where its message stands; the edge answers with part 0's."""
    return event_id("keyed", topic, partition, offset, *((part,) if part else ()))
