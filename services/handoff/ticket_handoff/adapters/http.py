"""The HTTP surface: what may be asked of the ledger, and the replies of receivers and owners. The actor is the token's,
never the body's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticket_contracts.transfers import AddedPart, Reply
from ticket_handoff.adapters.access import Access, Caller, TooMany, caller_of, problems
from ticket_handoff.adapters.answers import (
    Brief,
    BriefKept,
    OpenTransfer,
    OwnerLoad,
    OwnershipShown,
    Queue,
    TicketShown,
    TimelineLine,
    TransferShown,
)
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.inquiries import PAGE, Inquiries
from ticket_handoff.adapters.keys import Keys
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ReplyGiven
from ticket_runtime.http import Health, Problem, make_app, problem_document
from ticket_runtime.metrics import Metrics
from ticket_runtime.task import Transient

BODY_AT_MOST: Final = 1024 * 1024
"""Bytes of a request's body: more than the longest reply that is taken."""
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
    ticket now; a partner is told them while they are its own. repeated: this reply counted before; nothing changed now.
    newer: with an offer that was renewed as often as any is, the package as it is since."""

    transfer_id: str
    status: str
    attempt: int
    owner: str | None
    queue: str | None
    repeated: bool
    newer: dict[str, Any] | None = None


def install(
    app: FastAPI,
    access: Access,
    replies: Callable[[], Replies],
    inquiries: Callable[[], Inquiries],
    now: Callable[[], datetime],
) -> None:
    """Adds the routes. replies: what takes them. now: the desk's present (UTC)."""
    app.add_middleware(BodyLimit)
    admit = Depends(caller_of(access))
    asked = problems(401, 404, 422, 429, 503)
    said = problems(400, 401, 404, 409, 413, 422, 429, 503)

    @app.get("/v1/tickets/{ticket:path}/owners", tags=["owners"], responses=asked)
    async def owners(ticket: str, caller: Caller = admit) -> OwnershipShown:
        """Who owned the ticket from when until when, and its transfers. A partner sees what it was offered itself."""
        return _found(await inquiries().ownership(ticket, caller.principal), "ticket")

    def inside(caller: Caller) -> None:
        if not caller.inside:
            raise Problem(404, "there is no such page")

    @app.get("/v1/queues/{queue}/tickets", tags=["desk"], responses=asked)
    async def queued(
        queue: str,
        caller: Caller = admit,
        after: Annotated[str | None, Query(max_length=1_100)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> Queue:
        """A queue's tickets by time left. after: the `next` of the page before."""
        try:
            return _found(await inquiries().queue(queue, caller.principal, after=after, most=limit), "queue")
        except ValueError as error:
            raise Problem(422, str(error)) from None

    @app.get("/v1/queues/{queue}/brief", tags=["desk"], responses=asked)
    async def brief(queue: str, caller: Caller = admit) -> Brief:
        """What a shift leaves behind in a queue: one brief with all its tickets, by time left."""
        return _found(await inquiries().brief(queue, caller.principal), "queue")

    @app.get("/v1/queues/{queue}/briefs", tags=["desk"], responses=asked)
    async def briefs(queue: str, caller: Caller = admit) -> list[BriefKept]:
        """The records of a queue's closings, the newest first."""
        return _found(await inquiries().briefs(queue, caller.principal), "queue")

    @app.get("/v1/briefs/{brief}", tags=["desk"], responses=asked)
    async def brief_kept(brief: str, caller: Caller = admit) -> Brief:
        """The shift brief of one closing: what the queue had then, by time left, and where each went."""
        return _found(await inquiries().brief_kept(brief, caller.principal), "brief")

    @app.get("/v1/transfers", tags=["transfers"], responses=asked)
    async def waiting(
        caller: Caller = admit, queue: str | None = None, limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE
    ) -> list[OpenTransfer]:
        """Transfers on their way, the nearest deadline of an acknowledgement first."""
        return _found(await inquiries().waiting(caller.principal, queue=queue, most=limit), "queue")

    @app.get("/v1/transfers/{transfer}", tags=["transfers"], responses=asked)
    async def transfer_of(transfer: str, caller: Caller = admit) -> TransferShown:
        """One transfer, with the package of each of its offers that you received."""
        return _found(await inquiries().transfer(transfer, caller.principal), "transfer")

    @app.get("/v1/owners", tags=["desk"], responses=asked)
    async def loads(caller: Caller = admit) -> list[OwnerLoad]:
        """Who owns how many tickets. For people inside."""
        inside(caller)
        return await inquiries().owners()

    @app.get("/v1/tickets/{ticket:path}/timeline", tags=["desk"], responses=asked)
    async def timeline(ticket: str, caller: Caller = admit) -> list[TimelineLine]:
        """Every event, decision, clock and owner of a ticket. For people inside."""
        inside(caller)
        return _found(await inquiries().timeline(ticket), "ticket")

    @app.get("/v1/tickets/{ticket:path}/context", tags=["desk"], responses=asked)
    async def whole(ticket: str, caller: Caller = admit) -> TicketShown:
        """A ticket with its whole context, as its next receiver would get it now."""
        return _found(await inquiries().ticket(ticket, caller.principal), "ticket")

    async def give(reply: Reply, caller: Caller) -> Answered:
        given = ReplyGiven(reply=reply, principal=caller.principal, actor=caller.actor, at=now())
        try:
            return Answered(**msgspec.to_builtins(await replies().give(given, caller.trace)))
        except Refused as refused:
            more = _more(refused)
            if refused.digest is not None and refused.status == "offered":
                offered = await inquiries().offered(refused.newer or reply.transfer_id, caller.principal)
                more |= {} if offered is None else {"package": offered}
            raise Problem(_STATUS[refused.kind], refused.reason, **more) from None

    @app.post("/v1/transfers/{transfer}/accept", tags=["transfers"], responses=said)
    async def accept(transfer: str, body: ReplyBody, caller: Caller = admit) -> Answered:
        """Acknowledges the package with this digest: from now on the receiver owns the ticket."""
        return await give(Reply(action="accept", transfer_id=transfer, **body.model_dump()), caller)

    @app.post("/v1/transfers/{transfer}/decline", tags=["transfers"], responses=said)
    async def decline(transfer: str, body: ReplyBody, caller: Caller = admit) -> Answered:
        """Leaves it to the next on the path, who reads the reason."""
        return await give(Reply(action="decline", transfer_id=transfer, **body.model_dump()), caller)

    @app.post("/v1/transfers/{transfer}/return", tags=["transfers"], responses=said)
    async def give_back(transfer: str, body: ReplyBody, caller: Caller = admit) -> Answered:
        """Asks for another owner of a ticket that was accepted by this transfer; the reason is the question to it."""
        return await give(Reply(action="return", transfer_id=transfer, **body.model_dump()), caller)

    @app.post("/v1/tickets/{ticket:path}/escalate", tags=["transfers"], responses=said)
    async def escalate(ticket: str, body: EscalationBody, caller: Caller = admit) -> Answered:
        """Asks for somebody who can do more; until they have accepted, the owner stays. 422 names what is missing."""
        reply = Reply(action="escalate", ticket=ticket, reply_id=body.reply_id, reason=body.question)
        return await give(reply, caller)

    @app.post("/v1/tickets/{ticket:path}/context", tags=["transfers"], responses=said)
    async def add(ticket: str, body: AdditionBody, caller: Caller = admit) -> Answered:
        """Adds to what the ticket's next packages hold. A transfer that lacked just this is asked for again."""
        return await give(Reply(action="add", ticket=ticket, **body.model_dump()), caller)

    @app.exception_handler(TooMany)
    async def on_too_many(request: Request, error: TooMany) -> Response:
        answer = problem_document(429, error.detail, request.url.path, **error.more)
        answer.headers["Retry-After"] = str(error.wait)
        return answer

    @app.exception_handler(Transient)
    async def on_transient(request: Request, error: Transient) -> Response:
        return problem_document(503, f"try again in a moment: {error}", request.url.path)


def document() -> dict[str, Any]:
    """The OpenAPI document, without a ledger behind it."""

    def nothing() -> Any:
        raise NotImplementedError

    def healthy() -> Health:
        return Health(True)

    app = make_app("handoff", Metrics("handoff"), healthy, healthy)
    install(app, Access(Keys([])), nothing, nothing, nothing)
    return app.openapi()


class BodyLimit:
    """Ends the reading of a body that is longer than any reply may be: whoever sends it need not be let in for that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = 0

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            held += len(message.get("body", b""))
            if held > BODY_AT_MOST:
                raise HTTPException(413, f"a body has at most {BODY_AT_MOST} bytes: say it shorter, or link to it")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


_Found = TypeVar("_Found")


def _found(found: _Found | None, what: str) -> _Found:
    if found is None:
        raise Problem(404, f"there is no such {what}, or it is none of yours")
    return found


def _more(refused: Refused) -> dict[str, Any]:
    more = {"state": refused.status, "digest": refused.digest, "missing": refused.missing, "newer": refused.newer}
    return {name: said for name, said in more.items() if said}
