"""The classifier's own metrics: what it decided, and how sure it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from ticket_contracts.agreement import Agreement
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import Event
from ticket_runtime.metrics import Metric, Registry
from ticket_runtime.task import Work

CLASSIFIED: Final = Metric(
    "counter",
    "relaydesk_classifications_total",
    "classifications",
    "Classifications by outcome: decided, abstained (people must triage), corrected (by a person's word).",
    ("outcome", "priority", "tier"),
    known={
        "outcome": ("decided", "abstained", "corrected"),
        "priority": ("P1", "P2", "P3", "P4", "P5"),
        "tier": ("0", "1", "2", "3"),
    },
)
CONFIDENCE: Final = Metric(
    "histogram",
    "relaydesk_classification_confidence_ratio",
    "ratio",
    "How sure a classification is, 0 to 1; a person's correction is left out.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
)
METRICS: Final = [CLASSIFIED, CONFIDENCE]


class ClassifierMetrics:
    """`ticket_runtime.metrics.Observer` of the classifier."""

    def __init__(self, registry: Registry) -> None:
        self._classified = registry.counter(CLASSIFIED)
        self._confidence = registry.histogram(CONFIDENCE)

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        judged = [event for _, event in decided if isinstance(event, TicketClassified)]
        sure = [event.confidence for event in judged if event.inputs.feedback is None]
        counts = Counter((e.inputs.feedback is not None, e.abstained, e.priority, e.tier) for e in judged)
        for (corrected, abstained, priority, tier), number in counts.items():
            outcome = "corrected" if corrected else "abstained" if abstained else "decided"
            self._classified.labels(outcome, priority, tier).inc(number)
        if sure:
            self._confidence.observe_all(sure)

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None:
        """Nothing to look at."""
