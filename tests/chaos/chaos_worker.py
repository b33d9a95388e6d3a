"""A small service for the fault tests, run as a process of its own. It does three things to each message of two topics:

- copies it, so that every result can be counted;
- counts the messages of its key, so that the state it was restored with can be checked;
- joins it with its other half from the other topic, whichever comes first.

`--without fence` and `--without gate` take a protection away, to show that the audit would find its lack.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from datetime import datetime
from typing import ClassVar

import msgspec

from ticket_contracts.cloudevents import Event
from ticket_runtime.context import TaskContext
from ticket_runtime.loop import Loop
from ticket_runtime.runner import TaskRunner
from ticket_runtime.service import ServiceSpec, run_service
from ticket_runtime.settings import RuntimeSettings
from ticket_runtime.task import Outputs, Poison, Record

GROUP = "chaos"
LEFT, RIGHT = "chaos.left", "chaos.right"
COPIED, COUNTED, JOINED = "chaos.copied", "chaos.counted", "chaos.joined"
WORK_SECONDS = float(os.environ.get("CHAOS_WORK_SECONDS", "0"))
"""Of each message, so that there is always something in work when a fault comes."""


class Copied(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "chaos.copied.v1"

    side: str
    number: int

    def identity(self) -> tuple[str | int, ...]:
        return self.side, self.number


class Counted(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "chaos.counted.v1"

    count: int

    def identity(self) -> tuple[str | int, ...]:
        return self.ticket, self.count


class Joined(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "chaos.joined.v1"

    number: int

    def identity(self) -> tuple[str | int, ...]:
        return (self.number,)


class ChaosWork:
    def __init__(self, context: TaskContext) -> None:
        self._counts: dict[bytes, int] = {}
        self._waiting: dict[bytes, str] = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        kind, name = key[:2], key[2:]
        if kind == b"c:":
            self._counts[name] = int(value or b"0")
        elif value is None:
            self._waiting.pop(name, None)
        else:
            self._waiting[name] = value.decode()

    def handle(self, record: Record, out: Outputs) -> None:
        time.sleep(WORK_SECONDS)
        assert record.key is not None
        ticket, side = record.key.decode(), record.topic
        try:
            number = msgspec.json.decode(record.value or b"", type=int)
        except msgspec.DecodeError:
            raise Poison("the value is no number") from None
        out.emit(COPIED, Copied(ticket=ticket, decided_for=record.instant, side=side, number=number))

        count = self._counts.get(record.key, 0) + 1
        out.store(b"c:" + record.key, str(count).encode())
        out.emit(COUNTED, Counted(ticket=ticket, decided_for=record.instant, count=count))
        self._counts[record.key] = count

        half = str(number).encode()
        other = self._waiting.get(half)
        if other is None:
            out.store(b"j:" + half, side.encode())
            self._waiting[half] = side
        elif other != side:
            out.store(b"j:" + half, None)
            out.emit(JOINED, Joined(ticket=ticket, decided_for=record.instant, number=number))
            del self._waiting[half]

    def fire(self, now: datetime, out: Outputs) -> None:
        """Has no timers."""

    def next_due(self) -> datetime | None:
        return None


class WithoutFence(Loop):
    """Each process has ids of its own: the former owner of a task is not fenced."""

    def _transactional_id(self, number: int) -> str:
        return f"{super()._transactional_id(number)}-{uuid.uuid4().hex}"


class WithoutGate(Loop):
    """Records go to a task from the moment that it is assigned, whichever assignment they were fetched under."""

    def _takes_records(self, runner: TaskRunner) -> bool:
        return runner.state == "opening" or super()._takes_records(runner)

    def _is_current(self, generation: int) -> bool:
        return True


LOOPS = {None: Loop, "fence": WithoutFence, "gate": WithoutGate}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", choices=["fence", "gate"])
    options = parser.parse_args()
    spec = ServiceSpec(name=GROUP, inputs=[LEFT, RIGHT], make_work=ChaosWork, needs_agreement=False)
    return run_service(spec, RuntimeSettings(), LOOPS[options.without])


if __name__ == "__main__":
    raise SystemExit(main())
