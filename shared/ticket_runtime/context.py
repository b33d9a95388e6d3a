"""What the runtime hands to a service when it asks it for the work of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Work

if TYPE_CHECKING:
    from ticket_runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class TaskContext:
    """task: the partition number, 0 for a single task. agreements: the versions read so far, kept up to date. clock:
    the desk's, to tell what is said late, never to decide by; None in an in-memory desk."""

    task: int
    agreements: Agreements
    clock: Clock | None = None


class LiveView:
    """What HTTP routes may look at: the work of the tasks that run in this process right now, restored and fed.

    Handlers run between batches on the same event loop, so that they see whole decisions; what they see may not be
    committed yet.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, Work] = {}

    @property
    def tasks(self) -> Mapping[int, Work]:
        """Task number -> its work. Empty on a stand-by, and while a rebalance goes on."""
        return self._tasks

    def show(self, task: int, work: Work) -> None:
        self._tasks[task] = work

    def hide(self, task: int) -> None:
        self._tasks.pop(task, None)
