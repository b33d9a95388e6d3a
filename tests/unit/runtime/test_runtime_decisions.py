"""The line of a decision in the log: what it names, and that nobody's words are in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest

from ticket_contracts import topics
from ticket_runtime import decisions
from ticket_runtime.logs import DECISIONS
from ticket_runtime.outputs import Collector
from ticket_runtime.task import Record
from unit.router.router_desk import MONDAY, classified, normalized

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[Kept]:
    logger, handler = logging.getLogger(DECISIONS), Kept()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def caused() -> Collector:
    out = Collector("/relaydesk/classifier", 0)
    headers = {"ce_id": b"inbound-1", "ce_traceparent": TRACE.encode(), "ce_correlationid": b"inbound-1"}
    out.begin(
        Record(topic="in", partition=0, offset=7, key=b"k", value=b"", headers=headers, timestamp_ms=0, instant=MONDAY)
    )
    return out


def test_a_batch_is_a_line_for_each_decision_with_its_trace(kept: Kept) -> None:
    out = caused()
    event = classified()
    own = out.emit(topics.CLASSIFIED, event)
    out.emit("queues.desk", event)
    out.emit(topics.NORMALIZED, normalized(at=MONDAY, title="Ana cannot log in", text="Her password is hunter2"))
    decisions.tell("classifier", out.decided, out.records)
    (message,) = kept.said
    first, second = map(msgspec.json.decode, message.splitlines())
    assert (first["event"], first["service"], first["topic"]) == ("decided", "classifier", topics.CLASSIFIED)
    assert (first["ticket"], first["id"], first["rule"]) == (event.ticket, own, event.rule)
    assert first["agreement_version"] == event.agreement_version
    assert first["traceparent"].split("-")[1] == TRACE.split("-")[1]
    assert first["correlationid"] == "inbound-1"
    assert second["type"] == "relaydesk.ticket.normalized.v1"
    assert "hunter2" not in message
    assert "Ana" not in message


def test_what_was_undone_is_not_told(kept: Kept) -> None:
    out = caused()
    mark = len(out.messages), len(out.stored), len(out.decided)
    out.emit(topics.CLASSIFIED, classified())
    out.drop_since(mark)
    decisions.tell("classifier", out.decided, out.records)
    assert kept.said == []


def test_above_its_level_nothing_is_rendered(kept: Kept) -> None:
    logging.getLogger(DECISIONS).setLevel(logging.WARNING)
    out = caused()
    out.emit(topics.CLASSIFIED, classified())
    decisions.tell("classifier", out.decided, out.records)
    assert kept.said == []
