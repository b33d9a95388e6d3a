"""The committed OpenAPI document is that of the routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ticket_handoff.__main__ import main

COMMITTED = Path(__file__).parents[3] / "shared" / "openapi-handoff.json"


def test_the_committed_document_is_that_of_handoffs_routes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi"]) == 0
    assert COMMITTED.read_text() == capsys.readouterr().out, "run `make schemas` and commit it"
