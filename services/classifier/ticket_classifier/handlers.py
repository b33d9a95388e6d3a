"""The classifier's task: a ticket's newest version and people's corrections in, a classification out whenever it is
another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from ticket_classifier.domain.decide import asked_of, classified, correction_of, decide, shadowed
from ticket_classifier.domain.knowledge import Knowledge
from ticket_classifier.domain.opinion import Model, Models, no_models
from ticket_classifier.domain.policy import Asked, Policy
from ticket_classifier.domain.tickets import TicketState
from ticket_classifier.domain.verdict import Correction, Verdict
from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.agreement.model import TextModel
from ticket_contracts.cloudevents import ce_id
from ticket_contracts.tickets import ENDED, Feedback, TicketDuplicate, TicketNormalized
from ticket_runtime.due import DueQueue
from ticket_runtime.task import Outputs, Poison, Record

INPUTS: Final = [topics.NORMALIZED, topics.FEEDBACK, topics.ERASED]

_NORMALIZED: Final = TicketNormalized.TYPE.encode()
_DUPLICATE: Final = TicketDuplicate.TYPE.encode()
_normalized: Final = msgspec.json.Decoder(TicketNormalized)
_feedback: Final = msgspec.json.Decoder(Feedback)
_state: Final = msgspec.json.Decoder(TicketState)
_DAY: Final = 86_400
_FORGOTTEN_AT_ONCE: Final = 2_000
_encode: Final = msgspec.json.Encoder().encode


class _Dated(msgspec.Struct, array_like=True):
    """A `TicketState` of which only `silent_from` is read."""

    ticket_version: msgspec.Raw
    classification_version: msgspec.Raw
    normalized: msgspec.Raw
    known_at: msgspec.Raw
    asked: msgspec.Raw
    outcome: msgspec.Raw
    corrections: msgspec.Raw
    heard: msgspec.Raw
    silent_from: int = 0


_dated: Final = msgspec.json.Decoder(_Dated)


class Agreements(Protocol):
    """`ticket_runtime.agreements.Agreements`, as far as the classifier uses it."""

    def in_force(self, at: datetime) -> Published: ...


class ClassifierWork:
    """`ticket_runtime.task.Work` of the classifier. Its changelog holds a `TicketState` for each ticket, under its
    id."""

    def __init__(self, agreements: Agreements, models: Models = no_models, knowledge: Knowledge | None = None) -> None:
        """models: where those that the agreement names are found. One that is not there is done without: the rules
        decide, and `inputs.model` says so. knowledge: the articles that are suggested."""
        self._agreements = agreements
        self._models = models
        self._knowledge = knowledge or Knowledge()
        self._policies: dict[str, Policy] = {}
        self._tickets: dict[bytes, bytes] = {}  # encoded: a desk has many tickets, and works on few at a time
        self._ended: DueQueue[bytes] | None = None

    def restore(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._tickets.pop(key, None)
        else:
            self._tickets[key] = value

    def handle(self, record: Record, out: Outputs) -> None:
        if record.topic == topics.FEEDBACK:
            self._hear(_read_feedback(record), record.instant, out)
        elif record.topic == topics.ERASED:
            self._erase((record.key or b"").decode(), out)
        elif (ticket := _read_ticket(record)) is not None:
            self._classify(ticket, out)

    def fire(self, now: datetime, out: Outputs) -> None:
        """Forgets the text of what ended long ago."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            first = self._over().first()
            if first is None or first[0] > now.timestamp():
                return
            ticket = first[1].decode()
            state = self.state(ticket)
            assert state is not None
            self._keep(ticket, state.forgotten(), out)

    def next_due(self) -> datetime | None:
        first = self._over().first()
        return None if first is None else datetime.fromtimestamp(first[0], UTC)

    def state(self, ticket: str) -> TicketState | None:
        """What is known of a ticket; None when nothing is."""
        value = self._tickets.get(ticket.encode())
        return None if value is None else _state.decode(value)

    def _over(self) -> DueQueue[bytes]:
        """The tickets that ended; made when first asked for, after the last record of state was restored."""
        if self._ended is None:
            self._ended = DueQueue(self._forgotten_on)
            for key in self._tickets:
                self._await(key)
        return self._ended

    def _await(self, key: bytes) -> None:
        if self._ended is not None and (at := self._forgotten_on(key)):
            self._ended.add(at, key)

    def _forgotten_on(self, key: bytes) -> int:
        """When the text goes, in unix seconds; 0: never, or it is gone. It is a day after it counts as forgotten:
        nothing that comes then is older."""
        value = self._tickets.get(key)
        silent_from = 0 if value is None else _dated.decode(value).silent_from
        return silent_from + _DAY if silent_from > 0 else 0

    def _classify(self, ticket: TicketNormalized, out: Outputs) -> None:
        state = self.state(ticket.ticket)
        if state is not None and ticket.ticket_version <= state.ticket_version:
            return
        at = ticket.decided_for if state is None else max(ticket.decided_for, state.known_at)
        asked = asked_of(ticket)
        if state is not None and state.is_forgotten(at):
            state = state.forgotten()
        corrections = [] if state is None else state.standing_for(asked)
        policy = self._policy(at)
        model = self._model(policy.model)
        verdict = decide(asked, corrections, policy, model)
        version = 0 if state is None else state.classification_version
        normalized = ce_id(ticket)
        if state is None or verdict.outcome != state.outcome:
            version += 1
            event = classified(
                verdict,
                ticket=ticket.ticket,
                at=at,
                versions=(ticket.ticket_version, version),
                agreement_version=policy.version,
                normalized=normalized,
                corrections=corrections,
                model=model,
                shadow=shadowed(asked, corrections, policy, self._model(policy.candidate)),
                articles=self._articles(asked, verdict, policy),
            )
            out.emit(topics.CLASSIFIED, event)
        heard = [] if state is None else state.heard
        silent_from = int(at.timestamp()) + policy.kept_days * _DAY if ticket.status in ENDED else 0
        self._keep(
            ticket.ticket,
            TicketState(
                ticket.ticket_version,
                version,
                normalized,
                at,
                asked,
                verdict.outcome,
                list(corrections),
                heard,
                silent_from,
            ),
            out,
        )

    def _hear(self, feedback: Feedback, instant: datetime, out: Outputs) -> None:
        correction = correction_of(feedback)
        if correction.says_nothing:
            if feedback.csat is None:
                raise Poison(
                    "feedback says nothing: give a category, kind, impact or urgency to correct, or a csat score"
                )
            return  # a score is for the facts of the desk, not for the classifier
        state = self.state(feedback.ticket)
        if state is None:
            raise Poison(f"{feedback.ticket} is not known here: correct a ticket that has been classified")
        if feedback.feedback_id in state.heard:
            return
        current = state.classification_version
        if feedback.classification_version is None:
            raise Poison(f"the correction names no classification_version; the ticket's is {current}")
        if feedback.classification_version != current:
            raise Poison(
                f"the correction is of classification {feedback.classification_version}, the ticket's is {current}: "
                "look at that one and send the correction again, with a feedback_id of its own"
            )
        at = max(instant, state.known_at)
        if state.is_forgotten(at):
            raise Poison(
                f"{feedback.ticket} ended too long ago: its text is forgotten, so nothing can be decided anew; "
                "correct it within the days of the agreement's routing.ended_kept_days"
            )
        policy = self._policy(at)
        _refuse_unknown_words(correction, policy)
        corrections = state.corrected_by(correction)
        model = self._model(policy.model)
        verdict = decide(state.asked, corrections, policy, model)
        if verdict.outcome != state.outcome:
            current += 1
            event = classified(
                verdict,
                ticket=feedback.ticket,
                at=at,
                versions=(state.ticket_version, current),
                agreement_version=policy.version,
                normalized=state.normalized,
                corrections=corrections,
                model=model,
                shadow=shadowed(state.asked, corrections, policy, self._model(policy.candidate)),
                articles=self._articles(state.asked, verdict, policy),
            )
            out.emit(topics.CLASSIFIED, event)
        self._keep(
            feedback.ticket,
            msgspec.structs.replace(
                state,
                classification_version=current,
                known_at=at,
                outcome=verdict.outcome,
                corrections=corrections,
                heard=state.heard_with(feedback.feedback_id),
            ),
            out,
        )

    def _erase(self, ticket: str, out: Outputs) -> None:
        """Handoff's word that the ticket's text is to be forgotten."""
        state = self.state(ticket)
        if state is not None:
            self._keep(ticket, state.without_text(), out)

    def _keep(self, ticket: str, state: TicketState, out: Outputs) -> None:
        key, value = ticket.encode(), _encode(state)
        out.store(key, value)
        self._tickets[key] = value
        self._await(key)

    def _model(self, named: TextModel | None) -> Model | None:
        return None if named is None else self._models(named.digest)

    def _articles(self, asked: Asked, verdict: Verdict, policy: Policy) -> dict[str, str]:
        found = self._knowledge.suggest(asked.title, asked.text, verdict.outcome.category, policy.related)
        return {suggestion.article.article_id: suggestion.article.title for suggestion in found}

    def _policy(self, at: datetime) -> Policy:
        published = self._agreements.in_force(at)
        policy = self._policies.get(published.version)
        if policy is None:
            policy = self._policies[published.version] = Policy(published.version, published.agreement)
        return policy


def _read_ticket(record: Record) -> TicketNormalized | None:
    """The ticket of a record, None for a recorded duplicate. Raises Poison when it cannot be read."""
    kind = record.headers.get("ce_type")
    if kind == _DUPLICATE:
        return None
    if kind != _NORMALIZED:
        said = "no ce_type" if kind is None else f"the type {kind.decode(errors='replace')!r}"
        raise Poison(f"{record.topic}: {said}; {TicketNormalized.TYPE} is read here", "unknown_type")
    try:
        ticket = _normalized.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"{record.topic}: not a {TicketNormalized.TYPE}: {error}", "unreadable") from error
    if record.key != ticket.ticket.encode():
        raise Poison(f"{record.topic}: the record's key is not its ticket", "key")
    return ticket


def _read_feedback(record: Record) -> Feedback:
    try:
        feedback = _feedback.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"{record.topic}: not a {Feedback.TYPE}: {error}", "unreadable") from error
    if record.key != feedback.ticket.encode():
        raise Poison(f"{record.topic}: the record's key is not its ticket; key feedback by the ticket's id", "key")
    return feedback


def _refuse_unknown_words(correction: Correction, policy: Policy) -> None:
    """Raises Poison for a word that the agreement in force does not have, naming the ones it has."""
    matrix = policy.agreement.matrix
    if correction.category is not None and correction.category not in policy.ancestors:
        raise _unknown("category", correction.category, policy.ancestors)
    if correction.impact is not None and policy.impact(correction.impact) is None:
        raise _unknown("impact", correction.impact, matrix.impacts)
    if correction.urgency is not None and policy.urgency(correction.urgency) is None:
        raise _unknown("urgency", correction.urgency, matrix.urgencies)


def _unknown(field: str, said: str, known: Iterable[str]) -> Poison:
    near = difflib.get_close_matches(said, list(known), 3) or sorted(known)[:20]
    return Poison(f"the agreement has no {field} {said[:60]!r}; it has {', '.join(near)}")
