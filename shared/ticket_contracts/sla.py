"""What the SLA monitor alone decides: what time is left. Every clock, warning and breach."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from ticket_contracts.cloudevents import Decision, Instant

ClockKind = Literal[
    "first_response",
    "next_response",
    "resolution",
    "periodic_update",
    "transfer_acknowledgement",
    "transfer",
    "underpinning",
]
"""`transfer_acknowledgement` runs on one offer, `transfer` from a request to its completion; the others on the
ticket."""

Occurrence = Literal["stated", "started", "paused", "resumed", "warned", "breached", "met", "cancelled", "revised"]


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """One clock as it stands. elapsed_seconds: business seconds used up to `decided_for`; goal_seconds likewise.

    deadline: None while paused. running: False while paused or ended.
    """

    clock: str
    policy: str
    generation: int
    goal_seconds: int
    elapsed_seconds: int
    running: bool
    deadline: Instant | None


class ClockInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that fixes a clock's deadline. started_at, segments in UTC.

    pauses: [from, until] in order; the last may be open (until None). calendar: its name in the agreement.
    goal_seconds: working time. goal_business_days: the goal as agreed, where it is the end of so many business days:
    `goal_seconds` is then the working time from `started_at` to that end.
    cause: ce_id of the event, or None for what fell due by itself. not_before: when the desk learnt that this
    generation began or went on; nothing was due earlier, so `due_at` is the later of this and of the threshold's
    instant.
    """

    started_at: Instant
    pauses: list[tuple[Instant, Instant | None]] = []
    goal_seconds: int
    calendar: str | None
    cause: str | None = None
    not_before: Instant | None = None
    goal_business_days: int | None = None


class ClockEvent(Decision, frozen=True, kw_only=True):
    """What happened to one clock; topic `sla.events`. The rule is the agreement's policy.

    occurrence: see `Occurrence`; `stated` is the monitor's word on which clocks run on a routed ticket, in `running`
        (an empty list: none does) and has clock `*`, generation 0.
    clock: its kind, with `:<transfer id>` for those that run on a transfer. generation: from 1; grows on reset or a
    changed goal.
    sequence: counted for each clock from 1, so that a second pause differs from the first.
    threshold_seconds: of a warning: time left at which it was due; wall: that is time on the wall. due_at: when this
    was due to be emitted; late: emitted more than a second after that by the desk's clock. deadline: None while paused.
    """

    TYPE: ClassVar[str] = "relaydesk.sla.clock.v1"

    occurrence: Occurrence
    clock: str
    generation: int
    sequence: int
    threshold_seconds: int | None = None
    wall: bool = False
    due_at: Instant | None = None
    deadline: Instant | None = None
    late: bool = False
    transfer_id: str | None = None
    queue: str | None = None
    running: list[ClockState] = []
    revises: str | None = None
    inputs: ClockInputs | None = None

    def identity(self) -> tuple[str | int, ...]:
        if self.occurrence == "warned":
            counted = "warned-wall" if self.wall else "warned"
            return self.ticket, self.clock, self.generation, counted, self.threshold_seconds or 0
        if self.occurrence == "breached":
            return self.ticket, self.clock, self.generation, "breached"
        return self.ticket, self.clock, self.generation, self.occurrence, self.sequence
