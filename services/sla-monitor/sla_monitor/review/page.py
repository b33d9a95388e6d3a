"""The page: one HTML file with everything in it, to be read, mailed and printed; no script, nothing fetched."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sla_monitor.review.measures import Counted
from sla_monitor.review.report import FEW, Review
from sla_monitor.review.shown import shown

SHOWN = 12
"""Tickets of a figure that the page itself names; the rest is in `tickets.csv`."""


def environment() -> Environment:
    """Everything is escaped: titles and links come from documents and tools. Charts alone are markup, our own."""
    made = Environment(
        loader=PackageLoader("sla_monitor.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = shown
    made.filters["link"] = link
    made.filters["chart"] = Markup
    made.filters["format_date"] = lambda form, at: at.strftime(form)
    return made


def link(counted: Counted) -> str | None:
    """Where the ticket stands in its tool; None unless that is an address of the web."""
    url = counted.url or ""
    return url if url.lower().startswith(("https://", "http://")) else None


def render(review: Review, **more: Any) -> str:
    return environment().get_template("review.html.j2").render(review=review, few=FEW, at_most=SHOWN, **more)
