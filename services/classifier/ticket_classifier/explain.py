"""A classification as a person reads it: what was decided, how surely, and the words that led there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ticket_classifier.domain.decide import CORRECTION, DEFAULT, MODEL, SOURCE, TAXONOMY
from ticket_classifier.domain.knowledge import Suggestion
from ticket_contracts.agreement import Agreement
from ticket_contracts.classification import Judgement, ModelOpinion, TicketClassified
from ticket_contracts.tickets import TicketNormalized

_SHOWN = 600
"""Characters of a ticket's text that are shown."""
_COLOURS = {"P1": "bold white on red", "P2": "bold red", "P3": "yellow", "P4": "green", "P5": "cyan"}


def explanation(
    ticket: TicketNormalized,
    event: TicketClassified,
    agreement: Agreement,
    titles: Mapping[str, str],
    suggested: Sequence[Suggestion] = (),
) -> Panel:
    """titles: category -> its title. The ticket's text is shown with the words that counted marked."""
    shown = ticket.text.strip()
    body = Text(shown[:_SHOWN] + (" …" if len(shown) > _SHOWN else ""), style="dim")
    for judgement in event.evidence:
        body.highlight_words([term.rstrip("*") for term in judgement.terms], "bold not dim", case_sensitive=False)
    parts: list[RenderableType] = [body] if shown else [Text("no text", style="dim italic")]
    speaks_for = {rule.name: rule.category for rule in agreement.classification.rules}
    parts += [Text(), _verdict(event, titles), Text(), _why(event, speaks_for)]
    if event.opinion is not None:
        parts += [Text(), _opinion(event.opinion, titles)]
    if event.abstained:
        parts += [Text(), _candidates(event, titles)]
    if suggested:
        parts += [Text(), _articles(suggested)]
    return Panel(
        Group(*parts),
        title=Text(ticket.title or "(no title)", style="bold"),
        title_align="left",
        subtitle=Text(f"{agreement.title} · agreement {event.agreement_version[:12]}", style="dim"),
        subtitle_align="right",
    )


def _verdict(event: TicketClassified, titles: Mapping[str, str]) -> Text:
    line = Text()
    line.append(f" {event.priority} ", _COLOURS.get(event.priority, ""))
    if event.abstained:
        line.append("  not sure enough what this is about: people decide", "bold magenta")
    elif event.category is None:
        line.append("  no category", "bold")
    else:
        line.append(f"  {titles.get(event.category, event.category)}", "bold")
        line.append(f" ({event.category}), {event.confidence:.0%} sure")
    line.append(
        f"\n {event.kind.replace('_', ' ')} · impact {event.impact} × urgency {event.urgency} → {event.priority}"
    )
    line.append(f" · tier {event.tier}")
    if event.flags:
        line.append(" · " + ", ".join(event.flags), "bold")
    return line


def _why(event: TicketClassified, speaks_for: Mapping[str, str | None]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "is", "because of", "sure", "words and their weight"):
        table.add_column(heading, overflow="fold")
    for judgement in event.evidence:
        table.add_row(
            judgement.field.replace("flag:", "flag "),
            _value(judgement, event, speaks_for),
            _reason(judgement.rule),
            "" if judgement.rule == DEFAULT else f"{judgement.confidence:.0%}",
            _words(judgement.terms.items()),
        )
    return table


def _value(judgement: Judgement, event: TicketClassified, speaks_for: Mapping[str, str | None]) -> str:
    if judgement.field.startswith("flag:"):
        return "set"
    if judgement.field == "category" and event.abstained:
        return f"{speaks_for.get(judgement.rule) or 'something'}?"
    return str(getattr(event, judgement.field))


def _reason(rule: str) -> str:
    said = {
        SOURCE: "the source says so",
        DEFAULT: "nothing else said",
        CORRECTION: "a person corrected it",
        TAXONOMY: "its category is automated",
    }
    return said.get(rule, "the text model" if rule.startswith(MODEL) else f"rule {rule}")


def _opinion(opinion: ModelOpinion, titles: Mapping[str, str]) -> Text:
    """What the model said, and how well it knows tickets like this one; in full where it would rather not say."""
    line = Text(f"model {opinion.model[:8]} ", style="dim")
    line.append("would rather not say: " if opinion.abstained else "says ", "magenta" if opinion.abstained else "")
    line.append(opinion.label, "bold")
    title = titles.get(opinion.category or "", opinion.category)
    if title is None:
        line.append(" (no category of the agreement: add the label to category_map)", "magenta")
    elif title != opinion.label:
        line.append(f" → {title}")
    line.append(f", {opinion.confidence:.0%} sure; it knows {opinion.words:.0%} of the words and ")
    line.append(f"{opinion.pairs:.0%} of the pairs of neighbours")
    for_it = [(term, weight) for term, weight in opinion.terms.items() if weight > 0]
    against = [(term, weight) for term, weight in opinion.terms.items() if weight < 0]
    if for_it:
        line.append("\n  for it: " + ", ".join(f"{term} {weight:+.2f}" for term, weight in for_it), "green")
    if against:
        line.append("\n  against: " + ", ".join(f"{term} {weight:+.2f}" for term, weight in against), "red")
    return line


def _articles(suggested: Sequence[Suggestion]) -> Text:
    text = Text("articles that may help", style="dim")
    for suggestion in suggested:
        article = suggestion.article
        text.append(f"\n  {article.title}", "not dim")
        text.append(f" ({article.url or article.article_id}): {', '.join(suggestion.words)}")
    return text


def _words(terms: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {weight:.2f}" for word, weight in sorted(terms, key=lambda item: -item[1]))


def _candidates(event: TicketClassified, titles: Mapping[str, str]) -> Text:
    if not event.candidates:
        return Text("no word of it is known to the agreement's rules", "magenta")
    return Text(
        "best candidates: "
        + ", ".join(f"{titles.get(name, name)} ({name}) {score:.0%}" for name, score in event.candidates),
        "magenta",
    )
