"""The router's own metrics: where tickets went and why, how long it took, what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, get_args

from ticket_contracts.agreement import Agreement
from ticket_contracts.cloudevents import Event
from ticket_contracts.routing import Purpose, TicketRouted
from ticket_router.domain.decide import DUTY, PING_PONG, REOPENED, SOURCE_GROUP, TRIAGE
from ticket_router.domain.policy import GROUP
from ticket_router.handlers import RouterWork
from ticket_runtime.metrics import Metric, Registry
from ticket_runtime.task import Work


def _ways(agreement: Agreement) -> Iterator[tuple[str, str]]:
    """(rule, queue): where each rule can lead, the duty queue at its end included."""
    routing, groups = agreement.routing, set(agreement.routing.group_queues.values())
    for rule in routing.rules:
        named = set(rule.to)
        yield from ((rule.name, queue) for queue in (named - {GROUP}) | (groups if GROUP in named else set()))
        yield rule.name, routing.duty_queue
    yield DUTY, routing.duty_queue
    for queue, model in agreement.queues.items():
        if model.owner_role == agreement.intake_duty and model.support_model == "internal":
            yield TRIAGE, queue


def _decisions(agreement: Agreement) -> Iterator[tuple[str, ...]]:
    """What the protocol decides, too: a group that people chose, a reopened ticket's former queue, the third round."""
    routing = agreement.routing
    ways = [(purpose, *way) for way in _ways(agreement) for purpose in get_args(Purpose)]
    ways += [("transfer", SOURCE_GROUP, queue) for queue in routing.group_queues.values()]
    ways += [("transfer", REOPENED, queue) for queue in agreement.queues]
    ways += [
        (purpose, PING_PONG, queue)
        for queue in (routing.ping_pong_queue, routing.duty_queue)
        if routing.ping_pong_queue is not None and queue is not None
        for purpose in ("transfer", "reroute")
    ]
    for purpose, rule, name in ways:
        queue = agreement.queues[name]
        yield purpose, str(queue.tier), name, rule, queue.support_model


ROUTED: Final = Metric(
    "counter",
    "relaydesk_tickets_routed_total",
    "decisions",
    "Routing decisions: first, transfer (handoff asked) or reroute (the router's own), by the rule that decided.",
    ("purpose", "tier", "queue", "rule", "support_model"),
    agreed=_decisions,
)
ROUTING: Final = Metric(
    "histogram",
    "relaydesk_routing_seconds",
    "seconds",
    "From the arrival of what made a ticket ready to be routed until its first decision was committed; nothing in a "
    "replay.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0),
)
INFO: Final = Metric(
    "gauge",
    "relaydesk_queue_info",
    "1",
    "The queues of the agreement in force, to join other metrics with; partner none: the company's own. Always 1.",
    ("queue", "support_model", "partner", "tier"),
)
CAPACITY: Final = Metric(
    "gauge",
    "relaydesk_queue_capacity_tickets",
    "tickets",
    "How many tickets a queue takes, where it is bounded.",
    ("queue",),
)
QUEUE: Final = Metric(
    "gauge",
    "relaydesk_queue_tickets",
    "tickets",
    "Tickets that a queue has or is to have: its load, reservations included.",
    ("queue",),
)
OVERFLOWING: Final = Metric(
    "gauge", "relaydesk_queue_overflowing", "boolean", "1 while a queue is in overflow.", ("queue",)
)
OPEN: Final = Metric(
    "gauge", "relaydesk_open_tickets", "tickets", "Tickets that the router knows and that have not ended."
)
UNROUTED: Final = Metric(
    "gauge", "relaydesk_unrouted_tickets", "tickets", "Tickets that have come and were not routed yet."
)
OLDEST: Final = Metric(
    "gauge",
    "relaydesk_oldest_unrouted_timestamp_seconds",
    "unix time",
    "Since when the ticket has been known that waits longest for its first decision; 0: none waits.",
)
METRICS: Final = [ROUTED, ROUTING, INFO, CAPACITY, QUEUE, OVERFLOWING, OPEN, UNROUTED, OLDEST]


class RouterMetrics:
    """`ticket_runtime.metrics.Observer` of the router. A stand-by shows no gauges: it knows nothing."""

    def __init__(self, registry: Registry) -> None:
        self._routed = registry.counter(ROUTED)
        self._routing = registry.histogram(ROUTING)
        self._info = registry.gauge(INFO)
        self._capacity = registry.gauge(CAPACITY)
        self._queue = registry.gauge(QUEUE)
        self._overflowing = registry.gauge(OVERFLOWING)
        self._open = registry.gauge(OPEN)
        self._unrouted = registry.gauge(UNROUTED)
        self._oldest = registry.gauge(OLDEST)
        self._queues: set[str] = set()
        self._agreement: Agreement | None = None

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        waited = []
        for _, event in decided:
            if isinstance(event, TicketRouted):
                self._routed.labels(event.purpose, str(event.tier), event.queue, event.rule, event.support_model).inc()
                if event.purpose == "first" and present is not None:
                    waited.append(max((present - event.decided_for).total_seconds(), 0.0))
        if waited:
            self._routing.observe_all(waited)

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None:
        work = tasks.get(0)
        if not isinstance(work, RouterWork):
            for gauge in (self._info, self._capacity, self._queue, self._overflowing):
                gauge.clear()
            # What waited when another took over waits there: kept here, it would grow old and wake somebody.
            for gauge in (self._open, self._unrouted, self._oldest):
                gauge.set(0)
            self._agreement = None
            return
        if in_force is not None and in_force is not self._agreement:
            self._describe(in_force)
        loads = work.loads
        self._queues.update(loads.loads)  # one that an older agreement had may still hold tickets
        for queue in self._queues:
            self._queue.labels(queue).set(loads.load(queue))
            self._overflowing.labels(queue).set(queue in loads.overflow)
        self._open.set(work.open_count)
        self._unrouted.set(len(work.unrouted))
        # In the order of their arrival, so that the first is the oldest.
        first = next(iter(work.unrouted.values()), None)
        self._oldest.set(0 if first is None else first.timestamp())

    def _describe(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._info.clear()
        self._capacity.clear()
        self._queues.update(agreement.queues)
        for name, queue in agreement.queues.items():
            self._info.labels(name, queue.support_model, queue.partner or "none", str(queue.tier)).set(1)
            if queue.capacity is not None:
                self._capacity.labels(name).set(queue.capacity)
