"""The task: versions, corrections, what is refused, and what a restart leaves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ticket_classifier.domain.again import differences
from ticket_classifier.domain.policy import Policy
from ticket_classifier.handlers import ClassifierWork
from ticket_contracts import topics
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.tickets import Feedback, TicketDuplicate, TicketNormalized
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Poison, Record, Transient
from ticket_runtime.testing import FakeOutputs
from unit.classifier.classifier_desk import MONDAY, TICKET, agreement, feedback, normalized, published, record

HOUR = timedelta(hours=1)


class Desk:
    """One task, and all that went in and out."""

    def __init__(self, agreements: Agreements | None = None) -> None:
        self.agreements = agreements if agreements is not None else Agreements([published(agreement())])
        self.work = ClassifierWork(self.agreements)
        self.out = FakeOutputs()
        self.tickets: dict[tuple[str, int], TicketNormalized] = {}
        self.feedback: dict[str, Feedback] = {}

    def tell(self, *said: TicketNormalized | Feedback) -> None:
        for one in said:
            if isinstance(one, Feedback):
                self.feedback[one.feedback_id] = one
            else:
                self.tickets[one.ticket, one.ticket_version] = one
            self.work.handle(record(one), self.out)

    @property
    def events(self) -> list[TicketClassified]:
        return [event for event in self.out.events(topics.CLASSIFIED) if isinstance(event, TicketClassified)]

    def restart(self) -> None:
        self.work = ClassifierWork(self.agreements)
        for key, value in self.out.state.items():
            self.work.restore(key, value)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def outcomes(desk: Desk) -> list[tuple[int, int, str | None]]:
    return [(e.classification_version, e.ticket_version, e.category) for e in desk.events]


def test_the_first_version_is_said_and_names_what_it_rests_on(desk: Desk) -> None:
    ticket = normalized("VPN drops", at=MONDAY)
    desk.tell(ticket)
    [event] = desk.events
    assert (event.ticket, event.classification_version, event.ticket_version) == (TICKET, 1, 1)
    assert (event.decided_for, event.rule, event.inputs.normalized) == (MONDAY, "vpn", ce_id(ticket))
    assert event.agreement_version == published(agreement()).version


def test_a_new_version_is_said_only_when_the_outcome_is_another(desk: Desk) -> None:
    desk.tell(
        normalized("VPN drops", version=1),
        normalized("VPN drops", "still", version=2, status="open"),
        normalized("VPN drops", "and the vpn again, urgent", version=3),
        normalized("Wifi", version=4),
        normalized("Wifi", version=5),
    )
    assert outcomes(desk) == [(1, 1, "vpn"), (2, 4, "wifi")]


def test_an_older_version_and_a_repeated_one_change_nothing(desk: Desk) -> None:
    desk.tell(normalized("Wifi", version=3), normalized("VPN", version=2), normalized("VPN", version=3))
    assert outcomes(desk) == [(1, 3, "wifi")]
    assert len(desk.out.stored) == 1


def test_a_recorded_duplicate_is_passed_by(desk: Desk) -> None:
    desk.tell(normalized())
    duplicate = TicketDuplicate(
        ticket=TICKET, decided_for=MONDAY, ticket_version=1, delivery="d", reason="same_delivery"
    )
    desk.work.handle(record(duplicate), desk.out)
    assert len(desk.events) == 1


def test_a_correction_is_a_new_version_that_names_it(desk: Desk) -> None:
    desk.tell(normalized("VPN"), feedback("f1", 1, at=MONDAY + HOUR, category="printing"))
    event = desk.events[-1]
    assert (event.classification_version, event.ticket_version, event.category) == (2, 1, "printing")
    assert (event.rule, event.inputs.feedback, event.decided_for) == ("correction", "f1", MONDAY + HOUR)


def test_a_correction_stands_while_the_source_says_the_same_of_the_ticket(desk: Desk) -> None:
    says = {"category": "Network / VPN", "impact": "low"}
    desk.tell(
        normalized("VPN", evidence=says),
        feedback("f1", 1, category="printing"),
        normalized("VPN", "a new text, a new status", version=2, evidence=says, status="open"),
    )
    assert outcomes(desk)[-1] == (2, 1, "printing")
    desk.restart()
    desk.tell(normalized("VPN, urgent", version=3, evidence=says, status="open"))
    event = desk.events[-1]
    assert (event.category, event.urgency, event.inputs.feedback) == ("printing", "high", "f1")


@pytest.mark.parametrize("changed", [{"category": "wifi"}, {"impact": "high"}, {"urgency": "high"}, {"impact": None}])
def test_a_correction_ends_when_the_source_says_something_else(desk: Desk, changed: dict[str, Any]) -> None:
    says = {"category": "Network / VPN", "impact": "low", "urgency": "low"}
    desk.tell(normalized("VPN", evidence=says), feedback("f1", 1, category="printing"))
    desk.tell(normalized("VPN", version=2, evidence=says | changed))
    event = desk.events[-1]
    assert event.inputs.feedback is None
    assert event.category != "printing"


def test_a_second_correction_leaves_the_first_its_fields(desk: Desk) -> None:
    desk.tell(
        normalized("VPN"),
        feedback("f1", 1, category="printing"),
        feedback("f2", 2, impact="high"),
        feedback("f3", 3, category="wifi", impact="low"),
    )
    seen = [(e.category, e.impact, e.inputs.earlier, e.inputs.feedback) for e in desk.events]
    assert seen == [
        ("vpn", "low", [], None),
        ("printing", "low", [], "f1"),
        ("printing", "high", ["f1"], "f2"),
        ("wifi", "low", [], "f3"),
    ]


def test_a_correction_that_agrees_says_nothing_new_and_stands(desk: Desk) -> None:
    desk.tell(normalized("VPN"), feedback("f1", 1, category="vpn"), normalized("Wifi, urgent", version=2))
    assert [(e.category, e.inputs.feedback) for e in desk.events] == [("vpn", None), ("vpn", "f1")]


def test_a_repeated_correction_counts_once_also_after_a_restart(desk: Desk) -> None:
    correction = feedback("f1", 1, category="printing")
    desk.tell(normalized("VPN"), correction, correction)
    desk.restart()
    desk.tell(correction)
    assert len(desk.events) == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(feedback("f", 1, ticket="jira:main:T-2", category="vpn"), "T-2 is not known", id="unknown ticket"),
        pytest.param(
            feedback("f", None, category="wifi"), "names no classification_version; the ticket's is 2", id="none"
        ),
        pytest.param(feedback("f", 1, category="wifi"), "of classification 1, the ticket's is 2", id="outdated"),
        pytest.param(feedback("f", 3, category="wifi"), "of classification 3, the ticket's is 2", id="not yet made"),
        pytest.param(feedback("f", 2, category="wfi"), "no category 'wfi'; it has wifi", id="no category"),
        pytest.param(feedback("f", 2, impact="huge"), "no impact 'huge'; it has high, low, medium", id="no impact"),
        pytest.param(feedback("f", 2, urgency=""), "no urgency ''", id="an empty word"),
        pytest.param(feedback("f", 2), "says nothing", id="nothing said"),
    ],
)
def test_a_correction_that_cannot_stand_is_refused_with_its_reason(desk: Desk, said: Feedback, reason: str) -> None:
    desk.tell(normalized("VPN"), feedback("f0", 1, category="printing"))
    before = desk.out.state
    with pytest.raises(Poison, match=reason):
        desk.tell(said)
    assert desk.out.state == before


def test_a_score_is_not_the_classifiers(desk: Desk) -> None:
    desk.tell(feedback("f1", None, csat=4, ticket="jira:main:T-9"))
    assert desk.out.stored == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headers": {}}, "no ce_type"),
        ({"headers": {"ce_type": b"relaydesk.ticket.normalized.v2"}}, "normalized.v2"),
        ({"value": b"not json"}, "not a relaydesk.ticket.normalized.v1"),
        ({"value": None}, "not a relaydesk.ticket.normalized.v1"),
        ({"value": b'{"ticket": 5}'}, "not a relaydesk.ticket.normalized.v1"),
        ({"value": b'{"ticket": "\xff"}'}, "not a relaydesk.ticket.normalized.v1"),
        ({"key": b"other"}, "key is not its ticket"),
        ({"key": None}, "key is not its ticket"),
        ({"topic": topics.FEEDBACK, "value": b"{}"}, "not a relaydesk.ticket.feedback.v1"),
        ({"topic": topics.FEEDBACK, "value": None}, "not a relaydesk.ticket.feedback.v1"),
        ({"topic": topics.FEEDBACK, "key": b"x", "value": msgspec.json.encode(feedback("f", 1))}, "key feedback by"),
    ],
)
def test_what_cannot_be_read_is_poison(desk: Desk, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Poison, match=reason):
        desk.work.handle(msgspec.structs.replace(record(normalized()), **changes), desk.out)
    assert desk.out.emitted == []


def test_without_an_agreement_it_waits() -> None:
    desk = Desk(Agreements())
    with pytest.raises(Transient, match="no agreement has been published"):
        desk.tell(normalized())
    assert desk.out.stored == []


def test_each_decision_is_made_under_the_agreement_of_its_instant() -> None:
    stricter = agreement(abstain_below=0.99)
    desk = Desk(Agreements([published(agreement()), published(stricter, MONDAY + HOUR)]))
    desk.tell(normalized("VPN", at=MONDAY), normalized("VPN", version=2, at=MONDAY + HOUR))
    assert [e.abstained for e in desk.events] == [False, True]
    assert desk.events[1].agreement_version == published(stricter).version


def test_an_event_is_not_decided_for_an_instant_before_the_last() -> None:
    desk = Desk()
    desk.tell(normalized("VPN", at=MONDAY + HOUR), feedback("f1", 1, at=MONDAY, category="wifi"))
    assert [e.decided_for for e in desk.events] == [MONDAY + HOUR, MONDAY + HOUR]


def test_nothing_falls_due(desk: Desk) -> None:
    desk.tell(normalized())
    desk.work.fire(MONDAY + HOUR, desk.out)
    assert desk.work.next_due() is None
    assert len(desk.events) == 1


def test_a_deleted_state_is_forgotten(desk: Desk) -> None:
    desk.tell(normalized())
    desk.work.restore(TICKET.encode(), None)
    assert desk.work.state(TICKET) is None


def story() -> Desk:
    desk = Desk(Agreements([published(agreement()), published(agreement(abstain_below=0.7), MONDAY + 3 * HOUR)]))
    desk.tell(
        normalized("VPN and printer, urgent", at=MONDAY),
        feedback("f1", 1, at=MONDAY + HOUR, category="printing"),
        feedback("f2", 2, at=MONDAY + HOUR, kind="problem"),
        normalized("Help", "the vpn", version=2, at=MONDAY + 4 * HOUR, evidence={"category": "wifi"}),
    )
    return desk


def policies(desk: Desk) -> dict[str, Policy]:
    return {p.version: Policy(p.version, p.agreement) for p in desk.agreements.every()}


def test_every_decision_is_the_same_when_made_again() -> None:
    desk = story()
    known = policies(desk)
    assert len(desk.events) == 4
    for event in desk.events:
        ticket = desk.tickets[event.ticket, event.ticket_version]
        assert differences(event, ticket, desk.feedback.get, known[event.agreement_version]) == {}


def test_a_decision_that_was_altered_is_found_out() -> None:
    desk = story()
    known = policies(desk)
    event = desk.events[2]
    ticket = desk.tickets[event.ticket, event.ticket_version]
    policy = known[event.agreement_version]
    altered = msgspec.structs.replace(event, priority="P1", tier=3)
    assert differences(altered, ticket, desk.feedback.get, policy) == {"priority": ("P1", "P3"), "tier": (3, 1)}
    other = msgspec.structs.replace(ticket, title="VPN and printer", text="urgent")
    assert set(differences(event, other, desk.feedback.get, policy)) == {"evidence"}
    assert differences(event, None, desk.feedback.get, policy)["inputs"][1] == "this version of the ticket is not there"
    assert differences(event, ticket, lambda _: None, policy)["inputs"] == ("f1", "this correction is not there")
    later = msgspec.structs.replace(ticket, ticket_version=2)
    assert "inputs" in differences(event, later, desk.feedback.get, policy)


def test_a_record_is_read_from_either_topic_alone(desk: Desk) -> None:
    """The two inputs are not ordered among each other: each is keyed by the ticket and told apart by its topic."""
    desk.tell(normalized("VPN"))
    said = record(feedback("f1", 1, category="wifi"))
    assert "ce_type" not in said.headers
    desk.work.handle(said, desk.out)
    assert outcomes(desk)[-1] == (2, 1, "wifi")


def test_an_erased_ticket_is_remembered_without_its_text() -> None:
    desk = Desk()
    desk.tell(normalized("Payslip of Rosa", "a secret"))
    assert b"Rosa" in desk.out.state[TICKET.encode()]
    erased = Record(
        topic=topics.ERASED,
        partition=0,
        offset=9,
        key=TICKET.encode(),
        value=b"{}",
        headers={"ce_id": b"e"},
        timestamp_ms=0,
        instant=MONDAY,
    )
    desk.work.handle(erased, desk.out)
    for secret in (b"Payslip", b"Rosa", b"a secret"):
        assert secret not in desk.out.state[TICKET.encode()]
    before = len(desk.events)
    desk.tell(normalized("Payslip of Rosa", "a secret"))
    assert len(desk.events) == before
