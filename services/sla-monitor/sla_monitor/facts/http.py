"""The figures over HTTP and as metrics: both from one snapshot, made anew only while somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts.figures import HOW, WINDOWS, Figure, Figures, Name, figures
from sla_monitor.facts.measure import FIGURES, FIRST_LINE, ROLLING, SIDES, UNTIL
from ticket_runtime.http import Problem
from ticket_runtime.metrics import Metric, Registry

_FRESH_SECONDS = 10.0
_NOTHING = float("nan")
"""A ratio of no tickets: no comparison with it holds, so no alert fires."""


class Snapshots:
    """The figures as they were computed last. now: the desk's present, None before a replay's first step. caught_up:
    whether every event known to the broker is a fact by now. complete: whether that was so when they were computed."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], datetime | None], caught_up: Callable[[], bool]) -> None:
        self._engine, self._now, self._caught_up = engine, now, caught_up
        self._computing = asyncio.Lock()
        self._computed_at = -_FRESH_SECONDS
        self._asked = asyncio.Event()
        self._asked.set()
        self.latest: Figures | None = None
        self.complete = False

    def ask(self) -> Figures | None:
        """The latest; they are renewed soon, for whoever asks next."""
        self._asked.set()
        return self.latest

    async def fresh(self) -> Figures | None:
        """At most some seconds old; None before there is a present to compute them for."""
        async with self._computing:
            loop = asyncio.get_running_loop()
            now = self._now()
            standing = self._caught_up()
            stale = loop.time() - self._computed_at >= _FRESH_SECONDS or (standing and not self.complete)
            if now is not None and stale:
                self.latest, self.complete = await figures(self._engine, now), standing
                self._computed_at = loop.time()
            return self.latest

    async def keep_fresh(self) -> None:
        """Runs until it is cancelled. Raises what the database raises."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.fresh()
            await asyncio.sleep(_FRESH_SECONDS)


class FiguresCollector(Collector):
    """Every partner, side, priority and window is there from the start; what rests on no ticket is NaN."""

    def __init__(self, snapshots: Snapshots, registry: Registry) -> None:
        self._snapshots = snapshots
        registry.register(self)
        registry.declared += ROLLING

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._snapshots.ask()
        if found is None:
            return
        known = {
            (f.figure, f.window, f.side or f.partner, f.priority): f
            for f in found.values
            if f.category is None and (f.priority is None or f.figure == "sla_adherence_ratio")
        }

        def value(name: Name, window: str, who: str, priority: str | None = None) -> float:
            figure = known.get((name, window, who, priority))
            return _NOTHING if figure is None else figure.value

        for name, metric in FIGURES.items():
            family = _family(metric)
            for who in found.partners if "partner" in metric.labels else SIDES:
                for priority in found.priorities if "priority" in metric.labels else (None,):
                    for window in WINDOWS:
                        said = [who, *([priority] if priority else []), window]
                        family.add_metric(said, value(name, window, who, priority))
            yield family
        family = _family(FIRST_LINE)
        for partner in found.partners:
            for window in WINDOWS:
                figure = known.get(("partner_escalation_ratio", window, partner, None))
                family.add_metric([partner, window], 0 if figure is None else figure.of)
        yield family
        family = _family(UNTIL)
        family.add_metric([], found.until.timestamp())
        yield family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


class FigureAnswer(BaseModel):
    """side: internal or partner; partner: for figures of a partner's first line. category, priority: null for all.
    of: the tickets, clocks or scores that it rests on. how: how it is computed."""

    figure: Name
    window: Literal["1h", "1d", "1w"]
    side: str | None
    partner: str | None
    category: str | None
    priority: str | None
    of: int
    value: float
    how: str


class FiguresAnswer(BaseModel):
    """until: the instant at which the windows end. caught_up: every event that the broker knew of is counted."""

    until: datetime
    caught_up: bool
    figures: list[FigureAnswer]


def add_routes(app: FastAPI, snapshots: Snapshots) -> None:
    @app.get("/v1/figures", tags=["figures"], response_model=FiguresAnswer)
    async def show_figures(
        figure: Name | None = None,
        window: Literal["1h", "1d", "1w"] | None = None,
        side: Literal["internal", "partner"] | None = None,
        partner: str | None = None,
        by: Annotated[
            Literal["category", "priority"] | None, Query(description="also for each of these; else for all together")
        ] = None,
    ) -> FiguresAnswer:
        """Rolling figures of both sides over an hour, a day and a week, ending now (in a replay: where it stands)."""
        found = await snapshots.fresh()
        if found is None:
            raise Problem(503, "the replay has not begun, so there is no present to count back from; ask again")
        return FiguresAnswer(
            until=found.until,
            caught_up=snapshots.complete,
            figures=[
                _answer(f)
                for f in found.values
                if figure in (None, f.figure)
                and window in (None, f.window)
                and side in (None, f.side)
                and partner in (None, f.partner)
                and (by == "category" or f.category is None)
                and (by == "priority" or f.priority is None)
            ],
        )


def _answer(f: Figure) -> FigureAnswer:
    return FigureAnswer.model_validate(
        {
            "figure": f.figure,
            "window": f.window,
            "side": f.side,
            "partner": f.partner,
            "category": f.category,
            "priority": f.priority,
            "of": f.of,
            "value": f.value,
            "how": HOW[f.figure],
        }
    )
