"""Charts as inline SVG: no file beside the page, no script, and the words stay words."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sla_monitor.review.material import Material, Row
from sla_monitor.review.measures import INTERNAL, ninetieth, side_of

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
WIDE, HALF = 10.2, 4.9
"""Inches; drawn as wide as they are shown, so that all charts have one size of type."""
SIDES = ("#2f6690", "#e07a1f", "#5b8c5a", "#8f5a99", "#b23a48")
"""Told apart by people who see no red or no green, and in grey print; the company first."""

mpl.use("svg")
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from documents: a `$` is a `$`
    "svg.hashsalt": "relaydesk",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@contextmanager
def drawn(width: float, height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; the SVG is in the list when the block ends. Sizes in inches."""
    out: list[str] = []
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(), out
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
        out.append(_inline(stream.getvalue()))


def _inline(svg: str) -> str:
    """The `svg` element alone, as wide as its place. Its ids are made its own: charts share a page."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>c{own}-", svg)
    head, rest = svg.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + rest


def sides(material: Material) -> dict[str, tuple[str, str]]:
    """side -> (name for people, colour)."""
    names = [INTERNAL, *sorted(material.partners)]
    return {
        name: (material.partners.get(name, "Internal").split(" – ")[0], SIDES[number % len(SIDES)])
        for number, name in enumerate(names)
    }


def present(material: Material, rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """The sides that these rows speak of; the company always."""
    there = {side_of(row) for row in rows} | {INTERNAL}
    return {name: shown for name, shown in sides(material).items() if name in there}


def volume(material: Material) -> str:
    """Tickets opened a day, by who took them first; a quarter by week."""
    step = 1 if material.period.days <= 31 else 7
    days = [material.period.since.date() + timedelta(days=n) for n in range(0, material.period.days, step)]
    shown = present(material, material.opened)
    with drawn(WIDE, 2.6) as (axes, out):
        bottom = [0] * len(days)
        for name, (title, colour) in shown.items():
            counts: Counter[date] = Counter()
            for row in material.opened:
                if side_of(row) == name:
                    index = (row.opened_at.date() - days[0]).days // step
                    counts[days[index]] += 1
            heights = [counts[day] for day in days]
            axes.bar(range(len(days)), heights, bottom=bottom, color=colour, width=0.8, label=title)
            bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
        axes.set_xticks(range(len(days)), [f"{day.day}" if step == 1 else f"{day:%d %b}" for day in days], fontsize=8)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.margins(x=0.01)
        for index, day in enumerate(days):
            if step == 1 and day.weekday() >= 5:
                axes.axvspan(index - 0.5, index + 0.5, color="#f5f7fa", zorder=0)
        _legend(axes, shown)
    return out[0]


def adherence(material: Material) -> str:
    """Resolution clocks met in time by priority and side, with how many each bar rests on."""
    rows = [r for r in material.judged if r.clock == "resolution"]
    shown = present(material, rows)
    priorities = sorted({r.priority for r in rows})
    with drawn(HALF, 2.6) as (axes, out):
        width = 0.8 / max(len(shown), 1)
        for number, (name, (title, colour)) in enumerate(shown.items()):
            for index, priority in enumerate(priorities):
                some = [r.kept for r in rows if r.priority == priority and side_of(r) == name]
                if some:
                    share = 100 * sum(some) / len(some)
                    x = index + (number - (len(shown) - 1) / 2) * width
                    axes.bar(x, share, width * 0.92, color=colour, label=title)
                    axes.text(x, share + 1.5, f"{len(some):,}", ha="center", fontsize=7, color=MUTED)
        axes.set_xticks(range(len(priorities)), priorities)
        axes.set_ylim(0, 112)
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
        axes.grid(axis="x", visible=False)
        _legend(axes, shown)
    return out[0]


def time_to_resolve(material: Material) -> str:
    """Median (bar) and 90th percentile (line) by priority and side, hours on the wall, on a logarithmic scale."""
    shown = present(material, material.finished)
    priorities = sorted({r.priority for r in material.finished})
    with drawn(HALF, 2.6) as (axes, out):
        width = 0.8 / max(len(shown), 1)
        for number, (name, (title, colour)) in enumerate(shown.items()):
            for index, priority in enumerate(priorities):
                hours = [
                    max((r.resolved_at - r.opened_at).total_seconds() / 3600, 0.02)
                    for r in material.finished
                    if r.priority == priority and side_of(r) == name
                ]
                if hours:
                    x = index + (number - (len(shown) - 1) / 2) * width
                    middle, high = median(hours), ninetieth(hours)
                    axes.bar(x, middle, width * 0.92, color=colour, label=title)
                    axes.vlines(x, middle, high, color=colour, linewidth=1.6)
                    axes.hlines(high, x - width / 4, x + width / 4, color=colour, linewidth=1.6)
        axes.set_yscale("log")
        ticks = [(1, "1 h"), (8, "8 h"), (24, "1 d"), (24 * 7, "1 w"), (24 * 28, "4 w")]
        axes.set_yticks([hours for hours, _ in ticks], [label for _, label in ticks])
        axes.minorticks_off()
        axes.set_xticks(range(len(priorities)), priorities)
        axes.grid(axis="x", visible=False)
        _legend(axes, shown)
    return out[0]


def bars(
    names: Sequence[str],
    values: Sequence[float],
    kinds: Sequence[str],
    colours: Mapping[str, str],
    width: float = WIDE,
) -> str:
    """Horizontal bars, the first on top, each with its value. kinds: of each, as people call it. colours: of the
    kinds, in the order of the legend."""
    with drawn(width, 0.6 + 0.26 * max(len(names), 1)) as (axes, out):
        places = range(len(names))
        for place, value, kind in zip(places, values, kinds, strict=True):
            axes.barh(place, value, color=colours[kind], height=0.68, label=kind)
        _legend(axes, {kind: (kind, colour) for kind, colour in colours.items() if kind in kinds}, least=1)
        axes.set_yticks(places, [_plain(name) for name in names], color=INK)
        axes.invert_yaxis()
        top = max(values, default=1) or 1
        for place, value in zip(places, values, strict=True):
            axes.text(value + top * 0.008, place, f"{value:,.0f}", va="center", fontsize=8, color=INK)
        axes.set_xlim(0, top * 1.1)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
    return out[0]


def acknowledged(material: Material) -> str:
    """How long people took to acknowledge an offer: the share that had done so after so many minutes."""
    rows = [r for r in material.transfers if r.acknowledged_seconds is not None and not r.automatic]
    with drawn(HALF, 2.6) as (axes, out):
        there = {}
        for name, shown in sides(material).items():
            minutes = sorted(float(r.acknowledged_seconds) / 60 for r in rows if (r.to_partner or INTERNAL) == name)
            if minutes:
                there[name] = shown
                shares = [100 * (n + 1) / len(minutes) for n in range(len(minutes))]
                axes.step([0, *minutes], [0, *shares], where="post", color=shown[1], linewidth=1.8, label=shown[0])
        axes.set_xlabel("minutes after the offer")
        axes.set_ylim(0, 102)
        axes.set_xlim(left=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
        _legend(axes, there)
    return out[0]


def causes(material: Material) -> str:
    """Transfers by what asked for them."""
    counted = Counter(str(row.cause).replace("_", " ") for row in material.transfers).most_common(8)
    return bars([name for name, _ in counted], [n for _, n in counted], [""] * len(counted), {"": SIDES[0]}, HALF)


def _legend(axes: Axes, shown: dict[str, tuple[str, str]], least: int = 2) -> None:
    """One entry for each side, above the chart. least: with fewer there is nothing to tell apart."""
    handles, labels = axes.get_legend_handles_labels()
    drawn_as = dict(zip(labels, handles, strict=True))
    once = {title: drawn_as[title] for title, _ in shown.values() if title in drawn_as}
    if len(shown) >= least and once:
        axes.legend(
            list(once.values()),
            [label if len(label) <= 18 else label[:17] + "…" for label in once],
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=len(once),
            handlelength=1,
            columnspacing=1.0,
            handletextpad=0.4,
            borderaxespad=0.2,
            borderpad=0,
        )


def _plain(text: Any) -> str:
    """A name that fits its place."""
    said = str(text)
    return said if len(said) <= 46 else said[:44] + "…"
