"""What must hold across the parts of an agreement: every name is defined, every rule can be reached, somebody always
answers."""

from __future__ import annotations

import difflib
import typing
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from business_calendar import Calendar, CalendarError, compile_calendar
from ticket_contracts.agreement.calendars import budget, calendar_spec
from ticket_contracts.agreement.conditions import Condition, weaker
from ticket_contracts.agreement.model import (
    Agreement,
    Category,
    ClassificationRule,
    Goal,
    Policy,
    RoutingRule,
    WorkingTime,
)
from ticket_contracts.agreement.problems import Finding, Path
from ticket_contracts.agreement.reaching import Reach
from ticket_contracts.agreement.routing_checks import (
    candidate_findings,
    circle_findings,
    flag_findings,
    overflow_findings,
    residency_findings,
    room_findings,
    skill_findings,
)
from ticket_contracts.routing import TicketView
from ticket_contracts.tickets import Channel, Kind, Status
from ticket_contracts.transfers import Cause, ContextPackage

GROUP = "group"
"""The candidate of a routing rule that stands for the queue of the source's group."""
RESERVED = frozenset({"source", "default", "correction", "taxonomy"})
"""What a `Judgement` calls the reasons that are no rules."""
INTERNAL = "internal"
"""The principal of `replies.internal`: no partner may have its name."""

_PARTS = frozenset(ContextPackage.__struct_fields__) | {f"view.{name}" for name in TicketView.__struct_fields__}
_LONG = 10**12
_LONGEST_CLOSING = 525_600
"""Minutes ahead: calendars are compiled for so long only."""
_LONGEST_KEPT = 36_500
"""Days: far less than would lead beyond the year 9999."""
_FAR_AHEAD = 4_102_444_800  # 2100: a calendar that still gives the goal then gives it to every ticket before
_PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
_WORDS: dict[str, Sequence[str]] = {
    "kind": typing.get_args(Kind),
    "channel": typing.get_args(Channel),
    "status": typing.get_args(Status),
    "priority": _PRIORITIES,
    "cause": typing.get_args(Cause),
}


def check(agreement: Agreement) -> list[Finding]:
    """All that keeps this agreement from being signed, in no particular order; empty: nothing does."""
    return list(_findings(agreement))


def _findings(agreement: Agreement) -> Iterator[Finding]:
    calendars, faults = _compiled(agreement)
    yield from faults
    yield from _parties(agreement)
    yield from _taxonomy(agreement)
    yield from _matrix(agreement)
    yield from _classification(agreement)
    yield from _owners(agreement)
    yield from _partners(agreement)
    yield from _queues(agreement, calendars)
    yield from _routing(agreement, calendars)
    yield from _policies(agreement, calendars)
    yield from _transfers(agreement)


def _unknown(path: Path, what: str, name: object, known: Iterable[str], section: str) -> Finding:
    near = difflib.get_close_matches(str(name), list(known), 1)
    remedy = f"write `{near[0]}`, or define it under `{section}`" if near else f"define it under `{section}`"
    return Finding(path, f"no {what} {name!r} is defined", remedy)


def _doubles(path: Path, names: Sequence[str], what: str) -> Iterator[Finding]:
    for name, count in Counter(names).items():
        if count > 1:
            last = len(names) - 1 - names[::-1].index(name)
            yield Finding((*path, last), f"the {what} {name!r} stands {count} times", "give each a name of its own")


def _compiled(agreement: Agreement) -> tuple[dict[str, Calendar], list[Finding]]:
    compiled: dict[str, Calendar] = {}
    found: list[Finding] = []
    for name, hours in agreement.calendars.items():
        path: Path = ("calendars", name)
        if not any(hours.hours.values()) and not any(hours.special.values()):
            found.append(
                Finding((*path, "hours"), "this calendar never opens", 'write windows, as mon: [["09:00", "17:00"]]')
            )
        found += _overlaps(path, hours)
        try:
            compiled[name] = compile_calendar(calendar_spec(name, hours))
        except CalendarError as error:
            said = str(error)
            what, _, remedy = said.partition("; ")
            found.append(Finding(path, what, remedy or "mend this calendar"))
    return compiled, found


def _overlaps(path: Path, hours: WorkingTime) -> Iterator[Finding]:
    """Windows of one day that share time: they would be one, which is not what somebody wrote."""
    days: list[tuple[Path, list[tuple[str, str]]]] = [((*path, "hours", day), w) for day, w in hours.hours.items()]
    days += [((*path, "special", day), windows) for day, windows in hours.special.items()]
    for where, windows in days:
        spans = [(begin, end if end > begin else f"next {end}") for begin, end in windows]
        for number, (begin, end) in enumerate(spans):
            for other, (opens, closes) in enumerate(spans[:number]):
                if begin < closes and opens < end:
                    yield Finding(
                        (*where, number),
                        f"{'–'.join(windows[number])} overlaps {'–'.join(windows[other])}",
                        "write hours of one day that follow one another, or one window for both",
                    )


def _parties(agreement: Agreement) -> Iterator[Finding]:
    parties = agreement.parties
    yield from _doubles(("parties",), [party.name for party in parties], "party")
    if all(party.side != "company" for party in parties):
        yield Finding(("parties",), "no party is of the company's side", "add one with `side: company`")
    for number, party in enumerate(parties):
        if party.partner is not None and party.partner not in agreement.partners:
            yield _unknown(("parties", number, "partner"), "partner", party.partner, agreement.partners, "partners")
        if party.partner is not None and party.side != "partner":
            yield Finding(
                ("parties", number), f"{party.name} signs for a partner, on the company's side", "write `side: partner`"
            )
    for name in agreement.partners:
        if all(party.partner != name for party in parties):
            yield Finding(
                ("partners", name),
                "nobody signs for this partner",
                f"add a party with `side: partner` and `partner: {name}` under `parties`",
            )
    yield from _doubles(("sources",), agreement.sources, "source")


def _taxonomy(agreement: Agreement) -> Iterator[Finding]:
    seen: dict[str, Path] = {}

    def walk(nodes: list[Category], path: Path) -> Iterator[Finding]:
        for number, node in enumerate(nodes):
            here = (*path, number)
            if node.id in seen:
                yield Finding((*here, "id"), f"the category {node.id!r} stands twice", "give each an id of its own")
            seen[node.id] = here
            yield from walk(node.children, (*here, "children"))

    yield from walk(agreement.taxonomy, ("taxonomy",))


def _matrix(agreement: Agreement) -> Iterator[Finding]:
    matrix = agreement.matrix
    path: Path = ("matrix", "priorities")
    yield from _doubles(("matrix", "impacts"), matrix.impacts, "impact")
    yield from _doubles(("matrix", "urgencies"), matrix.urgencies, "urgency")
    for impact in matrix.impacts:
        row = matrix.priorities.get(impact)
        if row is None:
            yield Finding(
                path, f"the matrix has no row for impact {impact!r}", f"add `{impact}:` with a priority per urgency"
            )
            continue
        for urgency in matrix.urgencies:
            if urgency not in row:
                yield Finding(
                    (*path, impact), f"no priority for {impact} × {urgency}", f"add `{urgency}: P1` (to P5) to this row"
                )
        for urgency in row:
            if urgency not in matrix.urgencies:
                yield _unknown((*path, impact, urgency), "urgency", urgency, matrix.urgencies, "matrix.urgencies")
    for impact in matrix.priorities:
        if impact not in matrix.impacts:
            yield _unknown((*path, impact), "impact", impact, matrix.impacts, "matrix.impacts")


def _classification(agreement: Agreement) -> Iterator[Finding]:
    part = agreement.classification
    path: Path = ("classification",)
    for source in part.authoritative:
        if source not in agreement.sources:
            yield _unknown((*path, "authoritative", source), "source", source, agreement.sources, "sources")
    for value, category in part.category_map.items():
        yield from _category(agreement, (*path, "category_map", value), category)
    yield from _set_words(
        agreement, (*path, "defaults"), part.defaults.category, part.defaults.impact, part.defaults.urgency
    )
    if part.candidate is not None and part.candidate == part.model:
        yield Finding((*path, "candidate"), "the candidate is the model itself", "name another digest, or take it out")
    yield from _doubles((*path, "rules"), [rule.name for rule in part.rules], "rule")
    for number, rule in enumerate(part.rules):
        here = (*path, "rules", number)
        yield from _set_words(agreement, here, rule.category, rule.impact, rule.urgency)
        yield from _lexicon(here, rule)
        if rule.name in RESERVED:
            yield Finding(
                (*here, "name"), f"{rule.name!r} stands for something else in evidence", "give the rule another name"
            )
        if not _sets(rule):
            yield Finding(
                here,
                f"the rule {rule.name!r} sets nothing",
                "add `category`, `impact`, `flags` or another field to set",
            )
        if rule.text is None and not rule.evidence and rule.channel is None and rule.people_at_least is None:
            yield Finding(
                here,
                f"the rule {rule.name!r} holds for every ticket",
                "put its values under `defaults`, or add a `text`",
            )


def _sets(rule: ClassificationRule) -> bool:
    values = (rule.category, rule.kind, rule.impact, rule.urgency, rule.tier)
    return bool(rule.flags) or any(value is not None for value in values)


def _set_words(
    agreement: Agreement, path: Path, category: str | None, impact: str | None, urgency: str | None
) -> Iterator[Finding]:
    matrix = agreement.matrix
    if category is not None:
        yield from _category(agreement, (*path, "category"), category)
    if impact is not None and impact not in matrix.impacts:
        yield _unknown((*path, "impact"), "impact", impact, matrix.impacts, "matrix.impacts")
    if urgency is not None and urgency not in matrix.urgencies:
        yield _unknown((*path, "urgency"), "urgency", urgency, matrix.urgencies, "matrix.urgencies")


def _lexicon(path: Path, rule: ClassificationRule) -> Iterator[Finding]:
    if rule.text is None:
        return
    if not rule.text.any and not rule.text.all:
        yield Finding((*path, "text"), "no word is looked for", "add words under `any` or `all`")
    for part in ("any", "all", "none"):
        for number, term in enumerate(getattr(rule.text, part)):
            where = (*path, "text", part, number)
            if not any(c.isalnum() for c in term):
                yield Finding(where, f"{term!r} has no letter or digit", "write a word or a phrase")
            elif "*" in term[:-1]:
                yield Finding(
                    where, f"{term!r} has a `*` inside", "put it at the end: `print*` finds printer and printing"
                )


def _category(agreement: Agreement, path: Path, category: str) -> Iterator[Finding]:
    if category not in agreement.ancestors:
        yield _unknown(path, "category", category, agreement.ancestors, "taxonomy")


def _owners(agreement: Agreement) -> Iterator[Finding]:
    for name, owner in agreement.owners.items():
        yield from _doubles(("owners", name, "members"), owner.members, "member")
        for number, member in enumerate(owner.members):
            if not member.strip():
                yield Finding(("owners", name, "members", number), "this member has no name", "name the person")
    for part in ("intake_duty", "duty"):
        role = getattr(agreement, part)
        if role not in agreement.owners:
            yield _unknown((part,), "owner", role, agreement.owners, "owners")
        elif agreement.owners[role].side != "company":
            yield Finding(
                (part,),
                f"{role} is of a partner's side",
                "name an owner with `side: company`: the last step stays inside",
            )


def _partners(agreement: Agreement) -> Iterator[Finding]:
    for name, partner in agreement.partners.items():
        path: Path = ("partners", name)
        if name == INTERNAL:
            yield Finding(path, f"`{INTERNAL}` stands for the company's own people", "give the partner another name")
        if partner.calendar not in agreement.calendars:
            yield _unknown((*path, "calendar"), "calendar", partner.calendar, agreement.calendars, "calendars")
        yield from _doubles((*path, "fields"), partner.fields, "field")
        for number, field in enumerate(partner.fields):
            if field not in TicketView.__struct_fields__:
                yield Finding(
                    (*path, "fields", number),
                    f"a ticket has no field {field!r}",
                    f"write one of {', '.join(TicketView.__struct_fields__)}",
                )
        for number, category in enumerate(partner.categories or ()):
            yield from _category(agreement, (*path, "categories", number), category)
        for part in ("categories", "customers", "languages"):
            if getattr(partner, part) == []:
                yield Finding(
                    (*path, part),
                    "an empty list allows no ticket",
                    "name at least one, or remove the key to allow all",
                )
        priced = partner.price_per_ticket
        for queue in agreement.queues.values():
            if queue.partner == name and priced and queue.tier not in priced:
                yield Finding(
                    (*path, "price_per_ticket"),
                    f"{queue.title} is of tier {queue.tier}, which has no price",
                    f"add `{queue.tier}:` with the price of a ticket, 0 if there is none",
                )
        for tier, price in priced.items():
            if price < 0:
                yield Finding((*path, "price_per_ticket", str(tier)), f"{price:g} is no price", "write 0 or more")
            if not 0 <= tier <= 3:
                yield Finding((*path, "price_per_ticket"), f"there is no tier {tier}", "price tiers 0 to 3")


def _queues(agreement: Agreement, calendars: dict[str, Calendar]) -> Iterator[Finding]:
    for name, queue in agreement.queues.items():
        path: Path = ("queues", name)
        if name == GROUP:
            yield Finding(
                path, f"`{GROUP}` stands for the source's group in routing rules", "give the queue another name"
            )
        if name.endswith((".dead-letter", ".changelog")):
            yield Finding(path, "a topic of this name would be taken for another kind", "give the queue another name")
        if queue.calendar is not None and queue.calendar not in agreement.calendars:
            yield _unknown((*path, "calendar"), "calendar", queue.calendar, agreement.calendars, "calendars")
        if queue.support_model == "partner" and queue.partner is None:
            yield Finding(path, "a partner's queue without a contract", "add `partner:` with a key of `partners`")
        if queue.support_model != "partner" and queue.partner is not None:
            yield Finding(
                (*path, "partner"),
                f"the queue is {queue.support_model}",
                "write `support_model: partner`, or remove `partner`",
            )
        if queue.partner is not None and queue.partner not in agreement.partners:
            yield _unknown((*path, "partner"), "partner", queue.partner, agreement.partners, "partners")
        owner = agreement.owners.get(queue.owner_role)
        side = "partner" if queue.support_model == "partner" else "company"
        if owner is None:
            yield _unknown((*path, "owner_role"), "owner", queue.owner_role, agreement.owners, "owners")
        elif owner.side != side:
            yield Finding(
                (*path, "owner_role"),
                f"{queue.owner_role} is of the {owner.side}'s side",
                f"name an owner with `side: {side}`",
            )
        yield from overflow_findings((*path, "overflow"), queue)
        if queue.close_lead_minutes is not None and queue.calendar is None and queue.partner is None:
            yield Finding((*path, "close_lead_minutes"), "this queue never closes", "add a `calendar`, or remove this")
    yield from _duty_queue(agreement, calendars)
    yield from room_findings(agreement)


def _duty_queue(agreement: Agreement, calendars: dict[str, Calendar]) -> Iterator[Finding]:
    """The last step of every escalation must be able to take whatever comes, whenever it comes."""
    name = agreement.routing.duty_queue
    path: Path = ("routing", "duty_queue")
    if name not in agreement.queues:
        yield _unknown(path, "queue", name, agreement.queues, "queues")
        return
    queue = agreement.queues[name]
    if queue.support_model != "internal":
        yield Finding(path, f"{name} is not internal", "name an internal queue: the last step stays inside")
    if queue.calendar in calendars and calendars[queue.calendar].next_close(0) is not None:
        yield Finding(path, f"{name} closes", "name a queue without a calendar: the last step is always open")
    if not queue.enabled or queue.capacity is not None:
        yield Finding(path, f"{name} cannot take everything", "enable it and leave its `capacity` away")
    if queue.owner_role != agreement.duty:
        yield Finding(
            path,
            f"{name} belongs to {queue.owner_role}",
            f"make `{agreement.duty}`, the agreement's `duty`, its owner_role",
        )


def _routing(agreement: Agreement, calendars: Mapping[str, Calendar]) -> Iterator[Finding]:
    routing = agreement.routing
    path: Path = ("routing",)
    yield from _doubles((*path, "rules"), [rule.name for rule in routing.rules], "rule")
    misspelt = False
    for number, rule in enumerate(routing.rules):
        here = (*path, "rules", number)
        faults = list(_condition(agreement, (*here, "when"), rule.when))
        misspelt = misspelt or bool(faults)
        yield from faults
        for index, name in enumerate(rule.to):
            if name == GROUP and not routing.group_queues:
                yield Finding(
                    (*here, "to", index), "no group has a queue", "fill `routing.group_queues`, or name a queue"
                )
            elif name != GROUP and name not in agreement.queues:
                yield _unknown((*here, "to", index), "queue", name, agreement.queues, "queues")
    # Not in the form, by which versions that are published already are read.
    if routing.ping_pong_after < 1:
        yield Finding((*path, "ping_pong_after"), f"{routing.ping_pong_after} is out of range", "write 1 or more")
    if routing.ended_kept_days > _LONGEST_KEPT:
        yield Finding(
            (*path, "ended_kept_days"), f"{routing.ended_kept_days} is out of range", f"write at most {_LONGEST_KEPT}"
        )
    for group, name in routing.group_queues.items():
        if name not in agreement.queues:
            yield _unknown((*path, "group_queues", group), "queue", name, agreement.queues, "queues")
    lead = routing.ping_pong_queue
    if lead is not None and lead not in agreement.queues:
        yield _unknown((*path, "ping_pong_queue"), "queue", lead, agreement.queues, "queues")
    elif lead is not None and agreement.queues[lead].support_model != "internal":
        yield Finding(
            (*path, "ping_pong_queue"),
            f"{lead} is not internal",
            "name an internal queue: the lead ends the back and forth",
        )
    preceded = list(_unreachable(agreement, (*path, "rules"), routing.rules))
    yield from preceded
    if not misspelt:
        yield from _idle(agreement, (*path, "rules"), calendars, {finding.path for finding in preceded})
    yield from candidate_findings(agreement)
    yield from circle_findings(agreement)
    yield from flag_findings(agreement)
    yield from _doubles((*path, "skills"), [rule.name for rule in routing.skills], "rule")
    for number, rule_of_skill in enumerate(routing.skills):
        yield from _condition(agreement, (*path, "skills", number, "when"), rule_of_skill.when)
    yield from skill_findings(agreement)
    yield from _doubles(("residency",), [rule.name for rule in agreement.residency], "rule")
    for number, residence in enumerate(agreement.residency):
        yield from _condition(agreement, ("residency", number, "when"), residence.when)
    yield from residency_findings(agreement)


def _policies(agreement: Agreement, calendars: Mapping[str, Calendar]) -> Iterator[Finding]:
    for name, policy in agreement.sla.items():
        path: Path = ("sla", name)
        if policy.calendar is not None and policy.calendar not in agreement.calendars:
            yield _unknown((*path, "calendar"), "calendar", policy.calendar, agreement.calendars, "calendars")
        yield from _condition(agreement, (*path, "when"), policy.when)
        for number, goal in enumerate(policy.goals):
            yield from _condition(agreement, (*path, "goals", number, "when"), goal.when)
            yield from _goal((*path, "goals", number), goal, policy, calendars)
        yield from _unreachable(agreement, (*path, "goals"), policy.goals)
        shortest = min((goal.seconds for goal in policy.goals if goal.seconds is not None), default=_LONG)
        for number, threshold in enumerate(policy.warn):
            here = (*path, "warn", number) if "warn" in policy.model_fields_set else path
            if (threshold.left_seconds is None) == (threshold.used_share is None):
                yield Finding(here, "a warning needs one measure", "give `left_seconds` or `used_share`, not both")
            elif threshold.left_seconds is not None and threshold.left_seconds > shortest and not threshold.wall:
                yield Finding(
                    here,
                    f"a warning {threshold.left_seconds} s ahead falls before the start of a goal of {shortest} s",
                    "write a smaller `left_seconds` under `warn`, or `used_share: 0.75`",
                )
        for part in ("start_on", "pause_on", "stop_on", "cancel_on"):
            yield from _words((*path, part), "status", getattr(policy, part) or [])
        for status in sorted(set(policy.pause_on) & set(policy.stop_on)):
            yield Finding(
                (*path, "pause_on"), f"{status} both pauses and stops this clock", "keep it in one of the two"
            )


def _goal(path: Path, goal: Goal, policy: Policy, calendars: Mapping[str, Calendar]) -> Iterator[Finding]:
    if (goal.seconds is None) == (goal.business_days is None):
        yield Finding(path, "a goal needs one measure", "give `seconds` or `business_days`, not both")
        return
    if goal.business_days is not None and policy.calendar is None:
        yield Finding(
            (*path, "business_days"), "business days are those of a calendar", "name a `calendar`, or write `seconds`"
        )
        return
    calendar = calendars.get(policy.calendar or "")
    if calendar is not None:
        try:
            calendar.add(_FAR_AHEAD, budget(goal, _FAR_AHEAD, calendar))
        except CalendarError:
            yield Finding(
                path,
                f"the calendar {policy.calendar} opens too seldom for this goal",
                "give it hours on weekdays, or write a smaller goal",
            )


def _transfers(agreement: Agreement) -> Iterator[Finding]:
    transfers = agreement.transfers
    path: Path = ("transfers",)
    seconds = transfers.acknowledge_seconds
    if "default" not in seconds:
        yield Finding((*path, "acknowledge_seconds"), "no `default` is given", "add `default: 900`")
    for queue, value in seconds.items():
        here = (*path, "acknowledge_seconds", queue)
        if queue != "default" and queue not in agreement.queues:
            yield _unknown(here, "queue", queue, agreement.queues, "queues")
        if value <= 0:
            yield Finding(here, f"{value} s is no time to answer in", "write a positive number of seconds")
        if value > transfers.total_seconds:
            yield Finding(
                here,
                "the whole transfer ends sooner",
                f"write at most {transfers.total_seconds}, or raise `total_seconds`",
            )
    if transfers.pre_breach is not None:
        yield from _condition(agreement, (*path, "pre_breach"), transfers.pre_breach)
    for cause, parts in transfers.required.items():
        here = (*path, "required", cause)
        if cause != "default":
            yield from _words(here, "cause", [cause], listed=False)
        for number, part in enumerate(parts):
            if part not in _PARTS:
                known = ", ".join(ContextPackage.__struct_fields__)
                yield Finding(
                    (*here, number),
                    f"a context package has no part {part!r}",
                    f"write one of {known}, or a field of the view such as view.text",
                )


def _words(path: Path, kind: str, values: Sequence[str], *, listed: bool = True) -> Iterator[Finding]:
    for number, value in enumerate(values):
        if value not in _WORDS[kind]:
            near = difflib.get_close_matches(value, _WORDS[kind], 1)
            remedy = f"write {near[0]}" if near else f"write one of {', '.join(_WORDS[kind])}"
            yield Finding((*path, number) if listed else path, f"no {kind} is called {value!r}", remedy)


def _condition(agreement: Agreement, path: Path, when: Condition) -> Iterator[Finding]:
    for field, values in when:
        if isinstance(values, list) and not values:
            yield Finding(
                (*path, field), "an empty list never holds", "name at least one, or remove the key to mean any"
            )
    for field in ("age_at_least_minutes", "transfers_at_least"):
        least = getattr(when, field)
        if least is not None and least <= 0:
            yield Finding(
                (*path, field), f"{least} holds for every ticket", "write 1 or more, or remove the key to mean any"
            )
    for field in ("kind", "channel", "status", "priority", "cause"):
        yield from _words((*path, field), field, getattr(when, field) or ())
    for number, category in enumerate(when.category or ()):
        yield from _category(agreement, (*path, "category", number), category)
    for number, tier in enumerate(when.tier or ()):
        if not 0 <= tier <= 3:
            yield Finding((*path, "tier", number), f"there is no tier {tier}", "write 0, 1, 2 or 3")
    named: tuple[tuple[str, str, Collection[str]], ...] = (
        ("source", "sources", agreement.sources),
        ("queue", "queues", agreement.queues),
        ("open", "calendars", agreement.calendars),
        ("closed", "calendars", agreement.calendars),
    )
    for field, section, known in named:
        for number, name in enumerate(getattr(when, field) or ()):
            if name not in known:
                yield _unknown((*path, field, number), section.removesuffix("s"), name, known, section)
    if when.closing is not None and when.closing.calendar not in agreement.calendars:
        yield _unknown(
            (*path, "closing", "calendar"), "calendar", when.closing.calendar, agreement.calendars, "calendars"
        )
    if when.closing is not None and when.closing.within_minutes > _LONGEST_CLOSING:
        yield Finding(
            (*path, "closing", "within_minutes"),
            f"{when.closing.within_minutes} is out of range",
            f"write at most {_LONGEST_CLOSING}, a year",
        )
    if when.open and set(when.open) <= set(when.closed or ()):
        yield Finding((*path, "open"), "it asks for hours that are both open and closed", "remove `open` or `closed`")
    if when.flags_any and set(when.flags_any) <= set(when.flags_none or ()):
        yield Finding((*path, "flags_any"), "it asks for flags that it forbids", "remove `flags_any` or `flags_none`")


def _unreachable(agreement: Agreement, path: Path, rules: Sequence[RoutingRule | Goal]) -> Iterator[Finding]:
    """Rules that an earlier one always precedes, since it holds whenever they do. What cannot be proven is not said."""
    conditions = [
        (rule.when, rule.name if isinstance(rule, RoutingRule) else f"number {number}")
        for number, rule in enumerate(rules, 1)
    ]
    for number, (when, _) in enumerate(conditions):
        for other, name in conditions[:number]:
            if weaker(other, when, agreement.ancestors):
                yield Finding(
                    (*path, number),
                    f"it is never reached: `{name}` before it holds whenever this holds",
                    "put this one first, or remove it",
                )
                break


def _idle(
    agreement: Agreement, path: Path, calendars: Mapping[str, Calendar], known: Collection[Path]
) -> Iterator[Finding]:
    """Rules that decide of no ticket: of themselves, or since those before them leave nothing. known: said already.

    A last rule that asks nothing is the net below the others: it may well have nothing to catch.
    """
    rules = agreement.routing.rules
    reach = Reach([rule.when for rule in rules], agreement, calendars)
    for number in range(len(rules)):
        here = (*path, number)
        if here in known:
            continue
        parts = reach.contradiction(number)
        if parts:
            named = " and ".join(f"`{part}`" for part in parts)
            yield Finding(
                (*here, "when", parts[0]),
                f"the rule never holds: {named} {'exclude one another' if len(parts) > 1 else 'is never so'}",
                "ask for what a ticket and an hour can be, or remove the rule",
            )
        elif rules[number].when == Condition() and number == len(rules) - 1:
            continue
        elif before := reach.covered_by(number):
            named = " and ".join(f"`{rules[n].name}`" for n in before)
            yield Finding(
                here,
                f"it is never reached: {named} before it {'leave' if len(before) > 1 else 'leaves'} nothing to it",
                "put this one first, or remove it",
            )
