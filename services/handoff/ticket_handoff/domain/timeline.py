"""What happened to a ticket, line by line, for whoever looks back: the words of all services, without the ticket's
text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Instant, encode
from ticket_contracts.routing import Purpose, TicketRouted
from ticket_contracts.sla import ClockEvent, Occurrence
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import (
    ContextAdded,
    OwnerChanged,
    TicketErased,
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferExpired,
    TransferOffered,
    TransferRenewed,
    TransferRequested,
    TransferWithdrawn,
)


class _Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    ticket_version: int
    lifecycle: str
    status: str = "new"
    changed: list[str] = []
    group: str | None = None
    assignee: str | None = None


class _Classification(msgspec.Struct, frozen=True, omit_defaults=True):
    classification_version: int
    ticket_version: int
    rule: str
    priority: str
    tier: int
    kind: str
    impact: str
    urgency: str
    category: str | None = None
    flags: list[str] = []
    abstained: bool = False
    confidence: float = 1.0


class _Routing(msgspec.Struct, frozen=True, omit_defaults=True):
    decision: int
    rule: str
    queue: str
    tier: int
    owner_role: str
    support_model: str
    purpose: Purpose
    transfer_id: str | None = None
    final: bool = False
    reason: str = ""


class _Clock(msgspec.Struct, frozen=True, omit_defaults=True):
    occurrence: Occurrence
    clock: str
    generation: int
    rule: str
    threshold_seconds: int | None = None
    due_at: Instant | None = None
    deadline: Instant | None = None
    late: bool = False


_KEPT: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    TicketNormalized.TYPE: msgspec.json.Decoder(_Ticket),
    TicketClassified.TYPE: msgspec.json.Decoder(_Classification),
    TicketRouted.TYPE: msgspec.json.Decoder(_Routing),
    ClockEvent.TYPE: msgspec.json.Decoder(_Clock),
}


def kept(kind: str, value: bytes) -> bytes:
    """What a timeline keeps of another service's event: its decision with rule and reason, none of the ticket's
    text."""
    return encode(_KEPT[kind].decode(value))


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a timeline. by: the service. text: one sentence for people. said: the event's own fields."""

    at: Instant
    by: str
    type: str
    text: str
    said: dict[str, Any]


_ORDER: Final = {"intake": 0, "classifier": 1, "router": 2, "sla-monitor": 3, "handoff": 4}
_BY: Final = {
    TicketNormalized.TYPE: "intake",
    TicketClassified.TYPE: "classifier",
    TicketRouted.TYPE: "router",
    ClockEvent.TYPE: "sla-monitor",
}


def line(kind: str, at: datetime, said: dict[str, Any]) -> Line:
    return Line(at=at, by=_BY.get(kind, "handoff"), type=kind, text=_SENTENCES[kind](said), said=said)


def in_order(lines: list[Line]) -> list[Line]:
    """By instant; at one instant by the way of a ticket through the services, handoff's steps by their number."""
    return sorted(lines, key=lambda each: (each.at, _ORDER[each.by], each.said.get("sequence", 0)))


# -- sentences


def _ticket(said: dict[str, Any]) -> str:
    changed = ", ".join(said.get("changed", []))
    what = f"version {said['ticket_version']}: {said['lifecycle']}, {said.get('status', 'new')}"
    return f"{what}; changed {changed}" if changed and said["lifecycle"] != "created" else what


def _classification(said: dict[str, Any]) -> str:
    if said.get("abstained"):
        return f"not sure of the category: people must triage; {said['priority']}, tier {said['tier']}"
    sure = f"{said.get('confidence', 1.0):.0%} sure"
    return f"{said.get('category') or 'no category'}, {said['priority']}, tier {said['tier']} by {said['rule']}, {sure}"


def _routing(said: dict[str, Any]) -> str:
    reason = f": {said['reason']}" if said.get("reason") else ""
    return f"decision {said['decision']} ({said['purpose']}): to {said['queue']} by {said['rule']}{reason}"


def _clock(said: dict[str, Any]) -> str:
    if said["occurrence"] == "stated":
        return "said which clocks run"
    name = said["clock"].partition(":")[0].replace("_", " ")
    late = ", late" if said.get("late") else ""
    deadline = f"; deadline {said['deadline']}" if said.get("deadline") else ""
    return f"clock {name} {said['occurrence']}{late}{deadline}"


def _requested(said: dict[str, Any]) -> str:
    who = f" by {said['requested_by']}" if said.get("requested_by") else ""
    tried = f"; tried {', '.join(said['tried'])}" if said.get("tried") else ""
    reason = f": {said['reason']}" if said.get("reason") else ""
    return f"transfer asked for ({said['cause']}, attempt {said['attempt']}){who}{tried}{reason}"


def _offered(said: dict[str, Any]) -> str:
    lacks = f"; the package lacks {', '.join(said['incomplete'])}" if said.get("incomplete") else ""
    return f"offered to {said['receiver']} in {said['queue']}, {said['acknowledge_seconds']} s to answer{lacks}"


def _renewed(said: dict[str, Any]) -> str:
    return f"what {said['queue']} sees of it changed: package {said['revision']} is offered in place of the one before"


def _accepted(said: dict[str, Any]) -> str:
    how = " by the desk itself" if said["automatic"] else ""
    return f"accepted by {said['actor']} in {said['queue']}{how}"


def _declined(said: dict[str, Any]) -> str:
    return f"declined by {said['actor']} in {said['queue']}: {said['reason']}"


def _expired(said: dict[str, Any]) -> str:
    return "the whole transfer took too long" if said["scope"] == "transfer" else f"{said['queue']} did not answer"


def _withdrawn(said: dict[str, Any]) -> str:
    return f"transfer withdrawn: {said['reason']}"


def _completed(said: dict[str, Any]) -> str:
    return f"transfer completed: to {said['owner']} in {said['queue']}"


def _owner(said: dict[str, Any]) -> str:
    if said["owner"] is None:
        return f"ownership ended; {said['previous']} had it"
    where = f" in {said['queue']}" if said.get("queue") else ""
    return f"owned by {said['owner']}{where} ({said['kind'].replace('_', ' ')})"


def _added(said: dict[str, Any]) -> str:
    return f"{said['actor']} added to the package: {said['part']}"


def _erased(said: dict[str, Any]) -> str:
    return f"text erased by {said['actor']}: {said['reason']}"


_SENTENCES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    TicketNormalized.TYPE: _ticket,
    TicketClassified.TYPE: _classification,
    TicketRouted.TYPE: _routing,
    ClockEvent.TYPE: _clock,
    TransferRequested.TYPE: _requested,
    TransferOffered.TYPE: _offered,
    TransferRenewed.TYPE: _renewed,
    TransferAccepted.TYPE: _accepted,
    TransferDeclined.TYPE: _declined,
    TransferExpired.TYPE: _expired,
    TransferWithdrawn.TYPE: _withdrawn,
    TransferCompleted.TYPE: _completed,
    OwnerChanged.TYPE: _owner,
    ContextAdded.TYPE: _added,
    TicketErased.TYPE: _erased,
}
