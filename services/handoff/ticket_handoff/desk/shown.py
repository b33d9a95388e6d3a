"""What a ticket looks like to who may see it: pure views of a ledger and its texts, at one instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from ticket_contracts.classification import Judgement
from ticket_contracts.transfers import (
    OwnerChanged,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferExpired,
    TransferWithdrawn,
)
from ticket_handoff.adapters.answers import OwnerLoad, TimelineLine
from ticket_handoff.desk.seats import is_offered, may_read
from ticket_handoff.domain.context import clock_at
from ticket_handoff.domain.ledger import Ledger, RunningClock, Status, Texts
from ticket_handoff.domain.terms import INTERNAL, Book, Terms

Level = Literal["over", "soon", "ok", "paused"]

_SOON: Final = 0.75
"""Share of a goal that is used when its clock begins to ask for attention."""


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketNormalized`, what a row shows."""

    title: str = ""
    external_id: str = ""


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketClassified`, what a row shows."""

    priority: str
    category: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `TicketClassified`, why it is what it is. Words of the text are among it: it stays inside."""

    rule: str
    confidence: float = 1.0
    abstained: bool = False
    candidates: list[tuple[str, float]] = []
    evidence: list[Judgement] = []
    articles: list[str] = []


_named = msgspec.json.Decoder(_Named)
_judged = msgspec.json.Decoder(_Judged)
_evidence = msgspec.json.Decoder(Evidence)


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock at an instant. left: seconds of its own calendar until its goal; negative when it was missed. running:
    not paused. counting: it runs and its calendar is open; changes: when that changes next, while it runs (unix
    seconds)."""

    name: str
    policy: str
    calendar: str | None
    goal: int
    left: int
    running: bool
    counting: bool
    changes: int | None
    deadline: datetime | None
    generation: int

    @property
    def level(self) -> Level:
        if not self.running:
            return "paused"
        if self.left <= 0:
            return "over"
        return "soon" if self.goal - self.left >= _SOON * self.goal else "ok"

    @property
    def share(self) -> float:
        """Of its goal that is used, 0 to 1."""
        return 1.0 if self.goal <= 0 else min(1.0, max(0.0, (self.goal - self.left) / self.goal))


def clock(running: RunningClock, book: Book, at: datetime) -> Clock:
    state = clock_at(running, book, at)
    terms = book.version(running.version)
    policy = terms.agreement.sla.get(state.policy)
    calendar = None if policy is None or policy.calendar is None else terms.calendars[policy.calendar]
    now = int(at.timestamp())
    is_open = calendar is None or calendar.is_open(now)
    changes = None
    if state.running and calendar is not None:
        changes = calendar.next_close(now) if is_open else calendar.next_open(now)
    return Clock(
        name=state.clock,
        policy=state.policy,
        calendar=None if policy is None else policy.calendar,
        goal=state.goal_seconds,
        left=state.goal_seconds - state.elapsed_seconds,
        running=state.running,
        counting=state.running and is_open,
        changes=changes,
        deadline=state.deadline,
        generation=state.generation,
    )


def clocks(ledger: Ledger, book: Book, at: datetime) -> list[Clock]:
    """The ticket's clocks, the one that ends first before the others, paused ones last."""
    found = [clock(each, book, at) for each in ledger.clocks.values()]
    return sorted(found, key=lambda each: (not each.running, each.deadline or datetime.max.replace(tzinfo=UTC)))


NEVER: Final = 1 << 45
"""Sorts after every deadline (unix seconds)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket in the queue, the same for everybody of a principal, so that it is made once for all who look.

    due: its nearest deadline (unix seconds), NEVER without: what it is ordered by. queue: where it is, None before the
    first acknowledgement. offered_to: the queue that has an offer of it, receiver: for whom. What the viewer must not
    know is None.
    """

    ticket: str
    number: str
    due: int
    title: str | None
    priority: str | None
    category: str | None
    status: str
    queue: str | None
    owner: str | None
    kind: str | None
    clock: Clock | None
    state: Status | None
    offered_to: str | None
    receiver: str | None


def row(ledger: Ledger, texts: Texts, principal: str, terms: Terms, book: Book, at: datetime) -> Row | None:
    """None for a ticket that ended, or that the principal may not read."""
    owner = ledger.owner
    if owner is None or not may_read(ledger, principal):
        return None
    fields = terms.fields(principal)
    named = _named.decode(texts.normalized) if texts.normalized else _Named()
    judged = _judged.decode(texts.classified) if texts.classified else None
    running = clocks(ledger, book, at)
    inside = principal == INTERNAL
    transfer = ledger.transfer
    ours = inside or not is_offered(ledger, principal)  # a partner learns the owner when that is its own
    offer = transfer.offer if transfer is not None else None
    visible = transfer is not None and (inside or is_offered(ledger, principal))

    def allowed(name: str) -> bool:
        return fields is None or name in fields

    return Row(
        ticket=ledger.ticket,
        number=named.external_id or ledger.ticket.rpartition(":")[2],
        due=NEVER if ledger.due_at is None else int(ledger.due_at.timestamp()),
        title=named.title if allowed("title") else None,
        priority=judged.priority if judged is not None and allowed("priority") else None,
        category=judged.category if judged is not None and allowed("category") else None,
        status=ledger.status if allowed("status") else "open",
        queue=owner.queue if ours else None,
        owner=owner.owner if ours else None,
        kind=owner.kind if ours else None,
        clock=running[0] if running else None,
        state=transfer.status if transfer is not None and visible else None,
        offered_to=offer.queue if offer is not None and visible else None,
        receiver=offer.receiver if offer is not None and visible else None,
    )


def evidence(classified: bytes | None) -> Evidence | None:
    return _evidence.decode(classified) if classified else None


def title(texts: Texts) -> str:
    return _named.decode(texts.normalized).title if texts.normalized else ""


def newest_first(comments: Iterable[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The interaction history: what a reader needs next stands on top."""
    return sorted(comments or [], key=lambda each: str(each["at"]), reverse=True)


@dataclass(frozen=True, slots=True)
class Person:
    """queues: (queue, open, overdue) of each that they own tickets in; None for what no transfer has brought them."""

    owner: str
    open: int
    over: int
    due_at: datetime | None
    queues: list[tuple[str | None, int, int]]


def people(loads: Iterable[OwnerLoad]) -> list[Person]:
    """Owners with their load, who has the most to do first."""
    by_owner: dict[str, list[OwnerLoad]] = {}
    for load in loads:
        by_owner.setdefault(load.owner, []).append(load)
    found = [
        Person(
            owner=owner,
            open=sum(each.open for each in own),
            over=sum(each.overdue for each in own),
            due_at=min((each.due_at for each in own if each.due_at is not None), default=None),
            queues=[(each.queue, each.open, each.overdue) for each in own if each.open],
        )
        for owner, own in by_owner.items()
    ]
    return sorted(found, key=lambda each: (-each.over, -each.open, each.owner))


_GOOD: Final = {TransferAccepted.TYPE, TransferCompleted.TYPE}
_BAD: Final = {TransferDeclined.TYPE, TransferExpired.TYPE, TransferWithdrawn.TYPE}


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a timeline. mark: how its dot looks: a change of owner, something that went wrong, or well."""

    at: datetime
    by: str
    text: str
    mark: Literal["owner", "bad", "good", "plain"]
    details: list[tuple[str, str]]

    @classmethod
    def of(cls, line: TimelineLine) -> Event:
        mark: Literal["owner", "bad", "good", "plain"] = "plain"
        if line.type == OwnerChanged.TYPE:
            mark = "owner"
        elif line.type in _BAD or line.said.get("occurrence") in ("warned", "breached"):
            mark = "bad"
        elif line.type in _GOOD or line.said.get("occurrence") == "met":
            mark = "good"
        details = [(name, _told(said)) for name, said in line.said.items() if name not in _PLAIN and said not in _EMPTY]
        return cls(line.at, line.by, line.text, mark, details)


_PLAIN: Final = {"ticket", "decided_for", "heard"}
"""Of an event's fields, what a timeline need not repeat."""
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def _told(said: Any) -> str:
    if isinstance(said, str):
        return said
    return msgspec.json.encode(said).decode()


@dataclass(frozen=True, slots=True)
class Held:
    """An interval of ownership. begin, length: as shares of the time that the whole timeline spans, 0 to 1."""

    owner: str
    queue: str | None
    kind: str
    since: datetime
    seconds: int
    open: bool
    begin: float
    length: float


@dataclass(frozen=True, slots=True)
class Lanes:
    """Who held a ticket when. begin, end: of what is shown. marks: (instant, its share, what) of breached clocks."""

    begin: datetime
    end: datetime
    held: list[Held]
    breaches: list[tuple[datetime, float, str]]

    @property
    def owners(self) -> list[str]:
        return list(dict.fromkeys(each.owner for each in self.held))


def lanes(lines: Sequence[TimelineLine], now: datetime) -> Lanes:
    """Of a timeline in order, up to now where somebody owns the ticket still."""
    changes = [line for line in lines if line.type == OwnerChanged.TYPE]
    begin = lines[0].at
    end = max(now, lines[-1].at) if changes and changes[-1].said["owner"] else lines[-1].at
    span = max(1.0, (end - begin).total_seconds())

    def share(at: datetime) -> float:
        return max(0.0, (at - begin).total_seconds() / span)

    held = []
    for n, change in enumerate(changes):
        said = change.said
        if said["owner"] is None:
            continue
        last = n + 1 == len(changes)
        until = end if last else changes[n + 1].at
        seconds = int((until - change.at).total_seconds())
        length = share(until) - share(change.at)
        held.append(
            Held(said["owner"], said["queue"], said["kind"], change.at, seconds, last, share(change.at), length)
        )
    breaches = [
        (line.at, share(line.at), line.said["clock"].partition(":")[0])
        for line in lines
        if line.said.get("occurrence") == "breached"
    ]
    return Lanes(begin, end, held, breaches)
