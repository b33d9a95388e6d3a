"""What a batch came to, kept until it is committed, and only then counted."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from operator import attrgetter
from typing import Final

from ticket_runtime.handling import Arrived, Outcome
from ticket_runtime.metrics import Metrics
from ticket_runtime.outputs import Collector, Message, trace_of
from ticket_runtime.task import Record

_TOPIC: Final = attrgetter("topic")


class Tally:
    """Of one task. `begin` and `message` around each message, then `settle` after its commit, or `drop`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._outcomes: defaultdict[tuple[str, Outcome], int] = defaultdict(int)  # all but what was handled
        self._reasons: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._handled: defaultdict[str, list[Record]] = defaultdict(list)
        self._seen: dict[str, int] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._topic = ""
        self._since = 0.0

    def begin(self, topic: str) -> None:
        """From here on time is spent on messages of this topic; called for a change of topic alone."""
        now = time.perf_counter()
        if self._topic:
            self._spent[self._topic] += now - self._since
        self._topic, self._since = topic, now

    def end(self) -> None:
        """No time is spent on messages any more."""
        self.begin("")

    def message(self, arrived: Arrived, topic: str, outcome: Outcome, out: Collector) -> None:
        """out: as handling the message left it."""
        if outcome == "handled" and out.cause is not None:
            self._handled[topic].append(out.cause)
        else:
            self._outcomes[topic, outcome] += 1
            if outcome == "dead_letter":
                self._reasons[topic, out.refused] += 1
        self._seen[topic] = arrived.timestamp

    def settle(self, written: list[Message], committed_at: float | None) -> None:
        """Counts all since the last commit. written: with it. committed_at: unix time of the desk, None in a replay."""
        metrics, group = self._metrics, self._metrics.group
        for (topic, outcome), number in self._outcomes.items():
            metrics.messages.labels(group, topic, outcome).inc(number)
        for (topic, reason), number in self._reasons.items():
            metrics.dead_letters.labels(group, topic, reason).inc(number)
        for topic, seconds in self._spent.items():
            metrics.handling.labels(group, topic).inc(seconds)
        for topic, timestamp in self._seen.items():
            metrics.saw(topic, timestamp / 1_000)
        for topic, records in self._handled.items():
            metrics.messages.labels(group, topic, "handled").inc(len(records))
            if committed_at is not None:
                ages = [max(committed_at - record.instant.timestamp(), 0.0) for record in records]
                oldest = records[ages.index(max(ages))]
                trace = trace_of(oldest)[0].traceparent.split("-")[1]
                metrics.event_age.labels(group, topic).observe_all(ages, trace)
        for topic, number in Counter(map(_TOPIC, written)).items():
            metrics.written.labels(group, topic).inc(number)
        self.drop()

    def drop(self) -> None:
        """What was handled since the last commit has not happened."""
        for kept in (self._outcomes, self._reasons, self._handled, self._seen, self._spent):
            kept.clear()
