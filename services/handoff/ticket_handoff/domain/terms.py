"""The agreement as the protocol reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol

from business_calendar import Calendar
from ticket_contracts.agreement import Agreement, Condition, matches
from ticket_contracts.routing import TicketFacts

INTERNAL: Final = "internal"
"""The principal of everybody inside."""


_NEVER: Final = 1 << 40


class _OpenHours:
    """A calendar as conditions ask it; one that never closes again closes in a far future."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.is_open = calendar.is_open

    def next_close(self, at: int) -> int:
        closes = self._calendar.next_close(at)
        return _NEVER if closes is None else closes


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of the agreement, with its calendars compiled."""

    version: str
    agreement: Agreement
    calendars: Mapping[str, Calendar]

    def holds(self, condition: Condition, facts: TicketFacts, at: datetime, queue: str | None, cause: str) -> bool:
        """Whether a condition of the agreement holds for a ticket that is in that queue."""
        hours = {name: _OpenHours(calendar) for name, calendar in self.calendars.items()}
        return matches(condition, facts, at, hours, ancestors=self.agreement.ancestors, queue=queue, cause=cause)

    def principal(self, queue: str) -> str:
        """Whose replies count for a queue's offers: its partner, or `internal`."""
        found = self.agreement.queues.get(queue)
        return INTERNAL if found is None or found.partner is None else found.partner

    def fields(self, principal: str) -> frozenset[str] | None:
        """The fields that a principal may see; None: all of them. Who has no contract sees none."""
        if principal == INTERNAL:
            return None
        partner = self.agreement.partners.get(principal)
        return frozenset() if partner is None else frozenset(partner.fields)

    def member(self, role: str, *draw: str | int) -> str:
        """Who of a role's people has it now: drawn by a digest, so that the turn needs no state and every replay
        draws alike."""
        members = self.agreement.owners[role].members
        if len(members) == 1:
            return members[0]
        number = sha256("\x1f".join(map(str, (role, *draw))).encode()).digest()
        return members[int.from_bytes(number[:8], "big") % len(members)]


class Book(Protocol):
    """Every version of the agreement that this process knows."""

    def in_force(self, at: datetime) -> Terms: ...

    def version(self, digest: str) -> Terms:
        """Raises what makes the loop wait while that version is not known yet."""
        ...
