"""Tickets of some customer, language, site, flag or whatever else an agreement names, for which nobody but the duty
owner is left at some minute.

Tickets that differ only in values that no rule and no contract names are answered alike, so one value stands for all of
these, and a set of tickets is a number: a bit for each value of each attribute. A rule leaves alone those of its
tickets that every open candidate refuses; that is a handful of such sets. Whether one of them holds a ticket that no
earlier rule takes is a search for an example.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from itertools import product
from typing import Final

import msgspec

from ticket_contracts.agreement.conditions import Condition, Hours, failed_hour
from ticket_contracts.agreement.model import Agreement, Priority, Queue
from ticket_contracts.agreement.regions import OTHERS, Axis, Region, Space, meets
from ticket_contracts.tickets import Channel, Kind

TIERS: Final = (0, 1, 2, 3)
PRIORITIES: Final[tuple[str, ...]] = typing.get_args(Priority)
_OPEN_ENDED: Final = ("customer", "site", "language", "group", "service")
"""Attributes whose values nobody lists: what is named, and one for all others."""
_FLAG: Final = "flag "
_VARIANT: Final = "-…"
_NEW: Final = {"status": "new", "cause": "first"}
GROUP: Final = "group"
"""The candidate of a rule that stands for the queue of the source's group."""
_TRIAGED: Final = "abstained"
"""Flags tickets that people triage; those asked about are classified."""


class Trait(msgspec.Struct, frozen=True):
    """What an attribute of a ticket is: one of these values, or (`other`) anything but these. A flag has its name in
    `values`; `other`: it is not set. plain: a plain ticket is so, too. `de-…`: German of any country."""

    attribute: str
    values: tuple[str, ...]
    other: bool = False
    plain: bool = False

    def __str__(self) -> str:
        if self.attribute == "vip":
            return "not of a VIP" if self.other else "of a VIP"
        if self.attribute == "flag":
            return f"without the flag {self.values[0]}" if self.other else f"with the flag {self.values[0]}"
        named = set(self.values)
        values = [v for v in self.values if not v.endswith(_VARIANT) or v.removesuffix(_VARIANT) not in named]
        return f"{self.attribute} {'other than ' if self.other else ''}{' or '.join(values)}"


class Exposed(msgspec.Struct, frozen=True):
    """Tickets with all of these traits that a rule (None: no rule at all) leaves to the duty owner. example: attribute
    -> value of one that no earlier rule takes; None: none was found in reasonable time, and none ruled out."""

    rule: str | None
    traits: tuple[Trait, ...]
    example: dict[str, str] | None


class SpecialTickets:
    """What an agreement makes of new tickets that are not plain. language: that of a plain one."""

    def __init__(self, agreement: Agreement, calendars: Mapping[str, Hours], language: str) -> None:
        self._agreement = agreement
        self._calendars = calendars
        self._plain = {"kind": "incident", "channel": "portal", "source": agreement.sources[0], "language": language}
        self._space = Space(_values(agreement))
        self._axes = self._space.axes
        routing = agreement.routing
        self._rules = [self._asks(rule.when) for rule in routing.rules]
        self._skills = [self._asks(rule.when) for rule in routing.skills]
        self._kept = {name: self._kept_inside(name) for name in agreement.partners}
        self._had = {name: _skills(queue) for name, queue in agreement.queues.items()}
        self._clauses = [[self._space.clause(region) for region in regions] for regions in self._rules]
        self._searched: dict[tuple[int, Region], _Searched] = {}

    # -- what is asked, as sets of tickets

    def _flag(self, name: str, is_set: bool, region: Region | None = None) -> Region:
        axis = self._axes[_FLAG + name]
        return self._space.having(axis, axis.bits["yes" if is_set else "no"], region)

    def _asks(self, when: Condition) -> list[Region]:
        """The new tickets of which a condition holds at some hour."""
        if when.queue is not None or when.age_at_least_minutes or when.transfers_at_least:
            return []
        for field, value in _NEW.items():
            wanted = getattr(when, field)
            if wanted is not None and value not in wanted:
                return []
        region = self._space.all
        for field in ("kind", "channel", "priority", "tier", "source", *_OPEN_ENDED):
            wanted = getattr(when, field)
            if wanted is not None:
                region = self._space.having(self._axes[field], self._axes[field].mask(wanted), region)
        if when.category is not None:
            region = self._space.having(self._axes["category"], self._subtrees(when.category), region)
        if when.vip is not None:
            region = self._space.having(self._axes["vip"], self._axes["vip"].bits["yes" if when.vip else "no"], region)
        for flag in when.flags_none or ():
            if flag != _TRIAGED:
                region = self._flag(flag, False, region)
        one_of = [region]
        if when.flags_any is not None:
            one_of = [self._flag(flag, True, region) for flag in when.flags_any if flag != _TRIAGED]
        return [region for region in one_of if self._space.holds_some(region)]

    def _subtrees(self, categories: Sequence[str]) -> int:
        above = self._agreement.ancestors
        return self._axes["category"].mask(c for c in above if not above[c].isdisjoint(categories))

    def _kept_inside(self, name: str) -> list[Region]:
        """The tickets that a contract, or where their data may be seen, keeps from a partner."""
        partner = self._agreement.partners[name]
        kept = [self._flag(flag, True) for flag in partner.never_flags if flag != _TRIAGED]
        allowed: list[tuple[str, int]] = []
        if partner.categories is not None:
            allowed.append(("category", self._subtrees(partner.categories)))
        if partner.customers is not None:
            allowed.append(("customer", self._axes["customer"].mask(partner.customers)))
        if partner.languages is not None:
            axis, spoken = self._axes["language"], set(partner.languages)
            allowed.append(("language", axis.mask(v for v in axis.values if {v, v.partition("-")[0]} & spoken)))
        kept += [self._space.having(self._axes[name], self._axes[name].full & ~mask) for name, mask in allowed]
        for rule in self._agreement.residency:
            if not partner.regions or not set(partner.regions) <= set(rule.regions):
                kept += self._asks(rule.when)
        return [region for region in kept if self._space.holds_some(region)]

    # -- by the hour

    def exposed(
        self, at: int, is_open: Callable[[str], bool], plain: Mapping[tuple[int, str], Iterable[str]]
    ) -> list[Exposed]:
        """For what tickets nobody is left but the duty owner at that second. is_open: whether a queue works. plain:
        (tier, category) -> priorities of the plain tickets for which that is so: of others it need not be said again.
        """
        duty = self._agreement.routing.duty_queue
        rules = self._agreement.routing.rules
        said = self._said(plain)
        asked = [self._hour_holds(rule.when, at) for rule in self._agreement.routing.skills]
        there = {name for name in self._agreement.queues if name != duty and is_open(name)}
        refused = cache(lambda name: self._refused(name, there, asked))
        active = 0
        found: list[Exposed] = []
        for number, rule in enumerate(rules):
            if not self._hour_holds(rule.when, at):
                continue
            for region in self._left_alone(number, rule.to, refused):
                found += self._exposed(number, region, active, said, rule.name)
            active |= 1 << number
        found += self._exposed(len(rules), self._space.all, active, said, None)
        return found

    def _hour_holds(self, when: Condition, at: int) -> bool:
        return failed_hour(when, at, self._calendars) is None

    def _said(self, plain: Mapping[tuple[int, str], Iterable[str]]) -> frozenset[Region]:
        """The tickets of which nothing need be said again."""
        tier, category, priority = (self._axes[name] for name in ("tier", "category", "priority"))
        categories: dict[tuple[int, int], int] = {}
        for (t, c), which in plain.items():
            key = tier.mask([t]), priority.mask(which)
            categories[key] = categories.get(key, 0) | category.bits[c]
        return frozenset(
            self._space.having(priority, some, self._space.having(category, mask, self._space.having(tier, t)))
            for (t, some), mask in categories.items()
        )

    def _left_alone(self, number: int, to: Sequence[str], refused: Callable[[str], list[Region]]) -> list[Region]:
        """Of a rule's tickets those that each of its candidates refuses, or that come to the duty queue."""
        regions = self._rules[number]
        for name in to:
            if name == self._agreement.routing.duty_queue or not regions:
                break
            regions = self._widest({region & other for region in regions for other in refused(name)})
        return regions

    def _refused(self, name: str, there: set[str], asked: list[bool]) -> list[Region]:
        """The tickets that a candidate does not take now."""
        if name == GROUP:
            return self._refused_by_groups(there, asked)
        if name not in there:
            return [self._space.all]
        queue = self._agreement.queues[name]
        refused = set() if queue.partner is None else set(self._kept[queue.partner])
        lacking = [
            [
                region
                for number, rule in enumerate(self._agreement.routing.skills)
                if asked[number] and not had.issuperset(rule.skills)
                for region in self._skills[number]
            ]
            for had in self._had[name]
        ]
        refused |= {
            reduce(int.__and__, regions) for regions in product(*lacking)
        }  # every group of its agents lacks one
        return self._widest(refused)

    def _refused_by_groups(self, there: set[str], asked: list[bool]) -> list[Region]:
        """The same of the queue that the source's group stands for; a group that nothing names stands for none."""
        axis = self._axes["group"]
        stand_for = self._agreement.routing.group_queues
        known = {group: bit for group, bit in axis.bits.items() if group in stand_for}
        refused = {self._space.having(axis, axis.full & ~sum(known.values()))}
        for group, bit in known.items():
            refused |= {
                self._space.having(axis, bit, region) for region in self._refused(stand_for[group], there, asked)
            }
        return self._widest(refused)

    def _widest(self, regions: set[Region]) -> list[Region]:
        """Without empty ones, and without those that lie in another."""
        found: list[Region] = []
        for region in sorted(regions, key=lambda r: (-r.bit_count(), r)):
            if self._space.holds_some(region) and not any(region & ~wider == 0 for wider in found):
                found.append(region)
        return found

    # -- an example

    def _exposed(
        self, number: int, region: Region, active: int, said: frozenset[Region], rule: str | None
    ) -> Iterator[Exposed]:
        """The exposure, if there is a ticket in the region that no active earlier rule takes and nothing is said of."""
        searched = self._searched.get((number, region))
        if searched is None:
            before = [n for n in range(number) if any(meets(region, clause) for clause in self._clauses[n])]
            searched = self._searched[number, region] = _Searched(tuple(self._traits(region)), before)
        for example, taken in searched.examples:
            if not taken & active and not any(example & ~one == 0 for one in said):
                yield Exposed(rule, searched.traits, self._told(example))
                return
        if any(tried & ~active == 0 and without <= said for tried, without in searched.without):
            return
        clauses = [clause for n in searched.earlier if active >> n & 1 for clause in self._clauses[n]]
        try:
            found = self._space.search(region, [*map(self._space.clause, said), *clauses])
        except TimeoutError:
            yield Exposed(rule, searched.traits, None)
            return
        if found is None:
            searched.without.append((active, said))
            return
        example = sum(self._typical(axis, found & axis.full) for axis in self._axes.values())
        taken = sum(1 << n for n in searched.earlier if any(example & ~one == 0 for one in self._rules[n]))
        searched.examples.append((example, taken))
        yield Exposed(rule, searched.traits, self._told(example))

    def _typical(self, axis: Axis, mask: int) -> int:
        """One value: that of a plain ticket, if it is among them."""
        return mask & self._plain_value(axis) or mask & -mask

    def _plain_value(self, axis: Axis) -> int:
        return axis.bits.get(self._plain.get(axis.name, OTHERS)) or axis.others or axis.bits.get("no", 0)

    def _told(self, example: Region) -> dict[str, str]:
        """attribute -> value; what is of no importance is left out."""
        named = {axis.name: axis.named(example & axis.full)[0] for axis in self._axes.values()}
        return {name: value for name, value in named.items() if value not in (OTHERS, "no")}

    def _traits(self, region: Region) -> Iterator[Trait]:
        """What the tickets have in common."""
        for axis in self._axes.values():
            mask = region & axis.full
            if mask == axis.full:
                continue
            plain = bool(mask & self._plain_value(axis))
            if axis.name == "vip":
                yield Trait("vip", (), other=plain, plain=plain)
            elif axis.name.startswith(_FLAG):
                yield Trait("flag", (axis.name.removeprefix(_FLAG),), other=plain, plain=plain)
            elif mask & axis.others:
                yield Trait(axis.name, axis.named(axis.full & ~mask), other=True, plain=plain)
            else:
                yield Trait(axis.name, axis.named(mask), plain=plain)


class _Searched(msgspec.Struct):
    """What is known of a region. earlier: rules that may take some of its tickets. examples: a ticket, and the earlier
    rules that take it. without: (active rules, said) with which there was none."""

    traits: tuple[Trait, ...]
    earlier: list[int]
    examples: list[tuple[Region, int]] = []
    without: list[tuple[int, frozenset[Region]]] = []


def _values(agreement: Agreement) -> dict[str, Sequence[str]]:
    """Every attribute with the values that matter."""
    routing = agreement.routing
    conditions = [
        *(rule.when for rule in routing.rules),
        *(rule.when for rule in routing.skills),
        *(rule.when for rule in agreement.residency),
    ]
    partners = list(agreement.partners.values())

    def named(field: str, more: Iterable[str] = ()) -> list[str]:
        return sorted({value for when in conditions for value in getattr(when, field) or ()} | set(more))

    languages = named("language", (x for p in partners for x in p.languages or ()))
    # A contract that has German has Austrian German; a rule means the word that it says.
    languages += sorted({x + _VARIANT for p in partners for x in p.languages or () if "-" not in x} - set(languages))
    flags = sorted(
        {*named("flags_any"), *named("flags_none"), *(f for p in partners for f in p.never_flags)} - {_TRIAGED}
    )
    return {
        "tier": [str(tier) for tier in TIERS],
        "category": list(agreement.ancestors),
        "priority": PRIORITIES,
        "kind": typing.get_args(Kind),
        "channel": typing.get_args(Channel),
        "source": agreement.sources,
        "vip": ("no", "yes"),
        "customer": [*named("customer", (x for p in partners for x in p.customers or ())), OTHERS],
        "language": [*languages, OTHERS],
        **{field: [*named(field), OTHERS] for field in ("site", "group", "service")},
        **{_FLAG + flag: ("no", "yes") for flag in flags},
    }


def _skills(queue: Queue) -> list[set[str]]:
    """Of each group of its agents; of all, where it has no groups."""
    return [{*queue.skills, *agents.skills} for agents in queue.groups.values()] or [set(queue.skills)]
