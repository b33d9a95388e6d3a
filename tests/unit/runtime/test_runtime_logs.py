"""What gets into the log."""

from __future__ import annotations

import logging

import pytest

from ticket_runtime.logs import Seldom


def said(name: str, line: int, at: float) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, "/client.py", line, "no broker at %s", ("there",), None)
    record.created = at
    return record


@pytest.mark.parametrize("library", ["aiokafka", "aiokafka.consumer.fetcher"])
def test_a_client_whose_broker_is_away_says_so_now_and_then(library: str) -> None:
    seldom = Seldom("aiokafka")
    passed = [at for at in range(1_000, 1_031) if seldom.filter(said(library, 1, float(at)))]
    assert passed == [1_000, 1_010, 1_020, 1_030]
    assert seldom.filter(said(library, 2, 1_030.5)), "another thing that it says"


def test_what_others_say_is_all_let_through() -> None:
    seldom = Seldom("aiokafka")
    assert all(seldom.filter(said("ticket_runtime.loop", 1, 1_000.0)) for _ in range(3))
