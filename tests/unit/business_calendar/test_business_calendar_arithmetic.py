"""Budgets and elapsed time where the clocks do not change; each case names its boundary."""

from __future__ import annotations

import pytest

from business_calendar import ALWAYS_OPEN, Calendar, CalendarError
from unit.business_calendar.working_weeks import EVERY_DAY, at, shown, week

HOUR = 3600
OFFICE = week("09:00-17:00")  # 2025-06-02 is a Monday
LUNCH = week("08:00-12:00", "12:30-16:30")
NIGHTS = week("22:00-06:00")
NEVER_PAST_2020 = week(days=(), special={"2020-03-02": ["09:00-12:00"]})


@pytest.mark.parametrize(
    ("calendar", "start", "seconds", "due"),
    [
        pytest.param(OFFICE, "2025-06-02 10:00", HOUR, "2025-06-02 11:00", id="inside a window"),
        pytest.param(OFFICE, "2025-06-02 07:15", HOUR, "2025-06-02 10:00", id="before opening"),
        pytest.param(OFFICE, "2025-06-02 09:00", 8 * HOUR, "2025-06-02 17:00", id="ends exactly at closing"),
        pytest.param(OFFICE, "2025-06-02 09:00", 8 * HOUR + 1, "2025-06-03 09:00:01", id="one second past closing"),
        pytest.param(OFFICE, "2025-06-02 17:00", HOUR, "2025-06-03 10:00", id="starts at closing"),
        pytest.param(OFFICE, "2025-06-06 16:59:59", 2, "2025-06-09 09:00:01", id="over a weekend"),
        pytest.param(OFFICE, "2025-06-07 12:00", 40 * HOUR, "2025-06-13 17:00", id="a week of work from a Saturday"),
        pytest.param(OFFICE, "2025-06-07 12:00", 0, "2025-06-07 12:00", id="nothing, while closed"),
        pytest.param(OFFICE, "2025-06-02 10:00", -2 * HOUR, "2025-05-30 16:00", id="a negative budget goes back"),
        pytest.param(LUNCH, "2025-06-02 11:00", 2 * HOUR, "2025-06-02 13:30", id="over lunch"),
        pytest.param(LUNCH, "2025-06-02 11:00", HOUR, "2025-06-02 12:00", id="ends as lunch begins"),
        pytest.param(LUNCH, "2025-06-02 12:10", 60, "2025-06-02 12:31", id="starts at lunch"),
        pytest.param(NIGHTS, "2025-06-06 22:00", 8 * HOUR, "2025-06-07 06:00", id="a Friday night"),
        pytest.param(NIGHTS, "2025-06-07 05:00", 2 * HOUR, "2025-06-09 23:00", id="from a Saturday's early hours"),
        pytest.param(NIGHTS, "2025-06-02 02:00", HOUR, "2025-06-02 23:00", id="a Monday's early hours are free"),
        pytest.param(week("08:00-18:00"), "2025-06-02 17:00", 4 * HOUR, "2025-06-03 11:00", id="into the next morning"),
        pytest.param(ALWAYS_OPEN, "2024-02-28 12:00", 86_400, "2024-02-29 12:00", id="around the clock"),
        pytest.param(OFFICE, "2025-12-31 16:00", 2 * HOUR, "2026-01-01 10:00", id="over the new year"),
        pytest.param(
            week("00:00-24:00", days=EVERY_DAY, holidays=["07-14"]),
            "2025-12-31 23:00",
            2 * HOUR,
            "2026-01-01 01:00",
            id="through the new year",
        ),
    ],
)
def test_business_calendar_add(calendar: Calendar, start: str, seconds: int, due: str) -> None:
    assert shown(calendar.add(at(start), seconds)) == due


@pytest.mark.parametrize(
    ("calendar", "end", "seconds", "start"),
    [
        pytest.param(OFFICE, "2025-06-09 09:05", 15 * 60, "2025-06-06 16:50", id="a warning before the weekend"),
        pytest.param(OFFICE, "2025-06-09 09:15", 15 * 60, "2025-06-09 09:00", id="back exactly to an opening"),
        pytest.param(OFFICE, "2025-06-08 12:00", 8 * HOUR, "2025-06-06 09:00", id="from a closed instant"),
        pytest.param(OFFICE, "2025-06-08 12:00", 0, "2025-06-08 12:00", id="nothing, while closed"),
        pytest.param(NIGHTS, "2025-06-09 22:30", HOUR, "2025-06-07 05:30", id="into Friday's night"),
        pytest.param(OFFICE, "2026-01-01 09:30", HOUR, "2025-12-31 16:30", id="over the new year"),
    ],
)
def test_business_calendar_subtract(calendar: Calendar, end: str, seconds: int, start: str) -> None:
    assert shown(calendar.subtract(at(end), seconds)) == start


@pytest.mark.parametrize(
    ("calendar", "start", "end", "seconds"),
    [
        pytest.param(OFFICE, "2025-06-02 08:00", "2025-06-02 08:00", 0, id="no time at all"),
        pytest.param(OFFICE, "2025-06-02 06:00", "2025-06-02 23:00", 8 * HOUR, id="wider than the window"),
        pytest.param(OFFICE, "2025-06-06 17:00", "2025-06-09 09:00", 0, id="closing to opening"),
        pytest.param(OFFICE, "2025-06-06 16:59", "2025-06-09 09:01", 120, id="over the weekend"),
        pytest.param(OFFICE, "2025-06-02 12:00", "2025-06-02 10:00", -2 * HOUR, id="backwards"),
        pytest.param(LUNCH, "2025-06-02 11:00", "2025-06-02 13:00", 90 * 60, id="around lunch"),
        pytest.param(NIGHTS, "2025-06-06 12:00", "2025-06-09 12:00", 8 * HOUR, id="one night"),
        pytest.param(OFFICE, "1900-01-01 00:00", "2199-12-31 00:00", 78_266 * 8 * HOUR, id="three centuries"),
    ],
)
def test_business_calendar_elapsed(calendar: Calendar, start: str, end: str, seconds: int) -> None:
    assert calendar.elapsed(at(start), at(end)) == seconds


@pytest.mark.parametrize(
    ("calendar", "when", "is_open", "next_open", "next_close"),
    [
        pytest.param(OFFICE, "2025-06-02 09:00", True, "2025-06-02 09:00", "2025-06-02 17:00", id="at opening"),
        pytest.param(OFFICE, "2025-06-02 16:59:59", True, "2025-06-02 16:59:59", "2025-06-02 17:00", id="last second"),
        pytest.param(OFFICE, "2025-06-02 17:00", False, "2025-06-03 09:00", "2025-06-03 17:00", id="at closing"),
        pytest.param(OFFICE, "2025-06-07 12:00", False, "2025-06-09 09:00", "2025-06-09 17:00", id="a Saturday"),
        pytest.param(NIGHTS, "2025-06-07 02:00", True, "2025-06-07 02:00", "2025-06-07 06:00", id="Saturday 02:00"),
        pytest.param(NIGHTS, "2025-06-02 02:00", False, "2025-06-02 22:00", "2025-06-03 06:00", id="Monday 02:00"),
        pytest.param(ALWAYS_OPEN, "2025-06-02 02:00", True, "2025-06-02 02:00", None, id="never closes"),
        pytest.param(NEVER_PAST_2020, "2025-06-02 02:00", False, None, None, id="never opens again"),
        pytest.param(
            week("00:00-24:00", days=EVERY_DAY, holidays=["2027-05-01"]),
            "2025-06-02 02:00",
            True,
            "2025-06-02 02:00",
            "2027-05-01 00:00",
            id="open for two years",
        ),
    ],
)
def test_business_calendar_open(
    calendar: Calendar, when: str, is_open: bool, next_open: str | None, next_close: str | None
) -> None:
    assert calendar.is_open(at(when)) is is_open
    assert shown(calendar.next_open(at(when))) == next_open
    assert shown(calendar.next_close(at(when))) == next_close


@pytest.mark.parametrize(
    ("calendar", "start", "days", "end"),
    [
        pytest.param(OFFICE, "2025-06-02 10:00", 1, "2025-06-03 17:00", id="the next day, not 24 h"),
        pytest.param(OFFICE, "2025-06-02 07:00", 1, "2025-06-03 17:00", id="before opening it is that date's"),
        pytest.param(OFFICE, "2025-06-06 10:00", 1, "2025-06-09 17:00", id="from a Friday"),
        pytest.param(OFFICE, "2025-06-06 20:00", 1, "2025-06-09 17:00", id="from a Friday evening"),
        pytest.param(OFFICE, "2025-06-07 10:00", 1, "2025-06-09 17:00", id="from a Saturday"),
        pytest.param(OFFICE, "2025-06-06 10:00", 5, "2025-06-13 17:00", id="a week"),
        pytest.param(OFFICE, "2025-06-02 10:00", 0, "2025-06-02 17:00", id="the same day"),
        pytest.param(OFFICE, "2025-06-02 07:00", 0, "2025-06-02 17:00", id="the same day, before opening"),
        pytest.param(OFFICE, "2025-06-02 17:00", 0, "2025-06-03 17:00", id="the day is over at closing"),
        pytest.param(OFFICE, "2025-06-07 10:00", 0, "2025-06-09 17:00", id="no day of its own"),
        pytest.param(LUNCH, "2025-06-02 12:10", 1, "2025-06-03 16:30", id="the last window ends the day"),
        pytest.param(NIGHTS, "2025-06-03 02:00", 1, "2025-06-04 06:00", id="at night it is still Monday's"),
        pytest.param(NIGHTS, "2025-06-03 02:00", 0, "2025-06-03 06:00", id="the end of the night"),
        pytest.param(NIGHTS, "2025-06-07 02:00", 1, "2025-06-10 06:00", id="Friday's night, then Monday's"),
        pytest.param(ALWAYS_OPEN, "2025-06-07 02:00", 1, "2025-06-09 00:00", id="around the clock"),
        pytest.param(
            week("09:00-17:00", holidays=["2025-06-09"], special={"2025-06-10": ["09:00-11:00"]}),
            "2025-06-06 10:00",
            1,
            "2025-06-10 11:00",
            id="past a holiday, to a short day",
        ),
    ],
)
def test_business_calendar_business_days(calendar: Calendar, start: str, days: int, end: str) -> None:
    assert shown(calendar.add_business_days(at(start), days)) == end


def test_business_calendar_business_days_have_an_end() -> None:
    with pytest.raises(CalendarError, match="too few business days"):
        NEVER_PAST_2020.add_business_days(at("2025-06-02 10:00"), 1)
    with pytest.raises(ValueError, match="count forward"):
        OFFICE.add_business_days(at("2025-06-02 10:00"), -1)


@pytest.mark.parametrize(
    ("pauses", "due"),
    [
        pytest.param([("17:00", "+09:00")], "2025-06-02 17:00", id="on hold from closing to opening"),
        pytest.param([("12:00", "13:00")], "2025-06-03 10:00", id="an hour"),
        pytest.param([("12:00", "13:00"), ("12:30", "14:00")], "2025-06-03 11:00", id="overlapping ones count once"),
        pytest.param([("14:00", "15:00"), ("12:00", "13:00")], "2025-06-03 11:00", id="in any order"),
        pytest.param([("16:00", "+10:00")], "2025-06-03 11:00", id="over the night"),
        pytest.param([("06:00", "10:00")], "2025-06-03 10:00", id="from before the start"),
        pytest.param([("+12:00", "+13:00")], "2025-06-02 17:00", id="after the deadline"),
        pytest.param([("12:00", "12:00")], "2025-06-02 17:00", id="an empty one"),
        pytest.param([("18:00", "+07:00")], "2025-06-02 17:00", id="while closed"),
    ],
)
def test_business_calendar_pauses(pauses: list[tuple[str, str]], due: str) -> None:
    """8 h from Monday 09:00, 9–17; "+" is Tuesday."""
    spans = [(_june_2(begin), _june_2(until)) for begin, until in pauses]
    start = at("2025-06-02 09:00")
    deadline = OFFICE.add(start, 8 * HOUR, spans)
    assert shown(deadline) == due
    assert OFFICE.elapsed(start, deadline, spans) == 8 * HOUR
    assert OFFICE.elapsed(deadline, start, spans) == -8 * HOUR


def test_business_calendar_subtract_goes_around_pauses() -> None:
    pauses = [(at("2025-06-02 12:00"), at("2025-06-02 13:00"))]
    assert shown(OFFICE.subtract(at("2025-06-02 14:00"), 2 * HOUR, pauses)) == "2025-06-02 11:00"
    assert shown(OFFICE.subtract(at("2025-06-02 14:00"), HOUR, pauses)) == "2025-06-02 13:00"
    assert shown(OFFICE.subtract(at("2025-06-02 12:30"), HOUR, pauses)) == "2025-06-02 11:00"


def test_business_calendar_pending_and_reopened() -> None:
    """120 min from 09:00, pending 09:30–09:45, closed 10:00–10:30 and reopened: due 11:45."""
    held = [(_june_2("09:30"), _june_2("09:45")), (_june_2("10:00"), _june_2("10:30"))]
    assert shown(OFFICE.add(_june_2("09:00"), 120 * 60, held)) == "2025-06-02 11:45"


def test_business_calendar_refuses_a_pause_that_ends_before_it_begins() -> None:
    with pytest.raises(ValueError, match="ends before"):
        OFFICE.add(_june_2("09:00"), 60, [(_june_2("10:00"), _june_2("09:30"))])


def test_business_calendar_windows_are_cut_and_joined() -> None:
    whole = week("00:00-12:00", "12:00-24:00", days=(0, 1))
    found = list(whole.windows(at("2025-06-02 06:00"), at("2025-06-09 06:00")))
    assert [(shown(opens), shown(closes)) for opens, closes in found] == [
        ("2025-06-02 06:00", "2025-06-04 00:00"),
        ("2025-06-09 00:00", "2025-06-09 06:00"),
    ]
    assert list(whole.windows(at("2025-06-09 06:00"), at("2025-06-02 06:00"))) == []


def test_business_calendar_windows_stay_right_while_other_questions_are_asked() -> None:
    calendar = week("00:00-24:00", days=EVERY_DAY, holidays=["12-30", "01-02"])
    found = []
    for opens, closes in calendar.windows(at("2024-12-29 12:00"), at("2025-01-01 00:00")):
        found.append((shown(opens), shown(closes)))
        calendar.add(at("2026-06-01 00:00"), HOUR)
        calendar.add(at("2019-06-01 00:00"), HOUR)
    assert found == [("2024-12-29 12:00", "2024-12-30 00:00"), ("2024-12-31 00:00", "2025-01-01 00:00")]


def test_business_calendar_overlapping_windows_count_once() -> None:
    overlapping = week("09:00-13:00", "12:00-17:00", "22:00-30:00", "05:00-09:30")
    assert overlapping.elapsed(at("2025-06-03 00:00"), at("2025-06-04 00:00")) == (17 + 2) * HOUR


def test_business_calendar_has_horizons() -> None:
    with pytest.raises(CalendarError, match="outside 1900–2199"):
        OFFICE.is_open(at("2200-01-01 00:00"))
    with pytest.raises(CalendarError, match="outside 1900–2199"):
        OFFICE.elapsed(at("1899-12-31 23:59"), at("2025-01-01 00:00"))
    with pytest.raises(CalendarError, match="no 3601 s of working time"):
        NEVER_PAST_2020.add(at("2020-03-02 11:00"), HOUR + 1)
    with pytest.raises(CalendarError, match="no 3601 s of working time"):
        NEVER_PAST_2020.subtract(at("2020-03-02 10:00"), HOUR + 1)
    with pytest.raises(CalendarError, match="no 9999999999999 s of working time"):
        ALWAYS_OPEN.add(0, 9_999_999_999_999)
    assert shown(OFFICE.add(at("2100-01-01 12:00"), HOUR)) == "2100-01-01 13:00"


def _june_2(text: str) -> int:
    return at(f"2025-06-03 {text[1:]}" if text.startswith("+") else f"2025-06-02 {text}")
