"""What the driver makes of timers that go off in silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relaydesk_replay.driver import Driver, ReplayStuck
from relaydesk_replay.people import Habit, People

NOW = datetime(2016, 11, 7, tzinfo=UTC)


class Silent(Driver):
    """Of services that emit nothing. forgets: whether a timer that goes off is gone."""

    def __init__(self, *, forgets: bool) -> None:
        super().__init__("", "", [], 1, People({"*": Habit()}, {}), grain=timedelta(hours=1))
        self._forgets = forgets
        self._groups["router"].next_due[0] = NOW

    async def _one_round(self, instant: datetime, *, fire: bool) -> int:
        if fire and self._forgets:
            self._groups["router"].next_due.clear()
        return 0


async def test_replay_what_is_forgotten_in_silence_may_be_the_last_that_was_due() -> None:
    driver = Silent(forgets=True)
    await driver._work_off(NOW)
    assert driver._next_due() is None


async def test_replay_a_timer_that_neither_fires_nor_moves_is_an_error() -> None:
    with pytest.raises(ReplayStuck, match="router-0"):
        await Silent(forgets=False)._work_off(NOW)
