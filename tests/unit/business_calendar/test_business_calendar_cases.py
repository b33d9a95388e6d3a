"""Rows of plain data: what is asked, what is answered, and what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from business_calendar.cases import evaluate

OFFICE: dict[str, Any] = {"tz": "UTC", "hours": {str(day): [["09:00", "17:00"]] for day in range(5)}}
NOTHING = {"deadline": None, "elapsed_seconds": None, "waiting_seconds": None, "warn_at": None}
# 2025-06-02 is a Monday.


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        pytest.param(
            {"kind": "deadline", "start": "2025-06-02 10:00:00", "seconds": 3600},
            {"deadline": "2025-06-02T11:00:00Z"},
            id="a deadline",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-02 10:00:00", "seconds": 3600, "deadline": "2001-01-01 00:00:00"},
            {"deadline": "2025-06-02T11:00:00Z"},
            id="an expected answer is ignored",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-02T10:00:00+02:00", "seconds": 3600.0, "tz": "Europe/Berlin"},
            {"deadline": "2025-06-02T09:00:00Z"},
            id="an instant with an offset",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-02 12:00", "seconds": 3600, "tz": "Asia/Tokyo", "io_tz": "UTC"},
            {"deadline": "2025-06-03T01:00:00Z"},
            id="instants in a zone of their own",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-06 16:00", "seconds": 3900, "warn_before_seconds": 900},
            {"deadline": "2025-06-09T09:05:00Z", "warn_at": "2025-06-06T16:50:00Z"},
            id="warned before the weekend",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-06 16:00", "seconds": 4500, "warn_before_seconds": 900},
            {"deadline": "2025-06-09T09:15:00Z", "warn_at": "2025-06-06T17:00:00Z"},
            id="that much is left from Friday's closing on",
        ),
        pytest.param(
            {
                "kind": "deadline",
                "hours": {"0": [["08:00", "18:00"]], "1": [["08:00", "18:00"]]},
                "start": "2025-06-02 17:00",
                "seconds": 4 * 3600,
                "warn_before_seconds": 3600,
            },
            {"deadline": "2025-06-03T11:00:00Z", "warn_at": "2025-06-03T10:00:00Z"},
            id="due and warned on Tuesday",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-07 12:00", "seconds": 900, "warn_before_seconds": 900},
            {"deadline": "2025-06-09T09:15:00Z", "warn_at": "2025-06-07T12:00:00Z"},
            id="a budget no longer than the warning: warned at once",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-02 12:00", "seconds": 300, "warn_before_seconds": 900},
            {"deadline": "2025-06-02T12:05:00Z", "warn_at": "2025-06-02T12:00:00Z"},
            id="a budget shorter than the warning: warned at once",
        ),
        pytest.param(
            {
                "kind": "deadline",
                "start": "2025-06-02 09:00",
                "seconds": 7200,
                "pauses": [["2025-06-02 09:30", "2025-06-02 09:45"], ["2025-06-02 10:00", "2025-06-02 10:30"]],
                "warn_before_seconds": 6300,
            },
            {"deadline": "2025-06-02T11:45:00Z", "waiting_seconds": 2700, "warn_at": "2025-06-02T09:15:00Z"},
            id="pauses move the deadline, not what came before them",
        ),
        pytest.param(
            {"kind": "elapsed", "start": "2025-06-06 16:59", "end": "2025-06-09 09:01", "seconds": 5},
            {"elapsed_seconds": 120},
            id="elapsed time",
        ),
        pytest.param(
            {
                "kind": "elapsed",
                "start": "2025-06-02 09:00",
                "end": "2025-06-02 12:00",
                "pauses": [{"start": "2025-06-02 08:00", "end": "2025-06-02 11:00"}],
            },
            {"elapsed_seconds": 3600, "waiting_seconds": 7200},
            id="elapsed time, less a pause that began before",
        ),
        pytest.param(
            {
                "kind": "elapsed",
                "start": "2025-06-02 09:00",
                "end": "2025-06-02 12:00",
                "pauses": [["2025-06-02 09:00", None]],
            },
            {"elapsed_seconds": 0, "waiting_seconds": 10800},
            id="on hold from its creation on",
        ),
        pytest.param(
            {
                "kind": "pause",
                "start": "2025-06-02 09:00",
                "seconds": 8 * 3600,
                "pauses": [["2025-06-02 17:00", "2025-06-03 09:00"]],
            },
            {"deadline": "2025-06-02T17:00:00Z", "waiting_seconds": 0},
            id="a pause from closing to opening",
        ),
        pytest.param(
            {
                "kind": "pause",
                "start": "2025-06-06 15:00",
                "seconds": 7200,
                "pause_start": "2025-06-06 16:00",
                "pause_end": "2025-06-09 10:00",
            },
            {"deadline": "2025-06-09T11:00:00Z", "waiting_seconds": 7200},
            id="a pause over the weekend",
        ),
        pytest.param(
            {
                "kind": "pause",
                "start": "2025-06-02 15:00",
                "seconds": 3600,
                "pauses": [{"from": "2025-06-02 15:30", "to": "2025-06-02 16:00"}],
            },
            {"deadline": "2025-06-02T16:30:00Z", "waiting_seconds": 1800},
            id="a pause by other names",
        ),
        pytest.param(
            {"kind": "pause", "start": "2025-06-02 15:00", "seconds": 7200, "pause": ["2025-06-02 16:00", None]},
            {},
            id="a pause that goes on holds the deadline",
        ),
        pytest.param(
            {
                "kind": "pause",
                "start": "2025-06-02 15:00",
                "end": "2025-06-03 10:00",
                "seconds": 3600,
                "pauses": [["2025-06-02 16:00", None]],
            },
            {"deadline": "2025-06-02T16:00:00Z", "elapsed_seconds": 3600, "waiting_seconds": 7200},
            id="a budget used up as the pause begins",
        ),
        pytest.param(
            {"kind": "pause", "start": "2025-06-02 15:00", "seconds": -3600, "pause": ["2025-06-02 14:00", None]},
            {"deadline": "2025-06-02T13:00:00Z"},
            id="a negative budget goes back past the pause that it starts in",
        ),
        pytest.param(
            {
                "kind": "elapsed",
                "start": "2025-06-02 15:00",
                "end": "2025-06-02 10:00",
                "pauses": [["2025-06-02 12:00", None]],
            },
            {"elapsed_seconds": -7200, "waiting_seconds": -10800},
            id="back past the beginning of a pause that goes on",
        ),
        pytest.param(
            {"kind": "pause", "start": "2025-06-02 15:00", "seconds": 0, "pause": ["2025-06-02 14:00", None]},
            {"deadline": "2025-06-02T15:00:00Z"},
            id="no budget is used up at once, on hold or not",
        ),
        pytest.param(
            {"kind": "pause", "start": "2025-06-06 16:00", "end": "2025-06-09 10:00"},
            {"waiting_seconds": 7200},
            id="a pause by itself",
        ),
        pytest.param(
            {"kind": "pause", "start": "2025-06-02 09:00", "seconds": 60, "pauses": []},
            {"deadline": "2025-06-02T09:01:00Z", "waiting_seconds": 0},
            id="no pause in the end",
        ),
        pytest.param(
            {
                "kind": "deadline",
                "start": "2025-12-24 16:00",
                "seconds": 7200,
                "holidays": ["12-25", {"country": "DE"}],
            },
            {"deadline": "2025-12-29T10:00:00Z"},
            id="a country's holidays",
        ),
        pytest.param(
            {"kind": "deadline", "start": "2025-06-09 10:00", "seconds": -7200},
            {"deadline": "2025-06-06T16:00:00Z"},
            id="a negative budget goes back",
        ),
    ],
)
def test_business_calendar_row(row: dict[str, Any], answer: dict[str, Any]) -> None:
    assert evaluate(OFFICE | row) == NOTHING | answer


START = {"start": "2025-06-02 09:00"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "kind: None is none of deadline, elapsed, pause"),
        ({"kind": "deadline"}, "needs start"),
        ({"kind": "deadline", **START}, "needs seconds"),
        ({"kind": "elapsed", **START}, "needs end"),
        ({"kind": "pause", **START}, "needs pauses, or an end"),
        ({"kind": "deadline", "start": "soon", "seconds": 1}, "start: 'soon' is not an instant"),
        ({"kind": "deadline", **START, "seconds": "8h"}, "seconds: '8h' is not a whole number"),
        ({"kind": "deadline", **START, "seconds": 0.5}, "seconds: 0.5 is not a whole number"),
        ({"kind": "deadline", **START, "seconds": True}, "seconds: True is not a whole number"),
        ({"kind": "deadline", **START, "seconds": float("inf")}, "seconds: inf is not a whole number"),
        ({"kind": "deadline", **START, "seconds": 1, "warn_before_seconds": -1}, "after the deadline"),
        ({"kind": "deadline", **START, "seconds": 10**12}, "no 1000000000000 s of working time"),
        ({"kind": "deadline", "start": "0001-01-01", "seconds": 1}, "outside 1900–2199"),
        ({"kind": "deadline", **START, "seconds": 1, "tz": None}, "tz: None is not a time zone"),
        ({"kind": "deadline", **START, "seconds": 1, "tz": "Mars/Base"}, "tz: 'Mars/Base' is not a time zone"),
        ({"kind": "deadline", **START, "seconds": 1, "io_tz": ["UTC"]}, "io_tz: .'UTC'. is not a time zone"),
        ({"kind": "deadline", **START, "seconds": 1, "io_tz": ""}, "io_tz: '' is not a time zone"),
        ({"kind": "deadline", **START, "seconds": 1, "hours": {}}, "never opens"),
        ({"kind": "deadline", **START, "seconds": 1, "hours": [["09:00", "17:00"]]}, "cannot be read"),
        ({"kind": "pause", **START, "seconds": 1, "pauses": "all day"}, "is not a list"),
        ({"kind": "pause", **START, "seconds": 1, "pauses": ["2025-06-02"]}, "is not a pause"),
        ({"kind": "pause", **START, "seconds": 1, "pauses": [[None, None]]}, "pauses: None is not an instant"),
        ({"kind": "pause", **START, "seconds": 1, "pauses": [["2025-06-02", "soon"]]}, "pauses: 'soon' is not an"),
        (
            {"kind": "pause", **START, "seconds": 1, "pauses": [["2025-06-02", "2999-01-01"]]},
            "about the year 2999, lies",
        ),
        ({"kind": "pause", **START, "seconds": 1, "pause": ["2025-06-03", "2025-06-02"]}, "ends before it begins"),
    ],
)
def test_business_calendar_row_that_cannot_be_read(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        evaluate(OFFICE | row)


def test_business_calendar_row_without_a_calendar() -> None:
    with pytest.raises(ValueError, match="has no calendar"):
        evaluate({"kind": "deadline", **START, "seconds": 1})
    with pytest.raises(ValueError, match="is not a row"):
        evaluate([1, 2])  # type: ignore[arg-type]
