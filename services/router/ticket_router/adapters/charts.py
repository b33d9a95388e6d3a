"""Charts as SVG, by matplotlib. The same data give the same bytes: ids are salted, no date is written, text stays text.

matplotlib is wanted by the commands that draw alone, so it is imported here and this module only where one does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib import dates
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

COLOURS: Final = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#b8bcc4",
)  # fmt: skip
REST: Final = "all others"
_CURRENT, _CANDIDATE, _LIMIT = "#8a8f99", "#4269d0", "#d1345b"
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "relaydesk",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e4e6eb",
    "legend.frameon": False,
}
_HOURS: Final = range(24)
_dates: Final[Any] = dates  # its classes are not typed


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def by_hour(runs: Sequence[tuple[str, Mapping[int, Mapping[str, int]]]], title: str) -> str:
    """Stacked bars, an hour of the day each, a panel for each run. runs: (name, hour -> what -> tickets)."""
    totals: dict[str, int] = {}
    for _, hours in runs:
        for counts in hours.values():
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
    named = sorted(totals, key=lambda name: (-totals[name], name))
    # The most are shown, in the order of their names: tiers are read from 0 to 3.
    kept = sorted(named[: len(COLOURS) - 1] if len(named) > len(COLOURS) else named)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axes, (name, hours) in zip(panels, runs, strict=True):
            base = [0] * 24
            for number, kind in enumerate([*kept, *([REST] if len(kept) < len(named) else [])]):
                counted = [_count(hours.get(hour, {}), kind, kept) for hour in _HOURS]
                axes.bar(_HOURS, counted, 0.86, base, color=COLOURS[number])
                base = [low + count for low, count in zip(base, counted, strict=True)]
            _hour_axis(axes)
            axes.set_title(f"{name}: {title}")
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        patches = [
            Patch(color=COLOURS[n], label=kind)
            for n, kind in enumerate([*kept, *([REST] if len(kept) < len(named) else [])])
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=5)
        return svg(figure)


def _count(counts: Mapping[str, int], kind: str, kept: Sequence[str]) -> int:
    if kind == REST:
        return sum(count for name, count in counts.items() if name not in kept)
    return counts.get(kind, 0)


def _hour_axis(axes: Any) -> None:
    axes.set_xticks(range(0, 25, 3), [f"{hour:02}" for hour in range(0, 25, 3)])
    axes.set_xlim(-0.6, 23.6)
    axes.set_xlabel("hour of the day")


def ways(moves: Sequence[tuple[str, Mapping[int, int]]], title: str) -> str:
    """Stacked bars by hour of the day of tickets that go elsewhere. moves: (`from → to`, hour -> tickets)."""
    shown = moves[: len(COLOURS) - 1]
    rest = moves[len(COLOURS) - 1 :]
    rows = [(name, [hours.get(hour, 0) for hour in _HOURS]) for name, hours in shown]
    if rest:
        rows.append((REST, [sum(hours.get(hour, 0) for _, hours in rest) for hour in _HOURS]))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        axes = figure.subplots()
        base = [0] * 24
        for number, (name, counted) in enumerate(rows):
            axes.bar(_HOURS, counted, 0.86, base, color=COLOURS[number], label=name)
            base = [low + count for low, count in zip(base, counted, strict=True)]
        _hour_axis(axes)
        axes.set_title(title)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.legend(loc="outside right upper")
        return svg(figure)


Samples = Sequence[tuple[int, int]]
"""(unix second, load) whenever it changed, in order."""


class Panel(NamedTuple):
    """A queue, its limits in the candidate (None: it has none), and its load in the current run and in the
    candidate's."""

    queue: str
    limits: Mapping[str, int | None]
    current: Samples
    candidate: Samples


def loads(queues: Sequence[Panel], begin: int, end: int, zone: tzinfo) -> str:
    """A panel for each queue, from `begin` to `end` (unix seconds)."""
    rows = -(-len(queues) // 2)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, 2, squeeze=False, sharex=True).flat
        locator = _dates.AutoDateLocator(tz=zone, minticks=3, maxticks=8)
        for axes, panel in zip(panels, queues, strict=False):
            for samples, colour, width in ((panel.current, _CURRENT, 1.0), (panel.candidate, _CANDIDATE, 1.6)):
                at, load = _thinned(samples, begin, end)
                axes.step([datetime.fromtimestamp(t, UTC) for t in at], load, color=colour, lw=width, where="post")
            limits = {name: value for name, value in panel.limits.items() if value is not None}
            for value in limits.values():
                axes.axhline(value, color=_LIMIT, ls=(0, (4, 3)), lw=1)
            said = ", ".join(f"{name} {value}" for name, value in limits.items())
            axes.set_title(f"{panel.queue} ({said})" if said else panel.queue)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(_dates.ConciseDateFormatter(locator, tz=zone))
        for axes in list(figure.axes)[len(queues) :]:
            axes.set_axis_off()
        return svg(figure)


_COLUMNS: Final = 500


def _thinned(samples: Samples, begin: int, end: int) -> tuple[list[int], list[int]]:
    """The highest load of each of many columns: a year of changes is more than a screen can show."""
    width = max(1, (end - begin) // _COLUMNS)
    columns: dict[int, int] = {}
    last: dict[int, int] = {}
    before = 0
    for at, load in samples:
        if at > end:
            break
        if at < begin:
            before = load
            continue
        column = (at - begin) // width
        columns[column] = max(columns.get(column, 0), load)
        last[column] = load
    instants, found = [], []
    for column in range((end - begin) // width + 1):
        instants.append(begin + column * width)
        found.append(max(before, columns.get(column, 0)))
        before = last.get(column, before)
    return instants, found


Span = tuple[float, float, Mapping[str, float]]
"""From and to, in hours on the local clock, and the share of each kind."""


def week(tiers: Sequence[tuple[str, Sequence[tuple[str, Sequence[Span]]]]], colours: Mapping[str, str]) -> str:
    """A panel for each tier, a row for each day, along its hours the shares of each kind, one upon the other."""
    days = max(len(rows) for _, rows in tiers)
    with mpl.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(11, 0.7 + len(tiers) * (0.55 + 0.26 * days)), layout="constrained")
        for axes, (name, rows) in zip(figure.subplots(len(tiers), 1, squeeze=False)[:, 0], tiers, strict=True):
            for number, (_, spans) in enumerate(rows):
                for begin, until, shares in spans:
                    low = number + 0.42
                    for kind, colour in colours.items():
                        high = 0.84 * shares.get(kind, 0.0)
                        if high:
                            axes.bar(begin, -high, until - begin, low, align="edge", color=colour, lw=0)
                            low -= high
            axes.set_yticks(range(len(rows)), [day for day, _ in rows])
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xticks(range(0, 25, 2), [f"{hour:02}" for hour in range(0, 25, 2)])
            axes.set_xlim(0, 24)
            axes.set_title(name)
        figure.legend(
            handles=[Patch(color=colour, label=kind) for kind, colour in colours.items()],
            loc="outside lower center",
            ncols=len(colours),
        )
        return svg(figure)
