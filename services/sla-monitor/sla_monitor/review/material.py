"""What a review is made from: the facts of one period, read in one snapshot of the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts.course import CTES
from sla_monitor.review.period import Period

Row = Any
"""A row of a query; its fields are named in the query."""


@dataclass(frozen=True, slots=True)
class Material:
    """opened: tickets opened in the period, with the side that took them first. finished: tickets resolved in it, as
    they stood at its end. resolutions: every one in it, whether it lasted or not. reopenings: with whose resolution was
    reopened. judged: clocks met or breached. stays: ended
    stays in a partner's first line. taken: first times that a partner had a ticket, with its price. transfers: asked
    for in the period, with what became of them. scores: CSAT. pauses: of resolution clocks. rules: by which tickets
    first went to a partner. agreements: in force in the period or before it, oldest first. partners: whom the agreement
    knew in the period, and who had tickets in it although their contract had ended. first_at, last_at: what facts there
    are at all."""

    period: Period
    opened: list[Row]
    finished: list[Row]
    resolutions: list[Row]
    reopenings: list[Row]
    judged: list[Row]
    stays: list[Row]
    taken: list[Row]
    transfers: list[Row]
    scores: list[Row]
    pauses: list[Row]
    rules: list[Row]
    agreements: list[Row]
    partners: dict[str, str]
    titles: dict[str, str]
    first_at: datetime | None
    last_at: datetime | None


_OPENED = f"""{CTES}
SELECT l.ticket, l.opened_at, l.channel, l.category, l.priority, l.url, s.side, s.partner, s.queue
FROM life l LEFT JOIN stay s ON s.ticket = l.ticket AND s.number = 1
WHERE l.opened_at >= CAST(:since AS timestamptz) ORDER BY l.opened_at, l.ticket
"""

_FINISHED = f"""{CTES},
answered AS (
    SELECT ticket, min(at) AS responded_at FROM facts.comments JOIN touched USING (ticket)
    WHERE author = 'agent' AND public AND at < CAST(:until AS timestamptz) GROUP BY ticket
)
SELECT f.*, a.responded_at FROM finished f LEFT JOIN answered a USING (ticket) ORDER BY f.resolved_at, f.ticket
"""

_IN_WHOSE_STAY = f"""{CTES}
SELECT v.ticket, v.at, l.url, l.category, l.priority, coalesce(s.side, 'internal') AS side, s.partner, s.queue
FROM version v JOIN life l USING (ticket)
     LEFT JOIN stay s ON s.ticket = v.ticket AND s.taken_at < v.at AND (s.left_at IS NULL OR v.at <= s.left_at)
WHERE v.at >= CAST(:since AS timestamptz)"""

_RESOLUTIONS = f"{_IN_WHOSE_STAY} AND v.done AND NOT v.was_done ORDER BY v.at, v.ticket"

_REOPENINGS = f"{_IN_WHOSE_STAY} AND v.lifecycle = 'reopened' ORDER BY v.at, v.ticket"

_JUDGED = f"""{CTES}
SELECT j.*, l.category, l.priority, l.url FROM judged j JOIN life l USING (ticket)
ORDER BY j.judged_at, j.ticket, j.clock, j.generation
"""

_STAYS = f"""{CTES}
SELECT s.ticket, s.partner, s.queue, s.taken_at, coalesce(s.left_at, l.resolved_at) AS ended_at, s.next_queue,
       coalesce(s.next_tier >= 2, false) AS escalated, s.left_at IS NOT NULL AS handed_on, r.cause,
       l.category, l.priority, l.covered, l.corrected, l.url
FROM stay s JOIN life l USING (ticket)
     LEFT JOIN facts.steps r ON r.ticket = s.ticket AND r.transfer_id = s.next_transfer AND r.step = 'requested'
                             AND r.attempt = 1
WHERE s.partner IS NOT NULL AND s.tier <= 1 AND coalesce(s.left_at, l.resolved_at) >= CAST(:since AS timestamptz)
ORDER BY ended_at, s.ticket
"""

_TAKEN = f"""{CTES}
SELECT DISTINCT ON (s.partner, s.ticket) s.partner, s.ticket, s.queue, s.tier, s.price, s.currency, s.taken_at,
       l.category, l.priority, l.url
FROM stay s JOIN life l USING (ticket)
WHERE s.partner IS NOT NULL AND s.taken_at >= CAST(:since AS timestamptz)
ORDER BY s.partner, s.ticket, s.taken_at
"""

_TRANSFERS = f"""{CTES},
asked AS (
    SELECT ticket, transfer_id, cause, sender_queue, at, agreement FROM facts.steps JOIN touched USING (ticket)
    WHERE step = 'requested' AND attempt = 1
      AND at >= CAST(:since AS timestamptz) AND at < CAST(:until AS timestamptz)
),
became AS (
    SELECT ticket, transfer_id, min(at) FILTER (WHERE step = 'accepted') AS accepted_at,
           bool_or(automatic) FILTER (WHERE step = 'accepted') AS automatic,
           -- the last offer is the one that was taken
           extract(epoch FROM min(at) FILTER (WHERE step = 'accepted') - max(at) FILTER (WHERE step = 'offered'))
               AS acknowledged_seconds,
           min(queue) FILTER (WHERE step = 'completed') AS queue,
           count(*) FILTER (WHERE step = 'declined') AS declined, count(*) FILTER (WHERE step = 'expired') AS expired,
           bool_or(step = 'withdrawn') AS withdrawn
    FROM facts.steps JOIN touched USING (ticket) WHERE at < CAST(:until AS timestamptz) GROUP BY ticket, transfer_id
)
SELECT a.*, b.accepted_at, b.automatic, b.queue, b.declined, b.expired, b.withdrawn, b.acknowledged_seconds,
       coalesce(f.side, 'internal') AS from_side, f.partner AS from_partner, t.side AS to_side, t.partner AS to_partner,
       l.category, l.priority, l.url
FROM asked a JOIN life l USING (ticket) JOIN became b USING (ticket, transfer_id)
     LEFT JOIN facts.queues f ON f.agreement = a.agreement AND f.queue = a.sender_queue
     LEFT JOIN facts.queues t ON t.agreement = a.agreement AND t.queue = b.queue
ORDER BY a.at, a.ticket
"""

_SCORES = f"""{CTES}
SELECT DISTINCT ON (f.ticket) f.ticket, f.at, f.csat, l.category, l.priority, l.url,
       coalesce(o.side, 'internal') AS side, o.partner, o.queue
FROM facts.feedback f JOIN life l USING (ticket)
     LEFT JOIN owned o ON o.ticket = f.ticket AND o.after < coalesce(l.resolved_at, f.at) AND o.kind <> 'ended'
                       AND (o.until_at IS NULL OR coalesce(l.resolved_at, f.at) <= o.until_at)
WHERE f.csat IS NOT NULL AND f.at >= CAST(:since AS timestamptz) AND f.at < CAST(:until AS timestamptz)
ORDER BY f.ticket, f.at DESC, f.id
"""

_PAUSES = f"""{CTES},
turned AS (
    SELECT c.ticket, c.at, c.occurrence, c.ticket_version,
           lead(c.at) OVER w AS until_at, lag(c.deadline) OVER w AS deadline
    FROM facts.clocks c JOIN touched USING (ticket)
    WHERE c.clock = 'resolution' AND c.at < CAST(:until AS timestamptz)
      AND c.occurrence IN ('started', 'paused', 'resumed', 'met', 'cancelled', 'breached', 'warned')
    WINDOW w AS (PARTITION BY c.ticket, c.generation ORDER BY c.at, c.ticket_version)
)
SELECT p.ticket, p.at, p.until_at, p.deadline, v.status, l.category, l.priority, l.url,
       coalesce(o.side, 'internal') AS side, o.partner, o.queue,
       (SELECT count(*) FROM facts.comments c WHERE c.ticket = p.ticket AND c.public AND c.author = 'agent'
        AND c.at >= p.at - interval '1 day' AND c.at <= p.at + interval '15 minutes') AS asked,
       (SELECT min(c.at) FROM facts.comments c WHERE c.ticket = p.ticket AND c.author = 'customer'
        AND c.at > p.at AND c.at < coalesce(p.until_at, CAST(:until AS timestamptz))) AS answered_at,
       EXISTS (SELECT 1 FROM facts.comments c WHERE c.ticket = p.ticket) AS has_comments
FROM turned p JOIN life l USING (ticket)
     LEFT JOIN facts.versions v ON v.ticket = p.ticket AND v.version = p.ticket_version
     LEFT JOIN owned o ON o.ticket = p.ticket AND o.after < p.at AND o.kind <> 'ended'
                       AND (o.until_at IS NULL OR p.at <= o.until_at)
WHERE p.occurrence = 'paused' AND coalesce(p.until_at, CAST(:until AS timestamptz)) >= CAST(:since AS timestamptz)
ORDER BY p.at, p.ticket
"""

_RULES = """
SELECT DISTINCT ON (r.ticket, q.partner) q.partner, r.ticket, r.rule, r.cause
FROM facts.routings r JOIN facts.queues q ON q.agreement = r.agreement AND q.queue = r.queue
WHERE q.partner IS NOT NULL AND r.at >= CAST(:since AS timestamptz) AND r.at < CAST(:until AS timestamptz)
ORDER BY r.ticket, q.partner, r.decision
"""

_AGREEMENTS = """
SELECT version, effective_at, document FROM facts.agreements
WHERE effective_at < CAST(:until AS timestamptz)
   -- a desk's first is in force for all that was before it as well
   OR effective_at = (SELECT min(effective_at) FROM facts.agreements)
ORDER BY effective_at, version
"""


async def gather(engine: AsyncEngine, period: Period) -> Material:
    """The material of one period."""
    span = {"since": period.since, "until": period.until}
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="REPEATABLE READ")

        async def rows(query: str, parameters: dict[str, Any] = span) -> list[Row]:
            return list((await connection.execute(text(query), parameters)).all())

        agreements = await rows(_AGREEMENTS, {"until": period.until})
        known = await rows("SELECT min(at) AS first_at, max(at) AS last_at FROM facts.versions", {})
        found: dict[str, Any] = {
            "opened": await rows(_OPENED),
            "finished": await rows(_FINISHED),
            "resolutions": await rows(_RESOLUTIONS),
            "reopenings": await rows(_REOPENINGS),
            "judged": await rows(_JUDGED),
            "stays": await rows(_STAYS),
            "taken": await rows(_TAKEN),
            "transfers": await rows(_TRANSFERS),
            "scores": await rows(_SCORES),
            "pauses": await rows(_PAUSES),
            "rules": await rows(_RULES),
        }
        of = ("partner", "from_partner", "to_partner")
        had = {getattr(row, name, None) for some in found.values() for row in some for name in of}
        return Material(
            period=period,
            **found,
            agreements=agreements,
            **_names(agreements, period, had),
            first_at=known[0].first_at,
            last_at=known[0].last_at,
        )


def _names(agreements: list[Row], period: Period, had: set[str | None]) -> dict[str, Any]:
    """partners: of the versions in force at some time of the period, and those of `had`; titles of queues: of all, the
    newest first."""
    partners: dict[str, str] = {}
    titles: dict[str, str] = {}
    for row, following in zip_longest(agreements, agreements[1:]):
        agreement = row.document["agreement"]
        titles |= {name: queue["title"] for name, queue in agreement["queues"].items()}
        now = following is None or following.effective_at > period.since
        contracts = agreement.get("partners", {}).items()
        partners |= {name: contract["title"] for name, contract in contracts if now or name in had}
    return {"partners": partners, "titles": titles}
