"""Each event type of each tool that ships ready: the bodies, written here after what the tools send, and what becomes
of them. The table of docs/guide/sources.md names the same events; a test holds the two together."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """source, event: as the guide's table names them. bodies: in the order they arrive, the last of them the event.
    expected: fields of the ticket after it, nested ones under dotted names; `comment` is the newest comment's."""

    source: str
    event: str
    bodies: list[dict[str, Any]]
    expected: dict[str, Any]


def changed(body: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """A copy with other values at dotted places; `...` takes a place away."""
    copied = copy.deepcopy(body)
    for place, value in changes:
        *above, last = place.split(".")
        inner: Any = copied
        for name in above:
            inner = inner[int(name)] if name.isdecimal() else inner.setdefault(name, {})
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    return copied


# --- ServiceNow

_SYS_ID = "9d385017c611228701d22104cc95c371"
SERVICENOW_RAW: dict[str, Any] = {
    "sys_id": _SYS_ID,
    "sys_class_name": "incident",
    "number": "INC0010007",
    "sys_mod_count": "1",
    "short_description": "Mail is slow",
    "description": "Every message\r\ntakes a minute.",
    "state": "1",
    "incident_state": "1",
    "hold_reason": "",
    "contact_type": "phone",
    "priority": "3",
    "impact": "2",
    "urgency": "2",
    "category": "software",
    "caller_id": {"link": "https://acme.service-now.example/api/now/table/sys_user/7", "value": "7" * 32},
    "assignment_group": {"link": "https://acme.service-now.example/api/now/table/sys_user_group/8", "value": "8" * 32},
    "assigned_to": "",
    "opened_at": "2026-03-02 07:00:00",
    "sys_updated_on": "2026-03-02 07:00:00",
    "active": "true",
    "calendar_stc": "1,000,000",
    "sla_due": "UNKNOWN",
}
_SN_URL = f"https://acme.service-now.example/nav_to.do?uri=%2Ftask.do%3Fsys_id%3D{_SYS_ID}"


def _servicenow(count: int, **fields: Any) -> dict[str, Any]:
    stamp = f"2026-03-02 08:{count:02}:00"
    return {"sys_id": _SYS_ID, "sys_mod_count": str(count), "sys_updated_on": stamp, **fields}


_SERVICENOW = [
    Told(
        "servicenow",
        "created, raw values",
        [SERVICENOW_RAW],
        {
            "ticket": f"servicenow:main:{_SYS_ID}",
            "url": _SN_URL,
            "lifecycle": "created",
            "kind": "incident",
            "channel": "phone",
            "title": "Mail is slow",
            "text": "Every message\ntakes a minute.",
            "status": "new",
            "evidence.priority": "P3",
            "evidence.impact": "medium",
            "evidence.urgency": "medium",
            "evidence.category": "software",
            "requester.name": "7" * 32,
            "group": "8" * 32,
            "assignee": None,
            "created_at": "2026-03-02T07:00:00Z",
            "updated_at": "2026-03-02T07:00:00Z",
            "source_version": "1",
        },
    ),
    Told(
        "servicenow",
        "created, wrapped in `result`",
        [{"result": SERVICENOW_RAW}],
        {"ticket": f"servicenow:main:{_SYS_ID}", "title": "Mail is slow", "kind": "incident"},
    ),
    Told(
        "servicenow",
        "created, with dot-walked names",
        [
            {
                "number": "INC0010008",
                "sys_mod_count": "0",
                "short_description": "Mail",
                "caller_id.name": "Ada Moss",
                "caller_id.email": {"display_value": "ada@corp.example", "value": "ada@corp.example"},
                "caller_id.vip": "true",
                "assignment_group.name": "Mail team",
                "assigned_to.name": "Ben Roy",
                "cmdb_ci.name": "mx1",
                "company.name": "ACME",
                "location.name": "Graz",
            }
        ],
        {
            "ticket": "servicenow:main:INC0010008",
            "kind": "incident",
            "requester": {
                "name": "Ada Moss",
                "address": "ada@corp.example",
                "site": "Graz",
                "language": None,
                "vip": True,
            },
            "group": "Mail team",
            "assignee": "Ben Roy",
            "configuration_item": "mx1",
            "customer": "ACME",
        },
    ),
    Told(
        "servicenow",
        "updated, some fields only",
        [SERVICENOW_RAW, _servicenow(2, state="2", incident_state="2", assigned_to="9" * 32)],
        {"title": "Mail is slow", "kind": "incident", "status": "open", "assignee": "9" * 32, "group": "8" * 32},
    ),
    Told(
        "servicenow",
        "updated, a field cleared",
        [SERVICENOW_RAW, _servicenow(2, assignment_group="", category=None)],
        {"group": None, "evidence.category": None, "title": "Mail is slow"},
    ),
    Told(
        "servicenow",
        "on hold, awaiting the caller",
        [SERVICENOW_RAW, _servicenow(3, state="3", incident_state="3", hold_reason="1")],
        {"status": "pending_customer", "lifecycle": "updated"},
    ),
    Told(
        "servicenow",
        "on hold, awaiting a vendor, display values",
        [SERVICENOW_RAW, _servicenow(3, state="On Hold", incident_state="On Hold", hold_reason="Awaiting Vendor")],
        {"status": "pending_vendor"},
    ),
    Told(
        "servicenow",
        "resolved",
        [SERVICENOW_RAW, _servicenow(4, state="6", incident_state="6")],
        {"status": "resolved", "lifecycle": "updated"},
    ),
    Told(
        "servicenow",
        "reopened",
        [SERVICENOW_RAW, _servicenow(4, incident_state="6"), _servicenow(5, incident_state="2")],
        {"status": "open", "lifecycle": "reopened"},
    ),
    Told(
        "servicenow",
        "closed",
        [SERVICENOW_RAW, _servicenow(6, state="7", incident_state="7")],
        {"status": "closed", "lifecycle": "ended"},
    ),
    Told(
        "servicenow",
        "commented",
        [
            SERVICENOW_RAW,
            _servicenow(
                7,
                comments={
                    "display_value": "2026-03-02 08:06:00 - Ada Moss (Additional comments)\nStill slow.\n\n",
                    "value": "",
                },
            ),
        ],
        {
            "comment": {
                "author": "Ada Moss",
                "visibility": "public",
                "text": "Still slow.",
                "at": "2026-03-02T08:06:00Z",
            }
        },
    ),
    Told(
        "servicenow",
        "commented, both journals in one",
        [
            SERVICENOW_RAW,
            _servicenow(
                7,
                comments_and_work_notes="2026-03-02 08:06:00 - Ben Roy (Work notes)\nQueue is full.\n\n"
                "2026-03-02 08:05:00 - Ada Moss (Additional comments)\nStill slow.\n\n",
            ),
        ],
        {"comment": {"author": "Ben Roy", "visibility": "internal", "text": "Queue is full."}},
    ),
    Told(
        "servicenow",
        "a request, a task, a change, a problem",
        [
            {"number": "RITM0000001", "sys_class_name": "sc_req_item", "sys_mod_count": "1", "state": "1"},
            {"number": "RITM0000001", "sys_class_name": "sc_req_item", "sys_mod_count": "2", "state": "3"},
        ],
        {"kind": "service_request", "status": "closed"},
    ),
    Told(
        "servicenow",
        "a date in a form that nobody named",
        [{"number": "INC9", "sys_mod_count": "1", "opened_at": "12/12/2016", "state": "1"}],
        {"created_at": None, "flags": ["unreadable:created_at"], "status": "new"},
    ),
]

# --- Jira and JSM

_PERSON = {"accountId": "557058:1", "displayName": "Cy Low", "accountType": "atlassian", "active": True}
JIRA: dict[str, Any] = {
    "timestamp": 1772445600000,
    "webhookEvent": "jira:issue_created",
    "issue_event_type_name": "issue_created",
    "user": _PERSON,
    "issue": {
        "id": "10041",
        "self": "https://acme.atlassian.example/rest/api/2/10041",
        "key": "IT-42",
        "fields": {
            "summary": "No sound",
            "description": "In all meetings.",
            "issuetype": {"id": "10005", "name": "[System] Incident", "subtask": False},
            "project": {"id": "1", "key": "IT", "name": "IT Desk"},
            "status": {"name": "Waiting for support", "statusCategory": {"key": "indeterminate"}},
            "priority": {"id": "2", "name": "High"},
            "reporter": {**_PERSON, "accountType": "customer", "emailAddress": "cy@corp.example", "locale": "de_DE"},
            "creator": _PERSON,
            "assignee": None,
            "components": [],
            "attachment": [],
            "issuelinks": [],
            "labels": [],
            "customfield_10010": {"requestType": {"id": "7", "name": "Report a fault"}},
            "created": "2026-03-02T03:00:00.000-0700",
            "updated": "2026-03-02T03:00:00.000-0700",
        },
    },
    "changelog": {"id": "100", "items": []},
}


def _jira(minute: int, event: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    stamp = f"2026-03-02T03:{minute:02}:00.000-0700"
    fixed = [("timestamp", 1772445600000 + minute * 60_000), ("webhookEvent", event), ("issue.fields.updated", stamp)]
    return changed(JIRA, *fixed, *changes)


def _jira_comment(minute: int, event: str, **comment: Any) -> dict[str, Any]:
    """As comment events come: few fields of the issue, no user, no changelog."""
    said = {
        "id": "501",
        "author": {"accountId": "a2", "displayName": "Di Ng", "accountType": "atlassian"},
        "body": "Which headset?",
        "created": f"2026-03-02T03:{minute:02}:00.000-0700",
        "jsdPublic": True,
        **comment,
    }
    issue = {"id": "10041", "self": JIRA["issue"]["self"], "key": "IT-42", "fields": {"summary": "No sound"}}
    return {"timestamp": 1772445600000 + minute * 60_000, "webhookEvent": event, "comment": said, "issue": issue}


ADF: dict[str, Any] = {
    "type": "doc",
    "version": 1,
    "content": [
        {
            "type": "paragraph",
            "content": [{"type": "text", "text": "Hello "}, {"type": "mention", "attrs": {"text": "@Di"}}],
        },
        {
            "type": "bulletList",
            "content": [
                {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": word}]}]}
                for word in ("headset", "speaker")
            ],
        },
        {
            "type": "paragraph",
            "content": [
                {
                    "type": "text",
                    "text": "log",
                    "marks": [{"type": "link", "attrs": {"href": "https://corp.example/log"}}],
                }
            ],
        },
        {"type": "codeBlock", "content": [{"type": "text", "text": "aplay -l"}]},
        {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "x", "type": "file"}}]},
    ],
}
_JIRA = [
    Told(
        "jira",
        "jira:issue_created",
        [JIRA],
        {
            "ticket": "jira:main:10041",
            "url": "https://acme.atlassian.example/browse/IT-42",
            "title": "No sound",
            "text": "In all meetings.",
            "kind": "incident",
            "channel": "portal",
            "status": "open",
            "evidence.priority": "P2",
            "evidence.category": "Report a fault",
            "requester": {
                "name": "Cy Low",
                "address": "cy@corp.example",
                "language": "de_DE",
                "site": None,
                "vip": False,
            },
            "customer": "IT Desk",
            "assignee": None,
            "created_at": "2026-03-02T10:00:00Z",
        },
    ),
    Told(
        "jira",
        "jira:issue_updated",
        [
            JIRA,
            _jira(
                5,
                "jira:issue_updated",
                ("issue.fields.assignee", {"displayName": "Di Ng"}),
                ("issue.fields.status", {"name": "Waiting for customer", "statusCategory": {"key": "indeterminate"}}),
                ("issue.fields.priority", {"name": "Highest"}),
            ),
        ],
        {"status": "pending_customer", "assignee": "Di Ng", "evidence.priority": "P1", "lifecycle": "updated"},
    ),
    Told(
        "jira",
        "jira:issue_updated, resolved",
        [
            JIRA,
            _jira(
                6,
                "jira:issue_updated",
                ("issue.fields.status", {"name": "Erledigt", "statusCategory": {"key": "done"}}),
            ),
        ],
        {"status": "resolved"},
    ),
    Told(
        "jira",
        "jira:issue_updated, reopened",
        [
            JIRA,
            _jira(
                6, "jira:issue_updated", ("issue.fields.status", {"name": "Done", "statusCategory": {"key": "done"}})
            ),
            _jira(
                7, "jira:issue_updated", ("issue.fields.status", {"name": "Reopened", "statusCategory": {"key": "new"}})
            ),
        ],
        {"status": "open", "lifecycle": "reopened"},
    ),
    Told(
        "jira",
        "jira:issue_deleted",
        [JIRA, _jira(8, "jira:issue_deleted")],
        {"status": "deleted", "lifecycle": "deleted"},
    ),
    Told(
        "jira",
        "comment_created",
        [JIRA, _jira_comment(9, "comment_created")],
        {
            "text": "In all meetings.",
            "status": "open",
            "comment": {
                "id": "501",
                "author": "Di Ng",
                "author_role": "agent",
                "visibility": "public",
                "text": "Which headset?",
                "at": "2026-03-02T10:09:00Z",
            },
        },
    ),
    Told(
        "jira",
        "comment_created, internal",
        [JIRA, _jira_comment(9, "comment_created", jsdPublic=False)],
        {"comment": {"visibility": "internal"}},
    ),
    Told(
        "jira",
        "comment_created, for one role only",
        [JIRA, _jira_comment(9, "comment_created", visibility={"type": "role", "value": "Administrators"})],
        {"comment": {"visibility": "internal"}},
    ),
    Told(
        "jira",
        "comment_created, an Atlassian document",
        [JIRA, _jira_comment(9, "comment_created", body=ADF)],
        {"comment": {"text": "Hello @Di\n- headset\n- speaker\nlog <https://corp.example/log>\naplay -l"}},
    ),
    Told(
        "jira",
        "comment_updated",
        [
            JIRA,
            _jira_comment(9, "comment_created"),
            {**_jira_comment(11, "comment_updated"), "comment": _jira_comment(9, "x", body="Which?")["comment"]},
        ],
        {"comment": {"id": "501", "text": "Which?", "at": "2026-03-02T10:09:00Z"}},
    ),
    Told(
        "jira",
        "comment_deleted",
        [JIRA, _jira_comment(9, "comment_created"), _jira_comment(12, "comment_deleted")],
        {"comments": []},
    ),
    Told(
        "jira",
        "jira:issue_updated, a server's comment",
        [
            JIRA,
            _jira(
                13,
                "jira:issue_updated",
                ("issue_event_type_name", "issue_commented"),
                (
                    "comment",
                    {
                        "id": "77",
                        "author": {"name": "ding", "displayName": "Di Ng"},
                        "body": "h2. Try this",
                        "created": "2026-03-02T03:13:00.000-0700",
                    },
                ),
            ),
        ],
        {"comment": {"id": "77", "author": "Di Ng", "visibility": "internal", "text": "h2. Try this"}},
    ),
    Told(
        "jira",
        "jira:issue_created, split from another",
        [
            changed(
                JIRA,
                (
                    "issue.fields.issuelinks",
                    [{"type": {"name": "Issue split"}, "inwardIssue": {"id": "10030", "key": "IT-31"}}],
                ),
            )
        ],
        {"split_from": "jira:main:10030", "lifecycle": "split"},
    ),
    Told(
        "jira",
        "an automation rule's body",
        [JIRA["issue"]],
        {"ticket": "jira:main:10041", "title": "No sound", "updated_at": "2026-03-02T10:00:00Z"},
    ),
]

# --- Zendesk

ZENDESK: dict[str, Any] = {
    "account_id": 9,
    "id": "0e6b6e3c-0000",
    "type": "zen:event-type:ticket.created",
    "time": "2026-03-02T10:00:00.692223355Z",
    "subject": "zen:ticket:24",
    "zendesk_event_version": "2022-11-06",
    "event": {"meta": {"sequence": {"id": "A", "position": 1, "total": 1}}},
    "detail": {
        "actor_id": "8447388090494",
        "assignee_id": None,
        "brand_id": "13467642",
        "created_at": "2026-03-02T10:00:00Z",
        "custom_status": None,
        "description": "It says no.",
        "external_id": None,
        "form_id": "9006002",
        "group_id": None,
        "id": "24",
        "is_public": True,
        "organization_id": None,
        "priority": None,
        "requester_id": "8447388090494",
        "status": "NEW",
        "subject": "Cannot log in",
        "submitter_id": "8447388090494",
        "tags": None,
        "type": None,
        "updated_at": "2026-03-02T10:00:00Z",
        "via": {"channel": "mail"},
    },
}


def _zendesk(minute: int, kind: str, event: dict[str, Any] | None = None, **detail: Any) -> dict[str, Any]:
    time = f"2026-03-02T10:{minute:02}:00Z"
    return {
        **ZENDESK,
        "id": f"0e6b6e3c-{kind}-{minute}",
        "type": f"zen:event-type:ticket.{kind}",
        "time": time,
        "event": {**ZENDESK["event"], **(event or {})},
        "detail": {**ZENDESK["detail"], "updated_at": time, **detail},
    }


_AGENT = {"id": "3", "is_staff": True, "name": "Di Ng"}
_ADDED = _zendesk(
    7, "comment_added", {"comment": {"id": "501", "body": "Try this", "is_public": True, "author": _AGENT}}
)
_FILE = {
    "id": "90",
    "filename": "screen.png",
    "content_type": "image/png",
    "content_url": "https://acme.zendesk.example/attachments/token/x/?name=screen.png",
    "is_public": True,
}
_ZENDESK = [
    Told(
        "zendesk",
        "ticket.created",
        [ZENDESK],
        {
            "ticket": "zendesk:main:24",
            "title": "Cannot log in",
            "text": "It says no.",
            "status": "new",
            "channel": "mail",
            "kind": None,
            "evidence.priority": None,
            "requester.name": "8447388090494",
            "created_at": "2026-03-02T10:00:00Z",
        },
    ),
    *(
        Told("zendesk", f"ticket.{kind}", [ZENDESK, _zendesk(5, kind, event, **detail)], expected)
        for kind, event, detail, expected in (
            (
                "status_changed",
                {"current": "PENDING", "previous": "NEW"},
                {"status": "PENDING"},
                {"status": "pending_customer"},
            ),
            (
                "custom_status_changed",
                {"current": "77"},
                {"custom_status": "77", "status": "HOLD"},
                {"status": "on_hold"},
            ),
            (
                "priority_changed",
                {"current": "URGENT", "previous": None},
                {"priority": "URGENT"},
                {"evidence.priority": "P1"},
            ),
            ("type_changed", {"current": "INCIDENT"}, {"type": "INCIDENT"}, {"kind": "incident"}),
            ("subject_changed", {"current": "No login"}, {"subject": "No login"}, {"title": "No login"}),
            ("description_changed", {"current": "It fails."}, {"description": "It fails."}, {"text": "It fails."}),
            ("agent_assignment_changed", {"current": "3"}, {"assignee_id": "3"}, {"assignee": "3"}),
            ("group_assignment_changed", {"current": "2468"}, {"group_id": "2468"}, {"group": "2468"}),
            ("organization_changed", {"current": "5"}, {"organization_id": "5"}, {"customer": "5"}),
            ("requester_changed", {"current": "44"}, {"requester_id": "44"}, {"requester.name": "44"}),
            ("tags_changed", {"tags_added": ["vpn"]}, {"tags": ["vpn"]}, {"changed": ["updated_at"]}),
            ("custom_field_changed", {"current": "x"}, {}, {"changed": ["updated_at"]}),
            (
                "merged",
                {"target_ticket_id": "21"},
                {"status": "CLOSED"},
                {"status": "merged", "lifecycle": "merged", "merged_into": "zendesk:main:21"},
            ),
            ("soft_deleted", {}, {"status": "DELETED"}, {"status": "deleted", "lifecycle": "deleted"}),
            ("permanently_deleted", {}, {"status": "DELETED"}, {"status": "deleted", "lifecycle": "deleted"}),
            ("marked_as_spam", {}, {"status": "NEW"}, {"status": "deleted", "lifecycle": "deleted"}),
        )
    ),
    Told(
        "zendesk",
        "ticket.undeleted",
        [ZENDESK, _zendesk(5, "soft_deleted", status="DELETED"), _zendesk(6, "undeleted", status="OPEN")],
        {"status": "open", "lifecycle": "reopened"},
    ),
    Told(
        "zendesk",
        "ticket.comment_added",
        [ZENDESK, _ADDED],
        {
            "comment": {
                "id": "501",
                "author": "Di Ng",
                "author_role": "agent",
                "visibility": "public",
                "text": "Try this",
            }
        },
    ),
    Told(
        "zendesk",
        "ticket.comment_made_private",
        [ZENDESK, _ADDED, _zendesk(8, "comment_made_private", {"comment": {"id": "501"}})],
        {"comment": {"id": "501", "author": "Di Ng", "visibility": "internal", "text": "Try this"}},
    ),
    Told(
        "zendesk",
        "ticket.comment_redacted",
        [ZENDESK, _ADDED, _zendesk(8, "comment_redacted", {"comment": {"id": "501"}})],
        {"comments": []},
    ),
    Told(
        "zendesk",
        "ticket.attachment_linked_to_comment",
        [ZENDESK, _zendesk(7, "attachment_linked_to_comment", {"comment": {"id": "501", "attachment": _FILE}}), _ADDED],
        {
            "attachments": [
                {
                    "name": "screen.png",
                    "url": "https://acme.zendesk.example/attachments/token/x/?name=screen.png",
                    "media_type": "image/png",
                    "size_bytes": None,
                }
            ],
            "comment": {"text": "Try this"},
        },
    ),
    Told(
        "zendesk",
        "ticket.attachment_redacted_from_comment",
        [
            ZENDESK,
            _zendesk(7, "attachment_linked_to_comment", {"comment": {"id": "501", "attachment": _FILE}}),
            _zendesk(9, "attachment_redacted_from_comment", {"comment": {"id": "501", "attachment": _FILE}}),
        ],
        {"attachments": []},
    ),
    Told(
        "zendesk",
        "messaging_ticket.message_added",
        [
            ZENDESK,
            {
                "id": "m1",
                "type": "zen:event-type:messaging_ticket.message_added",
                "time": "2026-03-02T10:09:00Z",
                "detail": {"id": "24"},
                "event": {
                    "actor": {"id": "8", "name": "Cy Low", "type": "end_user"},
                    "conversation_id": "c1",
                    "message": {"id": "msg-1", "body": "Are you there?"},
                },
            },
        ],
        {
            "title": "Cannot log in",
            "status": "new",
            "comment": {"id": "msg-1", "author_role": "customer", "visibility": "public", "text": "Are you there?"},
        },
    ),
]
_TRIGGER = {
    "ticket": {
        "id": "24",
        "title": "Help",
        "description": "----------------------------------------------\n\nCy, Mar 2, 2026\n\nIt says no.",
        "status": "Open",
        "priority": "Normal",
        "ticket_type": "Question",
        "via": "Web Form",
        "url": "https://acme.zendesk.example/agent/tickets/24",
        "requester": {"name": "Cy Low", "email": "cy@corp.example", "language": "English"},
        "organization": {"name": "ACME"},
        "assignee": {"name": "Di Ng"},
        "group": {"name": "Support"},
        "created_at_with_timestamp": "2026-03-02T10:00:00Z",
        "updated_at_with_timestamp": "2026-03-02T10:00:00Z",
    }
}
_TRIGGERS = [
    Told(
        "zendesk_triggers",
        "a trigger's body",
        [_TRIGGER],
        {
            "ticket": "zendesk_triggers:main:24",
            "title": "Help",
            "status": "open",
            "evidence.priority": "P3",
            "kind": "question",
            "channel": "portal",
            "requester.address": "cy@corp.example",
            "customer": "ACME",
            "assignee": "Di Ng",
            "group": "Support",
            "url": "https://acme.zendesk.example/agent/tickets/24",
            "updated_at": "2026-03-02T10:00:00Z",
        },
    ),
    Told(
        "zendesk_triggers",
        "solved, by an automation",
        [
            _TRIGGER,
            changed(
                _TRIGGER,
                ("ticket.status", "Solved"),
                ("ticket.priority", "-"),
                ("ticket.updated_at_with_timestamp", "2026-03-02T11:00:00Z"),
            ),
        ],
        {"status": "resolved", "evidence.priority": None},
    ),
]

# --- Freshworks

FRESHDESK: dict[str, Any] = {
    "freshdesk_webhook": {
        "ticket_id": 11,
        "ticket_subject": "Screen flickers",
        "ticket_description": "<div>Every <b>morning</b>.</div>",
        "ticket_url": "https://acme.freshdesk.example/helpdesk/tickets/11",
        "ticket_public_url": "https://acme.freshdesk.example/public/tickets/x",
        "ticket_status": "Open",
        "ticket_priority": "Low",
        "ticket_source": "Email",
        "ticket_ticket_type": "Incident",
        "ticket_requester_name": "Ed",
        "ticket_requester_email": "ed@corp.example",
        "ticket_company_name": "ACME",
        "ticket_agent_name": "Flo Ray",
        "ticket_group_name": "Hardware",
        "ticket_latest_public_comment": None,
        "triggered_event": "{ticket_action:created}",
    }
}
_FRESH = "freshdesk_webhook."
_FRESHWORKS = [
    Told(
        "freshdesk",
        "ticket_action:created",
        [FRESHDESK],
        {
            "ticket": "freshdesk:main:11",
            "url": "https://acme.freshdesk.example/helpdesk/tickets/11",
            "title": "Screen flickers",
            "text": "Every morning.",
            "status": "open",
            "evidence.priority": "P4",
            "channel": "mail",
            "kind": "incident",
            "requester.name": "Ed",
            "requester.address": "ed@corp.example",
            "customer": "ACME",
            "assignee": "Flo Ray",
            "group": "Hardware",
            "comments": [],
        },
    ),
    Told(
        "freshdesk",
        "status, priority, agent, group",
        [
            FRESHDESK,
            changed(
                FRESHDESK,
                (_FRESH + "ticket_status", "Waiting on Third Party"),
                (_FRESH + "ticket_priority", "Urgent"),
                (_FRESH + "ticket_agent_name", ""),
                (_FRESH + "triggered_event", "{status:{from:2,to:7}}"),
            ),
        ],
        {"status": "pending_vendor", "evidence.priority": "P1", "assignee": None, "group": "Hardware"},
    ),
    Told(
        "freshdesk",
        "reply_sent, note_type",
        [
            FRESHDESK,
            changed(
                FRESHDESK,
                (_FRESH + "ticket_latest_public_comment", "<div>Did you change the cable?</div>"),
                (_FRESH + "triggered_event", "{reply_sent:sent}"),
            ),
        ],
        {"comment": {"text": "Did you change the cable?", "visibility": "public"}},
    ),
    Told(
        "freshdesk",
        "ticket_action:delete",
        [FRESHDESK, changed(FRESHDESK, (_FRESH + "triggered_event", "{ticket_action:delete}"))],
        {"status": "deleted", "lifecycle": "deleted"},
    ),
    Told(
        "freshdesk",
        "Freshservice, impact and urgency",
        [
            {
                "freshservice_webhook": {
                    "ticket_id": "INC-7",
                    "ticket_subject": "Badge reader",
                    "ticket_description": "<p>Dead.</p>",
                    "ticket_status": "Pending",
                    "ticket_priority": "High",
                    "ticket_impact": "Medium",
                    "ticket_urgency": "High",
                    "ticket_type": "Incident",
                    "ticket_category": "Facilities",
                    "ticket_department_name": "Sales",
                    "ticket_source": "Phone",
                }
            }
        ],
        {
            "ticket": "freshdesk:main:INC-7",
            "evidence": {"priority": "P2", "impact": "medium", "urgency": "high", "category": "Facilities"},
            "customer": "Sales",
            "channel": "phone",
            "status": "pending_customer",
        },
    ),
    Told(
        "freshdesk",
        "the admin's own body",
        [
            {
                "id": 12,
                "subject": "Toner",
                "description": "<p>Empty</p>",
                "status": "Closed",
                "priority": 4,
                "updated_at": "2026-03-02T09:00:00Z",
            }
        ],
        {
            "ticket": "freshdesk:main:12",
            "title": "Toner",
            "text": "Empty",
            "status": "closed",
            "evidence.priority": "P1",
            "updated_at": "2026-03-02T09:00:00Z",
        },
    ),
]

# --- Zammad

_ZAMMAD_USER = {
    "id": 8,
    "login": "emily@corp.example",
    "email": "emily@corp.example",
    "firstname": "Emily",
    "lastname": "Adams",
    "vip": False,
    "organization": "ACME",
    "organization_id": 3,
    "roles": ["Customer"],
}
ZAMMAD: dict[str, Any] = {
    "ticket": {
        "id": 81,
        "number": "10081",
        "title": "Webhook test",
        "article_count": 1,
        "article_ids": [104],
        "create_article_sender": "Customer",
        "create_article_type": "phone",
        "customer": _ZAMMAD_USER,
        "group": {"id": 3, "name": "Service Desk"},
        "organization": {"id": 3, "name": "ACME"},
        "owner": {"id": 1, "login": "-", "firstname": "-", "lastname": "", "email": ""},
        "owner_id": 1,
        "priority": {"id": 2, "name": "2 normal"},
        "state": "new",
        "close_at": None,
        "pending_time": None,
        "created_at": "2026-03-02T08:00:00.282Z",
        "updated_at": "2026-03-02T08:00:00.333Z",
    },
    "article": {
        "id": 104,
        "ticket_id": 81,
        "body": 'No <b>tone</b>.<div><br></div><img src="/api/v1/ticket_attachment/81/104/174?view=inline">',
        "content_type": "text/html",
        "sender": "Customer",
        "type": "phone",
        "internal": False,
        "from": "Emily Adams <emily@corp.example>",
        "to": "Service Desk",
        "created_at": "2026-03-02T08:00:00.318Z",
        "attachments": [
            {
                "id": 174,
                "filename": "image1.jpeg",
                "size": "35574",
                "preferences": {"Content-Type": "image/jpeg"},
                "url": "https://zammad.corp.example/api/v1/ticket_attachment/81/104/174",
            }
        ],
    },
}


def _zammad(hour: int, *changes: tuple[str, Any]) -> dict[str, Any]:
    stamp = f"2026-03-02T{hour:02}:00:00.000Z"
    article = {
        **ZAMMAD["article"],
        "id": 100 + hour,
        "body": "On our way",
        "sender": "Agent",
        "type": "note",
        "internal": True,
        "from": "Gus Orr",
        "created_at": stamp,
        "attachments": [],
    }
    fixed = [("ticket.updated_at", stamp), ("ticket.article_count", 2), ("article", article)]
    return changed(ZAMMAD, *fixed, *changes)


_ZAMMAD = [
    Told(
        "zammad",
        "created",
        [ZAMMAD],
        {
            "ticket": "zammad:main:81",
            "title": "Webhook test",
            "text": "No tone.",
            "comments": [],
            "status": "new",
            "channel": "phone",
            "evidence.priority": "P3",
            "requester.name": "Emily Adams",
            "requester.address": "emily@corp.example",
            "customer": "ACME",
            "assignee": None,
            "group": "Service Desk",
            "attachments": [
                {
                    "name": "image1.jpeg",
                    "url": "https://zammad.corp.example/api/v1/ticket_attachment/81/104/174",
                    "media_type": "image/jpeg",
                    "size_bytes": 35574,
                }
            ],
            "created_at": "2026-03-02T08:00:00.282000Z",
        },
    ),
    Told(
        "zammad",
        "answered",
        [
            ZAMMAD,
            _zammad(
                9,
                ("ticket.state", "open"),
                (
                    "ticket.owner",
                    {"id": 5, "login": "gus", "firstname": "Gus", "lastname": "Orr", "email": "gus@corp.example"},
                ),
                (
                    "article.attachments",
                    [{"id": 175, "filename": "how.pdf", "url": "https://zammad.corp.example/a/175"}],
                ),
            ),
        ],
        {
            "text": "No tone.",
            "status": "open",
            "assignee": "Gus Orr",
            "comment": {"id": "109", "author": "Gus Orr", "author_role": "agent", "visibility": "internal"},
            "attachments": [
                {
                    "name": "image1.jpeg",
                    "url": "https://zammad.corp.example/api/v1/ticket_attachment/81/104/174",
                    "media_type": "image/jpeg",
                    "size_bytes": 35574,
                },
                {"name": "how.pdf", "url": "https://zammad.corp.example/a/175", "media_type": None, "size_bytes": None},
            ],
        },
    ),
    *(
        Told("zammad", f"state {state}", [ZAMMAD, _zammad(10, ("ticket.state", state))], {"status": status})
        for state, status in (
            ("pending reminder", "on_hold"),
            ("pending close", "resolved"),
            ("closed", "closed"),
            ("merged", "merged"),
        )
    ),
    Told(
        "zammad",
        "reopened by a follow-up",
        [ZAMMAD, _zammad(10, ("ticket.state", "closed")), _zammad(11, ("ticket.state", "open"))],
        {"status": "open", "lifecycle": "reopened"},
    ),
    Told(
        "zammad",
        "many nulls, no article",
        [
            ZAMMAD,
            {
                "ticket": {"id": 81, "updated_at": "2026-03-02T12:00:00Z", "organization": None, "state": "open"},
                "article": {},
            },
        ],
        {"title": "Webhook test", "requester.name": "Emily Adams", "customer": None, "status": "open"},
    ),
]

# --- GLPI

GLPI: dict[str, Any] = {
    "item": {
        "id": 42,
        "name": "Toner empty",
        "content": "&lt;p&gt;Room&lt;/p&gt;",
        "is_deleted": False,
        "category": {"id": 1, "name": "Printing", "completename": "Office > Printing"},
        "location": {"id": 2, "name": "R12"},
        "urgency": 4,
        "impact": 2,
        "priority": 3,
        "type": 2,
        "external_id": None,
        "request_type": {"id": 1, "name": "Helpdesk"},
        "status": {"id": 1, "name": "New"},
        "entity": {"id": 0, "name": "HQ", "completename": "HQ"},
        "team": [
            {"id": 5, "name": "ed", "type": "User", "role": "requester", "display_name": "Ed Lee"},
            {"id": 6, "name": "Print", "type": "Group", "role": "assigned"},
        ],
        "date_creation": "2026-03-02T08:00:00+01:00",
        "date": "2026-03-02T08:00:00+01:00",
        "date_mod": "2026-03-02T08:00:00+01:00",
    },
    "event": "new",
}
_GLPI_ITEM = changed(GLPI["item"], ("content", "<p>Room <b>12</b></p>"))
GLPI["item"] = _GLPI_ITEM


def _glpi(minute: int, event: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    return changed(GLPI, ("event", event), ("item.date_mod", f"2026-03-02T08:{minute:02}:00+01:00"), *changes)


def _glpi_child(minute: int, event: str, **child: Any) -> dict[str, Any]:
    parent = {**_GLPI_ITEM, "date_mod": f"2026-03-02T08:{minute:02}:00+01:00", "status": {"id": 2, "name": "Assigned"}}
    return {"item": child, "event": event, "parent_item": parent}


_FOLLOWUP = {
    "id": 25,
    "itemtype": "Ticket",
    "items_id": 42,
    "content": "<p>Which floor?</p>",
    "is_private": False,
    "user": {"id": 6, "name": "flo"},
    "request_type": {"id": 1, "name": "Helpdesk"},
    "date_creation": "2026-03-02T08:05:00+01:00",
    "date_mod": "2026-03-02T08:05:00+01:00",
}
_GLPI = [
    Told(
        "glpi",
        "new",
        [GLPI],
        {
            "ticket": "glpi:main:42",
            "title": "Toner empty",
            "text": "Room 12",
            "kind": "service_request",
            "channel": "portal",
            "status": "new",
            "evidence": {"priority": "P3", "impact": "low", "urgency": "high", "category": "Office > Printing"},
            "requester.name": "Ed Lee",
            "requester.site": "R12",
            "customer": "HQ",
            "group": "Print",
            "assignee": None,
            "created_at": "2026-03-02T07:00:00Z",
        },
    ),
    Told(
        "glpi",
        "update",
        [GLPI, _glpi(3, "update", ("item.status", {"id": 4, "name": "Pending"}), ("item.priority", 6))],
        {"status": "pending_customer", "evidence.priority": "P1"},
    ),
    Told("glpi", "update, solved", [GLPI, _glpi(3, "update", ("item.status", {"id": 5}))], {"status": "resolved"}),
    Told(
        "glpi",
        "update, closed",
        [GLPI, _glpi(3, "update", ("item.status", {"id": 6}))],
        {"status": "closed", "lifecycle": "ended"},
    ),
    Told("glpi", "delete", [GLPI, _glpi(4, "delete")], {"status": "deleted", "lifecycle": "deleted"}),
    Told(
        "glpi",
        "update, in the bin",
        [GLPI, _glpi(4, "update", ("item.is_deleted", True))],
        {"status": "deleted", "lifecycle": "deleted"},
    ),
    Told(
        "glpi",
        "ITILFollowup, new",
        [GLPI, _glpi_child(5, "new", **_FOLLOWUP)],
        {
            "ticket": "glpi:main:42",
            "title": "Toner empty",
            "text": "Room 12",
            "status": "open",
            "comment": {"id": "25", "author": "flo", "visibility": "public", "text": "Which floor?"},
        },
    ),
    Told(
        "glpi",
        "ITILFollowup, delete",
        [GLPI, _glpi_child(5, "new", **_FOLLOWUP), _glpi_child(6, "delete", **_FOLLOWUP)],
        {"comments": [], "status": "open"},
    ),
    Told(
        "glpi",
        "TicketTask, new",
        [
            GLPI,
            _glpi_child(
                7,
                "new",
                id=25,
                tickets_id=42,
                content="<p>Order toner</p>",
                is_private=True,
                state=1,
                duration=600,
                user={"name": "flo"},
                category={"id": 9, "name": "Purchase"},
            ),
        ],
        {
            "ticket": "glpi:main:42",
            "evidence.category": "Office > Printing",
            "comment": {"id": "task-25", "visibility": "internal", "text": "Order toner"},
        },
    ),
    Told(
        "glpi",
        "ITILSolution, new",
        [GLPI, _glpi_child(8, "new", id=25, itemtype="Ticket", items_id=42, content="<p>Replaced.</p>")],
        {"comment": {"id": "solution-25", "visibility": "public", "text": "Replaced."}},
    ),
    Told(
        "glpi",
        "TicketValidation, new",
        [
            GLPI,
            _glpi_child(
                9,
                "new",
                id=25,
                tickets_id=42,
                status=1,
                requester={"name": "flo"},
                approver={"name": "boss"},
                submission_comment="Please approve",
                approval_comment=None,
            ),
        ],
        {"status": "open", "comment": {"id": "validation-25", "visibility": "internal", "text": "Please approve"}},
    ),
]

# --- PagerDuty

_REFERENCE = {
    "html_url": "https://acme.pagerduty.example/incidents/Q1",
    "id": "Q1",
    "self": "https://api.pagerduty.example/incidents/Q1",
    "summary": "Checkout is slow",
    "type": "incident_reference",
}
PAGERDUTY: dict[str, Any] = {
    "event": {
        "id": "01BZ0",
        "event_type": "incident.triggered",
        "resource_type": "incident",
        "occurred_at": "2026-03-02T10:00:00.500Z",
        "agent": {"id": "P1", "type": "user_reference", "summary": "Hal"},
        "client": None,
        "data": {
            "id": "Q1",
            "type": "incident",
            "self": "https://api.pagerduty.example/incidents/Q1",
            "html_url": "https://acme.pagerduty.example/incidents/Q1",
            "number": 9,
            "status": "triggered",
            "incident_key": "k",
            "created_at": "2026-03-02T10:00:00Z",
            "title": "Checkout is slow",
            "service": {"id": "S1", "type": "service_reference", "summary": "Checkout"},
            "assignees": [{"id": "P2", "type": "user_reference", "summary": "Ivy"}],
            "escalation_policy": {"id": "E1", "summary": "Default"},
            "teams": [],
            "priority": None,
            "urgency": "high",
            "conference_bridge": None,
            "resolve_reason": None,
            "incident_type": {"name": "incident_default"},
        },
    }
}


def _pagerduty(minute: int, kind: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    fixed = [
        ("event.id", f"01BZ-{kind}-{len(str(changes))}"),
        ("event.event_type", kind),
        ("event.occurred_at", f"2026-03-02T10:{minute:02}:00.000Z"),
    ]
    return changed(PAGERDUTY, *fixed, *changes)


def _pagerduty_about(minute: int, kind: str, **data: Any) -> dict[str, Any]:
    return _pagerduty(minute, kind, ("event.data", {"incident": _REFERENCE, **data}))


_UNTOUCHED = {
    "title": "Checkout is slow",
    "status": "new",
    "created_at": "2026-03-02T10:00:00Z",
    "ticket": "pagerduty:main:Q1",
}
_PAGERDUTY = [
    Told(
        "pagerduty",
        "incident.triggered",
        [PAGERDUTY],
        {
            "ticket": "pagerduty:main:Q1",
            "url": "https://acme.pagerduty.example/incidents/Q1",
            "title": "Checkout is slow",
            "kind": "incident",
            "channel": "monitoring",
            "status": "new",
            "evidence.priority": None,
            "evidence.urgency": "high",
            "evidence.category": "incident_default",
            "service": "Checkout",
            "assignee": "Ivy",
            "group": "Default",
            "created_at": "2026-03-02T10:00:00Z",
            "updated_at": "2026-03-02T10:00:00.500000Z",
        },
    ),
    *(
        Told(
            "pagerduty",
            kind,
            [PAGERDUTY, _pagerduty(5, kind, *((f"event.data.{k}", v) for k, v in data.items()))],
            expected,
        )
        for kind, data, expected in (
            ("incident.acknowledged", {"status": "acknowledged"}, {"status": "open"}),
            ("incident.delegated", {"escalation_policy": {"summary": "Second line"}}, {"group": "Second line"}),
            ("incident.escalated", {"assignees": [{"summary": "Jo"}]}, {"assignee": "Jo"}),
            ("incident.reassigned", {"assignees": [{"summary": "Kim"}]}, {"assignee": "Kim"}),
            ("incident.priority_updated", {"priority": {"summary": "P1"}}, {"evidence.priority": "P1"}),
            ("incident.service_updated", {"service": {"summary": "Payments"}}, {"service": "Payments"}),
            ("incident.incident_type.changed", {"incident_type": {"name": "major"}}, {"evidence.category": "major"}),
            ("incident.resolved", {"status": "resolved"}, {"status": "resolved"}),
            (
                "incident.resolved, merged into another",
                {
                    "status": "resolved",
                    "resolve_reason": {"type": "merge_resolve_reason", "incident": {**_REFERENCE, "id": "Q0"}},
                },
                {"status": "merged", "lifecycle": "merged", "merged_into": "pagerduty:main:Q0"},
            ),
        )
    ),
    Told(
        "pagerduty",
        "incident.unacknowledged",
        [
            PAGERDUTY,
            _pagerduty(4, "incident.acknowledged", ("event.data.status", "acknowledged")),
            _pagerduty(5, "incident.unacknowledged"),
        ],
        {"status": "new"},
    ),
    Told(
        "pagerduty",
        "incident.reopened",
        [
            PAGERDUTY,
            _pagerduty(4, "incident.resolved", ("event.data.status", "resolved")),
            _pagerduty(5, "incident.reopened"),
        ],
        {"status": "new", "lifecycle": "reopened"},
    ),
    Told(
        "pagerduty",
        "incident.annotated",
        [
            PAGERDUTY,
            _pagerduty_about(
                6, "incident.annotated", id="N1", type="incident_note", content="rolled back", trimmed=False
            ),
        ],
        {**_UNTOUCHED, "comment": {"id": "N1", "author": "Hal", "visibility": "internal", "text": "rolled back"}},
    ),
    Told(
        "pagerduty",
        "incident.status_update_published",
        [
            PAGERDUTY,
            _pagerduty_about(
                6, "incident.status_update_published", id="U1", type="incident_status_update", message="We are on it"
            ),
        ],
        {**_UNTOUCHED, "comment": {"id": "U1", "visibility": "public", "text": "We are on it"}},
    ),
    *(
        Told(
            "pagerduty", kind, [PAGERDUTY, _pagerduty_about(6, kind, **data)], {**_UNTOUCHED, "changed": ["updated_at"]}
        )
        for kind, data in (
            ("incident.responder.added", {"type": "incident_responder", "user": {"summary": "Jo"}, "state": "pending"}),
            (
                "incident.responder.replied",
                {"type": "incident_responder", "user": {"summary": "Jo"}, "state": "accepted"},
            ),
            (
                "incident.conference_bridge.updated",
                {"type": "incident_conference_bridge", "conference_url": "https://x.example"},
            ),
            ("incident.custom_field_values.updated", {"type": "incident_field_values", "custom_fields": []}),
            ("incident.role.assigned", {"type": "incident_role_assignment", "user": {"summary": "Jo"}}),
            (
                "incident.workflow.started",
                {
                    "type": "incident_workflow_instance",
                    "id": "W",
                    "title": "Major",
                    "created_at": "2026-03-02T11:00:00Z",
                    "status": "started",
                },
            ),
            (
                "incident.workflow.completed",
                {"type": "incident_workflow_instance", "id": "W", "title": "Major", "status": "done"},
            ),
        )
    ),
]

# --- monitoring


def alerts(status: str, ends: str = "0001-01-01T00:00:00Z", **labels: str) -> dict[str, Any]:
    """A notification of two alerts, grouped."""
    alert = {
        "status": status,
        "labels": {
            "alertname": "DiskFull",
            "severity": "critical",
            "instance": "db1:9100",
            "team": "Storage",
            **labels,
        },
        "annotations": {"summary": "Disk is full", "description": "98 % used", "runbook_url": "https://corp.example/r"},
        "startsAt": "2026-03-02T08:00:00.123456789Z",
        "endsAt": ends,
        "generatorURL": "http://prometheus.corp.example/graph",
        "fingerprint": "aa",
    }
    other = changed(alert, ("fingerprint", "bb"), ("labels.instance", "db2:9100"))
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "relaydesk",
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {"alertname": "DiskFull"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.corp.example",
        "alerts": [alert, other],
    }


_RESOLVED = alerts("resolved", "2026-03-02T09:00:00Z")
_GRAFANA = changed(
    alerts("firing"),
    ("orgId", 1),
    ("title", "[FIRING:2]"),
    ("state", "alerting"),
    ("message", "**Firing**"),
    ("version", "1"),
    ("alerts.0.panelURL", "https://grafana.corp.example/d/x?viewPanel=1"),
    ("alerts.0.dashboardURL", "https://grafana.corp.example/d/x"),
    ("alerts.0.silenceURL", "https://grafana.corp.example/silence"),
    ("alerts.0.values", {"A": 98}),
    ("alerts.0.valueString", "[ var='A' value=98 ]"),
)
_MONITORING = [
    Told(
        "alertmanager",
        "firing",
        [alerts("firing")],
        {
            "external_id": "aa@2026-03-02T08:00:00.123456789Z",
            "url": "http://prometheus.corp.example/graph",
            "title": "Disk is full",
            "text": "98 % used",
            "kind": "incident",
            "channel": "monitoring",
            "status": "new",
            "evidence.urgency": "high",
            "evidence.category": "DiskFull",
            "configuration_item": "db1:9100",
            "group": "Storage",
            "created_at": "2026-03-02T08:00:00.123456Z",
        },
    ),
    Told(
        "alertmanager",
        "resolved",
        [alerts("firing"), _RESOLVED],
        {"status": "resolved", "updated_at": "2026-03-02T09:00:00Z", "lifecycle": "updated"},
    ),
    Told(
        "grafana",
        "firing",
        [_GRAFANA],
        {
            "ticket": "grafana:main:aa@2026-03-02T08:00:00.123456789Z",
            "url": "https://grafana.corp.example/d/x?viewPanel=1",
            "title": "Disk is full",
            "status": "new",
        },
    ),
    Told("grafana", "resolved", [_GRAFANA, _RESOLVED], {"status": "resolved"}),
]

# --- Opsgenie

_ALERT: dict[str, Any] = {
    "alertId": "052652ac-5d1c-464a-812a-7dd18bbfba8c",
    "message": "CPU high",
    "tags": ["os"],
    "tinyId": "23",
    "entity": "web1",
    "alias": "cpu",
    "createdAt": 1772445600000,
    "updatedAt": 1772445600000000001,
    "username": "jo@corp.example",
    "userId": "u",
    "description": "Over 90 % for ten minutes",
    "team": "Web",
    "responders": [{"id": "t", "type": "team", "name": "Web"}],
    "teams": ["8418d193"],
    "actions": [],
    "details": {"service": "Shop"},
    "priority": "P2",
    "source": "nagios",
}


def _opsgenie(minute: int, action: str, **alert: Any) -> dict[str, Any]:
    return {
        "action": action,
        "alert": {**_ALERT, "updatedAt": 1772445600000000001 + minute * 60_000_000_000, **alert},
        "source": {"name": "", "type": "web"},
        "integrationName": "Relaydesk",
        "integrationId": "4c3b",
        "integrationType": "Webhook",
    }


_OPSGENIE = [
    Told(
        "opsgenie",
        "Create",
        [_opsgenie(0, "Create")],
        {
            "ticket": "opsgenie:main:052652ac-5d1c-464a-812a-7dd18bbfba8c",
            "url": "https://app.opsgenie.com/alert/detail/052652ac-5d1c-464a-812a-7dd18bbfba8c",
            "title": "CPU high",
            "text": "Over 90 % for ten minutes",
            "status": "new",
            "kind": "incident",
            "channel": "monitoring",
            "evidence.priority": "P2",
            "service": "Shop",
            "configuration_item": "web1",
            "requester.name": "nagios",
            "group": "Web",
            "created_at": "2026-03-02T10:00:00Z",
        },
    ),
    *(
        Told("opsgenie", action, [_opsgenie(0, "Create"), _opsgenie(5, action, **alert)], expected)
        for action, alert, expected in (
            ("Acknowledge", {}, {"status": "open"}),
            ("UnAcknowledge", {}, {"status": "open"}),
            ("AssignOwnership", {"owner": "kim@corp.example"}, {"status": "open", "assignee": "kim@corp.example"}),
            ("TakeOwnership", {"owner": "jo@corp.example"}, {"status": "open", "assignee": "jo@corp.example"}),
            ("Snooze", {"snoozeEndDate": "2026-03-02"}, {"status": "on_hold"}),
            ("SnoozeEnded", {}, {"status": "open"}),
            ("AddTeam", {"team": "Network"}, {"group": "Network", "status": "new"}),
            ("AddResponder", {"responders": [{"type": "team", "name": "Db"}], "team": None}, {"group": "Db"}),
            ("AddTags", {"tags": ["os", "x"]}, {"status": "new", "changed": ["updated_at"]}),
            ("RemoveTags", {"tags": []}, {"status": "new", "changed": ["updated_at"]}),
            ("AddDetails", {"details": {"service": "Till"}}, {"service": "Till"}),
            ("UpdatePriority", {"priority": "P1", "oldPriority": "P2"}, {"evidence.priority": "P1"}),
            ("UpdateMessage", {"message": "CPU at 100 %", "oldMessage": "CPU high"}, {"title": "CPU at 100 %"}),
            ("UpdateDescription", {"description": "Worse", "oldDescription": ""}, {"text": "Worse"}),
            ("Escalate", {}, {"status": "new", "changed": ["updated_at"]}),
            ("EscalateNext", {}, {"status": "new", "changed": ["updated_at"]}),
            (
                "AddNote",
                {"note": "looking", "username": "jo@corp.example"},
                {
                    "comment": {"text": "looking", "author": "jo@corp.example", "visibility": "internal"},
                    "status": "new",
                },
            ),
            ("Close", {"note": "fixed"}, {"status": "closed", "lifecycle": "ended", "comment": {"text": "fixed"}}),
            ("Delete", {}, {"status": "deleted", "lifecycle": "deleted"}),
        )
    ),
]

# --- Znuny

ZNUNY: dict[str, Any] = {
    "Ticket": {
        "TicketID": "42",
        "TicketNumber": "2026030210000012",
        "Title": "Monitor",
        "State": "new",
        "StateType": "new",
        "Priority": "3 normal",
        "Queue": "Desk",
        "Owner": "root@localhost",
        "Responsible": "root@localhost",
        "CustomerUserID": "lee",
        "CustomerID": "ACME",
        "Type": "Incident",
        "Service": "Workplace",
        "Lock": "unlock",
        "Created": "2026-03-02 08:00:00",
        "Changed": "2026-03-02 08:00:00",
        "Article": [
            {
                "ArticleID": "7",
                "Body": "It is black.",
                "From": "Lee <lee@corp.example>",
                "SenderType": "customer",
                "CommunicationChannel": "Email",
                "IsVisibleForCustomer": "1",
                "CreateTime": "2026-03-02 08:00:00",
            }
        ],
    },
    "Event": {"Event": "TicketCreate", "TicketID": "42"},
}


def _znuny(minute: int, event: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    fixed = [("Event.Event", event), ("Ticket.Changed", f"2026-03-02 08:{minute:02}:00"), ("Ticket.Article", ...)]
    return changed(ZNUNY, *fixed, *changes)


_ZNUNY = [
    Told(
        "znuny",
        "TicketCreate",
        [ZNUNY],
        {
            "ticket": "znuny:main:42",
            "title": "Monitor",
            "text": "It is black.",
            "comments": [],
            "status": "new",
            "channel": "mail",
            "kind": "incident",
            "evidence.priority": "P3",
            "group": "Desk",
            "assignee": None,
            "customer": "ACME",
            "service": "Workplace",
            "requester.name": "lee",
            "created_at": "2026-03-02T08:00:00Z",
        },
    ),
    *(
        Told("znuny", event, [ZNUNY, _znuny(5, event, *((f"Ticket.{k}", v) for k, v in ticket.items()))], expected)
        for event, ticket, expected in (
            ("TicketStateUpdate", {"State": "closed successful", "StateType": "closed"}, {"status": "closed"}),
            (
                "TicketPendingTimeUpdate",
                {"State": "pending reminder", "StateType": "pending reminder"},
                {"status": "on_hold"},
            ),
            ("TicketQueueUpdate", {"Queue": "Network"}, {"group": "Network"}),
            ("TicketPriorityUpdate", {"Priority": "5 very high"}, {"evidence.priority": "P1"}),
            ("TicketOwnerUpdate", {"Owner": "kim"}, {"assignee": "kim"}),
            ("TicketTitleUpdate", {"Title": "Black monitor"}, {"title": "Black monitor", "text": "It is black."}),
            ("TicketTypeUpdate", {"Type": "Problem"}, {"kind": "problem"}),
            ("TicketServiceUpdate", {"Service": "Print"}, {"service": "Print"}),
            ("TicketCustomerUpdate", {"CustomerID": "Beta"}, {"customer": "Beta"}),
            ("TicketDelete", {}, {"status": "deleted", "lifecycle": "deleted"}),
        )
    ),
    Told(
        "znuny",
        "ArticleCreate",
        [
            ZNUNY,
            _znuny(
                6,
                "ArticleCreate",
                (
                    "Ticket.Article",
                    {
                        "ArticleID": "8",
                        "Body": "Cable?",
                        "From": "Kim",
                        "SenderType": "agent",
                        "IsVisibleForCustomer": "0",
                        "CreateTime": "2026-03-02 08:06:00",
                    },
                ),
            ),
        ],
        {"comment": {"id": "8", "author": "Kim", "author_role": "agent", "visibility": "internal", "text": "Cable?"}},
    ),
    Told(
        "znuny",
        "TicketMerge",
        [
            ZNUNY,
            _znuny(
                7,
                "TicketMerge",
                ("Ticket.StateType", "merged"),
                ("Ticket.State", "merged"),
                ("Event.MainTicketID", "40"),
            ),
        ],
        {"status": "merged", "lifecycle": "merged", "merged_into": "znuny:main:40"},
    ),
]

_GENERIC = [
    Told(
        "generic",
        "any",
        [{"id": 1, "title": "A", "status": "open"}, {"id": 1, "status": "merged", "merged_into": 2}],
        {"title": "A", "status": "merged", "lifecycle": "merged", "merged_into": "generic:main:2"},
    ),
    Told(
        "generic",
        "split",
        [{"id": 3, "title": "B", "split_from": 1}],
        {"split_from": "generic:main:1", "lifecycle": "split"},
    ),
]

EVENTS: list[Told] = [
    *_SERVICENOW,
    *_JIRA,
    *_ZENDESK,
    *_TRIGGERS,
    *_FRESHWORKS,
    *_ZAMMAD,
    *_GLPI,
    *_PAGERDUTY,
    *_MONITORING,
    *_OPSGENIE,
    *_ZNUNY,
    *_GENERIC,
]
