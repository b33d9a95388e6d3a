"""A morning at the default desk, as the guide's pictures show it and the page's tests use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ticket_contracts import topics
from ticket_contracts.agreement import Published, digest
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.classification import ClassificationInputs, Judgement, TicketClassified
from ticket_contracts.sla import ClockState
from ticket_contracts.tickets import Attachment, Comment, Requester
from ticket_handoff.handlers import AgreementBook
from ticket_runtime.agreements import Agreements
from unit.handoff.handoff_desk import Story, clock, normalized, routed

NOW = datetime(2026, 3, 3, 9, 40, tzinfo=UTC)
"""A Tuesday, 10:40 in the office."""
DEFAULT = Path(__file__).parents[3] / "deploy/agreements/default.yaml"


def default_agreement() -> Published:
    made = read_agreement(DEFAULT.read_text(), str(DEFAULT))
    return Published(version=digest(made), effective_at=datetime(2026, 1, 1, tzinfo=UTC), approvals=[], agreement=made)


@cache
def _books() -> dict[str, AgreementBook]:
    return {}


def _book(version: Published) -> AgreementBook:
    """One for all cases: calendars are compiled once."""
    return _books().setdefault(version.version, AgreementBook(Agreements([version])))


class Case:
    """One ticket on the default desk. Minutes count back from `now`."""

    def __init__(
        self,
        version: Published,
        number: str,
        title: str,
        opened: float,
        now: datetime = NOW,
        ticket: str | None = None,
        **said: Any,
    ) -> None:
        self.version, self.number, self.now = version, number, now
        self.story = Story(version, ticket=ticket or f"servicenow:prod:{number}")
        self.story.work.book = _book(version)
        self.calendars = self.story.work.book.in_force(now).calendars
        self.opened = self.ago(opened)
        self._decision = self._replies = 0
        self._said = {
            "title": title,
            "text": "",
            "comments": [],
            "url": f"https://acme.service-now.com/nav_to.do?uri=incident.do?number={number}",
            "requester": Requester(name="Rosa Lindner", address="rosa.lindner@example.com", site="Hamburg"),
            "status": "open",
            "created_at": self.opened,
        }
        self._version = 0
        self._says(self.opened, **said)

    def _says(self, at: datetime, **said: Any) -> Case:
        self._version += 1
        self._said |= said
        self.story.publish(topics.NORMALIZED, normalized(self.story.ticket, self._version, at, **self._said))
        return self

    def says(self, **said: Any) -> Case:
        """The tool says something new of it, now."""
        return self._says(self.now, lifecycle="updated", **said)

    def ends(self) -> Case:
        return self._says(self.now, lifecycle="ended", status="closed")

    def ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def judged(self, category: str, priority: str = "P3", **said: Any) -> Case:
        plain: dict[str, Any] = {
            "impact": {"P1": "high", "P2": "high", "P3": "medium"}.get(priority, "low"),
            "urgency": {"P1": "high", "P2": "medium", "P3": "medium"}.get(priority, "low"),
            "tier": 1,
            "rule": "words-of-a-category",
            "confidence": 0.91,
            "articles": [],
            "evidence": [
                Judgement(
                    field="category", rule="words-of-a-category", confidence=0.91, terms={"vpn": 2.1, "gateway": 1.4}
                )
            ],
        }
        event = TicketClassified(
            ticket=self.story.ticket,
            decided_for=self.opened,
            ticket_version=1,
            classification_version=1,
            agreement_version=self.version.version,
            category=category,
            kind="incident",
            priority=priority,
            inputs=ClassificationInputs(normalized="n"),
            **{**plain, **said},
        )
        self.story.publish(topics.CLASSIFIED, event)
        return self

    def to(self, queue: str, *clocks: ClockState, when: float | None = None, reason: str = "", **said: Any) -> Case:
        """The router sends it there, and the monitor says which clocks run: handoff offers it."""
        at = self.opened + timedelta(seconds=20) if when is None else self.ago(when)
        self._decision += 1
        role = self.version.agreement.queues[queue].owner_role
        transfer = self.story.ledger.transfer
        plain: dict[str, Any] = {"purpose": "transfer", "transfer_id": transfer.id} if transfer is not None else {}
        event = routed(self.version.version, self.story.ticket, self._decision, at, queue, role, **{**plain, **said})
        event = msgspec.structs.replace(event, reason=reason or f"the first of its rule that is open: {queue}")
        self.story.publish(topics.ROUTED, event)
        if transfer is None:
            stated = clock(self.version.version, self.story.ticket, at, sequence=self._decision, running=list(clocks))
            self.story.publish(topics.SLA_EVENTS, stated)
        return self

    def clock(self, policy: str, goal: int, started: float | None = None, paused: bool = False) -> ClockState:
        """As the monitor states it: begun with the ticket unless told otherwise."""
        sla = self.version.agreement.sla[policy]
        begun = int((self.opened if started is None else self.ago(started)).timestamp())
        now = int((self.opened + timedelta(seconds=20)).timestamp())
        calendar = self.calendars.get(sla.calendar or "")
        deadline = begun + goal if calendar is None else calendar.add(begun, goal)
        used = now - begun if calendar is None else calendar.elapsed(begun, now)
        return ClockState(
            clock=sla.clock,
            policy=policy,
            generation=1,
            goal_seconds=goal,
            elapsed_seconds=max(0, used),
            running=not paused,
            deadline=None if paused else datetime.fromtimestamp(deadline, UTC),
        )

    def said_by_monitor(self, ago: float, occurrence: Any, name: str, policy: str, **said: Any) -> Case:
        at = self.ago(ago)
        self.story.publish(
            topics.SLA_EVENTS,
            clock(self.version.version, self.story.ticket, at, occurrence, name, 1, rule=policy, **said),
        )
        return self

    def answers(
        self, ago: float, action: str, principal: str = "internal", actor: str | None = None, **said: Any
    ) -> Case:
        self._replies += 1
        minutes = (self.ago(ago) - datetime(2026, 3, 2, 9, tzinfo=UTC)).total_seconds() / 60
        self.story.reply(minutes, action, principal, actor=actor, **said)
        return self


def morning(version: Published, now: datetime = NOW) -> list[Case]:
    """Fourteen tickets: late and early ones, offered, owned, paused, on their way, at a partner."""

    def case(number: str, title: str, opened: float, **said: Any) -> Case:
        return Case(version, number, title, opened, now, **said)

    def talk(ago: float, author: str, role: Any, text: str, visibility: Any = "public") -> Comment:
        return Comment(
            id=f"{author}-{ago}",
            author=author,
            author_role=role,
            visibility=visibility,
            at=now - timedelta(minutes=ago),
            text=text,
        )

    vpn = case(
        "INC0048213",
        "VPN drops every ten minutes for the whole Hamburg office",
        95,
        text="Since about eight this morning the VPN tunnel drops every ten minutes, for everyone on the second floor."
        "\n\nWe see “Gateway not reachable”, and after half a minute it connects again. Calls on Teams break off each "
        "time, and the month-end close in SAP has to be finished today.",
        comments=[
            talk(90, "Rosa Lindner", "customer", "Happens on wire and on Wi-Fi alike."),
            talk(
                70,
                "Ana Ferreira",
                "agent",
                "Client 5.1.8 everywhere; reinstalling on one laptop changed nothing.",
                "internal",
            ),
            talk(22, "Rosa Lindner", "customer", "Now the third floor as well. When can we expect news?"),
        ],
        customer="Acme Hamburg",
        service="Remote access",
        configuration_item="vpn-gw-ham-02",
        attachments=[Attachment(name="vpn-client.log", media_type="text/plain", size_bytes=48_213)],
    ).judged(
        "vpn",
        "P2",
        tier=2,
        articles=["KB0010042", "KB0010187"],
        article_titles={"KB0010042": "VPN tunnel drops after re-keying", "KB0010187": "Collecting a gateway trace"},
    )
    vpn.to(
        "service-desk",
        vpn.clock("first-response-critical", 1800),
        vpn.clock("resolution-critical", 28_800),
        reason="first line while the office is open",
    ).answers(92, "accept", actor="Ana Ferreira")
    vpn.said_by_monitor(80, "met", "first_response", "first-response-critical")

    mail = case("INC0048190", "Outlook asks for the password again and again", 430).judged("email", "P3")
    mail.to("service-desk", mail.clock("resolution", 72_000)).answers(425, "accept", actor="Priya Nair")

    payroll = case(
        "INC0048177",
        "Payroll run stops: table FEBKO is locked",
        250,
        requester=Requester(name="Dr. Jan Weber", vip=True),
    ).judged("sap", "P1", tier=2, flags=["vip"])
    payroll.to("major-incidents", payroll.clock("resolution-critical", 14_400)).answers(
        247, "accept", actor="Hanna Vogt"
    )
    payroll.said_by_monitor(25, "warned", "resolution", "resolution-critical", deadline=now - timedelta(minutes=10))
    payroll.said_by_monitor(10, "breached", "resolution", "resolution-critical", deadline=now - timedelta(minutes=10))

    phone = case("INC0048201", "Headset is not recognised after the update", 300).judged("telephony", "P4")
    phone.to("service-desk", phone.clock("first-response", 28_800), phone.clock("resolution", 144_000)).answers(
        290, "accept", actor="Tobias Lang"
    )

    printer = case("INC0048209", "Printer on floor 3 jams on every second sheet", 130).judged("printing", "P4", tier=2)
    printer.to("campo-on-site", printer.clock("resolution", 144_000)).answers(120, "accept", "campo", "Rui Almeida")

    night = case("INC0048151", "Cannot open shared calendar of the sales team", 640).judged("email", "P3")
    night.to("helpline-first-line", night.clock("resolution", 72_000)).answers(
        630, "decline", "helpline", "Maricel Santos", reason="We have no rights on shared mailboxes of Sales."
    )
    night.to("service-desk", when=600).answers(190, "accept", actor="Luca Moretti")

    badge = case("INC0048216", "Badge reader at the loading dock beeps, door stays shut", 12).judged(
        "general-outage", "P3"
    )
    badge.to("service-desk", badge.clock("first-response", 14_400), badge.clock("resolution", 72_000))

    laptop = case("INC0048217", "Neuer Laptop startet nicht: blinkt nur", 9, language="de").judged("laptop", "P3")
    laptop.to("service-desk", laptop.clock("first-response", 14_400), laptop.clock("resolution", 72_000))

    disk = case("INC0048215", "Disk of db-prod-07 is 96 % full", 26, channel="monitoring").judged(
        "database", "P2", tier=3
    )
    disk.to("platform", disk.clock("resolution-critical", 28_800))
    disk.answers(
        20, "decline", actor="Nils Berg", reason="Not ours: db-prod-07 belongs to Business applications since Monday."
    )

    reset = case("INC0048218", "Reset of my password", 3).judged("password-reset", "P5", tier=0)
    reset.to("automation", reset.clock("resolution", 288_000))

    parcel = case("INC0048120", "Second monitor for a home office", 2_900, status="pending_customer").judged(
        "peripherals", "P5"
    )
    parcel.to("service-desk", parcel.clock("resolution", 288_000, paused=True)).answers(
        2_880, "accept", actor="Ana Ferreira"
    )

    fresh = case("INC0048219", "Teams meetings have no sound", 1)

    sap = case("INC0048163", "Purchase orders above 10,000 € are not released", 520).judged("sap", "P3", tier=2)
    sap.to("business-apps", sap.clock("resolution", 72_000)).answers(500, "accept", actor="Claire Dubois")

    wifi = case("INC0048211", "Guest Wi-Fi shows no sign-in page", 105).judged("wifi", "P4", tier=2)
    wifi.to("network", wifi.clock("resolution", 144_000)).answers(98, "accept", actor="Sofia Lindqvist")

    return [vpn, mail, payroll, phone, printer, night, badge, laptop, disk, reset, parcel, fresh, sap, wifi]
