"""The whole review: its figures beside those of the period before, what stands out, tables and charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sla_monitor.review import charts, insights, measures
from sla_monitor.review.insights import Table
from sla_monitor.review.material import Material
from sla_monitor.review.measures import ALL, INTERNAL, Cell, Measure, Section
from sla_monitor.review.shown import shown

FEW = 20
"""A figure that rests on fewer is marked: one ticket more or less moves it visibly."""

KNOWN, MISTAKEN = 0.6, 0.15
"""Of what a first line passes on, the share with an article below which knowledge is the likely cause, and the share
classified wrongly above which the taxonomy is."""

_HEADLINES = ("opened", "adherence.resolution", "first_contact", "resolve.median", "reopen", "ping_pong", "csat")


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure of both sides together, with the period before. better: whether it went the good way, None: neither."""

    measure: Measure
    cell: Cell
    before: Cell | None
    better: bool | None


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    says: str
    svg: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    material: Material
    sections: list[Section]
    tables: list[Table]
    headlines: list[Headline]
    findings: list[str]
    charts: list[Chart]

    @property
    def columns(self) -> list[str]:
        """The sides that are shown: the company, each partner, all."""
        return measures.columns(self.material)

    @property
    def partial(self) -> str | None:
        """What to say when the facts do not span the period."""
        first, last, period = self.material.first_at, self.material.last_at, self.material.period
        if first is not None and first > period.since + timedelta(days=1):
            return f"The facts begin on {first:%Y-%m-%d}: the period before that is missing."
        if last is not None and last < period.until - timedelta(days=1):
            return f"The facts end on {last:%Y-%m-%d}: the rest of the period is missing."
        return None

    def title_of(self, column: str) -> str:
        return self.full_title_of(column).split(" – ")[0]

    def full_title_of(self, column: str) -> str:
        fixed = {INTERNAL: "Internal", ALL: "Both sides"}
        return fixed.get(column) or self.material.partners.get(column, column)


def make(material: Material, before: Material | None = None) -> Review:
    """before: of the period before, for comparison; None where there are no facts of it."""
    found = measures.sections(material)
    earlier = {} if before is None else {m.id: m for s in measures.sections(before) for m in s.measures}
    tables = insights.tables(material)
    return Review(
        material,
        found,
        tables,
        _headlines(found, earlier),
        _findings(material, found, tables),
        _charts(material, tables),
    )


def _headlines(found: list[Section], earlier: dict[str, Measure]) -> list[Headline]:
    every = {m.id: m for section in found for m in section.measures}
    headlines = []
    for name in _HEADLINES:
        measure = every.get(name)
        if measure is None or measure.cells[ALL].value is None:
            continue
        cell = measure.cells[ALL]
        former = earlier[name].cells.get(ALL) if name in earlier else None
        before = former if former is not None and former.value is not None and former.of >= FEW else None
        better = None
        if before is not None and before.value is not None and cell.value is not None and measure.good is not None:
            better = None if cell.value == before.value else (cell.value > before.value) == (measure.good == "high")
        headlines.append(Headline(measure, cell, before, better))
    return headlines


def _findings(material: Material, found: list[Section], tables: list[Table]) -> list[str]:
    """What a meeting should talk about, in sentences; each repeats a figure that stands below with its tickets."""
    every = {m.id: m for section in found for m in section.measures}
    by_id = {table.id: table for table in tables}
    said = []

    def side(name: str) -> str:
        return "the company" if name == INTERNAL else material.partners[name].split(" – ")[0]

    kept = every.get("adherence.resolution")
    if kept is not None:
        for name, cell in kept.cells.items():
            if name != ALL and cell.value is not None and cell.of >= FEW and cell.value < 0.9:
                late = round((1 - cell.value) * cell.of)
                said.append(
                    f"{shown(cell.value, 'ratio')} of {side(name)}'s resolution goals were met: {late:,} of"
                    f" {cell.of:,} tickets were late."
                )
    breached = by_id["breaches"].lines
    whole = sum(line.values["breaches"] for line in breached)
    if whole >= FEW:
        first = breached[0]
        share = first.values["breaches"] / whole
        said.append(
            f"{first.what} owned {shown(share, 'ratio')} of the {whole:,} breaches at the moment they happened"
            + (f"; the first three together {_share_of(breached[:3], whole)}." if len(breached) > 3 else ".")
        )
    for name, cell in every["escalation"].cells.items():
        if cell.value is None or cell.of < FEW:
            continue
        if cell.value > 0.3:
            covered = every["escalation.covered"].cells[name].value or 0.0
            corrected = every["escalation.corrected"].cells[name].value or 0.0
            said.append(
                f"{side(name)}'s first line escalated {shown(cell.value, 'ratio')} of {cell.of:,} tickets, more than"
                " 30 %:"
                f" an article was at hand for {shown(covered, 'ratio')} of these, {shown(corrected, 'ratio')} had been"
                f" classified wrongly. The likely cause is {_cause(covered, corrected)}."
            )
        else:
            said.append(
                f"{side(name)}'s first line escalated {shown(cell.value, 'ratio')} of {cell.of:,} tickets, within the"
                " 30 %"
                " at which its manager is called."
            )
    doubtful = every["pauses.doubtful"].cells[ALL]
    if doubtful.value and doubtful.of >= FEW:
        said.append(f"{len(doubtful.counted):,} of {doubtful.of:,} pauses of resolution clocks look unjustified.")
    bounced = every["ping_pong"].cells[ALL]
    if bounced.value is not None and bounced.of >= FEW and bounced.value >= 0.05:
        said.append(
            f"{round(bounced.value * bounced.of):,} tickets ({shown(bounced.value, 'ratio')}) came back to a queue"
            " that had"
            " had them."
        )
    for table, word in (
        ("automation", "worth automating"),
        ("gaps", "handed on for want of an article"),
        ("only_partners", "known to a partner alone"),
    ):
        lines = by_id[table].lines
        if lines:
            names = ", ".join(line.what for line in lines[:3])
            rest = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
            said.append(f"{len(lines)} categor{'y is' if len(lines) == 1 else 'ies are'} {word}: {names}{rest}.")
    return [sentence[0].upper() + sentence[1:] for sentence in said]


def _cause(covered: float, corrected: float) -> str:
    """Why a first line passes tickets on, by the limits of the alert on it (PartnerEscalation)."""
    causes = []
    if covered < KNOWN:
        causes.append("knowledge")
    if corrected > MISTAKEN:
        causes.append("the taxonomy or the rules")
    return " and ".join(causes) or "skills"


def _share_of(lines: list[insights.Line], whole: int) -> str:
    return shown(sum(line.values["breaches"] for line in lines) / whole, "ratio")


def _charts(material: Material, tables: list[Table]) -> list[Chart]:
    made = []
    if material.opened:
        says = "By the side that took them first; weekends are shaded"
        if material.period.days > 31:
            says = "By week and the side that took them first"
            if rest := material.period.days % 7:  # a last bar that is short says nothing of the work
                says += f"; the last bar is of {rest} day{'s' if rest > 1 else ''}"
        made.append(Chart("Tickets opened", says, charts.volume(material), wide=True))
    if any(row.clock == "resolution" for row in material.judged):
        made.append(
            Chart("Resolved in time", "By priority; small numbers say how many clocks", charts.adherence(material))
        )
    if material.finished:
        made.append(
            Chart(
                "Time to resolve",
                "Bar: median, line: up to the 90th percentile; the scale is logarithmic",
                charts.time_to_resolve(material),
            )
        )
    if any(row.acknowledged_seconds is not None and not row.automatic for row in material.transfers):
        made.append(
            Chart("Offers acknowledged by people", "Share done after so many minutes", charts.acknowledged(material))
        )
    if material.transfers:
        made.append(Chart("Transfers", "By what asked for them", charts.causes(material)))
    breached = next(table for table in tables if table.id == "breaches").lines[:12]
    if breached:
        made.append(
            Chart(
                "Breaches by owner",
                "Who owned the ticket when its time ran out; the first twelve",
                charts.bars(
                    [line.what for line in breached],
                    [line.values["breaches"] for line in breached],
                    [line.values["side"] for line in breached],
                    dict(charts.sides(material).values()),
                ),
                wide=True,
            )
        )
    return made
