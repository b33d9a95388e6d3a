"""What one ticket takes of the desk: places in queues and groups of agents, and where it waits since when."""

from __future__ import annotations

import msgspec


class Holding(msgspec.Struct, frozen=True):
    """weight: how much of a capacity it takes. places: queues, and `queue/group` for a group of agents. waits: the
    queues in which it waits to be worked on, with the unix second since when."""

    weight: int = 1
    places: tuple[str, ...] = ()
    waits: tuple[tuple[str, int], ...] = ()

    def of(self, place: str) -> int:
        """Its share of that place's load."""
        return self.weight if place in self.places else 0


NOWHERE = Holding()


def group_place(queue: str, group: str) -> str:
    """The name of a group's load; no queue's name holds a slash."""
    return f"{queue}/{group}"
