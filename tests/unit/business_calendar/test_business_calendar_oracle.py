"""Rows answered a second time by counting minutes on the zone's clocks; and rows that nobody should have written."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Iterable
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, assume, example, given, settings

from business_calendar import CalendarError, local_time, offset_changes, spec_from, zone
from business_calendar.cases import evaluate
from business_calendar.zones import format_instant, parse_instant
from unit.business_calendar.test_business_calendar_properties import ZONES, hours_on
from unit.business_calendar.working_weeks import at

MINUTE, HOUR, DAY = 60, 3600, 86_400
BEFORE, AFTER = 3 * DAY, 12 * DAY


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@functools.cache
def changes_of(tz: str) -> list[int]:
    return [change.at for change in offset_changes(zone(tz), at("2011-01-01"), at("2030-01-01"))]


@st.composite
def windows(draw: st.DrawFn, step: int) -> list[str]:
    start = step * draw(st.integers(0, 1439 // step))
    end = step * draw(st.integers(0, 1440 // step))
    return [clock(start), clock(end if end != start else 1440)]


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Of any kind, around a clock change as often as not. All times are whole minutes; or half hours, so that budgets
    end at closings and pauses begin at openings."""
    step = draw(st.sampled_from([1, 30]))
    tz = draw(st.sampled_from(ZONES))
    local, changes = zone(tz), changes_of(tz)
    first, last = at("2011-02-01"), at("2029-12-01")
    begin = draw(st.sampled_from(changes or [first]) | st.integers(first, last))
    begin = (begin // MINUTE // step + draw(st.integers(-2880 // step, 1440 // step))) * step * MINUTE
    day = local_time(begin, local).date()
    dates = st.integers(-2, 6).map(lambda ahead: str(day + dt.timedelta(days=ahead)))

    def minutes(least: int, most: int) -> st.SearchStrategy[int]:
        return st.integers(least // step, most // step).map(lambda count: count * step)

    def near_start(least: int, most: int) -> str:
        return format_instant(begin + MINUTE * draw(minutes(least, most)))

    row: dict[str, Any] = {
        "kind": draw(st.sampled_from(["deadline", "elapsed", "pause"])),
        "tz": tz,
        "hours": {str(day): draw(st.lists(windows(step), max_size=2)) for day in range(7)},
        "holidays": draw(st.lists(dates | dates.map(lambda date: date[5:]), max_size=2)),
        "special": draw(st.dictionaries(dates, st.lists(windows(step), max_size=2), max_size=2)),
        "start": format_instant(begin),
    }
    if row["kind"] != "elapsed":
        row["seconds"] = MINUTE * draw(minutes(0, 1200))
        if draw(st.booleans()):
            row["warn_before_seconds"] = MINUTE * draw(minutes(0, 600))
    else:
        row["end"] = near_start(0, 5 * 1440)
    if row["kind"] == "pause" or draw(st.booleans()):
        row["pauses"] = [sorted([near_start(-1440, 3 * 1440), near_start(-1440, 3 * 1440)]) for _ in range(2)]
    return row


def open_minutes(row: dict[str, Any], begin: int) -> set[int]:
    """The minutes at which the row's calendar is open, from some days before `begin`, found by reading the zone's
    clocks at each minute and looking for when they first show a window's edge."""
    spec = spec_from({"name": "row", "zone": row["tz"], **{f: row[f] for f in ("hours", "holidays", "special")}})
    grid = range(begin - BEFORE, begin + AFTER, MINUTE)
    local = zone(row["tz"])
    readings = [local_time(minute, local).replace(tzinfo=None, fold=0) for minute in grid]
    first: dict[dt.datetime, int] = {}
    for minute, reading in zip(grid, readings, strict=True):
        first.setdefault(reading, minute)

    def shows(wanted: dt.datetime) -> int:
        if wanted in first:
            return first[wanted]
        # Skipped: as if the clocks had gone on as before the gap.
        last = max(i for i, r in enumerate(readings[:-1]) if r < wanted < readings[i + 1])
        return grid[last] + int((wanted - readings[last]).total_seconds())

    found: set[int] = set()
    for day in sorted({reading.date() for reading in readings})[1:-3]:
        for opens, closes in hours_on(spec, day):
            start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (opens, closes))
            midnight = dt.datetime.combine(day, dt.time())
            edges = [shows(midnight + dt.timedelta(minutes=m)) for m in (start, end + 1440 if end <= start else end)]
            found.update(range(edges[0], edges[1], MINUTE))
    return found


def paused_minutes(row: dict[str, Any]) -> set[int]:
    spans = [[parse_instant(text, zone("UTC")) for text in pause] for pause in row.get("pauses", [])]
    return {minute for since, until in spans for minute in range(since, until, MINUTE)}


def counted(row: dict[str, Any], opened: set[int]) -> dict[str, str | int | None]:
    begin = parse_instant(row["start"], zone("UTC"))
    held = paused_minutes(row)
    last_pause = max(held, default=begin) + MINUTE

    def after(seconds: int) -> str | None:
        if seconds == 0:
            return format_instant(begin)
        for minute in range(begin, begin + AFTER - 3 * DAY, MINUTE):
            if minute in opened and minute not in held:
                seconds -= MINUTE
                if seconds == 0:
                    return format_instant(minute + MINUTE)
        return None

    def minutes(span: Iterable[int]) -> int:
        return MINUTE * sum(minute in opened for minute in span)

    end = parse_instant(row["end"], zone("UTC")) if "end" in row else None
    budget, warn = row.get("seconds"), row.get("warn_before_seconds")
    paused = range(begin, last_pause if end is None else end, MINUTE)
    return {
        "deadline": None if budget is None else after(budget),
        "elapsed_seconds": None if end is None else minutes(m for m in range(begin, end, MINUTE) if m not in held),
        "waiting_seconds": minutes(m for m in paused if m in held) if "pauses" in row else None,
        "warn_at": None if warn is None else after(max(budget - warn, 0)),
    }


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(rows())
def test_business_calendar_rows_agree_with_counting_minutes(row: dict[str, Any]) -> None:
    with contextlib.suppress(CalendarError):  # it never opens: then this is the answer, and there is nothing to count
        answer = evaluate(row)
        begin = parse_instant(row["start"], zone("UTC"))
        opened = open_minutes(row, begin)
        expected = counted(row, opened)
        if "seconds" in row:
            assume(expected["deadline"] is not None)  # else it lies beyond what was counted
        assert answer == expected
        # And budgets that are used up just as the desk closes, or a pause begins.
        working, budget = opened - paused_minutes(row), 0
        for minute in range(begin, begin + 2 * DAY, MINUTE):
            if minute in working:
                budget += MINUTE
                if minute + MINUTE not in working:
                    at_once = {**row, "kind": "deadline", "seconds": budget, "warn_before_seconds": 0}
                    later = {**row, "kind": "deadline", "seconds": budget + MINUTE, "warn_before_seconds": MINUTE}
                    closing = format_instant(minute + MINUTE)
                    assert [evaluate(at_once)[name] for name in ("deadline", "warn_at")] == [closing, closing]
                    assert evaluate(later)["warn_at"] == closing


def test_business_calendar_counting_minutes_sees_what_it_should() -> None:
    """The other way is only worth something if it tells, by itself, what is known of a night of a clock change."""
    row: dict[str, Any] = {"kind": "deadline", "tz": "Europe/Berlin", "hours": {"5": [["22:00", "06:00"]]}}
    row |= {"holidays": [], "special": {}, "start": "2025-03-29T20:00:00Z", "seconds": 7 * HOUR}
    spring = open_minutes(row, at("2025-03-29T20:00:00Z"))
    assert counted(row, spring)["deadline"] == "2025-03-30T04:00:00Z"  # 06:00, after 7 hours
    row |= {"start": "2025-10-25T20:00:00Z", "seconds": 8 * HOUR, "warn_before_seconds": 7 * HOUR}
    row |= {"pauses": [["2025-10-25T22:00Z", "2025-10-25T23:00Z"]]}
    assert counted(row, open_minutes(row, at("2025-10-25T20:00:00Z"))) == {
        "deadline": "2025-10-26T05:00:00Z",  # 06:00, after 9 hours of which one was waited
        "elapsed_seconds": None,
        "waiting_seconds": HOUR,
        "warn_at": "2025-10-25T21:00:00Z",
    }


FIELDS = ("kind", "tz", "io_tz", "hours", "holidays", "special", "start", "end", "seconds", "pauses", "pause")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
GOOD: dict[str, Any] = {
    "kind": "pause",
    "tz": "Asia/Kathmandu",
    "hours": {"0": [["09:00", "17:00"]]},
    "start": "2025-06-02 09:00",
    "end": "2025-06-03 09:00",
    "seconds": 60,
    "pauses": [["2025-06-02 10:00", None]],
    "warn_before_seconds": 5,
}
instants = st.datetimes().map(str) | st.datetimes(timezones=st.sampled_from([zone("Pacific/Apia")])).map(str)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), anything | instants, max_size=4))
@example({"start": "0001-01-01 00:00", "tz": "Pacific/Apia"})
@example({"start": "9999-12-31 23:59:59", "tz": "America/Los_Angeles"})
@example({"start": "0001-01-01T00:00:00+14:00"})
@example({"tz": "../../etc/passwd"})
@example({"hours": {"99999999999999999999999": []}})
@example({"seconds": 10**300})
@example({"seconds": 1e300})
@example({"pauses": [["2025-06-02", "9999-12-31"]]})
def test_business_calendar_whatever_a_row_holds_its_fault_is_said(changes: dict[str, Any]) -> None:
    said = ""
    answer: dict[str, Any] = {}
    try:
        answer = evaluate(GOOD | changes)
    except ValueError as error:
        said = str(error)
    assert said or list(answer) == ["deadline", "elapsed_seconds", "waiting_seconds", "warn_at"]
