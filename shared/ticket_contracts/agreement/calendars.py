"""An agreement's calendars, compiled: the one place where its `WorkingTime` becomes a `CalendarSpec`."""

from __future__ import annotations

from business_calendar import Calendar, CalendarSpec, CountryHolidays, compile_calendar
from ticket_contracts.agreement.model import Agreement, WorkingTime

_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}


def calendar_spec(name: str, hours: WorkingTime) -> CalendarSpec:
    """The calendar of that name as plain data; nothing is checked."""
    return CalendarSpec(
        name=name,
        zone=hours.zone,
        hours={_WEEKDAYS[day]: windows for day, windows in hours.hours.items()},
        holidays=[*hours.holidays, *(CountryHolidays(h.country, h.subdivision) for h in hours.public_holidays)],
        special=hours.special,
    )


def compile_calendars(agreement: Agreement) -> dict[str, Calendar]:
    """Every calendar of the agreement by its name. Raises CalendarError naming the calendar and its fault."""
    return {name: compile_calendar(calendar_spec(name, hours)) for name, hours in agreement.calendars.items()}
