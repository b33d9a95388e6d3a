"""Every metric of a desk, by who exports it."""

from __future__ import annotations

from typing import Final

import sla_monitor.adapters.measure as sla
import sla_monitor.facts.measure as facts
import ticket_classifier.adapters.measure as classifier
import ticket_handoff.adapters.measure as handoff
import ticket_intake.adapters.measure as intake
import ticket_router.adapters.measure as router
import ticket_runtime.metrics as runtime
from ticket_runtime.metrics import Metric

EVERY_PROCESS: Final = [*runtime.METRICS, *runtime.PROCESS]
OWN: Final[dict[str, list[Metric]]] = {
    "intake-edge": intake.EDGE_METRICS,
    "intake": intake.METRICS,
    "classifier": classifier.METRICS,
    "router": router.METRICS,
    "sla-monitor": sla.METRICS,
    "handoff": handoff.METRICS,
    "facts": [*facts.METRICS, *facts.ROLLING],
}
"""Process -> what it exports besides."""


def every() -> list[Metric]:
    return [*EVERY_PROCESS, *(metric for metrics in OWN.values() for metric in metrics)]


def series_names() -> set[str]:
    """The names that queries may ask for: a histogram's are three."""
    names: set[str] = set()
    for metric in every():
        ends = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        names.update(metric.name + end for end in ends)
    return names
