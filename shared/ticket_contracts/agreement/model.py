"""The agreement's form. What is checked across its parts stands in `checking`; how a file becomes one, in `reading`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ticket_contracts.agreement.conditions import Condition, Strict
from ticket_contracts.routing import TicketView

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
"""Lower case, since it becomes part of a topic's name."""
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_TEN_YEARS = 315_360_000
SupportModel = Literal["internal", "partner", "automation"]


class Party(Strict):
    """Who signs. side: the company or an outsourced partner. partner: whose contract it signs, a key of `partners`."""

    name: str
    side: Literal["company", "partner"]
    partner: str | None = None


class Category(Strict):
    """A node of the taxonomy. automation: a candidate for tier 0."""

    id: Identifier
    title: str
    automation: bool = False
    children: list[Category] = []


class Matrix(Strict):
    """impact -> urgency -> priority, all pairs; impacts and urgencies from the strongest to the weakest."""

    impacts: list[str] = Field(min_length=1)
    urgencies: list[str] = Field(min_length=1)
    priorities: dict[str, dict[str, Priority]]


class Lexeme(Strict):
    """Words that speak for a rule. A term is a word or a phrase, compared without case and accents; `*` ends a stem."""

    any: list[str] = []
    all: list[str] = []
    none: list[str] = []


class ClassificationRule(Strict):
    """What it asks (all that is named must hold): text: words in title and text; evidence: field -> the source's
    values; channel; people_at_least: the text speaks of so many people affected.

    What it sets: the first rule that holds and sets a field wins it. For the category the strongest evidence wins, and
    a rule whose category lost sets nothing else but its flags, which add up. confidence: 0 to 1, before the evidence
    is weighed in.
    """

    name: Identifier
    text: Lexeme | None = None
    evidence: dict[Literal["category", "impact", "urgency", "priority", "service", "group"], list[str]] = {}
    channel: list[str] | None = None
    people_at_least: int | None = Field(default=None, gt=0)
    category: Identifier | None = None
    kind: Literal["incident", "service_request", "question", "problem", "change"] | None = None
    impact: str | None = None
    urgency: str | None = None
    tier: int | None = Field(default=None, ge=0, le=3)
    flags: list[str] = []
    confidence: float = Field(default=0.8, ge=0, le=1)


class Defaults(Strict):
    category: Identifier | None = None
    kind: Literal["incident", "service_request", "question", "problem", "change"] = "incident"
    impact: str
    urgency: str
    tier: int = Field(default=1, ge=0, le=3)


class TextModel(Strict):
    """A trained model by its digest, as `python -m ticket_classifier train` prints it. abstain_below: the confidence
    under which it says nothing; absent: what its training found right."""

    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    abstain_below: float | None = Field(default=None, ge=0, le=1)


class Classification(Strict):
    """authoritative: source -> the fields of its evidence that win over rules and models. `category_map`: source value,
    or a model's label -> category. abstain_below: confidence in the category under which people must triage. model:
    speaks for a category beside the rules. candidate: is asked too, and only compared."""

    authoritative: dict[str, list[Literal["category", "impact", "urgency", "priority", "kind"]]] = {}
    category_map: dict[str, Identifier] = {}
    rules: list[ClassificationRule] = []
    defaults: Defaults
    abstain_below: float = Field(default=0.0, ge=0, le=1)
    model: TextModel | None = None
    candidate: TextModel | None = None


class NamedHolidays(Strict):
    """Public holidays of a country, by the `holidays` library."""

    country: str
    subdivision: str | None = None


class WorkingTime(Strict):
    """A calendar. hours: weekday -> windows; a window that ends before it begins runs past midnight.
    holidays: `YYYY-MM-DD` or, each year, `MM-DD`. icalendar: texts of iCalendar files, whose all-day events are
    holidays; in a document on disk also the files' names, beside it. special: a day with hours of its own (none:
    closed)."""

    zone: str
    hours: dict[Weekday, list[tuple[Clock, Clock]]]
    holidays: list[str] = []
    public_holidays: list[NamedHolidays] = []
    icalendar: list[str] = []
    special: dict[str, list[tuple[Clock, Clock]]] = {}


class Owner(Strict):
    """Who owns the tickets of a role: a named person, a rota (people in order) or a duty role with the people who hold
    it."""

    title: str
    kind: Literal["person", "rota", "duty"]
    side: Literal["company", "partner"] = "company"
    members: list[str] = Field(min_length=1)


class Band(Strict):
    """A measure begins to count at `above` and ends at `below`: between the two nothing flaps."""

    above: int = Field(gt=0)
    below: int = Field(ge=0)


class Overflow(Strict):
    """When a queue overflows: one of its measures is at `above`; and when no longer: all are at `below` again.

    above, below: its load. oldest_minutes: how long the ticket that waits there longest has waited, in the queue's own
    hours. wait_minutes: how long a newcomer is expected to wait, by the rate at which tickets left lately.
    hold_minutes: once it switched it stays so for at least so long, whatever the measures do.
    """

    above: int | None = Field(default=None, gt=0)
    below: int | None = Field(default=None, ge=0)
    oldest_minutes: Band | None = None
    wait_minutes: Band | None = None
    hold_minutes: int = Field(default=0, ge=0)


class AgentGroup(Strict):
    """Agents of a queue who can do the same. capacity: load at most at once (absent: any). skills: beside those of the
    whole queue."""

    capacity: int | None = Field(default=None, gt=0)
    skills: list[str] = []


class Pause(Strict):
    """A span in which a queue receives nothing; what it has stays."""

    begin: AwareDatetime
    until: AwareDatetime
    reason: str = ""


class Queue(Strict):
    """tier, support model, calendar (absent: always open), owner_role: a key of `owners`. capacity: load at most at
    once. partner: whose contract holds, for support model `partner`. close_lead_minutes: before its closing, open
    tickets are proposed for transfer (absent: they stay). enabled: a disabled queue receives nothing. weight: its share
    where a rule's strategy is `weighted`. skills: of all its agents. groups: of agents, in order of preference: a
    ticket takes a place in the first that has its skills and room. pauses: spans in which it receives nothing."""

    title: str
    support_model: SupportModel
    tier: int = Field(ge=0, le=3)
    owner_role: Identifier
    calendar: Identifier | None = None
    partner: Identifier | None = None
    capacity: int | None = Field(default=None, gt=0)
    overflow: Overflow | None = None
    close_lead_minutes: int | None = Field(default=None, gt=0)
    skills: list[str] = []
    groups: dict[Identifier, AgentGroup] = {}
    enabled: bool = True
    pauses: list[Pause] = []
    weight: int = Field(default=1, gt=0)


class Caps(Strict):
    daily: int | None = Field(default=None, gt=0)
    monthly: int | None = Field(default=None, gt=0)
    concurrent: int | None = Field(default=None, gt=0)


class Partner(Strict):
    """A contract. calendar: the partner's hours, in its zone, whose days also bound the caps. fields: the allow-list
    of what its topics carry; `comments` are all of them, internal notes too. categories, customers, languages: allowed
    ones (absent: all). never_flags: tickets with one of these stay inside. regions: where its people and systems see
    data, in the words of `residency`."""

    title: str
    calendar: Identifier
    fields: list[str]
    caps: Caps = Caps()
    categories: list[Identifier] | None = None
    customers: list[str] | None = None
    languages: list[str] | None = None
    never_flags: list[str] = ["security"]
    regions: list[str] = []
    price_per_ticket: dict[int, float] = {}
    currency: str = "EUR"

    @property
    def hidden_fields(self) -> frozenset[str]:
        return frozenset(TicketView.__struct_fields__) - frozenset(self.fields)


class Residency(Strict):
    """Where the data of some tickets may be seen: a partner may have one only if all of its regions are named here. Of
    several that hold, each must allow it. A contract without regions sees none of these tickets."""

    name: Identifier
    when: Condition = Condition()
    regions: list[str] = []


class SkillRule(Strict):
    """What a ticket asks of the agents who work on it; of all rules that hold the skills add up."""

    name: Identifier
    when: Condition = Condition()
    skills: list[str] = Field(min_length=1)


class RoutingRule(Strict):
    """to: candidates in order of preference: queues, or `group`, the queue that the source's group stands for
    (`group_queues`). strategy: which of those that can have the ticket gets it: the first, the one with the least load,
    or with the least load for its `weight`; among equals the first."""

    name: Identifier
    when: Condition = Condition()
    to: list[str] = Field(min_length=1)
    strategy: Literal["preference", "least_loaded", "weighted"] = "preference"


class Routing(Strict):
    """Rules in order; the first whose condition holds decides. group_queues: the source's group -> queue.
    duty_queue: the escalation path's last step: internal, always open. ping_pong_after: returns (A -> B -> A) before
    the lead gets it. skills: what tickets ask of agents. weights: priority -> how much of a capacity a ticket takes
    (absent: 1). ended_kept_days: how long a ticket that ended is remembered: then router and SLA monitor forget it, the
    others what was said in it; what is reopened later begins anew, with people who triage it and with clocks that count
    from there."""

    rules: list[RoutingRule] = Field(min_length=1)
    group_queues: dict[str, Identifier] = {}
    duty_queue: Identifier
    ping_pong_after: int = 1
    ping_pong_queue: Identifier | None = None
    skills: list[SkillRule] = []
    weights: dict[Priority, Annotated[int, Field(gt=0)]] = {}
    ended_kept_days: int = Field(default=90, gt=0)


class Threshold(Strict):
    """A warning: so long before the deadline, in business time (default) or on the wall, or when a share of the goal
    is used up."""

    left_seconds: int | None = Field(default=None, gt=0)
    used_share: float | None = Field(default=None, gt=0, lt=1)
    wall: bool = False


class Goal(Strict):
    """How long a clock may run, in one of two measures. seconds: of working time. business_days: to the end of so many
    business days of the calendar after that of the start (1: "the end of the next business day"; 0: of the day itself,
    or of the next when that is over or none), whatever number of hours these have."""

    when: Condition = Condition()
    seconds: int | None = Field(default=None, gt=0, le=_TEN_YEARS)
    business_days: int | None = Field(default=None, ge=0, le=1_000)


class Policy(Strict):
    """A clock. goals: the first whose condition holds; none: the clock does not run. calendar absent: always counting.
    start_on: statuses of which the first that the ticket reaches begins it, there and then; absent: its creation does.
    pause_on, stop_on, cancel_on: statuses. on_reopen: whether a stopped clock goes on, or begins anew. on_change:
    whether a running clock keeps the agreement it began under. warn: 15 minutes before the deadline unless said
    otherwise."""

    clock: Literal["first_response", "next_response", "resolution", "periodic_update", "underpinning"]
    when: Condition = Condition()
    calendar: Identifier | None = None
    goals: list[Goal] = Field(min_length=1)
    warn: list[Threshold] = [Threshold(left_seconds=900)]
    pause_on: list[str] = ["pending_customer", "pending_vendor", "on_hold"]
    stop_on: list[str] = ["resolved", "closed"]
    start_on: list[str] | None = None
    cancel_on: list[str] = ["merged", "deleted"]
    on_reopen: Literal["resume", "restart"] = "resume"
    on_change: Literal["keep", "recalculate"] = "keep"


class Transfers(Strict):
    """acknowledge_seconds: wall seconds a receiver has, by queue or for all (`default`). total_seconds: from the
    request until a receiver must have acknowledged, else the duty owner has it. pre_breach: a resolution warning opens
    a transfer, for these tickets. source_reassignment: whether people's own reassignment in the source asks, or counts
    as the acknowledgement. required: cause (or `default`) -> parts of the context package that must not be empty."""

    acknowledge_seconds: dict[str, int] = {"default": 900}
    total_seconds: int = Field(default=14_400, gt=0)
    pre_breach: Condition | None = None
    source_reassignment: Literal["asks", "acknowledges"] = "asks"
    required: dict[str, list[str]] = {"default": ["view", "classification"]}


class Agreement(Strict):
    """All that both sides sign. intake_duty, duty: keys of `owners`; duty is the last step of every escalation, of the
    company's side."""

    title: str
    parties: list[Party] = Field(min_length=1)
    sources: list[Identifier] = Field(min_length=1)
    taxonomy: list[Category] = Field(min_length=1)
    matrix: Matrix
    classification: Classification
    calendars: dict[Identifier, WorkingTime]
    owners: dict[Identifier, Owner]
    intake_duty: Identifier
    duty: Identifier
    partners: dict[Identifier, Partner] = {}
    queues: dict[Identifier, Queue] = Field(min_length=1)
    routing: Routing
    residency: list[Residency] = []
    sla: dict[Identifier, Policy]
    transfers: Transfers = Transfers()

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """category -> itself and all above it."""
        found: dict[str, frozenset[str]] = {}

        def walk(nodes: list[Category], above: frozenset[str]) -> None:
            for node in nodes:
                found[node.id] = above | {node.id}
                walk(node.children, found[node.id])

        walk(self.taxonomy, frozenset())
        return found

    def priority(self, impact: str, urgency: str) -> Priority:
        """By the matrix. Raises KeyError for words it does not have."""
        return self.matrix.priorities[impact][urgency]

    def acknowledge_seconds(self, queue: str) -> int:
        by_queue = self.transfers.acknowledge_seconds
        return by_queue.get(queue, by_queue["default"])

    def required_parts(self, cause: str) -> list[str]:
        return self.transfers.required.get(cause, self.transfers.required.get("default", []))
