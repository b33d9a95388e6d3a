"""Nothing is lost and nothing happens twice, whatever is done to the processes: results, restored state, joined inputs.

The audit reads committed records only and knows what was sent. Each fault is counted as a hit only where it met pending
work, and the same audit must find what is wrong once a protection is taken away.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import backends
from chaos.chaos_desk import ChaosDesk, Plan
from relaydesk_local import BackendError
from relaydesk_local.jars import kafka_jars
from relaydesk_local.java import find_java

SHORT = Plan(seed=1, messages=6_000, work_seconds=0.003, faults=9, broker_restarts=1)
LONG = Plan(seed=2, messages=60_000, work_seconds=0.002, faults=60, broker_restarts=3)
WITHOUT_FENCE = Plan(seed=3, messages=3_000, work_seconds=0.003, faults=3, kinds={"freeze": 1}, without="fence")
WITHOUT_GATE = Plan(seed=4, messages=3_000, work_seconds=0.003, faults=3, kinds={"kill": 1, "add": 1}, without="gate")


# Each run is bounded by itself, so that what it leaves behind is told apart from a hang.
pytestmark = pytest.mark.timeout(4_000)


@pytest.fixture(scope="module", autouse=True)
def _can_run() -> None:
    """The broker is a process of the test's own, for it is restarted as well."""
    try:
        kafka_jars()
        find_java()
    except BackendError as error:
        backends.unavailable(str(error))


def hits(desk: ChaosDesk) -> Counter[str]:
    return Counter(fault.kind for fault in desk.faults if fault.hit)


async def test_each_result_once_and_none_missing(tmp_path: Path) -> None:
    desk = ChaosDesk(SHORT, tmp_path)
    findings = await desk.run(most_seconds=900)
    assert findings.violations == 0, findings.examples
    assert hits(desk).total() == len(desk.faults) == 10
    assert {"kill", "freeze", "restart broker"} <= set(hits(desk))


@pytest.mark.long
async def test_each_of_sixty_thousand_results_once_and_none_missing(tmp_path: Path) -> None:
    desk = ChaosDesk(LONG, tmp_path)
    findings = await desk.run(most_seconds=3_600)
    assert findings.violations == 0, findings.examples
    assert hits(desk).total() == len(desk.faults) == 63
    assert hits(desk)["kill"] >= 15
    assert hits(desk)["freeze"] >= 10
    assert hits(desk)["restart broker"] == 3


async def test_without_the_fence_a_sleeper_that_wakes_writes_results_again(tmp_path: Path) -> None:
    desk = ChaosDesk(WITHOUT_FENCE, tmp_path)
    findings = await desk.run(most_seconds=900)
    assert hits(desk)["freeze"] == 3
    assert findings.twice > 0


async def test_without_the_gate_what_was_fetched_under_another_assignment_is_handled_again(tmp_path: Path) -> None:
    desk = ChaosDesk(WITHOUT_GATE, tmp_path)
    findings = await desk.run(most_seconds=900)
    assert findings.twice > 0
