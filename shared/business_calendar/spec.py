"""What a calendar says, as plain data, before it is compiled.

Local times are text ("09:00", "22:30:15", "24:00"), dates are text ("2025-12-24", yearly "12-24"), so that a spec can
be stored and compared as JSON. Nothing is checked here: `compile_calendar` checks everything and says what to mend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class CalendarError(ValueError):
    """A calendar that cannot be used as it stands; the text says what is wrong, where, and how to mend it."""


class CountryHolidays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public holidays of a country (ISO 3166-1, "DE") and, where given, of a subdivision ("BY")."""

    country: str
    subdivision: str | None = None


class CalendarSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a desk works, in local time of `zone`.

    hours     weekday (0 = Monday … 6 = Sunday) → windows (from, to). A window whose end is not after its start, or
              whose end is past 24:00 ("25:00"), ends on the next day. A window belongs to the day it starts on: a
              holiday or special day replaces the windows that start on it, never the tail of the night before.
    holidays  each "YYYY-MM-DD", "MM-DD" (every year), a country, or the text of an iCalendar file, of which all-day
              events count, recurring ones included.
    special   "YYYY-MM-DD" or "MM-DD" → the windows of that day, in place of its weekday's; none means closed. The
              exact date goes before the yearly one, and both go before a holiday.
    """

    name: str
    zone: str
    hours: Mapping[int, Sequence[tuple[str, str]]]
    holidays: Sequence[str | CountryHolidays] = ()
    special: Mapping[str, Sequence[tuple[str, str]]] = {}
