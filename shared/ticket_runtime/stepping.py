"""Following a replay: which round is being played, and what a task has to do in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from ticket_contracts import topics
from ticket_contracts.cloudevents import CONTENT_TYPE, encode
from ticket_contracts.time import Progress, TimeStep
from ticket_runtime.clock import Clock
from ticket_runtime.closing import quietly
from ticket_runtime.outputs import Message

_steps = msgspec.json.Decoder(TimeStep)


async def follow_steps(bootstrap: str, prefix: str, clock: Clock, moved: Callable[[], None]) -> None:
    """Moves the clock with every round that the replay names, from the last one on; ends when the replay is over."""
    time = TopicPartition(prefix + topics.TIME, 0)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=500,
    )
    await reader.start()
    try:
        reader.assign([time])
        end = (await reader.end_offsets([time]))[time]
        reader.seek(time, max(end - 1, 0))
        while clock.streaming:
            record = await reader.getone()
            clock.follow(_steps.decode(record.value))
            moved()
    finally:
        await quietly(reader.stop)


def ends_of(step: TimeStep, inputs: Mapping[TopicPartition, str]) -> dict[TopicPartition, int]:
    """Up to which offset each input partition of a task is consumed in this round. inputs: with their unprefixed
    topic. A topic that the replay does not name has nothing to consume."""
    return {tp: step.ends[topic][tp.partition] if topic in step.ends else 0 for tp, topic in inputs.items()}


def is_concerned(
    step: TimeStep,
    ends: Mapping[TopicPartition, int],
    worked_off: Mapping[TopicPartition, int],
    next_due: datetime | None,
) -> bool:
    """Whether a task must answer: something moved, or it has to fire. The replay computes the same from what it knows,
    and waits for exactly these tasks."""
    if any(end > worked_off[tp] for tp, end in ends.items()):
        return True
    return step.fire and next_due is not None and next_due <= step.instant


def answer(group: str, task: int, step: TimeStep, emitted: int, next_due: datetime | None) -> Message:
    progress = Progress(group=group, task=task, step=step.step, round=step.round, emitted=emitted, next_due=next_due)
    return Message(topics.PROGRESS, group.encode(), encode(progress), [("content-type", CONTENT_TYPE)], 0)
