"""The small parts: agreements by instant, the clock, a round's business, who gets the single task, metrics, topics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from prometheus_client import generate_latest

from ticket_contracts.time import TimeStep
from ticket_contracts.topics import Topic
from ticket_runtime.agreements import Agreements
from ticket_runtime.assignor import SingleTaskAssignor
from ticket_runtime.clock import Clock
from ticket_runtime.metrics import Metrics
from ticket_runtime.stepping import ends_of, is_concerned
from ticket_runtime.task import Transient
from ticket_runtime.topics import configs_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def published(version: str, effective_at: datetime) -> Any:
    return SimpleNamespace(version=version, effective_at=effective_at)


class TestAgreements:
    def test_without_one_a_decision_waits(self) -> None:
        with pytest.raises(Transient, match="no agreement has been published"):
            Agreements().in_force(NOON)

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            (NOON - 1000 * HOUR, "first"),
            (NOON, "first"),
            (NOON + HOUR - timedelta(microseconds=1), "first"),
            (NOON + HOUR, "second"),
            (NOON + 3 * HOUR, "again"),
        ],
    )
    def test_the_version_is_chosen_by_the_instant_never_by_arrival(self, at: datetime, expected: str) -> None:
        later, first, second = (
            published("again", NOON + 2 * HOUR),
            published("first", NOON),
            published("second", NOON + HOUR),
        )
        assert Agreements([first, later, second]).in_force(at).version == expected

    def test_of_two_that_begin_together_the_later_published_counts(self) -> None:
        agreements = Agreements([published("a", NOON), published("z", NOON + HOUR), published("b", NOON + HOUR)])
        assert agreements.in_force(NOON + HOUR).version == "b"

    def test_a_content_that_comes_back_into_force_is_found_at_both_times(self) -> None:
        agreements = Agreements([published("a", NOON), published("b", NOON + HOUR), published("a", NOON + 2 * HOUR)])
        assert [agreements.in_force(NOON + n * HOUR).version for n in range(3)] == ["a", "b", "a"]

    def test_a_version_that_was_not_read_yet_is_waited_for(self) -> None:
        agreements = Agreements([published("a", NOON)])
        assert agreements.version("a").version == "a"
        with pytest.raises(Transient, match="agreement b has not been read yet"):
            agreements.version("b")


def step(fire: bool = False, mode: Any = "stream", **ends: list[int]) -> TimeStep:
    return TimeStep(mode=mode, step=1, round=2, instant=NOON, ends=dict(ends), fire=fire)


class TestClock:
    def test_a_replay_has_no_present_before_its_first_step(self) -> None:
        with pytest.raises(RuntimeError, match="has not named a step"):
            Clock(stream=True).now()

    def test_it_is_the_steps_instant_until_the_replay_is_over(self) -> None:
        clock = Clock(stream=True)
        clock.follow(step())
        assert (clock.now(), clock.streaming) == (NOON, True)
        clock.follow(step(mode="wall"))
        assert not clock.streaming
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


class TestStepping:
    INPUTS = {TopicPartition("p.left", 1): "left", TopicPartition("p.right", 1): "right"}

    def test_a_task_consumes_its_own_partition_up_to_the_ends(self) -> None:
        ends = ends_of(step(left=[5, 7]), self.INPUTS)
        assert ends == {TopicPartition("p.left", 1): 7, TopicPartition("p.right", 1): 0}

    @pytest.mark.parametrize(
        ("name", "worked_off", "fire", "due", "expected"),
        [
            ("an input moved", 6, False, None, True),
            ("nothing moved", 7, False, None, False),
            ("due, and asked to fire", 7, True, NOON, True),
            ("due later", 7, True, NOON + timedelta(seconds=1), False),
            ("due, but not asked to fire", 7, False, NOON, False),
            ("asked to fire, nothing is due", 7, True, None, False),
        ],
    )
    def test_who_is_concerned(
        self, name: str, worked_off: int, fire: bool, due: datetime | None, expected: bool
    ) -> None:
        left = TopicPartition("p.left", 1)
        asked = step(fire=fire, left=[5, 7])
        assert is_concerned(asked, {left: 7}, {left: worked_off}, due) is expected, name


class TestSingleTask:
    def test_the_eldest_gets_everything_and_the_others_stand_by(self) -> None:
        cluster = SimpleNamespace(partitions_for_topic=lambda topic: {1, 0})
        members = {
            name: ConsumerProtocolMemberMetadata(0, ["b", "a"], started.to_bytes(8, "big"))
            for name, started in (("a-newcomer", 300), ("z-the-eldest", 100), ("m", 200))
        }
        assigned = SingleTaskAssignor.assign(cluster, members)
        assert {name: list(got.assignment) for name, got in assigned.items()} == {
            "a-newcomer": [],
            "m": [],
            "z-the-eldest": [("a", [0, 1]), ("b", [0, 1])],
        }


class TestTopicConfigs:
    @pytest.mark.parametrize(
        ("topic", "live", "expected"),
        [
            (Topic(name="in", written_by="x", broker_time=True), True, ("LogAppendTime", "34560000000", None)),
            (Topic(name="in", written_by="x", broker_time=True), False, ("CreateTime", "-1", None)),
            (Topic(name="own", written_by="x"), True, ("CreateTime", "34560000000", None)),
            (Topic(name="c", written_by="x", compacted=True), True, ("CreateTime", None, "compact")),
        ],
    )
    def test_who_stamps_and_what_is_kept(
        self, topic: Topic, live: bool, expected: tuple[str, str | None, str | None]
    ) -> None:
        configs = configs_of(topic, live=live)
        kept = configs.get("retention.ms"), configs.get("cleanup.policy")
        assert (configs["message.timestamp.type"], *kept) == expected

    def test_a_dead_letter_holds_the_largest_message_and_its_reason(self) -> None:
        largest = int(configs_of(Topic(name="in", written_by="x", broker_time=True), live=True)["max.message.bytes"])
        dead = int(configs_of(Topic(name="in.dead-letter", written_by="x"), live=True)["max.message.bytes"])
        assert 10 * 1024 * 1024 < largest < dead - 64 * 1024


def test_every_metric_has_the_prefix_and_a_base_unit() -> None:
    metrics = Metrics("g")
    metrics.messages.labels("g", "t", "handled").inc()
    names = {line.split(" ")[2] for line in generate_latest(metrics.registry).decode().splitlines() if "# TYPE" in line}
    assert names
    assert all(name.startswith("relaydesk_") for name in names)
    assert not [name for name in names if "milli" in name or name.endswith("_ms")]
