"""What handoff remembers of one ticket, without its text: who owns it, the transfer that is open, the facts that
wait."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ticket_contracts.cloudevents import Instant
from ticket_contracts.sla import ClockState
from ticket_contracts.transfers import Cause
from ticket_handoff.domain.facts import RoutedSeen
from ticket_handoff.domain.terms import INTERNAL

OwnerKind = Literal["intake_duty", "acknowledged", "automatic"]
Status = Literal["requested", "offered", "completed", "withdrawn"]
Ending = Literal["accepted", "declined", "expired", "withdrawn"]
PERSON_AT_MOST: Final = 200
"""Characters of the name of somebody who acts here or may become an owner; of a reply's id, too."""


class Ownership(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The open interval of the ledger. transfer_id: the transfer that brought it here."""

    owner: str
    role: str
    kind: OwnerKind
    since: Instant
    queue: str | None = None
    transfer_id: str | None = None


class Destination(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the router, or the protocol's own end at the duty owner, sends the ticket. decision: the router's, 0:
    none."""

    queue: str
    role: str
    decision: int = 0
    final: bool = False


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offer that somebody has before them. principal: whose reply counts. acknowledge_by: when the monitor will say
    that it expired. version: of the agreement that its package was cut by. substance: what its receiver sees of the
    ticket there, as `context.Package` has it. revision: counts its packages from 1."""

    queue: str
    role: str
    receiver: str
    principal: str
    digest: str
    acknowledge_by: Instant | None = None
    version: str | None = None
    substance: str | None = None
    revision: int = 1


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The open transfer. tried: queues that did not take it. asked_at: when `attempt` was requested.

    closes_at: of the queue that it leaves because that closes.
    question: to the receiver, from whom asked for it. destination: where it goes when the clocks were stated;
    offer: what is open there.
    """

    id: str
    number: int
    cause: Cause
    attempt: int
    opened_at: Instant
    sender: str
    sender_queue: str | None = None
    target_group: str | None = None
    requested_by: str | None = None
    question: str = ""
    tried: list[str] = []
    closes_at: Instant | None = None
    destination: Destination | None = None
    offer: Offer | None = None

    @property
    def status(self) -> Status:
        return "requested" if self.offer is None else "offered"


class PastOffer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offer that ended. actor: who accepted or declined."""

    transfer_id: str
    attempt: int
    queue: str
    principal: str
    digest: str
    ending: Ending
    at: Instant
    reason: str = ""
    actor: str | None = None


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people asked for and did not get, because its package lacked these parts. It is asked for again when all of
    them were added."""

    cause: Cause
    missing: list[str]
    question: str = ""
    target_group: str | None = None
    requested_by: str | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reply that counted, so that its repetition is acknowledged and counts no more. status: it left the transfer
    so."""

    transfer_id: str
    action: Literal["accept", "decline", "return", "escalate", "add"]
    attempt: int
    status: str


class RunningClock(msgspec.Struct, frozen=True, kw_only=True):
    """A clock of the ticket as the monitor last said. version: of the agreement that it runs under."""

    state: ClockState
    version: str


class Ledger(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One ticket. Decisions work on a copy and never change what nested values hold.

    known_at: instant of the newest step; nothing is decided for an earlier one. sequence: of the newest event on
    `transfers`. episode: of its life, from 1, another with each reopening after an end; interval: number of the open
    (or last) interval in it; began_version: the ticket's version with which the episode began or was reopened.
    ended: (episode, interval, instant) of the last end.
    decision: newest of the router's that was handled; first_decision: its newest `first`, whose clocks must be stated
    (stated_decision) before anything is offered. waiting: decisions whose versions have not arrived.
    warned: clock -> generation for which a warning has opened a transfer. replies: principal and reply_id -> what it
    did. gap: why the newest transfer that people asked for was not made. group: the source's newest known one. heard:
    ids of the messages that changed something here since the newest step.
    """

    ticket: str
    ticket_version: int = 0
    classification_version: int = 0
    status: str = "new"
    assignee: str | None = None
    group: str | None = None
    heard: list[str] = []
    known_at: Instant | None = None
    sequence: int = 0
    episode: int = 0
    interval: int = 0
    began_version: int = 0
    owner: Ownership | None = None
    ended: tuple[int, int, Instant] | None = None
    decision: int = 0
    first_decision: int = 0
    stated_decision: int = 0
    waiting: list[RoutedSeen] = []
    transfers: int = 0
    moved: int = 0
    transfer: Transfer | None = None
    gap: Gap | None = None
    clocks: dict[str, RunningClock] = {}
    warned: dict[str, int] = {}
    past: list[PastOffer] = []
    replies: dict[str, Answered] = {}

    @property
    def due_at(self) -> Instant | None:
        """The nearest deadline of a clock that runs on the ticket."""
        return min((c.state.deadline for c in self.clocks.values() if c.state.deadline is not None), default=None)

    def is_held_by(self, principal: str) -> bool:
        """Whether one of the principal's people owns the ticket by a transfer that it acknowledged: its to return."""
        owner = self.owner
        return owner is not None and any(
            (past.transfer_id, past.principal, past.ending) == (owner.transfer_id, principal, "accepted")
            for past in self.past
        )

    def shows_owner_to(self, principal: str) -> bool:
        """Whether a principal may know who owns the ticket: a partner while that is one of its own."""
        return principal == INTERNAL or self.is_held_by(principal)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says they tried. principal: whose they are."""

    at: Instant
    by: str
    principal: str
    text: str


class Added(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people added to a ticket's packages."""

    steps: list[Step] = []
    links: list[str] = []
    articles: list[str] = []


class Texts(msgspec.Struct, frozen=True):
    """What holds text, kept apart so that it can be erased: the newest events as they came, JSON, and what people
    added."""

    normalized: bytes | None = None
    classified: bytes | None = None
    added: bytes | None = None

    def people_added(self) -> Added:
        return Added() if self.added is None else _added.decode(self.added)


_added = msgspec.json.Decoder(Added)
