"""The monitor's own metrics: what clocks did, how late it was said, and which open clocks are at risk or breached."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args

from sla_monitor.domain.state import Clock
from sla_monitor.handlers import SlaWork
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.counting import Phase
from ticket_contracts.cloudevents import Event
from ticket_contracts.sla import ClockEvent, ClockKind, Occurrence
from ticket_runtime.metrics import Metric, Registry
from ticket_runtime.task import Work

Risk = Literal["at_risk", "breached"]

_KINDS: Final = get_args(ClockKind)
EVENTS: Final = Metric(
    "counter",
    "relaydesk_sla_events_total",
    "events",
    "What happened to clocks, by their kind; clock * states which clocks run on a routed ticket.",
    ("clock", "occurrence"),
    known={"clock": (*_KINDS, "*"), "occurrence": get_args(Occurrence)},
)
LATENESS: Final = Metric(
    "histogram",
    "relaydesk_sla_lateness_seconds",
    "seconds",
    "From the instant that a warning or breach was due until it was committed; nothing in a replay.",
    ("occurrence",),
    known={"occurrence": ("warned", "breached")},
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0),
)
CLOCKS: Final = Metric(
    "gauge",
    "relaydesk_sla_clocks",
    "clocks",
    "Open clocks that have warned and may still be met (at_risk), or that have passed their deadline (breached).",
    ("clock", "state"),
    known={"clock": _KINDS, "state": get_args(Risk)},
)
METRICS: Final = [EVENTS, LATENESS, CLOCKS]

_LOOK_SECONDS: Final = 0.02
"""How long of every second may go into looking at tickets again."""


@dataclass(slots=True)
class _Task:
    """What is known of one task's clocks. work: as it was seen last. unsure: tickets to be looked at."""

    work: Work | None = None
    risks: dict[tuple[str, str], Risk] = field(default_factory=dict)
    unsure: deque[str] = field(default_factory=deque)


class SlaMetrics:
    """`ticket_runtime.metrics.Observer` of the monitor.

    Only clocks at risk or breached are kept, by what is said of them. What a restored task had, and what a correction
    or a reopening makes of a clock, is read from the tickets, a little every second.
    """

    def __init__(self, registry: Registry) -> None:
        self._events = registry.counter(EVENTS)
        self._lateness = registry.histogram(LATENESS)
        self._clocks = registry.gauge(CLOCKS)
        self._tasks: dict[int, _Task] = {}

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        known = self._tasks.setdefault(task, _Task())
        for _, event in decided:
            if not isinstance(event, ClockEvent):
                continue
            kind, occurrence = event.clock.partition(":")[0], event.occurrence
            self._events.labels(kind, occurrence).inc()
            if event.due_at is not None and present is not None:
                self._lateness.labels(occurrence).observe(max(0.0, (present - event.due_at).total_seconds()))
            at = event.ticket, event.clock
            if occurrence == "warned":
                known.risks.setdefault(at, "at_risk")
            elif occurrence == "breached":
                known.risks[at] = "breached"
            elif occurrence in ("met", "cancelled"):
                known.risks.pop(at, None)
            elif occurrence in ("revised", "resumed") or (occurrence == "started" and event.generation > 1):
                known.unsure.append(event.ticket)

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None:
        until = time.perf_counter() + _LOOK_SECONDS
        for gone in self._tasks.keys() - tasks.keys():
            del self._tasks[gone]
        for number, work in tasks.items():
            known = self._tasks.setdefault(number, _Task())
            if isinstance(work, SlaWork):
                if known.work is not work:
                    known.work, known.unsure = work, deque(work.names())
                while known.unsure and time.perf_counter() < until:
                    _look_again(known, known.unsure.popleft(), work)
        counts = Counter(
            (clock.partition(":")[0], risk)
            for known in self._tasks.values()
            for (_, clock), risk in known.risks.items()
        )
        for kind in _KINDS:
            for risk in get_args(Risk):
                self._clocks.labels(kind, risk).set(counts[kind, risk])


def _look_again(known: _Task, name: str, work: SlaWork) -> None:
    ticket = work.ticket(name)
    for clock in () if ticket is None else (*ticket.clocks, *ticket.transfers):
        found = risk_of(clock)
        if found is None:
            known.risks.pop((name, clock.name), None)
        else:
            known.risks[name, clock.name] = found


def risk_of(clock: Clock) -> Risk | None:
    """What an open clock has come to; None for one that has said nothing, or that is met or cancelled."""
    said = [notice for notice in clock.said if notice.generation == clock.generation]
    if clock.phase not in (Phase.RUN, Phase.PAUSE) or not said:
        return None
    return "breached" if any(notice.seconds == 0 for notice in said) else "at_risk"
