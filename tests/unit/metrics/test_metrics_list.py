"""The one list of metrics: what each service exposes is what is declared, and what is declared follows the rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import sla_monitor.adapters.measure as sla
import sla_monitor.facts.measure as facts
import ticket_classifier.adapters.measure as classifier
import ticket_handoff.adapters.measure as handoff
import ticket_intake.adapters.measure as intake
import ticket_router.adapters.measure as router
import ticket_runtime.metrics as runtime
from ticket_runtime.metrics import Metric, Metrics, Registry

SERVICES: dict[str, tuple[list[Metric], Callable[[Registry], Any]]] = {
    "intake": (intake.METRICS, intake.IntakeMetrics),
    "intake-edge": (intake.EDGE_METRICS, intake.EdgeMetrics),
    "classifier": (classifier.METRICS, classifier.ClassifierMetrics),
    "router": (router.METRICS, router.RouterMetrics),
    "sla-monitor": (sla.METRICS, sla.SlaMetrics),
    "facts": (facts.METRICS, facts.FactsMetrics),
    "handoff": (handoff.METRICS, handoff.HandoffMetrics),
}
EVERY = [
    *runtime.METRICS,
    *runtime.PROCESS,
    *(metric for metrics, _ in SERVICES.values() for metric in metrics),
    *facts.ROLLING,
]


def exposed(registry: Registry) -> dict[str, tuple[str, str, frozenset[str]]]:
    """name -> (kind, help, labels of its samples, `le` apart)."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        found[name] = family.type, family.documentation, labels
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_exposes_what_is_declared_and_nothing_else(service: str) -> None:
    own, make = SERVICES[service]
    metrics = Metrics(service)
    make(metrics.registry)
    declared = [*runtime.METRICS, *runtime.PROCESS, *own]
    assert {metric.name for metric in metrics.registry.declared} == {metric.name for metric in declared}
    shown = exposed(metrics.registry)
    assert set(shown) == {metric.name for metric in declared}
    for metric in declared:
        kind, _, labels = shown[metric.name]
        assert kind == metric.kind, metric.name
        assert labels <= set(metric.labels), metric.name


def test_no_two_metrics_have_one_name() -> None:
    names = [metric.name for metric in EVERY]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_metric_follows_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"relaydesk_[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.help.endswith(".")
    assert metric.unit
    if metric.unit == "seconds":
        assert "_seconds" in metric.name
    if metric.unit == "unix time":
        assert metric.name.endswith(("_timestamp_seconds", "_time_seconds"))
    if metric.unit == "ratio":
        assert metric.name.endswith("_ratio")
        assert all(0 < bucket <= 1 for bucket in metric.buckets)
    assert not re.search(r"milli|_ms\b|minute|hour|percent|_age$", metric.name)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert set(metric.known) <= set(metric.labels)
    assert not {"ticket", "transfer", "person", "owner", "text", "title", "external_id"} & set(metric.labels)


@pytest.mark.parametrize(
    "metric", [m for m in EVERY if m.labels and set(m.known) == set(m.labels)], ids=lambda m: m.name
)
def test_series_whose_labels_are_known_are_there_from_the_start(metric: Metric) -> None:
    registry = Registry()
    getattr(registry, metric.kind)(metric)
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    found = {tuple(sample.labels[label] for label in metric.labels) for sample in family.samples}
    wanted = 1
    for values in metric.known.values():
        wanted *= len(values)
    assert len(found) == wanted


def test_inputs_are_there_before_their_first_message() -> None:
    metrics = Metrics("g")
    metrics.expect(["a"])
    text = generate_latest(metrics.registry).decode()
    assert 'relaydesk_messages_total{group="g",outcome="dead_letter",topic="a"} 0.0' in text
    assert 'relaydesk_dead_letters_total{group="g",reason="unreadable",topic="a"} 0.0' in text
    assert 'relaydesk_event_age_seconds_count{group="g",topic="a"} 0.0' in text


def test_a_histogram_takes_a_batch_as_it_takes_single_values() -> None:
    values = [0.0, 0.002, 0.0021, 0.05, 3.0, 10.0, 10.1, 400.0]
    shown = []
    for at_once in (True, False):
        registry = Registry()
        histogram = registry.histogram(runtime.BATCH).labels("g")
        if at_once:
            histogram.observe_all(values)
        else:
            for value in values:
                histogram.observe(value)
        shown.append(generate_latest(registry))
    assert shown[0] == shown[1]
    assert b'le="+Inf"} 8.0' in shown[0]


def test_the_slowest_of_a_batch_leads_to_its_trace() -> None:
    registry = Registry()
    histogram = registry.histogram(runtime.BATCH).labels("g")
    histogram.observe_all([0.001, 3.0, 0.05], "4bf92f3577b34da6a3ce929d0e0e4736")
    text = openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    (line,) = [line for line in text.splitlines() if "trace_id" in line]
    assert 'le="5.0"' in line
    assert '# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 3.0' in line


def test_nothing_is_told_of_a_task_that_has_left() -> None:
    metrics = Metrics("g")
    for gauge in (metrics.committed, metrics.oldest, metrics.due, metrics.restored):
        gauge.labels("g", 3).set(0.4)  # it left before its state was restored
    metrics.lag.labels("g", "topic", 3).set(7)
    metrics.nothing_of(3, [("topic", 3)])
    told = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert [sample.name for sample in told if sample.labels.get("task") or sample.labels.get("partition")] == []
