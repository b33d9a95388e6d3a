"""The people and partners of a replay: they see what any receiver sees on `offers.<queue>`, and answer as such.

What they do is drawn from a digest of the offer, never from a generator with a state: the same offer gets the same
answer in every replay, whatever came before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from ticket_contracts.ids import event_id
from ticket_contracts.transfers import OfferMade, Reply


@dataclass(frozen=True, slots=True)
class Habit:
    """How the receivers of some queues behave. after, until: seconds within which they answer (even spread).
    declines, silent: shares of offers, 0 to 1, that are declined with a reason, or never answered. escalates: share of
    what they accepted that they pass on, as long after it again, with a question."""

    after: int = 60
    until: int = 600
    declines: float = 0.0
    silent: float = 0.0
    escalates: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """at: when (UTC). principal: whose replies topic it goes to. then: what the same people say after it."""

    at: datetime
    principal: str
    reply: Reply
    then: Answer | None = None


@dataclass(frozen=True, slots=True)
class People:
    """habits: queue -> habit, `*` for all others. principals: queue -> whose replies topic its receivers write to."""

    habits: dict[str, Habit]
    principals: dict[str, str]
    seed: int = 1

    def answer(self, offer: OfferMade) -> Answer | None:
        """None for silence."""
        habit = self.habits.get(offer.queue, self.habits["*"])
        mood, pace, skill = self._draw(offer)
        if mood < habit.silent:
            return None
        declines = mood < habit.silent + habit.declines
        reply = Reply(
            transfer_id=offer.transfer_id,
            reply_id=event_id("replay-reply", self.seed, *offer.identity()[1:]),
            action="decline" if declines else "accept",
            ticket=offer.ticket,
            attempt=offer.attempt,
            digest=offer.digest,
            reason="no free hands for this one" if declines else None,
            actor=offer.receiver,
        )
        taken = timedelta(seconds=int(habit.after + pace * (habit.until - habit.after)))
        principal, at = self.principals.get(offer.queue, "internal"), offer.decided_for + taken
        if declines or skill >= habit.escalates:
            return Answer(at, principal, reply)
        question = Reply(
            reply_id=event_id("replay-escalation", self.seed, offer.transfer_id, offer.attempt),
            action="escalate",
            ticket=offer.ticket,
            reason="what else can be done here?",
            actor=offer.receiver,
        )
        return Answer(at, principal, reply, Answer(at + taken, principal, question))

    def _draw(self, offer: OfferMade) -> tuple[float, float, float]:
        digest = hashlib.sha256(f"{self.seed}/{offer.transfer_id}/{offer.attempt}".encode()).digest()
        mood, pace, skill = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8, 16))
        return mood, pace, skill
