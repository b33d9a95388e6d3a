"""A small desk to classify for, and tickets for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ticket_classifier.domain.policy import Asked, Policy
from ticket_contracts import cloudevents, topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.cloudevents import Event, encode
from ticket_contracts.tickets import Evidence, Feedback, Requester, TicketNormalized
from ticket_runtime.task import Record

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKET = "jira:main:T-1"


def content() -> dict[str, Any]:
    owner = {"title": "People", "kind": "duty", "members": ["Ada"]}
    return {
        "title": "Test desk",
        "parties": [{"name": "Company", "side": "company"}],
        "sources": ["jira", "servicenow"],
        "taxonomy": [
            {
                "id": "network",
                "title": "Network",
                "children": [{"id": "vpn", "title": "VPN"}, {"id": "wifi", "title": "Wifi"}],
            },
            {
                "id": "accounts",
                "title": "Accounts",
                "children": [{"id": "reset", "title": "Reset", "automation": True}],
            },
            {"id": "printing", "title": "Printing"},
            {"id": "phishing", "title": "Phishing"},
        ],
        "matrix": {
            "impacts": ["high", "medium", "low"],
            "urgencies": ["high", "medium", "low"],
            "priorities": {
                "high": {"high": "P1", "medium": "P2", "low": "P3"},
                "medium": {"high": "P2", "medium": "P3", "low": "P4"},
                "low": {"high": "P3", "medium": "P4", "low": "P5"},
            },
        },
        "classification": {
            "authoritative": {"servicenow": ["category", "impact", "urgency", "priority"]},
            "category_map": {"Network / VPN": "vpn"},
            "rules": [
                {
                    "name": "phishing",
                    "text": {"any": ["phish*"]},
                    "category": "phishing",
                    "tier": 3,
                    "flags": ["security"],
                    "confidence": 0.9,
                },
                {
                    "name": "vpn",
                    "text": {"any": ["vpn"]},
                    "category": "vpn",
                    "tier": 2,
                    "urgency": "medium",
                    "confidence": 0.8,
                },
                {"name": "wifi", "text": {"any": ["wifi", "wi-fi"]}, "category": "wifi", "confidence": 0.8},
                {
                    "name": "reset",
                    "text": {"any": ["password", "mot de passe"], "all": ["reset*"]},
                    "category": "reset",
                    "kind": "service_request",
                    "confidence": 0.9,
                },
                {
                    "name": "printer",
                    "text": {"any": ["print*", "drucker*"], "none": ["print screen"]},
                    "category": "printing",
                    "confidence": 0.8,
                },
                {"name": "many", "people_at_least": 20, "impact": "high", "confidence": 0.9},
                {"name": "urgent", "text": {"any": ["urgent", "dringend"]}, "urgency": "high"},
                {"name": "outage", "text": {"any": ["outage"]}, "urgency": "high", "flags": ["outage"]},
                {"name": "alerts", "channel": ["monitoring"], "tier": 3},
                {"name": "blocker", "evidence": {"priority": ["Blocker"]}, "urgency": "high", "confidence": 0.7},
            ],
            "defaults": {"impact": "low", "urgency": "low"},
            "abstain_below": 0.5,
        },
        "calendars": {},
        "owners": {"people": owner},
        "intake_duty": "people",
        "duty": "people",
        "queues": {"desk": {"title": "Desk", "support_model": "internal", "tier": 1, "owner_role": "people"}},
        "routing": {"duty_queue": "desk", "rules": [{"name": "all", "to": ["desk"]}]},
        "sla": {},
    }


def agreement(**classification: object) -> Agreement:
    """The small desk, parts of its `classification` replaced."""
    made = content()
    made["classification"] |= classification
    return Agreement.model_validate(made)


def published(made: Agreement, effective_at: datetime = MONDAY - timedelta(days=30)) -> Published:
    return Published(version=digest(made), effective_at=effective_at, approvals=[], agreement=made)


def policy(**classification: object) -> Policy:
    made = agreement(**classification)
    return Policy(digest(made), made)


def asked(title: str = "", text: str = "", **fields: Any) -> Asked:
    said: dict[str, Any] = {
        **dict.fromkeys(("kind", "priority", "impact", "urgency", "category", "service", "group")),
        "source": "jira",
        "channel": "portal",
        "vip": False,
        "title": title,
        "text": text,
        **fields,
    }
    return Asked(**said)


def normalized(
    title: str = "VPN drops",
    text: str = "",
    *,
    version: int = 1,
    at: datetime = MONDAY,
    ticket: str = TICKET,
    vip: bool = False,
    evidence: dict[str, str] | None = None,
    **fields: Any,
) -> TicketNormalized:
    source, instance, external = ticket.split(":")
    return TicketNormalized(
        ticket=ticket,
        decided_for=at,
        ticket_version=version,
        source_version=str(version),
        delivery=f"{ticket}-{version}",
        lifecycle="created" if version == 1 else "updated",
        changed=[],
        source=source,
        instance=instance,
        external_id=external,
        title=title,
        text=text,
        requester=Requester(vip=vip),
        evidence=Evidence(**(evidence or {})),
        received_at=at,
        **fields,
    )


def feedback(name: str, version: int | None, *, at: datetime = MONDAY, ticket: str = TICKET, **said: Any) -> Feedback:
    return Feedback(
        ticket=ticket, feedback_id=name, at=at, actor="Ada", side="company", classification_version=version, **said
    )


def record(value: Event | Feedback, at: datetime | None = None, topic: str | None = None) -> Record:
    """As the runtime hands it over."""
    is_event = isinstance(value, Event)
    instant = value.decided_for if isinstance(value, Event) else at or value.at
    return Record(
        topic=topic or (topics.NORMALIZED if is_event else topics.FEEDBACK),
        partition=0,
        offset=0,
        key=value.ticket.encode(),
        value=encode(value),
        headers={"ce_type": value.TYPE.encode(), "ce_id": cloudevents.ce_id(value).encode()}
        if isinstance(value, Event)
        else {},
        timestamp_ms=int(instant.timestamp() * 1000),
        instant=instant,
    )
