"""The baseline as a page, a table and JSON."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import ChoiceLoader, PackageLoader
from matplotlib.ticker import MaxNLocator

from sla_monitor.baseline.analysis import SMALL, Baseline, Category
from sla_monitor.review import charts
from sla_monitor.review.files import table, whole
from sla_monitor.review.page import environment
from sla_monitor.review.report import Chart

_COLOURS = {"go": "#386641", "go with conditions": "#e07a1f", "no-go": "#9aa5b1", "too small": "#d9dee4"}
_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def write(baseline: Baseline, hours: str, directory: Path) -> list[Path]:
    """hours: the working hours that the figures are in, for people. Returns what it wrote, the page first."""
    directory.mkdir(parents=True, exist_ok=True)
    document = msgspec.json.format(msgspec.json.encode(_document(baseline, hours)), indent=1).decode() + "\n"
    made = {
        "baseline.html": render(baseline, hours),
        "baseline.csv": table(_COLUMNS, [_row(category) for category in baseline.categories]),
        "baseline.json": document,
    }
    return [whole(directory / name, text) for name, text in made.items()]


def render(baseline: Baseline, hours: str) -> str:
    made = environment()
    made.loader = ChoiceLoader([PackageLoader("sla_monitor.baseline"), PackageLoader("sla_monitor.review")])
    return made.get_template("baseline.html.j2").render(
        baseline=baseline, hours=hours, charts=_charts(baseline), small=SMALL
    )


_COLUMNS = (
    *("category", "verdict", "tickets", "a_week", "swing", "alone", "top_group", "top_share", "groups", "covered"),
    *("urgent", "reopened", "median_hours", "spread", "renamed", "conditions"),
)


def _row(category: Category) -> list[Any]:
    said = {**{f.name: getattr(category, f.name) for f in dataclasses.fields(category)}, "category": category.name}
    return ["; ".join(category.conditions) if name == "conditions" else said[name] for name in _COLUMNS]


def _document(baseline: Baseline, hours: str) -> dict[str, Any]:
    found = dataclasses.asdict(baseline)
    history = baseline.history
    found["history"] = {
        "file": history.name,
        "tickets": len(history.tickets),
        "rows": history.rows,
        "columns": history.columns,
        "skipped": history.skipped,
    }
    found["working_hours"] = hours
    found["taxonomy"]["scattered"] = [c.name for c in baseline.taxonomy.scattered]
    found["automate"] = [{"category": c.category.name, "against": c.against} for c in baseline.automate]
    return found


def _charts(baseline: Baseline) -> list[Chart]:
    made = [
        Chart("Tickets opened a day", "Weekends are shaded", _days(baseline), wide=True),
        Chart("When they come", "By weekday and hour (UTC); the darker, the more", _heat(baseline)),
    ]
    if baseline.goals:
        made.append(Chart("Time to resolve", "Working hours until half, 80 % and 90 % are done", _goals(baseline)))
    some = baseline.categories[:18]
    made.append(
        Chart(
            "The largest categories",
            "Tickets, and whether to hand them over",
            charts.bars([c.name for c in some], [c.tickets for c in some], [c.verdict for c in some], _COLOURS),
            wide=True,
        )
    )
    return made


def _days(baseline: Baseline) -> str:
    with charts.drawn(charts.WIDE, 2.4) as (axes, out):
        places = range(len(baseline.days))
        axes.bar(places, [count for _, count in baseline.days], color=charts.SIDES[0], width=0.85)
        step = max(1, len(baseline.days) // 14)
        axes.set_xticks(list(places)[::step], [f"{day:%d %b}" for day, _ in baseline.days[::step]], fontsize=8)
        for place, (day, _) in enumerate(baseline.days):
            if day.weekday() >= 5 and len(baseline.days) <= 120:
                axes.axvspan(place - 0.5, place + 0.5, color="#f5f7fa", zorder=0)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.margins(x=0.01)
    return out[0]


def _heat(baseline: Baseline) -> str:
    """Rectangles and no picture, so that it stays sharp in print."""
    with charts.drawn(charts.HALF, 2.4) as (axes, out):
        most = max(max(row) for row in baseline.hours) or 1
        for day, row in enumerate(baseline.hours):
            for hour, count in enumerate(row):
                shade = 0.04 + 0.96 * count / most
                axes.barh(day, 0.94, left=hour, height=0.9, color=charts.SIDES[0], alpha=shade, linewidth=0)
        axes.set_yticks(range(7), _WEEK)
        axes.set_xticks(range(0, 25, 3), [f"{hour:02d}" for hour in range(0, 25, 3)])
        axes.set_xlim(0, 24)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return out[0]


def _goals(baseline: Baseline) -> str:
    with charts.drawn(charts.HALF, 2.4) as (axes, out):
        shades = ("#2f6690", "#7da3c0", "#c5d6e3")
        for place, goal in enumerate(baseline.goals):
            for share in (2, 1, 0):
                axes.barh(place, goal.business[share], height=0.62, color=shades[share])
            axes.text(
                goal.business[2], place, f"  {goal.business[2]:,.0f} h", va="center", fontsize=8, color=charts.MUTED
            )
        axes.set_yticks(range(len(baseline.goals)), [goal.priority for goal in baseline.goals])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.14)
    return out[0]
