"""Every tool that ships ready, each of its kinds of events, field by field. The bodies were written here."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ticket_intake import documents
from ticket_intake.domain import instants, merge
from ticket_intake.domain.errors import NotUnderstood

RECEIVED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHARED = Path(__file__).parents[4] / "shared" / "samples"


def read(source: str, *bodies: dict[str, Any], part: int = 0) -> dict[str, Any]:
    """The ticket after these bodies, as builtins; nested fields under dotted names too."""
    compiled = documents.load(source).compile()
    state, ticket, event = merge.EMPTY, "", None
    for arrival, body in enumerate(bodies):
        ticket = compiled.tickets(body)[part]
        received = instants.of_datetime(RECEIVED) + arrival
        update = compiled.read(body, msgspec.json.encode(body), part, None, received)
        merged = merge.merge(state, update, lambda title, text: None)
        if merged.state is None or merged.duplicate is not None:
            state = merged.state or state
            continue
        state = merged.state
        event = merge.normalized(
            state,
            merged,
            ticket=ticket,
            source=source,
            instance=update.instance,
            external_id=update.external_id,
            delivery="d",
            received=instants.of_datetime(RECEIVED),
            version_is_time=compiled.version_is_time,
        )
    assert event is not None
    built: dict[str, Any] = msgspec.to_builtins(event)
    return {**built, **{f"{a}.{b}": v for a in ("requester", "evidence") for b, v in built[a].items()}}


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: found[name] for name in expected} == expected


# --- ServiceNow, in its three encodings

SERVICENOW = {
    "ticket": "servicenow:main:9d385017c611228701d22104cc95c371",
    "source_version": "7",
    "title": "Cannot reach the file share",
    "text": "Since this morning:\n\naccess denied",
    "kind": "incident",
    "channel": "portal",
    "status": "pending_customer",
    "evidence.priority": "P2",
    "evidence.impact": "high",
    "evidence.urgency": "medium",
    "evidence.category": "Network",
    "requester.name": "Ada Moss",
    "configuration_item": "FileServer01",
    "service": "File services",
    "assignee": "Ben Roy",
    "group": "Storage",
    "created_at": "2026-03-02T07:07:31Z",
    "updated_at": "2026-03-02T09:30:00Z",
}
_DISPLAY = {
    "sys_id": "9d385017c611228701d22104cc95c371",
    "number": "INC0010001",
    "sys_mod_count": "7",
    "short_description": "Cannot reach the file share",
    "description": "<p>Since this morning:</p><p>access denied</p>",
    "state": "On Hold",
    "incident_state": "Awaiting User Info",
    "contact_type": "Self-service",
    "priority": "2 - High",
    "impact": "1 - High",
    "urgency": "2 - Medium",
    "category": "Network",
    "caller_id": "Ada Moss",
    "cmdb_ci": "FileServer01",
    "business_service": "File services",
    "assigned_to": "Ben Roy",
    "assignment_group": "Storage",
    "opened_at": "02.03.2026 7:07:31",
    "sys_updated_on": "02.03.2026 9:30:00",
    "sla_due": "UNKNOWN",
    "active": "true",
    "business_duration": "1970-01-01 02:00:00",
    "comments": "",
}
_RAW = {
    **_DISPLAY,
    "state": "3",
    "incident_state": "",
    "hold_reason": "1",
    "contact_type": "self-service",
    "priority": "2",
    "impact": "1",
    "urgency": "2",
    "opened_at": "2026-03-02 07:07:31",
    "sys_updated_on": "2026-03-02 09:30:00",
}
_REFERENCES = ("caller_id", "cmdb_ci", "business_service", "assigned_to", "assignment_group")
_BOTH = {
    name: {"display_value": _DISPLAY[name], "value": value} for name, value in _RAW.items() if name in _DISPLAY
} | {
    "hold_reason": {"display_value": "Awaiting Caller", "value": "1"},
    **{
        name: {"display_value": _DISPLAY[name], "value": "a" * 32, "link": "https://x.example/1"}
        for name in _REFERENCES
    },
}


def test_servicenow_display_values() -> None:
    check(read("servicenow", _DISPLAY), SERVICENOW)


def test_servicenow_both_values() -> None:
    check(read("servicenow", _BOTH), SERVICENOW)


def test_servicenow_raw_values() -> None:
    links = {name: {"link": "https://x.example/api/now/table/sys_user/1", "value": "a" * 32} for name in _REFERENCES}
    found = read("servicenow", {**_RAW, **links})
    named = {"requester.name", "configuration_item", "service", "assignee", "group"}
    check(found, {name: value for name, value in SERVICENOW.items() if name not in named})
    assert found["group"] == "a" * 32  # raw references hold the record's id, and nothing else


def test_servicenow_journals_have_one_entry_per_comment() -> None:
    journal = (
        "2026-03-02 09:05:00 - Ada Moss (Additional comments)\nStill broken.\n\n"
        "2026-03-02 08:00:00 - Ben Roy (Additional comments)\nOn it.\n\n"
    )
    notes = "2026-03-02 09:06:00 - Ben Roy (Work notes)\nDisk is full.\n\n"

    def shown(text: str) -> dict[str, str]:
        return {"display_value": text, "value": ""}

    found = read("servicenow", {**_RAW, "comments": shown(journal), "work_notes": shown(notes)})
    assert [(c["author"], c["visibility"], c["text"]) for c in found["comments"]] == [
        ("Ben Roy", "public", "On it."),
        ("Ada Moss", "public", "Still broken."),
        ("Ben Roy", "internal", "Disk is full."),
    ]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        *(("1", "new"), ("2", "open"), ("3", "on_hold"), ("6", "resolved"), ("7", "closed"), ("8", "closed")),
        *(("New", "new"), ("Active", "open"), ("Awaiting Vendor", "pending_vendor"), ("Awaiting Problem", "on_hold")),
        *(("Awaiting Evidence", "on_hold"), ("Resolved", "resolved"), ("Closed", "closed"), ("Canceled", "closed")),
    ],
)
def test_servicenow_states(state: str, status: str) -> None:
    assert read("servicenow", {"number": "INC1", "incident_state": state})["status"] == status


def test_servicenow_empty_reference_clears() -> None:
    found = read(
        "servicenow",
        _RAW,
        {
            "sys_id": _RAW["sys_id"],
            "sys_mod_count": "8",
            "assigned_to": "",
            "cmdb_ci": {"display_value": "", "value": ""},
        },
    )
    check(found, {"assignee": None, "configuration_item": None, "group": "Storage"})


# --- Jira

_ISSUE = {
    "id": "10040",
    "self": "https://desk.atlassian.example/rest/api/2/issue/10040",
    "key": "IT-41",
    "fields": {
        "summary": "Mail does not arrive",
        "description": "Nothing since *Monday*.",
        "issuetype": {"name": "[System] Incident"},
        "project": {"key": "IT", "name": "IT Desk"},
        "status": {"name": "In Progress", "statusCategory": {"key": "indeterminate"}},
        "priority": {"name": "Highest"},
        "reporter": {"accountId": "r1", "displayName": "Cy Low", "emailAddress": "cy@corp.example"},
        "assignee": {"accountId": "a1", "displayName": "Di Ng"},
        "components": [{"name": "Mail"}],
        "attachment": [
            {
                "filename": "log.txt",
                "content": "https://desk.atlassian.example/a/1",
                "mimeType": "text/plain",
                "size": 12,
            }
        ],
        "created": "2026-03-01T09:00:00.000-0700",
        "updated": "2026-03-02T03:00:00.000-0700",
        "customfield_10011": None,
    },
}
_JIRA = {
    "timestamp": 1772445600000,
    "webhookEvent": "jira:issue_created",
    "issue": _ISSUE,
    "changelog": {"id": "88", "items": []},
}


def test_jira_issue() -> None:
    check(
        read("jira", _JIRA),
        {
            "ticket": "jira:main:10040",
            "url": "https://desk.atlassian.example/browse/IT-41",
            "title": "Mail does not arrive",
            "text": "Nothing since *Monday*.",
            "kind": "incident",
            "channel": "portal",
            "status": "open",
            "evidence.priority": "P1",
            "evidence.category": "Mail",
            "requester.name": "Cy Low",
            "requester.address": "cy@corp.example",
            "customer": "IT Desk",
            "assignee": "Di Ng",
            "attachments": [
                {
                    "name": "log.txt",
                    "url": "https://desk.atlassian.example/a/1",
                    "media_type": "text/plain",
                    "size_bytes": 12,
                }
            ],
            "created_at": "2026-03-01T16:00:00Z",
            "updated_at": "2026-03-02T10:00:00Z",
            "source_version": "2026-03-02T10:00:00Z.88",
        },
    )


def test_jira_comment_with_few_fields_and_no_user_leaves_the_rest() -> None:
    comment = {
        "timestamp": 1772445700000,
        "webhookEvent": "comment_created",
        "comment": {
            "id": "7",
            "author": {"accountId": "r1", "displayName": "Cy Low", "accountType": "customer"},
            "body": "Any news?",
            "created": "2026-03-02T03:01:40.000-0700",
            "jsdPublic": True,
        },
        "issue": {"id": "10040", "key": "IT-41", "fields": {"summary": "Mail does not arrive", "assignee": None}},
    }
    found = read("jira", _JIRA, comment)
    check(
        found,
        {
            "text": "Nothing since *Monday*.",
            "assignee": None,
            "status": "open",
            "changed": ["comments", "assignee", "updated_at"],
        },
    )
    check(found["comments"][0], {"author_role": "customer", "visibility": "public", "text": "Any news?", "id": "7"})
    comment["comment"]["jsdPublic"] = False  # type: ignore[index]
    assert read("jira", comment)["comments"][0]["visibility"] == "internal"


@pytest.mark.parametrize(
    ("event", "status", "lifecycle"),
    [("jira:issue_deleted", "deleted", "deleted"), ("jira:issue_updated", "resolved", "updated")],
)
def test_jira_ends(event: str, status: str, lifecycle: str) -> None:
    body = copy.deepcopy(_JIRA)
    body |= {"webhookEvent": event, "timestamp": 1772445900000}
    body["issue"]["fields"]["status"] = {"name": "Fertig", "statusCategory": {"key": "done"}}  # type: ignore[index]
    check(read("jira", _JIRA, body), {"status": status, "lifecycle": lifecycle})


def test_jira_statuses_by_their_name_before_their_category() -> None:
    body = copy.deepcopy(_JIRA)
    body["issue"]["fields"]["status"]["name"] = "Waiting for customer"  # type: ignore[index]
    assert read("jira", body)["status"] == "pending_customer"


def test_jira_events_about_something_else_are_told_apart() -> None:
    with pytest.raises(NotUnderstood, match="not about an issue"):
        read("jira", {"timestamp": 1, "webhookEvent": "user_created", "user": {"name": "x"}})


# --- Zendesk

_ZENDESK = {
    "account_id": 9,
    "id": "0e6b6e3c-1",
    "type": "zen:event-type:ticket.created",
    "time": "2026-03-02T10:00:00Z",
    "subject": "zen:ticket:24",
    "zendesk_event_version": "2022-11-06",
    "event": {},
    "detail": {
        "id": "24",
        "subject": "Cannot log in",
        "description": "It says no.",
        "status": "NEW",
        "priority": "URGENT",
        "type": "INCIDENT",
        "requester_id": 77,
        "assignee_id": None,
        "group_id": "2468",
        "organization_id": 5,
        "created_at": "2026-03-02T10:00:00Z",
        "updated_at": "2026-03-02T10:00:00Z",
        "tags": ["vpn"],
        "via": {"channel": "web_form"},
    },
}


def _zendesk(kind: str, minute: int, event: dict[str, Any] | None = None, **detail: Any) -> dict[str, Any]:
    time = f"2026-03-02T10:{minute:02}:00Z"
    return {
        **_ZENDESK,
        "id": f"e{minute}",
        "type": f"zen:event-type:ticket.{kind}",
        "time": time,
        "event": event or {},
        "detail": {**_ZENDESK["detail"], "updated_at": time, **detail},  # type: ignore[dict-item]
    }


def test_zendesk_created() -> None:
    check(
        read("zendesk", _ZENDESK),
        {
            "ticket": "zendesk:main:24",
            "title": "Cannot log in",
            "text": "It says no.",
            "status": "new",
            "kind": "incident",
            "channel": "portal",
            "evidence.priority": "P1",
            "group": "2468",
            "customer": "5",
            "created_at": "2026-03-02T10:00:00Z",
            "source_version": "2026-03-02T10:00:00Z",
        },
    )


def test_zendesk_enumerations_in_lower_case_and_null() -> None:
    body = _zendesk("created", 1, status="solved", priority=None, type=None, tags="a b", id=24)
    check(
        read("zendesk", body),
        {"ticket": "zendesk:main:24", "status": "resolved", "evidence.priority": None, "kind": None},
    )


@pytest.mark.parametrize(
    ("kind", "detail", "status", "lifecycle"),
    [
        ("status_changed", {"status": "PENDING"}, "pending_customer", "updated"),
        ("status_changed", {"status": "HOLD"}, "on_hold", "updated"),
        ("status_changed", {"status": "SOLVED"}, "resolved", "updated"),
        ("status_changed", {"status": "CLOSED"}, "closed", "ended"),
        ("merged", {"status": "CLOSED"}, "merged", "merged"),
        ("soft_deleted", {"status": "DELETED"}, "deleted", "deleted"),
    ],
)
def test_zendesk_ticket_events(kind: str, detail: dict[str, Any], status: str, lifecycle: str) -> None:
    check(read("zendesk", _ZENDESK, _zendesk(kind, 5, **detail)), {"status": status, "lifecycle": lifecycle})


def test_zendesk_undeleted_reopens() -> None:
    found = read("zendesk", _ZENDESK, _zendesk("soft_deleted", 5), _zendesk("undeleted", 6, status="OPEN"))
    check(found, {"status": "open", "lifecycle": "reopened"})


def test_zendesk_merged_stays_so_when_the_rest_of_the_action_says_closed() -> None:
    merged = _zendesk("merged", 5, {"target_ticket_id": 20}, status="CLOSED", tags=["closed_by_merge"])
    for tags in (["vpn", "closed_by_merge"], "vpn closed_by_merge"):
        closed = _zendesk("status_changed", 6, status="CLOSED", tags=tags)
        for order in ((merged, closed), (closed, merged)):
            check(read("zendesk", _ZENDESK, *order), {"status": "merged", "merged_into": "zendesk:main:20"})


def test_zendesk_zero_is_nobody() -> None:
    found = read("zendesk", _zendesk("created", 1, assignee_id="0", group_id=0, organization_id="0"))
    check(found, {"assignee": None, "group": None, "customer": None, "requester.name": "77"})


def test_zendesk_comment() -> None:
    said = {
        "comment": {
            "id": 501,
            "body": "Try <b>this</b>",
            "is_public": False,
            "author": {"id": 3, "is_staff": True, "name": "Di Ng"},
        }
    }
    (comment,) = read("zendesk", _ZENDESK, _zendesk("comment_added", 7, said))["comments"]
    check(
        comment, {"id": "501", "author": "Di Ng", "author_role": "agent", "visibility": "internal", "text": "Try this"}
    )


def test_zendesk_messaging_with_an_id_alone_leaves_the_rest() -> None:
    body = {
        "id": "m1",
        "type": "zen:event-type:messaging_ticket.message_added",
        "time": "2026-03-02T10:09:00Z",
        "detail": {"id": 24},
    }
    check(read("zendesk", _ZENDESK, body), {"title": "Cannot log in", "status": "new", "changed": ["updated_at"]})


def test_zendesk_users_are_no_tickets() -> None:
    with pytest.raises(NotUnderstood, match="not about a ticket"):
        read("zendesk", {**_ZENDESK, "type": "zen:event-type:user.created"})


def test_zendesk_triggers() -> None:
    body = {
        "ticket": {
            "id": "24",
            "title": "Help",
            "status": "On-hold",
            "priority": "-",
            "via": "Mail",
            "requester": {"email": "a@b.example"},
        }
    }
    check(
        read("zendesk_triggers", body),
        {
            "title": "Help",
            "status": "on_hold",
            "evidence.priority": None,
            "channel": "mail",
            "requester.address": "a@b.example",
        },
    )


def test_zendesk_triggers_as_admins_write_them() -> None:
    """`{{ticket.url}}` is filled in without its scheme, `{{ticket.created_at}}` as a day in words."""
    ticket = {
        "id": "9",
        "url": "acme.zendesk.example/agent/tickets/9",
        "description": "It smokes",
        "created_at": "May 18, 2014",
        "latest_comment": "Ask Bo first",
        "latest_public_comment": "It smokes",
        "updated_at_with_timestamp": "2026-03-02T09:00Z",
    }
    found = read("zendesk_triggers", {"ticket": ticket})
    check(
        found,
        {
            "url": "https://acme.zendesk.example/agent/tickets/9",
            "created_at": "2014-05-18T00:00:00Z",
            "updated_at": "2026-03-02T09:00:00Z",
            "flags": [],
        },
    )
    assert [(c["text"], c["visibility"]) for c in found["comments"]] == [("Ask Bo first", "internal")]
    said = {"latest_comment": "Done", "latest_public_comment": "Done", "updated_at_with_timestamp": "2026-03-02T09:05Z"}
    later = {"ticket": {**ticket, **said}}
    found = read("zendesk_triggers", {"ticket": ticket}, later)
    assert [(c["text"], c["visibility"]) for c in found["comments"]] == [
        ("Ask Bo first", "internal"),
        ("Done", "public"),
    ]


# --- the others


def test_freshdesk() -> None:
    body = {
        "freshdesk_webhook": {
            "ticket_id": "11",
            "ticket_subject": "Screen flickers",
            "ticket_description": "<div>Every <b>morning</b>.</div>",
            "ticket_status": "Waiting on Third Party",
            "ticket_priority": "Urgent",
            "ticket_type": "Incident",
            "requester_name": "Ed",
            "requester_email": "ed@corp.example",
            "triggered_event": "{ticket_action:created}",
        }
    }
    check(
        read("freshdesk", body),
        {
            "ticket": "freshdesk:main:11",
            "title": "Screen flickers",
            "text": "Every morning.",
            "status": "pending_vendor",
            "evidence.priority": "P1",
            "kind": "incident",
            "requester.address": "ed@corp.example",
        },
    )


def test_freshdesk_with_the_names_of_its_rest_api() -> None:
    body = {"id": 3, "subject": "Flicker", "type": "Incident", "source": 2, "status": 2, "priority": 4}
    check(
        read("freshdesk", {**body, "requester": {"name": "Ed", "email": "ed@corp.example"}}),
        {
            "kind": "incident",
            "channel": "portal",
            "status": "open",
            "evidence.priority": "P1",
            "requester.name": "Ed",
            "requester.address": "ed@corp.example",
        },
    )


_ZAMMAD = {
    "ticket": {
        "id": 61,
        "number": "10061",
        "title": "Phone is dead",
        "article_count": 1,
        "state": {"id": 1, "name": "new"},
        "priority": {"id": 3, "name": "3 high"},
        "group": {"name": "Telephony"},
        "owner": {"login": "-", "fullname": None, "email": ""},
        "customer": {"email": "flo@corp.example", "fullname": "Flo Ray", "vip": True},
        "organization": {"name": "ACME"},
        "create_article_type": {"name": "email"},
        "created_at": "2026-03-02T08:00:00.000Z",
        "updated_at": "2026-03-02T08:00:00.000Z",
        "close_at": None,
    },
    "article": {
        "id": 301,
        "body": "<div>No dial tone.</div>",
        "content_type": "text/html",
        "internal": False,
        "sender": {"name": "Customer"},
        "from": "Flo Ray <flo@corp.example>",
        "created_at": "2026-03-02T08:00:00.000Z",
        "attachments": [],
    },
}


def test_zammad_created_then_answered() -> None:
    check(
        read("zammad", _ZAMMAD),
        {
            "ticket": "zammad:main:61",
            "title": "Phone is dead",
            "text": "No dial tone.",
            "comments": [],
            "status": "new",
            "channel": "mail",
            "evidence.priority": "P2",
            "group": "Telephony",
            "customer": "ACME",
            "requester.name": "Flo Ray",
            "requester.vip": True,
        },
    )
    answer: dict[str, Any] = copy.deepcopy(_ZAMMAD)
    answer["ticket"] |= {
        "article_count": 2,
        "state": {"name": "pending reminder"},
        "updated_at": "2026-03-02T09:00:00.000Z",
    }
    answer["article"] |= {"id": 302, "body": "On our way", "internal": True, "sender": {"name": "Agent"}, "from": "Gus"}
    found = read("zammad", _ZAMMAD, answer)
    check(found, {"text": "No dial tone.", "status": "on_hold"})
    check(found["comments"][0], {"id": "302", "text": "On our way", "visibility": "internal", "author_role": "agent"})


def test_zammad_without_a_count_takes_the_article_that_came_with_the_ticket() -> None:
    body: dict[str, Any] = copy.deepcopy(_ZAMMAD)
    del body["ticket"]["article_count"]
    check(read("zammad", body), {"text": "No dial tone.", "comments": []})
    body["article"]["created_at"] = "2026-03-02T08:30:00.000Z"
    found = read("zammad", body)
    check(found, {"text": ""})
    assert [c["text"] for c in found["comments"]] == ["No dial tone."]


def test_zammad_null_for_the_article_leaves_the_text() -> None:
    """A time-based trigger tells of a ticket whose one article it does not repeat."""
    later: dict[str, Any] = copy.deepcopy(_ZAMMAD)
    later["article"] = None
    later["ticket"] |= {"state": {"name": "open"}, "updated_at": "2026-03-02T09:00:00.000Z"}
    check(read("zammad", _ZAMMAD, later), {"text": "No dial tone.", "status": "open", "comments": []})


def test_the_requesters_own_comments_are_a_customers() -> None:
    body = {
        "id": 1,
        "requester": {"name": "Ann"},
        "comments": [{"id": n, "author": n, "text": "x"} for n in ("Ann", "Ben")],
    }
    assert [c["author_role"] for c in read("generic", body)["comments"]] == ["customer", "agent"]


def test_glpi_levels_may_be_objects_as_its_status_is() -> None:
    level = {"id": 4, "name": "High"}
    item = {"id": 5, "urgency": level, "impact": level, "priority": level, "date_mod": "2026-03-02T09:00:00+01:00"}
    evidence = {"evidence.priority": "P2", "evidence.impact": "high", "evidence.urgency": "high"}
    check(read("glpi", {"event": "new", "item": item}), evidence)


def test_glpi_ticket_followup_and_delete() -> None:
    ticket: dict[str, Any] = {
        "event": "new",
        "item": {
            "id": 5,
            "name": "Toner empty",
            "content": "<p>Room <b>12</b></p>",
            "status": {"id": 2, "name": "Processing (assigned)"},
            "urgency": 5,
            "impact": 3,
            "priority": 6,
            "type": 2,
            "category": {"id": 1, "name": "Printing"},
            "entity": {"name": "HQ"},
            "team": [{"role": "assigned", "type": "Group", "display_name": "Print"}],
            "date_creation": "2026-03-02T08:00:00+01:00",
            "date_mod": "2026-03-02T08:00:00+01:00",
        },
    }
    check(
        read("glpi", ticket),
        {
            "title": "Toner empty",
            "text": "Room 12",
            "status": "open",
            "kind": "service_request",
            "evidence.priority": "P1",
            "evidence.impact": "medium",
            "evidence.urgency": "high",
            "evidence.category": "Printing",
            "group": "Print",
            "customer": "HQ",
            "created_at": "2026-03-02T07:00:00Z",
        },
    )
    for kept in (False, 0, "0", None):
        assert read("glpi", {**ticket, "item": {**ticket["item"], "is_deleted": kept}})["status"] == "open"
    for gone in (True, 1, "1"):
        assert read("glpi", {**ticket, "item": {**ticket["item"], "is_deleted": gone}})["status"] == "deleted"
    followup = {
        "event": "new",
        "item": {
            "id": 900,
            "items_id": 5,
            "itemtype": "Ticket",
            "content": "<p>Done?</p>",
            "is_private": 1,
            "date_mod": "2026-03-02T09:00:00+01:00",
        },
    }
    found = read("glpi", ticket, followup)
    check(found, {"title": "Toner empty", "text": "Room 12", "status": "open"})
    check(found["comments"][0], {"id": "900", "text": "Done?", "visibility": "internal"})
    assert (
        read("glpi", ticket, {"event": "delete", "item": {"id": 5, "date_mod": "2026-03-02T10:00:00+01:00"}})["status"]
        == "deleted"
    )


def _pagerduty(kind: str, data: dict[str, Any], minute: int = 0) -> dict[str, Any]:
    return {
        "event": {
            "id": f"E{minute}",
            "event_type": kind,
            "resource_type": "incident",
            "occurred_at": f"2026-03-02T10:{minute:02}:00.5Z",
            "agent": {"summary": "Hal"},
            "data": data,
        }
    }


_PAGED = {
    "id": "Q1",
    "html_url": "https://corp.pagerduty.example/incidents/Q1",
    "status": "triggered",
    "title": "Checkout is slow",
    "service": {"summary": "Checkout"},
    "assignees": [{"summary": "Ivy"}],
    "teams": [],
    "escalation_policy": {"summary": "Default"},
    "priority": None,
    "urgency": "high",
    "created_at": "2026-03-02T10:00:00Z",
}


def test_pagerduty() -> None:
    first = _pagerduty("incident.triggered", _PAGED)
    check(
        read("pagerduty", first),
        {
            "ticket": "pagerduty:main:Q1",
            "url": "https://corp.pagerduty.example/incidents/Q1",
            "title": "Checkout is slow",
            "status": "new",
            "service": "Checkout",
            "assignee": "Ivy",
            "group": "Default",
            "evidence.priority": None,
            "evidence.urgency": "high",
            "channel": "monitoring",
        },
    )
    done = _pagerduty("incident.resolved", {**_PAGED, "status": "resolved", "priority": {"summary": "P1"}}, 9)
    check(read("pagerduty", first, done), {"status": "resolved", "evidence.priority": "P1"})
    incident = {"id": "Q1", "html_url": "https://corp.pagerduty.example/incidents/Q1"}
    note = _pagerduty(
        "incident.annotated", {"incident": incident, "id": "N1", "content": "rolled back", "type": "incident_note"}, 5
    )
    found = read("pagerduty", first, note)
    check(found, {"title": "Checkout is slow", "status": "new"})
    check(found["comments"][0], {"id": "N1", "author": "Hal", "text": "rolled back"})
    with pytest.raises(NotUnderstood, match="test of the webhook"):
        read("pagerduty", _pagerduty("pagey.ping", {"message": "Hello"}))


def _alerts(status: str, ends: str) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {"alertname": "DiskFull", "severity": "critical", "instance": "db1", "team": "Storage"},
        "annotations": {"summary": "Disk of db1 is full", "description": "98 %"},
        "startsAt": "2026-03-02T08:00:00.123456789Z",
        "endsAt": ends,
        "fingerprint": "aa",
        "generatorURL": "http://prometheus.corp.example/graph",
    }
    return {"version": "4", "groupKey": "{}", "status": status, "alerts": [alert, {**alert, "fingerprint": "bb"}]}


def test_alertmanager_alerts_are_tickets_of_their_own() -> None:
    firing, resolved = _alerts("firing", "0001-01-01T00:00:00Z"), _alerts("resolved", "2026-03-02T09:00:00Z")
    for part, fingerprint in enumerate(("aa", "bb")):
        check(
            read("alertmanager", firing, part=part),
            {
                "external_id": f"{fingerprint}@2026-03-02T08:00:00.123456789Z",
                "title": "Disk of db1 is full",
                "status": "new",
                "kind": "incident",
                "channel": "monitoring",
                "evidence.urgency": "high",
                "configuration_item": "db1",
                "group": "Storage",
                "created_at": "2026-03-02T08:00:00.123456Z",
            },
        )
    for order in ((firing, resolved), (resolved, firing)):  # a late notification does not wake it
        check(read("alertmanager", *order), {"status": "resolved", "updated_at": "2026-03-02T09:00:00Z"})


def test_alertmanager_twins_of_a_high_availability_pair_are_duplicates() -> None:
    compiled = documents.load("alertmanager").compile()
    firing = _alerts("firing", "0001-01-01T00:00:00Z")
    one, two = (
        compiled.read({**firing, "receiver": r}, msgspec.json.encode({**firing, "receiver": r}), 0, None, 10**15)
        for r in "ab"
    )
    assert one.delivery == two.delivery
    assert one.order == two.order


def test_opsgenie() -> None:
    alert = {
        "alertId": "o1",
        "message": "CPU high",
        "createdAt": 1772445600000,
        "updatedAt": 1772445600000000001,
        "priority": "P2",
    }
    alert |= {"entity": "web1", "team": "Web"}
    acknowledged = {"action": "Acknowledge", "alert": {**alert, "updatedAt": 1772445700000000001}}
    note = {
        "action": "AddNote",
        "alert": {**alert, "updatedAt": 1772445800000000001, "note": "looking", "username": "jo@corp.example"},
    }
    created = {"action": "Create", "alert": alert}
    check(
        read("opsgenie", created),
        {
            "title": "CPU high",
            "status": "new",
            "evidence.priority": "P2",
            "group": "Web",
            "created_at": "2026-03-02T10:00:00Z",
        },
    )
    found = read("opsgenie", created, acknowledged, note)
    check(found, {"status": "open"})
    check(found["comments"][0], {"text": "looking", "author": "jo@corp.example"})
    closed = {"action": "Close", "alert": {**alert, "updatedAt": 1772445900000000001}}
    assert read("opsgenie", created, closed)["lifecycle"] == "ended"


def test_znuny() -> None:
    body = {
        "Ticket": {
            "TicketID": "42",
            "Title": "Monitor",
            "StateType": "open",
            "State": "open",
            "Priority": "4 high",
            "Queue": "Desk",
            "Owner": "kim",
            "CustomerUserID": "lee",
            "CustomerID": "ACME",
            "Type": "Incident",
            "Created": "2026-03-02 08:00:00",
            "Changed": "2026-03-02 09:00:00",
        },
        "Event": {"Event": "TicketStateUpdate", "TicketID": "42"},
    }
    check(
        read("znuny", body),
        {
            "title": "Monitor",
            "status": "open",
            "evidence.priority": "P2",
            "group": "Desk",
            "assignee": "kim",
            "customer": "ACME",
            "kind": "incident",
            "updated_at": "2026-03-02T09:00:00Z",
        },
    )


def test_a_note_on_a_mail_of_znuny_leaves_its_channel() -> None:
    def event(name: str, minute: int, channel: str) -> dict[str, Any]:
        article = {"ArticleID": minute, "Body": "x", "CommunicationChannel": channel, "IsVisibleForCustomer": 0}
        ticket = {"TicketID": 7, "Changed": f"2026-03-02 08:{minute:02}:00", "Article": [article]}
        return {"Ticket": ticket, "Event": {"Event": name}}

    created, noted = event("TicketCreate", 1, "Email"), event("ArticleCreate", 2, "Internal")
    check(read("znuny", created, noted), {"channel": "mail"})
    noted["Ticket"]["Article"] = noted["Ticket"]["Article"][0]
    check(read("znuny", created, noted), {"channel": "mail"})


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-02 09:00:00 UTC", "2026-03-02T09:00:00Z"),
        ("2026-03-02 09:00:00 +0100", "2026-03-02T08:00:00Z"),
        ("2026-03-02 09:00:00.000000000 +0000", "2026-03-02T09:00:00Z"),
        ("2026-03-02T09:00:00-0200", "2026-03-02T11:00:00Z"),
        ("1712011212345", "2024-04-01T22:40:12.345000Z"),  # also the 12th of January 1712
        ("2026-03-02", "2026-03-02T00:00:00Z"),
        ("2026-03-02 09:00:00 CET", None),
    ],
)
def test_instants_as_tools_write_them(text: str, instant: str | None) -> None:
    found = read("generic", {"id": 1, "version": 1, "created_at": text})
    check(found, {"created_at": instant, "flags": [] if instant else ["unreadable:created_at"]})


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    check(read("generic", {"id": 1.0, "version": 3.0}), {"external_id": "1", "source_version": "3"})
    with pytest.raises(NotUnderstood, match="not a whole number"):
        read("generic", {"id": 1, "version": 3.5})


def test_a_link_without_its_scheme_is_one() -> None:
    def url(text: str) -> Any:
        return read("generic", {"id": 1, "url": text})["url"]

    assert url("acme.example/agent/tickets/35") == "https://acme.example/agent/tickets/35"
    assert url("http://acme.example") == "http://acme.example"
    for other in ("javascript:alert(1)", "/tickets/35", "see the wiki/page", "ftp://acme.example/x"):
        assert url(other) is None


def test_generic() -> None:
    body = {
        "id": "A-1",
        "version": 3,
        "title": " Two\u202e  words ",
        "description": "plain",
        "status": "In Progress",
        "kind": "service request",
        "channel": "chat",
        "priority": "P3",
        "impact": "low",
        "urgency": "high",
        "category": "hardware",
        "requester": {"name": "Mia", "email": "mia@corp.example", "site": "Graz", "language": "de", "vip": "true"},
        "customer": "ACME",
        "service": "Laptops",
        "configuration_item": "LT-7",
        "group": "Desk",
        "assignee": "Noa",
        "url": "https://tool.example/A-1",
        "attachments": [{"name": "x.png", "url": "https://tool.example/x.png", "size_bytes": "12"}],
        "created_at": 1772445600,
        "updated_at": "2026-03-02T10:30:00+00:00",
    }
    check(
        read("generic", body),
        {
            "ticket": "generic:main:A-1",
            "title": "Two words",
            "text": "plain",
            "status": "open",
            "kind": "service_request",
            "channel": "chat",
            "requester": {"name": "Mia", "address": "mia@corp.example", "site": "Graz", "language": "de", "vip": True},
            "evidence": {"priority": "P3", "impact": "low", "urgency": "high", "category": "hardware"},
            "attachments": [
                {"name": "x.png", "url": "https://tool.example/x.png", "media_type": None, "size_bytes": 12}
            ],
            "created_at": "2026-03-02T10:00:00Z",
            "updated_at": "2026-03-02T10:30:00Z",
        },
    )


@pytest.mark.parametrize(
    ("source", "body", "reason"),
    [
        ("generic", {"title": "no id"}, "id || external_id: the ticket's own id is missing"),
        ("generic", None, "(body): null where an object"),
        ("generic", {"id": True}, "id || external_id: a truth value where"),
        ("generic", {"id": "x" * 300}, "more than 200 characters"),
        ("generic", {"id": 1, "title": ["a"]}, "title || subject: a list where"),
        ("generic", {"id": 1, "text": {"a": 1}}, "text || description: an object where a text"),
        ("generic", {"id": 1, "status": "frozen"}, "status: 'frozen' is not in the map of `status`"),
        (
            "generic",
            {"id": 1, "status": "My password is s3cret, please unblock me!!"},
            "status: a text of 42 characters is not",
        ),
        ("generic", {"id": 1, "version": "one"}, "version: 'one' is not a whole number"),
        ("generic", {"id": 1, "attachments": "x"}, "a text where a list of attachments"),
        ("znuny", {"Ticket": {"TicketID": 1, "Changed": "yesterday"}}, "Ticket.Changed: 'yesterday' is not an instant"),
        (
            "zendesk_triggers",
            {"ticket": {"id": "{{ticket.id}}", "title": "x"}},
            "placeholder that the tool did not fill",
        ),
        ("alertmanager", {"alerts": []}, "alerts: an empty list"),
        ("alertmanager", {"alerts": None}, "alerts: no list of tickets"),
        ("alertmanager", {"alerts": [{"fingerprint": "a"}]}, "join() cannot use what stands there"),
        ("opsgenie", {"action": "Create"}, "not about an alert"),
    ],
)
def test_what_is_not_understood_says_where_and_why(source: str, body: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotUnderstood) as raised:
        read(source, body)
    assert reason in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples lie beside the project, and are not here")
@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("jira", "jira"),
        ("zendesk", "zendesk"),
        ("freshdesk", "freshworks"),
        ("pagerduty", "pagerduty"),
        ("alertmanager", "alertmanager"),
    ],
)
def test_real_bodies_are_read(source: str, folder: str) -> None:
    files = sorted((SHARED / folder).glob("*.json"))
    assert files
    for file in files:
        found = read(source, msgspec.json.decode(file.read_bytes()))
        assert found["title"]
        assert found["updated_at"] or source == "freshdesk"
