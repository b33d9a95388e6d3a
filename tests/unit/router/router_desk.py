"""A small co-managed desk, and tickets for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_contracts.routing import TicketFacts
from ticket_contracts.tickets import TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import TransferCompleted, TransferRequested
from ticket_router.domain.places import Holding
from ticket_router.domain.policy import Measured, Policy, QueuePlan
from ticket_runtime.task import Record

WEEK = ("mon", "tue", "wed", "thu", "fri")
ALL_DAYS = (*WEEK, "sat", "sun")


def hours(*windows: tuple[str, str], days: Iterable[str] = WEEK) -> dict[str, list[tuple[str, str]]]:
    return {day: list(windows) for day in days}


DAY, NIGHT = "2026-03-02T09:30:00", "2026-03-02T20:00:00"
"""Local times of the desk: open, and closed."""
ALWAYS: dict[str, Any] = {
    "partners": {"nightwatch": {"calendar": "always", "languages": None}},
    "calendars": {"always": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
}
"""The partner answers at every hour, in every language."""


def content() -> dict[str, Any]:
    """First line inside by day and at a partner by night, second line inside, and a duty that never sleeps.

    Frankfurt works 08:00-18:00 in Berlin's zone; Manila, the partner, 17:00-09:00 Berlin time, said in Manila's zone.
    """
    owner = {"title": "People", "kind": "rota", "members": ["Ada"]}
    return {
        "title": "Test desk",
        "parties": [{"name": "Company", "side": "company"}, {"name": "Nightwatch", "side": "partner"}],
        "sources": ["servicenow"],
        "taxonomy": [
            {"id": "hardware", "title": "Hardware", "children": [{"id": "laptop", "title": "Laptop"}]},
            {"id": "access", "title": "Access"},
        ],
        "matrix": {"impacts": ["high"], "urgencies": ["high"], "priorities": {"high": {"high": "P1"}}},
        "classification": {"defaults": {"impact": "high", "urgency": "high"}},
        "calendars": {
            "frankfurt": {"zone": "Europe/Berlin", "hours": hours(("08:00", "18:00")), "holidays": ["12-25"]},
            "manila": {
                "zone": "Asia/Manila",
                "hours": hours(("00:00", "16:00"), ("23:00", "24:00"), days=ALL_DAYS),
                "holidays": ["2026-06-12"],
            },
        },
        "owners": {
            "first-line": owner,
            "second-line": owner,
            "night": {**owner, "side": "partner"},
            "intake": {**owner, "kind": "duty"},
            "duty": {**owner, "kind": "duty"},
        },
        "intake_duty": "intake",
        "duty": "duty",
        "partners": {
            "nightwatch": {
                "title": "Nightwatch",
                "calendar": "manila",
                "fields": ["title", "text", "category", "priority", "language"],
                "categories": ["hardware"],
                "languages": ["en", "de"],
            }
        },
        "queues": {
            "desk": {
                "title": "Service desk",
                "support_model": "internal",
                "tier": 1,
                "owner_role": "first-line",
                "calendar": "frankfurt",
                "capacity": 10,
                "overflow": {"above": 5, "below": 2},
            },
            "night-desk": {
                "title": "Nightwatch",
                "support_model": "partner",
                "tier": 1,
                "owner_role": "night",
                "partner": "nightwatch",
            },
            "specialists": {
                "title": "Specialists",
                "support_model": "internal",
                "tier": 2,
                "owner_role": "second-line",
            },
            "lead": {"title": "Lead", "support_model": "internal", "tier": 1, "owner_role": "first-line"},
            "duty": {"title": "Duty", "support_model": "internal", "tier": 1, "owner_role": "duty"},
        },
        "routing": {
            "rules": [
                {"name": "by-group", "when": {"channel": ["monitoring"]}, "to": ["group", "specialists"]},
                {"name": "second-line", "when": {"tier": [2, 3]}, "to": ["specialists"]},
                {"name": "by-day", "when": {"open": ["frankfurt"]}, "to": ["desk", "night-desk"]},
                {"name": "by-night", "when": {"closed": ["frankfurt"]}, "to": ["night-desk"]},
            ],
            "group_queues": {"Experts": "specialists", "Helpers": "desk"},
            "duty_queue": "duty",
            "ping_pong_queue": "lead",
        },
        "sla": {"resolution": {"clock": "resolution", "goals": [{"seconds": 28_800}]}},
    }


def merge(base: Any, change: Any) -> Any:
    """`base` with the keys of `change` in place of its own, mapping by mapping."""
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}
    return change


def agreement(**changes: Any) -> Agreement:
    return Agreement.model_validate(merge(content(), changes))


def published(of: Agreement, effective_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> Published:
    return Published(version=digest(of), effective_at=effective_at, approvals=[], agreement=of)


def policy(**changes: Any) -> Policy:
    made = agreement(**changes)
    return Policy(digest(made), made, compile_calendars(made))


def facts(**changes: Any) -> TicketFacts:
    plain: dict[str, Any] = {
        "source": "servicenow",
        "channel": "portal",
        "kind": "incident",
        "category": "laptop",
        "priority": "P3",
        "impact": "medium",
        "urgency": "medium",
        "tier": 1,
        "language": "en",
    }
    return TicketFacts(**{**plain, **changes})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Desk:
    """Loads as a test wants them. overflowing, held: queues of which that is so. oldest, waits: seconds by queue."""

    def __init__(
        self,
        loads: Mapping[str, int] | None = None,
        overflowing: Iterable[str] = (),
        taken: Mapping[tuple[str, str], int] | None = None,
        held: Iterable[str] = (),
        oldest: Mapping[str, int] | None = None,
        waits: Mapping[str, int] | None = None,
    ) -> None:
        self._loads = loads or {}
        self._overflowing = set(overflowing)
        self._held = set(held)
        self._oldest = oldest or {}
        self._waits = waits or {}
        self._taken = taken or {}

    def load(self, place: str) -> int:
        return self._loads.get(place, 0)

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        name = plan.name
        return Measured(
            before=name in self._overflowing,
            held=name in self._held,
            oldest=self._oldest.get(name),
            wait=self._waits.get(name),
        )

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        month = sum(n for (who, when), n in self._taken.items() if who == partner and when[:7] == day[:7])
        return self._taken.get((partner, day), 0), month

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        return sum(self.load(queue) - (queue in holding.places) for queue in queues)


_TOPIC: dict[type[Event], str] = {
    TicketNormalized: topics.NORMALIZED,
    TicketDuplicate: topics.NORMALIZED,
    TicketClassified: topics.CLASSIFIED,
}


def record(event: Event, **changes: Any) -> Record:
    """The event as the runtime hands it to a task."""
    plain: dict[str, Any] = {
        "topic": _TOPIC.get(type(event), topics.TRANSFERS),
        "partition": 0,
        "offset": 0,
        "key": event.ticket.encode(),
        "value": msgspec.json.encode(event),
        "headers": {"ce_type": event.TYPE.encode()},
        "timestamp_ms": int(event.decided_for.timestamp() * 1000),
        "instant": event.decided_for,
    }
    return Record(**{**plain, **changes})


TICKET = "servicenow:main:INC1"
MONDAY = utc("2026-03-02T09:00:00")


def normalized(version: int = 1, at: datetime = MONDAY, ticket: str = TICKET, **changes: Any) -> TicketNormalized:
    plain: dict[str, Any] = {
        "ticket": ticket,
        "decided_for": at,
        "ticket_version": version,
        "source_version": str(version),
        "delivery": f"d{version}",
        "lifecycle": "created" if version == 1 else "updated",
        "changed": [],
        "source": "servicenow",
        "instance": "main",
        "external_id": ticket.rpartition(":")[2],
        "channel": "portal",
        "title": "Laptop does not start",
        "text": "It hums and stays dark.",
        "language": "en",
        "created_at": MONDAY,
        "received_at": at,
    }
    return TicketNormalized(**{**plain, **changes})


def classified(
    version: int = 1, at: datetime = MONDAY, ticket: str = TICKET, agreement_version: str = "", **changes: Any
) -> TicketClassified:
    plain: dict[str, Any] = {
        "ticket": ticket,
        "decided_for": at,
        "ticket_version": 1,
        "classification_version": version,
        "rule": "default",
        "agreement_version": agreement_version,
        "category": "laptop",
        "kind": "incident",
        "impact": "medium",
        "urgency": "medium",
        "priority": "P3",
        "tier": 1,
        "inputs": ClassificationInputs(normalized="n1"),
    }
    return TicketClassified(**{**plain, **changes})


def requested(sequence: int, at: datetime, transfer: str, ticket: str = TICKET, **changes: Any) -> TransferRequested:
    plain: dict[str, Any] = {
        "ticket": ticket,
        "decided_for": at,
        "sequence": sequence,
        "agreement_version": "",
        "ticket_version": 1,
        "classification_version": 1,
        "transfer_id": transfer,
        "cause": "first",
        "attempt": 1,
        "asks": False,
        "tried": [],
        "sender": "Ada",
    }
    return TransferRequested(**{**plain, **changes})


def completed(
    sequence: int, at: datetime, transfer: str, queue: str, ticket: str = TICKET, agreement_version: str = ""
) -> TransferCompleted:
    return TransferCompleted(
        ticket=ticket,
        decided_for=at,
        sequence=sequence,
        agreement_version=agreement_version,
        ticket_version=1,
        classification_version=1,
        transfer_id=transfer,
        queue=queue,
        owner="Ada",
    )


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
