"""Questions to a calendar as rows of plain data, each with the calendar it is asked of.

    kind      "deadline": `start` + `seconds` → deadline; "elapsed": `start`, `end` → elapsed seconds; "pause": what
              pauses do to either, or, with `start` and `end` alone, a pause by itself
    tz, hours, holidays, special
              the calendar, as in `CalendarSpec`, the weekdays as text
    io_tz     the zone of the instants that carry no offset; by default `tz`
    start, end
              instants, ISO 8601
    seconds   the budget in working time; back from `start` if negative. In an "elapsed" row it is the answer: ignored
    pauses    [[from, to], …] or [{"start": …, "end": …}, …], also with "from" and "to"; a single one also as "pause":
              [from, to], or as "pause_start" and "pause_end". A pause whose end is null or missing goes on
    warn_before_seconds
              asks for `warn_at`

Rows of any kind may have pauses. Other fields, such as the expected answers of a reference, are ignored.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from business_calendar.calendar import Calendar, compile_calendar
from business_calendar.spec import CalendarError, CalendarSpec, spec_from
from business_calendar.zones import format_instant, parse_instant, zone

KINDS: Final = ("deadline", "elapsed", "pause")


class Answer(msgspec.Struct, frozen=True):
    """What does not apply to a row, or has no answer, is None. Instants are ISO 8601 in UTC.

    deadline         when the budget is used up; None while a pause without an end holds it
    elapsed_seconds  working seconds from `start` to `end`, less those paused
    waiting_seconds  working seconds of the pauses, from `start` on and, where there is one, up to `end`
    warn_at          the first instant at which no more than `warn_before_seconds` of the budget are left
    """

    deadline: str | None = None
    elapsed_seconds: int | None = None
    waiting_seconds: int | None = None
    warn_at: str | None = None


def evaluate(row: Mapping[str, Any]) -> dict[str, str | int | None]:
    """The fields of the row's `Answer`. ValueError, with what to mend, if the row cannot be read or answered."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{row!r} is not a row: write an object")
    kind = row.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    calendar = _calendar(row)
    local = calendar.zone if row.get("io_tz") is None else _zone(row, "io_tz")
    start = _required(_instant(row, "start", local), kind, "start")
    end = _instant(row, "end", local)
    budget = None if kind == "elapsed" else _whole(row, "seconds")
    pauses = _pauses(row, local)
    if kind == "deadline":
        _required(budget, kind, "seconds")
    elif kind == "elapsed":
        _required(end, kind, "end")
    elif pauses is None:
        return msgspec.structs.asdict(
            Answer(waiting_seconds=calendar.elapsed(start, _required(end, kind, "pauses, or an end")))
        )
    warn_before = _whole(row, "warn_before_seconds")
    if warn_before is not None and warn_before < 0:
        raise ValueError(f"warn_before_seconds: {warn_before} is after the deadline")
    return msgspec.structs.asdict(_answer(calendar, start, end, budget, warn_before, pauses))


def _answer(
    calendar: Calendar,
    start: int,
    end: int | None,
    budget: int | None,
    warn_before: int | None,
    pauses: list[tuple[int, int | None]] | None,
) -> Answer:
    ended = [(begin, until) for begin, until in pauses or () if until is not None]
    held_from = min((begin for begin, until in pauses or () if until is None), default=None)

    def paused_until(at: int) -> list[tuple[int, int]]:
        return ended if held_from is None or held_from >= at else [*ended, (held_from, at)]

    def due(seconds: int) -> str | None:
        if held_from is not None and 0 < seconds > calendar.elapsed(start, max(start, held_from), ended):
            return None
        return format_instant(calendar.add(start, seconds, paused_until(start)))

    def waiting() -> int | None:
        if pauses is None or (held_from is not None and end is None):
            return None
        until = max([start, *(until for _, until in ended)]) if end is None else end
        return calendar.elapsed(start, until) - calendar.elapsed(start, until, paused_until(max(start, until)))

    paused = waiting()
    return Answer(
        deadline=None if budget is None else due(budget),
        elapsed_seconds=None if end is None else calendar.elapsed(start, end) - (paused or 0),
        waiting_seconds=paused,
        warn_at=None if budget is None or warn_before is None else due(max(budget - warn_before, 0)),
    )


def _calendar(row: Mapping[str, Any]) -> Calendar:
    if "tz" not in row or "hours" not in row:
        raise ValueError("the row has no calendar: write tz and hours")
    data = {"name": "row", "zone": _zone(row, "tz").key, "hours": row["hours"]}
    data |= {field: row[field] for field in ("holidays", "special") if row.get(field) is not None}
    return _compiled(msgspec.json.encode(spec_from(data)))


@functools.lru_cache(maxsize=64)  # the rows of a file mostly share a few calendars
def _compiled(spec: bytes) -> Calendar:
    return compile_calendar(msgspec.json.decode(spec, type=CalendarSpec))


def _pauses(row: Mapping[str, Any], local: ZoneInfo) -> list[tuple[int, int | None]] | None:
    """The pauses of a row; None if it says nothing of pauses."""
    if row.get("pauses") is not None:
        given = row["pauses"]
    elif row.get("pause") is not None:
        given = [row["pause"]]
    elif row.get("pause_start") is not None:
        given = [(row["pause_start"], row.get("pause_end"))]
    else:
        return None
    if not isinstance(given, list):
        raise ValueError(f"pauses: {given!r} is not a list")
    pauses = []
    for pause in given:
        ends = pause
        if isinstance(pause, Mapping):
            ends = (pause.get("start", pause.get("from")), pause.get("end", pause.get("to")))
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            raise ValueError(f"pauses: {pause!r} is not a pause; write [from, to], with null for one that goes on")
        begin = _read(ends[0], local, "pauses")
        until = None if ends[1] is None else _read(ends[1], local, "pauses")
        if until is not None and until < begin:
            raise ValueError(f"pauses: {ends[0]} to {ends[1]} ends before it begins")
        pauses.append((begin, until))
    return pauses


def _instant(row: Mapping[str, Any], field: str, local: ZoneInfo) -> int | None:
    return None if row.get(field) is None else _read(row[field], local, field)


def _read(text: object, local: ZoneInfo, field: str) -> int:
    try:
        return parse_instant(text, local)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _zone(row: Mapping[str, Any], field: str) -> ZoneInfo:
    name = row[field]
    if not isinstance(name, str):
        raise CalendarError(f"{field}: {name!r} is not a time zone; write an IANA name, as Europe/Berlin")
    try:
        return zone(name)
    except CalendarError as error:
        raise CalendarError(f"{field}: {error}") from None


def _whole(row: Mapping[str, Any], field: str) -> int | None:
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        raise ValueError(f"{field}: {value!r} is not a whole number of seconds")
    return int(value)


def _required(value: int | None, kind: str, what: str) -> int:
    if value is None:
        raise ValueError(f"a row of kind {kind} needs {what}")
    return value
