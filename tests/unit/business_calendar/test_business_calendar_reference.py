"""The reference cases that lie beside the project; skipped where they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from business_calendar.cases import evaluate
from business_calendar.zones import format_instant, parse_instant, zone

REFERENCE = Path(__file__).parents[3].parent / "shared" / "data" / "business_time_cases.jsonl"
ROWS = [json.loads(line) for line in REFERENCE.read_text().splitlines()] if REFERENCE.exists() else []


@pytest.mark.skipif(not ROWS, reason="the reference cases are not beside the project")
@pytest.mark.parametrize("row", ROWS, ids=[f"row {number}" for number in range(1, len(ROWS) + 1)])
def test_business_calendar_agrees_with_reference(row: dict[str, Any]) -> None:
    answer = evaluate(row)
    if row["kind"] == "deadline":
        local = zone(row.get("io_tz", row["tz"]))
        assert answer["deadline"] == format_instant(parse_instant(row["deadline"], local))
    else:
        assert row["kind"] == "elapsed"
        assert answer["elapsed_seconds"] == row["seconds"]
