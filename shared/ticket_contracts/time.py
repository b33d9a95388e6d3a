"""The clock of a replay, and who has worked off which step."""

from __future__ import annotations

from typing import Literal

import msgspec

from ticket_contracts.cloudevents import Instant


class TimeStep(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one step of a replay, written to `desk.time`.

    mode: `stream`: follow this topic; `wall`: the replay is over, go on by the wall clock.
    step, round: counted from 0; a round is worked off before the next is named.
    instant: nothing later than this has happened yet (UTC).
    ends: topic -> end offset of each partition; a task consumes up to these and no further.
    fire: also fire what is due at or before `instant`. A step settles its inputs first, so that a stop that came in
        time is seen before the clock that it stops.
    """

    mode: Literal["stream", "wall"]
    step: int
    round: int
    instant: Instant
    ends: dict[str, list[int]]
    fire: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A task's answer to a round, in the transaction of what it did; to `desk.progress`.

    group: consumer group; task: its partition number. emitted: records written in this round, changelogs not counted.
    next_due: the earliest instant at which this task has something to fire, if any.
    """

    group: str
    task: int
    step: int
    round: int
    emitted: int
    next_due: Instant | None
