"""A decision made again from its record: the normalized ticket, the corrections and the model it names, and the
agreement of its version."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ticket_classifier.domain.decide import asked_of, classified, correction_of, decide, shadowed
from ticket_classifier.domain.opinion import Models, no_models
from ticket_classifier.domain.policy import Policy
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.tickets import Feedback, TicketNormalized


def differences(
    event: TicketClassified,
    ticket: TicketNormalized | None,
    feedback: Callable[[str], Feedback | None],
    policy: Policy,
    models: Models = no_models,
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
    candidate = None if event.shadow is None else event.shadow.opinion.model
    named = {digest: models(digest) for digest in (event.inputs.model, candidate) if digest is not None}
    for digest, model in named.items():
        if model is None:
            return {"inputs": (digest, "this model is not there")}
    model = named.get(event.inputs.model or "")
    asked = asked_of(ticket)
    again = classified(
        decide(asked, corrections, policy, model),
        ticket=event.ticket,
        at=event.decided_for,
        versions=(event.ticket_version, event.classification_version),
        agreement_version=policy.version,
        normalized=event.inputs.normalized,
        corrections=corrections,
        model=model,
        shadow=shadowed(asked, corrections, policy, named.get(candidate or "")),
        # Advice, and the knowledge base has moved on since.
        articles={name: event.article_titles.get(name, "") for name in event.articles},
    )
    was, now = msgspec.to_builtins(event), msgspec.to_builtins(again)
    return {name: (was[name], now[name]) for name in was if was[name] != now[name]}
