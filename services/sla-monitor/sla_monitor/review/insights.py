"""What the figures point at: who had the breaches, what to automate, where knowledge is missing, what was agreed anew.

Pure functions of the review's material. The limits are named once, here; a page that shows a table says them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sla_monitor.review.material import Material, Row
from sla_monitor.review.measures import INTERNAL, Counted, ninetieth, side_of

AUTOMATE_AT_LEAST = 20
AUTOMATE_ALONE = 0.8
AUTOMATE_SPREAD = 12.0
AUTOMATE_SHOWN = 10
_AGREED = "agreed as a candidate"
GAP_AT_LEAST = 10
GAP_COVERED = 0.2
GAP_MOVED = 0.4
ONLY_AT_LEAST = 5
ONLY_SHARE = 0.8
ONLY_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what it is about, its values as they are shown, and the tickets that it leads to."""

    what: str
    values: dict[str, Any]
    why: str = ""
    counted: list[Counted] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """columns: name of a value -> (title, unit). empty: what to say when there is no row."""

    id: str
    title: str
    how: str
    columns: dict[str, tuple[str, str]]
    lines: list[Line]
    empty: str


def tables(material: Material) -> list[Table]:
    return [
        breaches(material),
        why_outside(material),
        automation(material),
        gaps(material),
        only_partners(material),
        agreement_changes(material),
    ]


def breaches(material: Material) -> Table:
    """Each breach goes to whoever owned the ticket at that moment, not to who had it in the end."""
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in material.judged:
        if not row.kept:
            owner = "Intake duty" if row.queue is None else material.titles.get(row.queue, row.queue)
            grouped[side_of(row), owner].append(row)
    lines = [
        Line(
            owner,
            {
                "side": material.partners.get(side, "Internal").split(" – ")[0],
                "breaches": len(rows),
                "urgent": sum(r.priority in ("P1", "P2") for r in rows),
                "clocks": ", ".join(
                    f"{name.replace('_', ' ')} {n}" for name, n in Counter(r.clock for r in rows).most_common()
                ),
            },
            counted=[Counted(r.ticket, r.clock, None, r.url) for r in rows],
        )
        for (side, owner), rows in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return Table(
        "breaches",
        "Breaches, by who owned the ticket at that moment",
        "Every clock on a ticket that was breached in the period, as the service levels above count it (a resolution or"
        " a first response once, as its last goal came out), given to the queue whose owner had the ticket when its"
        " time ran out. Intake duty: before anybody had taken it, or after a reopening",
        {
            "side": ("Side", "text"),
            "breaches": ("Breaches", "count"),
            "urgent": ("of these P1, P2", "count"),
            "clocks": ("Clocks", "text"),
        },
        lines,
        "No clock was breached.",
    )


def why_outside(material: Material) -> Table:
    urls = {row.ticket: row.url for row in [*material.opened, *material.finished]}
    grouped: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in material.rules:
        grouped[row.partner, row.rule, row.cause or "first"].append(row)
    lines = [
        Line(
            material.partners.get(partner, partner).split(" – ")[0],
            {"rule": rule, "cause": cause.replace("_", " "), "tickets": len(rows)},
            counted=[Counted(r.ticket, rule, None, urls.get(r.ticket)) for r in rows],
        )
        for (partner, rule, cause), rows in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return Table(
        "outside",
        "Why tickets went to a partner",
        "For each ticket, the rule of the agreement by which the router first chose a queue of that partner in the"
        " period",
        {"rule": ("Rule", "text"), "cause": ("Because of", "text"), "tickets": ("Tickets", "count")},
        lines,
        "No ticket was sent to a partner.",
    )


def automation(material: Material) -> Table:
    candidates = _categories(material)
    # What was paid in two currencies adds up to nothing.
    currencies = sorted({r.currency for r in material.taken if r.price is not None})
    lines = []
    for category, rows in _by_category(material).items():
        alone = [r for r in rows if r.stays <= 1 and not r.reopened]
        if len(rows) < AUTOMATE_AT_LEAST or len(alone) < AUTOMATE_ALONE * len(rows):
            continue
        times = [_seconds(r) for r in alone]
        spread = ninetieth(times) / max(median(times), 60.0)
        if spread > AUTOMATE_SPREAD:
            continue
        title, agreed = candidates.get(category, (category, False))
        paid = dict.fromkeys(currencies, 0.0)
        for r in material.taken:
            if r.price is not None and r.category == category:
                paid[r.currency] += float(r.price)
        why = _AGREED if agreed else "not marked as a candidate in the agreement yet"
        counted = [Counted(r.ticket, "alone" if r in alone else "handed on", _seconds(r), r.url) for r in rows]
        lines.append(
            Line(
                title,
                {
                    "tickets": len(rows),
                    "requests": sum(r.kind == "service_request" for r in rows) / len(rows),
                    "alone": len(alone) / len(rows),
                    "median": median(times),
                    "spread": round(spread, 1),
                    **{f"paid.{currency}": amount or None for currency, amount in paid.items()},
                },
                why,
                counted,
            )
        )
    lines.sort(key=_worth)
    return Table(
        "automation",
        "Automation candidates worth doing",
        f"Categories with at least {AUTOMATE_AT_LEAST} tickets resolved in the period, of which at least"
        f" {AUTOMATE_ALONE:.0%} were solved by one queue and stayed so, and whose work is alike: nine of ten took no"
        " more"
        f" than {AUTOMATE_SPREAD:g} times as long as the middle one. Requests and agreed candidates first, then the"
        f" largest; at most {AUTOMATE_SHOWN}",
        {
            "tickets": ("Tickets", "count"),
            "requests": ("Requests", "ratio"),
            "alone": ("Solved by one queue", "ratio"),
            "median": ("Median time", "seconds"),
            "spread": ("90th ÷ median", "number"),
            **{f"paid.{currency}": (f"Paid to partners ({currency})", "money") for currency in currencies},
        },
        lines[:AUTOMATE_SHOWN],
        "No category is both frequent and alike enough.",
    )


def _worth(line: Line) -> tuple[bool, float, str]:
    """A request is done in steps that are known; an incident has to be understood first."""
    known = line.values["requests"] >= 0.5 or line.why == _AGREED
    return not known, -line.values["tickets"] * line.values["alone"], line.what


def gaps(material: Material) -> Table:
    titles = _categories(material)
    escalated = {r.ticket for r in material.stays if r.escalated}
    lines = []
    for category, rows in _by_category(material).items():
        covered = sum(r.covered for r in rows) / len(rows)
        moved = [r for r in rows if r.stays > 1 or r.ticket in escalated]
        if len(rows) < GAP_AT_LEAST or covered > GAP_COVERED or len(moved) < GAP_MOVED * len(rows):
            continue
        lines.append(
            Line(
                titles.get(category, (category, False))[0],
                {
                    "tickets": len(rows),
                    "covered": covered,
                    "moved": len(moved) / len(rows),
                    "back": sum(r.returns > 0 for r in rows) / len(rows),
                },
                counted=[Counted(r.ticket, "handed on" if r in moved else "not", None, r.url) for r in rows],
            )
        )
    lines.sort(key=lambda line: (-line.values["tickets"] * line.values["moved"], line.what))
    return Table(
        "gaps",
        "Knowledge gaps",
        f"Categories with at least {GAP_AT_LEAST} tickets resolved in the period, of which at least {GAP_MOVED:.0%}"
        " were"
        f" handed on, while the classifier found an article for {GAP_COVERED:.0%} or fewer: write these articles first",
        {
            "tickets": ("Tickets", "count"),
            "covered": ("With an article", "ratio"),
            "moved": ("Handed on", "ratio"),
            "back": ("Came back", "ratio"),
        },
        lines,
        "No frequent category is handed on for want of an article.",
    )


def only_partners(material: Material) -> Table:
    titles = _categories(material)
    lines = []
    for category, rows in _by_category(material).items():
        outside = [r for r in rows if r.partner]
        covered = sum(r.covered for r in rows) / len(rows)
        if len(outside) < ONLY_AT_LEAST or len(outside) < ONLY_SHARE * len(rows) or covered > ONLY_COVERED:
            continue
        names = Counter(material.partners.get(r.partner, r.partner).split(" – ")[0] for r in outside)
        lines.append(
            Line(
                titles.get(category, (category, False))[0],
                {
                    "tickets": len(rows),
                    "outside": len(outside) / len(rows),
                    "covered": covered,
                    "who": ", ".join(name for name, _ in names.most_common()),
                },
                counted=[Counted(r.ticket, r.partner or INTERNAL, None, r.url) for r in rows],
            )
        )
    lines.sort(key=lambda line: (-line.values["tickets"], line.what))
    return Table(
        "only_partners",
        "Knowledge that only a partner holds",
        f"Categories of which partners resolved at least {ONLY_SHARE:.0%} ({ONLY_AT_LEAST} tickets or more) in the"
        " period,"
        f" with an article for {ONLY_COVERED:.0%} or fewer: if the contract ended, nobody inside would have done them"
        " lately, and nothing is written down",
        {
            "tickets": ("Tickets", "count"),
            "outside": ("Resolved outside", "ratio"),
            "covered": ("With an article", "ratio"),
            "who": ("By", "text"),
        },
        lines,
        "No category rests on a partner alone.",
    )


def agreement_changes(material: Material) -> Table:
    lines = []
    for before, after in zip([None, *material.agreements], material.agreements, strict=False):
        if not material.period.since <= after.effective_at < material.period.until:
            continue
        approved = ", ".join(f"{a['name']} ({a['party']})" for a in after.document["approvals"])
        at = f"{after.effective_at:%Y-%m-%d %H:%M} UTC"
        if before is None:
            lines.append(
                Line("The desk's first agreement", {"at": at, "before": "", "after": ""}, f"approved by {approved}")
            )
            continue
        changes = list(differences(before.document["agreement"], after.document["agreement"]))
        for path, old, new in changes:
            lines.append(Line(path, {"at": at, "before": old, "after": new}, f"approved by {approved}"))
    return Table(
        "agreement",
        "What changed in the agreement",
        "Versions that came into force in the period, each compared with the one before it, entry by entry",
        {"at": ("In force from", "text"), "before": ("Before", "text"), "after": ("After", "text")},
        lines,
        "The agreement stayed as it was.",
    )


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(where, what stood there, what stands there now) of two documents; entries with an id or a name are matched by
    it."""
    before, after = _keyed(before), _keyed(after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif before != after:
        yield path, _short(before), _short(after)


def _keyed(value: Any) -> Any:
    """A list of named entries as a mapping, so that an entry that moved is not taken for two that changed."""
    if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
        for name in ("id", "name", "clock"):
            keys = [entry.get(name) for entry in value]
            if all(keys) and len(set(keys)) == len(keys):
                return dict(zip(keys, value, strict=True))
    return value


def _short(value: Any) -> str:
    if value is None:
        return "–"
    text = (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else str(dict(value) if isinstance(value, Mapping) else value)
    )
    return text if len(text) <= 160 else text[:157] + "…"


def _categories(material: Material) -> dict[str, tuple[str, bool]]:
    """id -> (title, marked as a candidate for automation), as the newest version has it."""
    found: dict[str, tuple[str, bool]] = {}

    def walk(nodes: Sequence[Mapping[str, Any]]) -> None:
        for node in nodes:
            found[node["id"]] = node["title"], bool(node.get("automation"))
            walk(node.get("children", []))

    for row in material.agreements:
        walk(row.document["agreement"]["taxonomy"])
    return found


def _by_category(material: Material) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in material.finished:
        if row.category != "uncategorised":
            grouped[row.category].append(row)
    return dict(sorted(grouped.items()))


def _seconds(row: Row) -> float:
    return float((row.resolved_at - row.opened_at).total_seconds())
