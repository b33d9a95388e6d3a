"""What each service counts of its own decisions, and what its gauges show of what it knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sla_monitor.adapters.measure import SlaMetrics
from ticket_classifier.adapters.measure import ClassifierMetrics
from ticket_contracts.classification import ClassificationInputs
from ticket_contracts.cloudevents import Event
from ticket_contracts.tickets import TicketDuplicate
from ticket_contracts.transfers import OwnerChanged, TransferAccepted
from ticket_handoff.adapters.measure import HandoffMetrics
from ticket_handoff.adapters.relay import Outbox
from ticket_handoff.domain.decision import TransferState
from ticket_handoff.handlers import Changes
from ticket_intake.adapters.measure import IntakeMetrics
from ticket_router.adapters.measure import RouterMetrics
from ticket_router.handlers import RouterWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.metrics import Registry
from ticket_runtime.testing import FakeOutputs
from unit.router import router_desk
from unit.router.router_desk import MONDAY, classified, normalized
from unit.sla import sla_desk

HOUR = 3_600


def on(topic: str, events: Sequence[Event]) -> list[tuple[str, Event]]:
    return [(topic, event) for event in events]


def counted(registry: Registry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels -> value of a counter's series."""
    samples = (sample for family in registry.collect() for sample in family.samples if sample.name == name)
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}


class TestRouter:
    def story(self) -> tuple[Registry, RouterMetrics, RouterWork, FakeOutputs]:
        agreements = Agreements([router_desk.published(router_desk.agreement())])
        self.agreement = agreements.in_force(MONDAY).agreement
        self.version = agreements.in_force(MONDAY).version
        registry = Registry()
        return registry, RouterMetrics(registry), RouterWork(agreements), FakeOutputs()

    def test_a_ticket_waits_from_its_first_event_until_its_first_decision(self) -> None:
        registry, metrics, work, out = self.story()
        value = registry.get_sample_value
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        later = normalized(at=MONDAY + timedelta(minutes=5), ticket="servicenow:main:INC2")
        work.handle(router_desk.record(later), out)
        metrics.look({0: work}, self.agreement)
        assert value("relaydesk_unrouted_tickets") == 2
        assert value("relaydesk_oldest_unrouted_timestamp_seconds") == MONDAY.timestamp()
        work.handle(router_desk.record(classified(agreement_version=self.version)), out)
        metrics.look({0: work}, self.agreement)
        assert value("relaydesk_unrouted_tickets") == 1
        assert value("relaydesk_oldest_unrouted_timestamp_seconds") == later.decided_for.timestamp()
        assert value("relaydesk_open_tickets") == 2
        ended = normalized(2, at=MONDAY + timedelta(minutes=9), ticket=later.ticket, status="closed", lifecycle="ended")
        work.handle(router_desk.record(ended), out)
        metrics.look({0: work}, self.agreement)
        assert value("relaydesk_unrouted_tickets") == 0
        assert value("relaydesk_oldest_unrouted_timestamp_seconds") == 0

    def test_what_waits_is_known_again_after_a_restore(self) -> None:
        registry, metrics, work, out = self.story()
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        again = RouterWork(Agreements([router_desk.published(router_desk.agreement())]))
        for key, value in out.state.items():
            again.restore(key, value)
        metrics.look({0: again}, self.agreement)
        assert registry.get_sample_value("relaydesk_oldest_unrouted_timestamp_seconds") == MONDAY.timestamp()

    def test_queues_are_described_and_have_their_depth(self) -> None:
        registry, metrics, work, out = self.story()
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        work.handle(router_desk.record(classified(agreement_version=self.version)), out)
        (decision,) = out.events("tickets.routed")
        metrics.committed(0, on("tickets.routed", [decision]), MONDAY + timedelta(seconds=7))
        metrics.look({0: work}, self.agreement)
        queue: Any = getattr(decision, "queue", "")
        value = registry.get_sample_value
        assert value("relaydesk_queue_tickets", {"queue": queue}) == 1
        idle = next(name for name in self.agreement.queues if name != queue)
        assert value("relaydesk_queue_tickets", {"queue": idle}) == 0
        assert value("relaydesk_routing_seconds_sum") == 7
        plan = self.agreement.queues[queue]
        labels = {"queue": queue, "support_model": plan.support_model, "partner": "none", "tier": str(plan.tier)}
        assert value("relaydesk_queue_info", labels) == 1
        # A stand-by knows nothing, and says so.
        metrics.look({}, self.agreement)
        assert value("relaydesk_queue_tickets", {"queue": queue}) is None

    def test_a_router_that_stands_by_tells_of_no_ticket_that_waits(self) -> None:
        registry, metrics, work, out = self.story()
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        metrics.look({0: work}, self.agreement)
        told = ("open_tickets", "unrouted_tickets", "oldest_unrouted_timestamp_seconds")
        assert [registry.get_sample_value(f"relaydesk_{name}") for name in told] == [1, 1, MONDAY.timestamp()]
        metrics.look({}, self.agreement)
        assert [registry.get_sample_value(f"relaydesk_{name}") for name in told] == [0, 0, 0]

    def test_where_the_agreement_can_lead_is_there_before_the_first_decision(self) -> None:
        registry, metrics, work, out = self.story()
        registry.agree(self.agreement)
        expected = counted(registry, "relaydesk_tickets_routed_total")
        assert set(expected.values()) == {0}
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        work.handle(router_desk.record(classified(agreement_version=self.version)), out)
        metrics.committed(0, on("tickets.routed", out.events("tickets.routed")), None)
        found = counted(registry, "relaydesk_tickets_routed_total")
        assert found.keys() == expected.keys()
        assert sum(found.values()) == 1

    def test_a_replay_says_nothing_of_time_that_passes(self) -> None:
        registry, metrics, work, out = self.story()
        work.handle(router_desk.record(normalized(at=MONDAY)), out)
        work.handle(router_desk.record(classified(agreement_version=self.version)), out)
        metrics.committed(0, on("tickets.routed", out.events("tickets.routed")), None)
        assert registry.get_sample_value("relaydesk_routing_seconds_count") == 0


class TestSla:
    def risks(self, registry: Registry) -> tuple[float | None, float | None]:
        value = registry.get_sample_value
        return (
            value("relaydesk_sla_clocks", {"clock": "resolution", "state": "at_risk"}),
            value("relaydesk_sla_clocks", {"clock": "resolution", "state": "breached"}),
        )

    def desk(self) -> tuple[sla_desk.Desk, SlaMetrics, Registry]:
        desk = sla_desk.Desk(sla_desk.agreement({"r": sla_desk.resolution(2 * HOUR)}))
        registry = Registry()
        return desk, SlaMetrics(registry), registry

    def tell(self, desk: sla_desk.Desk, metrics: SlaMetrics) -> None:
        metrics.committed(0, on("sla.events", desk.out.events), None)
        desk.out.events.clear()
        metrics.look({0: desk.work}, None)

    def test_a_clock_is_at_risk_then_breached_then_done_with(self) -> None:
        desk, metrics, registry = self.desk()
        desk.open("09:00")
        self.tell(desk, metrics)
        assert self.risks(registry) == (0, 0)
        desk.fire("10:50")
        self.tell(desk, metrics)
        assert self.risks(registry) == (1, 0)
        desk.fire("11:00")
        self.tell(desk, metrics)
        assert self.risks(registry) == (0, 1)
        desk.ticket("11:30", status="resolved")
        self.tell(desk, metrics)
        assert self.risks(registry) == (0, 0)
        warned = {"clock": "resolution", "occurrence": "warned"}
        assert registry.get_sample_value("relaydesk_sla_events_total", warned) == 1

    def test_a_restored_task_finds_what_is_at_risk_in_its_tickets(self) -> None:
        desk, metrics, registry = self.desk()
        desk.open("09:00")
        desk.fire("10:50")
        desk.restart()
        metrics.look({0: desk.work}, None)
        assert self.risks(registry) == (1, 0)

    def test_a_reopened_ticket_has_its_breach_again(self) -> None:
        desk, metrics, registry = self.desk()
        desk.open("09:00")
        desk.fire("11:00")
        desk.ticket("11:30", status="resolved")
        self.tell(desk, metrics)
        assert self.risks(registry) == (0, 0)
        desk.ticket("12:00", status="open")
        self.tell(desk, metrics)
        assert self.risks(registry) == (0, 1)

    def test_what_another_process_has_is_not_told_here(self) -> None:
        desk, metrics, registry = self.desk()
        desk.open("09:00")
        desk.fire("11:00")
        self.tell(desk, metrics)
        metrics.look({}, None)
        assert self.risks(registry) == (0, 0)

    def test_lateness_is_that_of_the_commit(self) -> None:
        desk, metrics, registry = self.desk()
        desk.open("09:00")
        desk.fire("10:50")
        (due,) = [event.due_at for event in desk.out.events if event.occurrence == "warned" and event.due_at]
        metrics.committed(0, on("sla.events", desk.out.events), due + timedelta(seconds=3))
        assert registry.get_sample_value("relaydesk_sla_lateness_seconds_sum", {"occurrence": "warned"}) == 3


class TestHandoff:
    AT = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def step(self, **more: Any) -> dict[str, Any]:
        return {
            "ticket": "a:b:c",
            "decided_for": self.AT + timedelta(minutes=4),
            "sequence": 3,
            "agreement_version": "1",
            "ticket_version": 1,
            "classification_version": 1,
            "transfer_id": "t1",
            **more,
        }

    def test_an_acknowledgement_is_timed_from_the_request(self) -> None:
        registry = Registry()
        metrics = HandoffMetrics(registry)
        accepted = TransferAccepted(**self.step(attempt=2, queue="night", digest="d", actor="Juan", automatic=False))
        moved = OwnerChanged(**self.step(owner="Juan", role="night", queue="night", kind="acknowledged"))
        fields: dict[str, Any] = dict.fromkeys(TransferState.__dataclass_fields__)
        fields |= {"id": "t1", "number": 1, "cause": "pre_breach", "status": "completed", "attempt": 2}
        state = TransferState(**fields | {"opened_at": self.AT})
        metrics.committed(Changes(transfers={"t1": ("a:b:c", state)}, steps=[accepted, moved]))
        value = registry.get_sample_value
        assert value("relaydesk_transfer_steps_total", {"step": "accepted", "cause": "pre_breach"}) == 1
        assert value("relaydesk_transfer_steps_total", {"step": "declined", "cause": "pre_breach"}) == 0
        assert value("relaydesk_offers_total", {"step": "accepted", "queue": "night"}) == 1
        assert value("relaydesk_owner_changes_total", {"kind": "acknowledged"}) == 1
        seconds = {"queue": "night", "automatic": "false"}
        assert value("relaydesk_transfer_acknowledgement_seconds_sum", seconds) == 240

    def test_an_outbox_is_told_by_who_relays_it_once_that_knows_how_far_it_is(self) -> None:
        registry = Registry()
        metrics = HandoffMetrics(registry)

        def shown(partition: str) -> tuple[Any, Any]:
            names = ("relaydesk_outbox_rows", "relaydesk_outbox_published_row")
            waiting, published = (registry.get_sample_value(name, {"partition": partition}) for name in names)
            return waiting, published

        metrics.outboxes({0: Outbox(3, 40), 1: None})
        assert (shown("0"), shown("1")) == ((3, 40), (None, None)), "a start is no empty outbox"
        metrics.outboxes({1: Outbox(0, 7)})
        assert (shown("0"), shown("1")) == ((None, None), (0, 7)), "another process has the first"


def test_intake_counts_versions_and_duplicates_by_source() -> None:
    registry = Registry()
    metrics = IntakeMetrics(registry)
    duplicate = TicketDuplicate(
        ticket="servicenow:main:INC1", decided_for=MONDAY, ticket_version=1, delivery="d", reason="no_change"
    )
    registry.agree(router_desk.agreement())
    metrics.committed(0, on("tickets.normalized", [normalized(), duplicate]), None)
    value = registry.get_sample_value
    assert value("relaydesk_tickets_normalized_total", {"source": "servicenow", "lifecycle": "created"}) == 1
    assert value("relaydesk_tickets_normalized_total", {"source": "servicenow", "lifecycle": "reopened"}) == 0
    assert value("relaydesk_ticket_duplicates_total", {"source": "servicenow", "reason": "no_change"}) == 1


@pytest.mark.parametrize(
    ("changes", "outcome", "sure"),
    [
        ({"confidence": 0.9}, "decided", 1),
        ({"confidence": 0.2, "abstained": True}, "abstained", 1),
        ({"inputs": ClassificationInputs(normalized="n", feedback="f")}, "corrected", 0),
    ],
)
def test_the_classifier_counts_outcomes_and_how_sure_it_was(changes: dict[str, Any], outcome: str, sure: int) -> None:
    registry = Registry()
    metrics = ClassifierMetrics(registry)
    metrics.committed(0, on("tickets.classified", [classified(**changes)]), None)
    value = registry.get_sample_value
    told = {"outcome": outcome, "priority": "P3", "tier": "1"}
    assert value("relaydesk_classifications_total", told) == 1
    assert value("relaydesk_classification_confidence_ratio_count") == sure
