"""Working time: pure arithmetic on business calendars. Instants are integer unix seconds (UTC)."""

from business_calendar.calendar import ALWAYS_OPEN, Calendar, compile_calendar
from business_calendar.spec import CalendarError, CalendarSpec, CountryHolidays

__all__ = ["ALWAYS_OPEN", "Calendar", "CalendarError", "CalendarSpec", "CountryHolidays", "compile_calendar"]
