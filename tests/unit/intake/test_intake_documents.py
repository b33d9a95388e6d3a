"""Source documents: what is wrong is named with its line and a remedy, and a site's own are a few lines."""

from __future__ import annotations

import pytest

from ticket_contracts import topics
from ticket_intake import documents
from ticket_intake.documents import DocumentError

WHOLE = """\
source: ours
title: Our tool
authentication: {scheme: bearer, secrets: [{env: OURS}]}
ticket: id
fields:
  title: title
"""


@pytest.mark.parametrize("name", documents.shipped())
def test_what_ships_is_whole(name: str) -> None:
    document = documents.load(name)
    source = document.compile()
    assert document.source == name
    assert topics.inbound(name) == f"inbound.{name}"
    assert {"title", "status", "evidence.priority", "created_at", "updated_at"} <= {leaf for leaf, _ in source.fields}


def test_the_tools_of_the_table_ship_ready() -> None:
    assert set(documents.shipped()) == {
        *("servicenow", "jira", "zendesk", "zendesk_triggers", "freshdesk", "zammad", "glpi", "pagerduty"),
        *("alertmanager", "grafana", "opsgenie", "znuny", "generic"),
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "x.yaml:1: a source document is a mapping"),
        ("a: [", "x.yaml:2: not YAML"),
        ("a: 1\na: 2\n", "x.yaml:2: not YAML: 'a' stands twice"),
        (WHOLE + "  titel: a\n", "x.yaml:7: fields.titel: no such field; did you mean title?"),
        (WHOLE + "  text: 'a ||'\n", "x.yaml:7: fields.text.0.path: 'a ||' is not JMESPath"),
        (WHOLE + "  text: '!a.b'\n", "write !(a.b)"),
        (WHOLE + "  text: {}\n", "a rule needs `path:` or `value:`"),
        (WHOLE + "  text: {path: a, value: b}\n", "either a path or a value"),
        (WHOLE + "  status: {path: s, map: {x: frozen}}\n", "x.yaml:7: fields.status: 'frozen' is none of closed"),
        (WHOLE + "  created_at: {path: c, dates: [iso8601]}\n", "'iso8601' is no date format; write iso, epoch"),
        (WHOLE + "dates: {zone: Europe/Berlim}\n", "x.yaml:7: dates.zone: 'Europe/Berlim' is not a time zone"),
        (WHOLE + "limits: {body_bytes: 99999999999}\n", "x.yaml:7: limits.body_bytes: Input should be less than"),
        (WHOLE + "colour: red\n", "x.yaml:7: colour: no such key here; is it misspelt?"),
        (WHOLE.replace("ticket: id\n", ""), "x.yaml:1: ticket: is missing"),
        (WHOLE.replace("ours", "Ours:1"), "x.yaml:1: source: String should match"),
        (WHOLE.replace("{env: OURS}", "{env: OURS, file: /run/x}"), "a secret names either"),
        (WHOLE.replace("[{env: OURS}]", "[hunter2]"), "x.yaml:3: authentication.0.secrets.0"),
        (WHOLE.replace("bearer, secrets: [{env: OURS}]", "none"), "x.yaml:3: authentication.0.allow: is missing"),
        (WHOLE.replace("bearer, secrets: [{env: OURS}]", "none, allow: [here]"), "write a network"),
        ("extends: nosuch\n", "x.yaml:1: extends: 'nosuch' does not ship"),
    ],
)
def test_faults_name_line_and_remedy(text: str, fault: str) -> None:
    with pytest.raises(DocumentError) as raised:
        documents.read(text, "x.yaml")
    assert fault in str(raised.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(DocumentError) as raised:
        documents.read(WHOLE + "  titel: a\n  text: 'a ||'\ncolour: red\n", "x.yaml")
    assert [line.split(": ")[0] for line in str(raised.value).splitlines()] == ["x.yaml:7", "x.yaml:8", "x.yaml:9"]


def test_a_sites_custom_fields_are_lines_of_its_document() -> None:
    text = """\
extends: servicenow
source: servicenow_emea
title: ServiceNow, EMEA
instance: emea
fields:
  customer: shown(u_customer)
  status: {path: raw(state), map: {1: new, -5: on_hold, 7: closed}}
dates: {formats: ["%m/%d/%Y %H:%M:%S"], zone: America/New_York}
"""
    document = documents.read(text, "x.yaml")
    source = document.compile()
    body = {
        "number": "INC1",
        "u_customer": "ACME",
        "state": "-5",
        "opened_at": "07/04/2026 08:00:00",
        "location": "Rome",
    }
    update = source.read(body, b"{}", 0, None, 2_000_000_000_000_000)
    assert source.tickets(body) == ["servicenow_emea:emea:INC1"]
    assert update.fields["customer"] == "ACME"
    assert update.fields["status"] == "on_hold"
    assert update.fields["requester.site"] == "Rome"  # of the shipped one
    assert update.fields["created_at"] == 1_783_166_400_000_000  # 12:00 UTC


def test_a_shipped_source_and_a_file_that_are_not_there() -> None:
    with pytest.raises(DocumentError, match="no source 'nosuch' ships ready; there are"):
        documents.load("nosuch")
    with pytest.raises(DocumentError, match="cannot be read"):
        documents.load("./nosuch.yaml")
