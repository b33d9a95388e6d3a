"""A company's history as its tool exports it: a row a ticket, or a row an update (an audit log); CSV or JSON Lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "ticket": ("number", "ticket", "key", "issue key", "ticket id", "id", "thread"),
    "opened": ("opened_at", "opened", "created", "created_at", "sys_created_on", "created on", "date created", "at"),
    "updated": ("sys_updated_at", "updated", "updated_at", "sys_updated_on", "at"),
    "resolved": ("resolved_at", "resolved", "solved_at", "resolution date", "date resolved"),
    "closed": ("closed_at", "closed", "date closed"),
    "state": ("incident_state", "state", "status"),
    "order": ("sys_mod_count", "version"),
    "priority": ("priority",),
    "category": ("category", "component", "topic", "topic_group", "type"),
    "group": ("assignment_group", "assigned group", "group", "team", "queue"),
    "channel": ("contact_type", "channel", "source", "via"),
    "reassigned": ("reassignment_count", "reassignments"),
    "reopened": ("reopen_count", "reopens"),
    "article": ("knowledge", "article", "kb"),
    "kept": ("made_sla", "sla met", "within sla"),
}
"""What is looked for, and the headings under which tools have it, compared without case; the first that is there."""

_DONE = {"resolved", "closed", "done", "solved", "complete", "completed", "fixed"}
_EMPTY = {"", "?", "null", "none", "n/a", "-"}
_NO = {"false", "no", "0", "n"}
_FORMS = (
    *("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
)


class HistoryError(ValueError):
    """A file that cannot be read as a history: says where, and what is asked for."""


@dataclass(slots=True)
class Past:
    """One ticket of the history. Instants in UTC. groups, categories: in the order in which it had them. article:
    whether knowledge was used or made; kept: whether its SLA was met, as the tool says; None: the file does not say."""

    ticket: str
    opened_at: datetime
    resolved_at: datetime | None = None
    priority: str = "none"
    channel: str = "unknown"
    groups: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    reassigned: int = 0
    reopened: bool = False
    article: bool | None = None
    kept: bool | None = None

    @property
    def category(self) -> str:
        return self.categories[-1] if self.categories else "none"

    @property
    def group(self) -> str | None:
        """Who had it in the end."""
        return self.groups[-1] if self.groups else None

    @property
    def alone(self) -> bool:
        """One group had it from the first to the last, and it stayed solved."""
        return self.reassigned == 0 and not self.reopened


@dataclass(frozen=True, slots=True)
class History:
    """tickets: in the order in which they were opened. columns: what was found, and under which heading. skipped: rows
    that could not be read, with why, the first few."""

    name: str
    tickets: list[Past]
    columns: dict[str, str]
    rows: int
    skipped: list[str]


def read_history(path: Path) -> History:
    """From a file, plain or gzip. Raises HistoryError."""
    if not path.is_file():
        raise HistoryError(f"{path}: no such file; name a history with FEED=path")
    try:
        with _text(path) as lines:
            head = lines.readline()
            lines.seek(0)
            rows = _json_lines(lines, path) if head.lstrip().startswith("{") else _csv(lines)
            return _history(path, rows)
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise HistoryError(f"{path}: not text in UTF-8, as CSV or JSON Lines, plain or gzip: {error}") from None


def _text(path: Path) -> IO[str]:
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    if packed:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return io.StringIO(stream.read())
    return path.open(encoding="utf-8-sig", newline="")


def _csv(lines: IO[str]) -> Iterator[Mapping[str, Any]]:
    sample = lines.readline()
    lines.seek(0)
    delimiter = max(",;\t", key=sample.count)
    yield from csv.DictReader(lines, delimiter=delimiter)


def _json_lines(lines: IO[str], path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            body = row.get("body")
            body = json.loads(body) if isinstance(body, str) else body
        except (ValueError, AttributeError, RecursionError) as error:
            raise HistoryError(f"{path}:{number}: not a JSON object: {error}") from None
        if isinstance(body, dict):  # a feed of a replay: what the tool sent, with when it came
            row = {**body, **{name: row[name] for name in ("at", "thread") if name in row}}
        yield row


def _history(path: Path, rows: Iterable[Mapping[str, Any]]) -> History:
    columns: dict[str, str] = {}
    updates: dict[str, list[tuple[datetime, int, Mapping[str, Any]]]] = {}
    skipped: list[str] = []
    count = bad = 0
    for number, row in enumerate(rows, 2):
        count += 1
        if count == 1 or not columns:
            columns = _columns(row)
            missing = [name for name in ("ticket", "opened") if name not in columns]
            if missing:
                wanted = "; ".join(f"{name}: {', '.join(COLUMNS[name])}" for name in missing)
                raise HistoryError(
                    f"{path}: no column says {' or '.join(missing)}. Give one of these headings: {wanted}"
                )
        try:
            ticket = _value(row, columns, "ticket")
            at = _instant(_value(row, columns, "updated")) or _instant(_value(row, columns, "opened"))
            if ticket is None or at is None:
                raise ValueError("it names no ticket, or no date")
            order = _value(row, columns, "order")
            updates.setdefault(ticket, []).append((at, int(order) if order and order.isdigit() else number, row))
        except ValueError as error:
            bad += 1
            if len(skipped) < 20:
                skipped.append(f"row {number}: {error}")
    if not updates:
        raise HistoryError(f"{path}: holds no ticket" + (f"; {skipped[0]}" if skipped else ""))
    if bad > count / 10:
        raise HistoryError(f"{path}: {bad:,} of {count:,} rows cannot be read; {skipped[0]}")
    tickets = [_past(name, sorted(found, key=lambda u: u[:2]), columns) for name, found in updates.items()]
    tickets.sort(key=lambda past: (past.opened_at, past.ticket))
    return History(path.name, tickets, columns, count, skipped)


def _columns(row: Mapping[Any, Any]) -> dict[str, str]:
    there = {str(name).strip().lower(): str(name) for name in row if name is not None}
    found = {}
    for wanted, headings in COLUMNS.items():
        heading = next((there[name] for name in headings if name in there), None)
        if heading is not None:
            found[wanted] = heading
    return found


def _value(row: Mapping[str, Any], columns: Mapping[str, str], name: str) -> str | None:
    value = row.get(columns[name]) if name in columns else None
    text = "" if value is None else str(value).strip()
    return None if text.lower() in _EMPTY else text


def _instant(text: str | None) -> datetime | None:
    """A date with no zone is read as UTC. Raises ValueError."""
    if text is None:
        return None
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no date: write 2016-03-31 14:05, or day first as 31/3/2016 14:05") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _past(ticket: str, updates: list[tuple[datetime, int, Mapping[str, Any]]], columns: Mapping[str, str]) -> Past:
    first, last = updates[0][2], updates[-1][2]

    def said(name: str) -> str | None:
        return _value(last, columns, name)

    first_at = updates[0][0]
    past = Past(ticket, min(_instant_or_none(_value(first, columns, "opened")) or first_at, first_at))
    done_at = None
    was_done = False
    for at, _, row in updates:
        for name, found in (("group", past.groups), ("category", past.categories)):
            value = _value(row, columns, name)
            if value is not None and (not found or found[-1] != value):
                found.append(value)
        state = (_value(row, columns, "state") or "").lower()
        done = state in _DONE
        if done and not was_done:
            done_at = at
        elif was_done and not done:
            past.reopened = True
        was_done = done
    past.resolved_at = (
        _instant_or_none(said("resolved")) or (done_at if was_done else None) or _instant_or_none(said("closed"))
    )
    if past.resolved_at is not None and past.resolved_at < past.opened_at:
        past.resolved_at = None
    past.priority = _priority(said("priority"))
    past.channel = (said("channel") or "unknown").lower()
    counted = said("reassigned")
    past.reassigned = max(len(past.groups) - 1, int(counted) if counted and counted.isdigit() else 0)
    past.reopened = past.reopened or (said("reopened") or "0") not in ("0", "false", "no")
    past.article, past.kept = _flag(said("article")), _flag(said("kept"))
    return past


def _instant_or_none(text: str | None) -> datetime | None:
    try:
        return _instant(text)
    except ValueError:
        return None


def _priority(text: str | None) -> str:
    """`3 - Moderate`, `P3`, `3` are P3; another word stays."""
    if text is None:
        return "none"
    digits = text.lstrip("Pp")[:1]
    return f"P{digits}" if digits in "12345" and digits else text


def _flag(text: str | None) -> bool | None:
    if text is None:
        return None
    return text.lower() not in _NO  # an article's number is a yes as well
