"""`python -m sla_monitor baseline`: what a company's own history says before a transition."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from business_calendar import Calendar, CalendarError, CalendarSpec, compile_calendar
from ticket_runtime.settings import CannotRun

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def add_to(commands: Any) -> None:
    """Adds `baseline` to the service's commands."""
    baseline = commands.add_parser(
        "baseline", help="before a transition: what a company's history says: HTML, CSV, JSON"
    )
    baseline.add_argument("feed", type=Path, metavar="FILE", help="a tool's export, CSV or JSON Lines, plain or gzip")
    baseline.add_argument("--to", type=Path, required=True, metavar="DIR", help="where to write")
    baseline.add_argument("--hours", default="mon-fri 08:00-18:00", help="when people work (default %(default)s)")
    baseline.add_argument("--zone", default="UTC", help="of these hours (default %(default)s)")
    baseline.set_defaults(run=_baseline)


def _baseline(options: argparse.Namespace) -> int:
    from sla_monitor.baseline.analysis import analyse
    from sla_monitor.baseline.history import HistoryError, read_history
    from sla_monitor.baseline.page import write

    calendar = calendar_of(options.hours, options.zone)
    try:
        history = read_history(options.feed)
    except HistoryError as error:
        raise CannotRun(str(error)) from None
    found = analyse(history, calendar)
    print(f"{found.verdict}: {found.reasons[0]}", file=sys.stderr)
    for path in write(found, f"{options.hours} ({options.zone})", options.to):
        print(path)
    return 0


def calendar_of(hours: str, zone: str) -> Calendar:
    """`mon-fri 08:00-18:00`. Raises CannotRun."""
    found = re.fullmatch(r"([a-z]{3})-([a-z]{3}) (\d\d:\d\d)-(\d\d:\d\d)", hours.lower())
    if found is None or found[1] not in _DAYS or found[2] not in _DAYS:
        raise CannotRun(f"{hours!r} are no working hours: write them as 'mon-fri 08:00-18:00'")
    first, last = _DAYS.index(found[1]), _DAYS.index(found[2])
    days = [day % 7 for day in range(first, last + 1 if last >= first else last + 8)]
    try:
        return compile_calendar(CalendarSpec("hours", zone, {day: [(found[3], found[4])] for day in days}))
    except CalendarError as error:
        raise CannotRun(f"--hours, --zone: {error}") from None
