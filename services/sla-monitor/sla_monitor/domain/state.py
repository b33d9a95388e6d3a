"""What the monitor remembers of a ticket. It is packed in memory as in the changelog (`packing`), whence the arrays.

Instants are integer unix seconds (UTC), unless a name ends in `_us` (microseconds).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from ticket_contracts.agreement.counting import Phase


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What policies may ask of a ticket. priority is None until it was classified; queue until it was routed.

    reported_flags: the source's; flags: the classifier's.
    """

    status: str = "new"
    channel: str = "api"
    customer: str | None = None
    site: str | None = None
    language: str | None = None
    vip: bool = False
    group: str | None = None
    service: str | None = None
    reported_flags: tuple[str, ...] = ()
    kind: str = "incident"
    category: str | None = None
    priority: str | None = None
    impact: str = ""
    urgency: str = ""
    tier: int = 1
    flags: tuple[str, ...] = ()
    queue: str | None = None


FIELDS = Facts.__struct_fields__
NO_FACTS = Facts()


class Origin(IntEnum):
    """Where an entry of the history comes from. Of one version at one instant they count in this order, however they
    came.
    """

    TICKET = 0
    CLASSIFIED = 1
    ROUTED = 2
    MOVED = 3
    ASKED = 4
    ANSWERED = 5
    AGREEMENT = 6


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A change of what matters to clocks. at: when it happened. lag_us: from then to what its event was decided for.

    version: of the ticket that it rests on. delta: index in `FIELDS`, value, index, value, ...; of a comment empty, or,
    where its own time is ahead of the desk's, that time alone, so that it is known when it comes again.
    """

    at: int
    lag_us: int
    origin: Origin
    version: int
    delta: list[Any] = []

    @property
    def decided_us(self) -> int:
        return self.at * 1_000_000 + self.lag_us

    @property
    def order(self) -> tuple[int, int, int]:
        return self.at, self.version, self.origin


class Standing(msgspec.Struct, array_like=True):
    """What the history has come to at an instant; folded from it entry by entry.

    seen: a normalized version was. statuses: (from, status) in order. queue_since, group_since: since when it is with
    the present holder.
    asked: the oldest customer's message that nobody answered, 0: none. first_answer, last_answer: public, by an agent;
    0: none.
    """

    facts: Facts = NO_FACTS
    seen: bool = False
    statuses: list[tuple[int, str]] = []
    queue_since: int = 0
    group_since: int = 0
    asked: int = 0
    first_answer: int = 0
    last_answer: int = 0

    def absorb(self, entry: Entry) -> None:
        if entry.origin is Origin.ASKED:
            self.asked = self.asked or entry.at
        elif entry.origin is Origin.ANSWERED:
            self.asked = 0
            self.first_answer = self.first_answer or entry.at
            self.last_answer = entry.at
        elif entry.origin is not Origin.AGREEMENT:
            self.seen = self.seen or entry.origin is Origin.TICKET
            delta = entry.delta
            changed = {FIELDS[delta[i]]: delta[i + 1] for i in range(0, len(delta), 2)}
            for flags in ("flags", "reported_flags"):
                if flags in changed:
                    changed[flags] = tuple(changed[flags])
            before = self.facts
            self.facts = facts = msgspec.structs.replace(before, **changed)
            if facts.status != before.status or not self.statuses:
                self.statuses.append((entry.at, facts.status))
            if facts.queue != before.queue:
                self.queue_since = entry.at
            if facts.group != before.group:
                self.group_since = entry.at


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """A warning or breach that was emitted. seconds: the threshold, 0 for the breach. due: its instant.

    generation: in which it counts. under: whose id it has; another one only where a generation began with a correction.
    started: what its clock counted from; 0: said before that was written down.
    """

    generation: int
    goal: int
    seconds: int
    wall: bool
    due: int
    under: int
    started: int = 0

    def means(self, said: Notice) -> bool:
        """Whether that one, which was said, says this."""
        if said.started not in (0, self.started):
            return False
        return (self.goal, self.seconds, self.wall) == (said.goal, said.seconds, said.wall)


class Clock(msgspec.Struct, frozen=True, array_like=True):
    """One clock. name: its kind, with `:<transfer id>` where it runs on one. version: of the agreement it runs under.

    floor: nothing of this generation is due before it: the later of the generation's beginning and the last resumption.
    0: late news left nothing of the clock; should it begin after all, its former pauses say nothing.
    known: when the desk learnt of that; what was due between the two is decided for this instant.
    goal: seconds of working time; business_days: where it was agreed as so many of them, that number.
    pauses: from, until, from, until, ...; of odd length while it does not count. deadline, due (of the next notice): 0
    for none.
    """

    name: str
    policy: str
    version: str
    generation: int
    sequence: int
    goal: int
    started: int
    floor: int
    known: int
    phase: Phase
    pauses: list[int] = []
    deadline: int = 0
    due: int = 0
    said: list[Notice] = []
    queue: str | None = None
    business_days: int | None = None

    @property
    def closed_pauses(self) -> list[tuple[int, int]]:
        pauses = self.pauses
        return [(pauses[i], pauses[i + 1]) for i in range(0, len(pauses) - 1, 2)]

    def pauses_until(self, at: int) -> list[tuple[int, int]]:
        """All pauses, one that goes on cut at `at`."""
        found = self.closed_pauses
        if len(self.pauses) % 2 and self.pauses[-1] < at:
            found.append((self.pauses[-1], at))
        return found


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A routed decision of which nothing was stated yet, since the versions that it rests on were not seen."""

    decision: int
    decided_us: int
    queue: str
    ticket_version: int
    classification_version: int


class Judged(msgspec.Struct, frozen=True, array_like=True):
    """A classification, as far as policies may ask. ticket_version: of the ticket that it judged, and holds from."""

    ticket_version: int
    version: int
    decided_us: int
    kind: str
    category: str | None
    priority: str
    impact: str
    urgency: str
    tier: int
    flags: tuple[str, ...]


class Base(msgspec.Struct, frozen=True, array_like=True):
    """What entries that are no longer kept came to: a history is kept to a length, and older entries are settled."""

    standing: Standing
    clocks: list[Clock]
    through: int


class Ticket(msgspec.Struct, array_like=True):
    """All that is remembered of one ticket. due comes first, so that it can be read without the rest: the instant of
    the next notice; 0: there is none; negative: the day (since 1970, UTC) from which on nobody needs to know the
    ticket.

    created: 0 until a normalized version was seen. through: the latest instant that was applied or fired.
    comments: public ones seen. transfers: the clocks of open offers and transfers. early: classifications of versions
    that were not seen yet. lives_from: generations are counted from the one after it; 0 unless the ticket was known
    before, and forgotten.
    """

    due: int = 0
    created: int = 0
    ticket_version: int = 0
    classification_version: int = 0
    decision: int = 0
    transfer_sequence: int = 0
    comments: int = 0
    through: int = 0
    history: list[Entry] = []
    clocks: list[Clock] = []
    transfers: list[Clock] = []
    waiting: list[Waiting] = []
    early: list[Judged] = []
    base: Base | None = None
    lives_from: int = 0
