"""The views of the desk page. What its forms do is in `acting`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from ticket_contracts.cloudevents import parse_instant
from ticket_contracts.routing import TicketView
from ticket_handoff.adapters.inquiries import Inquiries
from ticket_handoff.desk import shown, words
from ticket_handoff.desk.forms import Form
from ticket_handoff.desk.live import Live
from ticket_handoff.desk.reading import WINDOW, Counts, Filter, Place, Reading, Ticket
from ticket_handoff.desk.rendering import Rendering
from ticket_handoff.desk.seats import Seat, is_offered, may_know
from ticket_handoff.desk.signing_in import SignIn
from ticket_handoff.domain.terms import INTERNAL, Book, Terms
from ticket_handoff.handlers import is_name
from ticket_runtime.task import Transient

_COMMENTS: Final = 50
"""Of the interaction history, as many are shown at first; the newest."""
_TEXT: Final = 20_000
"""Characters of one text that a page shows; the rest is a link away."""
_PING_SECONDS: Final = 20
_NO_VIEW: Final[dict[str, Any]] = dict.fromkeys(TicketView.__struct_fields__)


class Pages:
    """now: the desk's present (UTC). book: raises Transient while no agreement is known."""

    def __init__(
        self,
        reading: Reading,
        inquiries: Inquiries,
        live: Callable[[], Live],
        book: Book,
        now: Callable[[], datetime],
        sign_in: SignIn,
    ) -> None:
        self._reading, self._inquiries, self._live = reading, inquiries, live
        self._book, self._now, self._sign_in = book, now, sign_in
        self._rendering = Rendering()

    # -- the queue

    async def queue(self, request: Request, seat: Seat) -> Response:
        """By time left; `queue` and `mine` choose, `after` is the place of the last row before."""
        asked, now, terms = request.query_params, self._now(), self.terms()
        queues = self._inquiries.queues(seat.principal)
        queue, mine, after = asked.get("queue") or None, bool(asked.get("mine")), asked.get("after") or None
        if queue is not None and queue not in queues:
            raise HTTPException(404, f"There is no queue {words.shortened(queue, 100)} here.")
        which = Filter(
            (queue,) if queue is not None else None if seat.inside else tuple(queues), seat.actor if mine else None
        )
        found = await self._reading.window(which, _place(after), WINDOW + 1)
        rows = [self._row(each, seat.principal, terms, now) for each in found[:WINDOW]]
        chosen = {name: said for name, said in (("queue", queue), ("mine", "1" if mine else None)) if said}
        more = None
        if len(found) > WINDOW:
            more = "/desk/?" + urlencode({**chosen, "after": _named(found[WINDOW - 1])})
        return self.page(
            request,
            seat,
            "queue.html",
            heading=queues[queue] if queue is not None else "All queues" if seat.inside else "Your queues",
            counts=None if mine else _chosen(await self._reading.counts(now), seat.principal, queues, queue),
            queues=_by_title(queues),
            queue=queue,
            mine=mine,
            rows=[row for row in rows if row is not None],
            after=after,
            more=more,
            first="/desk/?" + urlencode(chosen),
            window=WINDOW,
        )

    def _row(self, each: Ticket, principal: str, terms: Terms, now: datetime) -> shown.Row | None:
        return shown.row(each.ledger, each.texts, principal, terms, self._book, now)

    async def news(self, request: Request, seat: Seat) -> Response:
        """Server-sent events: `tickets`, with the row of each that changed, or `anew`: read again what you show."""

        async def events() -> AsyncIterator[ServerSentEvent]:
            yield ServerSentEvent(event="hello", data="{}", retry=2_000)
            async for each in self._live().news(seat, self._sign_in.seconds_left(request)):
                if not self._sign_in.still_let_in(seat):
                    return
                yield ServerSentEvent(event=each.name, data=each.data or "{}")

        return EventSourceResponse(events(), ping=_PING_SECONDS, headers={"x-accel-buffering": "no"})

    async def describe(self, principal: str, tickets: Sequence[str]) -> list[Any]:
        """What pages of a principal are told of tickets that changed: the row of each, null where it has left the
        queue. What the principal must not know of is not named."""
        now, terms = self._now(), self.terms()
        told = []
        for each in await self._reading.some(tickets):
            if may_know(each.ledger, principal):
                row = self._row(each, principal, terms, now)
                html = None if row is None else self._rendering.row(row, terms, now)
                told.append({"ticket": each.ledger.ticket, "row": html})
        return told

    async def count(self, principal: str) -> dict[str, Counts]:
        """The figures above the queue, for each choice of a queue; "": of all that the principal has."""
        counted, queues = await self._reading.counts(self._now()), self._inquiries.queues(principal)
        return {queue: _chosen(counted, principal, queues, queue or None) for queue in ("", *queues)}

    async def find(self, request: Request, seat: Seat) -> Response:
        """To a ticket, by its id or by its number in the tool that it came from."""
        asked = request.query_params.get("ticket", "").strip()
        if not asked:
            return RedirectResponse("/desk/", 303)
        found = [each for each in await self._reading.numbered(asked) if may_know(each.ledger, seat.principal)]
        if not found:
            raise HTTPException(404, f"There is no ticket {words.shortened(asked, 100)}.")
        return RedirectResponse(address(found[0].ledger.ticket), 303)

    # -- one ticket

    async def ticket(self, request: Request, seat: Seat) -> Response:
        return await self.ticket_page(request, seat, request.path_params["ticket"])

    async def ticket_page(
        self,
        request: Request,
        seat: Seat,
        name: str,
        status: int = 200,
        error: str | None = None,
        entered: Form | None = None,
    ) -> Response:
        """A ticket with all its context. error, entered: why what a form asked for was not done, and what it said."""
        now = self._now()
        found = await self._reading.some([name])
        if not found or not may_know(found[0].ledger, seat.principal):
            raise no_ticket(name)
        ledger, texts = found[0].ledger, found[0].texts
        seen = await self._inquiries.ticket(name, seat.principal)
        if seen is None:
            past = [each for each in ledger.past if each.principal == seat.principal]
            return self.page(request, seat, "gone.html", status, error=error, heading=number(name), past=past)
        offered, package = seen.transfer, None
        if offered is not None and offered.status == "offered":
            transfer = await self._inquiries.transfer(offered.transfer_id, seat.principal)
            package = transfer.attempts[-1].package if transfer is not None and transfer.attempts else None
        view = _NO_VIEW | seen.package["view"]
        talk = shown.newest_first(view.get("comments"))
        ours = ledger.owner is not None and (seat.inside or ledger.is_held_by(seat.principal))
        return self.page(
            request,
            seat,
            "ticket.html",
            status,
            error=error,
            entered={"action": "", "reason": "", "part": ""} | (entered or {}),
            heading=number(name),
            ticket=name,
            seen=seen,
            view=view,
            can_answer=is_offered(ledger, seat.principal),
            can_add=ours,
            can_work=ours and ledger.transfer is None,
            can_return=ledger.is_held_by(seat.principal) and ledger.transfer is None,
            owning=ledger.owner.transfer_id if ledger.owner is not None else None,
            package=package,
            exact=None if package is None else msgspec.json.format(msgspec.json.encode(package)).decode(),
            moved_on=package is not None and package["view"] != seen.package["view"],
            clocks=shown.clocks(ledger, self._book, now),
            evidence=shown.evidence(texts.classified) if seat.inside else None,
            talk=talk if request.query_params.get("comments") == "all" else talk[:_COMMENTS],
            talk_in_all=len(talk),
            reply_id=f"desk-{secrets.token_hex(12)}",
            at_most=_TEXT,
        )

    async def text(self, request: Request, seat: Seat) -> Response:
        """The whole text and every comment, as plain text: however much it is, no browser has to lay it out."""
        name = request.path_params["ticket"]
        seen = await self._inquiries.ticket(name, seat.principal)
        if seen is None:
            raise no_ticket(name)
        view = seen.package["view"]
        parts = [view.get("title") or "", view.get("text") or ""]
        for each in reversed(shown.newest_first(view.get("comments"))):
            who = each["author"] or each["author_role"]
            parts.append(f"--- {each['at']} {who} ({each['visibility']})\n{each['text']}")
        return PlainTextResponse("\n\n".join(words.said(part) for part in parts))

    async def timeline(self, request: Request, seat: Seat) -> Response:
        """Every event of a ticket, with the decisions' reasons, clocks and owners: for a post-mortem."""
        only_inside(seat)
        name = request.path_params["ticket"]
        found, lines = await self._reading.some([name]), await self._inquiries.timeline(name)
        if not found or not lines:
            raise no_ticket(name)
        return self.page(
            request,
            seat,
            "timeline.html",
            heading=f"Timeline of {number(name)}",
            ticket=name,
            title=shown.title(found[0].texts),
            events=[shown.Event.of(line) for line in lines],
            lanes=shown.lanes(lines, self._now()),
        )

    # -- the desk as a whole

    async def waiting(self, request: Request, seat: Seat) -> Response:
        """Transfers on their way: those that wait for an acknowledgement first."""
        now, terms = self._now(), self.terms()
        transfers = await self._inquiries.waiting(seat.principal) or []
        found = await self._reading.some([each.ticket for each in transfers])
        rows = {each.ledger.ticket: self._row(each, seat.principal, terms, now) for each in found}
        return self.page(
            request,
            seat,
            "waiting.html",
            heading="Waiting for an acknowledgement",
            transfers=[(each, rows.get(each.ticket)) for each in transfers],
        )

    async def owners(self, request: Request, seat: Seat) -> Response:
        """Who owns how much."""
        only_inside(seat)
        people = shown.people(await self._inquiries.owners())
        return self.page(request, seat, "owners.html", heading="Owners and their load", people=people)

    async def brief(self, request: Request, seat: Seat) -> Response:
        """What a shift hands over: a queue's tickets, on paper if need be."""
        queues = self._inquiries.queues(seat.principal)
        queue = request.query_params.get("queue") or None
        brief = None if queue is None else await self._inquiries.brief(queue, seat.principal)
        if queue is not None and brief is None:
            raise HTTPException(404, f"There is no queue {words.shortened(queue, 100)} here.")
        kept = [] if queue is None else await self._inquiries.briefs(queue, seat.principal) or []
        closing = request.query_params.get("closing") or None
        if closing is not None:
            found = await self._inquiries.brief_kept(closing, seat.principal)
            if found is None:
                raise HTTPException(404, "There is no such shift brief here: it may be older than briefs are kept.")
            if found.queue == queue:  # or somebody has chosen another queue since
                brief = found
        return self.page(
            request,
            seat,
            "brief.html",
            heading="Shift brief" if brief is None else f"Shift brief: {brief.title}",
            queues=_by_title(queues),
            queue=queue,
            brief=brief,
            kept=kept,
        )

    # -- how it is shown

    def terms(self) -> Terms:
        """The agreement in force. Raises HTTPException while none is known."""
        try:
            return self._book.in_force(self._now())
        except Transient:
            raise HTTPException(503, "The desk is just starting. Try again in a moment.") from None

    def page(
        self,
        request: Request,
        seat: Seat | None,
        template: str,
        status: int = 200,
        *,
        error: str | None = None,
        **more: Any,
    ) -> Response:
        flashes = [tuple(each) for each in request.session.pop("flash", [])]
        if error:
            flashes.append(("error", error))
        terms = self.terms() if seat is not None else None
        now = self._now() if seat is not None else datetime.now(UTC)
        return HTMLResponse(self._rendering.page(template, seat, terms, now, flashes=flashes, **more), status)


def address(ticket: str) -> str:
    return f"/desk/ticket/{words.path(ticket)}"


def number(ticket: str) -> str:
    """What people call it: its number in the tool that it came from."""
    return words.shortened(ticket.split(":", 2)[-1], 80)


def no_ticket(name: str) -> HTTPException:
    return HTTPException(404, f"There is no ticket {words.shortened(name, 100)}.")


def only_inside(seat: Seat) -> None:
    if not seat.inside:
        raise HTTPException(404, "There is no such page.")


def _by_title(queues: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(queues.items(), key=lambda each: each[1].casefold())


def _chosen(counted: dict[str | None, Counts], principal: str, queues: dict[str, str], queue: str | None) -> Counts:
    if queue is not None:
        return counted.get(queue, Counts())
    return Counts.of(each for name, each in counted.items() if principal == INTERNAL or name in queues)


def _named(last: Ticket) -> str:
    due = last.ledger.due_at
    return f"{'' if due is None else due.isoformat()}~{last.ledger.ticket}"


def _place(named: str | None) -> Place | None:
    if named is None:
        return None
    due, _, ticket = named.partition("~")
    try:
        at = parse_instant(due) if due else None
    except ValueError:
        raise _no_such_place() from None
    if not is_name(ticket):
        raise _no_such_place()
    return Place(at, ticket)


def _no_such_place() -> HTTPException:
    return HTTPException(404, "That page of the queue is not there. Begin with the most urgent.")
