"""The committed schemas are those of the models, and what partners read changes only in ways they survive."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ticket_contracts.catalogue import RECEIVED
from ticket_contracts.documents import (
    ASYNCAPI,
    RELEASED,
    SCHEMAS,
    breaking_changes,
    documents,
    partner_models,
    schema_of,
)

SHARED = Path(__file__).parents[3] / "shared"


def test_committed_documents_are_those_of_the_models() -> None:
    for name, text in documents().items():
        assert (SHARED / name).read_text() == text, f"{name}: run `make schemas` and commit it"


def test_no_document_of_a_model_that_is_gone() -> None:
    assert {f"{SCHEMAS}/{path.name}" for path in (SHARED / SCHEMAS).glob("*.json")} <= set(documents())


def test_asyncapi_refers_to_documents_that_exist() -> None:
    document = yaml.safe_load((SHARED / ASYNCAPI).read_text())
    references = [m["payload"]["$ref"] for c in document["channels"].values() for m in c["messages"].values()]
    assert len(references) > 15
    assert all((SHARED / reference).is_file() for reference in references)


@pytest.mark.parametrize("name", sorted(partner_models()))
def test_yesterdays_partners_can_read_todays_messages(name: str) -> None:
    released = json.loads((SHARED / SCHEMAS / RELEASED / f"{name}.json").read_text())
    model = partner_models()[name]
    assert breaking_changes(released, schema_of(model), received=model in RECEIVED.values()) == []


def _schema() -> dict[str, Any]:
    return schema_of(partner_models()["relaydesk.ticket.dispatched.v1"])


def _change(schema: dict[str, Any], how: str) -> None:
    notice = schema["$defs"]["TicketDispatched"]
    match how:
        case "removed":
            del notice["properties"]["queue"]
        case "retyped":
            notice["properties"]["tier"] = {"type": "string"}
        case "required":
            notice["properties"]["shelf"] = {"type": "string"}
            notice["required"].append("shelf")
        case "dropped":
            notice["required"].remove("priority")
        case "value":
            schema["$defs"]["TicketView"]["properties"]["status"]["anyOf"][0]["enum"].append("parked")


@pytest.mark.parametrize("how", ["removed", "retyped", "required", "dropped", "value"])
def test_a_change_that_breaks_a_reader_is_named(how: str) -> None:
    changed = copy.deepcopy(_schema())
    _change(changed, how)
    assert breaking_changes(_schema(), changed)


def test_a_new_optional_field_breaks_nobody() -> None:
    changed = copy.deepcopy(_schema())
    changed["$defs"]["TicketDispatched"]["properties"]["shelf"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert breaking_changes(_schema(), changed) == []


def _reply() -> dict[str, Any]:
    return schema_of(partner_models()["relaydesk.reply.v1"])


def test_what_others_write_may_be_asked_less_of_and_offered_more() -> None:
    changed = copy.deepcopy(_reply())
    changed["$defs"]["Reply"]["properties"]["action"]["enum"].append("forward")
    changed["$defs"]["Reply"]["required"].remove("action")
    assert breaking_changes(_reply(), changed, received=True) == []
    assert len(breaking_changes(_reply(), changed)) == 2
    changed["$defs"]["Reply"]["properties"]["action"]["enum"].remove("decline")
    assert breaking_changes(_reply(), changed, received=True)
