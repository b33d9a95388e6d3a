"""Agreements of the right form that nobody should sign."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ticket_contracts.agreement import Agreement, Condition
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.checking import check
from ticket_contracts.agreement.conditions import weaker
from ticket_contracts.agreement.problems import dotted
from ticket_contracts.agreement.reading import read_agreement

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
_NEXT_RULE = f"classification.rules[{len(read_agreement(_DEFAULT.read_text(), 'default').classification.rules)}]"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return read_agreement(_DEFAULT.read_text(), "default.yaml").model_dump(mode="json", exclude_defaults=True)


def put(*path: str | int, value: object) -> Change:
    """Sets what stands at a path."""

    def change(content: dict[str, Any]) -> None:
        *above, last = path
        part: Any = content
        for step in above:
            part = part[step]
        part[last] = value

    return change


def append(*path: str | int, value: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        part: Any = content
        for step in path:
            part = part[step]
        part.append(value)

    return change


def first_rule(name: str, **when: object) -> Change:
    return lambda c: c["routing"]["rules"].insert(0, {"name": name, "when": when, "to": ["service-desk"]})


def first_rules(*conditions: dict[str, Any]) -> Change:
    """Rules x0, x1, … before all others."""

    def change(content: dict[str, Any]) -> None:
        added = [{"name": f"x{n}", "when": when, "to": ["service-desk"]} for n, when in enumerate(conditions)]
        content["routing"]["rules"][:0] = added

    return change


ROUND_THE_CLOCK = {
    "zone": "UTC",
    "hours": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
}


@pytest.mark.parametrize(
    ("change", "path", "what"),
    [
        (put("queues", "network", "owner_role", value="netwrk"), "queues.network.owner_role", "no owner"),
        (put("queues", "network", "calendar", value="noon"), "queues.network.calendar", "no calendar"),
        (put("queues", "campo-on-site", "partner", value="camp"), "queues.campo-on-site.partner", "no partner"),
        (put("queues", "campo-on-site", "partner", value=None), "queues.campo-on-site", "without a contract"),
        (put("queues", "network", "partner", value="campo"), "queues.network.partner", "the queue is internal"),
        (put("queues", "network", "owner_role", value="campo-dispatch"), "queues.network.owner_role", "partner's side"),
        (put("queues", "helpline-first-line", "owner_role", value="network"),
         "queues.helpline-first-line.owner_role", "co"),
        (put("queues", "service-desk", "overflow", value={"above": 5, "below": 5}),
         "queues.service-desk.overflow", "below"),
        (put("queues", "service-desk", "capacity", value=59), "queues.service-desk.overflow.above", "full before"),
        (put("queues", "service-desk", "overflow", value={"above": 5}), "queues.service-desk.overflow", "`below` is"),
        (put("queues", "service-desk", "overflow", value={}), "queues.service-desk.overflow", "no measure"),
        (put("queues", "service-desk", "overflow", value={"oldest_minutes": {"above": 5, "below": 9}}),
         "queues.service-desk.overflow.oldest_minutes", "not below"),
        (put("queues", "service-desk", "pauses", value=[{"begin": "2026-03-02T10:00:00Z",
         "until": "2026-03-02T09:00:00Z"}]), "queues.service-desk.pauses[0]", "ends before"),
        (put("queues", "duty", "pauses", value=[{"begin": "2026-03-02T10:00:00Z", "until": "2026-03-03T09:00:00Z"}]),
         "queues.duty.pauses", "cannot pause"),
        (put("routing", "weights", value={"P1": 200}), "queues.workplace.capacity", "never has room"),
        (put("routing", "skills", value=[{"name": "x", "skills": ["germn"]}]), "routing.skills[0].skills[0]", "nobody"),
        (lambda c: (put("routing", "skills", value=[{"name": "x", "skills": ["german"]}])(c),
                    put("queues", "network", "skills", value=["german"])(c),
                    put("queues", "workplace", "skills", value=["germn"])(c)), "queues.workplace.skills[0]", "no rule"),
        (put("routing", "skills", value=[{"name": "x", "when": {"priority": ["P9"]}, "skills": ["german"]}]),
         "routing.skills[0].when.priority[0]", "no priority"),
        (put("residency", value=[{"name": "x", "regions": ["mars"]}]), "residency[0].regions[0]", "no partner"),
        (put("residency", value=[{"name": "x", "when": {"open": ["office"]}, "regions": []}]), "residency[0].when",
         "the hour"),
        (lambda c: (put("residency", value=[{"name": "x", "regions": ["europe"]}])(c),
                    put("partners", "campo", "regions", value=["euorpe"])(c)), "partners.campo.regions[0]", "no rule"),
        (put("queues", "network", "pauses", value=[{"begin": "2026-03-02T10:00:00Z",
         "until": "9999-12-31T23:59:59-05:00"}]), "queues.network.pauses[0].until", "beyond the year 9999"),
        (put("partners", "campo", "never_flags", value=["secuirty"]), "partners.campo.never_flags[0]", "nothing sets"),
        (put("routing", "rules", 0, "when", "flags_any", value=["securty"]),
         "routing.rules[0].when.flags_any[0]", "nothing sets"),
        (first_rule("x", closing={"calendar": "office", "within_minutes": 10**8}),
         "routing.rules[0].when.closing.within_minutes", "out of range"),
        (put("partners", "campo", "price_per_ticket", value={2: -1.5}), "partners.campo.price_per_ticket.2", "-1.5 is"),
        (first_rule("x", age_at_least_minutes=0), "routing.rules[0].when.age_at_least_minutes", "every ticket"),
        (first_rule("x", transfers_at_least=-1), "routing.rules[0].when.transfers_at_least", "every ticket"),
        (put("partners", "campo", "categories", value=[]), "partners.campo.categories", "allows no ticket"),
        (put("partners", "campo", "customers", value=[]), "partners.campo.customers", "allows no ticket"),
        (put("partners", "campo", "languages", value=[]), "partners.campo.languages", "allows no ticket"),
        (put("partners", "campo", "price_per_ticket", value={1: 5.0}), "partners.campo.price_per_ticket",
         "Campo on site is of tier 2"),
        (put("calendars", "office", "hours", "tue", value=[["08:00", "12:00"], ["11:00", "18:00"]]),
         "calendars.office.hours.tue[1]", "11:00–18:00 overlaps 08:00–12:00"),
        (put("calendars", "office", "special", value={"12-24": [["22:00", "02:00"], ["20:00", "23:00"]]}),
         "calendars.office.special.12-24[1]", "overlaps"),
        (lambda c: c["routing"]["rules"].insert(0, {"name": "x", "when": {"group": ["Nobody"]}, "to": ["group"]}),
         "routing.rules[0].to[0]", "none of the groups Nobody"),
        (put("routing", "rules", 0, "to", value=["security", "security"]), "routing.rules[0].to[1]", "stands twice"),
        (put("routing", "rules", 0, "to", value=["campo-on-site"]), "routing.rules[0].to[0]", "keeps security inside"),
        (put("routing", "rules", 3, "to", value=["campo-on-site"]), "routing.rules[3].to[0]", "is about hardware"),
        (put("routing", "rules", 9, "when", "queue", value=["major-incidents"]), "routing.rules[10].to",
         "circle: desk-lead -> on-call -> desk-lead"),
        (put("queues", "on-call", "close_lead_minutes", value=5), "queues.on-call.close_lead_minutes", "never closes"),
        (put("queues", "group", value={"title": "G", "support_model": "internal", "tier": 1, "owner_role": "network"}),
         "queues.group", "source's group"),
        (put("owners", "network", "members", value=["Ada", "Ada"]), "owners.network.members[1]", "stands 2 times"),
        (put("owners", "network", "members", value=["  "]), "owners.network.members[0]", "no name"),
        (put("intake_duty", value="nobody"), "intake_duty", "no owner"),
        (put("duty", value="helpline-lead"), "duty", "partner's side"),
        (put("routing", "duty_queue", value="gone"), "routing.duty_queue", "no queue"),
        (put("routing", "duty_queue", value="automation"), "routing.duty_queue", "not internal"),
        (put("queues", "duty", "calendar", value="office"), "routing.duty_queue", "closes"),
        (put("queues", "duty", "capacity", value=5), "routing.duty_queue", "cannot take everything"),
        (put("queues", "duty", "owner_role", value="on-call"), "routing.duty_queue", "belongs to on-call"),
        (put("routing", "ping_pong_queue", value="helpline-first-line"), "routing.ping_pong_queue", "not internal"),
        (put("routing", "group_queues", "SAP", value="sap"), "routing.group_queues.SAP", "no queue"),
        (put("routing", "rules", 0, "to", value=["nowhere"]), "routing.rules[0].to[0]", "no queue"),
        (put("routing", "group_queues", value={}), "routing.rules[12].to[0]", "no group has a queue"),
        (put("routing", "rules", 1, "name", value="security"), "routing.rules[1]", "stands 2 times"),
        (first_rule("catch-all"), "routing.rules[1]", "never reached"),
        (first_rule("x", category=["netwrk"]), "routing.rules[0].when.category[0]", "no category"),
        (first_rule("x", open=["noon"]), "routing.rules[0].when.open[0]", "no calendar"),
        (first_rule("x", queue=["gone"]), "routing.rules[0].when.queue[0]", "no queue"),
        (first_rule("x", source=["remedy"]), "routing.rules[0].when.source[0]", "no source"),
        (first_rule("x", cause=["pre-breach"]), "routing.rules[0].when.cause[0]", "no cause"),
        (first_rule("x", priority=["P0"]), "routing.rules[0].when.priority[0]", "no priority"),
        (first_rule("x", tier=[4]), "routing.rules[0].when.tier[0]", "no tier 4"),
        (first_rule("x", kind=[]), "routing.rules[0].when.kind", "never holds"),
        (first_rule("x", open=["office"], closed=["office"]), "routing.rules[0].when.open", "both open and closed"),
        (first_rule("x", flags_any=["a"], flags_none=["a"]), "routing.rules[0].when.flags_any", "it forbids"),
        (first_rules({"vip": True}, {"vip": False}), "routing.rules[2]", "`x0` and `x1` before it leave nothing"),
        (first_rules({"open": ["office"]}, {"priority": ["P1"]}, {"closed": ["office"]}), "routing.rules[3]",
         "`x0` and `x2` before it leave nothing"),
        (first_rules({"flags_any": ["a"], "vip": True}, {"flags_none": ["a"], "vip": True}, {"vip": True}),
         "routing.rules[2]", "`x0` and `x1` before it leave nothing"),
        (first_rules({"priority": ["P1", "P2"]}, {"priority": ["P3", "P4", "P5"]}), "routing.rules[2]", "nothing"),
        (first_rules({"open": ["office"]}, {"closing": {"calendar": "office", "within_minutes": 5}}),
         "routing.rules[1]", "never reached"),
        (first_rules({"age_at_least_minutes": 60}, {"age_at_least_minutes": 30, "open": ["office"]},
                     {"age_at_least_minutes": 30, "closed": ["office"]}, {"age_at_least_minutes": 45}),
         "routing.rules[3]", "`x1` and `x2` before it"),
        (first_rule("x", tier=[0, 1, 2, 3]), "routing.rules[1]", "`x` before it leaves nothing"),
        (first_rule("x", closed=["office"], closing={"calendar": "office", "within_minutes": 5}),
         "routing.rules[0].when.closed", "`closed` and `closing` exclude one another"),
        (first_rule("x", status=["closed"]), "routing.rules[0].when.status", "`status` is never so"),
        (lambda c: (put("calendars", "round", value=ROUND_THE_CLOCK)(c), first_rule("x", closed=["round"])(c)),
         "routing.rules[0].when.closed", "`closed` is never so"),
        (lambda c: (put("calendars", "round", value=ROUND_THE_CLOCK)(c), first_rule("x", open=["round"])(c)),
         "routing.rules[1]", "`x` before it leaves nothing"),
        (first_rule("x", closing={"calendar": "noon", "within_minutes": 5}),
         "routing.rules[0].when.closing.calendar", "no"),
        (put("parties", value=[{"name": "H", "side": "partner", "partner": "helpline"}]), "parties", "company's side"),
        (lambda c: c["parties"].pop(), "partners.campo", "nobody signs"),
        (put("parties", 1, "partner", value="help"), "parties[1].partner", "no partner"),
        (put("partners", "campo", "fields", value=["titel"]), "partners.campo.fields[0]", "no field 'titel'"),
        (put("partners", "campo", "calendar", value="noon"), "partners.campo.calendar", "no calendar"),
        (put("partners", "campo", "categories", value=["hw"]), "partners.campo.categories[0]", "no category"),
        (put("partners", "campo", "price_per_ticket", value={7: 1.0}), "partners.campo.price_per_ticket", "no tier 7"),
        (append("taxonomy", value={"id": "vpn", "title": "VPN"}), "taxonomy[8].id", "stands twice"),
        (lambda c: c["matrix"]["priorities"]["low"].pop("low"), "matrix.priorities.low", "no priority for low × low"),
        (lambda c: c["matrix"]["priorities"].pop("low"), "matrix.priorities", "no row for impact 'low'"),
        (put("matrix", "priorities", "none", value={}), "matrix.priorities.none", "no impact"),
        (put("classification", "defaults", "impact", value="none"), "classification.defaults.impact", "no impact"),
        (put("classification", "rules", 0, "category", value="fish"), "classification.rules[0].category",
         "no category"),
        (put("classification", "rules", 0, "name", value="source"), "classification.rules[0].name", "something else"),
        (put("classification", "rules", 0, "urgency", value="now"), "classification.rules[0].urgency", "no urgency"),
        (put("classification", "rules", 0, "text", value={"any": ["p*ish"]}),
         "classification.rules[0].text.any[0]", "inside"),
        (put("classification", "rules", 0, "text", value={"any": ["!"]}),
         "classification.rules[0].text.any[0]", "no letter"),
        (put("classification", "rules", 0, "text", value={}), "classification.rules[0].text", "no word"),
        (append("classification", "rules", value={"name": "x", "text": {"any": ["y"]}}),
         _NEXT_RULE, "nothing"),
        (append("classification", "rules", value={"name": "x", "tier": 1}), _NEXT_RULE, "every ticket"),
        (put("classification", "authoritative", "remedy", value=[]), "classification.authoritative.remedy",
         "no source"),
        (put("classification", "category_map", "X", value="x"), "classification.category_map.X", "no category"),
        (put("calendars", "office", "zone", value="Europe/Bonn"), "calendars.office", "Europe/Bonn"),
        (put("calendars", "office", "holidays", value=["2025-13-01"]), "calendars.office", "2025-13-01"),
        (put("calendars", "never", value={"zone": "UTC", "hours": {"mon": []}}), "calendars.never.hours",
         "never opens"),
        (put("sla", "resolution", "calendar", value="noon"), "sla.resolution.calendar", "no calendar"),
        (put("sla", "resolution", "goals", value=[{}]), "sla.resolution.goals[0]", "one measure"),
        (put("sla", "resolution", "goals", value=[{"seconds": 9000, "business_days": 1}]),
         "sla.resolution.goals[0]", "one measure"),
        (put("sla", "resolution-critical", "goals", value=[{"business_days": 1}]),
         "sla.resolution-critical.goals[0].business_days", "those of a calendar"),
        (put("calendars", "office",
             value={"zone": "UTC", "hours": {}, "special": {"2030-01-01": [["09:00", "10:00"]]}}),
         "sla.resolution.goals[0]", "opens too seldom"),
        (put("calendars", "office", "icalendar", value=["BEGIN:VCALENDAR"]), "calendars.office", "iCalendar"),
        (put("sla", "resolution", "pause_on", value=["waiting"]), "sla.resolution.pause_on[0]", "no status"),
        (put("sla", "resolution", "stop_on", value=["on_hold"]), "sla.resolution.pause_on", "both pauses and stops"),
        (put("sla", "resolution", "warn", value=[{}]), "sla.resolution.warn[0]", "one measure"),
        (put("sla", "resolution", "goals", value=[{"seconds": 600}]), "sla.resolution", "before the start"),
        (put("sla", "resolution", "goals", value=[{"seconds": 6000}, {"seconds": 7000}]),
         "sla.resolution.goals[1]", "never"),
        (put("transfers", "acknowledge_seconds", value={}), "transfers.acknowledge_seconds", "no `default`"),
        (put("transfers", "acknowledge_seconds", "gone", value=9), "transfers.acknowledge_seconds.gone", "no queue"),
        (put("transfers", "acknowledge_seconds", "duty", value=0), "transfers.acknowledge_seconds.duty", "no time"),
        (put("transfers", "acknowledge_seconds", "duty", value=9999), "transfers.acknowledge_seconds.duty", "sooner"),
        (put("transfers", "required", "panic", value=[]), "transfers.required.panic", "no cause"),
        (put("transfers", "required", "default", value=["vew"]), "transfers.required.default[0]", "no part 'vew'"),
        (put("transfers", "pre_breach", value={"queue": ["gone"]}), "transfers.pre_breach.queue[0]", "no queue"),
    ],
)  # fmt: skip
def test_it_is_refused_and_the_place_is_named(content: dict[str, Any], change: Change, path: str, what: str) -> None:
    changed = copy.deepcopy(content)
    change(changed)
    found = check(Agreement.model_validate(changed))
    assert any(dotted(f.path) == path and what in f.what and f.remedy for f in found), found


def test_the_unchanged_document_has_nothing_to_mend(content: dict[str, Any]) -> None:
    assert check(Agreement.model_validate(content)) == []


def _regions_of_two_partners(content: dict[str, Any]) -> None:
    put("residency", value=[{"name": "x", "when": {"customer": ["acme"]}, "regions": ["us-east"]}])(content)
    put("partners", "campo", "regions", value=["us-east"])(content)
    put("partners", "helpline", "regions", value=["us-west"])(content)


def _skills_of_two_queues(content: dict[str, Any]) -> None:
    put("routing", "skills", value=[{"name": "x", "when": {"customer": ["acme"]}, "skills": ["sap-fi", "level-1"]}])(
        content
    )
    put("queues", "network", "skills", value=["sap-fi", "level-1"])(content)
    put("queues", "platform", "skills", value=["sap-co", "level-2"])(content)


@pytest.mark.parametrize(
    "change",
    [
        _regions_of_two_partners,
        _skills_of_two_queues,
        first_rule("x", flags_any=["from-a-source"]),
        first_rule("x", flags_any=["security-2"]),
        put("calendars", "office", "hours", "tue", value=[["08:00", "12:00"], ["12:00", "18:00"], ["22:00", "06:00"]]),
        put("queues", "network", "pauses", value=[{"begin": "2026-03-02T10:00:00Z", "until": "9999-12-31T23:59:59Z"}]),
        put("partners", "campo", "price_per_ticket", value={}),
    ],
    ids=["two regions", "two skills", "a source's flag", "a numbered flag", "hours one after the other", "for ever",
         "no price list"],
)  # fmt: skip
def test_two_names_that_look_alike_are_two_names_and_what_is_odd_may_be_meant(
    content: dict[str, Any], change: Change
) -> None:
    changed = copy.deepcopy(content)
    change(changed)
    assert check(Agreement.model_validate(changed)) == []


@pytest.mark.parametrize(
    "conditions",
    [
        ({"vip": True}, {"vip": False, "open": ["office"]}),
        ({"open": ["office"]}, {"closed": ["network"]}),
        ({"flags_any": ["a"]}, {"flags_none": ["a", "b"]}, {"flags_any": ["b"], "vip": True}),
        ({"customer": ["acme"]}, {"customer": ["zeta"]}),
        ({"closing": {"calendar": "office", "within_minutes": 5}}, {"closed": ["office"]}),
        ({"category": ["accounts", "network", "hardware", "software"]}, {"kind": ["incident", "question"]}),
        ({"cause": ["escalation"], "queue": ["network"]}, {"cause": ["first"]}),
    ],
)
def test_what_leaves_something_to_the_rules_after_it_is_no_fault(
    content: dict[str, Any], conditions: tuple[dict[str, Any], ...]
) -> None:
    changed = copy.deepcopy(content)
    first_rules(*conditions)(changed)
    changed["routing"]["rules"] = [*changed["routing"]["rules"][: len(conditions)], {"name": "rest", "to": ["duty"]}]
    changed["routing"]["group_queues"] = {}
    assert check(Agreement.model_validate(changed)) == []


def test_a_last_rule_that_asks_nothing_may_have_nothing_to_catch(content: dict[str, Any]) -> None:
    """People write one in case they forgot something; with others after it, it hides these."""
    changed = copy.deepcopy(content)
    first_rules({"vip": True}, {"vip": False})(changed)
    changed["routing"]["rules"] = [*changed["routing"]["rules"][:2], {"name": "net", "to": ["duty"]}]
    changed["routing"]["group_queues"] = {}
    assert check(Agreement.model_validate(changed)) == []
    changed["routing"]["rules"].append({"name": "rest", "to": ["duty"]})
    assert {str(finding.path[2]) for finding in check(Agreement.model_validate(changed))} == {"2", "3"}


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        ({}, {"tier": [1]}, True),
        ({"tier": [1]}, {}, False),
        ({"tier": [1, 2]}, {"tier": [1]}, True),
        ({"tier": [1]}, {"tier": [1, 2]}, False),
        ({"category": ["network"]}, {"category": ["vpn"]}, True),
        ({"category": ["vpn"]}, {"category": ["network"]}, False),
        ({"vip": False}, {"vip": False}, True),
        ({"vip": True}, {}, False),
        ({"flags_any": ["a", "b"]}, {"flags_any": ["a"]}, True),
        ({"flags_none": ["a"]}, {"flags_none": ["a", "b"]}, True),
        ({"flags_none": ["a", "b"]}, {"flags_none": ["a"]}, False),
        ({"open": ["office", "network"]}, {"open": ["office"]}, True),
        ({"closed": ["office"]}, {"closed": ["office", "network"]}, True),
        ({"closed": ["office", "network"]}, {"closed": ["office"]}, False),
        ({"age_at_least_minutes": 5}, {"age_at_least_minutes": 9}, True),
        ({"age_at_least_minutes": 9}, {"age_at_least_minutes": 5}, False),
        ({"closing": {"calendar": "office", "within_minutes": 9}},
         {"closing": {"calendar": "office", "within_minutes": 5}}, True),
        ({"closing": {"calendar": "office", "within_minutes": 5}}, {"open": ["office"]}, False),
    ],
)  # fmt: skip
def test_a_condition_is_weaker_only_where_that_is_certain(
    content: dict[str, Any], one: dict[str, Any], other: dict[str, Any], holds: bool
) -> None:
    agreement = Agreement.model_validate(content)
    assert weaker(Condition.model_validate(one), Condition.model_validate(other), agreement.ancestors) is holds


def test_calendars_are_compiled_by_name_with_holidays_of_both_kinds(content: dict[str, Any]) -> None:
    calendars = compile_calendars(Agreement.model_validate(content))
    monday_nine = 1_772_442_000  # 2026-03-02T09:00:00Z
    good_friday = 1_775_203_200  # 2026-04-03T08:00:00Z: a public holiday in Germany, a listed one in Manila
    assert set(calendars) == {"office", "network", "helpline", "campo"}
    assert all(calendar.is_open(monday_nine) for calendar in calendars.values())
    assert not any(calendar.is_open(good_friday) for calendar in calendars.values())
