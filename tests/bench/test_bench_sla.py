"""What the monitor costs: memory and restoring of a million open clocks, CPU of an event, and how that grows.

CPU is the process's own time, so that what else the machine does is left out; memory is the resident set of a process
of its own that imports all that the service imports.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from bench.least import least_us
from sla_monitor.domain.clocks import next_due, scheduled
from sla_monitor.domain.packing import Packing
from sla_monitor.domain.state import Clock, Ticket
from sla_monitor.handlers import SlaWork
from ticket_contracts.agreement import Agreement
from ticket_contracts.cloudevents import Event
from ticket_runtime.outputs import Collector
from unit.sla.sla_desk import HOUR, MONDAY, TICKET, Desk, FakeAgreements, agreement, record_of, resolution

pytestmark = pytest.mark.bench

CONTENT = agreement(
    {
        "critical": resolution(4 * HOUR, None, when={"priority": ["P1", "P2"]}),
        "fix": resolution(80 * HOUR, "eight_to_six", when={"priority": ["P3", "P4"]}),
    }
)
OPEN_CLOCKS = 1_000_000
MEMORY_MB, RESTORE_SECONDS = 500, 15
NOTHING, STARTED = 2.5, 6
"""Times what reading and writing the message costs."""
TEXT = "Since this morning the connection drops every few minutes. " * 10


def template(content: Agreement = CONTENT) -> Ticket:
    """An open ticket as it stands after its first events: one clock on it."""
    desk = Desk(content)
    desk.open("09:00", text=TEXT, customer="acme-industries", group="network-operations", service="remote-access")
    desk.route("09:00")
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert len(ticket.clocks) == 1
    return ticket


def packed_at(ticket: Ticket, later: int, work: SlaWork, packing: Packing) -> bytes:
    """The same ticket, opened so many seconds later."""
    rules = work.book.version(ticket.clocks[0].version)

    def moved(clock: Clock) -> Clock:
        terms = rules.terms(clock.policy)
        assert terms is not None
        at = clock.started + later
        return scheduled(msgspec.structs.replace(clock, started=at, floor=at, known=at), terms)

    copied = msgspec.structs.replace(
        ticket,
        created=ticket.created + later,
        through=ticket.through + later,
        history=[msgspec.structs.replace(entry, at=entry.at + later) for entry in ticket.history],
        clocks=[moved(clock) for clock in ticket.clocks],
    )
    copied.due = next_due(copied)
    return packing.pack(copied)


def fill(work: SlaWork, count: int) -> tuple[float, int]:
    """Restores so many tickets; returns CPU seconds of restoring and building the queue, and bytes of all values."""
    ticket, packing, size, spent = template(), Packing(), 0, 0.0
    step = 90 * 86_400 / count
    for begin in range(0, count, 10_000):
        values = [
            (f"servicenow:prod:INC{number:07}".encode(), packed_at(ticket, int(number * step), work, packing))
            for number in range(begin, min(begin + 10_000, count))
        ]
        size += sum(len(value) for _, value in values)
        started = time.process_time()
        for key, value in values:
            work.restore(key, value)
        spent += time.process_time() - started
    for number, word in packing.take_new():
        work.restore(b"~word:%d" % number, word.encode())
    started = time.process_time()
    work.next_due()
    return spent + time.process_time() - started, size


def memory_of_a_million() -> dict[str, float]:
    # What the service's process holds besides.
    import fastapi  # noqa: F401
    import uvicorn  # noqa: F401

    import sla_monitor.__main__  # noqa: F401
    import ticket_runtime.service  # noqa: F401

    work = SlaWork(FakeAgreements(CONTENT))
    before = resident_mb()
    spent, size = fill(work, OPEN_CLOCKS)
    gc.collect()
    return {
        "before_mb": before,
        "after_mb": resident_mb(),
        "restore_cpu_seconds": spent,
        "bytes_per_ticket": size / OPEN_CLOCKS,
    }


def resident_mb(process: int | str = "self") -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_bench_sla_a_million_open_clocks() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from bench.test_bench_sla import *; print(json.dumps(memory_of_a_million()))"],
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout)
    print(  # noqa: T201
        f"\n{OPEN_CLOCKS:,} open clocks: {found['after_mb']:.0f} MB resident ({found['before_mb']:.0f} MB without), "
        f"{found['bytes_per_ticket']:.0f} B a ticket in the changelog, "
        f"restored in {found['restore_cpu_seconds']:.1f} s of CPU without reading it"
    )
    assert found["after_mb"] <= MEMORY_MB
    assert found["restore_cpu_seconds"] <= RESTORE_SECONDS


def cost_us(work: SlaWork, events: list[Event], out: Collector) -> float:
    """CPU microseconds of an event, as the runtime hands it over; the outputs are encoded as they are sent."""
    records = [record_of(event) for event in events]
    gc.collect()
    started = time.process_time()
    for record in records:
        out.begin(record)
        work.handle(record, out)
    spent = time.process_time() - started
    out.take()
    return spent / len(records) * 1e6


def told(count: int, tell: Callable[[Desk, str], object]) -> tuple[Desk, list[Event]]:
    heard: list[Event] = []
    desk = Desk(CONTENT)
    desk.feed = heard.append  # type: ignore[method-assign, assignment]
    for number in range(count):
        tell(desk, f"itsm:one:{number}")
    return desk, heard


def test_bench_sla_cpu_of_an_event() -> None:
    count = 3_000
    fields = {"text": TEXT, "customer": "acme", "group": "network-operations", "service": "remote-access"}
    desk, created = told(count, lambda d, ticket: d.ticket("09:00", ticket, status="open", **fields))
    work, out = desk.work, Collector("/relaydesk/sla-monitor", 0)
    cost = {"created": cost_us(work, created, out)}
    heard: list[Event] = []
    desk.feed = heard.append  # type: ignore[method-assign, assignment]

    def after(name: str, tell: Callable[[str], object]) -> None:
        heard.clear()
        for number in range(count):
            tell(f"itsm:one:{number}")
        cost[name] = cost_us(work, list(heard), out)

    after("started", lambda ticket: desk.classify("09:00", ticket=ticket))
    after("routed and stated", lambda ticket: desk.route("09:00", ticket=ticket))
    after("nothing changes", lambda ticket: desk.ticket("09:10", ticket, text=TEXT + "!"))
    least = least_us([record_of(event) for event in heard])
    after("paused", lambda ticket: desk.ticket("10:00", ticket, status="on_hold"))
    after("resumed", lambda ticket: desk.ticket("11:00", ticket, status="open"))
    after("met", lambda ticket: desk.ticket("12:00", ticket, status="resolved"))
    print("\nCPU µs an event: " + ", ".join(f"{name} {spent:.0f}" for name, spent in cost.items()))  # noqa: T201
    print(f"a ticket's message read and written: {least:.1f} µs")  # noqa: T201
    assert cost["nothing changes"] <= NOTHING * least
    assert cost["started"] <= STARTED * least


def test_bench_sla_cost_does_not_grow_with_the_open_clocks() -> None:
    spent = {}
    for size in (1_000, 300_000):
        work = SlaWork(FakeAgreements(CONTENT))
        fill(work, size)
        _, heard = told(2_000, lambda d, ticket: d.open("09:00", ticket=ticket))
        spent[size] = cost_us(work, heard, Collector("/relaydesk/sla-monitor", 0))
        due = work.next_due()
        assert due is not None
        started = time.process_time()
        out = Collector("/relaydesk/sla-monitor", 0)
        out.begin(None)
        work.fire(MONDAY + timedelta(days=40), out)
        fired = len(out.take()[0])
        spent[-size] = (time.process_time() - started) / fired * 1e6
        print(f"\n{size:,} open: {spent[size]:.0f} µs an event, {spent[-size]:.0f} µs a warning or breach ({fired:,})")  # noqa: T201
    assert spent[300_000] <= 1.6 * spent[1_000]
