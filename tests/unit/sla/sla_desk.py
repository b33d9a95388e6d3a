"""A desk for the monitor's tests: an agreement in a few words, and a task that is told what happens at local times of
one week.

Times are "09:00" (Monday 2 March 2026) or "Tue 09:00" of that week and the next ("Mon+ 09:00"), all UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sla_monitor.handlers import SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, ce_id, encode
from ticket_contracts.routing import Purpose, RoutingInputs, TicketFacts, TicketRouted
from ticket_contracts.sla import ClockEvent
from ticket_contracts.tickets import ENDED, Comment, Requester, TicketNormalized
from ticket_contracts.transfers import TransferEvent
from ticket_runtime.task import Record

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TICKET = "itsm:one:1"
NINE_TO_FIVE = {"zone": "UTC", "hours": {d: [["09:00", "17:00"]] for d in ("mon", "tue", "wed", "thu", "fri")}}
EIGHT_TO_SIX = {"zone": "UTC", "hours": {d: [["08:00", "18:00"]] for d in ("mon", "tue", "wed", "thu", "fri")}}
NIGHTS = {"zone": "UTC", "hours": {d: [["22:00", "06:00"]] for d in ("mon", "tue", "wed", "thu", "fri")}}
HOUR = 3600

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(text: str) -> datetime:
    """See the module: "09:00", "Tue 09:00:30", "Mon+ 09:00"."""
    day, _, clock = text.rpartition(" ")
    week = day.count("+")
    day = day.rstrip("+")
    hours, minutes, *seconds = map(float, clock.split(":"))
    days = (_DAYS.index(day) if day else 0) + 7 * week
    return MONDAY + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)


def agreement(sla: Mapping[str, Any], transfers: Mapping[str, Any] | None = None, **calendars: Any) -> Agreement:
    """An agreement with these policies; calendars nine_to_five, eight_to_six and nights are there."""
    return Agreement.model_validate(
        {
            "title": "test",
            "parties": [{"name": "ACME", "side": "company"}],
            "sources": ["itsm"],
            "taxonomy": [{"id": "network", "title": "Network", "children": [{"id": "network.vpn", "title": "VPN"}]}],
            "matrix": {
                "impacts": ["high", "low"],
                "urgencies": ["high", "low"],
                "priorities": {"high": {"high": "P1", "low": "P2"}, "low": {"high": "P3", "low": "P4"}},
            },
            "classification": {"defaults": {"impact": "low", "urgency": "low"}},
            "calendars": {
                "nine_to_five": NINE_TO_FIVE,
                "eight_to_six": EIGHT_TO_SIX,
                "nights": NIGHTS,
                **calendars,
            },
            "owners": {"duty": {"title": "Duty", "kind": "duty", "members": ["Dana"]}},
            "intake_duty": "duty",
            "duty": "duty",
            "queues": {
                name: {"title": name, "support_model": "internal", "tier": 1, "owner_role": "duty"}
                for name in ("first_line", "second_line", "partner_line")
            },
            "routing": {"rules": [{"name": "all", "to": ["first_line"]}], "duty_queue": "first_line"},
            "sla": sla,
            "transfers": transfers or {},
        }
    )


def resolution(seconds: int, calendar: str | None = "nine_to_five", **more: Any) -> dict[str, Any]:
    return {"clock": "resolution", "calendar": calendar, "goals": [{"seconds": seconds}], **more}


class FakeAgreements:
    """Versions by their instant; the first holds for everything before as well."""

    def __init__(self, first: Agreement) -> None:
        self._all = [published(first, MONDAY - timedelta(days=365))]

    def publish(self, content: Agreement, effective_at: datetime) -> str:
        self._all.append(published(content, effective_at))
        return self._all[-1].version

    def in_force(self, instant: datetime) -> Published:
        found = self._all[0]
        for each in self._all:
            if each.effective_at <= instant:
                found = each
        return found

    def version(self, digest: str) -> Published:
        return next(each for each in self._all if each.version == digest)

    def every(self) -> list[Published]:
        return list(self._all)

    def following(self, instant: datetime) -> Published | None:
        return next((each for each in self._all[1:] if each.effective_at > instant), None)


def published(content: Agreement, effective_at: datetime) -> Published:
    return Published(version=digest(content), effective_at=effective_at, approvals=[], agreement=content)


class Collected:
    """Outputs that keep what they are given."""

    def __init__(self) -> None:
        self.events: list[ClockEvent] = []
        self.ids: list[str] = []
        self.stored: dict[bytes, bytes] = {}

    def emit(self, topic: str, event: Event) -> str:
        assert topic == topics.SLA_EVENTS
        assert isinstance(event, ClockEvent)
        self.events.append(event)
        self.ids.append(ce_id(event))
        return self.ids[-1]

    def forward(
        self, topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]], event_id: str
    ) -> None:
        raise AssertionError("the monitor forwards nothing")

    def store(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value


class Desk:
    """One task of the monitor, told what happens. `said` returns (occurrence, instant) of one clock, in order."""

    def __init__(self, content: Agreement, present: Any = None) -> None:
        self.agreements = FakeAgreements(content)
        self.out = Collected()
        self._present = present
        self.work = self._made()
        self._versions: dict[str, int] = {}
        self._classifications: dict[str, int] = {}
        self._decisions: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        self._shown: dict[str, dict[str, Any]] = {}

    def _made(self) -> SlaWork:
        return SlaWork(self.agreements, self._present) if self._present else SlaWork(self.agreements)

    # What happens.

    def ticket(
        self, when: str, ticket: str = TICKET, *, received: str | None = None, **fields: Any
    ) -> TicketNormalized:
        """The next version of the ticket. when: at the source; received: by the desk, if later."""
        version = self._versions[ticket] = self._versions.get(ticket, 0) + 1
        shown = self._shown.setdefault(ticket, {"created_at": at(when)})
        changed = [name for name, value in fields.items() if shown.get(name) != value]
        before = shown.get("status", "new")
        newest = max(at(when), shown.get("updated_at", at(when)))  # as intake merges it
        if newest != shown.get("updated_at"):
            changed.append("updated_at")
        shown.update(fields, updated_at=newest)
        after = shown.get("status", "new")
        returned = before in (*ENDED, "resolved") and after not in (*ENDED, "resolved")
        event = TicketNormalized(
            ticket=ticket,
            decided_for=at(received or when),
            ticket_version=version,
            source_version=str(version),
            delivery=f"delivery-{version}",
            lifecycle="created" if version == 1 else "reopened" if returned else "updated",
            changed=changed,
            source=ticket.split(":")[0],
            instance="one",
            external_id=ticket.split(":")[-1],
            received_at=at(received or when),
            happened_at=at(when),
            **shown,
        )
        self.feed(event)
        return event

    def classify(self, when: str, priority: str = "P3", ticket: str = TICKET, **fields: Any) -> TicketClassified:
        version = self._classifications[ticket] = self._classifications.get(ticket, 0) + 1
        values: dict[str, Any] = {
            "category": "network.vpn",
            "kind": "incident",
            "impact": "low",
            "urgency": "high",
            "tier": 1,
            "ticket_version": self._versions.get(ticket, 1),
        }
        event = TicketClassified(
            ticket=ticket,
            decided_for=at(when),
            classification_version=version,
            rule="test",
            agreement_version=self.agreements.in_force(at(when)).version,
            priority=priority,
            inputs=ClassificationInputs(normalized="n"),
            **(values | fields),
        )
        self.feed(event)
        return event

    def open(self, when: str, priority: str = "P3", ticket: str = TICKET, **fields: Any) -> None:
        """A new ticket with its classification."""
        self.ticket(when, ticket, **{"status": "open", **fields})
        self.classify(when, priority, ticket)

    def route(
        self,
        when: str,
        queue: str = "first_line",
        ticket: str = TICKET,
        purpose: Purpose = "first",
        priority: str = "P3",
        **fields: Any,
    ) -> TicketRouted:
        decision = self._decisions[ticket] = self._decisions.get(ticket, 0) + 1
        facts = TicketFacts(
            source="itsm",
            channel="api",
            kind="incident",
            category=None,
            priority=priority,
            impact="low",
            urgency="low",
            tier=1,
        )
        values: dict[str, Any] = {
            "ticket_version": self._versions.get(ticket, 1),
            "classification_version": self._classifications.get(ticket, 1),
        }
        event = TicketRouted(
            ticket=ticket,
            decided_for=at(when),
            rule="all",
            agreement_version=self.agreements.in_force(at(when)).version,
            decision=decision,
            queue=queue,
            tier=1,
            owner_role="duty",
            support_model="internal",
            purpose=purpose,
            inputs=RoutingInputs(facts=facts, loads={}),
            **(values | fields),
        )
        self.feed(event)
        return event

    def transfer(self, when: str, step: type[TransferEvent], ticket: str = TICKET, **fields: Any) -> TransferEvent:
        sequence = self._sequences[ticket] = self._sequences.get(ticket, 0) + 1
        event = step(
            ticket=ticket,
            decided_for=at(when),
            sequence=fields.pop("sequence", sequence),
            agreement_version=self.agreements.in_force(at(when)).version,
            ticket_version=1,
            classification_version=1,
            **fields,
        )
        self.feed(event)
        return event

    def feed(self, event: Event) -> None:
        self.work.handle(record_of(event), self.out)

    def fire(self, until: str) -> None:
        self.work.fire(at(until), self.out)

    def restart(self) -> None:
        """Another task takes over, with what the changelog holds."""
        self.work = self._made()
        for key, value in self.out.stored.items():
            self.work.restore(key, value)

    # What was said.

    def of(self, clock: str = "resolution", ticket: str = TICKET) -> list[ClockEvent]:
        return [event for event in self.out.events if event.clock == clock and event.ticket == ticket]

    def said(self, clock: str = "resolution", ticket: str = TICKET) -> list[tuple[str, str]]:
        return [(event.occurrence, text(event.decided_for)) for event in self.of(clock, ticket)]

    def last(self, clock: str = "resolution", ticket: str = TICKET) -> ClockEvent:
        return self.of(clock, ticket)[-1]

    def deadline(self, clock: str = "resolution", ticket: str = TICKET) -> str | None:
        deadline = self.last(clock, ticket).deadline
        return text(deadline) if deadline is not None else None


TOPIC_OF = {
    TicketNormalized: topics.NORMALIZED,
    TicketClassified: topics.CLASSIFIED,
    TicketRouted: topics.ROUTED,
}


def record_of(event: Event, offset: int = 0) -> Record:
    return Record(
        topic=TOPIC_OF.get(type(event), topics.TRANSFERS),
        partition=0,
        offset=offset,
        key=event.ticket.encode(),
        value=encode(event),
        headers={"ce_type": event.TYPE.encode(), "ce_id": ce_id(event).encode()},
        timestamp_ms=int(event.decided_for.timestamp() * 1000),
        instant=event.decided_for,
    )


def text(instant: datetime) -> str:
    """The inverse of `at`."""
    days = (instant - MONDAY).days
    clock = instant.strftime("%H:%M") + (instant.strftime(":%S") if instant.second else "")
    if days == 0:
        return clock
    return f"{_DAYS[days % 7]}{'+' * (days // 7)} {clock}"


def comment(
    when: str,
    role: Literal["customer", "agent", "system"],
    visibility: Literal["public", "internal"] = "public",
) -> Comment:
    return Comment(id=f"{when}-{role}", author=None, author_role=role, visibility=visibility, at=at(when), text="...")


def vip(yes: bool = True) -> Requester:
    return Requester(vip=yes)


def pauses(event: ClockEvent) -> Sequence[tuple[str, str | None]]:
    assert event.inputs is not None
    return [(text(begin), text(until) if until is not None else None) for begin, until in event.inputs.pauses]


def as_json(events: Iterable[ClockEvent]) -> list[Any]:
    return [json.loads(encode(event)) for event in events]
