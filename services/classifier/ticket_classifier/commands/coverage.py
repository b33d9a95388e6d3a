"""`coverage`: which categories, and how much of the tickets, the knowledge base has an article for."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from ticket_classifier.adapters.articles import read_articles
from ticket_classifier.adapters.models import read_model
from ticket_classifier.adapters.recorded import newest_tickets, reading
from ticket_classifier.adapters.tickets import default_agreement, read_tickets
from ticket_classifier.commands.pages import Bar, Section, page
from ticket_classifier.domain.coverage import CategoryCoverage, Coverage, coverage
from ticket_classifier.domain.decide import asked_of, decide
from ticket_classifier.domain.knowledge import Knowledge
from ticket_classifier.domain.policy import Policy
from ticket_contracts import topics
from ticket_contracts.agreement import digest
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.knowledge import Article
from ticket_contracts.tickets import TicketNormalized

_BAR = 14


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "coverage",
        help="which categories the knowledge base has articles for",
        description="An audit before outsourcing: classifies every ticket, looks for an article that may help, and "
        "shows which categories and how much of the volume have one. Tickets come from a file (as `classify` reads "
        "them), a replay's directory or a desk; articles from a file of JSON Lines "
        '({"article_id", "title", "text", "category"}) or the desk\'s knowledge.articles.',
    )
    whence = parser.add_mutually_exclusive_group(required=True)
    whence.add_argument("--input", type=Path, metavar="FILE", help="tickets as JSON Lines")
    whence.add_argument("--out", type=Path, metavar="DIR", help="a directory that `make replay FEED=… OUT=DIR` wrote")
    whence.add_argument("--bootstrap", metavar="HOST:PORT", help="a desk's broker")
    parser.add_argument("--topic-prefix", default="", help="of the desk's topics on the broker")
    parser.add_argument(
        "--articles", type=Path, metavar="FILE", help="articles; absent: the desk's own, with --bootstrap"
    )
    parser.add_argument("--agreement", type=Path, metavar="YAML", help="the agreement to decide by")
    parser.add_argument("--model", type=Path, metavar="DIR", help="ask this text model too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the chart and the table as a page too")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path = options.agreement or default_agreement()
    agreement = read_agreement(path.read_text(encoding="utf-8"), str(path))
    policy = Policy(digest(agreement), agreement)
    model = None if options.model is None else read_model(options.model)[0]
    knowledge = Knowledge(_articles(options))

    def judged() -> Iterable[tuple[str | None, bool]]:
        for ticket in _tickets(options):
            asked = asked_of(ticket)
            outcome = decide(asked, [], policy, model).outcome
            category = None if outcome.abstained else outcome.category
            yield category, bool(knowledge.suggest(asked.title, asked.text, category, policy.related))

    found = coverage(judged(), knowledge.articles.values(), agreement)
    if options.html is not None:
        options.html.write_text(_page(found, agreement.title), encoding="utf-8")
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(found, agreement.title)
    return 0


def _tickets(options: argparse.Namespace) -> list[TicketNormalized]:
    if options.input is not None:
        return read_tickets(options.input.read_bytes(), str(options.input))
    return newest_tickets(reading(options.out, options.bootstrap, options.topic_prefix))


def _articles(options: argparse.Namespace) -> list[Article]:
    if options.articles is not None:
        return read_articles(options.articles)
    if options.bootstrap is None:
        raise FileNotFoundError("no articles: name a file with --articles FILE")
    said = reading(None, options.bootstrap, options.topic_prefix)(topics.ARTICLES)
    return [msgspec.json.decode(value, type=Article) for _, value in said]


def _show(found: Coverage, desk: str) -> None:
    console = Console(highlight=False)
    table = Table(title=f"Knowledge for the tickets of {desk}", title_justify="left", header_style="dim", box=None)
    for heading in ("category", "articles", "tickets", "share", "covered", ""):
        table.add_column(heading, justify="left" if heading in ("category", "") else "right", no_wrap=True)
    most = max((row.tickets for row in found.categories), default=1)
    for row in found.categories:
        wide = round(_BAR * row.tickets / max(most, 1))
        good = round(wide * row.with_article / max(row.tickets, 1))
        bar = f"[green]{'━' * good}[/][red]{'━' * (wide - good)}[/]"
        articles = f"{row.articles:,}" if row.articles or row.category is None else "[bold red]none[/]"
        table.add_row(row.title, articles, f"{row.tickets:,}", f"{row.share:.1%}", _with(row), bar)
    console.print(table)
    console.print(
        f"\n{found.with_article:,} of {found.tickets:,} tickets ({found.share:.1%}) have an article that may help.",
        style="bold",
    )
    if found.unfiled:
        console.print(f"Filed under no category of the agreement: {', '.join(found.unfiled[:10])}", style="dim")


def _with(row: CategoryCoverage) -> str:
    return f"{row.with_article / row.tickets:.0%}" if row.tickets else "–"


def _page(found: Coverage, desk: str) -> str:
    rows = [
        (row.title, f"{row.articles:,}", f"{row.tickets:,}", f"{row.share:.1%}", f"{row.with_article:,}", _with(row))
        for row in found.categories
    ]
    bars = [
        Bar(
            row.title,
            row.with_article,
            row.tickets - row.with_article,
            f"{row.tickets:,}, {_with(row)} covered",
        )
        for row in found.categories
        if row.tickets
    ]
    without = sum(row.tickets for row in found.categories if not row.articles and row.category is not None)
    return page(
        f"Knowledge for the tickets of {desk}",
        f"{found.with_article:,} of {found.tickets:,} tickets ({found.share:.0%}) have an article that may help.",
        [
            "Where the red part is long, a partner would have to ask back, or learn: write these articles first.",
            f"{without:,} tickets are of categories under which no article is filed.",
        ],
        [
            Section("Tickets by category", bars, ("covered: with an article", "without")),
            Section(
                "The same as figures",
                head=("category", "articles", "tickets", "of all", "with an article", "share"),
                rows=rows,
                numbers=frozenset({1, 2, 3, 4, 5}),
            ),
        ],
    )
