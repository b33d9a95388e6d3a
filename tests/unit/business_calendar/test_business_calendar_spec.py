"""What a spec means, and what is refused: holidays, special days, iCalendar files, and what to mend."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from business_calendar import CalendarError, CalendarSpec, CountryHolidays, compile_calendar, spec_from
from unit.business_calendar.working_weeks import EVERY_DAY, at, shown, week

HOUR = 3600


def event(*lines: str) -> str:
    return "\n".join(["BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT"])


def ical(*events: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", *events, "END:VCALENDAR", ""])


def closed_in(year: int, *holidays: str | CountryHolidays) -> list[str]:
    """The dates of a year, as MM-DD, that a round-the-clock calendar in Berlin keeps closed."""
    calendar = week("00:00-24:00", days=EVERY_DAY, tz="Europe/Berlin", holidays=holidays)
    days = calendar.days(at(f"{year}-01-01", "Europe/Berlin"), (dt.date(year + 1, 1, 1) - dt.date(year, 1, 1)).days)
    closed = [day for day in days if not day.windows]
    assert all(day.holiday for day in closed)
    return [f"{day.date:%m-%d}" for day in closed]


@pytest.mark.parametrize(
    ("holidays", "year", "closed"),
    [
        pytest.param(["2025-12-24"], 2025, ["12-24"], id="a date"),
        pytest.param(["2025-12-24"], 2026, [], id="a date, in another year"),
        pytest.param(["12-24", "05-01"], 2026, ["05-01", "12-24"], id="yearly dates"),
        pytest.param(["02-29"], 2024, ["02-29"], id="29 February in a leap year"),
        pytest.param(["02-29"], 2025, [], id="29 February in a common year"),
        pytest.param(["02-29"], 2100, [], id="29 February in 2100"),
    ],
)
def test_business_calendar_holidays_by_date(holidays: list[str], year: int, closed: list[str]) -> None:
    assert closed_in(year, *holidays) == closed


def test_business_calendar_holidays_by_country_and_subdivision() -> None:
    germany = closed_in(2025, CountryHolidays("DE"))
    bavaria = closed_in(2025, CountryHolidays("DE", "BY"))
    assert germany == ["01-01", "04-18", "04-21", "05-01", "05-29", "06-09", "10-03", "12-25", "12-26"]
    assert sorted(set(bavaria) - set(germany)) == ["01-06", "06-19", "11-01"]
    assert {"12-31"} <= set(closed_in(2021, CountryHolidays("US")))  # 1 January 2022, a Saturday, is observed on it


def test_business_calendar_holidays_are_named_in_english_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(variable, "de_DE.UTF-8")
    calendar = week("09:00-17:00", tz="Europe/Berlin", holidays=[CountryHolidays("DE")])
    (unity_day,) = calendar.days(at("2025-10-03 12:00", "Europe/Berlin"), 1)
    assert unity_day.holiday == "German Unity Day"


@pytest.mark.parametrize(
    ("events", "year", "closed"),
    [
        pytest.param([event("DTSTART;VALUE=DATE:20251224")], 2025, ["12-24"], id="a day"),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20251230", "DTEND;VALUE=DATE:20260102")],
            2026,
            ["01-01"],
            id="to an end, exclusive",
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20251230", "DURATION:P3D")], 2025, ["12-30", "12-31"], id="for a duration"
        ),
        pytest.param([event("DTSTART;VALUE=DATE:20000624", "RRULE:FREQ=YEARLY")], 2095, ["06-24"], id="every year"),
        pytest.param(
            [event("DTSTART;VALUE=DATE:19981126", "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH")], 2025, ["11-27"], id="4TH"
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20240229", "RRULE:FREQ=YEARLY")], 2025, [], id="29 February, in a common year"
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20200101", "RRULE:FREQ=YEARLY;UNTIL=20250101")], 2025, ["01-01"], id="until it"
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20200101", "RRULE:FREQ=YEARLY;UNTIL=20241231T225959Z")],
            2025,
            [],
            id="until before",
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20200101", "RRULE:FREQ=YEARLY;COUNT=6")], 2025, ["01-01"], id="the last of six"
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20201230", "DTEND;VALUE=DATE:20210102", "RRULE:FREQ=YEARLY")],
            2025,
            ["01-01", "12-30", "12-31"],
            id="every year over the new year",
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20250501", "RRULE:FREQ=MONTHLY;COUNT=3", "EXDATE;VALUE=DATE:20250601")],
            2025,
            ["05-01", "07-01"],
            id="but not then",
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20250501", "RDATE;VALUE=DATE:20250503,20250505")],
            2025,
            ["05-01", "05-03", "05-05"],
            id="and then",
        ),
        pytest.param(
            [
                event("DTSTART;VALUE=DATE:20240612", "RRULE:FREQ=YEARLY"),
                event("RECURRENCE-ID;VALUE=DATE:20250612", "DTSTART;VALUE=DATE:20250613"),
            ],
            2025,
            ["06-13"],
            id="one occurrence moved",
        ),
        pytest.param(
            [
                event("DTSTART;VALUE=DATE:20240612", "RRULE:FREQ=YEARLY"),
                event("RECURRENCE-ID;VALUE=DATE:20250612", "DTSTART;VALUE=DATE:20250612", "STATUS:CANCELLED"),
            ],
            2025,
            [],
            id="one occurrence cancelled",
        ),
        pytest.param(
            [event("DTSTART;VALUE=DATE:20251224", "STATUS:CANCELLED"), event("DTSTART:20251226")],
            2025,
            ["12-26"],
            id="one cancelled, one without its VALUE=DATE",
        ),
        pytest.param(
            [event("DTSTART:20251224T000000", "DTEND:20251225T000000")], 2025, ["12-24"], id="from midnight to midnight"
        ),
    ],
)
def test_business_calendar_holidays_from_icalendar(events: list[str], year: int, closed: list[str]) -> None:
    assert closed_in(year, ical(*events)) == closed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("BEGIN:VCALENDAR\nDTSTART", "not an iCalendar text", id="cut off"),
        pytest.param(ical(), "holds no event", id="no event"),
        pytest.param(ical(event("SUMMARY:Fair")), "'Fair': has no DTSTART", id="no date"),
        pytest.param(ical(event("DTSTART;VALUE=DATE:2025")), "DTSTART", id="no such date"),
        pytest.param(
            ical(event("DTSTART:20251224T120000Z", "DTEND:20251224T170000Z")), "lasts hours", id="an afternoon"
        ),
        pytest.param(ical(event("DTSTART:20251224T120000", "DURATION:P1D")), "lasts hours", id="noon to noon"),
        pytest.param(ical(event("DTSTART;VALUE=DATE:20251224", "DTEND:20251225T120000")), "of one kind", id="mixed"),
        pytest.param(
            ical(event("DTSTART;VALUE=DATE:20251224", "DTEND;VALUE=DATE:20251224")), "lasts hours", id="0 days"
        ),
        pytest.param(ical(event("DTSTART;VALUE=DATE:20251224", "DURATION:P400D")), "lasts 400 days", id="endless"),
        pytest.param(ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=HOURLY")), "whole days", id="hourly"),
        pytest.param(ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=YEARLY;INTERVAL=0")), "whole days", id="0"),
        pytest.param(
            ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=YEARLY;BYDAY=60MO")),
            "no year more than 53",
            id="60MO",
        ),
        pytest.param(
            ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=MONTHLY;BYDAY=1MO,40TU")),
            "no month has more than 5",
            id="40TU",
        ),
        pytest.param(
            ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=YEARLY;BYMONTH=6;BYDAY=-60MO")),
            "no month has more than 5",
            id="-60MO",
        ),
        pytest.param(ical(event("DTSTART;VALUE=DATE:20251224", "RRULE:FREQ=YEARLY;SKIP=OMIT")), "SKIP", id="RFC 7529"),
    ],
)
def test_business_calendar_refuses_an_icalendar_text(text: str, problem: str) -> None:
    with pytest.raises(CalendarError, match=problem) as refused:
        week("09:00-17:00", holidays=["12-25", text])
    assert str(refused.value).startswith("calendar 'desk': holidays[1]: ")


@pytest.mark.parametrize(
    ("date", "open_at"),
    [
        pytest.param("2025-12-23", ["09:00–17:00"], id="an ordinary day"),
        pytest.param("2025-12-24", ["09:00–12:00"], id="a special day that is a holiday too is special"),
        pytest.param("2025-12-25", [], id="a holiday"),
        pytest.param("2025-12-26", ["10:00–11:00"], id="the exact date goes before the yearly one"),
        pytest.param("2026-12-26", ["14:00–15:00"], id="a Saturday with hours of its own, every year"),
        pytest.param("2025-12-30", [], id="a special day without windows is closed"),
    ],
)
def test_business_calendar_special_days(date: str, open_at: list[str]) -> None:
    calendar = week(
        "09:00-17:00",
        holidays=["12-24", "12-25"],
        special={
            "12-26": ["14:00-15:00"],
            "2025-12-26": ["10:00-11:00"],
            "2025-12-24": ["09:00-12:00"],
            "2025-12-30": [],
        },
    )
    found = calendar.windows(at(date), at(date) + 24 * HOUR)
    assert [f"{(shown(opens) or '')[11:]}–{(shown(closes) or '')[11:]}" for opens, closes in found] == open_at


def test_business_calendar_a_holiday_takes_the_night_that_starts_on_it_and_no_other() -> None:
    """A window belongs, whole, to the day it starts on."""
    nights = week("22:00-06:00", holidays=["2025-06-03"])
    assert nights.is_open(at("2025-06-03 02:00"))  # Monday's night
    assert not nights.is_open(at("2025-06-03 23:00"))
    assert not nights.is_open(at("2025-06-04 02:00"))
    assert shown(nights.next_open(at("2025-06-03 06:00"))) == "2025-06-04 22:00"


def test_business_calendar_days_say_why() -> None:
    calendar = week("09:00-17:00", tz="Europe/Berlin", holidays=["2025-06-03"], special={"2025-06-04": ["22:00-26:00"]})
    days = list(calendar.days(at("2025-06-02 01:00", "Europe/Berlin"), 4))
    assert [(f"{day.date:%a}", len(day.windows), day.holiday, day.special) for day in days] == [
        ("Mon", 1, None, False),
        ("Tue", 0, "2025-06-03", False),
        ("Wed", 1, None, True),
        ("Thu", 1, None, False),
    ]
    assert days[2].windows == ((at("2025-06-04T20:00Z"), at("2025-06-05T00:00Z")),)


MONDAY = {"0": [["09:00", "17:00"]]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param(
            {"zone": "Europe/Berln"}, "zone: 'Europe/Berln' is not a time zone; did you mean Europe/Berlin", id="zone"
        ),
        pytest.param({"hours": {}}, "never opens", id="no hours"),
        pytest.param({"hours": {"0": []}}, "never opens", id="a day without windows"),
        pytest.param({"hours": {}, "special": {"12-24": []}}, "never opens", id="a special day without windows"),
        pytest.param({"special": {"2300-01-01": [["09:00", "17:00"]]}, "hours": {}}, "never opens", id="past 2199"),
        pytest.param(
            {"holidays": [ical(event("DTSTART;VALUE=DATE:19991231", "RRULE:FREQ=DAILY"))]}, "never opens", id="all free"
        ),
        pytest.param({"hours": {"7": [["09:00", "17:00"]]}}, "7 is not a weekday", id="weekday 7"),
        pytest.param({"hours": {"Mon": []}}, "cannot be read", id="weekday by name"),
        pytest.param({"hours": {"0": [["09:00", "09:00"]]}}, r"hours\[0\]: the window .* is empty", id="empty window"),
        pytest.param({"hours": {"0": [["9:00", "17:00"]]}}, "'9:00' is not a time of day", id="no leading zero"),
        pytest.param({"hours": {"0": [["09:60", "17:00"]]}}, "09:60 is not a time of day", id="minute 60"),
        pytest.param({"hours": {"0": [["09:00", "49:00"]]}}, "49:00 is not a time of day", id="hour 49"),
        pytest.param({"hours": {"0": [["24:00", "26:00"]]}}, "24:00 is past the day's end", id="starts tomorrow"),
        pytest.param({"hours": {"0": [["09:00"]]}}, "cannot be read", id="half a window"),
        pytest.param({"hours": {"0": [[540, 1020]]}}, "cannot be read", id="unquoted YAML times"),
        pytest.param({"holidays": ["25-12"]}, "holidays.0.: 25-12 is not in any year", id="day before month"),
        pytest.param({"holidays": ["2025-02-29"]}, "2025-02-29 is not in any year", id="no such date"),
        pytest.param({"holidays": ["Christmas"]}, "'Christmas' is not a date", id="a name"),
        pytest.param(
            {"holidays": [{"country": "XX"}]}, "Country XX not available; write a code of ISO 3166-1", id="XX"
        ),
        pytest.param(
            {"holidays": [{"country": "SUN"}]}, "Country SUN not available; write a code of ISO 3166-1", id="SUN"
        ),
        pytest.param(
            {"holidays": [{"country": "countries"}]}, "Country countries not available", id="a name of the library's"
        ),
        pytest.param(
            {"holidays": [{"country": "DE", "subdivision": "ZZ"}]},
            "subdivision ZZ; its subdivisions are BB, BE",
            id="ZZ",
        ),
        pytest.param({"holidays": [{"country": "DE", "region": "BY"}]}, "cannot be read", id="unknown field"),
        pytest.param({"special": {"tomorrow": []}}, "special: 'tomorrow' is not a date", id="special date"),
        pytest.param({"special": {"2025-12-24": [["x", "y"]]}}, r"special\[2025-12-24\]: 'x'", id="special window"),
    ],
)
def test_business_calendar_refuses_a_spec(changes: dict[str, Any], problem: str) -> None:
    data: dict[str, Any] = {"name": "desk", "zone": "UTC", "hours": MONDAY}
    with pytest.raises(CalendarError, match=problem) as refused:
        compile_calendar(spec_from(data | changes))
    assert str(refused.value).startswith("calendar 'desk'")


def test_business_calendar_opens_on_special_days_only() -> None:
    calendar = compile_calendar(
        CalendarSpec(name="sale", zone="UTC", hours={}, special={"11-28": [("00:00", "24:00")]})
    )
    assert shown(calendar.next_open(at("2025-12-01"))) == "2026-11-28 00:00"


def test_business_calendar_spec_goes_through_json() -> None:
    spec = CalendarSpec(
        name="desk",
        zone="Europe/Berlin",
        hours={0: [("09:00", "17:00")]},
        holidays=["12-25", CountryHolidays("DE", "BY")],
        special={"2025-12-24": [("09:00", "12:00")]},
    )
    read = msgspec.json.decode(msgspec.json.encode(spec), type=CalendarSpec)
    assert msgspec.to_builtins(read) == msgspec.to_builtins(spec)
    assert compile_calendar(read).next_open(0) == compile_calendar(spec).next_open(0)
