"""One message through the work: its instant, its trace, its dead letter, its limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis.strategies import datetimes, just, timezones

from ticket_contracts.cloudevents import Event, instant_text
from ticket_runtime.handling import (
    DLT,
    ONLY_FOR_GROUP,
    DeadLetterCount,
    DeadLetterLimit,
    TooManyDeadLetters,
    handle,
    to_record,
)
from ticket_runtime.outputs import Collector
from ticket_runtime.task import Outputs, Poison, Record, Transient
from ticket_runtime.testing import StoredRecord

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


class Said(Event, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "test.said.v1"

    def identity(self) -> tuple[str | int, ...]:
        return (self.ticket,)


@given(datetimes(timezones=timezones() | just(UTC), allow_imaginary=False))
def test_an_instant_has_one_spelling(at: datetime) -> None:
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        return  # beyond the years 1 and 9999
    assert instant_text(at) == utc.isoformat().removesuffix("+00:00") + "Z"


class Doing:
    """Does what it is given for each message."""

    def __init__(self, what: Callable[[Record, Outputs], None]) -> None:
        self.what = what

    def restore(self, key: bytes, value: bytes | None) -> None: ...

    def handle(self, record: Record, out: Outputs) -> None:
        self.what(record, out)

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


def arrived(topic: str = "tickets.normalized", **more: object) -> StoredRecord:
    given: dict[str, object] = {
        "topic": topic,
        "partition": 3,
        "offset": 17,
        "timestamp": int(EARLIER.timestamp() * 1_000),
        "key": b"a:b:1",
        "value": b"{}",
        "headers": (("ce_id", b"f" * 32), ("ce_time", b"2026-03-02T08:30:00.5Z")),
    }
    return StoredRecord(**{**given, **more})  # type: ignore[arg-type]


def emit(record: Record, out: Outputs) -> None:
    out.emit("out", Said(ticket="a:b:1", decided_for=record.instant))


class TestInstant:
    def test_our_own_events_say_when_they_happened(self) -> None:
        record = to_record(arrived(), "tickets.normalized", NOW)
        assert record.instant == datetime(2026, 3, 2, 8, 30, 0, 500_000, tzinfo=UTC)

    @pytest.mark.parametrize("topic", ["inbound.web", "replies.acme", "tickets.feedback"])
    def test_what_others_write_happened_when_the_record_was_stamped(self, topic: str) -> None:
        assert to_record(arrived(topic), topic, NOW).instant == EARLIER

    @pytest.mark.parametrize("stamp", [int(NOW.timestamp() * 1_000) + 1, -1, 2**62])
    def test_but_never_later_than_the_desks_present(self, stamp: int) -> None:
        assert to_record(arrived("inbound.web", timestamp=stamp), "inbound.web", NOW).instant == NOW

    @pytest.mark.parametrize("said", [b"yesterday", b"2026-03-02T08:30:00", b"\xff\xfe"])
    def test_a_wrong_time_is_told(self, said: bytes) -> None:
        with pytest.raises(ValueError, match="ce_time is not an RFC 3339 instant"):
            to_record(arrived(headers=(("ce_time", said),)), "tickets.normalized", NOW)


class TestTrace:
    def outputs(self, record: StoredRecord) -> dict[str, bytes]:
        out = Collector("/relaydesk/test", 3)
        handle(record, record.topic, NOW, Doing(emit), out, "test")
        return dict(out.messages[0].headers)

    def test_a_chain_keeps_its_correlation_and_names_its_cause(self) -> None:
        parent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
        headers = (*arrived().headers, ("ce_correlationid", b"c" * 32), ("ce_traceparent", parent))
        said = self.outputs(arrived(headers=headers))
        assert said["ce_correlationid"] == b"c" * 32
        assert said["ce_causationid"] == b"f" * 32
        assert said["ce_traceparent"] == b"00-" + b"a" * 32 + b"-" + said["ce_id"][:16] + b"-01"

    def test_a_message_from_outside_begins_one(self) -> None:
        said = self.outputs(arrived("inbound.web", headers=()))
        assert said["ce_correlationid"] == said["ce_causationid"]
        again = self.outputs(arrived("inbound.web", headers=()))
        assert said == again

    @pytest.mark.parametrize(
        "parent", [b"", b"00-zz-1-01", b"nonsense", b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01"]
    )
    def test_a_traceparent_that_is_none_is_made_anew(self, parent: bytes) -> None:
        said = self.outputs(arrived("inbound.web", headers=(("ce_id", b"not hex"), ("traceparent", parent))))
        version, trace, span, flags = said["ce_traceparent"].decode().split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
        assert int(trace, 16) > 0


class TestOutputs:
    def test_a_key_that_is_the_records_own_stays_on_its_partition(self) -> None:
        out = Collector("/relaydesk/test", 3)
        handle(arrived(), "tickets.normalized", NOW, Doing(emit), out, "test")
        handle(arrived(key=b"another"), "tickets.normalized", NOW, Doing(emit), out, "test")
        assert [message.partition for message in out.messages] == [3, None]

    def test_forwarding_keeps_the_bytes_and_headers_and_adds_ours(self) -> None:
        def forward(record: Record, out: Outputs) -> None:
            given = [("content-type", b"text/plain"), ("x-token", b"\xff"), ("ce_id", b"theirs")]
            out.forward("tickets.keyed", b"a:b:1", b"\x00raw", given, "ours")

        out = Collector("/relaydesk/test", None)
        handle(arrived("inbound.web"), "inbound.web", NOW, Doing(forward), out, "test")
        (message,) = out.messages
        said = dict(message.headers)
        assert (message.value, said["x-token"], said["content-type"]) == (b"\x00raw", b"\xff", b"text/plain")
        assert (said["ce_id"], said["ce_time"]) == (b"ours", b"2026-03-02T11:00:00Z")
        assert [name for name, _ in message.headers].count("ce_id") == 1

    @pytest.mark.parametrize("error", [Transient("later"), ZeroDivisionError()])
    def test_what_a_failed_message_gave_out_is_dropped(self, error: Exception) -> None:
        def fail(record: Record, out: Outputs) -> None:
            emit(record, out)
            out.store(b"k", b"v")
            raise error

        out = Collector("/relaydesk/test", 3)
        handle(arrived(), "tickets.normalized", NOW, Doing(emit), out, "test")
        with pytest.raises(type(error)):
            handle(arrived(), "tickets.normalized", NOW, Doing(fail), out, "test")
        messages, stored = out.take()
        assert (len(messages), stored) == (1, [])


class TestDeadLetters:
    def test_the_reason_is_cut_and_old_headers_are_not_carried_on(self) -> None:
        def fail(record: Record, out: Outputs) -> None:
            raise Poison("x" * 5_000)

        headers = (*arrived().headers, (ONLY_FOR_GROUP, b"test"), (DLT + "original-topic", b"old"))
        out = Collector("/relaydesk/test", 3)
        assert handle(arrived(headers=headers), "tickets.normalized", NOW, Doing(fail), out, "test") == "dead_letter"
        (message,) = out.messages
        names = [name for name, _ in message.headers]
        said = dict(message.headers)
        assert message.topic == "tickets.normalized.dead-letter"
        assert len(said[DLT + "exception-message"]) == 2_000
        assert said[DLT + "original-topic"] == b"tickets.normalized"
        assert ONLY_FOR_GROUP not in names
        assert len(names) == len(set(names))

    def test_a_message_for_another_group_is_passed_by_before_it_is_looked_at(self) -> None:
        out = Collector("/relaydesk/test", 3)
        record = arrived(headers=((ONLY_FOR_GROUP, b"another"),))
        assert handle(record, "tickets.normalized", NOW, Doing(emit), out, "test") == "not_for_us"
        assert out.messages == []


class TestLimit:
    LIMIT = DeadLetterLimit(consecutive=3, ratio=0.5, window=10)

    def judge(self, outcomes: str) -> None:
        count = DeadLetterCount()
        for outcome in outcomes:
            count.count(self.LIMIT, dead=outcome == "x")

    @pytest.mark.parametrize("outcomes", ["..........", "xx.xx.", "x..x..x..x..x..", "xx..xx...." * 3])
    def test_single_bad_messages_are_no_fault_of_ours(self, outcomes: str) -> None:
        self.judge(outcomes)

    @pytest.mark.parametrize(
        ("outcomes", "said"), [(".xxx", "3 messages in a row"), ("xx.xx.x.x.", "6 of the last 10")]
    )
    def test_but_many_are(self, outcomes: str, said: str) -> None:
        with pytest.raises(TooManyDeadLetters, match=said):
            self.judge(outcomes)
