"""The monitor's own metrics. Base units; no ticket in a label."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from ticket_contracts.sla import ClockEvent

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)


class SlaMetrics:
    """Of all tasks of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # What was said, by kind of clock: started, warned, breached, ...
        self._said = Counter("relaydesk_sla_events_total", "Clock events", ["clock", "occurrence"], registry=registry)
        # From the instant that a warning or breach was due until it was handed to the broker. Nothing in a replay.
        self._lateness = Histogram(
            "relaydesk_sla_lateness_seconds", "Lateness of warnings and breaches", buckets=_SECONDS, registry=registry
        )

    def said(self, event: ClockEvent, present: datetime | None) -> None:
        self._said.labels(event.clock.partition(":")[0], event.occurrence).inc()
        if event.due_at is not None and present is not None:
            self._lateness.observe(max(0.0, (present - event.due_at).total_seconds()))


@cache
def metrics_of(registry: CollectorRegistry) -> SlaMetrics:
    """A process registers them once, whatever number of tasks it runs."""
    return SlaMetrics(registry)
