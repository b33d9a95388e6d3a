"""How metrics are declared, and those of the runtime. Every metric of Relaydesk is a line of one such list.

Rules: the prefix `relaydesk_`; base units (seconds, bytes, ratios from 0 to 1), named by the metric's end; counters end
in `_total`; of the oldest thing the instant (unix time), never the age; no ticket, person or text in a label. What a
batch came to is counted once it is committed, so that a batch that is handled again does not count twice.
"""

from __future__ import annotations

import itertools
import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Final, Literal, Protocol, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Exemplar

from ticket_contracts.agreement import Agreement, Published
from ticket_contracts.cloudevents import Event
from ticket_runtime.task import REASONS, Work

PREFIX: Final = "relaydesk_"

# The instant at which a series began is Prometheus's own knowledge; the client would double the number of series.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

QUICK: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Buckets, in seconds, of what takes milliseconds."""
WAITING: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0)
"""Buckets, in seconds, of what a ticket waits for."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. name: as it is exposed. unit: of its value. help: one sentence for who reads a graph.

    labels: their names. known: label -> the values it is known to have, which are there from the start at 0, or
    ratios would vanish until the first error and an increase would miss it; only where all labels of a metric have
    known values. agreed: the same of an agreement: the sets of labels that it can lead to, there at 0 from when it is
    in force. buckets: of a histogram.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    agreed: Callable[[Agreement], Iterable[tuple[str, ...]]] | None = None


class BatchHistogram(prometheus_client.Histogram):
    """A histogram that takes the values of a batch at once: a tenth of the cost of one after the other."""

    def observe_all(self, values: Sequence[float], trace: str | None = None) -> None:
        """trace: of the greatest of them: in OpenMetrics a slow bucket leads to what was slow."""
        counts = [0] * len(self._upper_bounds)
        for value in values:
            counts[bisect_left(self._upper_bounds, value)] += 1
        self._sum.inc(sum(values))
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if trace is not None:
            slowest = max(values)
            exemplar = Exemplar({"trace_id": trace}, slowest, time.time())
            self._buckets[bisect_left(self._upper_bounds, slowest)].set_exemplar(exemplar)


_M = TypeVar("_M", bound=MetricWrapperBase)


class Registry(CollectorRegistry):
    """The metrics of one process, so that tests can run several beside each other. declared: what was made here."""

    def __init__(self) -> None:
        super().__init__()
        self.declared: list[Metric] = []
        self._agreed: list[tuple[Callable[[Agreement], Iterable[tuple[str, ...]]], MetricWrapperBase]] = []

    def agree(self, agreement: Agreement) -> None:
        """An agreement is in force: what it can lead to is there, at 0."""
        for label_sets, made in self._agreed:
            for values in label_sets(agreement):
                made.labels(*values)

    def counter(self, metric: Metric) -> prometheus_client.Counter:
        return self._add(metric, prometheus_client.Counter(*_named(metric), registry=self))

    def gauge(self, metric: Metric) -> Gauge:
        return self._add(metric, Gauge(*_named(metric), registry=self))

    def histogram(self, metric: Metric) -> BatchHistogram:
        return self._add(metric, BatchHistogram(*_named(metric), buckets=metric.buckets, registry=self))

    def _add(self, metric: Metric, made: _M) -> _M:
        self.declared.append(metric)
        if metric.labels and set(metric.known) == set(metric.labels):
            for values in itertools.product(*(metric.known[label] for label in metric.labels)):
                made.labels(*values)
        if metric.agreed is not None:
            self._agreed.append((metric.agreed, made))
        return made


def _named(metric: Metric) -> tuple[str, str, tuple[str, ...]]:
    return metric.name, metric.help, metric.labels


class Observer(Protocol):
    """What counts a service's own decisions, beside the runtime's metrics; one in a process, in its event loop."""

    def committed(self, task: int, decided: Sequence[tuple[str, Event]], present: datetime | None) -> None:
        """What a task emitted (topic, event), in order, once it is committed. present: of the desk, None in a
        replay, where a moment that passes says nothing."""
        ...

    def look(self, tasks: Mapping[int, Work], in_force: Agreement | None) -> None:
        """Sets gauges by the work of the tasks that run here; called every second, so it must be quick. in_force: the
        agreement now, None before a replay has named its first step."""
        ...


OUTCOMES: Final = ("handled", "dead_letter", "not_for_us")


def _counter(name: str, unit: str, help: str, *labels: str) -> Metric:  # noqa: A002 - it is Prometheus's word
    return Metric("counter", PREFIX + name, unit, help, labels)


def _gauge(name: str, unit: str, help: str, *labels: str) -> Metric:  # noqa: A002
    return Metric("gauge", PREFIX + name, unit, help, labels)


def _histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = QUICK) -> Metric:  # noqa: A002
    return Metric("histogram", PREFIX + name, "seconds", help, labels, buckets=buckets)


MESSAGES: Final = _counter(
    "messages_total",
    "messages",
    "Messages by what became of them: handled, dead_letter, or not_for_us (sent again for another group).",
    *("group", "topic", "outcome"),
)
DEAD_LETTERS: Final = _counter(
    "dead_letters_total",
    "messages",
    f"Messages that could not be handled, by the kind of reason: {', '.join(REASONS)}.",
    *("group", "topic", "reason"),
)
HANDLING: Final = _counter(
    "handling_seconds_total",
    "seconds",
    "Time spent handling messages, transactions apart; over the messages it is the time each takes.",
    *("group", "topic"),
)
EVENT_AGE: Final = _histogram(
    "event_age_seconds",
    "How old an event was when what followed from it was committed, from its own time on; nothing in a replay.",
    *("group", "topic"),
    buckets=WAITING,
)
WRITTEN: Final = _counter("written_total", "records", "Records written and committed.", "group", "topic")
TRANSIENT: Final = _counter(
    "transient_failures_total",
    "failures",
    "Trouble that was waited out; growing while messages do not: something that the service needs is away.",
    "group",
)
TRANSACTION: Final = _histogram(
    "transaction_seconds", "One transaction: results, state and offsets, or the ledger's.", "group"
)
BATCH: Final = _histogram("batch_seconds", "Handling one batch, between two transactions.", "group")
COMMITTED: Final = _gauge("last_commit_timestamp_seconds", "unix time", "When a task last committed.", "group", "task")
OLDEST: Final = _gauge(
    "oldest_waiting_timestamp_seconds",
    "unix time",
    "When the oldest message that waits in a task was written; 0: none waits.",
    *("group", "task"),
)
SEEN: Final = _gauge(
    "input_last_seen_timestamp_seconds",
    "unix time",
    "When the newest message that was handled was written to a topic, since this process began.",
    *("group", "topic"),
)
LAG: Final = _gauge(
    "consumer_lag_offsets",
    "offsets",
    "Offsets between what was handled and the end of a partition, as the broker said last.",
    *("group", "topic", "partition"),
)
DUE: Final = _gauge(
    "next_due_timestamp_seconds", "unix time", "When a task's next timer is due; 0: none is set.", "group", "task"
)
RUNNING: Final = _gauge("task_running", "tasks", "1 while a task runs in this process.", "group", "task")
RESTORE: Final = _histogram(
    "restore_seconds",
    "From the assignment of a task until it is ready: fencing, restoring its state.",
    "group",
    buckets=(0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0),
)
RESTORED: Final = _gauge(
    "restore_progress_ratio", "ratio", "How much of a task's state has been read back, 0 to 1.", "group", "task"
)
BROKER: Final = _gauge(
    "broker_last_answer_timestamp_seconds", "unix time", "When the broker last answered this process.", "group"
)
HTTP_REQUESTS: Final = _counter(
    "http_requests_total",
    "requests",
    "HTTP requests by route and status; those for health and metrics are left out.",
    *("group", "method", "route", "status"),
)
HTTP_SECONDS: Final = _histogram(
    "http_request_seconds", "Time of an HTTP request; streams are left out.", "group", "method", "route"
)
AGREEMENT: Final = _gauge(
    "agreement_info", "1", "The agreement that the service decides by now, as its digest; always 1.", "group", "version"
)
AGREEMENT_SINCE: Final = _gauge(
    "agreement_effective_timestamp_seconds", "unix time", "Since when the agreement in force takes effect.", "group"
)
BUILD: Final = _gauge("build_info", "1", "What runs; always 1.", "group", "version", "python")

METRICS: Final = [
    *(MESSAGES, DEAD_LETTERS, HANDLING, EVENT_AGE, WRITTEN, TRANSIENT, TRANSACTION, BATCH),
    *(
        COMMITTED,
        OLDEST,
        SEEN,
        LAG,
        DUE,
        RUNNING,
        RESTORE,
        RESTORED,
        BROKER,
        HTTP_REQUESTS,
        HTTP_SECONDS,
        AGREEMENT,
        AGREEMENT_SINCE,
        BUILD,
    ),
]
PROCESS: Final = [
    Metric("counter", PREFIX + "process_cpu_seconds_total", "seconds", "User and system CPU time of the process."),
    Metric("gauge", PREFIX + "process_resident_memory_bytes", "bytes", "Memory that the process has."),
    Metric("gauge", PREFIX + "process_virtual_memory_bytes", "bytes", "Address space that the process has."),
    Metric("gauge", PREFIX + "process_start_time_seconds", "unix time", "When the process began."),
    Metric("gauge", PREFIX + "process_open_fds", "descriptors", "Open file descriptors."),
    Metric("gauge", PREFIX + "process_max_fds", "descriptors", "How many file descriptors it may open."),
]
"""What the client knows of the process by itself, where the system tells it (Linux)."""


class Metrics:
    """The runtime's metrics of one process. group: the service's."""

    def __init__(self, group: str) -> None:
        self.registry = registry = Registry()
        self.messages = registry.counter(MESSAGES)
        self.dead_letters = registry.counter(DEAD_LETTERS)
        self.handling = registry.counter(HANDLING)
        self.event_age = registry.histogram(EVENT_AGE)
        self.written = registry.counter(WRITTEN)
        self.transient = registry.counter(TRANSIENT).labels(group)
        self.transaction_seconds = registry.histogram(TRANSACTION).labels(group)
        self.batch_seconds = registry.histogram(BATCH).labels(group)
        self.committed = registry.gauge(COMMITTED)
        self.oldest = registry.gauge(OLDEST)
        self._seen = registry.gauge(SEEN)
        self._newest: dict[str, float] = {}
        self.lag = registry.gauge(LAG)
        self.due = registry.gauge(DUE)
        self.running = registry.gauge(RUNNING)
        self.restore_seconds = registry.histogram(RESTORE).labels(group)
        self.restored = registry.gauge(RESTORED)
        self.broker = registry.gauge(BROKER).labels(group)
        self.http_requests = registry.counter(HTTP_REQUESTS)
        self.http_seconds = registry.histogram(HTTP_SECONDS)
        self._agreement = registry.gauge(AGREEMENT)
        self._agreement_since = registry.gauge(AGREEMENT_SINCE).labels(group)
        registry.gauge(BUILD).labels(group, version("relaydesk-shared"), platform.python_version()).set(1)
        ProcessCollector(namespace=PREFIX.rstrip("_"), registry=registry)
        registry.declared += PROCESS
        self.group = group
        self._shown: str | None = None

    def expect(self, topics: Iterable[str]) -> None:
        """The group's input topics: their series are there before their first message."""
        for topic in topics:
            for outcome in OUTCOMES:
                self.messages.labels(self.group, topic, outcome)
            for reason in REASONS:
                self.dead_letters.labels(self.group, topic, reason)
            self.handling.labels(self.group, topic)
            self.event_age.labels(self.group, topic)

    def saw(self, topic: str, at: float) -> None:
        """A message of this topic that was written then (unix time)."""
        if at > self._newest.get(topic, 0.0):
            self._newest[topic] = at
            self._seen.labels(self.group, topic).set(at)

    def agreement(self, in_force: Published) -> None:
        if in_force.version != self._shown:
            self._agreement.clear()
            self._agreement.labels(self.group, in_force.version).set(1)
            self._agreement_since.set(in_force.effective_at.timestamp())
            self.registry.agree(in_force.agreement)
            self._shown = in_force.version

    def nothing_of(self, task: int, inputs: Iterable[tuple[str, int]]) -> None:
        """A task has left this process: what it last said of itself, and of its inputs (topic, partition), is no longer
        true here."""
        for gauge in (self.committed, self.oldest, self.due, self.restored):
            gauge.remove(self.group, str(task))
        for topic, partition in inputs:
            self.lag.remove(self.group, topic, str(partition))
