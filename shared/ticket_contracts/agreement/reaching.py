"""Which routing rules can decide at all, whatever the ticket, the hour and the load.

A rule decides of no ticket when its own parts exclude one another, or when the rules before it, taken together, leave
nothing to it. What tickets can be is taken as wide as it may be: calendars open and close as they like unless one never
closes, so that what is said here is certain; what cannot be proven is not said.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from business_calendar import Calendar
from ticket_contracts.agreement.conditions import Condition
from ticket_contracts.agreement.model import Agreement, Priority
from ticket_contracts.agreement.regions import OTHERS, Axis, Clause, Region, Space, meets
from ticket_contracts.tickets import ENDED, Channel, Kind, Status

_LISTED: Final[Mapping[str, Sequence[str]]] = {
    "kind": typing.get_args(Kind),
    "channel": typing.get_args(Channel),
    "priority": typing.get_args(Priority),
    "tier": ("0", "1", "2", "3"),
    "status": [status for status in typing.get_args(Status) if status not in ENDED],
}
"""Attributes with all values that a ticket can have which is routed."""
_OPEN_ENDED: Final = ("customer", "site", "language", "source", "group", "service", "queue", "cause")
_ANY_TIME: Final = 4_102_444_800
"""2100: the year in which `checking` has its calendars compiled already."""
_AT_LEAST: Final = ("age_at_least_minutes", "transfers_at_least")


class Reach:
    """What is left to each of these conditions, of which the first that holds decides. calendars: compiled."""

    def __init__(
        self, conditions: Sequence[Condition], agreement: Agreement, calendars: Mapping[str, Calendar]
    ) -> None:
        self._agreement = agreement
        self._conditions = conditions
        self._space = Space(_values(conditions, agreement, calendars))
        self._never = [self._space.clause(region) for region in self._impossible()]
        self._regions = [self._asks(when) for when in conditions]
        self._clauses = [[self._space.clause(region) for region in regions] for regions in self._regions]

    def contradiction(self, number: int) -> list[str]:
        """The parts of a condition that exclude one another; empty: none certainly do."""
        if not self._empty(self._regions[number], []):
            return []
        when = self._conditions[number]
        parts = [name for name in Condition.model_fields if getattr(when, name) is not None]
        without = {name: self._asks(when.model_copy(update={name: None})) for name in parts}
        return [name for name in parts if not self._empty(without[name], [])] or parts

    def covered_by(self, number: int) -> list[int]:
        """Earlier conditions of which always one holds when this one does, as few as leave nothing to it; empty: it has
        something, as far as can be told."""
        region_of = self._regions[number]
        before = [
            n
            for n in range(number)
            if any(meets(region, clause) for region in region_of for clause in self._clauses[n])
        ]
        if not region_of or not self._empty(region_of, before):
            return []
        for n in list(before):
            fewer = [other for other in before if other != n]
            if self._empty(region_of, fewer):
                before = fewer
        return before

    def _empty(self, regions: Sequence[Region], before: Sequence[int]) -> bool:
        """Whether certainly no ticket of these regions is left by those conditions."""
        clauses: list[Clause] = [*self._never, *(clause for n in before for clause in self._clauses[n])]
        try:
            return all(self._space.search(region, clauses) is None for region in regions)
        except TimeoutError:
            return False

    def _axis(self, name: str) -> Axis:
        return self._space.axes[name]

    def _asks(self, when: Condition) -> list[Region]:
        """The tickets and hours of which a condition holds."""
        space, region = self._space, self._space.all

        def only(name: str, wanted: Sequence[object], of: Region) -> Region:
            return space.having(self._axis(name), self._axis(name).mask(wanted), of)

        for field in (*_LISTED, *_OPEN_ENDED):
            wanted = getattr(when, field)
            if wanted is not None:
                region = only(field, wanted, region)
        if when.category is not None:
            above = self._agreement.ancestors
            region = only("category", [c for c in above if not above[c].isdisjoint(when.category)], region)
        if when.vip is not None:
            region = only("vip", ["yes" if when.vip else "no"], region)
        for field in _AT_LEAST:
            least = getattr(when, field)
            if least is not None:
                region = only(field, [v for v in self._axis(field).values if int(v) >= least], region)
        for flag in when.flags_none or ():
            region = only(f"flag {flag}", ["no"], region)
        for name in when.closed or ():
            region = only(f"calendar {name}", ["closed"], region)
        closing = when.closing
        if closing is not None:
            axis = self._axis(f"closing {closing.calendar}")
            region = only(
                axis.name, [v for v in axis.values if v != OTHERS and int(v) <= closing.within_minutes], region
            )
        one_of: list[list[Region]] = []
        if when.flags_any is not None:
            one_of.append([only(f"flag {flag}", ["yes"], region) for flag in when.flags_any])
        if when.open is not None:
            one_of.append([only(f"calendar {name}", ["open"], region) for name in when.open])
        found = [region]
        for ways in one_of:
            found = [one & way for one, way in product(found, ways)]
        return [region for region in found if space.holds_some(region)]

    def _impossible(self) -> list[Region]:
        """A calendar that closes soon is open."""
        space = self._space
        found = []
        for name, axis in space.axes.items():
            calendar = space.axes.get("calendar " + name.removeprefix("closing "))
            if name.startswith("closing ") and calendar is not None and "closed" in calendar.bits:
                soon = space.having(axis, axis.full & ~axis.others)
                found.append(space.having(calendar, calendar.bits["closed"], soon))
        return [region for region in found if space.holds_some(region)]


def _values(
    conditions: Sequence[Condition], agreement: Agreement, calendars: Mapping[str, Calendar]
) -> dict[str, Sequence[str]]:
    """Every attribute with the values that matter."""

    def named(field: str) -> list[str]:
        return sorted({value for when in conditions for value in getattr(when, field) or ()})

    closing = {when.closing.calendar for when in conditions if when.closing is not None}
    within: dict[str, set[int]] = {name: set() for name in closing}
    for when in conditions:
        if when.closing is not None:
            within[when.closing.calendar].add(when.closing.within_minutes)
    never = {name for name, calendar in calendars.items() if _never_closes(calendar)}
    return {
        **_LISTED,
        **{field: [*named(field), OTHERS] for field in _OPEN_ENDED},
        "category": [*agreement.ancestors, OTHERS],
        "vip": ("no", "yes"),
        **{f"flag {flag}": ("no", "yes") for flag in sorted({*named("flags_any"), *named("flags_none")})},
        **{
            f"calendar {name}": ("open",) if name in never else ("open", "closed")
            for name in sorted({*named("open"), *named("closed"), *closing})
        },
        **{
            f"closing {name}": [OTHERS] if name in never else [*map(str, sorted(minutes)), OTHERS]
            for name, minutes in sorted(within.items())
        },
        **{
            field: [
                "0",
                *map(str, sorted({v for when in conditions if (v := getattr(when, field)) is not None and v > 0})),
            ]
            for field in _AT_LEAST
        },
    }


def _never_closes(calendar: Calendar) -> bool:
    """Without days of their own all its weeks are alike, and one tells."""
    alike = not calendar.spec.holidays and not calendar.spec.special
    return alike and calendar.is_open(_ANY_TIME) and calendar.next_close(_ANY_TIME) is None
