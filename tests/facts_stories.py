"""Made-up histories of tickets as the lifecycle topics would hold them, and a recount of them in plain Python that
shares nothing with the SQL it is compared with."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Approval, Published, digest
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, ce_id, encode
from ticket_contracts.ids import transfer_id
from ticket_contracts.routing import RoutingInputs, TicketFacts, TicketRouted
from ticket_contracts.sla import ClockEvent, ClockInputs
from ticket_contracts.tickets import Comment, Feedback, TicketDuplicate, TicketNormalized
from ticket_contracts.transfers import OwnerChanged, TransferAccepted, TransferCompleted, TransferRequested

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SATURDAY = MONDAY + timedelta(days=5, hours=12)

TIERS = {"service-desk": 1, "owls-first": 1, "owls-site": 2, "network": 2, "duty": 2}
PARTNERS = {"owls-first": "owls", "owls-site": "owls"}

AGREEMENT = Agreement.model_validate(
    {
        "title": "A desk with one partner",
        "parties": [
            {"name": "Example", "side": "company"},
            {"name": "Night Owls", "side": "partner", "partner": "owls"},
        ],
        "sources": ["generic"],
        "taxonomy": [{"id": "vpn", "title": "VPN"}, {"id": "mail", "title": "Mail"}, {"id": "sap", "title": "SAP"}],
        "matrix": {
            "impacts": ["high", "low"],
            "urgencies": ["high"],
            "priorities": {"high": {"high": "P1"}, "low": {"high": "P3"}},
        },
        "classification": {"defaults": {"impact": "low", "urgency": "high"}},
        "calendars": {"always": {"zone": "UTC", "hours": {"mon": [["09:00", "17:00"]]}}},
        "owners": {
            "night": {"title": "Night shift", "kind": "rota", "side": "partner", "members": ["Nora"]},
            "duty": {"title": "Duty manager", "kind": "duty", "members": ["Dora"]},
        },
        "intake_duty": "duty",
        "duty": "duty",
        "partners": {
            "owls": {
                "title": "Night Owls",
                "calendar": "always",
                "fields": ["priority"],
                "price_per_ticket": {1: 12.5, 2: 80},
            }
        },
        "queues": {
            name: {
                "title": name.title(),
                "support_model": "partner" if name in PARTNERS else "internal",
                "tier": tier,
                "owner_role": "night" if name in PARTNERS else "duty",
                **({"partner": PARTNERS[name]} if name in PARTNERS else {}),
            }
            for name, tier in TIERS.items()
        },
        "routing": {"rules": [{"name": "all", "to": ["service-desk"]}], "duty_queue": "duty"},
        "sla": {"resolution": {"clock": "resolution", "goals": [{"seconds": 28800}]}},
    }
)
PUBLISHED = Published(
    version=digest(AGREEMENT),
    effective_at=MONDAY - timedelta(days=30),
    approvals=[Approval(party=party.name, name="Ines", at=MONDAY) for party in AGREEMENT.parties],
    agreement=AGREEMENT,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A record to be: topic without prefix, ce_id, ce_type, key, value."""

    topic: str
    ce_id: str
    ce_type: str
    key: str
    value: bytes


def said(topic: str, event: Event) -> Said:
    return Said(topic, ce_id(event), event.TYPE, event.ticket, encode(event))


def agreement(without_the_partner_from: datetime | None = None) -> Said:
    published = PUBLISHED
    if without_the_partner_from is not None:
        inside = {name: queue for name, queue in AGREEMENT.queues.items() if queue.partner is None}
        alone = AGREEMENT.model_copy(update={"partners": {}, "queues": inside, "parties": AGREEMENT.parties[:1]})
        changed = {"version": digest(alone), "agreement": alone, "effective_at": without_the_partner_from}
        published = PUBLISHED.model_copy(update=changed)
    version = published.version
    value = published.model_dump_json(exclude_defaults=True).encode()
    return Said(topics.AGREEMENT, version, "relaydesk.agreement.published.v1", version, value)


@dataclass(slots=True)
class Story:
    """What became of one ticket, as its teller knows it. stays: (queue, from when). breached: its resolution clock,
    judged at the breach or when it was last met. told_at: the last thing that happened."""

    ticket: str
    opened_at: datetime
    category: str = "vpn"
    priority: str = "P3"
    articles: bool = False
    corrected: bool = False
    stays: list[tuple[str, datetime]] = field(default_factory=list)
    resolved_at: datetime | None = None
    reopened: bool = False
    breached: bool = False
    judged_at: datetime | None = None
    told_at: datetime = MONDAY
    csat: int | None = None
    records: list[Said] = field(default_factory=list)

    def side_at(self, instant: datetime) -> str:
        """Whose queue had it just before that instant."""
        held = next((queue for queue, since in reversed(self.stays) if since < instant), None)
        return "partner" if held in PARTNERS else "internal"


def make_stories(count: int, seed: int = 1) -> list[Story]:
    """Tickets of a week, each with its records in the order in which they were decided."""
    chance = random.Random(seed)
    return [_tell(number, chance) for number in range(count)]


def _tell(number: int, chance: random.Random) -> Story:
    now = MONDAY + timedelta(minutes=chance.randrange(6 * 24 * 60))
    story = Story(
        f"generic:main:{number}", now, chance.choice(["vpn", "mail", "sap"]), chance.choice(["P1", "P3", "P3"])
    )
    teller = _Teller(story, now)
    story.articles, story.corrected = chance.random() < 0.3, chance.random() < 0.2
    teller.version("created", "new", created_at=now - timedelta(minutes=7))
    story.opened_at = now - timedelta(minutes=7)
    teller.classify(articles=["KB1", "KB2"] if story.articles else [], corrected=False)
    teller.owner("intake_duty", None)
    teller.clock("started", deadline=now + timedelta(hours=8))
    queue = chance.choice(["service-desk", "owls-first", "owls-first", "network"])
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        teller.wait(chance.randrange(1, 90))
        teller.move(queue, chance.choice(["escalation", "pre_breach", "source"]) if story.stays else "first")
        queue = chance.choice([name for name in TIERS if name not in ("duty", queue)])
    if story.corrected:
        teller.wait(1)
        teller.feedback(category="mail")
        teller.classify(articles=[], corrected=True)
        story.category = "mail"
    teller.wait(chance.randrange(5, 200))
    if chance.random() < 0.25:
        teller.clock("breached")
        story.breached, story.judged_at = True, teller.now
        teller.wait(5)
    if chance.random() < 0.15:
        return story  # still open
    teller.resolve()
    if chance.random() < 0.1:
        teller.wait(30)
        teller.version("reopened", "open")
        teller.owner("intake_duty", None)
        story.reopened = True
        teller.wait(3)
        teller.owner("acknowledged", story.stays[-1][0])
        teller.wait(60)
        teller.resolve()
    if chance.random() < 0.4:
        teller.wait(20)
        story.csat = chance.randrange(1, 6)
        teller.feedback(csat=story.csat)
    return story


class _Teller:
    def __init__(self, story: Story, now: datetime) -> None:
        self.story, self.now = story, now
        self.versions = self.classified = self.sequence = self.transfers = self.given = self.clocked = 0

    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def version(self, lifecycle: Any, status: Any, *, created_at: datetime | None = None) -> None:
        self.versions += 1
        asked = Comment(
            id=f"c{self.versions}",
            author="Ana",
            author_role="agent",
            visibility="public",
            at=self.now,
            text="We are on it",
        )
        event = TicketNormalized(
            ticket=self.story.ticket,
            decided_for=self.now,
            ticket_version=self.versions,
            source_version=str(self.versions),
            delivery=f"d-{self.story.ticket}-{self.versions}",
            lifecycle=lifecycle,
            changed=["status", "comments"],
            source="generic",
            instance="main",
            external_id=self.story.ticket.split(":")[2],
            url=f"https://tool.example/{self.story.ticket}",
            channel="mail",
            title="A secret title",
            status=status,
            comments=[asked],
            created_at=created_at or self.story.opened_at,
            received_at=self.now,
        )
        self._say(topics.NORMALIZED, event)
        again = TicketDuplicate(
            ticket=self.story.ticket,
            decided_for=self.now,
            ticket_version=self.versions,
            delivery=f"again-{self.versions}",
            reason="no_change",
        )
        self._say(topics.NORMALIZED, again)

    def classify(self, *, articles: list[str], corrected: bool) -> None:
        self.classified += 1
        self._say(
            topics.CLASSIFIED,
            TicketClassified(
                **self._decided("rules"),
                category="mail" if corrected else self.story.category,
                kind="incident",
                impact="low",
                urgency="high",
                priority=self.story.priority,
                tier=1,
                articles=articles,
                inputs=ClassificationInputs(normalized="n", feedback="f" if corrected else None),
            ),
        )

    def owner(self, kind: Any, queue: str | None, transfer: str | None = None) -> None:
        self._say(
            topics.TRANSFERS,
            OwnerChanged(**self._step(), owner="Nora", role="night", queue=queue, kind=kind, transfer_id=transfer),
        )

    def move(self, queue: str, cause: Any) -> None:
        self.transfers += 1
        transfer = transfer_id(self.story.ticket, self.transfers)
        sender = self.story.stays[-1][0] if self.story.stays else None
        self._say(
            topics.TRANSFERS,
            TransferRequested(
                **self._step(),
                transfer_id=transfer,
                cause=cause,
                attempt=1,
                asks=True,
                tried=[],
                sender="Nora",
                sender_queue=sender,
                reason="a secret reason",
            ),
        )
        facts = TicketFacts(
            source="generic",
            channel="mail",
            kind="incident",
            category=self.story.category,
            priority=self.story.priority,
            impact="low",
            urgency="high",
            tier=1,
        )
        self._say(
            topics.ROUTED,
            TicketRouted(
                **self._decided("all"),
                decision=self.transfers,
                queue=queue,
                tier=TIERS[queue],
                owner_role="night",
                support_model="partner" if queue in PARTNERS else "internal",
                purpose="first" if cause == "first" else "transfer",
                transfer_id=transfer,
                inputs=RoutingInputs(facts=facts, loads={}, cause=cause),
            ),
        )
        self.wait(4)
        self._say(
            topics.TRANSFERS,
            TransferAccepted(
                **self._step(), transfer_id=transfer, attempt=1, queue=queue, digest="d", actor="Nora", automatic=False
            ),
        )
        self._say(topics.TRANSFERS, TransferCompleted(**self._step(), transfer_id=transfer, queue=queue, owner="Nora"))
        self.owner("acknowledged", queue, transfer)
        if not self.story.stays or self.story.stays[-1][0] != queue:
            self.story.stays.append((queue, self.now))

    def clock(self, occurrence: Any, deadline: datetime | None = None) -> None:
        self.clocked += 1
        self._say(
            topics.SLA_EVENTS,
            ClockEvent(
                **self._decided("resolution"),
                occurrence=occurrence,
                clock="resolution",
                generation=1,
                sequence=self.clocked,
                due_at=self.now if occurrence == "breached" else None,
                deadline=deadline,
                inputs=ClockInputs(started_at=self.story.opened_at, goal_seconds=28_800, calendar=None),
            ),
        )

    def resolve(self) -> None:
        self.version("updated", "resolved")
        self.story.resolved_at = self.now
        self.clock("met")
        if not self.story.breached:
            self.story.judged_at = self.now

    def feedback(self, **more: Any) -> None:
        self.given += 1
        self.story.told_at = self.now
        value = Feedback(
            ticket=self.story.ticket,
            feedback_id=f"f{self.given}",
            at=self.now,
            actor="Kim",
            side="internal",
            classification_version=self.classified,
            **more,
        )
        self.story.records.append(Said(topics.FEEDBACK, "", "", self.story.ticket, encode(value)))

    def _decided(self, rule: str) -> dict[str, Any]:
        return {
            "ticket": self.story.ticket,
            "decided_for": self.now,
            "ticket_version": self.versions,
            "classification_version": self.classified,
            "rule": rule,
            "agreement_version": PUBLISHED.version,
        }

    def _step(self) -> dict[str, Any]:
        self.sequence += 1
        step = self._decided("")
        del step["rule"]
        return {**step, "sequence": self.sequence}

    def _say(self, topic: str, event: Event) -> None:
        self.story.told_at = self.now
        self.story.records.append(said(topic, event))


def recount(stories: list[Story], since: datetime, until: datetime) -> dict[tuple[str, str], tuple[int, float]]:
    """(figure, side or partner) -> (of, value) over [since, until), as `HOW` in sla_monitor.facts.figures says it.
    Only of stories that are told by then: it knows how they ended, not what stood before."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    for story in stories:
        for number, (queue, _) in enumerate(story.stays):
            if queue == "owls-first":
                onward = story.stays[number + 1 : number + 2]
                end = onward[0][1] if onward else story.resolved_at
                if end is not None and since <= end < until:
                    passed_on = any(TIERS[name] >= 2 for name, _ in onward)
                    sums["partner_escalation_ratio", "owls"].append(passed_on)
                    if passed_on:
                        sums["partner_article_coverage_ratio", "owls"].append(story.articles)
                        sums["partner_correction_ratio", "owls"].append(story.corrected)
        if story.resolved_at is not None and since <= story.resolved_at < until:
            queues = [queue for queue, _ in story.stays]
            first = "partner" if queues[0] in PARTNERS else "internal"
            if TIERS[queues[0]] == 1:
                sums["first_contact_resolution_ratio", first].append(len(queues) == 1 and not story.reopened)
            side = story.side_at(story.resolved_at)
            sums["resolution_seconds_mean", side].append((story.resolved_at - story.opened_at).total_seconds())
            sums["reassignments_mean", side].append(len(queues) - 1)
            sums["ping_pong_ratio", side].append(len(set(queues)) < len(queues))
        if story.judged_at is not None and since <= story.judged_at < until:
            sums["sla_adherence_ratio", story.side_at(story.judged_at)].append(not story.breached)
        if story.csat is not None and since <= story.told_at < until:
            assert story.resolved_at is not None
            sums["csat_mean", story.side_at(story.resolved_at)].append(story.csat)
    return {key: (len(values), sum(values) / len(values)) for key, values in sums.items()}


def event_ids(records: list[Said]) -> dict[str, set[str]]:
    """Table -> the ids that it must hold, for the tables whose id is the event's."""
    kinds = {
        TicketNormalized.TYPE: "versions",
        TicketClassified.TYPE: "classifications",
        TicketRouted.TYPE: "routings",
        ClockEvent.TYPE: "clocks",
        OwnerChanged.TYPE: "owners",
        TransferRequested.TYPE: "steps",
        TransferAccepted.TYPE: "steps",
        TransferCompleted.TYPE: "steps",
    }
    found: dict[str, set[str]] = {name: set() for name in kinds.values()}
    for record in records:
        if record.ce_type in kinds:
            found[kinds[record.ce_type]].add(record.ce_id)
    return found
