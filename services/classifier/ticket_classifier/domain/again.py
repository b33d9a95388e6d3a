"""A decision made again from its record: the normalized ticket, the corrections it names, and the agreement of its
version."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ticket_classifier.domain.decide import asked_of, classified, correction_of, decide
from ticket_classifier.domain.policy import Policy
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.tickets import Feedback, TicketNormalized


def differences(
    event: TicketClassified,
    ticket: TicketNormalized | None,
    feedback: Callable[[str], Feedback | None],
    policy: Policy,
) -> dict[str, tuple[object, object]]:
    """field -> (as published, as decided again), of those that differ; empty: none does.

    ticket: of the version that the event names. feedback: by its id. An input that is not there is a difference.
    """
    if ticket is None:
        return {"inputs": (event.inputs.normalized, "this version of the ticket is not there")}
    if ce_id(ticket) != event.inputs.normalized:
        return {"inputs": (event.inputs.normalized, ce_id(ticket))}
    corrections = []
    for name in (*event.inputs.earlier, *([event.inputs.feedback] if event.inputs.feedback is not None else [])):
        found = feedback(name)
        if found is None:
            return {"inputs": (name, "this correction is not there")}
        corrections.append(correction_of(found))
    again = classified(
        decide(asked_of(ticket), corrections, policy),
        ticket=event.ticket,
        at=event.decided_for,
        versions=(event.ticket_version, event.classification_version),
        agreement_version=policy.version,
        normalized=event.inputs.normalized,
        corrections=corrections,
    )
    was, now = msgspec.to_builtins(event), msgspec.to_builtins(again)
    return {name: (was[name], now[name]) for name in was if was[name] != now[name]}
