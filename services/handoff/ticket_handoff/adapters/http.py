"""The HTTP surface: who owns a ticket, and the receivers' replies. The actor is the token's, never the body's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from ticket_contracts.cloudevents import instant_text
from ticket_contracts.transfers import Reply
from ticket_handoff.adapters.engine import Replies
from ticket_handoff.adapters.keys import Key, Keys
from ticket_handoff.adapters.store import History, Store
from ticket_handoff.domain.decision import Refused
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.domain.terms import INTERNAL
from ticket_runtime.http import Problem
from ticket_runtime.task import Transient

_STATUS = {"unknown": 404, "conflict": 409, "invalid": 422}


class ReplyBody(BaseModel):
    """digest: of the package that is answered. reason: why, for a decline or a return. reply_id: the sender's own; the
    same one again is acknowledged again and counts once."""

    model_config = ConfigDict(extra="forbid")

    reply_id: str = Field(min_length=1, max_length=200)
    digest: str | None = Field(default=None, max_length=200)
    reason: str | None = Field(default=None, max_length=10_000)


def install(
    app: FastAPI,
    keys: Keys,
    store: Store,
    replies: Callable[[], Replies],
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

    async def give(transfer: str, action: Literal["accept", "decline", "return"], body: ReplyBody, key: Key) -> Any:
        reply = Reply(
            transfer_id=transfer, reply_id=body.reply_id, action=action, digest=body.digest, reason=body.reason
        )
        given = ReplyGiven(reply=reply, principal=key.principal, actor=key.actor, at=now())
        try:
            return asdict(await replies().give(given))
        except Refused as refused:
            more = {"state": refused.status, "digest": refused.digest}
            raise Problem(
                _STATUS[refused.kind], refused.reason, **{name: said for name, said in more.items() if said}
            ) from None
        except Transient as transient:
            raise Problem(503, f"try again in a moment: {transient}") from None

    @app.post("/v1/transfers/{transfer}/accept", tags=["transfers"])
    async def accept(transfer: str, body: ReplyBody, request: Request) -> Any:
        """Acknowledges the package with this digest: from now on the receiver owns the ticket."""
        return await give(transfer, "accept", body, who(request))

    @app.post("/v1/transfers/{transfer}/decline", tags=["transfers"])
    async def decline(transfer: str, body: ReplyBody, request: Request) -> Any:
        """Leaves it to the next on the path, who reads the reason."""
        return await give(transfer, "decline", body, who(request))

    @app.post("/v1/transfers/{transfer}/return", tags=["transfers"])
    async def give_back(transfer: str, body: ReplyBody, request: Request) -> Any:
        """Asks for another owner of a ticket that was accepted by this transfer; the reason is the question to it."""
        return await give(transfer, "return", body, who(request))


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
