"""The clocks of offers and transfers: how long a receiver has to acknowledge, and how long a transfer may take. They
count wall time.
"""

from __future__ import annotations

import copy

from msgspec.structs import replace

from sla_monitor.domain.clocks import Course, adopt, going_on, notice_id, scheduled, seconds_up
from sla_monitor.domain.rules import ACKNOWLEDGEMENT, TRANSFER, WALL, Rulebook
from sla_monitor.domain.state import Clock, Standing, Ticket
from ticket_contracts.agreement.counting import Phase
from ticket_contracts.sla import ClockEvent, Occurrence
from ticket_contracts.transfers import (
    TransferAccepted,
    TransferCompleted,
    TransferDeclined,
    TransferEvent,
    TransferExpired,
    TransferOffered,
    TransferRequested,
    TransferWithdrawn,
)

ACKNOWLEDGE_RULE = "transfers.acknowledge_seconds"
TOTAL_RULE = "transfers.total_seconds"


def step(
    name: str, ticket: Ticket, event: TransferEvent, decided_us: int, book: Rulebook, cause: str
) -> tuple[Ticket, list[ClockEvent]]:
    """What a step of a transfer does to its clocks, once it is the ticket's newest: `event.sequence` is remembered.

    What fell due before it is said first. An end that was decided for an earlier instant than a breach already said
    unsays it.
    """
    ticket = copy.copy(ticket)
    ticket.transfer_sequence = event.sequence
    course = going_on(name, ticket, book, Standing(), cause)
    course.advance(decided_us // 1_000_000)
    match event:
        case TransferRequested(attempt=1):
            total = book.version(event.agreement_version).total_seconds
            _start(course, TRANSFER, event.transfer_id, TOTAL_RULE, event, total, 1, None, decided_us)
        case TransferOffered():
            _start(
                course,
                ACKNOWLEDGEMENT,
                event.transfer_id,
                ACKNOWLEDGE_RULE,
                event,
                event.acknowledge_seconds,
                event.attempt,
                event.queue,
                decided_us,
            )
        case TransferAccepted() | TransferDeclined():
            _end(course, ACKNOWLEDGEMENT, event.transfer_id, "met", decided_us)
        case TransferExpired():
            _end(course, ACKNOWLEDGEMENT, event.transfer_id, "cancelled", decided_us)
        case TransferWithdrawn():
            _end(course, ACKNOWLEDGEMENT, event.transfer_id, "cancelled", decided_us)
            _end(course, TRANSFER, event.transfer_id, "cancelled", decided_us)
        case TransferCompleted():
            _end(course, ACKNOWLEDGEMENT, event.transfer_id, "cancelled", decided_us)
            _end(course, TRANSFER, event.transfer_id, "met", decided_us)
        case _:
            pass
    return ticket, adopt(ticket, course)


def _start(
    course: Course,
    kind: str,
    transfer: str,
    rule: str,
    event: TransferEvent,
    goal: int,
    generation: int,
    queue: str | None,
    decided_us: int,
) -> None:
    _end(course, kind, transfer, "cancelled", decided_us)
    at = seconds_up(decided_us)  # in favour of the receiver: never a fraction of a second short
    clock = Clock(
        name=f"{kind}:{transfer}",
        policy=rule,
        version=event.agreement_version,
        generation=generation,
        sequence=0,
        goal=goal,
        started=at,
        floor=at,
        known=at,
        phase=Phase.RUN,
        queue=queue,
    )
    course.say("started", scheduled(clock, WALL), decided_us)


def _end(course: Course, kind: str, transfer: str, occurrence: Occurrence, decided_us: int) -> None:
    """The clock is over and forgotten. A breach answers for itself: what ends only because of it is not cancelled as
    well.
    """
    clock = course.clocks.get(f"{kind}:{transfer}")
    if clock is None:
        return
    breach = next((notice for notice in clock.said if notice.seconds == 0), None)
    clock = replace(clock, due=0)
    if breach is not None and decided_us < breach.due * 1_000_000:
        clock = course.say("revised", clock, decided_us, revises=notice_id(course, clock, breach))
    if occurrence == "met" or breach is None:
        phase = Phase.STOP if occurrence == "met" else Phase.CANCEL
        course.say(occurrence, replace(clock, phase=phase), decided_us)
    del course.clocks[clock.name]
