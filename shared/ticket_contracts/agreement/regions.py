"""Sets of tickets as numbers: a bit for each value of each attribute that matters, and whether a set holds a ticket
that is in none of some others.

That is a search for an example, as a SAT solver goes about it: each of the other sets is a clause, "some attribute is
another".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

OTHERS: Final = "\0"
"""The value that stands for all that are not named; no document can name it."""
_MOST_STEPS: Final = 500
"""Of one search; what it has not found by then cannot be ruled out."""

Region = int
"""A set of tickets: the values that they have of each attribute, all combinations of them."""
Clause = tuple[tuple[int, int], ...]
"""A set that a ticket must not be in, as (values within, values outside) of each attribute that sets it apart."""


class Axis:
    """One attribute: its values as bits of a number in which those of all attributes have their place."""

    __slots__ = ("bits", "full", "name", "others", "values")

    def __init__(self, name: str, values: Sequence[str], place: int) -> None:
        self.name = name
        self.values = tuple(values)
        self.bits = {value: 1 << place + number for number, value in enumerate(values)}
        self.full = sum(self.bits.values())
        self.others = self.bits.get(OTHERS, 0)

    def mask(self, wanted: Iterable[object]) -> int:
        mask = 0
        for value in wanted:
            mask |= self.bits.get(str(value), 0)
        return mask

    def named(self, mask: int) -> tuple[str, ...]:
        return tuple(value for value, bit in self.bits.items() if mask & bit)


class Space:
    """All attributes. values: of each attribute, in order."""

    def __init__(self, values: dict[str, Sequence[str]]) -> None:
        self.axes: dict[str, Axis] = {}
        place = 0
        for name, those in values.items():
            self.axes[name] = Axis(name, those, place)
            place += len(those)
        self._parts = [axis.full for axis in self.axes.values()]
        self.all: Region = sum(self._parts)

    def having(self, axis: Axis, mask: int, region: Region | None = None) -> Region:
        """Of the region (or of all) the tickets with these values."""
        return (self.all if region is None else region) & (~axis.full | mask)

    def holds_some(self, region: Region) -> bool:
        return all(region & part for part in self._parts)

    def clause(self, region: Region) -> Clause:
        apart = [part for part in self._parts if region & part != part]
        return tuple((region & part, part & ~region) for part in apart)

    def search(self, region: Region, clauses: list[Clause]) -> Region | None:
        """Tickets of the region that are in none of these sets; None: there are none. Raises TimeoutError."""
        todo = [(region, clauses)]
        for _ in range(_MOST_STEPS):
            if not todo:
                return None
            part, left = todo.pop()
            settled = _settled(part, left)
            if settled is None:
                continue
            part, left = settled
            if not left:
                return part
            shortest = min(left, key=len)
            ways = [part & ~within for within, _ in shortest]
            todo += [(way, left) for way in sorted(ways, key=int.bit_count)]
        raise TimeoutError


def meets(region: Region, clause: Clause) -> bool:
    """Whether the region and the clause's set have a ticket in common."""
    return all(region & within for within, _ in clause)


def _settled(part: Region, clauses: list[Clause]) -> tuple[Region, list[Clause]] | None:
    """The part without what is certainly in one of the sets, and the sets that are still undecided; None: nothing is
    left of it."""
    while True:
        left: list[Clause] = []
        before = part
        for clause in clauses:
            outs: list[tuple[int, int]] = []
            for literal in clause:
                within, outside = literal
                if not part & within:
                    break
                if part & outside:
                    outs.append(literal)
            else:
                if not outs:
                    return None
                if len(outs) == 1:
                    part &= ~outs[0][0]
                else:
                    left.append(tuple(outs))
        if part == before:
            return part, left
        clauses = left
