"""What comes out of a decision, and what people said of an earlier one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ticket_contracts.classification import Judgement, ModelOpinion
from ticket_contracts.tickets import Kind


class Correction(msgspec.Struct, frozen=True, array_like=True):
    """What a person said a ticket is; None: nothing of this field. id: of the feedback."""

    id: str
    category: str | None = None
    kind: Kind | None = None
    impact: str | None = None
    urgency: str | None = None

    @property
    def says_nothing(self) -> bool:
        return self.category is None and self.kind is None and self.impact is None and self.urgency is None


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What others act on: when one of these differs, a new version of the classification is said."""

    category: str | None
    kind: Kind
    impact: str
    urgency: str
    priority: str
    tier: int
    flags: list[str]
    abstained: bool


class Verdict(NamedTuple):
    """An outcome with how sure it is and why. opinion: of the text model, where one was asked."""

    outcome: Outcome
    rule: str
    confidence: float
    evidence: list[Judgement]
    candidates: list[tuple[str, float]]
    opinion: ModelOpinion | None = None
