"""Who sits at the desk page, and what they may know. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ticket_handoff.domain.ledger import Ledger
from ticket_handoff.domain.terms import INTERNAL


@dataclass(frozen=True, slots=True)
class Seat:
    """principal: a partner's name as the agreement has it, or `internal`. actor: the person, as steps will name it.
    token: of this session, which each form repeats. key: SHA-256 of the API key it came in by; None by OIDC."""

    principal: str
    actor: str
    token: str
    key: str | None = None

    @property
    def inside(self) -> bool:
        return self.principal == INTERNAL


def may_read(ledger: Ledger, principal: str) -> bool:
    """Whether a principal may read the ticket as it is now: it has an offer of it before it, or owns it."""
    return principal == INTERNAL or is_offered(ledger, principal) or ledger.is_held_by(principal)


def may_know(ledger: Ledger, principal: str) -> bool:
    """Whether a principal may know that there is such a ticket: it was offered to it at some time."""
    return may_read(ledger, principal) or any(past.principal == principal for past in ledger.past)


def is_offered(ledger: Ledger, principal: str) -> bool:
    """Whether an offer waits for this principal's reply."""
    transfer = ledger.transfer
    return transfer is not None and transfer.offer is not None and transfer.offer.principal == principal
