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


class LastSeen:
    """The desk as its decisions recorded it last: what `explain` judges another instant by."""

    def __init__(self) -> None:
        self._loads: dict[str, int] = {}
        self._overflowing: set[str] = set()
        self._taken: dict[str, tuple[str, list[int]]] = {}

    def see(self, event: TicketRouted, policy: Policy) -> None:
        """Takes in a decision; in the order of their instants. Its own reservation counts from then on."""
        inputs, second = event.inputs, int(event.decided_for.timestamp())
        self._loads.update(inputs.loads)
        self._loads[event.queue] = inputs.loads.get(event.queue, self._loads.get(event.queue, 0)) + 1
        self._overflowing.difference_update(inputs.loads)
        self._overflowing.update(inputs.overflowing)
        given = policy.queues[event.queue].contract
        for partner, taken in inputs.taken.items():
            contract = policy.contracts[partner]
            more = 1 if contract is given else 0
            self._taken[partner] = (contract.days.day(second), [taken[0] + more, taken[1] + more])

    def load(self, queue: str) -> int:
        return self._loads.get(queue, 0)

    def overflowing(self, queue: str) -> bool:
        return queue in self._overflowing

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        seen, taken = self._taken.get(partner, ("", [0, 0]))
        return taken[0] if seen == day else 0, taken[1] if seen[:7] == day[:7] else 0
