"""What `whatif` found, as a table for the terminal and as one page with charts, which needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Final, TypeVar

from ticket_contracts.cloudevents import instant_text
from ticket_router.whatif import Figures, Moved, Run

_K = TypeVar("_K")
_COLOURS: Final = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0",
)  # fmt: skip
_REST: Final = "other queues"
_ROWS: Final[tuple[tuple[str, str], ...]] = (
    ("tickets", "tickets"),
    ("outside", "first to a partner"),
    ("after_hours", "came after hours"),
    ("overflow", "decisions past an overflowing queue"),
    ("waits", "decisions to wait for capacity"),
    ("duty", "decisions that end at the duty owner"),
    ("at_risk", "deadlines with an hour of work or less"),
    ("reroutes", "proposals to move"),
    ("transfers", "transfers people asked for"),
    ("cost", "cost by the price list"),
)


def table(current: Figures, candidate: Figures, elsewhere: list[Moved], shown: int = 20) -> str:
    """The two side by side, of queues those that change, and the first of the tickets that would go elsewhere."""
    rows = [("", "current", "candidate", "change"), *_compared(current, candidate, changed_only=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows]
    lines += ["", f"{len(elsewhere)} tickets would go elsewhere at first"]
    lines += [
        f"  {instant_text(m.at)}  {m.ticket}  {m.priority}  {m.was} ({m.was_rule}) -> {m.now} ({m.now_rule})"
        for m in elsewhere[:shown]
    ]
    if len(elsewhere) > shown:
        lines.append(f"  and {len(elsewhere) - shown} more: --page FILE or --json shows all")
    return "\n".join(lines)


def _compared(current: Figures, candidate: Figures, *, changed_only: bool = False) -> list[tuple[str, str, str, str]]:
    rows = [_row(words, getattr(current, name), getattr(candidate, name)) for name, words in _ROWS]
    rows += _counts("tier", current.by_tier, candidate.by_tier)
    rows += _counts("partner", current.by_partner, candidate.by_partner)
    queues = _counts("queue", current.by_queue, candidate.by_queue)
    for queue in sorted({*current.peaks, *candidate.peaks}):
        (was_load, _), (now_load, room) = current.peaks.get(queue, (0, None)), candidate.peaks.get(queue, (0, None))
        queues.append(_row(f"peak load {queue}" + (f" (of {room})" if room else ""), was_load, now_load))
    return rows + [row for row in queues if row[3] or not changed_only]


def _counts(title: str, was: Mapping[_K, int], now: Mapping[_K, int]) -> list[tuple[str, str, str, str]]:
    keys = sorted({*was, *now}, key=str)
    return [_row(f"{title} {key}", was.get(key, 0), now.get(key, 0)) for key in keys]


def _row(words: str, was: float, now: float) -> tuple[str, str, str, str]:
    change = now - was
    return words, f"{was:,}", f"{now:,}", f"{round(change, 2):+,}" if change else ""


def page(title: str, runs: list[tuple[str, Run, Figures]], elsewhere: list[Moved]) -> str:
    """One HTML page. The same runs give the same bytes. runs: (name, run, its figures), the current one first."""
    (_, _, current), (_, _, candidate) = runs
    queues = sorted({q for _, _, f in runs for q in f.by_queue}, key=lambda q: (-_most(runs, q), q))
    colour = {queue: _COLOURS[i] if i < len(_COLOURS) - 1 else _COLOURS[-1] for i, queue in enumerate(queues)}
    legend = "".join(
        f'<span><i style="background:{c}"></i>{escape(q)}</span>' for q, c in list(colour.items())[: len(_COLOURS) - 1]
    )
    if len(queues) >= len(_COLOURS):
        legend += f'<span><i style="background:{_COLOURS[-1]}"></i>{_REST}</span>'
    highest = max((sum(counts.values()) for _, _, f in runs for counts in f.hours.values()), default=1) or 1
    charts = "".join(
        f"<figure><figcaption>{escape(name)}: first decisions by hour of day</figcaption>"
        f"{_by_hour(found, colour, highest)}</figure>"
        for name, _, found in runs
    )
    watched = [q for q in queues if any(f.peaks.get(q, (0, None))[0] for _, _, f in runs)][:6]
    loads = "".join(
        f"<figure><figcaption>load of {escape(queue)}"
        f"{f' (capacity {room})' if (room := candidate.peaks.get(queue, (0, None))[1]) else ''}</figcaption>"
        f"{_load(queue, runs, room)}</figure>"
        for queue in watched
    )
    figures_table = "".join(
        f"<tr><th>{escape(a)}</th><td>{b}</td><td>{c}</td><td>{d}</td></tr>"
        for a, b, c, d in _compared(current, candidate)
    )
    moves = "".join(
        f"<tr><td>{instant_text(m.at)}</td><td>{escape(m.ticket)}</td><td>{m.priority}</td>"
        f"<td>{escape(m.was)}<small>{escape(m.was_rule)}</small></td>"
        f"<td>{escape(m.now)}<small>{escape(m.now_rule)}</small></td></tr>"
        for m in elsewhere
    )
    return _PAGE.format(
        title=escape(title),
        legend=legend,
        charts=charts,
        loads=loads,
        table=figures_table,
        count=f"{len(elsewhere):,}",
        moves=moves,
    )


def _most(runs: list[tuple[str, Run, Figures]], queue: str) -> int:
    return max(f.by_queue.get(queue, 0) for _, _, f in runs)


def _by_hour(found: Figures, colour: dict[str, str], highest: int) -> str:
    """Stacked bars, an hour each."""
    bars = []
    for hour, counts in found.hours.items():
        y = 200.0
        for queue in colour:
            height = 190 * counts.get(queue, 0) / highest
            if height:
                y -= height
                bars.append(
                    f'<rect x="{hour * 24 + 2}" y="{y:.1f}" width="20" height="{height:.1f}" fill="{colour[queue]}">'
                    f"<title>{hour:02}:00 {escape(queue)}: {counts[queue]}</title></rect>"
                )
        bars.append(f'<text x="{hour * 24 + 12}" y="214">{hour}</text>')
    return f'<svg viewBox="0 0 580 220"><text x="2" y="10" class="top">{highest:,}</text>{"".join(bars)}</svg>'


def _load(queue: str, runs: list[tuple[str, Run, Figures]], room: int | None) -> str:
    """The load while new tickets came, current thin and candidate strong, with the capacity as a line."""
    instants = [int(step.at.timestamp()) for _, run, _ in runs for step in run.first().values()]
    begin, end = min(instants), max(instants)
    of_run = [run.loads.get(queue, []) for _, run, _ in runs]
    top = max([room or 0, *(load for samples in of_run for _, load in samples)])
    lines = "".join(
        f'<polyline class="{name}" points="{_points(samples, begin, end, top)}"/>'
        for name, samples in zip(("current", "candidate"), of_run, strict=True)
    )
    limit = f'<line x1="0" x2="580" y1="{_y(room, top):.1f}" y2="{_y(room, top):.1f}"/>' if room else ""
    days = f'<text x="2" y="138" class="top">{_day(begin)}</text><text x="550" y="138">{_day(end)}</text>'
    return f'<svg viewBox="0 0 580 142"><text x="2" y="10" class="top">{top:,}</text>{limit}{lines}{days}</svg>'


def _points(samples: list[tuple[int, int]], begin: int, end: int, top: int) -> str:
    """The highest of each of 290 columns; where nothing changed, what it was before."""
    columns: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, load in samples:
        if at > end:
            break
        column = 289 * (at - begin) // ((end - begin) or 1)
        columns[column] = max(columns.get(column, 0), load)
        last[column] = load
    points, load = [], 0
    for column in range(290):
        points.append(f"{2 * column},{_y(max(load, columns.get(column, 0)), top):.1f}")
        load = last.get(column, load)
    return " ".join(points)


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _y(load: int, top: int) -> float:
    return 125 - 112 * load / (top or 1)


_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
.charts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1.5rem }}
figure {{ margin: 0 }} figcaption {{ font-weight: 600 }} svg {{ width: 100% }}
svg text {{ font-size: 10px; text-anchor: middle; fill: #666 }} svg text.top {{ text-anchor: start }}
.legend span {{ margin-right: 1rem; white-space: nowrap }}
.legend i {{ display: inline-block; width: .8em; height: .8em; margin-right: .3em }}
polyline {{ fill: none; stroke: #4269d0; stroke-width: 2 }} polyline.current {{ stroke: #9498a0; stroke-width: 1 }}
line {{ stroke: #ff725c; stroke-dasharray: 4 3 }}
table {{ border-collapse: collapse; margin: 1rem 0 }} th {{ text-align: left; font-weight: 400 }}
td, th {{ padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #eee }}
td {{ text-align: right; font-variant-numeric: tabular-nums }} .moves td {{ text-align: left }}
small {{ display: block; color: #777 }}
</style>
<h1>{title}</h1>
<p class="legend">{legend}</p>
<div class="charts">{charts}</div>
<h2>Load</h2>
<p>The candidate in blue, the current agreement in grey, a capacity dashed.</p>
<div class="charts">{loads}</div>
<h2>Figures</h2>
<table><tr><th></th><td>current</td><td>candidate</td><td>change</td></tr>{table}</table>
<h2>{count} tickets would go elsewhere at first</h2>
<table class="moves"><tr><td>when</td><td>ticket</td><td>priority</td><td>current</td><td>candidate</td></tr>
{moves}</table>
</html>
"""
