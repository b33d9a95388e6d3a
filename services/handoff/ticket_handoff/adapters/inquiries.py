"""What people and partners ask of the ledger: queues, transfers, owners, briefs, a ticket and its past.

Each answer is cut to whoever asks: `internal` sees everything; a partner its own queues and transfers, and of a ticket
the fields that its contract allows today. None: there is no such thing, or it is none of the asker's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncEngine

from ticket_contracts.cloudevents import instant_text, parse_instant
from ticket_contracts.transfers import ContextPackage
from ticket_handoff.adapters import statements as sql
from ticket_handoff.adapters.answers import (
    Attempt,
    Brief,
    BriefKept,
    BriefLine,
    ClockLeft,
    GapShown,
    Interval,
    OpenTransfer,
    OwnerLoad,
    OwnerNow,
    OwnershipShown,
    PastTransfer,
    Queue,
    QueuedTicket,
    TicketShown,
    TimelineLine,
    TransferShown,
)
from ticket_handoff.adapters.store import Store
from ticket_handoff.domain import context, timeline
from ticket_handoff.domain.ledger import Destination, Ledger, Texts, Transfer
from ticket_handoff.domain.terms import INTERNAL, Book, Terms
from ticket_handoff.handlers import is_name

PAGE: Final = 200
"""Tickets of one page of a queue."""
BRIEF: Final = 2_000
"""Tickets of a shift brief, at most."""
BRIEFS: Final = 50
"""Records of a queue's closings that are listed, the newest first."""
_FIRST: Final = "-infinity"
_NO_DEADLINE: Final = "infinity"

_ledger = msgspec.json.Decoder(Ledger)


class Inquiries:
    """now: the desk's present (UTC). book: raises Transient while no agreement is known."""

    def __init__(self, engine: AsyncEngine, book: Book, now: Callable[[], datetime]) -> None:
        self._engine, self._book, self._now = engine, book, now
        self._store = Store(engine)

    async def pulse(self) -> int:
        """A number that grows with every step that was taken: whoever shows something live asks for it again when this
        has changed."""
        return int((await self._rows(sql.PULSE))[0][0])

    def queues(self, principal: str) -> dict[str, str]:
        """name -> title, of the queues that somebody may ask for."""
        terms = self._book.in_force(self._now())
        return {
            name: queue.title
            for name, queue in terms.agreement.queues.items()
            if principal in (INTERNAL, terms.principal(name))
        }

    async def queue(self, name: str, principal: str, *, after: str | None = None, most: int = PAGE) -> Queue | None:
        """Raises ValueError when `after` is none that was given out."""
        now = self._now()
        terms = self._book.in_force(now)
        if not _may_ask(terms, name, principal):
            return None
        due, ticket = _cursor(after)
        given = {"queue": name, "due": due, "ticket": ticket, "most": most + 1}
        rows = await self._rows(sql.QUEUE, **given)
        counts = (await self._rows(sql.IN_QUEUE, queue=name, now=now))[0]
        shown = [self._queued(row, terms, principal, now) for row in rows[:most]]
        last = shown[-1] if len(rows) > most else None
        return Queue(
            queue=name,
            title=terms.agreement.queues[name].title,
            as_of=now,
            open=counts.open,
            overdue=counts.overdue,
            tickets=shown,
            next=None
            if last is None
            else f"{_NO_DEADLINE if last.due_at is None else instant_text(last.due_at)}|{last.ticket}",
        )

    async def waiting(self, principal: str, *, queue: str | None = None, most: int = PAGE) -> list[OpenTransfer] | None:
        """Transfers that are on their way: those that wait for an acknowledgement first, the nearest deadline first."""
        terms = self._book.in_force(self._now())
        if queue is not None and not _may_ask(terms, queue, principal):
            return None
        whose = None if principal == INTERNAL else principal
        rows = await self._rows(sql.WAITING, queue=queue, principal=whose, most=most)
        return [OpenTransfer(**_transfer(row._mapping, principal)) for row in rows]

    async def owners(self) -> list[OwnerLoad]:
        """Who owns how many tickets; who is in a rota and owns none is there too, with 0. For people inside."""
        now = self._now()
        agreement = self._book.in_force(now).agreement
        rows = await self._rows(sql.OWNERS, now=now)
        found = [OwnerLoad(**row._mapping) for row in rows]
        busy = {(each.owner, each.queue) for each in found}
        idle = {
            (member, name)
            for name, queue in agreement.queues.items()
            for member in agreement.owners[queue.owner_role].members
        } - busy
        found += [OwnerLoad(owner=owner, queue=queue, open=0, overdue=0, due_at=None) for owner, queue in idle]
        return sorted(found, key=lambda each: (each.owner, each.queue or ""))

    async def transfer(self, transfer_id: str, principal: str) -> TransferShown | None:
        """One transfer, with the package of each offer."""
        if not is_name(transfer_id):
            return None
        rows = await self._rows(sql.TRANSFER, transfer=transfer_id)
        if not rows:
            return None
        row = rows[0]._mapping
        ticket = (await self._rows(sql.TICKET, ticket=row["ticket"]))[0]
        ledger = _ledger.decode(ticket.state)
        bodies = {each.attempt: each.body for each in await self._rows(sql.PACKAGES, transfer=transfer_id)}
        terms = self._book.in_force(self._now())
        attempts = [
            Attempt(
                attempt=past.attempt,
                queue=past.queue,
                digest=past.digest,
                outcome=past.ending,
                at=past.at,
                reason=past.reason,
                actor=past.actor,
                package=_package(bodies.get(past.attempt), terms, principal),
            )
            for past in ledger.past
            if past.transfer_id == transfer_id and principal in (INTERNAL, past.principal)
        ]
        offer = None if ledger.transfer is None or ledger.transfer.id != transfer_id else ledger.transfer.offer
        if offer is not None and ledger.transfer is not None and principal in (INTERNAL, offer.principal):
            attempts.append(
                Attempt(
                    attempt=ledger.transfer.attempt,
                    queue=offer.queue,
                    digest=offer.digest,
                    outcome=None,
                    at=None,
                    reason="",
                    actor=None,
                    package=_package(bodies.get(ledger.transfer.attempt), terms, principal),
                )
            )
        if not attempts and principal != INTERNAL:
            return None
        shown = _transfer(row, principal)
        if principal != INTERNAL and (offer is None or offer.principal != principal):
            last = attempts[-1]  # whoever has it now is none of the asker's business
            shown |= {"queue": last.queue, "attempt": last.attempt, "digest": last.digest, "status": last.outcome}
            shown |= {"receiver": None, "acknowledge_by": None}
        return TransferShown(**shown, ended_at=row["ended_at"], attempts=attempts)

    async def offered(self, transfer_id: str, principal: str) -> dict[str, Any] | None:
        """The package that waits for this principal's reply."""
        shown = await self.transfer(transfer_id, principal)
        return next((each.package for each in shown.attempts if each.outcome is None), None) if shown else None

    async def ticket(self, ticket: str, principal: str) -> TicketShown | None:
        """A ticket with its whole context as it stands now."""
        rows = await self._rows(sql.TICKET, ticket=ticket) if is_name(ticket) else []
        if not rows:
            return None
        ledger, texts = _ledger.decode(rows[0].state), Texts(rows[0].normalized, rows[0].classified, rows[0].added)
        now = self._now()
        terms = self._book.in_force(now)
        owner, transfer = ledger.owner, ledger.transfer
        queue = _queue_seen(ledger, principal, terms)
        if queue is None:
            return None
        sees_owner = owner is not None and (principal == INTERNAL or owner.queue == queue)
        sees_transfer = transfer is not None and (
            principal == INTERNAL or (transfer.offer is not None and transfer.offer.principal == principal)
        )
        # Of a transfer that is none of theirs its question is not theirs either.
        draft = transfer if transfer is not None and sees_transfer else None
        built = context.build(
            ledger,
            texts,
            draft or Transfer(id="", number=0, cause="escalation", attempt=1, opened_at=now, sender=""),
            Destination(queue=queue, role=""),
            principal,
            terms,
            self._book,
            now,
        )
        package = msgspec.to_builtins(built.content)
        for name in ("transfer_id", "attempt", "queue", "sender", "cause"):
            del package[name]
        if draft is None:
            package["question"] = ledger.gap.question if ledger.gap is not None and sees_owner else ""
        return TicketShown(
            ticket=ticket,
            status=_status(ledger, terms.fields(principal)),
            as_of=now,
            owner=owner.owner if owner and sees_owner else None,
            owner_queue=owner.queue if owner and sees_owner else None,
            owner_kind=owner.kind if owner and sees_owner else None,
            since=owner.since if owner and sees_owner else None,
            clocks=[_left(state) for state in built.content.clocks],
            package=package,
            transfer=_open_transfer(ledger, transfer, principal) if transfer is not None and sees_transfer else None,
            gap=None
            if ledger.gap is None or not sees_owner
            else GapShown(cause=ledger.gap.cause, missing=ledger.gap.missing),
            required=terms.agreement.required_parts("escalation"),
        )

    async def ownership(self, ticket: str, principal: str) -> OwnershipShown | None:
        """Who owned a ticket, and its transfers; a partner sees what it was offered and what it owned itself."""
        history = await self._store.history(ticket)
        if history is None:
            return None
        ledger, intervals, transfers = history.ledger, history.intervals, history.transfers
        owner = ledger.owner
        if principal != INTERNAL:
            mine = [past for past in ledger.past if past.principal == principal]
            offered = {past.transfer_id for past in mine}
            transfer = ledger.transfer
            if transfer is not None and transfer.offer is not None and transfer.offer.principal == principal:
                offered.add(transfer.id)
            if not offered:
                return None
            taken = {past.transfer_id for past in mine if past.ending == "accepted"}
            intervals = [each for each in intervals if each["transfer_id"] in taken]
            transfers = [
                {name: each[name] for name in ("transfer_id", "status", "attempt", "opened_at", "ended_at")}
                for each in transfers
                if each["transfer_id"] in offered
            ]
            if owner is not None and owner.transfer_id not in taken:
                owner = None
        return OwnershipShown(
            ticket=ticket,
            owner=None
            if owner is None
            else OwnerNow(owner=owner.owner, role=owner.role, queue=owner.queue, kind=owner.kind, since=owner.since),
            intervals=[Interval(**each) for each in intervals],
            transfers=[PastTransfer(**each) for each in transfers],
        )

    async def brief(self, name: str, principal: str) -> Brief | None:
        """What a shift leaves behind: the queue's tickets, and those that its newest closing has sent on."""
        now = self._now()
        terms = self._book.in_force(now)
        if not _may_ask(terms, name, principal):
            return None
        queue = terms.agreement.queues[name]
        here = await self._rows(sql.QUEUE, queue=name, due=_FIRST, ticket="", most=BRIEF)
        lines = {row.ticket: self._brief_line(row, terms, principal, now, name) for row in here}
        newest = await self._rows(sql.BRIEFS_OF, queue=name, most=1)
        for row in await self._rows(sql.LINES, brief=newest[0].brief, most=BRIEF) if newest else ():
            if row.transfer_id is not None:
                line = lines.get(row.ticket) or self._brief_line(row, terms, principal, now, name)
                lines[row.ticket] = _sent_on(line, row, terms, principal)
        ordered = sorted(lines.values(), key=lambda each: (each.due_at is None, each.due_at or now, each.ticket))
        calendar = terms.calendars.get(queue.calendar) if queue.calendar is not None else None
        closes = None if calendar is None else calendar.next_close(int(now.timestamp()))
        return Brief(
            queue=name,
            title=queue.title,
            as_of=now,
            closes_at=None if closes is None else datetime.fromtimestamp(closes, now.tzinfo),
            overdue=sum(each.due_at is not None and each.due_at < now for each in ordered),
            tickets=ordered,
        )

    async def briefs(self, queue: str, principal: str) -> list[BriefKept] | None:
        """The records of a queue's closings, the newest first."""
        if not _may_ask(self._book.in_force(self._now()), queue, principal):
            return None
        rows = await self._rows(sql.BRIEFS_OF, queue=queue, most=BRIEFS)
        return [BriefKept(**row._mapping) for row in rows]

    async def brief_kept(self, brief: str, principal: str) -> Brief | None:
        """One closing's record: what the queue had, in the order of then, and what has become of it."""
        rows = await self._rows(sql.BRIEF, brief=brief) if is_name(brief) else []
        now = self._now()
        terms = self._book.in_force(now)
        if not rows or (principal != INTERNAL and not _may_ask(terms, rows[0].queue, principal)):
            return None
        kept = rows[0]
        lines = [
            _sent_on(
                self._brief_line(row, terms, principal, now, kept.queue).model_copy(update={"due_at": row.due_at}),
                row,
                terms,
                principal,
            )
            for row in await self._rows(sql.LINES, brief=brief, most=BRIEF)
        ]
        return Brief(
            brief=kept.brief,
            queue=kept.queue,
            title=_title(terms, kept.queue),
            as_of=kept.opened_at,
            closes_at=kept.closes_at,
            overdue=sum(each.due_at is not None and each.due_at < kept.opened_at for each in lines),
            tickets=lines,
        )

    async def timeline(self, ticket: str) -> list[TimelineLine] | None:
        """Every event of a ticket, with the decisions' reasons, clocks and owners. For people inside."""
        if not is_name(ticket):
            return None
        notices = await self._rows(sql.NOTICES, ticket=ticket)
        steps = await self._rows(sql.STEPS, ticket=ticket)
        if not steps and not notices:
            return None
        lines = [
            timeline.line(row.type, row.at, msgspec.json.decode(row.said))
            for row in (*notices, *steps)
            if row.said is not None
        ]
        return [TimelineLine(**msgspec.structs.asdict(line)) for line in timeline.in_order(lines)]

    # -- rows

    async def _rows(self, statement: TextClause, **given: Any) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, given)).all()

    def _queued(self, row: Any, terms: Terms, principal: str, now: datetime) -> QueuedTicket:
        ledger = _ledger.decode(row.state)
        fields = terms.fields(principal)
        view = context.view(Texts(row.normalized, row.classified), fields)
        owner, transfer = ledger.owner, ledger.transfer
        return QueuedTicket(
            ticket=row.ticket,
            title=view.title,
            priority=view.priority,
            category=view.category,
            status=_status(ledger, fields),
            owner="" if owner is None else owner.owner,
            since=now if owner is None else owner.since,
            due_at=row.due_at,
            clocks=[_left(context.clock_at(clock, self._book, now)) for clock in ledger.clocks.values()],
            transfer=None if transfer is None or principal != INTERNAL else transfer.id,
        )

    def _brief_line(self, row: Any, terms: Terms, principal: str, now: datetime, queue: str) -> BriefLine:
        """A partner is told no more of a ticket that has left its queue than that it has."""
        queued = self._queued(row, terms, principal, now)
        ledger = _ledger.decode(row.state)
        gone = ledger.owner is None or ledger.owner.queue != queue
        if gone and principal != INTERNAL:
            unseen: dict[str, Any] = {
                "title": None,
                "priority": None,
                "category": None,
                "status": "",
                "owner": "",
                "since": now,
                "clocks": [],
            }
            queued = queued.model_copy(update=unseen)
        mine = [past for past in ledger.past if principal in (INTERNAL, past.principal)]
        transfer = ledger.transfer if principal == INTERNAL else None
        added = Texts(added=row.added).people_added()
        return BriefLine(
            **queued.model_dump(),
            to_queue=None,
            to_title=None,
            to=None,
            outcome=None,
            tried=[
                f"{_title(terms, past.queue)}: {past.ending}" + (f", {past.reason}" if past.reason else "")
                for past in mine
            ],
            steps=[step.text for step in added.steps if principal in (INTERNAL, step.principal)],
            question=transfer.question if transfer is not None else "",
        )


def _sent_on(line: BriefLine, row: Any, terms: Terms, principal: str) -> BriefLine:
    """Where the ticket went. A partner learns of queues of its own and of the company's own, not who has what there."""
    if row.transfer_id is None:
        return line
    seen = row.queue is not None and terms.principal(row.queue) in (principal, INTERNAL)
    to = row.queue if principal == INTERNAL or seen else None
    return line.model_copy(
        update={
            "transfer": row.transfer_id,
            "to_queue": to,
            "to_title": None if to is None else _title(terms, to),
            "to": row.receiver if principal == INTERNAL else None,
            "outcome": row.status,
        }
    )


def _status(ledger: Ledger, fields: frozenset[str] | None) -> str:
    """Whoever sees a ticket may know that it is open; what its tool says beyond that is a field of the contract."""
    return ledger.status if fields is None or "status" in fields else "open"


def _title(terms: Terms, queue: str) -> str:
    found = terms.agreement.queues.get(queue)
    return queue if found is None else found.title


def _may_ask(terms: Terms, queue: str, principal: str) -> bool:
    return queue in terms.agreement.queues and principal in (INTERNAL, terms.principal(queue))


def _cursor(after: str | None) -> tuple[str, str]:
    if after is None:
        return _FIRST, ""
    due, bar, ticket = after.partition("|")
    if not bar or not is_name(ticket):
        raise ValueError("`after` is what the page before gave as `next`")
    return due if due == _NO_DEADLINE else instant_text(parse_instant(due)), ticket


def _transfer(row: Mapping[str, Any], principal: str) -> dict[str, Any]:
    shown = {name: row[name] for name in OpenTransfer.model_fields}
    if principal != INTERNAL:
        shown |= {"sender": None, "sender_queue": None}
    return shown


def _open_transfer(ledger: Ledger, transfer: Transfer, principal: str) -> OpenTransfer:
    offer = transfer.offer
    inside = principal == INTERNAL
    return OpenTransfer(
        transfer_id=transfer.id,
        ticket=ledger.ticket,
        cause=transfer.cause,
        status=transfer.status,
        attempt=transfer.attempt,
        opened_at=transfer.opened_at,
        sender=transfer.sender if inside else None,
        sender_queue=transfer.sender_queue if inside else None,
        queue=offer.queue if offer else transfer.destination.queue if transfer.destination else None,
        receiver=offer.receiver if offer else None,
        digest=offer.digest if offer else None,
        acknowledge_by=offer.acknowledge_by if offer else None,
    )


def _queue_seen(ledger: Ledger, principal: str, terms: Terms) -> str | None:
    """The queue by which somebody sees a ticket: its contract cuts what is shown. None: they may not see it."""
    owner, transfer = ledger.owner, ledger.transfer
    if principal == INTERNAL:
        return terms.agreement.routing.duty_queue
    if transfer is not None and transfer.offer is not None and transfer.offer.principal == principal:
        return transfer.offer.queue
    if owner is not None and owner.queue is not None and owner.transfer_id is not None:
        held = any(
            (past.transfer_id, past.principal, past.ending) == (owner.transfer_id, principal, "accepted")
            for past in ledger.past
        )
        if held:
            return owner.queue
    return None


def _package(body: bytes | None, terms: Terms, principal: str) -> dict[str, Any] | None:
    """A package as it was offered. What a contract no longer allows is not shown again."""
    if body is None:
        return None
    package: dict[str, Any] = msgspec.json.decode(body)
    fields = terms.fields(principal)
    if fields is not None:
        content = msgspec.json.decode(body, type=ContextPackage)
        package["view"] = {name: said for name, said in package["view"].items() if name in fields}
        package["classification"] = {name: said for name, said in content.classification.items() if name in fields}
        if "url" not in fields:
            package["links"] = []
        if "comments" not in fields:  # a partner's own steps say who took them, others' do not
            package["steps"] = [step for step in package.get("steps", []) if step.get("by")]
    return package


def _left(state: Any) -> ClockLeft:
    return ClockLeft(
        clock=state.clock,
        policy=state.policy,
        running=state.running,
        deadline=state.deadline,
        goal_seconds=state.goal_seconds,
        left_seconds=state.goal_seconds - state.elapsed_seconds,
    )
