"""What is answered of the ledger: the bodies of HTTP answers, and what the desk page shows. Instants are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class ClockLeft(BaseModel):
    """A clock at the instant of the answer. left_seconds: in the clock's own working time; negative: overdue by so
    much. deadline: null while it is paused."""

    clock: str
    policy: str
    running: bool
    deadline: datetime | None
    goal_seconds: int
    left_seconds: int


class OpenTransfer(BaseModel):
    """A transfer on its way. receiver, acknowledge_by: of the offer that is open, if one is."""

    transfer_id: str
    ticket: str
    cause: str
    status: str
    attempt: int
    opened_at: datetime
    sender: str | None
    sender_queue: str | None
    queue: str | None
    receiver: str | None
    digest: str | None
    acknowledge_by: datetime | None


class QueuedTicket(BaseModel):
    """A ticket of a queue. due_at: the nearest deadline of a clock that runs. transfer: when it is on its way."""

    ticket: str
    title: str | None
    priority: str | None
    category: str | None
    status: str
    owner: str
    since: datetime
    due_at: datetime | None
    clocks: list[ClockLeft]
    transfer: str | None


class Queue(BaseModel):
    """A queue's tickets, the nearest deadline first, those without one last. next: what to give as `after` for more."""

    queue: str
    title: str
    as_of: datetime
    open: int
    overdue: int
    tickets: list[QueuedTicket]
    next: str | None


class OwnerLoad(BaseModel):
    """What somebody owns in one queue (null: before the first acknowledgement). due_at: their nearest deadline."""

    owner: str
    queue: str | None
    open: int
    overdue: int
    due_at: datetime | None


class Attempt(BaseModel):
    """An offer that was made. outcome: how it ended, null while it is open. package: null when it was erased."""

    attempt: int
    queue: str
    digest: str
    outcome: str | None
    at: datetime | None
    reason: str
    actor: str | None
    package: dict[str, Any] | None


class TransferShown(OpenTransfer):
    """A transfer with every offer of it that the asker received; `internal` sees all. ended_at: null while it is
    open."""

    ended_at: datetime | None
    attempts: list[Attempt]


class GapShown(BaseModel):
    """A transfer that people asked for and that was not made, for want of these parts."""

    cause: str
    missing: list[str]


class TicketShown(BaseModel):
    """A ticket with all that its next receiver would get, now. required: what the agreement asks of an escalation."""

    ticket: str
    status: str
    as_of: datetime
    owner: str | None
    owner_queue: str | None
    owner_kind: str | None
    since: datetime | None
    clocks: list[ClockLeft]
    package: dict[str, Any]
    transfer: OpenTransfer | None
    gap: GapShown | None
    required: list[str]


class BriefLine(QueuedTicket):
    """A ticket of a shift brief: where it goes (a queue's name and title), what was tried, what its owner asked.
    due_at: of a record, as it was then. outcome: of the transfer that it left by; null where it stayed."""

    to_queue: str | None
    to_title: str | None
    to: str | None
    outcome: str | None
    tried: list[str]
    steps: list[str]
    question: str


class Brief(BaseModel):
    """All that a shift leaves behind in a queue, by time left. brief: the id of the record, null for what is in the
    queue now. as_of: when these were its tickets; their clocks, owners and statuses are of now. closes_at: the queue's
    closing (now: the next), null where it has none."""

    brief: str | None = None
    queue: str
    title: str
    as_of: datetime
    closes_at: datetime | None
    overdue: int
    tickets: list[BriefLine]


class BriefKept(BaseModel):
    """The record of one closing. tickets: that the queue had when it was opened, or that left for the closing since;
    sent_on: of these, those with a transfer."""

    brief: str
    queue: str
    closes_at: datetime
    opened_at: datetime
    tickets: int
    sent_on: int


class TimelineLine(BaseModel):
    """by: the service that said it. text: a sentence for people. said: the event's own fields."""

    at: datetime
    by: str
    type: str
    text: str
    said: dict[str, Any]


class Interval(BaseModel):
    """An interval of ownership; until_at: null while it is open."""

    episode: int
    seq: int
    from_at: datetime
    until_at: datetime | None
    owner: str
    role: str
    queue: str | None
    kind: str
    transfer_id: str | None


class PastTransfer(BaseModel):
    """A transfer of a ticket. A partner sees no more than the first fields of it."""

    transfer_id: str
    status: str
    attempt: int
    opened_at: datetime
    ended_at: datetime | None
    number: int | None = None
    cause: str | None = None
    sender: str | None = None
    queue: str | None = None
    receiver: str | None = None
    principal: str | None = None
    digest: str | None = None


class OwnerNow(BaseModel):
    owner: str
    role: str
    queue: str | None
    kind: str
    since: datetime


class OwnershipShown(BaseModel):
    """Who owned a ticket from when until when, and its transfers."""

    ticket: str
    owner: OwnerNow | None
    intervals: list[Interval]
    transfers: list[PastTransfer]
