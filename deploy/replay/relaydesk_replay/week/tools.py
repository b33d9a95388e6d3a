"""How each ITSM tool would send a ticket's state: fresh bodies in the shapes that vendors document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

CET = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ticket as its tool knows it at one moment. number: counted for each tool. version: from 0. status: new, open,
    pending, resolved, closed. comment: (author, whether the customer, text) written with this very change, if one was.
    at: of this change."""

    number: int
    version: int
    status: str
    title: str
    text: str
    language: str
    kind: str
    impact: str
    urgency: str
    requester: str
    site: str
    created: datetime
    at: datetime
    html: bool = False
    topic: str = ""
    comment: tuple[str, bool, str] | None = None
    comments: tuple[tuple[datetime, str, bool, str], ...] = field(default=())

    def later(self, at: datetime, **changes: Any) -> Snapshot:
        """The next version; a comment among the changes joins the earlier ones."""
        comment = changes.get("comment")
        known = self.comments if comment is None else (*self.comments, (at, *comment))
        return replace(self, **{"comment": None, **changes}, at=at, version=self.version + 1, comments=known)

    @property
    def address(self) -> str:
        return self.requester.split()[0].lower() + "@example.com"


def _html(text: str, name: str) -> str:
    return (
        f"<html><body><p>{text.replace('&', '&amp;').replace('<', '&lt;')}</p><p>--<br>{name}<br>"
        '<img src="https://mail.example.com/pixel.gif" width="1" height="1"></p>'
        "<blockquote>&gt; From: Service Desk<br>&gt; How can we help?</blockquote></body></html>"
    )


def _text(snapshot: Snapshot) -> str:
    return _html(snapshot.text, snapshot.requester) if snapshot.html else snapshot.text


def servicenow(s: Snapshot) -> Any:
    """An `incident` record, every field as {display_value, value}; comments newest first, in the display value
    alone."""
    state = {
        "new": ("1", "New"),
        "open": ("2", "In Progress"),
        "pending": ("3", "On Hold"),
        "resolved": ("6", "Resolved"),
        "closed": ("7", "Closed"),
    }
    level = {"high": ("1", "1 - High"), "medium": ("2", "2 - Medium"), "low": ("3", "3 - Low")}

    def both(value: str, display: str | None = None) -> dict[str, str]:
        return {"display_value": value if display is None else display, "value": value}

    journal = "\n\n".join(
        f"{at:%Y-%m-%d %H:%M:%S} - {author} (Additional comments)\n{text}"
        for at, author, _, text in reversed(s.comments)
    )
    return {
        "sys_id": both(hashlib.md5(f"sn{s.number}".encode(), usedforsecurity=False).hexdigest()),
        "number": both(f"INC{s.number:07d}"),
        "sys_mod_count": both(str(s.version)),
        "state": both(*state[s.status]),
        "impact": both(*level[s.impact]),
        "urgency": both(*level[s.urgency]),
        "short_description": both(s.title),
        "description": both(_text(s)),
        "caller_id": {
            "display_value": s.requester,
            "value": hashlib.md5(s.requester.encode(), usedforsecurity=False).hexdigest(),
        },
        "location": both(s.site),
        "contact_type": both("email" if s.html else "self-service"),
        "assignment_group": both("", ""),
        "comments": {"display_value": journal, "value": ""},
        "opened_at": both(f"{s.created:%Y-%m-%d %H:%M:%S}", f"{s.created + CET:%d.%m.%Y %H:%M:%S}"),
        "sys_created_on": both(f"{s.created:%Y-%m-%d %H:%M:%S}", f"{s.created + CET:%d.%m.%Y %H:%M:%S}"),
        "sys_updated_on": both(f"{s.at:%Y-%m-%d %H:%M:%S}", f"{s.at + CET:%d.%m.%Y %H:%M:%S}"),
    }


def jira(s: Snapshot) -> Any:
    """A JSM webhook: issue events, and comment events that carry few fields."""
    status = {
        "new": ("Open", "new"),
        "open": ("In Progress", "indeterminate"),
        "pending": ("Waiting for customer", "indeterminate"),
        "resolved": ("Resolved", "done"),
        "closed": ("Closed", "done"),
    }
    name, category = status[s.status]
    priority = {"high": "High", "medium": "Medium", "low": "Low"}[s.urgency]

    def stamp(at: datetime) -> str:
        return f"{at + CET:%Y-%m-%dT%H:%M:%S}.000+0100"

    fields: dict[str, Any] = {
        "summary": s.title,
        "status": {"name": name, "statusCategory": {"key": category}},
        "updated": stamp(s.at),
        "created": stamp(s.created),
        "project": {"key": "HELP"},
    }
    event = "jira:issue_created" if s.version == 0 else "jira:issue_updated"
    body: dict[str, Any] = {
        "timestamp": int(s.at.timestamp() * 1000),
        "webhookEvent": event,
        "issue": {
            "id": str(10_000 + s.number),
            "key": f"HELP-{s.number}",
            "self": f"https://jira.example.com/rest/api/2/issue/{10_000 + s.number}",
            "fields": fields,
        },
    }
    if s.comment is not None:
        author, _, text = s.comment
        body["webhookEvent"] = "comment_created"
        body["comment"] = {
            "id": str(s.number * 100 + s.version),
            "author": {"displayName": author},
            "body": text,
            "created": stamp(s.at),
            "jsdPublic": True,
        }
        return body
    fields |= {
        "description": s.text,
        "priority": {"name": priority},
        "issuetype": {"name": {"incident": "Incident", "question": "Question"}.get(s.kind, "Service Request")},
        "reporter": {"displayName": s.requester, "emailAddress": s.address},
        "labels": [],
        "assignee": None,
    }
    body["issue_event_type_name"] = "issue_created" if s.version == 0 else "issue_generic"
    body["user"] = {"displayName": s.requester}
    if s.version:
        body["changelog"] = {"id": str(s.number * 100 + s.version), "items": [{"field": "status", "toString": name}]}
    return body


def zendesk(s: Snapshot) -> Any:
    """A ticket event, with the whole ticket under `detail`."""
    status = {"new": "NEW", "open": "OPEN", "pending": "PENDING", "resolved": "SOLVED", "closed": "CLOSED"}[s.status]
    kind = "created" if s.version == 0 else "comment_added" if s.comment else "status_changed"
    event: dict[str, Any] = {}
    if s.comment is not None:
        author, customer, text = s.comment
        event = {
            "comment": {
                "id": f"{s.number}{s.version:03d}",
                "body": text,
                "is_public": True,
                "author": {"name": author, "is_staff": not customer},
            }
        }
    return {
        "account_id": 4711,
        "id": hashlib.md5(f"zd{s.number}/{s.version}".encode(), usedforsecurity=False).hexdigest(),
        "type": f"zen:event-type:ticket.{kind}",
        "subject": f"zen:ticket:{s.number}",
        "time": f"{s.at:%Y-%m-%dT%H:%M:%SZ}",
        "zendesk_event_version": "2022-06-20",
        "event": event,
        "detail": {
            "id": str(s.number),
            "subject": s.title,
            "description": _text(s),
            "status": status,
            "priority": {"high": "HIGH", "medium": "NORMAL", "low": None}[s.urgency],
            "type": {"incident": "incident", "question": "question"}.get(s.kind, "task"),
            "tags": [],
            "requester_id": str(9_000 + sum(map(ord, s.requester))),
            "group_id": None,
            "assignee_id": None,
            "is_public": True,
            "via": {"channel": "mail" if s.html else "web"},
            "created_at": f"{s.created:%Y-%m-%dT%H:%M:%SZ}",
            "updated_at": f"{s.at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "meta": {"sequence": {"id": f"{s.number}", "position": s.version + 1}},
    }


def zammad(s: Snapshot) -> Any:
    """Ticket and article, expanded, with the nulls that Zammad sends."""
    state = {"new": "new", "open": "open", "pending": "pending reminder", "resolved": "closed", "closed": "closed"}[
        s.status
    ]
    priority = {"high": (3, "3 high"), "medium": (2, "2 normal"), "low": (1, "1 low")}[s.urgency]
    first, _, last = s.requester.partition(" ")
    author, customer, text = s.comment or (s.requester, True, _text(s))
    return {
        "ticket": {
            "id": s.number,
            "number": f"{67_000 + s.number}",
            "title": s.title,
            "state": state,
            "priority": {"id": priority[0], "name": priority[1]},
            "group": {"id": 1, "name": "Users"},
            "owner": None,
            "organization": None,
            "note": None,
            "customer": {"firstname": first, "lastname": last, "email": s.address, "vip": False},
            "created_at": f"{s.created:%Y-%m-%dT%H:%M:%S}.000Z",
            "updated_at": f"{s.at:%Y-%m-%dT%H:%M:%S}.000Z",
        },
        "article": {
            "id": s.number * 100 + s.version,
            "from": author,
            "sender": "Customer" if customer else "Agent",
            "subject": s.title,
            "body": text,
            "content_type": "text/html" if s.html and s.comment is None else "text/plain",
            "internal": False,
            "type": "email" if s.html else "web",
            "created_at": f"{s.at:%Y-%m-%dT%H:%M:%S}.000Z",
        },
    }


def alertmanager(s: Snapshot) -> Any:
    """One alert of version 4, firing or resolved; year 1 means still open."""
    firing = s.status not in ("resolved", "closed")
    name = hashlib.md5(f"am{s.number}".encode(), usedforsecurity=False).hexdigest()[:16]
    alert = {
        "status": "firing" if firing else "resolved",
        "labels": {"alertname": s.title, "severity": "critical" if s.urgency == "high" else "warning", "site": s.site},
        "annotations": {"summary": s.title, "description": s.text},
        "startsAt": f"{s.created:%Y-%m-%dT%H:%M:%S}.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z" if firing else f"{s.at:%Y-%m-%dT%H:%M:%S}.5Z",
        "generatorURL": "https://prometheus.example.com/graph",
        "fingerprint": name,
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{s.title}"}}',
        "status": alert["status"],
        "receiver": "relaydesk",
        "groupLabels": {"alertname": s.title},
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
        "externalURL": "https://alertmanager.example.com",
        "alerts": [alert],
    }


def generic(s: Snapshot) -> Any:
    """A plain JSON ticket."""
    return {
        "id": f"R-{s.number}",
        "version": s.version,
        "title": s.title,
        "text": s.text,
        "status": {"pending": "pending_customer"}.get(s.status, s.status),
        "kind": s.kind,
        "impact": s.impact,
        "urgency": s.urgency,
        "requester": {"name": s.requester, "address": s.address, "language": s.language, "site": s.site},
        "comments": [
            {
                "id": f"{s.number}-{place}",
                "author": author,
                "author_role": "customer" if customer else "agent",
                "visibility": "public",
                "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "text": text,
            }
            for place, (at, author, customer, text) in enumerate(s.comments)
        ],
        "created_at": f"{s.created:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": f"{s.at:%Y-%m-%dT%H:%M:%SZ}",
    }


TOOLS: dict[str, Callable[[Snapshot], Any]] = {
    "servicenow": servicenow,
    "jira": jira,
    "zendesk": zendesk,
    "zammad": zammad,
    "alertmanager": alertmanager,
    "generic": generic,
}


def body(tool: str, snapshot: Snapshot) -> bytes:
    return msgspec.json.encode(TOOLS[tool](snapshot))
