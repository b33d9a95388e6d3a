"""The reference page of the metrics, written from their declarations."""

from __future__ import annotations

from relaydesk_observe import catalogue
from ticket_runtime.metrics import Metric

_HEAD = """# Metrics

Written by `make dashboards` from the declarations in the code; a test compares. Every process answers `/metrics` in
Prometheus's text format, or in OpenMetrics where that is asked for.

- One prefix, `relaydesk_`, also before what the client knows of the process. Base units: seconds, bytes, ratios from 0
  to 1.
- What a batch came to is counted when it is committed. One that is handled again does not count twice.
- Of the oldest thing that waits the instant is exported; its age is `time() - x`. 0 means that nothing waits.
- Labels whose values are known, or follow from the agreement in force, are there from the start, at 0. No ticket,
  person or text is ever in a label.
- Gauges of the whole desk (owners, transfers, figures) are the same from each process that has them: ask for `max`,
  not `sum`.
- In a replay, what measures a moment that passes (event age, lateness, routing time) says nothing.
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD, "## Every process\n", _table(catalogue.EVERY_PROCESS)]
    for process, metrics in catalogue.OWN.items():
        parts += [f"## {process}\n", _table(metrics)]
    return "\n".join(parts)


def _table(metrics: list[Metric]) -> str:
    rows = ["| Metric | Kind | Unit | Labels | What it says |", "|---|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        help_text = metric.help.replace("|", "\\|")
        rows.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {help_text} |")
    return "\n".join(rows) + "\n"
