"""A ticket as one receiver may see it: by allow-list, from the fields of the view down to those inside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ticket_contracts.routing import TicketView
from ticket_contracts.tickets import Attachment, Comment, Evidence, Requester, TicketNormalized
from ticket_router.domain.tickets import Classified


def _requester(r: Requester) -> Requester:
    return Requester(name=r.name, address=r.address, language=r.language, site=r.site, vip=r.vip)


def _comments(comments: list[Comment]) -> list[Comment]:
    return [
        Comment(id=c.id, author=c.author, author_role=c.author_role, visibility=c.visibility, at=c.at, text=c.text)
        for c in comments
    ]


def _evidence(e: Evidence) -> Evidence:
    return Evidence(priority=e.priority, impact=e.impact, urgency=e.urgency, category=e.category)


def _attachments(attachments: list[Attachment]) -> list[Attachment]:
    return [Attachment(name=a.name, url=a.url, media_type=a.media_type, size_bytes=a.size_bytes) for a in attachments]


_WITHIN: Final[Mapping[str, Callable[[Any], Any]]] = {
    "requester": _requester,
    "comments": _comments,
    "evidence": _evidence,
    "attachments": _attachments,
}
"""Of a field that has parts, those that go out with it: a new part stays inside until it is named here."""


def full_view(ticket: TicketNormalized, classified: Classified | None) -> TicketView:
    """All that an internal queue sees."""
    judged = classified
    return TicketView(
        title=ticket.title,
        text=ticket.text,
        language=ticket.language,
        comments=ticket.comments,
        requester=ticket.requester,
        customer=ticket.customer,
        status=ticket.status,
        channel=ticket.channel,
        kind=ticket.kind if judged is None else judged.kind,
        category=None if judged is None else judged.category,
        impact=None if judged is None else judged.impact,
        urgency=None if judged is None else judged.urgency,
        priority=None if judged is None else judged.priority,
        tier=None if judged is None else judged.tier,
        flags=ticket.flags if judged is None else sorted({*judged.flags, *ticket.flags}),
        evidence=ticket.evidence,
        service=ticket.service,
        configuration_item=ticket.configuration_item,
        assignee=ticket.assignee,
        group=ticket.group,
        attachments=ticket.attachments,
        url=ticket.url,
        created_at=ticket.created_at,
        updated_at=ticket.updated_at,
    )


def redacted(view: TicketView, fields: Collection[str]) -> TicketView:
    """The view with the named fields alone. A name that the view does not have shows nothing."""
    shown = {}
    for name in TicketView.__struct_fields__:
        if name in fields and (value := getattr(view, name)) is not None:
            within = _WITHIN.get(name)
            shown[name] = value if within is None else within(value)
    return TicketView(**shown)
