"""One line in the log for each decision, once it is committed: what somebody who is called at night greps for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ticket_contracts import topics
from ticket_contracts.cloudevents import Event, instant_text
from ticket_runtime.logs import DECISIONS
from ticket_runtime.outputs import Message

_TOPICS: Final = frozenset({topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.SLA_EVENTS, topics.TRANSFERS})
"""Where decisions are; notices and offers repeat them for others."""
_NAMED: Final = ("rule", "queue", "clock", "occurrence", "transfer_id", "agreement_version")
"""What is said of a decision where it has it: names and ids, never a text or a person."""
_TRACE: Final = ("ce_id", "ce_traceparent", "ce_correlationid")

_log = logging.getLogger(DECISIONS)


def tell(service: str, decided: Sequence[tuple[str, Event]], records: Sequence[Message]) -> None:
    """decided: topic and event of what was committed; records: as they were written, in the same order.

    The lines of a batch are one message of the logger, already as JSON: structlog takes ten times as long.
    """
    if not decided or not _log.isEnabledFor(logging.INFO):
        return
    now = instant_text(datetime.now(UTC))
    lines = [
        _line(now, service, topic, event, record)
        for (topic, event), record in zip(decided, records, strict=True)
        if topic in _TOPICS
    ]
    if lines:
        _log.info("\n".join(lines))


def _line(now: str, service: str, topic: str, event: Event, record: Message) -> str:
    said: dict[str, Any] = {
        "timestamp": now,
        "event": "decided",
        "logger": DECISIONS,
        "level": "info",
        "service": service,
        "topic": topic,
        "type": event.TYPE,
        "ticket": event.ticket,
        "decided_for": event.decided_for,
    }
    for name in _NAMED:
        value = getattr(event, name, None)
        if value is not None:
            said[name] = value
    for name, value in record.headers:
        if name in _TRACE:
            said[name[3:]] = value.decode()
    return _encode(said).decode()


_encode = msgspec.json.Encoder().encode
