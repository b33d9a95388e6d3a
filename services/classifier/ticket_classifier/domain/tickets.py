"""What the classifier remembers of a ticket between two of its events."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from ticket_classifier.domain.policy import Asked
from ticket_classifier.domain.verdict import Correction, Outcome

_REMEMBERED_FEEDBACK = 20

FORGOTTEN: Final = -1
"""In place of the second from which on it is."""


class TicketState(msgspec.Struct, frozen=True, array_like=True):
    """asked: of the newest version, text included, since a correction is decided on it. known_at: the latest instant
    that was decided for. outcome: as last published. corrections: those that stand, oldest first. heard: ids of the
    last corrections that were taken in, so that a repeated one counts once. silent_from: of a ticket that ended, the
    unix second from which its text counts as forgotten; FORGOTTEN once it is; 0 while it is open."""

    ticket_version: int
    classification_version: int
    normalized: str
    known_at: datetime
    asked: Asked
    outcome: Outcome
    corrections: list[Correction] = []
    heard: list[str] = []
    silent_from: int = 0

    def without_text(self) -> TicketState:
        return msgspec.structs.replace(self, asked=msgspec.structs.replace(self.asked, title="", text=""))

    def forgotten(self) -> TicketState:
        """What is left of a ticket that ended long ago: enough to go on counting its classifications."""
        return msgspec.structs.replace(self.without_text(), corrections=[], heard=[], silent_from=FORGOTTEN)

    def is_forgotten(self, at: datetime) -> bool:
        """Whether it is by then, though it may still stand here."""
        return self.silent_from != 0 and at.timestamp() >= self.silent_from

    def standing_for(self, asked: Asked) -> list[Correction]:
        """The corrections that stand when the ticket becomes this: all, until the source itself says something else of
        category, impact or urgency."""
        before = self.asked
        same = (before.category, before.impact, before.urgency) == (asked.category, asked.impact, asked.urgency)
        return self.corrections if same else []

    def corrected_by(self, correction: Correction) -> list[Correction]:
        """The corrections that stand with this one, without those of which it leaves nothing."""
        return [*(c for c in self.corrections if not _is_covered(c, correction)), correction]

    def heard_with(self, feedback: str) -> list[str]:
        return [*self.heard, feedback][-_REMEMBERED_FEEDBACK:]


def _is_covered(earlier: Correction, later: Correction) -> bool:
    return all(
        getattr(earlier, field) is None or getattr(later, field) is not None
        for field in ("category", "kind", "impact", "urgency")
    )
