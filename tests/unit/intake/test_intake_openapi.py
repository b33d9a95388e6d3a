"""The edge against its own OpenAPI document, by schemathesis: no request brings a 5xx, and every answer is declared."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ticket_intake import documents
from ticket_intake.adapters.edge import Edge
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics
from unit.intake.test_intake_edge import MemoryProducer


def application() -> object:
    known = {"generic": documents.load("generic"), "glpi": documents.load("glpi")}
    everywhere = known["generic"].authentication[0].model_copy(update={"allow": ["0.0.0.0/0", "::/0"]})
    known["generic"] = known["generic"].model_copy(update={"authentication": [everywhere]})
    edge = Edge(known, {"RELAYDESK_SECRET_GLPI": "s"}, make_producer=MemoryProducer)
    edge.open(known)
    app = make_app("intake", Metrics("intake"), lambda: Health(True), lambda: Health(True))
    edge.install(app)
    return app


schema = schemathesis.openapi.from_asgi("/openapi.json", application())
EVENTS = "/v1/sources/{source}/events"


@schema.include(path=EVENTS).parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_says_is_what_it_does(case: Case[Any]) -> None:
    # A method that is not there answers 405 by the framework; a body that nobody understands is accepted on purpose.
    chosen = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    for source in ("generic", "glpi", case.path_parameters.get("source", "x")):
        case.path_parameters["source"] = source
        answer = case.call()
        if answer.status_code != 405:
            case.validate_response(answer, checks=chosen)
        assert answer.status_code < 500
