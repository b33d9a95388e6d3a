"""What a replay plays: messages as tools sent them, each with its instant, read from a file as it is."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from ticket_contracts.cloudevents import parse_instant


class FeedError(ValueError):
    """A feed that cannot be read: names the file, the line and what to do."""


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One message. at: when the tool sent it (UTC). source: of `inbound.<source>`. thread: messages of one ticket share
    it, and so keep their order; it is not the record's key, which tools fill with anything. body: the bytes as sent."""

    at: datetime
    source: str
    thread: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Feed:
    """items: in order of their instant. tickets: how many different tickets they speak of."""

    name: str
    items: list[FeedItem]

    @property
    def tickets(self) -> int:
        return len({item.thread for item in self.items})

    def first(self, tickets: int) -> Feed:
        """The whole story of the first so many tickets, by their first appearance."""
        kept = set(list(dict.fromkeys(item.thread for item in self.items))[:tickets])
        return Feed(self.name, [item for item in self.items if item.thread in kept])


_LOG_COLUMNS = {"number", "incident_state", "sys_mod_count", "sys_updated_at", "impact", "urgency", "assignment_group"}
_DATES = ("opened_at", "sys_created_at", "sys_updated_at")
_SENT = (
    *("number", "incident_state", "active", "reassignment_count", "reopen_count", "sys_mod_count", "caller_id"),
    *(
        "opened_by",
        "sys_created_by",
        "sys_updated_by",
        "contact_type",
        "location",
        "category",
        "subcategory",
        "u_symptom",
    ),
    *("cmdb_ci", "impact", "urgency", "priority", "assignment_group", "assigned_to", "knowledge", "notify"),
    "u_priority_confirmation",
)
"""What the record held when it was sent. `made_sla`, the resolution and the closing are written back at the end: they
would leak."""


def read_feed(path: Path) -> Feed:
    """A feed from a file, plain or gzip: a ServiceNow audit log (CSV with the columns of its incident table), or JSON
    Lines of `{"at": instant, "source": name, "thread": ticket, "body": object or text}`.

    Raises FeedError.
    """
    if not path.is_file():
        raise FeedError(f"{path}: no such file; name a feed with FEED=path")
    with _text(path) as lines:
        head = lines.readline()
        lines.seek(0)
        reader = _json_lines if head.lstrip().startswith("{") else _incident_log
        items = list(reader(lines, path))
    items.sort(key=lambda item: item.at)  # stable: what a ticket's file order was, it stays
    if not items:
        raise FeedError(f"{path}: holds no event")
    return Feed(path.name, items)


def _text(path: Path) -> IO[str]:
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    if packed:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            return io.StringIO(stream.read())
    return path.open(encoding="utf-8", newline="")


def _json_lines(lines: IO[str], path: Path) -> Iterator[FeedItem]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
            body = row["body"]
            yield FeedItem(
                parse_instant(row["at"]),
                str(row["source"]),
                str(row["thread"]),
                body.encode() if isinstance(body, str) else msgspec.json.encode(body),
            )
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise FeedError(
                f"{path}:{number}: {error!r}; a line is "
                '{"at": "2026-03-02T09:00:00Z", "source": …, "thread": …, "body": …}'
            ) from error


def _incident_log(lines: IO[str], path: Path) -> Iterator[FeedItem]:
    """Rows become the record that ServiceNow would have sent at that moment, `number`, then `sys_mod_count` in
    order."""
    rows = csv.DictReader(lines)
    missing = _LOG_COLUMNS - set(rows.fieldnames or [])
    if missing:
        raise FeedError(
            f"{path}: neither JSON Lines nor a ServiceNow log: column {', '.join(sorted(missing))} is missing"
        )
    read: list[tuple[str, int, FeedItem]] = []
    for number, row in enumerate(rows, 2):
        try:
            record: dict[str, Any] = {name: _value(row.get(name)) for name in _SENT}
            for name in _DATES:
                at = _date(row.get(name))
                record[name] = None if at is None else at.strftime("%Y-%m-%d %H:%M:%S")
            sent = _date(row["sys_updated_at"])
            if sent is None:
                raise ValueError("sys_updated_at is empty")
            item = FeedItem(sent, "servicenow", row["number"], msgspec.json.encode(record))
            read.append((row["number"], int(row["sys_mod_count"]), item))
        except (KeyError, ValueError) as error:
            raise FeedError(
                f"{path}:{number}: {error}; dates are day/month/year hour:minute, counts are whole numbers"
            ) from error
    read.sort(key=lambda entry: entry[:2])
    for _, _, item in read:
        yield item


def _value(text: str | None) -> str | None:
    return None if text in (None, "?") else text


def _date(text: str | None) -> datetime | None:
    if text in (None, "?", ""):
        return None
    assert text is not None
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)
