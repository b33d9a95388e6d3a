"""An agreement compiled for routing: made once for each version, asked for every decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal, Protocol

import msgspec

from business_calendar import Calendar
from ticket_contracts.agreement import Agreement, Condition, Published
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.conditions import ONE_OF
from ticket_contracts.agreement.model import Band, Partner, Queue, Residency
from ticket_contracts.agreement.terms import Kept, Terms
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.places import group_place

NEVER: Final = 1 << 62
"""The second in which a calendar closes that never does."""
_QUARTER: Final = 900

Forbidden = Kept | Literal["residency"]
"""What keeps a ticket from a partner, whatever the hour and the load."""


class Hours:
    """A calendar that remembers the window it was last asked about: decisions keep asking about the same hour."""

    __slots__ = ("_calendar", "_from", "_open", "_until")

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._from = self._until = 0
        self._open = False

    def _look(self, at: int) -> None:
        calendar = self._calendar
        self._open = calendar.is_open(at)
        change = calendar.next_close(at) if self._open else calendar.next_open(at)
        self._from, self._until = at, NEVER if change is None else change

    def is_open(self, at: int) -> bool:
        if not self._from <= at < self._until:
            self._look(at)
        return self._open

    def next_close(self, at: int) -> int:
        """The first closing after `at`; beyond all time when it never closes."""
        if self.is_open(at):
            return self._until
        change = self._calendar.next_close(at)
        return NEVER if change is None else change

    def next_open(self, at: int) -> int:
        if self.is_open(at):
            return at
        return self._until

    def next_change(self, at: int) -> int:
        self.is_open(at)
        return self._until

    def elapsed(self, start: int, end: int) -> int:
        """Working seconds between the two."""
        return self._calendar.elapsed(start, end)


class Contract(Terms):
    """What a partner may be given: its terms, hours, caps, and the fields it sees."""

    __slots__ = ("caps", "days", "fields", "hours", "name")

    def __init__(self, name: str, partner: Partner, hours: Hours, calendar: Calendar, agreement: Agreement) -> None:
        super().__init__(partner, agreement.ancestors)
        self.name = name
        self.hours = hours
        self.caps = partner.caps
        self.days = _LocalDays(calendar.zone)
        self.fields = frozenset(partner.fields)


class _LocalDays:
    """Days of one zone; remembers the last quarter of an hour, since zones change their offset at none finer."""

    __slots__ = ("_day", "_quarter", "_zone")

    def __init__(self, zone: dt.tzinfo) -> None:
        self._zone = zone
        self._quarter = -1
        self._day = ""

    def day(self, at: int) -> str:
        """The local date of an instant, `YYYY-MM-DD`."""
        quarter = at // _QUARTER
        if quarter != self._quarter:
            self._day = dt.datetime.fromtimestamp(at, self._zone).date().isoformat()
            self._quarter = quarter
        return self._day

    def next_midnight(self, at: int) -> int:
        tomorrow = dt.datetime.fromtimestamp(at, self._zone).date() + dt.timedelta(days=1)
        return int(dt.datetime.combine(tomorrow, dt.time(), self._zone).timestamp())


class _Group:
    """One group of a queue's agents. place: the name of its load."""

    __slots__ = ("capacity", "name", "place", "skills")

    def __init__(self, name: str, place: str, capacity: int | None, skills: frozenset[str]) -> None:
        self.name = name
        self.place = place
        self.capacity = capacity
        self.skills = skills

    def has_room(self, load: int, weight: int) -> bool:
        return self.capacity is None or load + weight <= self.capacity


class _Pauses:
    """Spans in which a queue receives nothing, as unix seconds; they may overlap."""

    __slots__ = ("_spans",)

    def __init__(self, queue: Queue) -> None:
        self._spans = sorted((int(p.begin.timestamp()), int(p.until.timestamp())) for p in queue.pauses)

    def hold(self, at: int) -> bool:
        return any(begin <= at < until for begin, until in self._spans)

    def next_change(self, at: int) -> int:
        return min((edge for span in self._spans for edge in span if edge > at), default=NEVER)


class QueuePlan:
    """One queue with its hours and, for a partner's, its contract."""

    __slots__ = (
        "automation", "capacity", "contract", "depth", "enabled", "groups", "hold", "hours", "internal", "lead",
        "name", "oldest", "overflow", "owner_role", "pauses", "skills", "support_model", "tier", "title", "wait",
        "weight",
    )  # fmt: skip

    def __init__(self, name: str, queue: Queue, hours: tuple[Hours, ...], contract: Contract | None) -> None:
        self.name = name
        self.title = queue.title
        self.tier = queue.tier
        self.owner_role = queue.owner_role
        self.support_model = queue.support_model
        self.internal = queue.support_model == "internal"
        self.automation = queue.support_model == "automation"
        self.enabled = queue.enabled
        self.pauses = _Pauses(queue) if queue.pauses else None
        self.capacity = queue.capacity
        self.weight = queue.weight
        self.skills = frozenset(queue.skills)
        self.groups = tuple(
            _Group(group, group_place(name, group), agents.capacity, self.skills.union(agents.skills))
            for group, agents in queue.groups.items()
        )
        overflow = queue.overflow
        self.overflow = overflow is not None
        self.depth = (
            None
            if overflow is None or overflow.above is None
            else Band(above=overflow.above, below=overflow.below or 0)
        )
        self.oldest = None if overflow is None else _in_seconds(overflow.oldest_minutes)
        self.wait = None if overflow is None else _in_seconds(overflow.wait_minutes)
        self.hold = 0 if overflow is None else 60 * overflow.hold_minutes
        self.lead = None if queue.close_lead_minutes is None else 60 * queue.close_lead_minutes
        self.hours = hours
        self.contract = contract

    def is_open(self, at: int) -> bool:
        return all(hours.is_open(at) for hours in self.hours)

    def is_paused(self, at: int) -> bool:
        return self.pauses is not None and self.pauses.hold(at)

    def next_close(self, at: int) -> int:
        """The first instant after `at` at which one of its calendars closes."""
        return min((hours.next_close(at) for hours in self.hours), default=NEVER)

    def skilled(self, needs: frozenset[str]) -> bool:
        """Whether somebody of the queue has all of these skills."""
        if not self.groups:
            return needs <= self.skills
        return any(needs <= group.skills for group in self.groups)

    def overflows(self, load: int, measured: Measured) -> bool:
        """Whether it overflows with this load: from `above` of any measure on, and once it does, until all have drained
        to `below`; before its hold is over, what it did."""
        before = measured.before
        if measured.held:
            return before
        for band, value in ((self.depth, load), (self.oldest, measured.oldest), (self.wait, measured.wait)):
            if band is not None and value is not None and (value > band.below if before else value >= band.above):
                return True
        return False

    def spares(self, load: int, weight: int, measured: Measured) -> bool:
        """Whether all its measures are at `below`, and so much more load does not bring one to `above`: what comes back
        does not make it overflow again."""
        if self.depth is not None and (load > self.depth.below or load + weight >= self.depth.above):
            return False
        times = ((self.oldest, measured.oldest), (self.wait, measured.wait))
        return all(band is None or value is None or value <= band.below for band, value in times)

    def open_seconds(self, start: int, end: int) -> int:
        """Seconds in which somebody works on it, at most: of several calendars the least."""
        return min((hours.elapsed(start, end) for hours in self.hours), default=end - start)

    def look_again(self, at: int) -> int | None:
        """When its open tickets are to be looked at next for its closing: the lead before, or, within that, the
        closing itself; None when they may stay."""
        if self.lead is None:
            return None
        close = self.next_close(at)
        if close >= NEVER:
            return None
        return close - self.lead if close - self.lead > at else close


def _in_seconds(minutes: Band | None) -> Band | None:
    return None if minutes is None else Band(above=60 * minutes.above, below=60 * minutes.below)


class Measured(msgspec.Struct, frozen=True):
    """What a queue's overflow is judged by beside its load. before: whether it overflowed when it was last looked at;
    held: that this cannot change yet. oldest: seconds that its oldest ticket has waited; wait: seconds that a newcomer
    is expected to; None: nothing waits, or the rate is not known."""

    before: bool = False
    held: bool = False
    oldest: int | None = None
    wait: int | None = None


class _Residue:
    """The parts of a condition that the index does not hold: they change with the clock or have no few values."""

    __slots__ = ("age", "closed", "closing", "closing_within", "open", "transfers")

    def __init__(self, when: Condition, hours: Mapping[str, Hours]) -> None:
        self.age = None if when.age_at_least_minutes is None else 60 * when.age_at_least_minutes
        self.transfers = when.transfers_at_least
        self.open = None if when.open is None else tuple(hours[name] for name in when.open)
        self.closed = () if when.closed is None else tuple(hours[name] for name in when.closed)
        self.closing = None if when.closing is None else hours[when.closing.calendar]
        self.closing_within = 0 if when.closing is None else 60 * when.closing.within_minutes

    @property
    def empty(self) -> bool:
        return (
            self.age is None
            and self.transfers is None
            and self.open is None
            and not self.closed
            and self.closing is None
        )

    def holds(self, facts: TicketFacts, at: int) -> bool:
        if self.age is not None and facts.age_seconds < self.age:
            return False
        if self.transfers is not None and facts.transfers < self.transfers:
            return False
        if self.open is not None and not any(hours.is_open(at) for hours in self.open):
            return False
        if any(hours.is_open(at) for hours in self.closed):
            return False
        closing = self.closing
        return closing is None or (closing.is_open(at) and closing.next_close(at) - at <= self.closing_within)


class _Conditional(Protocol):
    @property
    def when(self) -> Condition: ...


class RuleIndex:
    """Which rules a ticket can match, as one integer: bit n stands for rule n.

    For each field that rules ask about, value -> the rules that accept it. A decision is an AND over fields; what is
    left is walked from the lowest bit, so the first match is found without touching the rules passed over. That it
    finds what `conditions.matches` finds, rule by rule, is held by a property test.
    """

    def __init__(self, rules: Sequence[_Conditional], hours: Mapping[str, Hours], agreement: Agreement) -> None:
        self._all = (1 << len(rules)) - 1
        conditions = [rule.when for rule in rules]
        self._fields = [
            (attrgetter(name), *self._accepting([getattr(c, name) for c in conditions]))
            for name in ONE_OF
            if any(getattr(c, name) is not None for c in conditions)
        ]
        self._vip = self._accepting([None if c.vip is None else [c.vip] for c in conditions])
        self._queue = self._accepting([c.queue for c in conditions])
        self._cause = self._accepting([c.cause for c in conditions])
        below = [
            None
            if c.category is None
            else [name for name, above in agreement.ancestors.items() if not above.isdisjoint(c.category)]
            for c in conditions
        ]
        self._category = self._accepting(below)
        self._flags_any, self._no_flags_any = self._accepting([c.flags_any for c in conditions], add_free=False)
        self._flags_none, _ = self._accepting([c.flags_none for c in conditions], add_free=False)
        residues = [_Residue(c, hours) for c in conditions]
        self._residues: list[_Residue | None] = [None if r.empty else r for r in residues]

    @staticmethod
    def _accepting(
        wanted: Sequence[Sequence[object] | None], *, add_free: bool = True
    ) -> tuple[dict[object, int], int]:
        """value -> rules that accept it, and the rules that accept any (part of each, unless `add_free` is off)."""
        free = 0
        by_value: dict[object, int] = {}
        for number, values in enumerate(wanted):
            if values is None:
                free |= 1 << number
            for value in values or ():
                by_value[value] = by_value.get(value, 0) | 1 << number
        if add_free:
            by_value = {value: mask | free for value, mask in by_value.items()}
        return by_value, free

    def matching(self, facts: TicketFacts, queue: str | None, cause: str | None, at: int) -> Iterator[int]:
        """The numbers of the rules that hold at that instant, in order."""
        mask = self._all
        for read, by_value, free in self._fields:
            mask &= by_value.get(read(facts), free)
        by_value, free = self._category
        mask &= by_value.get(facts.category, free)
        by_value, free = self._vip
        mask &= by_value.get(facts.vip, free)
        by_value, free = self._queue
        mask &= by_value.get(queue, free)
        by_value, free = self._cause
        mask &= by_value.get(cause, free)
        any_of, none_of = self._no_flags_any, 0
        for flag in facts.flags:
            any_of |= self._flags_any.get(flag, 0)
            none_of |= self._flags_none.get(flag, 0)
        mask &= any_of & ~none_of
        residues = self._residues
        while mask:
            lowest = mask & -mask
            number = lowest.bit_length() - 1
            residue = residues[number]
            if residue is None or residue.holds(facts, at):
                yield number
            mask ^= lowest


class Policy:
    """An agreement as the router uses it. Raises ValueError when its duty queue or a rule's candidate is not there."""

    def __init__(self, version: str, agreement: Agreement, calendars: Mapping[str, Calendar]) -> None:
        self.version = version
        self.agreement = agreement
        self.calendars = calendars
        self.hours = {name: Hours(calendar) for name, calendar in calendars.items()}
        self.contracts = {
            name: Contract(name, partner, self.hours[partner.calendar], calendars[partner.calendar], agreement)
            for name, partner in agreement.partners.items()
        }
        self.queues: dict[str, QueuePlan] = {}
        self.partner_queues: dict[str, list[str]] = {name: [] for name in self.contracts}
        for name, queue in agreement.queues.items():
            contract = self.contracts[queue.partner] if queue.partner is not None else None
            named = [self.hours[queue.calendar]] if queue.calendar is not None else []
            if contract is not None:
                self.partner_queues[contract.name].append(name)
                if contract.hours not in named:
                    named.append(contract.hours)
            self.queues[name] = QueuePlan(name, queue, tuple(named), contract)
        routing = agreement.routing
        self.group_queues = routing.group_queues
        self.ping_pong_after = routing.ping_pong_after
        self.ping_pong_queue = self._known(routing.ping_pong_queue) if routing.ping_pong_queue else None
        self.duty = self._known(routing.duty_queue)
        self.people_decide = agreement.transfers.source_reassignment == "acknowledges"
        self.weights = {str(priority): weight for priority, weight in routing.weights.items()}
        self.kept_days = routing.ended_kept_days
        self._residency = [frozenset(rule.regions) for rule in agreement.residency]
        self._resides = RuleIndex(agreement.residency, self.hours, agreement)
        self._skills = [frozenset(rule.skills) for rule in routing.skills]
        self._asks = RuleIndex(routing.skills, self.hours, agreement)
        self.triage = next(
            (q for q in self.queues.values() if q.internal and q.enabled and q.owner_role == agreement.intake_duty),
            None,
        )
        self.rules = routing.rules
        self.candidates = [[c if c == GROUP else self._known(c).name for c in rule.to] for rule in routing.rules]
        self.names_abstained = [ABSTAINED in (rule.when.flags_any or ()) for rule in routing.rules]
        self.index = RuleIndex(routing.rules, self.hours, agreement)
        self._change_from = self._change_until = 0

    def _known(self, queue: str) -> QueuePlan:
        plan = self.queues.get(queue)
        if plan is None:
            raise ValueError(f"agreement {self.version}: routing names queue {queue!r}, which is not defined")
        return plan

    def weight(self, priority: str) -> int:
        """How much of a capacity a ticket of that priority takes."""
        return self.weights.get(priority, 1)

    def forbids(self, contract: Contract, facts: TicketFacts, at: int) -> Forbidden | None:
        """The part of the contract that keeps this ticket inside at that instant, if one does."""
        why = contract.keeps(facts)
        if why is None and self._residency:
            for number in self._resides.matching(facts, None, None, at):
                if not contract.sees(self._residency[number]):
                    return "residency"
        return why

    def residency_of(self, facts: TicketFacts, at: int) -> list[Residency]:
        """The rules that say where this ticket's data may be seen."""
        return [self.agreement.residency[number] for number in self._resides.matching(facts, None, None, at)]

    def needs(self, facts: TicketFacts, queue: str | None, cause: str | None, at: int) -> frozenset[str]:
        """The skills that the ticket asks of the agents who work on it."""
        if not self._skills:
            return _NO_SKILLS
        return _NO_SKILLS.union(*(self._skills[n] for n in self._asks.matching(facts, queue, cause, at)))

    def next_change(self, at: int) -> int | None:
        """The first instant after `at` at which a calendar opens or closes or a pause begins or ends: a decision may
        turn out otherwise then."""
        if not self._change_from <= at < self._change_until:
            self._change_from = at
            changes = [hours.next_change(at) for hours in self.hours.values()]
            changes += [plan.pauses.next_change(at) for plan in self.queues.values() if plan.pauses is not None]
            self._change_until = min(changes, default=NEVER)
        return None if self._change_until >= NEVER else self._change_until


class Policies:
    """Each version compiled once."""

    def __init__(self) -> None:
        self._by_version: dict[str, Policy] = {}

    def of(self, published: Published) -> Policy:
        """The policy of a version. Raises ValueError when it cannot be compiled."""
        policy = self._by_version.get(published.version)
        if policy is None:
            agreement = published.agreement
            policy = Policy(published.version, agreement, compile_calendars(agreement))
            self._by_version[published.version] = policy
        return policy


_NO_SKILLS: Final[frozenset[str]] = frozenset()
GROUP: Final = "group"
"""The candidate of a rule that stands for the queue of the source's group."""
ABSTAINED: Final = "abstained"
"""The flag that the router adds to the facts of a ticket whose classification abstained."""
