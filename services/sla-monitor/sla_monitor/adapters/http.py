"""`GET /v1/tickets/{id}/clocks`: a ticket's clocks from the live state, as a person would check them."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI, Response

from sla_monitor.domain.explain import explain
from sla_monitor.handlers import SlaWork
from ticket_contracts.cloudevents import encode, parse_instant
from ticket_runtime.context import LiveView
from ticket_runtime.http import Problem


def add_routes(app: FastAPI, view: LiveView) -> None:
    @app.get("/v1/tickets/{ticket:path}/clocks", tags=["clocks"])
    async def show_clocks(ticket: str, at: str | None = None) -> Response:
        """at: an instant, RFC 3339, also one of the past; by default the latest of the ticket's last event and now,
        where a replay leads its last event.
        """
        for work in view.tasks.values():
            if isinstance(work, SlaWork) and (found := work.ticket(ticket)) is not None:
                as_of = _as_of(at, work.present(), found.through)
                try:
                    explained = explain(ticket, found, as_of, work.book)
                except ValueError as error:
                    raise Problem(400, f"at: {error}") from error
                return Response(encode(explained), media_type="application/json")
        if not view.tasks:
            raise Problem(503, "no task runs in this process yet; ask again, or another instance")
        raise Problem(404, f"no clocks are known of ticket {ticket!r} here; it is unknown, or another instance has it")


def _as_of(at: str | None, present: datetime | None, through: int) -> int:
    if at is not None:
        try:
            return int(parse_instant(at).timestamp())
        except ValueError as error:
            raise Problem(400, f"at: {error}") from error
    if present is None:
        return through
    return max(int(present.astimezone(UTC).timestamp()), through)
