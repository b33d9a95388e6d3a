"""On which dates no window starts: by date, by yearly date, by country, from iCalendar files."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import holidays
import icalendar
from dateutil.rrule import rrule, rruleset, rrulestr

from business_calendar.spec import CalendarError, CountryHolidays, YearlyDate, parse_date

_A_DAY = dt.timedelta(days=1)
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
_COUNTED = {"MONTHLY", "YEARLY"}
"""Where "4TH" is the fourth Thursday: of the month, or of the year."""
_TIMES_OF_DAY = {"BYHOUR", "BYMINUTE", "BYSECOND"}


class FreeDays:
    """The holidays of one calendar. A year is worked out when first asked for."""

    def __init__(self, entries: Sequence[str | CountryHolidays], where: str) -> None:
        self._exact: dict[dt.date, str] = {}
        self._yearly: dict[YearlyDate, str] = {}
        self._countries: list[CountryHolidays] = []
        self._events: list[_FreeEvent] = []
        self._years: dict[int, dict[dt.date, str]] = {}
        for index, entry in enumerate(entries):
            self._read(entry, f"{where}[{index}]")

    def __bool__(self) -> bool:
        return bool(self._exact or self._yearly or self._countries or self._events)

    def name_of(self, day: dt.date) -> str | None:
        """What the holiday on that date is called, a date given as text by that text; None if it is no holiday."""
        year = self._years.get(day.year)
        if year is None:
            year = self._years[day.year] = self._year(day.year)
        return year.get(day)

    def _read(self, entry: object, where: str) -> None:
        if isinstance(entry, CountryHolidays):
            _country_year(entry, 2000, where)  # refuses a country or subdivision that is not known
            self._countries.append(entry)
        elif isinstance(entry, str) and is_icalendar(entry):
            self._events.extend(_free_events(entry, where))
        else:
            date = parse_date(entry, where)
            if isinstance(date, YearlyDate):
                self._yearly[date] = str(entry)
            else:
                self._exact[date] = str(entry)

    def _year(self, year: int) -> dict[dt.date, str]:
        days = {date: name for date, name in self._exact.items() if date.year == year}
        for yearly, name in self._yearly.items():
            if yearly != (2, 29) or calendar.isleap(year):
                days[dt.date(year, *yearly)] = name
        for event in self._events:
            days.update((date, event.name) for date in event.dates(year))
        for country in self._countries:
            days.update(_country_year(country, year, "holidays"))
        return days


def _country_year(entry: CountryHolidays, year: int, where: str) -> Mapping[dt.date, str]:
    try:
        # Without a language the names would be in that of the machine.
        days = holidays.country_holidays(
            entry.country, subdiv=entry.subdivision, years=year, expand=False, language="en_US"
        )
    except (NotImplementedError, TypeError) as error:
        known = holidays.list_supported_countries(include_aliases=False)
        hint = (
            f"its subdivisions are {', '.join(known[entry.country]) or 'none'}"
            if entry.country in known
            else 'write a code of ISO 3166-1, as {"country": "DE"}, or give the dates'
        )
        # The library looks a country up among all its own names: what is no class there fails as a call does.
        problem = error if isinstance(error, NotImplementedError) else f"Country {entry.country} not available"
        raise CalendarError(f"{where}: {problem}; {hint}") from None
    return days


class _FreeEvent(NamedTuple):
    """An all-day event of an iCalendar file: the dates it begins on, and how many days it lasts."""

    name: str
    days: int
    begins: rruleset

    def dates(self, year: int) -> Iterator[dt.date]:
        first, last = dt.date(year, 1, 1), dt.date(year, 12, 31)
        for begin in self.begins.between(_midnight(first - (self.days - 1) * _A_DAY), _midnight(last), inc=True):
            day = max(begin.date(), first)
            while day <= last and (day - begin.date()).days < self.days:
                yield day
                day += _A_DAY


def is_icalendar(entry: str) -> bool:
    """Whether a holiday is given as the text of an iCalendar file, and not as a date."""
    return entry.lstrip().upper().startswith("BEGIN:VCALENDAR")


def check_icalendar(text: str, where: str) -> None:
    """CalendarError, naming `where`, unless the text can be a calendar's holidays."""
    if not is_icalendar(text):
        raise CalendarError(f"{where}: not an iCalendar text; it begins with BEGIN:VCALENDAR")
    for event in _free_events(text, where):
        next(event.dates(2000), None)


def _free_events(text: str, where: str) -> Iterator[_FreeEvent]:
    """The all-day events of an iCalendar text; CalendarError if it cannot be read, or holds an event with hours."""
    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise CalendarError(f"{where}: not an iCalendar text: {str(error).strip()}") from None
    events = [event for one in calendars for event in one.walk("VEVENT")]
    if not events:
        raise CalendarError(f"{where}: the iCalendar text holds no event (VEVENT)")
    moved: dict[str, list[dt.datetime]] = {}  # occurrences that an event of their own replaces
    for event in events:
        if "RECURRENCE-ID" in event and not event.errors:
            moved.setdefault(str(event.get("UID")), []).extend(_dates(event["RECURRENCE-ID"]))
    for event in events:
        name = str(event.get("SUMMARY", "")) or "holiday"
        at = f"{where}: event {name!r}"
        if event.errors:
            raise CalendarError(f"{at}: {'; '.join(f'{field}: {problem}' for field, problem in event.errors)}")
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        begin, days = _whole_days(event, at)
        begins = rruleset(cache=True)  # asked year by year, each time from its beginning
        rules = _listed(event.get("RRULE"))
        for rule in rules:
            begins.rrule(_rule(rule, begin, at))
        if not rules:
            begins.rdate(begin)
        for date in _dates(event.get("RDATE")):
            begins.rdate(date)
        for date in _dates(event.get("EXDATE")):
            begins.exdate(date)
        if "RECURRENCE-ID" not in event:
            for date in moved.get(str(event.get("UID")), []):
                begins.exdate(date)
        yield _FreeEvent(name, days, begins)


def _whole_days(event: icalendar.Component, at: str) -> tuple[dt.datetime, int]:
    """The midnight an event begins at and its days. CalendarError unless it covers whole days."""
    start, end, duration = (_single(event, field, at) for field in ("DTSTART", "DTEND", "DURATION"))
    if not isinstance(start, dt.date):
        raise CalendarError(f"{at}: has no DTSTART")
    length = dt.timedelta() if isinstance(start, dt.datetime) else _A_DAY
    if isinstance(end, dt.date):
        try:
            length = end - start
        except TypeError:
            raise CalendarError(f"{at}: DTSTART and DTEND are not of one kind; give both as dates") from None
    elif isinstance(duration, dt.timedelta):
        length = duration
    # An all-day event may come as one from midnight to midnight; some programs write nothing else.
    midnight = not isinstance(start, dt.datetime) or start.time() == dt.time()
    if not midnight or length < _A_DAY or length % _A_DAY:
        raise CalendarError(f"{at}: lasts hours, not whole days; give that day as a special day with its windows")
    if length > 366 * _A_DAY:
        raise CalendarError(f"{at}: lasts {length.days} days; no holiday is longer than a year")
    return _midnight(start), length // _A_DAY


def _rule(value: Any, begin: dt.datetime, at: str) -> rrule:
    parts = {key.upper(): _listed(part) for key, part in value.items()}
    written = value.to_ical().decode()
    frequency = str(parts.get("FREQ", [""])[0]).upper()
    if frequency not in _FREQUENCIES or parts.get("INTERVAL", [1])[0] < 1 or parts.keys() & _TIMES_OF_DAY:
        raise CalendarError(f"{at}: RRULE {written} does not repeat whole days")
    most = 5 if frequency == "MONTHLY" or "BYMONTH" in parts else 53  # dateutil fails over more, years later perhaps
    if frequency in _COUNTED and any(abs(day.relative or 0) > most for day in parts.get("BYDAY", ())):
        raise CalendarError(f"{at}: RRULE {written}: no month has more than 5 of a weekday, no year more than 53")
    # dateutil wants UNTIL to be of the kind of the first occurrence, which is a date without a zone here.
    until = parts.pop("UNTIL", None)
    text = ";".join(f"{key}={','.join(str(item) for item in part)}" for key, part in parts.items())
    if until is not None:
        text += f";UNTIL={_midnight(until[0]):%Y%m%d}"
    try:
        rule = rrulestr(text, dtstart=begin)
    except ValueError as error:
        raise CalendarError(f"{at}: RRULE {written}: {error}") from None
    assert isinstance(rule, rrule)  # a set comes of several lines only
    return rule


def _single(event: icalendar.Component, field: str, at: str) -> object:
    values = _listed(event.get(field))
    if len(values) > 1:
        raise CalendarError(f"{at}: has {field} {len(values)} times")
    return values[0].dt if values else None


def _dates(values: Any) -> Iterator[dt.datetime]:
    """The dates in a property that holds one, a list, or came several times; of a period, its first."""
    for value in _listed(values):
        for item in getattr(value, "dts", [value]):
            yield _midnight(item.dt[0] if isinstance(item.dt, tuple) else item.dt)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _midnight(value: dt.date) -> dt.datetime:
    return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date for dateutil, not an instant
