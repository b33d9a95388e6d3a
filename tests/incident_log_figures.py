"""March of the incident log, counted straight from the file: plain Python over its rows, nothing of the desk."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

Row = dict[str, str]
DONE = ("Resolved", "Closed")
CHANNELS = {"Phone": "phone", "Email": "mail"}
"""The log's words for them, and the review's."""
GOAL_HOURS = {"1": 4.0, "2": 13.0, "3": 88.0, "4": 191.6}
"""As fitted to the log; Monday to Friday, 09:00 to 22:00, from opened to closed."""
OPENS, CLOSES = 9, 22


@dataclass
class Counts:
    """numbers of incidents: opened (with their channel), resolved (with group changes, and whether a group had it
    twice), judged (whether it was closed in time), all in the period."""

    opened: dict[str, str] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    back: dict[str, bool] = field(default_factory=dict)
    kept: dict[str, bool] = field(default_factory=dict)


def read(path: Path) -> dict[str, list[Row]]:
    """number -> its rows as they came: by time, and an older modification that comes late changes nothing."""
    found: dict[str, list[Row]] = {}
    with gzip.open(path, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            found.setdefault(row["number"], []).append(row)
    for number, rows in found.items():
        rows.sort(key=lambda row: (instant(row["sys_updated_at"]), int(row["sys_mod_count"])))
        newest = -1
        kept = []
        for row in rows:
            if int(row["sys_mod_count"]) >= newest:
                newest = int(row["sys_mod_count"])
                kept.append(row)
        found[number] = kept
    return found


def count(log: dict[str, list[Row]], numbers: Iterable[str], since: datetime, until: datetime) -> Counts:
    """Over [since, until); what came later is not known yet."""
    counts = Counts()
    for number in numbers:
        rows = [row for row in log[number] if instant(row["sys_updated_at"]) < until]
        if not rows:
            continue
        opened = min(instant(rows[0]["opened_at"]), instant(rows[0]["sys_updated_at"]))
        if since <= opened < until:
            counts.opened[number] = CHANNELS[rows[0]["contact_type"]]
        resolved = _resolved(rows)
        if resolved is not None and resolved >= since:
            runs = groups(rows)
            counts.changes[number] = max(len(runs) - 1, 0)
            counts.back[number] = len(runs) > len(set(runs))
        judged = _judged(rows, opened, until)
        if judged is not None and judged[0] >= since:
            counts.kept[number] = judged[1]
    return counts


def groups(rows: list[Row]) -> list[str]:
    """Where an incident was, in order; a group that is blank for a while has not changed."""
    named = [row["assignment_group"] for row in rows if row["assignment_group"] != "?"]
    return [group for place, group in enumerate(named) if place == 0 or group != named[place - 1]]


def _resolved(rows: list[Row]) -> datetime | None:
    """When it last became resolved or closed, if it still is."""
    at, done = None, False
    for row in rows:
        if row["incident_state"] in DONE and not done:
            at = instant(row["sys_updated_at"])
        done = row["incident_state"] in DONE
    return at if done else None


def _judged(rows: list[Row], opened: datetime, until: datetime) -> tuple[datetime, bool] | None:
    """(when, whether in time) under the last priority. The time between a closing and a reopening does not count; a
    goal that was set when its time had passed already is missed there and then."""
    priority, since, closed = "", opened, None
    open_from, spans = opened, []
    for row in rows:
        at = instant(row["sys_updated_at"])
        if closed is None and row["priority"][0] != priority:
            priority, since = row["priority"][0], at
        if row["incident_state"] == "Closed" and closed is None:
            closed = at
            spans.append((open_from, at))
        elif row["incident_state"] != "Closed" and closed is not None:
            open_from, closed = at, None
    if closed is None:
        spans.append((open_from, until))
    left = GOAL_HOURS[priority] * 3600
    for begin, end in spans:
        worked = _worked(begin, end)
        if worked >= left:
            due = max(_after(begin, left), since)
            if due < until and (due < end or (due == end and closed is not None)):
                return due, False
            if due >= until:
                return None
        left -= worked
    return (closed, True) if closed is not None else None


def _worked(begin: datetime, end: datetime) -> float:
    """Working seconds between two instants."""
    total = 0.0
    day = begin.replace(hour=0, minute=0, second=0)
    while day < end:
        if day.weekday() < 5:
            opens, closes = day + timedelta(hours=OPENS), day + timedelta(hours=CLOSES)
            total += max(0.0, (min(end, closes) - max(begin, opens)).total_seconds())
        day += timedelta(days=1)
    return total


def _after(begin: datetime, seconds: float) -> datetime:
    """The instant at which so many working seconds have passed."""
    day = begin.replace(hour=0, minute=0, second=0)
    while True:
        if day.weekday() < 5:
            opens, closes = max(begin, day + timedelta(hours=OPENS)), day + timedelta(hours=CLOSES)
            here = max(0.0, (closes - opens).total_seconds())
            if here >= seconds:
                return opens + timedelta(seconds=seconds)
            seconds -= here
        day += timedelta(days=1)


def instant(text: str) -> datetime:
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)
