"""Working time: pure arithmetic on business calendars.

Instants are integer unix seconds (UTC), amounts are real seconds. `compile_calendar` makes a `Calendar` of a
`CalendarSpec`; text becomes an instant, and an instant text, in `business_calendar.zones` only.
"""

from business_calendar.calendar import ALWAYS_OPEN, Calendar, Pauses, compile_calendar
from business_calendar.free_days import check_icalendar, is_icalendar
from business_calendar.local_days import Day
from business_calendar.spec import CalendarError, CalendarSpec, CountryHolidays, spec_from
from business_calendar.zones import OffsetChange, format_instant, local_time, offset_changes, parse_instant, zone

__all__ = [
    "ALWAYS_OPEN",
    "Calendar",
    "CalendarError",
    "CalendarSpec",
    "CountryHolidays",
    "Day",
    "OffsetChange",
    "Pauses",
    "check_icalendar",
    "compile_calendar",
    "format_instant",
    "is_icalendar",
    "local_time",
    "offset_changes",
    "parse_instant",
    "spec_from",
    "zone",
]
