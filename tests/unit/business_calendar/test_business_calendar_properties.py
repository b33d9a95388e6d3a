"""What holds of any calendar, zone and instant; and a second way to the same answers, slow and obvious."""

from __future__ import annotations

import datetime as dt
import itertools

import hypothesis.strategies as st
from hypothesis import given, settings

from business_calendar import ALWAYS_OPEN, Calendar, CalendarSpec, compile_calendar, local_time, offset_changes, zone
from unit.business_calendar.working_weeks import EVERY_DAY, at, week

anytime = settings(deadline=None)  # a machine that is busy is no failure
QUARTER = 900
DAY = 86_400
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "America/Santiago",  # changes at midnight
    "America/Havana",  # repeats midnight
    "Asia/Beirut",  # skips midnight
    "Asia/Kathmandu",  # a quarter off
    "Africa/Casablanca",  # changes four times a year
    "Africa/Cairo",
    "Australia/Lord_Howe",  # changes by half an hour
    "Australia/Sydney",
    "Pacific/Apia",  # skipped a date
    "Pacific/Chatham",
    "Antarctica/Troll",  # changes by two hours
)


def clock(quarters: int) -> str:
    return f"{quarters // 4:02}:{quarters % 4 * 15:02}"


@st.composite
def windows(draw: st.DrawFn) -> tuple[str, str]:
    start = draw(st.integers(0, 95))
    return clock(start), clock(start + draw(st.integers(1, min(96, 192 - start))))


dates = st.dates(dt.date(2009, 1, 1), dt.date(2034, 12, 31)).map(str)
yearly_dates = st.dates(dt.date(2000, 1, 1), dt.date(2000, 12, 31)).map(lambda date: f"{date:%m-%d}")


@st.composite
def specs(draw: st.DrawFn) -> CalendarSpec:
    day = draw(st.integers(0, 6))
    hours = draw(st.dictionaries(st.integers(0, 6), st.lists(windows(), max_size=3), max_size=7))
    return CalendarSpec(
        name="any",
        zone=draw(st.sampled_from(ZONES)),
        hours=hours | {day: [draw(windows())]},
        holidays=draw(st.lists(dates | yearly_dates, max_size=4)),
        special=draw(st.dictionaries(dates | yearly_dates, st.lists(windows(), max_size=2), max_size=3)),
    )


calendars = specs().map(compile_calendar)
instants = st.integers(at("2010-01-01"), at("2033-01-01"))
budgets = st.integers(0, 2_000_000)
spans = st.tuples(st.integers(-200_000, 400_000), st.integers(0, 200_000))


@st.composite
def pauses_from(draw: st.DrawFn, start: int) -> list[tuple[int, int]]:
    return [(start + after, start + after + length) for after, length in draw(st.lists(spans, max_size=4))]


@anytime
@given(calendars, instants, budgets)
def test_business_calendar_add_is_the_first_instant_with_that_much_elapsed(
    calendar: Calendar, start: int, seconds: int
) -> None:
    due = calendar.add(start, seconds)
    assert calendar.elapsed(start, due) == seconds
    assert due == start if seconds == 0 else calendar.elapsed(start, due - 1) == seconds - 1


@anytime
@given(calendars, instants, budgets)
def test_business_calendar_subtract_is_the_last_instant_with_that_much_left(
    calendar: Calendar, end: int, seconds: int
) -> None:
    start = calendar.subtract(end, seconds)
    assert calendar.elapsed(start, end) == seconds
    assert start == end if seconds == 0 else calendar.elapsed(start + 1, end) == seconds - 1


@anytime
@given(calendars, instants, budgets)
def test_business_calendar_add_and_subtract_undo_each_other(calendar: Calendar, at: int, seconds: int) -> None:
    opens = calendar.next_open(at)
    assert opens is not None
    assert calendar.subtract(calendar.add(opens, seconds), seconds) == opens
    closes = calendar.next_close(at)
    if closes is not None:
        assert calendar.add(calendar.subtract(closes, seconds), seconds) == closes


@anytime
@given(calendars, instants, st.integers(0, 10_000_000), budgets, budgets)
def test_business_calendar_is_monotone(calendar: Calendar, start: int, later: int, less: int, more: int) -> None:
    less, more = sorted((less, more))
    assert calendar.add(start, less) <= calendar.add(start, more)
    assert calendar.add(start, less) <= calendar.add(start + later, less)
    assert calendar.subtract(start, more) <= calendar.subtract(start, less)
    assert 0 <= calendar.elapsed(start, start + later) <= later


@anytime
@given(calendars, instants, budgets, budgets)
def test_business_calendar_a_budget_can_be_spent_in_parts(calendar: Calendar, start: int, one: int, other: int) -> None:
    assert calendar.add(calendar.add(start, one), other) == calendar.add(start, one + other)


@anytime
@given(calendars, instants, instants, instants)
def test_business_calendar_elapsed_adds_up(calendar: Calendar, a: int, b: int, c: int) -> None:
    assert calendar.elapsed(a, b) + calendar.elapsed(b, c) == calendar.elapsed(a, c)
    assert calendar.elapsed(a, b) == -calendar.elapsed(b, a)


@anytime
@given(specs(), st.lists(instants, min_size=1, max_size=4), budgets)
def test_business_calendar_answers_do_not_depend_on_what_was_asked_before(
    spec: CalendarSpec, asked: list[int], seconds: int
) -> None:
    used = compile_calendar(spec)
    for instant in asked:
        fresh = compile_calendar(spec)
        assert used.add(instant, seconds) == fresh.add(instant, seconds)
        assert used.subtract(instant, seconds) == compile_calendar(spec).subtract(instant, seconds)
        assert used.next_open(instant) == compile_calendar(spec).next_open(instant)
        assert used.next_close(instant) == compile_calendar(spec).next_close(instant)


@anytime
@given(calendars, instants, st.integers(0, 40 * DAY))
def test_business_calendar_windows_agree_with_the_questions(calendar: Calendar, start: int, length: int) -> None:
    end = start + length
    found = list(calendar.windows(start, end))
    assert sum(closes - opens for opens, closes in found) == calendar.elapsed(start, end)
    assert all(closes < opens for (_, closes), (opens, _) in itertools.pairwise(found))
    for opens, closes in found:
        assert start <= opens < closes <= end
        assert calendar.is_open(opens)
        assert calendar.is_open(closes - 1)
        assert closes == end or (not calendar.is_open(closes) and calendar.next_close(opens) == closes)
        assert opens == start or calendar.next_open(opens - 1) == opens


@anytime
@given(st.data(), calendars, instants, budgets)
def test_business_calendar_pauses_do_not_count(
    data: st.DataObject, calendar: Calendar, start: int, seconds: int
) -> None:
    pauses = data.draw(pauses_from(start))
    due = calendar.add(start, seconds, pauses)
    assert calendar.elapsed(start, due, pauses) == seconds
    assert due == start if seconds == 0 else calendar.elapsed(start, due - 1, pauses) == seconds - 1
    assert due >= calendar.add(start, seconds)
    back = calendar.subtract(due, seconds, pauses)
    assert back >= start
    assert calendar.elapsed(back, due, pauses) == seconds


@anytime
@given(instants, budgets, st.integers(-11, 12))
def test_business_calendar_shifts_with_its_zone(start: int, seconds: int, hours: int) -> None:
    """A zone that never changes is UTC, moved."""
    here = week("09:00-12:00", "13:00-17:30", holidays=["12-25"])
    there = week("09:00-12:00", "13:00-17:30", holidays=["12-25"], tz=f"Etc/GMT{-hours:+}" if hours else "UTC")
    ahead = hours * 3600
    assert there.add(start - ahead, seconds) + ahead == here.add(start, seconds)
    assert there.subtract(start - ahead, seconds) + ahead == here.subtract(start, seconds)
    assert there.elapsed(start - ahead, start - ahead + seconds) == here.elapsed(start, start + seconds)


@anytime
@given(instants, budgets, st.sampled_from(ZONES))
def test_business_calendar_around_the_clock_is_wall_time_in_any_zone(start: int, seconds: int, tz: str) -> None:
    # The yearly special day keeps the short cut for 24x7 out of it, and changes no hour.
    calendar = week("00:00-24:00", days=EVERY_DAY, tz=tz, special={"03-30": ["00:00-24:00"]})
    assert calendar.add(start, seconds) == start + seconds == ALWAYS_OPEN.add(start, seconds)
    assert calendar.subtract(start, seconds) == start - seconds == ALWAYS_OPEN.subtract(start, seconds)


@settings(anytime, max_examples=150)
@given(st.data(), specs())
def test_business_calendar_agrees_with_looking_at_each_quarter_of_an_hour(
    data: st.DataObject, spec: CalendarSpec
) -> None:
    """All edges and offsets here are whole quarters, so that a quarter is open or closed as a whole."""
    changes = [change.at for change in offset_changes(zone(spec.zone), at("2010-01-10"), at("2032-12-01"))]
    anywhere = st.integers(at("2010-01-10") // QUARTER, at("2032-12-01") // QUARTER).map(lambda n: n * QUARTER)
    near_a_change = st.sampled_from(changes or [0]).map(lambda change: change // QUARTER * QUARTER - 3 * DAY)
    start = data.draw(near_a_change | anywhere if changes else anywhere)
    calendar = compile_calendar(spec)
    opened = quarters_open(spec, start)
    week_on = range(start, start + 7 * DAY, QUARTER)
    for instant in week_on:
        assert calendar.is_open(instant) == (instant in opened)
    assert calendar.elapsed(start, week_on.stop) == QUARTER * len(opened.intersection(week_on))


def quarters_open(spec: CalendarSpec, start: int) -> set[int]:
    """The instants, a quarter of an hour apart, at which a spec is open, for a week from `start` on and some days
    around it; found by reading the zone's clocks at each instant, and not by asking what a local time means."""
    local = zone(spec.zone)
    grid = range(start - 8 * DAY, start + 13 * DAY, QUARTER)
    clocks = [local_time(instant, local).replace(tzinfo=None, fold=0) for instant in grid]
    first_at: dict[dt.datetime, int] = {}
    for instant, reading in zip(grid, clocks, strict=True):
        first_at.setdefault(reading, instant)

    def instant_of(midnight: dt.datetime, quarters: int) -> int:
        wanted = midnight + quarters * dt.timedelta(seconds=QUARTER)
        if wanted in first_at:
            return first_at[wanted]
        # Skipped: as if the clocks had gone on as before.
        last = max(i for i, reading in enumerate(clocks) if reading < wanted and clocks[i + 1] > wanted)
        return grid[last] + int((wanted - clocks[last]).total_seconds())

    opened: set[int] = set()
    # A date that the zone skipped is not among the readings, and has no hours.
    for day in sorted({reading.date() for reading in clocks[4 * DAY // QUARTER : -4 * DAY // QUARTER]}):
        midnight = dt.datetime.combine(day, dt.time())
        for begin, end in hours_on(spec, day):
            opens, closes = (int(text[:2]) * 4 + int(text[3:]) // 15 for text in (begin, end))
            if closes <= opens:
                closes += 96
            opened.update(range(instant_of(midnight, opens), instant_of(midnight, closes), QUARTER))
    return opened


def hours_on(spec: CalendarSpec, day: dt.date) -> list[tuple[str, str]]:
    for key in (f"{day:%Y-%m-%d}", f"{day:%m-%d}"):
        if key in spec.special:
            return list(spec.special[key])
    if f"{day:%Y-%m-%d}" in spec.holidays or f"{day:%m-%d}" in spec.holidays:
        return []
    return list(spec.hours.get(day.weekday(), []))


def test_business_calendar_the_slow_way_sees_what_it_should() -> None:
    """The other way is only worth something if it can tell open from closed, by itself, at a clock change."""
    spec = CalendarSpec(name="any", zone="Europe/Berlin", hours={6: [("02:00", "04:00")]})
    spring, autumn = at("2025-03-28"), at("2025-10-24")
    assert len(quarters_open(spec, spring).intersection(range(spring, spring + 7 * DAY))) == 4
    assert len(quarters_open(spec, autumn).intersection(range(autumn, autumn + 7 * DAY))) == 12


SHIFTS = [("06:00", "12:00"), ("13:00", "22:15"), ("07:30", "15:00")]


@anytime
@given(
    st.dictionaries(st.integers(0, 6), st.lists(st.sampled_from(SHIFTS), min_size=1), min_size=1),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    instants,
    st.lists(st.integers(-2, 20), max_size=6),
    st.integers(0, 8),
)
def test_business_calendar_business_days_are_those_that_one_counts_on_the_wall(
    hours: dict[int, list[tuple[str, str]]], tz: str, start: int, free: list[int], days: int
) -> None:
    today = local_time(start, zone(tz)).date()
    holidays = {str(today + dt.timedelta(days=ahead)) for ahead in free}
    calendar = compile_calendar(CalendarSpec(name="any", zone=tz, hours=hours, holidays=sorted(holidays)))

    def closing(day: dt.date) -> int | None:
        closed = str(day) in holidays or day.weekday() not in hours
        return None if closed else max(at(f"{day} {closes}", tz) for _, closes in hours[day.weekday()])

    of_today = closing(today)
    if days == 0 and of_today is not None and of_today > start:
        assert calendar.add_business_days(start, 0) == of_today
        return
    later = (closing(today + dt.timedelta(days=ahead)) for ahead in itertools.count(1))
    ends = itertools.islice((end for end in later if end is not None), max(days, 1))
    assert calendar.add_business_days(start, days) == list(ends)[-1]
