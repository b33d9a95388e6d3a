"""The figures of a review: pure functions of its material. Each says how it is computed and which tickets it counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean, median, quantiles
from typing import Literal

from sla_monitor.review.material import Material, Row

Unit = Literal["count", "ratio", "seconds", "score", "number", "money"]
INTERNAL = "internal"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Counted:
    """A ticket that a figure counts. part: what it is in it (`kept`, `breached`, a cause). value: its own, if it has
    one."""

    ticket: str
    part: str = ""
    value: float | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of one side. value: None where there is nothing to compute it from. of: how many it rests on.
    counted: its tickets; leads: the part of them that a reader wants to see first (the breached, the escalated)."""

    value: float | None
    of: int
    counted: list[Counted] = field(default_factory=list)
    leads: str | None = None

    @property
    def shown(self) -> list[Counted]:
        """The tickets to look at: those of the part that matters, the largest values first."""
        some = [c for c in self.counted if self.leads is None or c.part == self.leads]
        return sorted(some, key=lambda c: (-(c.value or 0.0), c.ticket))


@dataclass(frozen=True, slots=True)
class Measure:
    """id: of the CSV's rows. how: how it is computed. cells: side (`internal`, a partner, `all`) -> cell.
    good: whether more is better; None: neither."""

    id: str
    title: str
    unit: Unit
    how: str
    cells: dict[str, Cell]
    good: Literal["high", "low"] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    measures: list[Measure]
    note: str = ""


def side_of(row: Row) -> str:
    """Which column a row counts in: its partner, else the company."""
    return row.partner or INTERNAL


def columns(material: Material) -> list[str]:
    """internal, every partner of the period, and all."""
    return [INTERNAL, *sorted(material.partners), ALL]


def sections(material: Material) -> list[Section]:
    """All figures that stand side by side."""
    return [
        volume(material),
        speed(material),
        quality(material),
        adherence(material),
        transfers(material),
        escalation(material),
        pauses(material),
        cost(material),
    ]


# -- how rows become cells


def _split(material: Material, rows: Iterable[Row], side: Callable[[Row], str] = side_of) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {name: [] for name in columns(material)}
    for row in rows:
        found[side(row)].append(row)
        found[ALL].append(row)
    return found


def _count(rows: Sequence[Row], part: Callable[[Row], str] = lambda _: "") -> Cell:
    return Cell(float(len(rows)), len(rows), [Counted(r.ticket, part(r), None, r.url) for r in rows])


def _ratio(rows: Sequence[Row], holds: Callable[[Row], bool], yes: str, no: str, leads: str) -> Cell:
    counted = [Counted(r.ticket, yes if holds(r) else no, None, r.url) for r in rows]
    hits = sum(c.part == yes for c in counted)
    return Cell(hits / len(rows) if rows else None, len(rows), counted, leads)


def _mean(rows: Sequence[Row], value: Callable[[Row], float]) -> Cell:
    return _over(rows, value, fmean)


def _over(rows: Sequence[Row], value: Callable[[Row], float], what: Callable[[Sequence[float]], float]) -> Cell:
    values = [value(r) for r in rows]
    counted = [Counted(r.ticket, "", v, r.url) for r, v in zip(rows, values, strict=True)]
    return Cell(what(values) if values else None, len(rows), counted)


def ninetieth(values: Sequence[float]) -> float:
    """The 90th percentile, by linear interpolation between the values, as spreadsheets do (PERCENTILE.INC)."""
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


def _each(found: dict[str, list[Row]], cell: Callable[[list[Row]], Cell]) -> dict[str, Cell]:
    return {name: cell(rows) for name, rows in found.items()}


# -- the sections


def volume(material: Material) -> Section:
    opened = _split(material, material.opened)
    measures = [
        Measure(
            "opened",
            "Tickets opened",
            "count",
            "Tickets whose source created them in the period (or that the desk first heard of, where that is"
            " earlier), by"
            " the side whose queue took them first; what nobody has taken yet is the company's",
            _each(opened, _count),
        )
    ]
    channels = Counter(row.channel for row in material.opened)
    for channel, _ in sorted(channels.items(), key=lambda item: (-item[1], item[0])):
        some = {name: [r for r in rows if r.channel == channel] for name, rows in opened.items()}
        how = f"Of these, the tickets whose channel is {channel}"
        measures.append(Measure(f"opened.{channel}", f"– by {channel}", "count", how, _each(some, _count)))
    measures.append(
        Measure(
            "resolved",
            "Tickets resolved",
            "count",
            "Tickets that became resolved or closed in the period and were so at its end, by the side that had them"
            " then",
            _each(_split(material, material.finished), _count),
        )
    )
    return Section("volume", "Volume", measures)


def speed(material: Material) -> Section:
    finished = _split(material, material.finished)
    responded = _split(material, [r for r in material.finished if r.responded_at is not None])
    taken = _split(material, [r for r in material.finished if r.taken_at is not None], _first_side(material))

    def to_resolve(row: Row) -> float:
        return float((row.resolved_at - row.opened_at).total_seconds())

    def to_respond(row: Row) -> float:
        return float(max(0.0, (row.responded_at - row.opened_at).total_seconds()))

    def to_take(row: Row) -> float:
        return float(max(0.0, (row.taken_at - row.opened_at).total_seconds()))

    how_resolve = (
        "From opened to resolved on the wall, nights and weekends included, of the tickets resolved in the period"
    )
    how_respond = (
        "From opened to the first public comment of an agent, of the tickets resolved in the period that have one"
    )
    how_take = "From opened until a queue's owner first acknowledged the ticket, of the tickets resolved in the period"
    return Section(
        "speed",
        "How long it took",
        [
            Measure(f"{name}.{which}", f"{title}, {which_title}", "seconds", f"{how}: {tail}", cells, "low")
            for name, title, how, rows, value in (
                ("resolve", "Time to resolve", how_resolve, finished, to_resolve),
                ("respond", "Time to respond", how_respond, responded, to_respond),
                ("take", "Time until somebody took it", how_take, taken, to_take),
            )
            for which, which_title, what, tail in (
                ("median", "median", median, "half took longer"),
                ("p90", "90th percentile", ninetieth, "one in ten took longer"),
            )
            for cells in (_each(rows, _timed(value, what)),)
        ],
    )


def _timed(value: Callable[[Row], float], what: Callable[[Sequence[float]], float]) -> Callable[[list[Row]], Cell]:
    return lambda rows: _over(rows, value, what)


def _first_side(material: Material) -> Callable[[Row], str]:
    partners = _queue_partners(material)
    return lambda row: partners.get(row.first_queue or "") or INTERNAL


def _queue_partners(material: Material) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for row in material.agreements:
        for name, queue in row.document["agreement"]["queues"].items():
            found[name] = queue.get("partner")
    return found


def quality(material: Material) -> Section:
    finished = _split(material, material.finished)
    first_line = _split(
        material,
        [r for r in material.finished if r.first_tier is not None and r.first_tier <= 1],
        _first_side(material),
    )
    resolutions = _split(material, material.resolutions)
    reopened = _split(material, material.reopenings)
    return Section(
        "quality",
        "How well it was done",
        [
            Measure(
                "first_contact",
                "First-contact resolution",
                "ratio",
                "Of the tickets resolved in the period that a first line (tier 0 or 1) took first, the share that no"
                " other queue had and that were never reopened; by the side of that first line",
                _each(
                    first_line,
                    lambda rows: _ratio(
                        rows, lambda r: r.stays == 1 and not r.reopened, "at first contact", "not", "not"
                    ),
                ),
                "high",
            ),
            Measure(
                "reopen",
                "Reopen rate",
                "ratio",
                "Reopenings in the period, as a share of the resolutions in it, those that did not last included; by"
                " the side that had the ticket then",
                {
                    name: Cell(
                        len(rows) / len(resolutions[name]) if resolutions[name] else None,
                        len(resolutions[name]),
                        [Counted(r.ticket, "reopened", None, r.url) for r in rows],
                    )
                    for name, rows in reopened.items()
                },
                "low",
            ),
            Measure(
                "reassignments",
                "Reassignments a ticket",
                "number",
                "Changes of queue, of the tickets resolved in the period, by the side that resolved them. A step to"
                " intake"
                " duty after a reopening is none",
                _each(finished, lambda rows: _mean(rows, lambda r: float(max(r.stays - 1, 0)))),
                "low",
            ),
            Measure(
                "ping_pong",
                "Ping-pong",
                "ratio",
                "Of the tickets resolved in the period, the share that came back to a queue that had had them"
                " (A → B → A), by the side that resolved them",
                _each(finished, lambda rows: _ratio(rows, lambda r: r.returns > 0, "came back", "not", "came back")),
                "low",
            ),
            Measure(
                "tool.reassignments",
                "Reassignments in the tool",
                "number",
                "Changes of the group that the ticket's tool names, of the tickets resolved in the period, whoever"
                " owned them"
                " here; by the side that resolved them",
                _each(finished, lambda rows: _mean(rows, lambda r: float(r.tool_moves))),
                "low",
            ),
            Measure(
                "tool.ping_pong",
                "Ping-pong in the tool",
                "ratio",
                "Of the same tickets, the share that came back to a group that had had them (A → B → A)",
                _each(
                    finished, lambda rows: _ratio(rows, lambda r: r.tool_returns > 0, "came back", "not", "came back")
                ),
                "low",
            ),
            Measure(
                "csat",
                "Satisfaction (CSAT)",
                "score",
                "Mean of the scores from 1 (worst) to 5 given in the period, the last of each ticket, by the side that"
                " resolved it",
                _each(_split(material, material.scores), lambda rows: _mean(rows, lambda r: float(r.csat))),
                "high",
            ),
        ],
    )


def adherence(material: Material) -> Section:
    measures = []
    goals: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in material.judged:
        goals[row.clock, ""].append(row)
        goals[row.clock, f"{row.policy}, {row.priority}, {_hours(row.goal_seconds)}"].append(row)
    for (clock, goal), rows in sorted(goals.items()):
        name = clock.replace("_", " ").capitalize()
        measures.append(
            Measure(
                f"adherence.{clock}" + (f".{goal}" if goal else ""),
                f"– {goal}" if goal else f"{name} in time",
                "ratio",
                f"Of the {clock.replace('_', ' ')} clocks that were met or breached in the period"
                + (f" under this goal ({goal} of the clock's calendar)" if goal else "")
                + ", the share met in time; by the side that owned the ticket at that moment. "
                + (
                    "A ticket counts once, as its last goal came out"
                    if clock in ("resolution", "first_response")
                    else "Each generation of the clock counts"
                ),
                _each(
                    _split(material, rows), lambda some: _ratio(some, lambda r: r.kept, "kept", "breached", "breached")
                ),
                "high",
            )
        )
    return Section("adherence", "Service levels", measures)


def _hours(seconds: int | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"


def transfers(material: Material) -> Section:
    asked = _split(material, material.transfers, lambda r: r.from_partner or INTERNAL)
    offered = _split(
        material, [r for r in material.transfers if r.queue is not None], lambda r: r.to_partner or INTERNAL
    )
    by_people = _split(
        material,
        [r for r in material.transfers if r.acknowledged_seconds is not None and not r.automatic],
        lambda r: r.to_partner or INTERNAL,
    )
    return Section(
        "transfers",
        "Transfers",
        [
            Measure(
                "transfers.asked",
                "Transfers asked for",
                "count",
                "Transfers requested in the period, by the side that had the ticket (the first dispatch is the"
                " company's)",
                _each(asked, lambda rows: _count(rows, lambda r: str(r.cause))),
            ),
            Measure(
                "transfers.taken",
                "Transfers taken",
                "count",
                "Of all these, those that were completed, by the side that took the ticket",
                _each(offered, _count),
            ),
            Measure(
                "transfers.acknowledge.median",
                "Acknowledged by people, median",
                "seconds",
                "From the offer until its receiver acknowledged it, of the transfers that a person acknowledged: half"
                " took"
                " longer",
                _each(by_people, lambda rows: _over(rows, lambda r: float(r.acknowledged_seconds), median)),
                "low",
            ),
            Measure(
                "transfers.acknowledge.p90",
                "Acknowledged by people, 90th percentile",
                "seconds",
                "The same: one in ten took longer",
                _each(by_people, lambda rows: _over(rows, lambda r: float(r.acknowledged_seconds), ninetieth)),
                "low",
            ),
            Measure(
                "transfers.automatic",
                "Taken automatically",
                "ratio",
                "Of the transfers taken, the share that the desk acknowledged for the duty owner, or that a"
                " reassignment in"
                " the tool counted for: nobody pressed a button",
                _each(
                    offered,
                    lambda rows: _ratio(rows, lambda r: bool(r.automatic), "automatic", "by people", "automatic"),
                ),
            ),
            Measure(
                "transfers.refused",
                "Declined or let expire",
                "ratio",
                "Of the transfers asked for, the share in which at least one queue declined or did not answer in"
                " time, by"
                " the side that had the ticket",
                _each(
                    asked,
                    lambda rows: _ratio(rows, lambda r: bool(r.declined or r.expired), "refused", "not", "refused"),
                ),
                "low",
            ),
        ],
    )


def escalation(material: Material) -> Section:
    stays = _split(material, material.stays)
    del stays[INTERNAL], stays[ALL]
    causes = sorted({r.cause or "?" for r in material.stays if r.escalated})
    measures = [
        Measure(
            "escalation",
            "Escalated to the second line",
            "ratio",
            "Of the tickets whose stay in the partner's first line (tier 0 or 1) ended in the period (handed on or"
            " resolved), the share that went to a queue of tier 2 or 3",
            _each(stays, lambda rows: _ratio(rows, lambda r: r.escalated, "escalated", "not", "escalated")),
            "low",
        )
    ]
    for cause in causes:
        how = f"Of the same tickets, the share that went up because of: {cause}"
        cells = _each(stays, _because(cause))
        measures.append(Measure(f"escalation.{cause}", f"– {_CAUSES.get(cause, cause)}", "ratio", how, cells))
    measures += [
        Measure(
            "escalation.covered",
            "Escalated although an article was at hand",
            "ratio",
            "Of the escalated tickets, the share for which the classifier had found an article: skill rather than"
            " knowledge is missing",
            _each(
                {name: [r for r in rows if r.escalated] for name, rows in stays.items()},
                lambda rows: _ratio(rows, lambda r: r.covered, "covered", "no article", "covered"),
            ),
        ),
        Measure(
            "escalation.corrected",
            "Escalated after a correction",
            "ratio",
            "Of the escalated tickets, the share whose classification a person corrected: the taxonomy or the rules"
            " sent"
            " them the wrong way",
            _each(
                {name: [r for r in rows if r.escalated] for name, rows in stays.items()},
                lambda rows: _ratio(rows, lambda r: r.corrected, "corrected", "not", "corrected"),
            ),
        ),
    ]
    return Section("escalation", "Escalation of the partner's first line", measures)


_CAUSES = {
    "escalation": "asked for by the partner",
    "pre_breach": "its deadline came near",
    "breach": "its deadline had passed",
    "source": "reassigned in the tool",
    "return": "given back",
    "queue_closing": "the queue closed",
    "overflow": "too much at once",
    "reopened": "reopened",
    "reroute": "sent elsewhere by the router",
}


def _because(cause: str) -> Callable[[list[Row]], Cell]:
    return lambda rows: _ratio(rows, lambda r: r.escalated and (r.cause or "?") == cause, cause, "not", cause)


UNASKED = "waits for the customer, whom nobody asked anything"
ANSWERED = "goes on more than 4 h after the customer's answer"
LAST_MINUTE = "begun in the last 30 min before the deadline"


def doubts(pause: Row, until: datetime) -> list[str]:
    """Why a pause looks unjustified; empty where nothing speaks against it. until: the end of the period."""
    end = pause.until_at or until
    found = []
    if pause.status == "pending_customer" and pause.has_comments and not pause.asked:
        found.append(UNASKED)
    if pause.answered_at is not None and end - pause.answered_at > timedelta(hours=4):
        found.append(ANSWERED)
    if pause.deadline is not None and timedelta(0) <= pause.deadline - pause.at < timedelta(minutes=30):
        found.append(LAST_MINUTE)
    return found


def pauses(material: Material) -> Section:
    until = material.period.until
    found = _split(material, material.pauses)

    def doubtful(rows: list[Row]) -> Cell:
        counted = [Counted(r.ticket, "; ".join(doubts(r, until)), _length(r, until), r.url) for r in rows]
        hits = [c for c in counted if c.part]
        return Cell(len(hits) / len(rows) if rows else None, len(rows), hits)

    return Section(
        "pauses",
        "Pauses of the resolution clock",
        [
            Measure(
                "pauses",
                "Pauses",
                "count",
                "Pauses of resolution clocks that lie at least partly in the period, by the side that had the ticket"
                " when"
                " it began",
                _each(found, _count),
            ),
            Measure(
                "pauses.doubtful",
                "Pauses that look unjustified",
                "ratio",
                f"The share of these that {UNASKED} (no public comment of an agent within a day before or 15 min"
                " after); or"
                f" that {ANSWERED}; or that was {LAST_MINUTE}. A reason to look, not a verdict",
                _each(found, doubtful),
                "low",
            ),
        ],
    )


def _length(row: Row, until: datetime) -> float:
    return float(((row.until_at or until) - row.at).total_seconds())


def cost(material: Material) -> Section:
    found = _split(material, material.taken)
    del found[INTERNAL], found[ALL]
    measures = []
    for currency in sorted({r.currency for r in material.taken if r.price is not None}) or ["EUR"]:

        def priced(rows: list[Row], currency: str = currency) -> Cell:
            some = [r for r in rows if r.price is not None and r.currency == currency]
            counted = [Counted(r.ticket, f"tier {r.tier}", float(r.price), r.url) for r in some]
            return Cell(sum(c.value or 0.0 for c in counted) if some else None, len(some), counted)

        measures.append(
            Measure(
                f"cost.{currency}",
                f"Cost by the price list ({currency})",
                "money",
                "Each ticket that the partner's people took in the period, once, at the agreement's price for the"
                " tier of"
                " the queue that took it. The company's own work has no price in the agreement",
                _each(found, priced),
            )
        )
    unpriced = {name: [r for r in rows if r.price is None] for name, rows in found.items()}
    if any(unpriced.values()):
        how = "Tickets that the partner took in a tier for which the agreement names no price"
        measures.append(Measure("cost.unpriced", "Tickets without a price", "count", how, _each(unpriced, _count)))
    return Section("cost", "Cost", measures)
