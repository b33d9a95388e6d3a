"""What `whatif` and `coverage` found: as a table for the terminal, and as one page with charts, which needs nothing but
a browser."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec

from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.coverage import GapSpan, Stretch, gap_spans, whom
from ticket_contracts.agreement.special import TIERS
from ticket_contracts.cloudevents import instant_text
from ticket_router.domain.coverage import next_hour
from ticket_router.domain.policy import Policy
from ticket_router.pace import Pace
from ticket_router.whatif import Figures, Moved, Run, flows

_K = TypeVar("_K")
Found = tuple[str, Run, Figures]
"""A run with its name and its figures."""
_ROWS: Final[tuple[tuple[str, str], ...]] = (
    ("tickets", "tickets"),
    ("outside", "first to a partner"),
    ("after_hours", "came after hours"),
    ("overflow", "decisions past an overflowing queue"),
    ("waits", "decisions to wait for capacity"),
    ("duty", "decisions that end at the duty owner"),
    ("at_risk", "deadlines with an hour of work or less"),
    ("reroutes", "proposals to move"),
    ("drained_back", "of these drained back"),
    ("transfers", "transfers people asked for"),
)
_Hours = Mapping[int, Mapping[str, int]]
"""Local hour of day -> what -> tickets."""
_PLACES: Final[tuple[Literal["queue", "tier", "partner"], ...]] = ("queue", "tier", "partner")
_TILES: Final = ("outside", "overflow", "duty", "at_risk", "reroutes")
_MOST_WATCHED: Final = 8


def table(current: Figures, candidate: Figures, elsewhere: list[Moved], zone: dt.tzinfo, shown: int = 20) -> str:
    """The two side by side, of queues those that change, the ways tickets take, and the first of them."""
    rows = [("", "current", "candidate", "change"), *_compared(current, candidate, changed_only=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows]
    lines += ["", f"{len(elsewhere)} tickets would go elsewhere at first"]
    for flow in flows(elsewhere, zone, "queue")[:shown]:
        most = max(flow.hours, key=lambda hour: (flow.hours[hour], -hour))
        lines.append(f"  {flow.tickets:>7,}  {flow.was} -> {flow.now}, most of them {most:02}:00-{most + 1:02}:00")
    lines += [
        f"  {instant_text(m.at)}  {m.ticket}  {m.priority}  {m.was} ({m.was_rule}) -> {m.now} ({m.now_rule})"
        for m in elsewhere[:shown]
    ]
    if len(elsewhere) > shown:
        lines.append(f"  and {len(elsewhere) - shown} more: --page FILE or --json shows all")
    return "\n".join(lines)


def _compared(current: Figures, candidate: Figures, *, changed_only: bool = False) -> list[tuple[str, str, str, str]]:
    rows = [_row(words, getattr(current, name), getattr(candidate, name)) for name, words in _ROWS]
    rows += _costs(current, candidate)
    rows += _counts("tier", current.by_tier, candidate.by_tier)
    rows += _counts("partner", current.by_partner, candidate.by_partner)
    rows += _counts("cost of", *(_named_costs(f) for f in (current, candidate)))
    queues = _counts("queue", current.by_queue, candidate.by_queue)
    for queue in sorted({*current.peaks, *candidate.peaks}):
        was_load, now_load = (f.peaks[queue][0] if queue in f.peaks else 0 for f in (current, candidate))
        room = candidate.peaks[queue][1] if queue in candidate.peaks else None
        queues.append(_row(f"peak load {queue}" + (f" (of {room})" if room else ""), was_load, now_load))
    return rows + [row for row in queues if row[3] or not changed_only]


def _costs(current: Figures, candidate: Figures) -> list[tuple[str, str, str, str]]:
    """A row for each currency: what is paid in two adds up to nothing."""
    was, now = current.cost_by_currency, candidate.cost_by_currency
    return [
        _row(f"cost by the price list, {currency}", was.get(currency, 0), now.get(currency, 0))
        for currency in sorted({*was, *now})
    ]


def _named_costs(found: Figures) -> dict[str, float]:
    """By partner, and so by its currency: the two agreements may name different ones."""
    return {f"{partner}, {found.currencies[partner]}": cost for partner, cost in found.cost_by_partner.items()}


def _counts(title: str, was: Mapping[_K, float], now: Mapping[_K, float]) -> list[tuple[str, str, str, str]]:
    keys = sorted({*was, *now}, key=str)
    return [_row(f"{title} {key}", was.get(key, 0), now.get(key, 0)) for key in keys]


def _row(words: str, was: float, now: float) -> tuple[str, str, str, str]:
    form = ",.2f" if words.startswith("cost") else ","
    change = round(now - was, 2)
    return words, format(was, form), format(now, form), format(change, "+" + form) if change else ""


class _Tile(msgspec.Struct, frozen=True):
    words: str
    was: str
    now: str
    change: str


def page(title: str, runs: list[Found], elsewhere: list[Moved], zone: dt.tzinfo, pace: Pace) -> str:
    """One HTML page; the same runs give the same bytes. runs: the current one first. zone: of the hours shown. pace:
    with which they were simulated."""
    from ticket_router.adapters import charts

    (_, _, current), (_, _, candidate) = runs
    by_queue, by_tier, by_partner = (flows(elsewhere, zone, kind) for kind in _PLACES)
    panels: list[tuple[str, list[tuple[str, _Hours]]]] = [
        ("first decisions by queue", [(name, f.hours) for name, _, f in runs]),
        ("first decisions by tier", [(name, _titled(f.hours_by_tier)) for name, _, f in runs]),
        ("inside and at partners", [(name, f.hours_by_partner) for name, _, f in runs]),
    ]
    if current.overflow or candidate.overflow:
        panels.append(("overflow", [(name, _overflow(f)) for name, _, f in runs]))
    return _rendered(
        "whatif.html",
        title=title,
        summary=_summary(current, candidate, elsewhere),
        tiles=[
            _Tile(*_row(words, getattr(current, name), getattr(candidate, name)))
            for name, words in _ROWS
            if name in _TILES
        ]
        + [_Tile(*row) for row in _costs(current, candidate)],
        by_hour=[charts.by_hour(of_runs, words) for words, of_runs in panels],
        ways=charts.ways([(f"{flow.was} → {flow.now}", flow.hours) for flow in by_queue], "tickets that go elsewhere")
        if by_queue
        else "",
        flows=[("queue", by_queue), ("tier", by_tier), ("partner", by_partner)],
        loads=_loads(runs, zone),
        figures=_compared(current, candidate),
        elsewhere=elsewhere,
        pace=pace,
        instant=instant_text,
        zone=zone,
    )


def _summary(current: Figures, candidate: Figures, elsewhere: list[Moved]) -> str:
    """What changes, in a sentence for who reads no further."""
    share = len(elsewhere) / current.tickets if current.tickets else 0.0
    parts = [
        f"Of {current.tickets:,} tickets {len(elsewhere):,} ({share:.1%}) would go elsewhere at first.",
        f"{current.after_hours_share:.0%} came after hours.",
    ]
    for currency in sorted({*current.cost_by_currency, *candidate.cost_by_currency}):
        change = candidate.cost_by_currency.get(currency, 0.0) - current.cost_by_currency.get(currency, 0.0)
        if round(change, 2):
            more = "more" if change > 0 else "less"
            parts.append(f"Partners would cost {abs(change):,.2f} {currency} {more} by the price list.")
    if candidate.at_risk != current.at_risk:
        parts.append(f"Deadlines at risk: {current.at_risk:,} now, {candidate.at_risk:,} then.")
    return " ".join(parts)


def _titled(hours: _Hours) -> _Hours:
    return {hour: {f"tier {name}": count for name, count in counts.items()} for hour, counts in hours.items()}


def _overflow(found: Figures) -> _Hours:
    return {hour: {"decisions past an overflowing queue": count} for hour, count in found.hours_overflow.items()}


def _loads(runs: list[Found], zone: dt.tzinfo) -> str:
    """The load of the queues that differ most, from the first new ticket to the last."""
    from ticket_router.adapters import charts

    instants = [int(step.at.timestamp()) for _, run, _ in runs for step in run.first().values()]
    (_, before, current), (_, after, candidate) = runs

    def told(queue: str) -> tuple[int, int, str]:
        peaks = [f.peaks[queue][0] if queue in f.peaks else 0 for f in (current, candidate)]
        return -abs(peaks[0] - peaks[1]), -max(peaks), queue

    watched = sorted({*current.peaks, *candidate.peaks}, key=told)[:_MOST_WATCHED]
    return charts.loads(
        [
            charts.Panel(
                queue,
                {
                    "capacity": after.capacities.get(queue),
                    "overflows": after.overflows.get(queue),
                },
                before.loads.get(queue, []),
                after.loads.get(queue, []),
            )
            for queue in watched
        ],
        min(instants),
        max(instants),
        zone,
    )


_GAP: Final = "nobody but the duty owner"
_KINDS: Final = {"internal": "the company's people", "partner": "a partner", "automation": "automation"}
_COLOURS: Final = {
    _KINDS["internal"]: "#4269d0", _KINDS["partner"]: "#efb118", _KINDS["automation"]: "#6cc5b0", _GAP: "#d1345b",
}  # fmt: skip


class _GapRow(msgspec.Struct, frozen=True):
    tier: int
    begin: str
    until: str
    hours: str
    whom: str


def coverage_page(title: str, policy: Policy, stretches: list[Stretch], zone: dt.tzinfo) -> str:
    """The span as a picture, a panel for each tier, a row for each local day, and its gaps."""
    from ticket_router.adapters import charts

    tiers = []
    for tier in TIERS:
        days: dict[dt.date, list[charts.Span]] = {}
        for stretch in (s for s in stretches if s.tier == tier):
            for day, begin, until in _by_day(stretch, zone):
                days.setdefault(day, []).append((begin, until, _shares(policy, stretch)))
        tiers.append((f"Tier {tier}", [(f"{day:%a %d %b}", spans) for day, spans in sorted(days.items())]))
    return _rendered(
        "coverage.html",
        title=title,
        zone=zone,
        chart=charts.week(tiers, _COLOURS),
        duty=policy.agreement.owners[policy.agreement.duty].title,
        gaps=[_gap_row(policy.agreement, gap, zone) for gap in gap_spans(stretches)],
    )


def _gap_row(agreement: Agreement, gap: GapSpan, zone: dt.tzinfo) -> _GapRow:
    begin, until = gap.begin.astimezone(zone), gap.until.astimezone(zone)
    hours = (gap.until - gap.begin).total_seconds() / 3600
    return _GapRow(
        gap.tier, f"{begin:%a %d %b %H:%M}", f"{until:%a %d %b %H:%M}", f"{hours:g}", whom(agreement, gap.gaps)
    )


def _by_day(stretch: Stretch, zone: dt.tzinfo) -> list[tuple[dt.date, float, float]]:
    """(local day, from, to) in hours on the local clock. The hour that winter time repeats lies upon itself, and the
    one that summer time skips stays empty."""
    found: list[tuple[dt.date, float, float]] = []
    at = stretch.begin
    while at < stretch.until:
        end = min(stretch.until, next_hour(at, zone))
        local = at.astimezone(zone)
        begins = local.hour + local.minute / 60 + local.second / 3600
        ends = begins + (end - at).total_seconds() / 3600
        if found and found[-1][0] == local.date() and found[-1][2] == begins:
            begins = found.pop()[1]
        found.append((local.date(), begins, ends))
        at = end
    return found


def _shares(policy: Policy, stretch: Stretch) -> dict[str, float]:
    """Who would get which share of the tickets asked about."""
    gaps = sum(len(priorities.split()) for _, priorities in stretch.gaps)
    counts: Counter[str] = Counter({_GAP: gaps})
    for queue, count in stretch.queues:
        plan = policy.queues[queue]
        counts[_KINDS[plan.support_model]] += count - (gaps if plan is policy.duty else 0)
    return {kind: count / counts.total() for kind, count in counts.items() if count}


def _rendered(template: str, **parts: object) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ticket_router.adapters"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**parts)
