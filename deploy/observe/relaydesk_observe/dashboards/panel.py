"""What a dashboard is made of: rows of panels, whose questions are plain PromQL, so that a test can ask them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lines", "stacked", "number", "bars", "table"]


@dataclass(frozen=True, slots=True)
class Panel:
    """title, what: for people; what says how to read it. unit: Grafana's. queries: (PromQL, legend).

    bad: from which value on it is drawn red. span: of 24.
    """

    title: str
    what: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: Kind = "lines"
    span: int = 8
    bad: float | None = None


Rows = list[tuple[str, list[Panel]]]


def one(title: str, what: str, unit: str, query: str, bad: float | None = None, span: int = 4) -> Panel:
    return Panel(title, what, unit, ((query, ""),), "number", span, bad)


def quantiles(name: str, by: str = "", where: str = "") -> tuple[tuple[str, str], ...]:
    """Median and 99th of a histogram. by: further labels, comma and all. where: matchers in braces."""
    legend = "".join(f" {{{{{label}}}}}" for label in by.split(",") if label)
    return tuple(
        (
            f"histogram_quantile({q}, sum by (le{',' + by if by else ''}) (rate({name}_bucket{where}[$__rate_interval])))",
            f"{said}{legend}",
        )
        for q, said in ((0.5, "median"), (0.99, "99th"))
    )


def age(metric: str) -> str:
    """How old the oldest is, 0 when there is none."""
    return f"(time() - max({metric})) * on() (max({metric}) > bool 0)"


@dataclass(frozen=True, slots=True)
class Board:
    """windows: whether its figures are of an hour, a day or a week, by choice."""

    title: str
    what: str
    rows: Rows
    windows: bool = False

    @property
    def panels(self) -> list[Panel]:
        return [panel for _, row in self.rows for panel in row]
