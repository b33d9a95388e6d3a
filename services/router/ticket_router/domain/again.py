"""A decision made again from its own record."""

from __future__ import annotations

from typing import Final

from ticket_contracts.routing import RoutingInputs, TicketRouted
from ticket_router.domain.decide import Outcome, Request, decide
from ticket_router.domain.policy import Policy


class _Recorded:
    """The desk as an event recorded it. Raises LookupError for what the event says nothing of."""

    def __init__(self, inputs: RoutingInputs) -> None:
        self._inputs = inputs

    def load(self, queue: str) -> int:
        return self._inputs.loads[queue]

    def overflowing(self, queue: str) -> bool:
        return queue in self._inputs.overflowing

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        today, month, _ = self._inputs.taken[partner]
        return today, month


COMPARED: Final = ("queue", "rule", "tier", "owner_role", "support_model", "final", "look_again_at", "reason")


def request_of(event: TicketRouted) -> Request:
    """What was asked of the router, as the event recorded it."""
    inputs = event.inputs
    return Request(
        facts=inputs.facts,
        purpose=event.purpose,
        cause=inputs.cause or "first",
        current=inputs.current,
        tried=inputs.tried,
        history=inputs.history,
    )


def redecide(event: TicketRouted, policy: Policy) -> Outcome:
    """The decision that the recorded inputs lead to. Raises LookupError when the event lacks one of them."""
    return decide(request_of(event), policy, _Recorded(event.inputs), event.decided_for)


def differences(event: TicketRouted, policy: Policy) -> dict[str, tuple[object, object]]:
    """field -> (as published, as decided again), of those that differ."""
    try:
        again = redecide(event, policy)
    except LookupError as lacking:
        return {"inputs": (None, f"the load of {lacking.args[0]!r} is needed and not recorded")}
    plan = again.queue
    now = (
        plan.name, again.rule, plan.tier, plan.owner_role, plan.support_model, again.final, again.look_again_at,
        again.reason,
    )  # fmt: skip
    return {
        name: (published, decided)
        for name, decided in zip(COMPARED, now, strict=True)
        if (published := getattr(event, name)) != decided
    }
