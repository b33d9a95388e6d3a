"""The one clock of a process: the wall's, or a replay's."""

from __future__ import annotations

from datetime import UTC, datetime

from ticket_contracts.time import TimeStep


class Clock:
    """Where a service takes the desk's present from. Starts on the wall, or in a replay before its first step."""

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream
        self._step: TimeStep | None = None

    @property
    def streaming(self) -> bool:
        """Whether a replay leads. It ends for good with a step of mode `wall`."""
        return self._stream

    @property
    def step(self) -> TimeStep | None:
        """The round that the replay named last."""
        return self._step

    def follow(self, step: TimeStep) -> None:
        if step.mode == "wall":
            self._stream = False
        else:
            self._step = step

    def now(self) -> datetime:
        """The desk's present (UTC). In a replay nothing later than this has happened."""
        if not self._stream:
            return datetime.now(UTC)
        if self._step is None:
            raise RuntimeError("the replay has not named a step yet")
        return self._step.instant
