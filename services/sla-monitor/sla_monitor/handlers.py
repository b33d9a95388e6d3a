"""The work of one task: inputs become entries of a ticket's history, the core decides, its events and the packed
state go out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from sla_monitor.domain import clocks, reading, transfers
from sla_monitor.domain.packing import Packing, due_of, is_undated
from sla_monitor.domain.rules import Rules
from sla_monitor.domain.state import (
    FIELDS,
    Entry,
    Judged,
    Origin,
    Standing,
    Ticket,
    Waiting,
)
from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.classification import TicketClassified
from ticket_contracts.routing import TicketRouted
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import (
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)
from ticket_runtime.due import DueQueue
from ticket_runtime.task import Outputs, Poison, Record, Transient

INPUTS = [topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.TRANSFERS]
LATE_AFTER = timedelta(seconds=1)
ABSTAINED = "abstained"
"""The flag that conditions of the agreement know an abstained classification by."""

_DAY = 86_400
_FORGOTTEN_AT_ONCE = 2_000
"""So that a busy day's end does not hold up what is due."""
_BROUGHT_UP_AT_ONCE = 2_000
"""Tickets that are brought to a new version of the agreement before others' warnings have their turn."""
_JUDGED = ("kind", "category", "priority", "impact", "urgency", "tier", "flags")
_WORD_KEY = b"~word:"
"""Of a word of the packing, with its number."""
_AGREEMENT_KEY = b"~agreement"
"""Of the record of state that says up to when running clocks follow the agreement. No ticket's id begins like these."""


class Agreements(Protocol):
    """`ticket_runtime.agreements.Agreements`, as far as the monitor asks."""

    def in_force(self, at: datetime) -> Published: ...
    def version(self, digest: str) -> Published: ...
    def following(self, at: datetime) -> Published | None: ...
    def every(self) -> list[Published]: ...


_TRANSFERS: dict[bytes, type[TransferEvent]] = {
    event.TYPE.encode(): event
    for event in (
        TransferRequested,
        TransferOffered,
        TransferAccepted,
        TransferDeclined,
        TransferExpired,
        TransferWithdrawn,
        TransferCompleted,
    )
}


class Rulebook:
    """The agreement's versions, each compiled once."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements
        self._compiled: dict[str, Rules] = {}

    def in_force(self, at_us: int) -> Rules:
        return self._rules(self._agreements.in_force(clocks.instant_us(at_us)))

    def version(self, version: str) -> Rules:
        rules = self._compiled.get(version)
        return rules if rules is not None else self._rules(self._agreements.version(version))

    def _rules(self, published: Published) -> Rules:
        rules = self._compiled.get(published.version)
        if rules is None:
            rules = Rules(published.version, published.agreement, compile_calendars(published.agreement))
            self._compiled[published.version] = rules
        return rules


def _always_replaying() -> datetime | None:
    return None


class SlaWork:
    """The clocks of one task's tickets. State is packed by ticket, exactly as in the changelog.

    present: the desk's wall clock, to tell what is late; None while a replay leads the clock: a step fires a whole
    grain of time at once, and nothing in it is late. forgot: is told of every ticket that is forgotten, as it was.
    """

    def __init__(
        self,
        agreements: Agreements,
        present: Callable[[], datetime | None] = _always_replaying,
        forgot: Callable[[str, Ticket], None] | None = None,
    ) -> None:
        self._agreements = agreements
        self._book = Rulebook(agreements)
        self.present = present
        self._forgot = forgot
        self._packing = Packing()
        self._tickets: dict[str, bytes] = {}
        self._finished = 0
        self._queue: DueQueue[str] | None = None
        self._over: dict[int, list[str]] = {}
        """Tickets by the day from which on they are forgotten; entries that are not true any more are dropped."""
        self._followed: datetime | None = None
        self._behind: list[str] | None = None
        """While running clocks are brought to the version after `_followed`: the tickets still to be looked at."""
        self._handlers: dict[bytes, Callable[[Record, str, Outputs], None]] = {
            TicketNormalized.TYPE.encode(): self._normalized,
            TicketClassified.TYPE.encode(): self._classified,
            TicketRouted.TYPE.encode(): self._routed,
            **dict.fromkeys(_TRANSFERS, self._transfer),
        }

    # The runtime's side.

    def restore(self, key: bytes, value: bytes | None) -> None:
        if key == _AGREEMENT_KEY:
            self._followed = clocks.instant_us(int(value)) if value is not None else None
        elif key.startswith(_WORD_KEY):
            if value is not None:
                self._packing.learn(int(key.removeprefix(_WORD_KEY)), value.decode())
        elif value is None:
            self._tickets.pop(key.decode(), None)
        else:
            self._tickets[key.decode()] = value

    def handle(self, record: Record, out: Outputs) -> None:
        """Raises Poison for a value that is not the event its headers name."""
        handler = self._handlers.get(record.headers.get("ce_type", b""))
        if handler is None:
            return
        try:
            handler(record, record.headers.get("ce_id", b"").decode(), out)
        except msgspec.DecodeError as error:
            event = record.headers["ce_type"].decode()
            raise Poison(
                f"the value is no {event}: {error}; publish it in the form of its schema", "unreadable"
            ) from error

    def fire(self, now: datetime, out: Outputs) -> None:
        """Raises Transient, having done nothing, while a version of the agreement that it needs is still being read."""
        finished = self._finished
        try:
            self._fire(now, out)
        except Transient:
            # What was said of other tickets before is remembered as said, so it goes out; asked again, it goes on.
            if self._finished == finished:
                raise

    def _fire(self, now: datetime, out: Outputs) -> None:
        until = clocks.microseconds(now) // 1_000_000
        self._follow_agreement(clocks.microseconds(now), out)
        queue = self._due_queue()
        while (first := queue.first()) is not None and first[0] <= until:
            due, name = first
            if not self._bring_up(name, due * 1_000_000, out, now):
                ticket, events = clocks.fire(name, self._packing.unpack(self._tickets[name]), due, self._book)
                self._finish(name, ticket, events, out, now)
        self._forget_until(until // _DAY, out)

    def next_due(self) -> datetime | None:
        first = self._due_queue().first()
        due = clocks.instant(first[0]) if first is not None else None
        if self._over:
            forgetting = clocks.instant(_buried_on(min(self._over)) * _DAY)
            due = forgetting if due is None else min(due, forgetting)
        following = self._agreements.following(self._followed) if self._followed is not None else None
        if following is not None and (due is None or following.effective_at < due):
            return following.effective_at
        return due

    # For the outside: read only.

    @property
    def book(self) -> Rulebook:
        return self._book

    def ticket(self, name: str) -> Ticket | None:
        """A copy of what is remembered of a ticket; None when it is not this task's."""
        packed = self._tickets.get(name)
        return self._packing.unpack(packed) if packed is not None else None

    def names(self) -> list[str]:
        """The tickets that this task has, as of now."""
        return list(self._tickets)

    def tickets(self) -> Iterator[tuple[str, Ticket]]:
        for name, packed in self._tickets.items():
            yield name, self._packing.unpack(packed)

    # Inputs.

    def _normalized(self, record: Record, cause: str, out: Outputs) -> None:
        event = reading.normalized.decode(_value(record))
        ticket = self._remembered(event.ticket, event.decided_for)
        if event.ticket_version <= ticket.ticket_version:
            return
        decided_us = clocks.microseconds(event.decided_for)
        first = ticket.ticket_version == 0
        if first:
            ticket.created = reading.creation(event, decided_us)
            if reading.came_back(event):
                # What went before is forgotten: it counts anew, in generations above any that it can have had, for
                # these were fewer than one a minute.
                ticket.created = reading.happened(event, decided_us, first)
                ticket.lives_from = decided_us // 60_000_000
        at = max(reading.happened(event, decided_us, first), ticket.created)
        standing = clocks.standing_of(ticket)
        delta = reading.ticket_delta(standing.facts, event, first=first, late=at < reading.newest_at(ticket))
        entries = reading.comments(event, ticket, at, decided_us)
        lag_us = decided_us - at * 1_000_000
        if delta or first or lag_us >= 1_000_000:  # a classification of this version holds from when it happened
            entries.insert(0, Entry(at, lag_us, Origin.TICKET, event.ticket_version, delta))
        ticket, events = self._before(event.ticket, ticket, at)
        ticket.ticket_version = event.ticket_version
        self._apply(event.ticket, ticket, entries, standing, cause, events, out)

    def _classified(self, record: Record, cause: str, out: Outputs) -> None:
        event = reading.classified.decode(_value(record))
        ticket = self._remembered(event.ticket, event.decided_for)
        seen = ticket.early[-1].version if ticket.early else ticket.classification_version
        if event.classification_version <= seen:
            return
        flags = event.flags
        if event.abstained and ABSTAINED not in flags:
            flags = (*flags, ABSTAINED)
        judged = Judged(
            event.ticket_version,
            event.classification_version,
            clocks.microseconds(event.decided_for),
            event.kind,
            event.category,
            event.priority,
            event.impact,
            event.urgency,
            event.tier,
            flags,
        )
        ticket.early = [*ticket.early, judged]
        self._apply(event.ticket, ticket, [], Standing(), cause, [], out)

    def _routed(self, record: Record, cause: str, out: Outputs) -> None:
        event = reading.routed.decode(_value(record))
        ticket = self._remembered(event.ticket, event.decided_for)
        if event.decision <= ticket.decision or event.purpose != "first":
            return
        decided_us = clocks.microseconds(event.decided_for)
        ticket, events = self._before(event.ticket, ticket, decided_us // 1_000_000)
        if ticket.lives_from and not ticket.classification_version:
            # Its classification is forgotten too, and told again only when it changes; the router knows it, or what
            # it takes for it.
            ticket.early = [reading.as_routed(event, decided_us), *ticket.early]
        ticket.decision = event.decision
        ticket.waiting = [
            *ticket.waiting,
            Waiting(event.decision, decided_us, event.queue, event.ticket_version, event.classification_version),
        ]
        standing = clocks.standing_of(ticket)
        entries = reading.moved(ticket, standing, Origin.ROUTED, event.queue, event.ticket_version, decided_us)
        self._apply(event.ticket, ticket, entries, standing, cause, events, out)

    def _transfer(self, record: Record, cause: str, out: Outputs) -> None:
        event = _transfer_decoders[record.headers["ce_type"]].decode(_value(record))
        ticket = self._remembered(event.ticket, event.decided_for)
        if event.sequence <= ticket.transfer_sequence:
            return
        decided_us = clocks.microseconds(event.decided_for)
        ticket, events = transfers.step(event.ticket, ticket, event, decided_us, self._book, cause)
        standing, entries = Standing(), []
        if isinstance(event, TransferCompleted):
            standing = clocks.standing_of(ticket)
            entries = reading.moved(ticket, standing, Origin.MOVED, event.queue, event.ticket_version, decided_us)
        self._apply(event.ticket, ticket, entries, standing, cause, events, out)

    # What they have in common.

    def _remembered(self, name: str, at: datetime) -> Ticket:
        """What is known of a ticket at an instant. What is over is forgotten by the day, and not by when it goes out of
        memory, so that it does not matter when that is."""
        packed = self._tickets.get(name)
        if packed is None:
            return Ticket()
        ticket = self._packing.unpack(packed)
        if ticket.due < 0 and clocks.microseconds(at) // 1_000_000 // _DAY >= -ticket.due:
            if self._forgot is not None:
                self._forgot(name, ticket)
            return Ticket()
        return ticket

    def _before(self, name: str, ticket: Ticket, at: int) -> tuple[Ticket, list[ClockEvent]]:
        """What was due before an event of `at`, said under the versions that were known until then."""
        ticket, brought = self._recalculated(name, ticket, at * 1_000_000)
        ticket, events = clocks.fire(name, ticket, at, self._book)
        return copy.copy(ticket), [*brought, *events]

    def _apply(
        self,
        name: str,
        ticket: Ticket,
        entries: list[Entry],
        standing: Standing,
        cause: str,
        events: list[ClockEvent],
        out: Outputs,
    ) -> None:
        said = list(events)
        if entries:
            ticket, events = clocks.apply(name, ticket, entries, standing, self._book, cause)
            said += events
        while ticket.early and ticket.early[0].ticket_version <= ticket.ticket_version:
            ticket, events = self._judge(name, ticket, cause)
            said += events
        if ticket.waiting:
            ticket, events = clocks.stated(name, ticket, self._book)
            said += events
        self._finish(name, ticket, said, out, self.present())

    def _judge(self, name: str, ticket: Ticket, cause: str) -> tuple[Ticket, list[ClockEvent]]:
        """Apply the first early classification. What was decided with a version holds from when that happened."""
        judged, *early = ticket.early
        at = judged.decided_us // 1_000_000
        for entry in ticket.history:
            if (entry.origin, entry.version) == (Origin.TICKET, judged.ticket_version):
                at = entry.at if entry.decided_us == judged.decided_us else at
        ticket, said = self._before(name, ticket, at)
        ticket.early = early
        ticket.classification_version = judged.version
        standing = clocks.standing_of(ticket)
        delta = [part for name in _JUDGED for part in (FIELDS.index(name), getattr(judged, name))]
        entry = Entry(at, judged.decided_us - at * 1_000_000, Origin.CLASSIFIED, judged.ticket_version, delta)
        ticket, events = clocks.apply(name, ticket, [entry], standing, self._book, cause)
        return ticket, [*said, *events]

    def _finish(self, name: str, ticket: Ticket, events: list[ClockEvent], out: Outputs, now: datetime | None) -> None:
        present = now if self.present() is not None else None
        for event in events:
            if present is not None and event.due_at is not None and present - event.due_at > LATE_AFTER:
                event = msgspec.structs.replace(event, late=True)
            out.emit(topics.SLA_EVENTS, event)
        if self._followed is None:
            self._follow(clocks.instant_us(ticket.through * 1_000_000), out)
        self._finished += 1
        ticket.due = clocks.next_due(ticket)
        if clocks.is_over(ticket):
            ticket.due = -self._forgotten_from(ticket)
        packed = self._packing.pack(ticket)
        for number, word in self._packing.take_new():
            out.store(_WORD_KEY + b"%d" % number, word.encode())
        out.store(name.encode(), packed)
        before = self._tickets.get(name)
        self._tickets[name] = packed
        if self._queue is not None and (before is None or due_of(before) != ticket.due):
            self._await(name, ticket.due)

    def _forgotten_from(self, ticket: Ticket) -> int:
        """The first day (since 1970, UTC) that is not one of those for which the agreement keeps it."""
        heard = clocks.last_heard_us(ticket)
        return heard // 1_000_000 // _DAY + self._book.in_force(heard).kept_days + 1

    def _due_queue(self) -> DueQueue[str]:
        """Made when first asked for, after the last record of state was restored."""
        if self._queue is None:
            self._queue = DueQueue(self._true_due)
            for name, packed in list(self._tickets.items()):
                self._await(name, self._dated(name, packed) if is_undated(packed) else due_of(packed))
        return self._queue

    def _await(self, name: str, due: int) -> None:
        if due > 0 and self._queue is not None:
            self._queue.add(due, name)
        elif due < 0:
            self._over.setdefault(-due, []).append(name)

    def _dated(self, name: str, packed: bytes) -> int:
        """When it is due; of a ticket that ended before days were written down, with its day from now on."""
        ticket = self._packing.unpack(packed)
        if clocks.is_over(ticket):
            ticket.due = -self._forgotten_from(ticket)
            self._tickets[name] = self._packing.pack(ticket)
        return ticket.due

    def _forget_until(self, today: int, out: Outputs) -> None:
        """Take out of memory and changelog what is forgotten for a day; nothing that comes now is older than that."""
        left = _FORGOTTEN_AT_ONCE
        for day in sorted(day for day in self._over if _buried_on(day) <= today):
            names = self._over[day]
            while names and left:
                name = names.pop()
                if self._true_due(name) == -day:
                    packed = self._tickets.pop(name)
                    if self._forgot is not None:
                        self._forgot(name, self._packing.unpack(packed))
                    out.store(name.encode(), None)
                    left -= 1
            if names:
                return
            del self._over[day]

    def _true_due(self, name: str) -> int:
        packed = self._tickets.get(name)
        return due_of(packed) if packed is not None else 0

    def _follow_agreement(self, now_us: int, out: Outputs) -> None:
        """Bring running clocks whose policy asks for it to each version that took effect, at its instant: some tickets
        at a time, for there may be a million. What happens to one meanwhile, or falls due, brings it up first."""
        if self._followed is None:
            return
        left = _BROUGHT_UP_AT_ONCE
        while (following := self._agreements.following(self._followed)) is not None:
            effective_us = clocks.microseconds(following.effective_at)
            if effective_us > now_us:
                return
            if self._behind is None:
                some = any(self._book.version(each.version).recalculates for each in self._agreements.every())
                self._behind = list(reversed(self._tickets)) if some else []
            while self._behind and left:
                left -= 1
                self._bring_up(self._behind.pop(), effective_us, out, clocks.instant_us(now_us))
            if self._behind:
                self._follow(self._followed, out)  # a part that says nothing is progress as well
                return
            self._behind = None
            self._follow(following.effective_at, out)

    def _recalculated(self, name: str, ticket: Ticket, at_us: int) -> tuple[Ticket, list[ClockEvent]]:
        """Brought to the versions that took effect by an instant, while tickets are being brought to one. Done again,
        it says nothing."""
        said: list[ClockEvent] = []
        at = self._followed if self._behind is not None else None
        while at is not None and (following := self._agreements.following(at)) is not None:
            at = following.effective_at
            if clocks.microseconds(at) > at_us:
                break
            ticket, events = clocks.recalculate(name, ticket, clocks.microseconds(at), self._book)
            said += events
        return ticket, said

    def _bring_up(self, name: str, at_us: int, out: Outputs, now: datetime) -> bool:
        """Whether there was something to say."""
        packed = self._tickets.get(name)
        if packed is None or self._behind is None:
            return False
        ticket, events = self._recalculated(name, self._packing.unpack(packed), at_us)
        if events:
            self._finish(name, ticket, events, out, now)
        return bool(events)

    def _follow(self, at: datetime, out: Outputs) -> None:
        out.store(_AGREEMENT_KEY, b"%d" % clocks.microseconds(at))
        self._followed = at


def _buried_on(day: int) -> int:
    return day + 1


_transfer_decoders = {name: msgspec.json.Decoder(event) for name, event in _TRANSFERS.items()}


def _value(record: Record) -> bytes:
    if record.value is None:
        raise Poison(
            "the record has no value; events of a ticket are never deleted, publish its next version instead",
            "unreadable",
        )
    return record.value
