"""What a ticket is: a pure function of the normalized ticket, the corrections that stand, and the agreement in force.

For every field the first that has a word wins: people's correction, the source where the agreement calls it
authoritative, the agreement's rules, the source where it is not authoritative, the agreement's default. The category
is a contest instead:

- Each rule that holds, the source's own category, and a text model that is sure enough and knows the ticket's words
  speak for a category with a confidence; several that speak for one add up as independent evidence does,
  1 - (1 - a)(1 - b).
- The best wins; half of the strongest rival's confidence is taken off, a rival being a category that neither contains
  the winner nor lies in it. Where something speaks surely enough for a category inside the winner, that one is it: a
  model knows of the hardware, a rule of the printer.
- Below the agreement's threshold the nearest category above that reaches it is taken (`vpn` or `wifi`: the network);
  where none does, the ticket is for people to triage, with the best candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, cast

from ticket_classifier.domain.opinion import Model
from ticket_classifier.domain.policy import Asked, Match, Policy
from ticket_classifier.domain.verdict import Correction, Outcome, Verdict
from ticket_classifier.domain.words import MOST_CHARACTERS, MOST_OF_A_TITLE, parts
from ticket_contracts.classification import ClassificationInputs, Judgement, ModelOpinion, Shadow, TicketClassified
from ticket_contracts.tickets import Feedback, Kind, TicketNormalized

SOURCE: Final = "source"
DEFAULT: Final = "default"
CORRECTION: Final = "correction"
TAXONOMY: Final = "taxonomy"
MODEL: Final = "model:"
"""Before a model's digest: the rule of what a text model said."""
ABSTAINED: Final = "protocol:abstained"
"""The decision's rule when people must say what it is about."""

_SOURCES_WORD: Final = 0.6
"""How much a source's own value counts where the agreement does not call it authoritative."""
_MOST_CANDIDATES: Final = 3
_REMEMBERED: Final = 10_000


def asked_of(ticket: TicketNormalized) -> Asked:
    """What the decision rests on, of this ticket."""
    evidence = ticket.evidence
    return Asked(
        ticket.source,
        ticket.channel,
        ticket.kind,
        evidence.priority,
        evidence.impact,
        evidence.urgency,
        evidence.category,
        ticket.service,
        ticket.group,
        ticket.requester.vip,
        ticket.title[:MOST_OF_A_TITLE],
        ticket.text[:MOST_CHARACTERS],
    )


def correction_of(feedback: Feedback) -> Correction:
    return Correction(feedback.feedback_id, feedback.category, feedback.kind, feedback.impact, feedback.urgency)


def decide(asked: Asked, corrections: Sequence[Correction], policy: Policy, model: Model | None = None) -> Verdict:
    """corrections: those that stand, oldest first; of two that speak of a field the later counts. model: the
    agreement's, where it is there; asked of a ticket with text."""
    if asked.title or asked.text:
        below = None if policy.model is None else policy.model.abstain_below
        opinion = None if model is None else _opinion(asked, policy, model, below)
        return _decide(asked, corrections, policy, opinion)
    if corrections:
        return _decide(asked, corrections, policy, None)
    verdict = policy.remembered.get(asked)
    if verdict is None:
        if len(policy.remembered) >= _REMEMBERED:
            policy.remembered.clear()
        verdict = policy.remembered[asked] = _decide(asked, corrections, policy, None)
    return verdict


def shadowed(asked: Asked, corrections: Sequence[Correction], policy: Policy, candidate: Model | None) -> Shadow | None:
    """What the agreement's candidate would have made of it; None without one, and for a ticket without text."""
    if candidate is None or not (asked.title or asked.text):
        return None
    below = None if policy.candidate is None else policy.candidate.abstain_below
    opinion = _opinion(asked, policy, candidate, below)
    verdict = _decide(asked, corrections, policy, opinion)
    outcome = verdict.outcome
    return Shadow(
        opinion=opinion,
        category=outcome.category,
        priority=outcome.priority,
        confidence=verdict.confidence,
        abstained=outcome.abstained,
    )


def _opinion(asked: Asked, policy: Policy, model: Model, below: float | None) -> ModelOpinion:
    [said] = model.judge([(asked.title, asked.text)])
    category = policy.category(said.label)
    return ModelOpinion(
        model=model.digest,
        label=said.label,
        category=category,
        confidence=round(said.confidence, 3),
        words=round(said.words, 3),
        pairs=round(said.pairs, 3),
        abstained=category is None or said.abstains(model.thresholds.confidence if below is None else below),
        terms=said.terms,
    )


def _decide(asked: Asked, corrections: Sequence[Correction], policy: Policy, opinion: ModelOpinion | None) -> Verdict:
    corrected = _merged(corrections)
    wins = policy.authoritative.get(asked.source, frozenset())
    matches = policy.matching(asked, parts(asked.title, asked.text))
    category = _category(asked, corrected, policy, matches, opinion, "category" in wins)
    heeded = [match for match in matches if _is_heeded(match, category, policy)]
    judge = _Judge(heeded, wins)
    defaults = policy.defaults
    impact = judge.field("impact", policy.impact(corrected.impact), policy.impact(asked.impact), defaults.impact)
    urgency = judge.field("urgency", policy.urgency(corrected.urgency), policy.urgency(asked.urgency), defaults.urgency)
    kind = judge.field("kind", corrected.kind, asked.kind, defaults.kind)
    priority: str = policy.priorities[impact][urgency]
    said = _priority(asked.priority) if "priority" in wins else None
    if said is not None and corrected.impact is None and corrected.urgency is None:
        priority = said
        judge.found.append(Judgement(field="priority", rule=SOURCE, confidence=1.0))
    flags = judge.flags(matches, asked.vip)
    automated = (
        category.name in policy.automated
        and not category.abstained
        and impact != policy.widest
        and not ({"security", "outage"} & flags)
    )
    if automated:
        flags.add("automation")
        tier = 0
        judge.found.append(Judgement(field="tier", rule=TAXONOMY, confidence=category.confidence))
    else:
        tier = judge.tier(defaults.tier)
    return Verdict(
        outcome=Outcome(
            category.name, cast(Kind, kind), impact, urgency, priority, tier, sorted(flags), category.abstained
        ),
        rule=ABSTAINED if category.abstained else category.rule,
        confidence=category.confidence,
        evidence=[*category.evidence, *judge.found],
        candidates=category.candidates,
        opinion=opinion,
    )


class _Category(NamedTuple):
    name: str | None
    rule: str
    confidence: float
    evidence: list[Judgement]
    abstained: bool = False
    candidates: list[tuple[str, float]] = []  # never changed


class _Voice(NamedTuple):
    """Something that speaks for a category."""

    category: str
    rule: str
    confidence: float
    terms: dict[str, float]


def _category(
    asked: Asked,
    corrected: Correction,
    policy: Policy,
    matches: list[Match],
    opinion: ModelOpinion | None,
    authoritative: bool,
) -> _Category:
    if corrected.category is not None and corrected.category in policy.ancestors:
        return _certain(corrected.category, CORRECTION)
    said = policy.category(asked.category)
    if said is not None and authoritative:
        return _certain(said, SOURCE)
    voices = [
        _Voice(match.rule.category, match.rule.name, match.confidence, match.terms)
        for match in matches
        if match.rule.category is not None
    ]
    if opinion is not None and opinion.category is not None and not opinion.abstained:
        voices.append(_Voice(opinion.category, MODEL + opinion.model, opinion.confidence, opinion.terms))
    if said is not None:
        voices.append(_Voice(said, SOURCE, _SOURCES_WORD, {}))
    if not voices:
        return _without_evidence(policy)
    return _contest(voices, policy)


def _certain(category: str, rule: str) -> _Category:
    return _Category(category, rule, 1.0, [Judgement(field="category", rule=rule, confidence=1.0)])


def _without_evidence(policy: Policy) -> _Category:
    """The agreement's default, and, where the agreement asks for any confidence at all, people."""
    default = policy.defaults.category
    evidence = [] if default is None else [Judgement(field="category", rule=DEFAULT, confidence=0.0)]
    return _Category(default, DEFAULT, 0.0, evidence, abstained=policy.abstain_below > 0)


def _contest(voices: list[_Voice], policy: Policy) -> _Category:
    missing: dict[str, float] = {}
    for voice in voices:
        missing[voice.category] = missing.get(voice.category, 1.0) * (1 - voice.confidence)
    scores = {category: 1 - left for category, left in missing.items()}  # in the order of the agreement's rules
    ranked = sorted(scores, key=lambda name: (-scores[name], -len(policy.ancestors[name])))
    best = ranked[0]
    inside = [name for name in ranked if name != best and best in policy.ancestors[name]]
    best = next((name for name in inside if _sureness(name, scores, policy) >= policy.abstain_below), best)
    confidence = _sureness(best, scores, policy)
    winner = best
    if confidence < policy.abstain_below:
        above = _above(best, scores, policy)
        if above is not None:
            winner, confidence = above
    abstained = confidence < policy.abstain_below
    speaking = [
        Judgement(field="category", rule=voice.rule, confidence=round(voice.confidence, 3), terms=voice.terms)
        for voice in voices
        if abstained or policy.related(voice.category, winner)
    ]
    if abstained:
        candidates = [(name, round(scores[name], 3)) for name in ranked[:_MOST_CANDIDATES]]
        return _Category(policy.defaults.category, ABSTAINED, max(confidence, 0.0), speaking, True, candidates)
    rule = next(voice.rule for voice in voices if policy.related(voice.category, winner))
    return _Category(winner, rule, confidence, speaking)


def _sureness(name: str, scores: dict[str, float], policy: Policy) -> float:
    return round(scores[name] - _rival(name, scores, policy) / 2, 3)


def _rival(name: str, scores: dict[str, float], policy: Policy) -> float:
    """The highest score of a category that neither contains this one nor lies in it."""
    return max((score for other, score in scores.items() if not policy.related(name, other)), default=0.0)


def _above(name: str, scores: dict[str, float], policy: Policy) -> tuple[str, float] | None:
    """The nearest category above that is sure enough, as all that lies in it speaks for it."""
    ancestors = policy.ancestors
    for upper in sorted(ancestors[name] - {name}, key=lambda above: -len(ancestors[above])):
        missing = 1.0
        for other, score in scores.items():
            if upper in ancestors[other]:
                missing *= 1 - score
        confidence = round(1 - missing - _rival(upper, scores, policy) / 2, 3)
        if confidence >= policy.abstain_below:
            return upper, confidence
    return None


def _is_heeded(match: Match, category: _Category, policy: Policy) -> bool:
    """A rule about a category that did not win says nothing about the ticket; its flags count all the same."""
    about = match.rule.category
    if about is None:
        return True
    return not category.abstained and category.name is not None and policy.related(about, category.name)


class _Judge:
    """Decides the fields besides the category, and keeps why. wins: fields in which the source is authoritative."""

    def __init__(self, heeded: list[Match], wins: frozenset[str]) -> None:
        self.found: list[Judgement] = []
        self._heeded = heeded
        self._wins = wins

    def field(
        self, name: Literal["impact", "urgency", "kind"], corrected: str | None, said: str | None, default: str
    ) -> str:
        if corrected is not None:
            return self._say(name, corrected, CORRECTION, 1.0)
        if said is not None and name in self._wins:
            return self._say(name, said, SOURCE, 1.0)
        for match in self._heeded:
            value: str | None = getattr(match.rule, name)
            if value is not None:
                return self._say(name, value, match.rule.name, round(match.confidence, 3), match.terms)
        if said is not None:
            return self._say(name, said, SOURCE, _SOURCES_WORD)
        return self._say(name, default, DEFAULT, 0.0)

    def tier(self, default: int) -> int:
        for about_a_category in (True, False):  # a rule about the category knows more of who can help
            for match in self._heeded:
                if match.rule.tier is not None and (match.rule.category is not None) is about_a_category:
                    self._say("tier", "", match.rule.name, round(match.confidence, 3))
                    return match.rule.tier
        self._say("tier", "", DEFAULT, 0.0)
        return default

    def flags(self, matches: list[Match], vip: bool) -> set[str]:
        """Of all rules that hold, also of those whose category lost: a suspicion is not outvoted."""
        flags: set[str] = set()
        for match in matches:
            for flag in match.rule.flags:
                if flag not in flags:
                    flags.add(flag)
                    self._say(f"flag:{flag}", "", match.rule.name, round(match.confidence, 3), match.terms)
        if vip:
            flags.add("vip")
            self._say("flag:vip", "", SOURCE, 1.0)
        return flags

    def _say(self, field: str, value: str, rule: str, confidence: float, terms: dict[str, float] | None = None) -> str:
        self.found.append(Judgement(field=field, rule=rule, confidence=confidence, terms=terms or {}))
        return value


def _merged(corrections: Sequence[Correction]) -> Correction:
    merged = Correction("")
    for correction in corrections:
        merged = Correction(
            correction.id,
            correction.category or merged.category,
            correction.kind or merged.kind,
            correction.impact or merged.impact,
            correction.urgency or merged.urgency,
        )
    return merged


def _priority(said: str | None) -> str | None:
    """`P2`, `p2`, `2 - High`: the desk's word for a source's priority, None when it is none."""
    if not said:
        return None
    digit = said.strip().upper().removeprefix("P")[:1]
    return f"P{digit}" if digit in "12345" else None


def classified(
    verdict: Verdict,
    *,
    ticket: str,
    at: datetime,
    versions: tuple[int, int],
    agreement_version: str,
    normalized: str,
    corrections: Sequence[Correction],
    model: Model | None = None,
    shadow: Shadow | None = None,
    articles: Mapping[str, str] = MappingProxyType({}),
) -> TicketClassified:
    """The event of a verdict. versions: of the ticket and of its classification. normalized: ce_id of that version.
    model: that was at hand. articles: id -> title, the best first."""
    outcome = verdict.outcome
    return TicketClassified(
        ticket=ticket,
        decided_for=at,
        ticket_version=versions[0],
        classification_version=versions[1],
        rule=verdict.rule,
        agreement_version=agreement_version,
        category=outcome.category,
        kind=outcome.kind,
        impact=outcome.impact,
        urgency=outcome.urgency,
        priority=outcome.priority,
        tier=outcome.tier,
        flags=outcome.flags,
        abstained=outcome.abstained,
        confidence=verdict.confidence,
        evidence=verdict.evidence,
        candidates=verdict.candidates,
        inputs=ClassificationInputs(
            normalized=normalized,
            feedback=corrections[-1].id if corrections else None,
            earlier=[correction.id for correction in corrections[:-1]],
            model=None if model is None else model.digest,
        ),
        articles=list(articles),
        article_titles={name: title for name, title in articles.items() if title},
        opinion=verdict.opinion,
        shadow=shadow,
    )
