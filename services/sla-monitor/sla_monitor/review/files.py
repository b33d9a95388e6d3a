"""A review as files: `review.html`, `figures.csv`, `tickets.csv`, `review.json`. Written whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from sla_monitor.review.page import render
from sla_monitor.review.report import Review
from ticket_contracts.cloudevents import instant_text


def write(review: Review, directory: Path) -> list[Path]:
    """Returns what it wrote, the page first."""
    directory.mkdir(parents=True, exist_ok=True)
    made = {
        "review.html": render(review),
        "figures.csv": table(_FIGURE_COLUMNS, _figures(review)),
        "tickets.csv": table(_TICKET_COLUMNS, _tickets(review)),
        "review.json": msgspec.json.format(msgspec.json.encode(document(review)), indent=1).decode() + "\n",
    }
    return [whole(directory / name, text) for name, text in made.items()]


def whole(path: Path, text: str) -> Path:
    """Writes a file so that a reader sees all of it or none."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)
    return path


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV (RFC 4180, UTF-8 with a byte order mark, as spreadsheets expect). A text that a spreadsheet would take for a
    formula begins with an apostrophe, as OWASP advises."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_safe(value) for value in row])
    return "\ufeff" + out.getvalue()


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")


def _safe(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return "'" + value if value.lstrip(" ").startswith(_FORMULA) else value
    return value


_FIGURE_COLUMNS = ("figure", "title", "side", "value", "unit", "of", "how")
_TICKET_COLUMNS = ("figure", "side", "ticket", "part", "value", "url")


def _figures(review: Review) -> Iterator[tuple[Any, ...]]:
    for section in review.sections:
        for measure in section.measures:
            for side, cell in measure.cells.items():
                yield measure.id, measure.title, side, cell.value, measure.unit, cell.of, measure.how
    for found in review.tables:
        for line in found.lines:
            for name, (title, unit) in found.columns.items():
                yield f"{found.id}.{name}", line.what, title, line.values.get(name), unit, len(line.counted), found.how


def _tickets(review: Review) -> Iterator[tuple[Any, ...]]:
    for section in review.sections:
        for measure in section.measures:
            for side, cell in measure.cells.items():
                if side != "all":
                    for counted in cell.counted:
                        yield measure.id, side, counted.ticket, counted.part, counted.value, counted.url
    for found in review.tables:
        for line in found.lines:
            for counted in line.counted:
                yield found.id, line.what, counted.ticket, counted.part, counted.value, counted.url


def document(review: Review) -> dict[str, Any]:
    """The figures as JSON; tickets stand in `tickets.csv`."""
    material = review.material
    return {
        "period": material.period.name,
        "since": material.period.since,
        "until": material.period.until,
        "facts_until": material.last_at,
        "findings": review.findings,
        "figures": [
            {
                "id": measure.id,
                "title": measure.title,
                "unit": measure.unit,
                "how": measure.how,
                "sides": {name: {"value": cell.value, "of": cell.of} for name, cell in measure.cells.items()},
            }
            for section in review.sections
            for measure in section.measures
        ],
        "tables": [
            {
                "id": found.id,
                "title": found.title,
                "how": found.how,
                "lines": [
                    {"what": line.what, **line.values, "why": line.why, "tickets": len(line.counted)}
                    for line in found.lines
                ],
            }
            for found in review.tables
        ],
        "agreements": [
            {"version": row.version, "effective_at": _text(row.effective_at)} for row in material.agreements
        ],
    }


def _text(at: datetime) -> str:
    return instant_text(at)
