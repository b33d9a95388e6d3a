"""Time zones, and instants as text.

The zones are those of the `tzdata` package, never the machine's: what a deadline is must not depend on where it is
computed. `zoneinfo.ZoneInfo(key)` would look on the machine first, and `reset_tzpath` would change that for the whole
process; so the package's files are read here, and everybody who shows local times uses `zone`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import importlib.resources
import re
from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from business_calendar.spec import DAY, CalendarError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND = dt.timedelta(seconds=1)
_DAY_END = re.compile(r"(\d{4}-\d{2}-\d{2}[T ])24:00(?::00)?((?:Z|[+-]\d{2}:\d{2})?)", re.ASCII)


class OffsetChange(NamedTuple):
    """A zone's offset from UTC, in seconds, changes at an instant (a clock change, mostly for daylight saving)."""

    at: int
    before: int
    after: int


@functools.cache
def zone_names() -> frozenset[str]:
    """Every zone that `zone` knows."""
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())


@functools.cache
def zone(key: str) -> ZoneInfo:
    """The zone of that IANA name; CalendarError if there is none."""
    if key not in zone_names():
        close = difflib.get_close_matches(key.title(), sorted(zone_names()), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; write an IANA name, as Europe/Berlin"
        raise CalendarError(f"{key!r} is not a time zone{hint}")
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *key.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key)


def parse_instant(text: object, local: ZoneInfo) -> int:
    """The instant that an ISO 8601 text names, read in `local` when it carries no offset.

    A local time that the clocks skip is read with the offset before the gap, one that they repeat is the first.
    ValueError if it is not such a text, or names a fraction of a second.
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not an instant; write "2025-06-02T08:00:00Z"')
    # A day's end, which ISO 8601 allows to be written so, and Python's reader only from 3.13 on.
    ends = _DAY_END.fullmatch(text)
    try:
        when = dt.datetime.fromisoformat(f"{ends[1]}00:00{ends[2]}" if ends else text)
        if ends:
            when += dt.timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError(f'{text!r} is not an instant; write "2025-06-02T08:00:00Z"') from None
    if when.microsecond:
        raise ValueError(f"{text!r} has a fraction of a second; working time is counted in whole seconds")
    if when.tzinfo is None:
        when = when.replace(tzinfo=local)
    return (when - EPOCH) // _SECOND


def format_instant(at: int) -> str:
    """The instant as ISO 8601 in UTC: "2025-06-02T08:00:00Z"."""
    return (EPOCH + dt.timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_time(at: int, local: ZoneInfo) -> dt.datetime:
    """The instant on the clocks of a zone."""
    return (EPOCH + dt.timedelta(seconds=at)).astimezone(local)


def offset_changes(local: ZoneInfo, start: int, end: int) -> Iterator[OffsetChange]:
    """When the offset of a zone changes, from after `start` up to `end`, in order."""
    low, before = start, _offset(local, start)
    while low < end:
        high = min(low + DAY, end)
        after = _offset(local, high)
        if after != before:
            at = low
            while high - at > 1:
                middle = (at + high) // 2
                at, high = (middle, high) if _offset(local, middle) == before else (at, middle)
            after = _offset(local, high)
            yield OffsetChange(high, before, after)
        low, before = high, after


def _offset(local: ZoneInfo, at: int) -> int:
    offset = local_time(at, local).utcoffset()
    assert offset is not None
    return offset // _SECOND
