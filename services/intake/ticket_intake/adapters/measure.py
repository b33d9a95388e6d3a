"""Intake's own metrics: what tools sent, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Final, get_args

from ticket_contracts.agreement import Agreement
from ticket_contracts.cloudevents import Event
from ticket_contracts.ids import split_ticket_id
from ticket_contracts.tickets import Lifecycle, TicketDuplicate, TicketNormalized
from ticket_runtime.metrics import Metric, Registry
from ticket_runtime.task import Work

ACCEPTED: Final = "202"
LIFECYCLES: Final[tuple[str, ...]] = get_args(Lifecycle)
REASONS: Final = ("same_delivery", "no_change")
STATUSES: Final = (ACCEPTED, "400", "401", "408", "413", "415", "422", "429", "503")

REQUESTS: Final = Metric(
    "counter",
    "relaydesk_intake_requests_total",
    "requests",
    "Requests of tools by HTTP status: 202 was kept, 401 had a wrong signature or wrong credentials.",
    ("source", "status"),
)
TICKETS: Final = Metric(
    "counter",
    "relaydesk_tickets_normalized_total",
    "versions",
    "Versions of tickets, by what happened: " + ", ".join(LIFECYCLES) + ".",
    ("source", "lifecycle"),
    agreed=lambda agreement: product(agreement.sources, LIFECYCLES),
)
DUPLICATES: Final = Metric(
    "counter",
    "relaydesk_ticket_duplicates_total",
    "messages",
    "Messages that changed nothing: seen before, or all of it known or older.",
    ("source", "reason"),
    agreed=lambda agreement: product(agreement.sources, REASONS),
)
EDGE_METRICS: Final = [REQUESTS]
METRICS: Final = [TICKETS, DUPLICATES]


class EdgeMetrics:
    """What the edge counts."""

    def __init__(self, registry: Registry) -> None:
        self._requests = registry.counter(REQUESTS)

    def expect(self, sources: Iterable[str]) -> None:
        """The desk's sources: their series are there before their first request."""
        for source in sources:
            for status in STATUSES:
                self._requests.labels(source, status)

    def answered(self, source: str, status: int) -> None:
        """A request of a source that is open here."""
        self._requests.labels(source, str(status)).inc()


class IntakeMetrics:
    """`ticket_runtime.metrics.Observer` of the tasks."""

    def __init__(self, registry: Registry) -> None:
        self._tickets = registry.counter(TICKETS)
        self._duplicates = registry.counter(DUPLICATES)

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        for _, event in decided:
            source = split_ticket_id(event.ticket)[0]
            if isinstance(event, TicketNormalized):
                self._tickets.labels(source, event.lifecycle).inc()
            elif isinstance(event, TicketDuplicate):
                self._duplicates.labels(source, event.reason).inc()

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None:
        """Nothing to look at."""
