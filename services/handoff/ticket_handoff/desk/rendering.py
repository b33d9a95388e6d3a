"""The templates: every one of them escapes what it is given, and knows the agreement's titles."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jinja2
from jinja2.runtime import Context

from ticket_contracts.agreement.model import Category
from ticket_handoff.desk import words
from ticket_handoff.desk.seats import Seat
from ticket_handoff.desk.shown import Row
from ticket_handoff.domain.terms import Terms


class Rendering:
    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("ticket_handoff.desk"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=words.finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(words.FILTERS, queue=_queue, category=_category)

    def page(self, template: str, seat: Seat | None, terms: Terms | None, now: datetime, **more: Any) -> str:
        """terms: None before somebody has signed in."""
        given = {
            "page": template.removesuffix(".html"),
            "seat": seat,
            "terms": terms,
            "now": now,
            "places": [] if seat is None else _places(seat),
            "desk_title": "" if terms is None else terms.agreement.title,
            "company": "" if terms is None or seat is None else _company(seat, terms),
        }
        return self._templates.get_template(template).render(**given, **more)

    def row(self, row: Row, terms: Terms, now: datetime) -> str:
        """A row of the queue, as it stands in the page."""
        return self._templates.get_template("row.html").render(each=row, terms=terms, now=now).strip()


def _places(seat: Seat) -> list[tuple[str, str, str]]:
    """(page, address, words) of the bar."""
    places = [("queue", "/desk/", "Queue"), ("waiting", "/desk/waiting", "Waiting")]
    if seat.inside:
        places.append(("owners", "/desk/owners", "Owners"))
    return [*places, ("brief", "/desk/brief", "Shift brief")]


def _company(seat: Seat, terms: Terms) -> str:
    partner = terms.agreement.partners.get(seat.principal)
    return seat.principal if partner is None else partner.title


@jinja2.pass_context
def _queue(context: Context, name: str) -> str:
    terms: Terms = context["terms"]
    found = terms.agreement.queues.get(name)
    return name if found is None else found.title


@jinja2.pass_context
def _category(context: Context, name: str) -> str:
    terms: Terms = context["terms"]
    return _titled(terms.agreement.taxonomy, name) or name


def _titled(taxonomy: list[Category], name: str) -> str | None:
    for each in taxonomy:
        found = each.title if each.id == name else _titled(each.children, name)
        if found is not None:
            return found
    return None
