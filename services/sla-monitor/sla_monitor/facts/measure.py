"""The metrics of the facts: how the worker gets on, and the rolling figures, each a gauge."""

from __future__ import annotations

from typing import Final, get_args

from sla_monitor.facts.figures import HOW, WINDOWS, Name
from sla_monitor.facts.reading import TOPICS
from ticket_runtime.metrics import PREFIX, Metric, Registry

_TOPIC: Final = {"topic": TOPICS}
RECORDS: Final = Metric(
    "counter", PREFIX + "facts_records_total", "records", "Records read for facts.", ("topic",), known=_TOPIC
)
WRITTEN: Final = Metric(
    "counter",
    PREFIX + "facts_written_total",
    "facts",
    "Facts that were new; a redelivery makes none.",
    ("topic",),
    known=_TOPIC,
)
UNREADABLE: Final = Metric(
    "counter",
    PREFIX + "facts_unreadable_total",
    "records",
    "Records from which no fact could be read; facts.unreadable says why.",
    ("topic",),
    known=_TOPIC,
)
RETRIES: Final = Metric(
    "counter", PREFIX + "facts_retries_total", "writes", "Writes that were tried again: the database was in trouble."
)
BATCH: Final = Metric(
    "histogram",
    PREFIX + "facts_batch_seconds",
    "seconds",
    "Time of writing a batch of facts.",
    ("topic",),
    known=_TOPIC,
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
METRICS: Final = [RECORDS, WRITTEN, UNREADABLE, RETRIES, BATCH]

SIDES: Final = ("internal", "partner")


def _figure(name: Name) -> Metric:
    who = {"partner": ()} if name.startswith("partner_") else {"side": SIDES}
    labels = (*who, *(("priority",) if name == "sla_adherence_ratio" else ()), "window")
    units = {"resolution_seconds_mean": "seconds", "csat_mean": "score", "reassignments_mean": "changes a ticket"}
    unit = units.get(name, "ratio")
    return Metric("gauge", PREFIX + name, unit, HOW[name] + ".", labels, known={"window": tuple(WINDOWS)})


FIGURES: Final[dict[Name, Metric]] = {name: _figure(name) for name in get_args(Name)}
FIRST_LINE: Final = Metric(
    "gauge",
    PREFIX + "partner_first_line_tickets",
    "tickets",
    "Tickets whose stay in the partner's first line ended in the window: what its ratios rest on.",
    ("partner", "window"),
    known={"window": tuple(WINDOWS)},
)
UNTIL: Final = Metric(
    "gauge",
    PREFIX + "figures_timestamp_seconds",
    "unix time",
    "The instant at which the windows of the rolling figures end.",
)
ROLLING: Final = [*FIGURES.values(), FIRST_LINE, UNTIL]
"""Told by `sla_monitor.facts.http.FiguresCollector`, from its latest snapshot."""


class FactsMetrics:
    """What one worker counts."""

    def __init__(self, registry: Registry) -> None:
        self.records = registry.counter(RECORDS)
        self.written = registry.counter(WRITTEN)
        self.unreadable = registry.counter(UNREADABLE)
        self.retries = registry.counter(RETRIES)
        self.batch = registry.histogram(BATCH)
