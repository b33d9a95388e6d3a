"""What the forms do: the same protocol that answers partners by HTTP and by topic."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ticket_contracts.transfers import AddedPart, Reply
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.desk.forms import Form
from ticket_handoff.desk.pages import Pages, address
from ticket_handoff.desk.seats import Seat
from ticket_handoff.domain.decision import Answer, Refused
from ticket_handoff.domain.facts import ReplyGiven
from ticket_runtime.task import Transient

_STATUS: Final = {"unknown": 404, "conflict": 409, "invalid": 422}
Action = Literal["accept", "decline", "return", "escalate", "add"]
_ACTIONS: Final[dict[str, Action]] = {name: name for name in get_args(Action)}
_PARTS: Final[dict[str, AddedPart]] = {name: name for name in get_args(AddedPart)}


class Acting:
    def __init__(self, pages: Pages, replies: Callable[[], Replies], now: Callable[[], datetime]) -> None:
        self._pages, self._replies, self._now = pages, replies, now

    async def act(self, request: Request, seat: Seat, form: Form) -> Response:
        """A form of a ticket's page. Done or not, the answer says so on that page."""
        ticket = request.path_params["ticket"]
        given = ReplyGiven(reply=_reply(ticket, form), principal=seat.principal, actor=seat.actor, at=self._now())
        try:
            answer = await self._replies().give(given)
        except Refused as refused:
            if refused.kind == "unknown":
                raise HTTPException(404, "There is no such ticket or transfer.") from None
            return await self._pages.ticket_page(
                request, seat, ticket, _STATUS[refused.kind], _sentence(refused.reason), form
            )
        except Transient:
            raise HTTPException(503, "The desk is just starting. Nothing was done: try again in a moment.") from None
        request.session["flash"] = [("done", _done(given.reply, answer, seat))]
        return RedirectResponse(address(ticket), 303)


def _reply(ticket: str, form: Form) -> Reply:
    action, part = _ACTIONS.get(form.get("action", "")), _PARTS.get(form.get("part", ""))
    if action is None or (action == "add" and part is None):
        raise HTTPException(422, "This desk does not know what that form asks for. Reload the page, then try again.")
    reason = form.get("reason", "").strip()
    # A form has one identity: sent twice, by a double click or a page that is loaded again, it counts once.
    reply_id = form.get("reply_id") or secrets.token_hex(12)
    if action == "add":
        items = reason.splitlines() if part in ("links", "articles") else [reason]
        return Reply(reply_id=reply_id, action=action, ticket=ticket, part=part, items=items)
    if action == "escalate":
        return Reply(reply_id=reply_id, action=action, ticket=ticket, reason=reason)
    return Reply(
        reply_id=reply_id,
        action=action,
        ticket=ticket,
        transfer_id=form.get("transfer", ""),
        digest=form.get("digest") or None,
        reason=reason or None,
    )


def _done(reply: Reply, answer: Answer, seat: Seat) -> str:
    if answer.repeated:
        return "That was done before; nothing changed now."
    who = "You own" if answer.owner == seat.actor else f"{answer.owner} owns"
    match reply.action:
        case "accept":
            return f"Accepted. {who} this ticket now."
        case "decline":
            return "Declined. The next on the path is asked, and reads your reason."
        case "return":
            return f"Returned. {who} the ticket until somebody has acknowledged it."
        case "escalate":
            return "Escalated. The owner stays until somebody has acknowledged it."
        case _:
            return "Added, and asked for again." if answer.status == "requested" else _sentence(answer.status)


def _sentence(words: str) -> str:
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")
