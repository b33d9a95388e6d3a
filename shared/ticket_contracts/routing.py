"""What the router alone decides: where a ticket goes, and why."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from ticket_contracts.cloudevents import Decision, Event, Instant
from ticket_contracts.tickets import Attachment, Channel, Comment, Evidence, Kind, Requester, Status

Purpose = Literal["first", "transfer", "reroute"]


class TicketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may ask of a ticket; the input of every condition of the agreement. No text, no personal data.

    age_seconds: since `created_at` (wall time). transfers: completed so far.
    """

    source: str
    channel: str
    kind: str
    category: str | None
    priority: str
    impact: str
    urgency: str
    tier: int
    flags: list[str] = []
    customer: str | None = None
    site: str | None = None
    language: str | None = None
    vip: bool = False
    group: str | None = None
    service: str | None = None
    status: str = "new"
    age_seconds: int = 0
    transfers: int = 0


class RoutingInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that the decision used. loads: queue -> load, this ticket's own apart, of every queue it weighed, and
    `queue/group` -> that of a group of its agents.

    taken: partner -> reservations [in the partner's own day, in its month, open now] for partners it weighed.
    tried: queues that were offered and did not take it. current: the queue it is leaving, when it leaves one.
    overflowing: queues in overflow at that instant (a state with hysteresis). held: queues whose state of overflow had
    changed so lately that it could not change again. oldest, waits: queue -> seconds that its oldest ticket has waited,
    and that a newcomer is expected to wait, where its overflow asks for them.
    history: queues that had it, oldest first, for ping-pong. home: the queue that it overflowed from, when it may go
    back there. closes_at: of the queue that it leaves, for cause `queue_closing`.
    """

    facts: TicketFacts
    loads: dict[str, int]
    taken: dict[str, list[int]] = {}
    tried: list[str] = []
    current: str | None = None
    overflowing: list[str] = []
    history: list[str] = []
    cause: str | None = None
    held: list[str] = []
    oldest: dict[str, int] = {}
    waits: dict[str, int] = {}
    home: str | None = None
    closes_at: Instant | None = None


class TicketRouted(Decision, frozen=True, kw_only=True):
    """A routing decision; topic `tickets.routed`.

    decision: counted by the router for each ticket from 1. purpose: `first`; `transfer`, the answer to a
    `TransferRequested` whose `transfer_id` it repeats; `reroute`, the router's own proposal, from which handoff opens
    one.
    owner_role: role of the agreement that owns tickets of this queue. support_model: internal, partner, automation.
    final: the escalation path's last step; the desk acknowledges for the duty owner of `owner_role`.
    agent_group: of the queue's groups of agents the one in which it has a place, where it has groups.
    waits: there is no room for it yet: it is to wait, and the queue's role owns it meanwhile.
    reason: one sentence for people. look_again_at: when the router will decide anew by itself (UTC), if so.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.routed.v1"

    decision: int
    queue: str
    tier: int
    owner_role: str
    support_model: Literal["internal", "partner", "automation"]
    purpose: Purpose
    transfer_id: str | None = None
    final: bool = False
    reason: str = ""
    look_again_at: Instant | None = None
    agent_group: str | None = None
    waits: bool = False
    inputs: RoutingInputs

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.decision


class TicketView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ticket as one receiver may see it: every field is absent unless the contract's allow-list names it."""

    title: str | None = None
    text: str | None = None
    language: str | None = None
    comments: list[Comment] | None = None
    requester: Requester | None = None
    customer: str | None = None
    status: Status | None = None
    channel: Channel | None = None
    kind: Kind | None = None
    category: str | None = None
    impact: str | None = None
    urgency: str | None = None
    priority: str | None = None
    tier: int | None = None
    flags: list[str] | None = None
    evidence: Evidence | None = None
    service: str | None = None
    configuration_item: str | None = None
    assignee: str | None = None
    group: str | None = None
    attachments: list[Attachment] | None = None
    url: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class TicketDispatched(Event, frozen=True, kw_only=True):
    """A dispatch notice; topic `queues.<queue>`: what a partner's system consumes. Changes only in ways that
    yesterday's reader and today's both survive: optional fields only.

    decision: that of the `TicketRouted` it announces. view: the fields that the queue's contract allows.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.dispatched.v1"

    decision: int
    queue: str
    tier: int
    priority: str
    purpose: Purpose
    transfer_id: str | None = None
    view: TicketView
    agreement_version: str

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.decision, self.queue
