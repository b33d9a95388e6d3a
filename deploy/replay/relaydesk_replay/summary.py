"""What a replay came to: the figures of its last line, and the pages that a person reads before."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from relaydesk_replay.export import read_topic
from ticket_contracts import topics
from ticket_contracts.cloudevents import parse_instant
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import OwnerChanged


@dataclass(slots=True)
class Figures:
    """tickets, events: normalized tickets, and messages that came in. by_*: tickets by where they are, or were, last.
    outside: tickets that a partner's queue was ever chosen for; outside_by_hour: these choices by UTC hour. transfers:
    steps by name.
    unowned_seconds: between a ticket's first event and its end without an owner. automatic_seconds: owned by intake
    duty or automatically by the duty owner, summed over tickets."""

    tickets: int = 0
    events: int = 0
    by_queue: dict[str, int] = field(default_factory=dict)
    by_tier: dict[str, int] = field(default_factory=dict)
    by_priority: dict[str, int] = field(default_factory=dict)
    outside: int = 0
    outside_by_hour: dict[str, int] = field(default_factory=dict)
    warnings: int = 0
    breaches: int = 0
    transfers: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    dead_letters: int = 0
    unowned_seconds: int = 0
    automatic_seconds: int = 0


def figures(directory: Path) -> Figures:
    """From an exported replay alone."""
    result = Figures()
    first_seen: dict[str, Any] = {}
    for row in read_topic(directory, topics.NORMALIZED):
        data: Any = row["data"]
        if row["ce_type"] == TicketNormalized.TYPE:
            if data["ticket_version"] == 1:
                first_seen[data["ticket"]] = parse_instant(data["decided_for"])
        else:
            result.duplicates += 1
    result.tickets = len(first_seen)
    for path in directory.glob("*.jsonl"):
        with path.open("rb") as lines:
            if path.stem.startswith(topics.INBOUND) and not path.stem.endswith(topics.DEAD_LETTER):
                result.events += sum(1 for _ in lines)
            elif path.stem.endswith(topics.DEAD_LETTER):
                result.dead_letters += sum(1 for _ in lines)
    _routing(directory, result)
    for row in read_topic(directory, topics.SLA_EVENTS):
        data = row["data"]
        if row["ce_type"] == ClockEvent.TYPE and data["clock"] == "resolution":
            result.warnings += data["occurrence"] == "warned"
            result.breaches += data["occurrence"] == "breached"
    _ownership(directory, result, first_seen)
    return result


def _routing(directory: Path, result: Figures) -> None:
    last: dict[str, dict[str, Any]] = {}
    outside: set[str] = set()
    hours: Counter[str] = Counter()
    for row in read_topic(directory, topics.ROUTED):
        data: Any = row["data"]
        if data["decision"] > last.get(data["ticket"], {"decision": 0})["decision"]:
            last[data["ticket"]] = data
        if data["support_model"] == "partner":
            outside.add(data["ticket"])
            hours[data["decided_for"][11:13]] += 1
    priority: dict[str, tuple[int, str]] = {}
    for row in read_topic(directory, topics.CLASSIFIED):
        data = row["data"]
        version = (data["classification_version"], data["priority"])
        priority[data["ticket"]] = max(priority.get(data["ticket"], (0, "")), version)
    result.by_queue = _counted(data["queue"] for data in last.values())
    result.by_tier = _counted(str(data["tier"]) for data in last.values())
    result.by_priority = _counted(name for _, name in priority.values())
    result.outside, result.outside_by_hour = len(outside), dict(sorted(hours.items()))


def _ownership(directory: Path, result: Figures, first_seen: dict[str, Any]) -> None:
    steps: Counter[str] = Counter()
    owners: dict[str, list[dict[str, Any]]] = defaultdict(list)
    latest = max(first_seen.values(), default=None)
    for row in read_topic(directory, topics.TRANSFERS):
        data: Any = row["data"]
        if row["ce_type"] == OwnerChanged.TYPE:
            owners[data["ticket"]].append(data)
            latest = max(filter(None, (latest, parse_instant(data["decided_for"]))))
        else:
            steps[str(row["ce_type"]).split(".")[-2]] += 1
    result.transfers = dict(sorted(steps.items()))
    for ticket, seen in first_seen.items():
        changes = sorted(owners[ticket], key=lambda change: change["sequence"])
        begin = parse_instant(changes[0]["decided_for"]) if changes else latest
        if begin is not None:
            result.unowned_seconds += max(0, int((begin - seen).total_seconds()))
        for change, following in zip(changes, [*changes[1:], None], strict=True):
            since = parse_instant(change["decided_for"])
            until = latest if following is None else parse_instant(following["decided_for"])
            if change["kind"] in ("intake_duty", "automatic") and until is not None:
                result.automatic_seconds += int((until - since).total_seconds())


def _counted(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def show(console: Console, found: Figures) -> None:
    """The summary that a person reads; invariants are shown by the audit's own table."""
    console.rule("What became of the tickets")
    console.print(
        f"{found.tickets:,} tickets from {found.events:,} messages ({found.duplicates:,} duplicates recorded), "
        f"{found.dead_letters:,} dead letters"
    )
    for title, counts in (("queue", found.by_queue), ("tier", found.by_tier), ("priority", found.by_priority)):
        console.print(_bars(f"Tickets by {title}", counts))
    share = 100 * found.outside / found.tickets if found.tickets else 0
    console.print(f"{found.outside:,} tickets ({share:.0f} %) went to a partner; dispatches by hour (UTC):")
    console.print(_hours(found.outside_by_hour))
    console.print(f"Resolution clocks: {found.warnings:,} warnings, {found.breaches:,} breaches")
    console.print("Transfers: " + (", ".join(f"{n:,} {name}" for name, n in found.transfers.items()) or "none"))
    console.print(
        f"Without an owner: {found.unowned_seconds:,} s; "
        f"with intake duty or the duty owner: {found.automatic_seconds / 3600:,.1f} h in all"
    )


def _bars(title: str, counts: dict[str, int], at_most: int = 14) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 1))
    widest = max(counts.values(), default=1)
    shown = list(counts.items())[:at_most]
    for name, count in shown:
        table.add_row(name, f"{count:,}", "█" * max(1, round(30 * count / widest)))
    if len(counts) > at_most:
        rest = list(counts.values())[at_most:]
        table.add_row(f"{len(rest)} more", f"{sum(rest):,}", "")
    return table


def _hours(counts: dict[str, int]) -> str:
    marks = " ▁▂▃▄▅▆▇█"
    top = max(counts.values(), default=0) or 1
    bars = "".join(marks[-(-counts.get(f"{hour:02d}", 0) * 8 // top)] for hour in range(24))
    return f"  00 {bars} 23   at most {max(counts.values(), default=0):,} in one hour of the day"
