"""What holds of every decision, whatever the agreement, the ticket, the hour and the load."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_contracts.agreement import Agreement, digest, matches
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.coverage import coverage, new_incident, special_spans
from ticket_contracts.agreement.reaching import Reach
from ticket_contracts.agreement.special import PRIORITIES, Trait
from ticket_contracts.routing import TicketFacts
from ticket_router.domain.again import differences
from ticket_router.domain.decide import Request, decide, judged_at, routed
from ticket_router.domain.loads import Loads
from ticket_router.domain.places import Holding, group_place
from ticket_router.domain.policy import Policy
from unit.router.router_desk import ALL_DAYS, Desk, content, hours, merge

CALENDARS = {
    "berlin": {"zone": "Europe/Berlin", "hours": hours(("08:00", "18:00"))},
    "manila": {"zone": "Asia/Manila", "hours": hours(("22:00", "08:00"), days=ALL_DAYS)},
    "austin": {"zone": "America/Chicago", "hours": hours(("07:30", "12:00"), ("13:00", "17:00"))},
}
COMPILED = compile_calendars(Agreement.model_validate(merge(content(), {"calendars": CALENDARS})))
CATEGORIES = ("hardware", "laptop", "access")
names = st.sampled_from
some = st.lists(names(CATEGORIES), min_size=1, max_size=2, unique=True)
calendars = names(tuple(CALENDARS))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def given_keys(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=parts)


CONDITIONS = given_keys(
    category=some,
    kind=st.lists(names(("incident", "question")), max_size=2),
    priority=st.lists(names(("P1", "P2", "P3")), max_size=2),
    tier=st.lists(st.integers(0, 3), max_size=3),
    language=st.lists(names(("en", "de")), min_size=1, max_size=2),
    customer=st.lists(names(("acme", "zeta")), min_size=1, max_size=2),
    vip=st.booleans(),
    group=st.lists(names(("Experts", "Helpers")), min_size=1),
    queue=st.lists(names(("q0", "q1")), min_size=1),
    cause=st.lists(names(("first", "escalation", "source")), min_size=1),
    flags_any=st.lists(names(("security", "vip", "outage")), max_size=2),
    flags_none=st.lists(names(("security", "vip", "outage")), max_size=2),
    age_at_least_minutes=st.integers(0, 90),
    transfers_at_least=st.integers(0, 2),
    open=st.lists(calendars, max_size=2),
    closed=st.lists(calendars, max_size=2),
    closing=st.fixed_dictionaries({"calendar": calendars, "within_minutes": st.integers(1, 300)}),
)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BANDS = st.integers(0, 60).flatmap(lambda b: st.just({"above": b + 30, "below": b}))
OVERFLOWS = given_keys(oldest_minutes=BANDS, wait_minutes=BANDS, hold_minutes=st.sampled_from((0, 30)))
SKILLS = st.lists(names(("german", "sap")), max_size=2, unique=True)
GROUPS = st.dictionaries(
    names(("early", "late")), st.fixed_dictionaries({"capacity": st.none() | st.integers(2, 4), "skills": SKILLS})
)
PAUSES = st.lists(
    st.integers(0, 330).map(
        lambda day: {"begin": NEW_YEAR + timedelta(days=day), "until": NEW_YEAR + timedelta(days=day + 20)}
    ),
    max_size=2,
)
CAPS = given_keys(daily=st.integers(1, 3), monthly=st.integers(1, 5), concurrent=st.integers(1, 3))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    partners = {
        name: {
            "title": name,
            "calendar": draw(calendars),
            "fields": ["title"],
            "caps": draw(CAPS),
            "categories": draw(maybe(some)),
            "customers": draw(maybe(st.just(["acme"]))),
            "languages": draw(maybe(st.just(["en"]))),
            "regions": draw(st.lists(names(("eu", "ph")), unique=True)),
        }
        for name in ("one", "two")
    }
    queues: dict[str, Any] = {"duty": content()["queues"]["duty"], "lead": content()["queues"]["lead"]}
    for number in range(draw(st.integers(1, 6))):
        partner = draw(maybe(names(tuple(partners))))
        below = draw(st.integers(0, 2))
        queues[f"q{number}"] = {
            "title": f"Q{number}",
            "support_model": "partner" if partner else draw(names(("internal", "internal", "automation"))),
            "tier": draw(st.integers(0, 3)),
            "owner_role": "first-line",
            "calendar": draw(maybe(calendars)),
            "capacity": draw(maybe(st.integers(1, 4))),
            "overflow": draw(
                maybe(OVERFLOWS.map(lambda more: {"above": below + 2, "below": below, **more}))  # noqa: B023
            ),
            "skills": draw(SKILLS),
            "groups": draw(GROUPS),
            "pauses": draw(PAUSES),
            "close_lead_minutes": draw(maybe(st.integers(1, 60))),
            "enabled": draw(st.booleans()) or draw(st.booleans()),
            "partner": partner,
        }
    candidates = st.lists(names((*(q for q in queues if q.startswith("q")), "group")), min_size=1, max_size=4)
    rules = [
        {
            "name": f"r{number}",
            "when": draw(CONDITIONS),
            "to": draw(candidates),
            "strategy": draw(names(("preference", "least_loaded", "weighted"))),
        }
        for number in range(draw(st.integers(1, 6)))
    ]
    base = content()
    del base["queues"], base["partners"], base["calendars"]
    changes = {
        "calendars": CALENDARS,
        "partners": partners,
        "queues": queues,
        "routing": {
            "rules": rules,
            "group_queues": {"Experts": "q0", "Helpers": "lead"},
            "ping_pong_queue": draw(maybe(st.just("lead"))),
            "weights": draw(given_keys(P1=st.integers(1, 2))),
            "skills": draw(
                st.lists(st.fixed_dictionaries({"name": st.just("s"), "when": CONDITIONS, "skills": st.just(["sap"])}))
            )
            if draw(st.booleans())
            else [],
        },
        "residency": draw(
            st.lists(
                st.builds(
                    lambda customer, regions: {"name": "r", "when": {"customer": [customer]}, "regions": regions},
                    names(("acme", "zeta")),
                    st.lists(names(("eu", "ph")), max_size=1),
                ),
                max_size=2,
            )
        ),
    }
    made = Agreement.model_validate(merge(base, changes))
    return Policy(digest(made), made, COMPILED)


FACTS = st.builds(
    TicketFacts,
    source=st.just("servicenow"),
    channel=st.just("portal"),
    kind=names(("incident", "question")),
    category=maybe(names((*CATEGORIES, "unknown"))),
    priority=names(("P1", "P2", "P3")),
    impact=st.just("high"),
    urgency=st.just("high"),
    tier=st.integers(0, 3),
    flags=st.lists(names(("security", "vip", "outage", "abstained")), max_size=2, unique=True),
    customer=maybe(names(("acme", "zeta"))),
    language=maybe(names(("en", "en-GB", "de"))),
    vip=st.booleans(),
    group=maybe(names(("Experts", "Helpers", "Nobody"))),
    age_seconds=st.integers(0, 7200),
    transfers=st.integers(0, 3),
)
QUEUES = names(("q0", "q1", "q2", "lead", "duty"))
FIRST = st.builds(Request, facts=FACTS, purpose=st.just("first"), cause=names(("first", "reopened")), history=st.lists(QUEUES, max_size=3))  # fmt: skip # noqa: E501
ASKED = st.builds(
    Request,
    facts=FACTS,
    purpose=st.just("transfer"),
    cause=names(("escalation", "source", "pre_breach", "declined")),
    current=maybe(QUEUES),
    tried=st.lists(QUEUES, max_size=2),
    history=st.lists(QUEUES, max_size=5),
)
OWN = st.builds(
    Request,
    facts=FACTS,
    purpose=st.just("reroute"),
    cause=names(("reroute", "queue_closing")),
    current=QUEUES,
    history=st.lists(QUEUES, max_size=5),
)
CAUSES = names(("first", "escalation", "source"))
INSTANTS = st.integers(1_767_225_600, 1_798_761_599).map(lambda s: datetime.fromtimestamp(s, UTC))  # 2026
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(date.isoformat)
DESKS = st.builds(
    Desk,
    st.dictionaries(names(("q0", "q1", "q2", "q3", "q4", "q5", "lead")), st.integers(0, 5)),
    st.lists(names(("q0", "q1", "q2", "q3"))),
    st.dictionaries(st.tuples(names(("one", "two")), DAYS), st.integers(0, 6)),
    st.lists(names(("q0", "q1", "q2"))),
    st.dictionaries(names(("q0", "q1", "q2")), st.integers(0, 7200)),
    st.dictionaries(names(("q0", "q1", "q2")), st.integers(0, 7200)),
)


@settings(max_examples=60, deadline=None)
@given(policies(), FIRST | ASKED | OWN, DESKS, INSTANTS)
def test_every_ticket_gets_a_queue_and_a_partner_only_within_its_contract(
    policy: Policy, request: Request, desk: Desk, at: datetime
) -> None:
    outcome = decide(request, policy, desk, at)
    agreement, second = policy.agreement, int(at.timestamp())
    assert outcome.queue.name in agreement.queues
    assert outcome.queue.owner_role in agreement.owners
    assert outcome.final <= (outcome.queue is policy.duty)
    queue, name = agreement.queues[outcome.queue.name], outcome.queue.name
    if not outcome.final and not outcome.stays:
        assert queue.enabled
        assert not any(pause.begin <= at < pause.until for pause in queue.pauses)
        assert name not in request.tried
        if request.purpose == "transfer" and request.cause != "source":
            assert name != request.current
    if queue.partner is None or outcome.stays:
        return
    partner, facts = agreement.partners[queue.partner], request.facts
    assert policy.calendars[partner.calendar].is_open(second)
    assert queue.calendar is None or policy.calendars[queue.calendar].is_open(second)
    assert not set(partner.never_flags) & set(facts.flags)
    if partner.categories is not None:
        assert agreement.ancestors.get(facts.category or "", frozenset()) & set(partner.categories)
    assert partner.customers is None or facts.customer in partner.customers
    assert partner.languages is None or (facts.language or "").split("-")[0] in partner.languages
    day = at.astimezone(policy.calendars[partner.calendar].zone).date().isoformat()
    today, month = desk.taken(queue.partner, day)
    assert partner.caps.daily is None or today < partner.caps.daily
    assert partner.caps.monthly is None or month < partner.caps.monthly
    now = sum(desk.load(n) for n, q in agreement.queues.items() if q.partner == queue.partner)
    assert partner.caps.concurrent is None or now < partner.caps.concurrent
    assert queue.capacity is None or desk.load(name) + policy.weight(facts.priority) <= queue.capacity
    for rule in agreement.residency:
        if matches(rule.when, facts, at, policy.hours, ancestors=agreement.ancestors):
            assert partner.regions
            assert set(partner.regions) <= set(rule.regions)
    needs = policy.needs(facts, request.current, request.cause, int(judged_at(request, policy, at).timestamp()))
    if queue.groups:
        assert outcome.agents is not None
        agents = queue.groups[outcome.agents]
        assert needs <= {*queue.skills, *agents.skills}
        load = desk.load(group_place(name, outcome.agents))
        assert agents.capacity is None or load + policy.weight(facts.priority) <= agents.capacity
    else:
        assert needs <= set(queue.skills)


@settings(max_examples=40, deadline=None)
@given(policies(), FIRST | ASKED | OWN, DESKS, INSTANTS)
def test_the_same_inputs_give_the_same_decision(policy: Policy, request: Request, desk: Desk, at: datetime) -> None:
    """Whatever was asked in between: hours and days remember what they were asked last."""
    fresh = Policy(policy.version, policy.agreement, compile_calendars(policy.agreement))

    def event(by: Policy) -> bytes:
        outcome = decide(request, by, desk, at)
        return msgspec.json.encode(
            routed(outcome, request, by, at, ticket="a:b:c", versions=(1, 1), decision=1, transfer_id=None)
        )

    first = event(policy)
    decide(request, policy, desk, at + timedelta(days=45))
    assert event(policy) == first
    assert event(fresh) == first


@settings(max_examples=40, deadline=None)
@given(policies(), FIRST | ASKED | OWN, DESKS, INSTANTS)
def test_a_decision_is_made_again_from_its_event_alone(
    policy: Policy, request: Request, desk: Desk, at: datetime
) -> None:
    outcome = decide(request, policy, desk, at)
    event = routed(outcome, request, policy, at, ticket="a:b:c", versions=(1, 1), decision=1, transfer_id=None)
    read = msgspec.json.decode(msgspec.json.encode(event), type=type(event))
    fresh = Policy(policy.version, policy.agreement, compile_calendars(policy.agreement))
    assert differences(read, fresh) == {}


@settings(max_examples=40, deadline=None)
@given(
    policies(),
    FACTS,
    maybe(QUEUES),
    names(("first", "escalation", "source")),
    st.lists(INSTANTS, min_size=1, max_size=4),
)
def test_the_index_finds_what_the_conditions_say(
    policy: Policy, facts: TicketFacts, queue: str | None, cause: str, instants: list[datetime]
) -> None:
    agreement = policy.agreement
    for at in instants:  # in any order: hours remember a window
        expected = [
            number
            for number, rule in enumerate(agreement.routing.rules)
            if matches(rule.when, facts, at, policy.hours, ancestors=agreement.ancestors, queue=queue, cause=cause)
        ]
        assert list(policy.index.matching(facts, queue, cause, int(at.timestamp()))) == expected


@settings(max_examples=60, deadline=None)
@given(policies(), st.lists(st.tuples(FACTS, maybe(QUEUES), CAUSES, INSTANTS), min_size=1, max_size=12))
def test_a_rule_that_is_said_to_decide_of_no_ticket_decides_of_none(
    policy: Policy, asked: list[tuple[TicketFacts, str | None, str, datetime]]
) -> None:
    reach = Reach([rule.when for rule in policy.agreement.routing.rules], policy.agreement, policy.calendars)
    for facts, queue, cause, at in asked:
        number = next(policy.index.matching(facts, queue, cause, int(at.timestamp())), None)
        if number is not None:
            assert reach.contradiction(number) == []
            assert reach.covered_by(number) == []


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 3), st.integers(1, 4))
def test_load_that_hovers_switches_once_for_each_way_between_the_thresholds(
    moves: list[bool], below: int, gap: int
) -> None:
    base = merge(content(), {"queues": {"desk": {"overflow": {"above": below + gap, "below": below}}}})
    made = Agreement.model_validate(base)
    policy = Policy("v", made, compile_calendars(made))
    loads, switches, travelled, before = Loads(), 0, 0, 0
    for came in moves:
        load = loads.load("desk")
        if came:
            loads.loads["desk"] = load + 1
        elif load:
            loads.loads["desk"] = load - 1
        travelled += abs(loads.load("desk") - before)
        before = loads.load("desk")
        if loads.settle("desk", policy, 0) is not None:
            switches += 1
            assert loads.load("desk") == (below + gap if loads.overflow["desk"].on else below)
    assert switches <= 1 + max(0, travelled - below - gap) // gap


@given(
    st.lists(st.tuples(st.integers(0, 240), st.booleans()), max_size=200),
    st.integers(1, 60),
    names(("above", "oldest_minutes")),
)
def test_what_hovers_at_a_threshold_switches_at_most_once_in_a_hold(
    steps: list[tuple[int, bool]], hold: int, measure: str
) -> None:
    """Load that goes up and down around thresholds a ticket apart, or ages around thresholds a minute apart."""
    band: dict[str, Any] = {"above": 3, "below": 2}
    limits = band if measure == "above" else {"above": None, "below": None, measure: band}
    base = merge(content(), {"queues": {"desk": {"calendar": None, "overflow": {**limits, "hold_minutes": hold}}}})
    made = Agreement.model_validate(base)
    policy = Policy("v", made, compile_calendars(made))
    loads, at, switched = Loads(), 0, []
    present: list[tuple[str, Holding]] = []
    for number, (seconds, came) in enumerate(steps):
        at += seconds
        if came:
            present.append((f"t{number}", Holding(1, ("desk",), (("desk", at),))))
            loads.move(present[-1][0], Holding(), present[-1][1])
        elif present:
            gone, held = present.pop(0)
            loads.move(gone, held, Holding())
        if loads.settle("desk", policy, at) is not None:
            switched.append(at)
    assert all(later - earlier >= 60 * hold for earlier, later in pairwise(switched))


@settings(max_examples=25, deadline=None)
@given(policies(), st.lists(INSTANTS, min_size=1, max_size=3))
def test_coverage_names_the_queue_that_the_router_would(policy: Policy, instants: list[datetime]) -> None:
    """The proof of `agreement check` is about the router's own decisions: of new tickets, on a desk without any."""
    agreement = policy.agreement
    categories = list(agreement.ancestors)
    for at in instants:
        for stretch in coverage(agreement, policy.calendars, at, at + timedelta(seconds=1)):
            expected: Counter[str] = Counter()
            gaps = set()
            for category, priority in product(categories, PRIORITIES):
                facts = new_incident(agreement, category, priority, stretch.tier, "en")
                outcome = decide(Request(facts=facts, purpose="first", cause="first"), policy, Desk(), at)
                expected[outcome.queue.name] += 1
                if outcome.queue is policy.duty:
                    gaps.add((category, priority))
            assert dict(stretch.queues) == expected
            assert {(c, p) for c, which in stretch.gaps for p in which.split()} == gaps


def has(facts: TicketFacts, trait: Trait) -> bool:
    """Whether a ticket has it, said again in the simplest way."""
    match trait.attribute:
        case "vip":
            return facts.vip is not trait.other
        case "flag":
            return (trait.values[0] in facts.flags) is not trait.other
        case "language":
            word = facts.language or ""
            known = set(trait.values)
            return (word in known or ("-" in word and word.partition("-")[0] + "-…" in known)) is not trait.other
    return (str(getattr(facts, trait.attribute)) in trait.values) is not trait.other


NEW_FACTS = FACTS.map(
    lambda facts: msgspec.structs.replace(
        facts,
        category=facts.category if facts.category in CATEGORIES else "access",
        flags=[flag for flag in facts.flags if flag != "abstained"],
        group=None,
        age_seconds=0,
        transfers=0,
        impact="",
        urgency="",
    )
)


@settings(max_examples=60, deadline=None)
@given(policies(), st.lists(NEW_FACTS, min_size=1, max_size=8), INSTANTS)
def test_no_special_ticket_is_left_alone_unsaid_and_none_that_is_said_is_invented(
    policy: Policy, asked: list[TicketFacts], at: datetime
) -> None:
    """The proof of `agreement check` for tickets that are not plain, beside the router's own decisions: whom the duty
    owner alone would have is told, by its traits and the rule; and the example that is told is one."""
    agreement = policy.agreement
    spans = special_spans(agreement, policy.calendars, at, at + timedelta(seconds=1))

    def alone(facts: TicketFacts) -> str | None:
        outcome = decide(Request(facts=facts, purpose="first", cause="first"), policy, Desk(), at)
        return outcome.rule if outcome.queue is policy.duty else None

    for facts in asked:
        plain = new_incident(agreement, facts.category or "", facts.priority, facts.tier, "en")
        rule = alone(facts)
        said = [span for span in spans if all(has(facts, trait) for trait in span.traits)]
        if rule is not None and alone(plain) is None:
            assert (None if rule == "protocol:duty" else rule) in {span.rule for span in said}
    for span in spans:
        assert span.example is not None
        example = dict(span.example)
        flags = [name.removeprefix("flag ") for name in list(example) if name.startswith("flag ") and example.pop(name)]
        tier = int(example.pop("tier"))
        vip = example.pop("vip", "no") == "yes"
        language = example.pop("language", None)
        language = None if language is None else language.replace("-…", "-x")
        facts = TicketFacts(impact="", urgency="", tier=tier, vip=vip, flags=flags, language=language, **example)  # type: ignore[arg-type]
        assert alone(facts) == (span.rule or "protocol:duty"), span
        assert alone(new_incident(agreement, facts.category or "", facts.priority, tier, "en")) is None
