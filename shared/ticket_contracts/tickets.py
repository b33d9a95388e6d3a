"""The normalized ticket, as intake alone decides it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from ticket_contracts.cloudevents import Event, Instant

Kind = Literal["incident", "service_request", "question", "problem", "change"]
Channel = Literal["portal", "mail", "chat", "phone", "monitoring", "api"]
Status = Literal[
    "new", "open", "pending_customer", "pending_vendor", "on_hold", "resolved", "closed", "merged", "deleted"
]
"""`pending_*` and `on_hold` wait for somebody outside the desk; `closed`, `merged` and `deleted` end the ownership."""
Lifecycle = Literal["created", "split", "updated", "reopened", "ended", "merged", "deleted"]

ENDED: frozenset[str] = frozenset({"closed", "merged", "deleted"})


class Requester(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None
    address: str | None = None
    language: str | None = None
    site: str | None = None
    vip: bool = False


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """id: the source's, or a digest of author, time and text. visibility: `public` is seen by the requester."""

    id: str
    author: str | None
    author_role: Literal["customer", "agent", "system"]
    visibility: Literal["public", "internal"]
    at: Instant
    text: str


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str | None = None
    media_type: str | None = None
    size_bytes: int | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The source's own values, mapped to the desk's words where the source's document says how; never a decision."""

    priority: str | None = None
    impact: str | None = None
    urgency: str | None = None
    category: str | None = None


class TicketNormalized(Event, frozen=True, kw_only=True):
    """The whole ticket at one version, and what changed in it. Topic `tickets.normalized`.

    ticket_version: counted by intake from 1, one for each event that changed the ticket.
    source_version: what the source orders its updates by, as text (ServiceNow `sys_mod_count`, ...).
    delivery: ce_id of the `tickets.keyed` record that made this version; an id of its own where the desk closed the
        ticket, since it stayed resolved in a source that closes none.
    lifecycle: what this version is an event of: `created` for version 1 (`split`, off another ticket), `reopened` when
        the status left resolved or an end, `merged` or `deleted` when it became that, `ended` when it became closed,
        `updated` otherwise.
    changed: names of the fields below that differ from the version before.
    merged_into, split_from: the other ticket's id, where the source says so: a merge ends this ticket with status
        `merged`, a split begins it.
    flags: what stands in the text (`secret:…`, `personal:…`, `text:cut`), `unreadable:created_at` where a date of the
        source could not be read, and `closed:by_desk`.
    group, assignee: where the source says the ticket is; evidence for handoff, never the owner.
    created_at, updated_at: the source's, of all that is known; received_at: when Relaydesk accepted the message;
    happened_at: when, as the message says, what this version brings happened: older than `updated_at` where it came
    late, None where it does not say; no later than `received_at`. All UTC.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.normalized.v1"

    ticket_version: int
    source_version: str
    delivery: str
    lifecycle: Lifecycle
    changed: list[str]

    source: str
    instance: str
    external_id: str
    url: str | None = None
    channel: Channel = "api"
    kind: Kind | None = None
    title: str = ""
    text: str = ""
    language: str | None = None
    comments: list[Comment] = []
    requester: Requester = Requester()
    customer: str | None = None
    status: Status = "new"
    evidence: Evidence = Evidence()
    service: str | None = None
    configuration_item: str | None = None
    assignee: str | None = None
    group: str | None = None
    attachments: list[Attachment] = []
    flags: list[str] = []
    created_at: Instant | None = None
    updated_at: Instant | None = None
    received_at: Instant
    merged_into: str | None = None
    split_from: str | None = None
    happened_at: Instant | None = None

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.ticket_version


class TicketDuplicate(Event, frozen=True, kw_only=True):
    """A message that changed nothing, recorded so that nothing accepted is without an end. Topic `tickets.normalized`.

    delivery: ce_id of the `tickets.keyed` record. reason: `same_delivery` (seen before), `no_change` (all of its fields
    are known or older than what is known). ticket_version: the version that stands.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.duplicate.v1"

    ticket_version: int
    delivery: str
    reason: Literal["same_delivery", "no_change"]

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.delivery


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """A correction of a classification, or a satisfaction score; topic `tickets.feedback`, the sender is the topic's.

    classification_version: the version corrected. csat: 1 (worst) to 5.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.feedback.v1"

    ticket: str
    feedback_id: str
    at: Instant
    actor: str
    side: str
    classification_version: int | None = None
    category: str | None = None
    kind: Kind | None = None
    impact: str | None = None
    urgency: str | None = None
    csat: int | None = None


KEYED_TYPE = "relaydesk.ticket.keyed.v1"
"""`tickets.keyed` holds the source's bytes untouched, so it has no model; headers say the rest: `ce_time` the instant
received, `ce_subject` the ticket, `relaydesk-source` the source, `relaydesk-inbound` where it stood:
topic/partition/offset."""
