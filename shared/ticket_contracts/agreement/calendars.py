"""An agreement's calendars, compiled, and what its goals come to in them: the one place where its `WorkingTime` becomes
a `CalendarSpec`."""

from __future__ import annotations

from business_calendar import Calendar, CalendarSpec, CountryHolidays, compile_calendar
from ticket_contracts.agreement.model import Agreement, Goal, WorkingTime

_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}


def calendar_spec(name: str, hours: WorkingTime) -> CalendarSpec:
    """The calendar of that name as plain data; nothing is checked."""
    return CalendarSpec(
        name=name,
        zone=hours.zone,
        hours={_WEEKDAYS[day]: windows for day, windows in hours.hours.items()},
        holidays=[
            *hours.holidays,
            *(CountryHolidays(h.country, h.subdivision) for h in hours.public_holidays),
            *hours.icalendar,
        ],
        special=hours.special,
    )


def compile_calendars(agreement: Agreement) -> dict[str, Calendar]:
    """Every calendar of the agreement by its name. Raises CalendarError naming the calendar and its fault."""
    return {name: compile_calendar(calendar_spec(name, hours)) for name, hours in agreement.calendars.items()}


def budget(goal: Goal, start: int, calendar: Calendar | None) -> int:
    """The seconds of working time that a clock of this goal has which counts from `start` (unix seconds).

    Of business days: the working time from there to their end; so pauses, warnings and what is left are counted as for
    any other goal. Raises CalendarError past the calendar's horizon.
    """
    if goal.business_days is None or calendar is None:
        assert goal.seconds is not None, "`checking` lets no goal pass without a measure"
        return goal.seconds
    return calendar.elapsed(start, calendar.add_business_days(start, goal.business_days))
