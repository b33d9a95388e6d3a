"""CloudEvents 1.0 in Kafka's binary mode: attributes are `ce_*` headers, the value is the data as JSON.

Source of the rules: CloudEvents 1.0.2, Kafka protocol binding, section 3.2; the extensions `correlationid`,
`causationid` and `traceparent` (distributed tracing extension) are strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ticket_contracts.ids import event_id

type_prefix = "relaydesk."
CONTENT_TYPE = b"application/json"
_SPEC_VERSION = b"1.0"

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time: an aware datetime, UTC; on the wire RFC 3339 with `Z`."""

_encoder = msgspec.json.Encoder(order="deterministic")


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What every event of Relaydesk has in common.

    ticket: the ticket's id, also the record's key.
    decided_for: the instant (UTC) that the decision was made for; never the moment of computing.
    """

    TYPE: ClassVar[str] = ""
    """The CloudEvents type, with its major version: `relaydesk.ticket.normalized.v1`."""

    ticket: str
    decided_for: Instant

    def identity(self) -> tuple[str | int, ...]:
        """The parts that, with the type, make this event the one it is; equal parts are the same event."""
        raise NotImplementedError


class Decision(Event, frozen=True, kw_only=True):
    """An event that a service decided, with all that is needed to decide it again.

    ticket_version: version of the normalized ticket it rests on (from 1; 0: none seen yet).
    classification_version: version of the classification it rests on (from 1; 0: none yet).
    rule: the name of the rule of the agreement, or of the protocol, that decided.
    agreement_version: digest of the agreement in force at `decided_for`.
    """

    ticket_version: int
    classification_version: int
    rule: str
    agreement_version: str


def ce_id(event: Event) -> str:
    """The deterministic `ce_id` of an event: 32 hex digits over its type and identity."""
    return event_id(event.TYPE, *event.identity())


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, whole seconds without a fraction: the one spelling used in headers and ids."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return _encoder.encode(at)[1:-1].decode()  # so spelled as well, in a fifth of the time of isoformat


def parse_instant(text: str) -> datetime:
    """The inverse of `instant_text`; any RFC 3339 offset is read. Raises ValueError, also without an offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"instant {text!r} has no offset; write it as 2026-03-02T09:00:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"instant {text!r} is before the year 1 or after 9999 in UTC") from None


class Trace(msgspec.Struct, frozen=True):
    """How an event hangs together with others.

    correlation: ce_id of the inbound message that began the chain. causation: ce_id of the direct cause.
    traceparent: W3C trace context; the trace id stays, the span id is the event's own.
    """

    correlation: str
    causation: str
    traceparent: str


def root_traceparent(correlation: str) -> str:
    """A W3C traceparent made from a correlation id, for chains whose sender gave none."""
    return f"00-{correlation}-{correlation[:16]}-01"


def follow(trace: Trace, cause_id: str, own_id: str) -> Trace:
    """The trace of an event caused by the one with `cause_id` and `trace`."""
    parts = trace.traceparent.split("-")
    parent = f"00-{parts[1]}-{own_id[:16]}-01" if len(parts) == 4 else root_traceparent(trace.correlation)
    return Trace(trace.correlation, cause_id, parent)


def headers(
    event_identity: str, event_type: str, source: str, subject: str, time: str, trace: Trace
) -> list[tuple[str, bytes]]:
    """The headers of one event, in the order that is written. `source` is `/relaydesk/<service>`."""
    return [
        ("content-type", CONTENT_TYPE),
        ("ce_specversion", _SPEC_VERSION),
        ("ce_id", event_identity.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", time.encode()),
        ("ce_correlationid", trace.correlation.encode()),
        ("ce_causationid", trace.causation.encode()),
        ("ce_traceparent", trace.traceparent.encode()),
    ]


def header_map(record_headers: Iterable[tuple[str, bytes]]) -> Mapping[str, bytes]:
    """Headers by name; of a repeated name the last counts, as Kafka's `lastHeader` reads it."""
    return dict(record_headers)


def encode(value: Any) -> bytes:
    """JSON bytes; the same value gives the same bytes."""
    return _encoder.encode(value)
