"""A decision made again from its own record."""

from __future__ import annotations

from typing import Final

from ticket_contracts.routing import RoutingInputs, TicketRouted
from ticket_router.domain.decide import Outcome, Request, decide
from ticket_router.domain.places import Holding, group_place
from ticket_router.domain.policy import Measured, Policy, QueuePlan


class _Recorded:
    """The desk as an event recorded it. Raises LookupError for what the event says nothing of."""

    def __init__(self, inputs: RoutingInputs) -> None:
        self._inputs = inputs

    def load(self, place: str) -> int:
        return self._inputs.loads[place]

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        inputs, name = self._inputs, plan.name
        return Measured(
            before=name in inputs.overflowing,
            held=name in inputs.held,
            oldest=inputs.oldest.get(name),
            wait=inputs.waits.get(name),
        )

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        today, month, _ = self._inputs.taken[partner]
        return today, month

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        return self._inputs.taken[partner][2]


COMPARED: Final = (
    "queue", "rule", "tier", "owner_role", "support_model", "final", "look_again_at", "agent_group", "waits", "reason",
)  # fmt: skip


def request_of(event: TicketRouted) -> Request:
    """What was asked of the router, as the event recorded it."""
    inputs = event.inputs
    return Request(
        facts=inputs.facts,
        purpose=event.purpose,
        cause=inputs.cause or "first",
        current=inputs.current,
        home=inputs.home,
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
        again.agents, again.waits, again.reason,
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
        self._oldest: dict[str, int] = {}
        self._waits: dict[str, int] = {}
        self._taken: dict[str, tuple[str, list[int]]] = {}

    def see(self, event: TicketRouted, policy: Policy) -> None:
        """Takes in a decision; in the order of their instants. Its own reservation counts from then on."""
        inputs, second = event.inputs, int(event.decided_for.timestamp())
        self._loads.update(inputs.loads)
        places = [event.queue]
        if event.agent_group is not None:
            places.append(group_place(event.queue, event.agent_group))
        for place in places:
            before = inputs.loads.get(place, self._loads.get(place, 0))
            self._loads[place] = before + policy.weight(inputs.facts.priority)
        self._overflowing.difference_update(inputs.loads)
        self._overflowing.update(inputs.overflowing)
        self._oldest.update(inputs.oldest)
        self._waits.update(inputs.waits)
        given = policy.queues[event.queue].contract
        for partner, taken in inputs.taken.items():
            contract = policy.contracts[partner]
            more = 1 if contract is given else 0
            self._taken[partner] = (contract.days.day(second), [count + more for count in taken])

    def load(self, place: str) -> int:
        return self._loads.get(place, 0)

    def measured(self, plan: QueuePlan, at: int) -> Measured:
        name = plan.name
        return Measured(before=name in self._overflowing, oldest=self._oldest.get(name), wait=self._waits.get(name))

    def taken(self, partner: str, day: str) -> tuple[int, int]:
        seen, taken = self._taken.get(partner, ("", [0, 0, 0]))
        return taken[0] if seen == day else 0, taken[1] if seen[:7] == day[:7] else 0

    def at_once(self, partner: str, queues: list[str], holding: Holding) -> int:
        _, taken = self._taken.get(partner, ("", [0, 0, 0]))
        return taken[2]
