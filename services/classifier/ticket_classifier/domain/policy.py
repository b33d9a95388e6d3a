"""An agreement compiled for classifying: made once for each version, asked for every ticket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from ticket_classifier.domain.lexicon import Found, Lexicon
from ticket_classifier.domain.verdict import Verdict
from ticket_classifier.domain.words import Part, fold
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.model import Category, ClassificationRule

Field = Literal["category", "impact", "urgency", "priority", "service", "group"]


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What a decision rests on, of a normalized ticket; all that the classifier keeps of it."""

    source: str
    channel: str
    kind: str | None
    priority: str | None
    impact: str | None
    urgency: str | None
    category: str | None
    service: str | None
    group: str | None
    vip: bool
    title: str
    text: str

    def value(self, field: Field) -> str | None:
        """The source's own word for a field."""
        found: str | None = getattr(self, field)
        return found


class Match(NamedTuple):
    """A rule that holds for a ticket. strength: 0 to 1, of its evidence; terms: the words found, with their weights."""

    rule: Rule
    strength: float
    terms: dict[str, float]

    @property
    def confidence(self) -> float:
        return self.rule.confidence * self.strength


class Rule:
    """A classification rule, its words by their numbers in the lexicon."""

    __slots__ = (
        "all", "any", "category", "channel", "confidence", "evidence", "flags", "impact", "kind", "name", "none",
        "number", "people", "tier", "urgency",
    )  # fmt: skip

    def __init__(self, number: int, rule: ClassificationRule, lexicon: Lexicon) -> None:
        self.number = number
        self.name = rule.name
        text = rule.text
        self.any = [lexicon.add(term) for term in text.any] if text else []
        self.all = [lexicon.add(term) for term in text.all] if text else []
        self.none = [lexicon.add(term) for term in text.none] if text else []
        self.evidence = [(field, frozenset(map(fold, values))) for field, values in rule.evidence.items()]
        self.channel = None if rule.channel is None else frozenset(rule.channel)
        self.people = rule.people_at_least
        self.category = rule.category
        self.kind = rule.kind
        self.impact = rule.impact
        self.urgency = rule.urgency
        self.tier = rule.tier
        self.flags = rule.flags
        self.confidence = rule.confidence

    @property
    def reads_text(self) -> bool:
        return bool(self.any or self.all)

    def match(self, asked: Asked, found: Found, terms: Sequence[str]) -> Match | None:
        """Whether it holds, and how strongly. A rule about urgency or impact is not moved by a negated word; one about
        a thing is, since `no wifi` speaks of the wifi."""
        if self.channel is not None and asked.channel not in self.channel:
            return None
        for field, values in self.evidence:
            said = asked.value(field)
            if said is None or fold(said) not in values:
                return None
        strength = 0.0  # of the best word: several of one rule are mostly one thing said twice
        words: dict[str, float] = {}
        if self.people is not None:
            if found.people < self.people:
                return None
            strength = found.people_weight
            words[f"{found.people} people"] = round(self.confidence * found.people_weight, 3)
        if self.reads_text:
            hits = found.hits
            about_a_thing = self.category is not None
            for term in self.none:
                if term in hits and hits[term].firm:
                    return None
            found_any = not self.any
            for wanted, needed in ((self.all, True), (self.any, False)):
                for term in wanted:
                    hit = hits.get(term)
                    weight = 0.0 if hit is None else hit.best if about_a_thing else hit.firm
                    if weight:
                        strength = max(strength, weight)
                        words[terms[term]] = round(self.confidence * weight, 3)
                        found_any = found_any or not needed
                    elif needed:
                        return None
            if not found_any:
                return None
        return Match(self, strength if words else 1.0, words)


_NOTHING: Final = Found({}, 0, 0.0)


class Policy:
    """An agreement as the classifier uses it."""

    def __init__(self, version: str, agreement: Agreement) -> None:
        self.version = version
        self.agreement = agreement
        self.ancestors = agreement.ancestors
        self.automated = frozenset(c.id for c in _walk(agreement.taxonomy) if c.automation)
        self.titles = {c.id: c.title for c in _walk(agreement.taxonomy)}
        self.kept_days = agreement.routing.ended_kept_days
        part = agreement.classification
        self.defaults = part.defaults
        self.abstain_below = part.abstain_below
        self.model = part.model
        self.candidate = part.candidate
        self.authoritative = {source: frozenset(fields) for source, fields in part.authoritative.items()}
        matrix = agreement.matrix
        self.priorities = matrix.priorities
        self.widest = matrix.impacts[0]
        self._impacts = {fold(word): word for word in matrix.impacts}
        self._urgencies = {fold(word): word for word in matrix.urgencies}
        self._categories = {fold(name): name for name in self.ancestors} | {
            fold(value): name for value, name in part.category_map.items()
        }
        self.lexicon = Lexicon()
        self.rules = [Rule(number, rule, self.lexicon) for number, rule in enumerate(part.rules)]
        self._of_term: dict[int, list[Rule]] = {}
        for rule in self.rules:
            for term in {*rule.any, *rule.all}:
                self._of_term.setdefault(term, []).append(rule)
        self.remembered: dict[Asked, Verdict] = {}  # verdicts on tickets without text, of which there are few kinds
        self._without_text = [rule for rule in self.rules if not rule.reads_text]

    def category(self, said: str | None) -> str | None:
        """The category that a source's word stands for, by the agreement's map or as an id; None when it is not
        known."""
        return None if said is None else self._categories.get(fold(said))

    def impact(self, said: str | None) -> str | None:
        """The matrix's word that a source's word is; None when it is none of them."""
        return None if said is None else self._impacts.get(said) or self._impacts.get(fold(said))

    def urgency(self, said: str | None) -> str | None:
        return None if said is None else self._urgencies.get(said) or self._urgencies.get(fold(said))

    def related(self, one: str, other: str) -> bool:
        """Whether one of two categories lies in the other."""
        return one in self.ancestors.get(other, ()) or other in self.ancestors.get(one, ())

    def matching(self, asked: Asked, parts: Iterable[Part]) -> list[Match]:
        """The rules that hold for a ticket of these words, in the order of the agreement."""
        found = self.lexicon.find(parts) if asked.title or asked.text else _NOTHING
        rules = self._without_text
        if found.hits:
            spoken_of = {rule.number: rule for term in found.hits for rule in self._of_term.get(term, ())}
            rules = sorted([*spoken_of.values(), *rules], key=lambda rule: rule.number)
        terms = self.lexicon.terms
        return [match for rule in rules if (match := rule.match(asked, found, terms)) is not None]


def _walk(nodes: Iterable[Category]) -> Iterable[Category]:
    for node in nodes:
        yield node
        yield from _walk(node.children)
