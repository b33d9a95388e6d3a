"""The HTTP surface: what may be asked of the ledger, and the replies of receivers and owners. The actor is the token's,
never the body's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ticket_contracts.cloudevents import instant_text
from ticket_contracts.transfers import AddedPart, Reply
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.inquiries import (
    PAGE,
    Brief,
    Inquiries,
    OpenTransfer,
    OwnerLoad,
    Queue,
    TicketShown,
    TimelineLine,
    TransferShown,
)
from ticket_handoff.adapters.keys import Key, Keys
from ticket_handoff.adapters.store import History, Store
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.domain.terms import INTERNAL
from ticket_runtime.http import Problem, problem_document, trace_headers
from ticket_runtime.task import Transient

_STATUS = {"unknown": 404, "conflict": 409, "invalid": 422}


_ReplyId = Annotated[str, Field(min_length=1, max_length=200)]
_Words = Annotated[str, Field(max_length=10_000)]


class ReplyBody(BaseModel):
    """digest: of the package that is answered. reason: why, for a decline or a return. reply_id: the sender's own; the
    same one again is acknowledged again and counts once."""

    model_config = ConfigDict(extra="forbid")

    reply_id: _ReplyId
    digest: str | None = Field(default=None, max_length=200)
    reason: _Words | None = None


class EscalationBody(BaseModel):
    """question: to whoever gets the ticket."""

    model_config = ConfigDict(extra="forbid")

    reply_id: _ReplyId
    question: _Words


class AdditionBody(BaseModel):
    """part, items: what the ticket's next packages hold besides: steps that were tried, links, articles, or the
    question that a transfer lacked."""

    model_config = ConfigDict(extra="forbid")

    reply_id: _ReplyId
    part: AddedPart
    items: list[_Words] = Field(min_length=1, max_length=20)


class Answered(BaseModel):
    """transfer_id: what the reply moved or opened, empty for none. status: of that transfer. owner, queue: of the
    ticket now. repeated: this reply counted before; nothing changed now."""

    transfer_id: str
    status: str
    attempt: int
    owner: str | None
    queue: str | None
    repeated: bool


def install(
    app: FastAPI,
    keys: Keys,
    store: Store,
    replies: Callable[[], Replies],
    inquiries: Callable[[], Inquiries],
    now: Callable[[], datetime],
) -> None:
    """Adds the routes. replies: what takes them. now: the desk's present (UTC)."""

    def who(request: Request) -> Key:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = keys.find(token.strip()) if scheme.lower() == "bearer" and token else None
        if found is None:
            hint = (
                "send `Authorization: Bearer KEY`" if len(keys) else "no keys are set up: RELAYDESK_HANDOFF_KEYS_FILE"
            )
            raise Problem(401, f"who are you? {hint}")
        return found

    @app.get("/v1/tickets/{ticket:path}/owners", tags=["owners"])
    async def owners(ticket: str, request: Request) -> dict[str, Any]:
        """Who owned the ticket from when until when, and its transfers. A partner sees what it was offered itself."""
        principal = who(request).principal
        history = await store.history(ticket)
        shown = None if history is None else _shown(history, principal)
        if shown is None:
            raise Problem(404, f"there is no ticket {ticket}")
        return shown

    def inside(request: Request) -> None:
        if who(request).principal != INTERNAL:
            raise Problem(404, "there is no such page")

    @app.get("/v1/queues/{queue}/tickets", tags=["desk"])
    async def queued(
        queue: str,
        request: Request,
        after: Annotated[str | None, Query(max_length=1_100)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> Queue:
        """A queue's tickets by time left. after: the `next` of the page before."""
        try:
            return _found(await inquiries().queue(queue, who(request).principal, after=after, most=limit), "queue")
        except ValueError as error:
            raise Problem(422, str(error)) from None

    @app.get("/v1/queues/{queue}/brief", tags=["desk"])
    async def brief(queue: str, request: Request) -> Brief:
        """What a shift leaves behind in a queue: one brief with all its tickets, by time left."""
        return _found(await inquiries().brief(queue, who(request).principal), "queue")

    @app.get("/v1/transfers", tags=["transfers"])
    async def waiting(
        request: Request, queue: str | None = None, limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE
    ) -> list[OpenTransfer]:
        """Transfers on their way, the nearest deadline of an acknowledgement first."""
        return _found(await inquiries().waiting(who(request).principal, queue=queue, most=limit), "queue")

    @app.get("/v1/transfers/{transfer}", tags=["transfers"])
    async def transfer_of(transfer: str, request: Request) -> TransferShown:
        """One transfer, with the package of each of its offers that you received."""
        return _found(await inquiries().transfer(transfer, who(request).principal), "transfer")

    @app.get("/v1/owners", tags=["desk"])
    async def loads(request: Request) -> list[OwnerLoad]:
        """Who owns how many tickets. For people inside."""
        inside(request)
        return await inquiries().owners()

    @app.get("/v1/tickets/{ticket:path}/timeline", tags=["desk"])
    async def timeline(ticket: str, request: Request) -> list[TimelineLine]:
        """Every event, decision, clock and owner of a ticket. For people inside."""
        inside(request)
        return _found(await inquiries().timeline(ticket), "ticket")

    @app.get("/v1/tickets/{ticket:path}/context", tags=["desk"])
    async def whole(ticket: str, request: Request) -> TicketShown:
        """A ticket with its whole context, as its next receiver would get it now."""
        return _found(await inquiries().ticket(ticket, who(request).principal), "ticket")

    async def give(reply: Reply, request: Request) -> Answered:
        key = who(request)
        given = ReplyGiven(reply=reply, principal=key.principal, actor=key.actor, at=now())
        try:
            return Answered(**asdict(await replies().give(given, trace_headers(request.scope))))
        except Refused as refused:
            raise Problem(_STATUS[refused.kind], refused.reason, **_more(refused)) from None

    @app.post("/v1/transfers/{transfer}/accept", tags=["transfers"])
    async def accept(transfer: str, body: ReplyBody, request: Request) -> Answered:
        """Acknowledges the package with this digest: from now on the receiver owns the ticket."""
        return await give(Reply(action="accept", transfer_id=transfer, **body.model_dump()), request)

    @app.post("/v1/transfers/{transfer}/decline", tags=["transfers"])
    async def decline(transfer: str, body: ReplyBody, request: Request) -> Answered:
        """Leaves it to the next on the path, who reads the reason."""
        return await give(Reply(action="decline", transfer_id=transfer, **body.model_dump()), request)

    @app.post("/v1/transfers/{transfer}/return", tags=["transfers"])
    async def give_back(transfer: str, body: ReplyBody, request: Request) -> Answered:
        """Asks for another owner of a ticket that was accepted by this transfer; the reason is the question to it."""
        return await give(Reply(action="return", transfer_id=transfer, **body.model_dump()), request)

    @app.post("/v1/tickets/{ticket:path}/escalate", tags=["transfers"])
    async def escalate(ticket: str, body: EscalationBody, request: Request) -> Answered:
        """Asks for somebody who can do more; until they have accepted, the owner stays. 422 names what is missing."""
        reply = Reply(action="escalate", ticket=ticket, reply_id=body.reply_id, reason=body.question)
        return await give(reply, request)

    @app.post("/v1/tickets/{ticket:path}/context", tags=["transfers"])
    async def add(ticket: str, body: AdditionBody, request: Request) -> Answered:
        """Adds to what the ticket's next packages hold. A transfer that lacked just this is asked for again."""
        return await give(Reply(action="add", ticket=ticket, **body.model_dump()), request)

    @app.exception_handler(Transient)
    async def on_transient(request: Request, error: Transient) -> Response:
        return problem_document(503, f"try again in a moment: {error}", request.url.path)


_Found = TypeVar("_Found")


def _found(found: _Found | None, what: str) -> _Found:
    if found is None:
        raise Problem(404, f"there is no such {what}, or it is none of yours")
    return found


def _more(refused: Refused) -> dict[str, Any]:
    more = {"state": refused.status, "digest": refused.digest, "missing": refused.missing, "newer": refused.newer}
    return {name: said for name, said in more.items() if said}


def _shown(history: History, principal: str) -> dict[str, Any] | None:
    """The history as a principal may see it; None when it may not know of the ticket."""
    intervals, transfers = history.intervals, history.transfers
    owner = history.ledger.owner
    if principal != INTERNAL:
        offered = {past.transfer_id for past in history.ledger.past if past.principal == principal}
        transfer = history.ledger.transfer
        if transfer is not None and transfer.offer is not None and transfer.offer.principal == principal:
            offered.add(transfer.id)
        if not offered:
            return None
        taken = {
            past.transfer_id
            for past in history.ledger.past
            if past.principal == principal and past.ending == "accepted"
        }
        intervals = [each for each in intervals if each["transfer_id"] in taken]
        transfers = [
            {name: each[name] for name in ("transfer_id", "status", "attempt", "opened_at", "ended_at")}
            for each in transfers
            if each["transfer_id"] in offered
        ]
        if owner is not None and owner.transfer_id not in taken:
            owner = None
    return {
        "ticket": history.ledger.ticket,
        "owner": None
        if owner is None
        else {"owner": owner.owner, "role": owner.role, "queue": owner.queue, "kind": owner.kind, "since": owner.since},
        "intervals": [_plain(each) for each in intervals],
        "transfers": [_plain(each) for each in transfers],
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: instant_text(said) if isinstance(said, datetime) else said for name, said in row.items()}
