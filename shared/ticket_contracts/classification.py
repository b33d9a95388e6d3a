"""What the classifier alone decides: category, kind, impact, urgency, priority, tier, and how sure it is."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ticket_contracts.cloudevents import Decision
from ticket_contracts.tickets import Kind


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Why one field has its value. field: as below, `flag:<flag>` for a flag. rule: the agreement's rule, `source`,
    `default`, `correction`, `taxonomy` (tier 0 of a category to automate), or `model:<digest>`.

    confidence: 0 to 1. terms: words with their weight in the decision; empty when a source's value or a default won.
    """

    field: str
    rule: str
    confidence: float
    terms: dict[str, float] = {}


class ModelOpinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a text model said of a ticket. model: its digest. label: its best, and the category that the agreement maps
    it to, if any. words, pairs: the share of the ticket's words and pairs of neighbours that it knows, 0 to 1.

    abstained: it knows too little of the ticket, or is not sure enough, or has no category for the label: it spoke for
    nothing. terms: the words that moved the label's score most, with their contribution; negative: against it.
    """

    model: str
    label: str
    category: str | None
    confidence: float
    words: float
    pairs: float
    abstained: bool
    terms: dict[str, float] = {}


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What would have been decided with the agreement's candidate in the model's place. Nobody acts on it."""

    opinion: ModelOpinion
    category: str | None
    priority: str
    confidence: float
    abstained: bool


class ClassificationInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the decision rests on besides the normalized ticket of `ticket_version`, whose text is not repeated here.

    normalized: ce_id of that version. feedback: id of the correction that stands, if one does. earlier: ids of those
    that stand beside it, oldest first, for the fields that it says nothing of. model: digest of the text model that was
    at hand; None where the agreement names none, or its files were not there.
    """

    normalized: str
    feedback: str | None = None
    earlier: list[str] = []
    model: str | None = None


class TicketClassified(Decision, frozen=True, kw_only=True):
    """A classification; topic `tickets.classified`.

    Emitted for version 1 and whenever the outcome (category to abstained) differs from the classification before.

    category: id in the agreement's taxonomy. impact, urgency: words of its matrix. priority: `P1` to `P5`. tier: 0 to
    3.
    flags: `security`, `vip`, `automation`, `outage`, ... abstained: below the agreement's threshold; people must
    triage.
    candidates: best categories with their confidence, highest first, when abstained. articles: ids, best first;
    article_titles: of those that have one.
    opinion: of the agreement's text model, for a ticket with text. shadow: by its candidate.
    """

    TYPE: ClassVar[str] = "relaydesk.ticket.classified.v1"

    category: str | None
    kind: Kind
    impact: str
    urgency: str
    priority: str
    tier: int
    flags: list[str] = []
    abstained: bool = False
    confidence: float = 1.0
    evidence: list[Judgement] = []
    candidates: list[tuple[str, float]] = []
    articles: list[str] = []
    article_titles: dict[str, str] = {}
    inputs: ClassificationInputs
    opinion: ModelOpinion | None = None
    shadow: Shadow | None = None

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.classification_version
