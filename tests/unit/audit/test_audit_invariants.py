"""The audit finds nothing in a true history, and each way of breaking one is found by the invariant that it breaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from audit_history import AGREEMENT, TICKET, Told, a_true_history, at, published
from ticket_audit.history import Row
from ticket_audit.invariants import audit
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, digest
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import encode
from ticket_contracts.routing import TicketDispatched, TicketRouted, TicketView
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import (
    OfferClosed,
    OfferMade,
    OwnerChanged,
    TransferAccepted,
    TransferCompleted,
    TransferOffered,
    TransferRenewed,
    TransferRequested,
)


def violated(told: Told) -> set[int]:
    return {finding.number for finding in audit(told.history()) if finding.violations}


def test_a_true_history_violates_nothing_and_every_invariant_looked_at_something() -> None:
    findings = audit(a_true_history().history())
    assert [(f.number, f.violations, f.examples) for f in findings] == [(n, 0, []) for n in range(1, 9)]
    assert all(finding.checked for finding in findings)


def test_a_ticket_that_ended_at_once_need_not_have_been_routed() -> None:
    told = a_true_history()
    told.replace(topics.NORMALIZED, TicketNormalized, status="closed")
    told.drop(topics.ROUTED, TicketRouted)
    (lost, *_) = audit(told.history())
    assert not any("never routed" in example for example in lost.examples)


def _clock_row(told: Told, occurrence: str) -> int:
    rows = told.rows[topics.SLA_EVENTS]
    return next(n for n, row in enumerate(rows) if msgspec.json.decode(row.data)["occurrence"] == occurrence)


def _without_clock(occurrence: str) -> Callable[[Told], object]:
    return lambda told: told.rows[topics.SLA_EVENTS].pop(_clock_row(told, occurrence))


def _breach_twice(told: Told) -> None:
    row = told.rows[topics.SLA_EVENTS][_clock_row(told, "breached")]
    event = msgspec.json.decode(row.data, type=ClockEvent)
    told.tell(topics.SLA_EVENTS, msgspec.structs.replace(event, sequence=9))


def test_a_clock_that_goes_on_after_a_reopening_may_be_met_again() -> None:
    told = a_true_history()
    row = told.rows[topics.SLA_EVENTS][_clock_row(told, "met")]
    met = msgspec.json.decode(row.data, type=ClockEvent)
    told.tell(topics.SLA_EVENTS, msgspec.structs.replace(met, sequence=5, occurrence="resumed", decided_for=at(310)))
    told.tell(topics.SLA_EVENTS, msgspec.structs.replace(met, sequence=6, decided_for=at(320)))
    assert 6 not in violated(told)
    told.tell(topics.SLA_EVENTS, msgspec.structs.replace(met, sequence=7, decided_for=at(330)))
    assert 6 in violated(told)


def _breach_after_met(told: Told) -> None:
    row = told.rows[topics.SLA_EVENTS].pop(_clock_row(told, "breached"))
    told.add(topics.SLA_EVENTS, row)


def _lost_message(told: Told) -> None:
    told.add(topics.inbound("generic"), Row(key="y", at="0/7"))


def _unanswered_reply(told: Told) -> None:
    told.add(topics.replies("owls"), Row(key=TICKET, at="0/9", data=msgspec.Raw(b'{"nonsense": 1}')))


def _changed_id(told: Told) -> None:
    told.rows[topics.ROUTED][0].ce_id = "0" * 32


def _unreadable(told: Told) -> None:
    told.rows[topics.ROUTED][0].data = msgspec.Raw(b'{"ticket": 1}')


def _open_offer(told: Told) -> None:
    """A second transfer, offered before the ticket's end and then forgotten."""
    row = next(row for row in told.rows[topics.TRANSFERS] if row.ce_type == TransferOffered.TYPE)
    offered = msgspec.json.decode(row.data, type=TransferOffered)
    told.tell(topics.TRANSFERS, msgspec.structs.replace(offered, transfer_id="f" * 32, sequence=99))


def _narrowed(told: Told) -> None:
    """The contract comes to allow less while the offer is open, and nobody takes it back."""
    content = AGREEMENT.model_dump()
    content["partners"]["owls"]["fields"] = ["priority"]
    narrower = Agreement.model_validate(content)
    offer = next(row for row in told.rows[topics.offers("first")] if row.ce_type == OfferMade.TYPE)
    made = msgspec.json.decode(offer.data, type=OfferMade).decided_for
    version = msgspec.json.decode(published(narrower))
    version |= {"version": digest(narrower), "effective_at": (made + timedelta(seconds=1)).isoformat()}
    told.add(topics.AGREEMENT, Row(key=version["version"], data=msgspec.Raw(msgspec.json.encode(version))))


def _renewed(told: Told, **package: Any) -> None:
    """The offer is renewed before it is acknowledged, with what its package says then."""
    row = next(row for row in told.rows[topics.TRANSFERS] if row.ce_type == TransferOffered.TYPE)
    offered = msgspec.json.decode(row.data, type=TransferOffered)
    offer = next(row for row in told.rows[topics.offers("first")] if row.ce_type == OfferMade.TYPE)
    made = msgspec.json.decode(offer.data, type=OfferMade)
    newer = msgspec.structs.replace(made.package, **package)
    sealed = hashlib.sha256(encode(newer)).hexdigest()
    told.tell(topics.offers("first"), msgspec.structs.replace(made, package=newer, digest=sealed, revision=2))
    step = TransferRenewed(
        ticket=offered.ticket,
        decided_for=offered.decided_for,
        sequence=offered.sequence,
        agreement_version=offered.agreement_version,
        ticket_version=1,
        classification_version=1,
        transfer_id=offered.transfer_id,
        attempt=1,
        revision=2,
        queue="first",
        digest=sealed,
    )
    told.tell(topics.TRANSFERS, step)
    told.rows[topics.TRANSFERS].insert(3, told.rows[topics.TRANSFERS].pop())


BROKEN: list[tuple[str, int, Callable[[Told], object]]] = [
    ("a message without an end", 1, _lost_message),
    ("a version that no delivery made", 1, lambda t: t.drop(topics.NORMALIZED, TicketNormalized, 1)),
    ("a ticket never classified", 1, lambda t: t.drop(topics.CLASSIFIED, TicketClassified)),
    ("a ticket never routed", 1, lambda t: t.drop(topics.ROUTED, TicketRouted)),
    ("a reply that nothing came of", 1, _unanswered_reply),
    ("an event that cannot be read", 1, _unreadable),
    ("an event told twice", 2, lambda t: t.repeat(topics.ROUTED, TicketRouted)),
    ("an id that is not the content's", 2, _changed_id),
    ("a completion told twice", 2, lambda t: t.repeat(topics.TRANSFERS, TransferCompleted)),
    ("a version left out", 3, lambda t: t.replace(topics.NORMALIZED, TicketNormalized, ticket_version=3)),
    ("a step left out", 3, lambda t: t.drop(topics.TRANSFERS, TransferRequested)),
    ("owned later than seen", 4, lambda t: t.replace(topics.TRANSFERS, OwnerChanged, decided_for=at(1))),
    ("never owned", 4, lambda t: t.rows.pop(topics.TRANSFERS)),
    ("still owned after its end", 4, lambda t: t.drop(topics.TRANSFERS, OwnerChanged, 2)),
    ("moved without an acknowledgement", 4, lambda t: t.drop(topics.TRANSFERS, TransferAccepted)),
    ("moved later than acknowledged", 4, lambda t: t.replace(topics.TRANSFERS, TransferAccepted, decided_for=at(4))),
    ("a hole in who owned it", 4, lambda t: t.drop(topics.TRANSFERS, OwnerChanged, 1)),
    ("another digest acknowledged", 5, lambda t: t.replace(topics.TRANSFERS, TransferAccepted, digest="0" * 64)),
    ("acknowledged, never offered", 5, lambda t: t.drop(topics.TRANSFERS, TransferOffered)),
    ("a digest that is not the package's", 5, lambda t: t.replace(topics.offers("first"), OfferMade, digest="0" * 64)),
    ("the package before a renewal acknowledged", 5, lambda t: _renewed(t, question="And now?")),
    ("renewed with nothing new", 5, _renewed),
    ("an outdated text acknowledged", 5, lambda t: t.replace(topics.NORMALIZED, TicketNormalized, title="It burns")),
    ("an offer that no receiver saw", 5, lambda t: t.drop(topics.offers("first"), OfferMade)),
    ("an offer that never came to an end", 5, _open_offer),
    ("a receiver never told the end", 5, lambda t: t.drop(topics.offers("first"), OfferClosed)),
    ("no warning", 6, _without_clock("warned")),
    ("no breach", 6, _without_clock("breached")),
    ("breached twice", 6, _breach_twice),
    ("breached after it was met", 6, _breach_after_met),
    ("no rule", 7, lambda t: t.replace(topics.ROUTED, TicketRouted, rule="")),
    ("an unknown agreement", 7, lambda t: t.replace(topics.ROUTED, TicketRouted, agreement_version="0" * 32)),
    (
        "a field that the contract does not name",
        8,
        lambda t: t.replace(topics.queue("first"), TicketDispatched, view=TicketView(title="VPN", text="secret")),
    ),
    ("an offer left open beyond its contract", 8, _narrowed),
    ("another queue's notice", 8, lambda t: t.replace(topics.queue("first"), TicketDispatched, queue="duty")),
]


@pytest.mark.parametrize(("invariant", "how"), [pytest.param(n, how, id=name) for name, n, how in BROKEN])
def test_a_broken_history_is_found(invariant: int, how: Callable[[Told], object]) -> None:
    told = a_true_history()
    how(told)
    assert invariant in violated(told)


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {invariant for _, invariant, _ in BROKEN} == set(range(1, 9))
