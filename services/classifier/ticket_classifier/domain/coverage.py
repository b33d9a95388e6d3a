"""An audit before outsourcing: which categories, and how much of the tickets, the knowledge base has an article for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.model import Category
from ticket_contracts.knowledge import Article


class CategoryCoverage(msgspec.Struct, frozen=True):
    """One category, without those inside it; None: tickets that people must triage. articles: filed under it. tickets:
    of it; with_article: those for which an article is suggested. share: of all tickets."""

    category: str | None
    title: str
    articles: int
    tickets: int
    with_article: int
    share: float


class Coverage(msgspec.Struct, frozen=True):
    """categories: with tickets or articles, the most tickets without an article first. with_article, share: of all.
    unfiled: articles whose category the agreement does not have, or that name none."""

    tickets: int
    with_article: int
    share: float
    categories: list[CategoryCoverage]
    unfiled: list[str]


def coverage(judged: Iterable[tuple[str | None, bool]], articles: Iterable[Article], agreement: Agreement) -> Coverage:
    """judged: of each ticket its category, and whether an article is suggested for it."""
    tickets: Counter[str | None] = Counter()
    helped: Counter[str | None] = Counter()
    for category, has_article in judged:
        tickets[category] += 1
        helped[category] += has_article
    titles: dict[str | None, str] = {None: "for people to triage", **_titles(agreement.taxonomy)}
    filed: Counter[str | None] = Counter()
    unfiled = []
    for article in articles:
        if article.category in titles and article.category is not None:
            filed[article.category] += 1
        else:
            unfiled.append(article.article_id)
    total = tickets.total()
    rows = [
        CategoryCoverage(
            category,
            title,
            filed[category],
            tickets[category],
            helped[category],
            round(tickets[category] / max(total, 1), 4),
        )
        for category, title in titles.items()
        if tickets[category] or filed[category]
    ]
    rows.sort(key=lambda row: (row.with_article - row.tickets, -row.tickets, row.title))
    return Coverage(total, helped.total(), round(helped.total() / max(total, 1), 4), rows, unfiled)


def _titles(nodes: Iterable[Category]) -> dict[str | None, str]:
    found: dict[str | None, str] = {}
    for node in nodes:
        found[node.id] = node.title
        found |= _titles(node.children)
    return found
