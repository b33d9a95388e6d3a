"""The topics, who writes each, and how each is kept. A desk's names may carry a prefix: several desks on one
cluster."""

from __future__ import annotations

import msgspec

INBOUND = "inbound."
KEYED = "tickets.keyed"
NORMALIZED = "tickets.normalized"
CLASSIFIED = "tickets.classified"
ROUTED = "tickets.routed"
QUEUES = "queues."
SLA_EVENTS = "sla.events"
TRANSFERS = "transfers"
ERASED = "tickets.erased"
OFFERS = "offers."
REPLIES = "replies."
REPLIES_INTERNAL = "replies.internal"
FEEDBACK = "tickets.feedback"
ARTICLES = "knowledge.articles"
AGREEMENT = "desk.agreement"
TIME = "desk.time"
PROGRESS = "desk.progress"
DEAD_LETTER = ".dead-letter"
CHANGELOG = ".changelog"

DAY_SECONDS = 86_400
KEPT_SECONDS = 400 * DAY_SECONDS
"""How long what was said is kept, where a topic says nothing else: a year's review, and some weeks to write it."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """How one topic is created.

    ticket_keyed: it has the desk's one partition count; otherwise a single partition.
    compacted: the last value of a key is kept for ever; otherwise records go after `retention_seconds`.
    broker_time: the record's timestamp is the broker's on a live desk, since the sender's cannot be trusted.
    """

    name: str
    written_by: str
    ticket_keyed: bool = True
    compacted: bool = False
    retention_seconds: int = KEPT_SECONDS
    broker_time: bool = False


def inbound(source: str) -> str:
    return INBOUND + source


def queue(name: str) -> str:
    return QUEUES + name


def offers(queue_name: str) -> str:
    return OFFERS + queue_name


def replies(partner: str) -> str:
    return REPLIES + partner


def dead_letter(topic: str) -> str:
    return topic + DEAD_LETTER


def changelog(group: str) -> str:
    return group + CHANGELOG


def desk_topics(sources: list[str], queues: list[str], partners: list[str]) -> list[Topic]:
    """Every topic of a desk with these sources, queues and partners, dead letters and changelogs included."""
    plain = [
        *(Topic(name=inbound(s), written_by="the tool, or intake's HTTP edge", broker_time=True) for s in sources),
        Topic(name=KEYED, written_by="intake"),
        Topic(name=NORMALIZED, written_by="intake"),
        Topic(name=CLASSIFIED, written_by="classifier"),
        Topic(name=ROUTED, written_by="router"),
        *(Topic(name=queue(q), written_by="router") for q in queues),
        Topic(name=SLA_EVENTS, written_by="sla-monitor"),
        Topic(name=TRANSFERS, written_by="handoff"),
        Topic(name=ERASED, written_by="handoff"),
        *(Topic(name=offers(q), written_by="handoff") for q in queues),
        *(Topic(name=replies(p), written_by=p, broker_time=True) for p in [*partners, "internal"]),
        Topic(name=FEEDBACK, written_by="ITSM tools, people", broker_time=True),
    ]
    consumed = [t for t in plain if not t.name.startswith((QUEUES, OFFERS))]
    return [
        *plain,
        *(Topic(name=dead_letter(t.name), written_by="any service") for t in consumed),
        Topic(name=ARTICLES, written_by="the knowledge base", ticket_keyed=False, compacted=True),
        Topic(name=AGREEMENT, written_by="the agreement command", ticket_keyed=False, compacted=True),
        Topic(name=TIME, written_by="replay", ticket_keyed=False),
        Topic(name=PROGRESS, written_by="services", ticket_keyed=False),
        *(Topic(name=changelog(g), written_by=g, compacted=True) for g in ("intake", "classifier", "sla-monitor")),
        Topic(name=changelog("router"), written_by="router", compacted=True, ticket_keyed=False),
        Topic(name="handoff.outbox", written_by="handoff (positions of its relay, no records)"),
    ]


def readers(topics: list[str]) -> dict[str, list[str]]:
    """Consumer group -> the topics of `topics` that it reads: who must have worked off what before a replay goes on."""
    wanted: dict[str, tuple[str, ...]] = {
        "intake": (INBOUND, KEYED, ERASED),
        "classifier": (NORMALIZED, FEEDBACK, ERASED),
        "router": (NORMALIZED, CLASSIFIED, TRANSFERS),
        "sla-monitor": (NORMALIZED, CLASSIFIED, ROUTED, TRANSFERS),
        "handoff": (NORMALIZED, CLASSIFIED, ROUTED, SLA_EVENTS, REPLIES),
    }
    return {
        group: [
            name
            for name in topics
            if not name.endswith(DEAD_LETTER)
            and any(name == w or (w.endswith(".") and name.startswith(w)) for w in names)
        ]
        for group, names in wanted.items()
    }
