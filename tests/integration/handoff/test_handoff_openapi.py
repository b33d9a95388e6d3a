"""The HTTP surface against its own OpenAPI document, by schemathesis, over a real ledger: no request brings a 5xx,
every answer is declared, and nobody is let in without a key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from conftest import execute
from integration.handoff.ledger_desk import written
from ticket_handoff.adapters import schema as database_schema
from ticket_handoff.adapters.access import Access
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.http import document, install
from ticket_handoff.adapters.inquiries import Inquiries
from ticket_handoff.adapters.keys import add_key, read_keys
from ticket_handoff.adapters.store import Store
from ticket_handoff.handlers import AgreementBook
from ticket_runtime.agreements import Agreements
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics
from unit.handoff.handoff_desk import at, published

TICKET = "servicenow:prod:INC1"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Application:
    """The document for the tests' names; once there is a ledger, the routes over it."""

    behind: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.behind is not None:
            await self.behind(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse(document())(scope, receive, send)


application = Application()
surface = schemathesis.openapi.from_asgi("/openapi.json", application)


@pytest.fixture(scope="module")
def known(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a caller of the partner knows: its key, its transfer, that one's digest."""
    name = "test_handoff_openapi"
    asyncio.run(execute(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    asyncio.run(execute(postgres_url, f'CREATE DATABASE "{name}"'))
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    engine = create_async_engine(url, poolclass=NullPool)  # each request of the test's client has a loop of its own

    async def fill() -> dict[str, str]:
        await database_schema.migrate(engine)
        offer = (await written(Store(engine), [TICKET], "night-desk"))[TICKET]
        return {"transfer": offer.transfer_id, "digest": offer.digest}

    known = asyncio.run(fill())
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    known["key"] = add_key(Path(keys), "nightwatch", "Nora")
    agreements = Agreements([published()])
    app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
    inquiries = Inquiries(engine, AgreementBook(agreements), lambda: at(10))
    replies = Replies(Store(engine), agreements, lambda rows: None)
    install(app, Access(read_keys(keys), rate="100000/minute"), lambda: replies, lambda: inquiries, lambda: at(10))
    application.behind = app
    yield known
    asyncio.run(execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@surface.include(path_regex="^/v1/").parametrize()
@settings(max_examples=12, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_says_is_what_it_does(case: Case[Any], known: dict[str, str]) -> None:
    case.headers["Authorization"] = f"Bearer {known['key']}"
    for ids in ({}, {"ticket": TICKET, "transfer": known["transfer"], "queue": "night-desk"}):
        case.path_parameters |= {name: said for name, said in ids.items() if name in case.path_parameters}
        answer = case.call()
        if answer.status_code != 405:
            case.validate_response(answer, checks=CHECKS)
        assert answer.status_code < 500
    del case.headers["Authorization"]
    assert case.call().status_code >= 400, "without a key nobody is let in"
