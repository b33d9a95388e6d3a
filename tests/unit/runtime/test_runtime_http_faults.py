"""A fault of ours in a request: the caller gets a document, and the log line names the caller's trace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import structlog
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics

TRACE = {"traceparent": "00-6e0c63257de34c926f9efcd03927272e-00f067aa0ba902b7-01", "correlationid": "c-1"}


@pytest.fixture
def desk() -> tuple[TestClient, Metrics]:
    metrics = Metrics("g")
    app = make_app("g", metrics, lambda: Health(True), lambda: Health(True))

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError("the table is elsewhere")

    @app.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def some() -> AsyncIterator[bytes]:
            yield b"the beginning"
            raise LookupError("no more")

        return StreamingResponse(some())

    return TestClient(app), metrics


def test_it_is_a_document_and_one_line_with_the_trace(desk: tuple[TestClient, Metrics]) -> None:
    client, metrics = desk
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as told:
        answer = client.get("/fails", headers=TRACE)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["detail"] == "a fault of ours; the log says more"
    assert {name: answer.headers[name] for name in TRACE} == TRACE
    (line,) = told
    assert (line["event"], line["path"], line["log_level"]) == ("a request failed", "/fails", "error")
    assert {name: line[name] for name in TRACE} == TRACE
    labels = {"group": "g", "method": "GET", "route": "/fails", "status": "500"}
    assert metrics.registry.get_sample_value("relaydesk_http_requests_total", labels) == 1


def test_an_answer_that_had_begun_is_broken_off_and_not_ended_as_if_it_were_whole(
    desk: tuple[TestClient, Metrics],
) -> None:
    with (
        structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as told,
        pytest.raises(LookupError),
    ):
        desk[0].get("/breaks-off", headers=TRACE)
    assert [line["traceparent"] for line in told] == [TRACE["traceparent"]]
