"""The rolling figures: every one over an hour, a day and a week, by side or partner, category and priority, in one
query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sla_monitor.facts.course import CTES

Name = Literal[
    "partner_escalation_ratio",
    "partner_article_coverage_ratio",
    "partner_correction_ratio",
    "first_contact_resolution_ratio",
    "sla_adherence_ratio",
    "resolution_seconds_mean",
    "csat_mean",
    "reassignments_mean",
    "ping_pong_ratio",
]

WINDOWS = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "1w": timedelta(weeks=1)}

HOW: dict[Name, str] = {
    "partner_escalation_ratio": (
        "Of the tickets whose stay in the partner's first line (tier 0 or 1) ended in the window (handed on or"
        " resolved), the share that went to a queue of tier 2 or 3"
    ),
    "partner_article_coverage_ratio": (
        "Of the tickets that the partner's first line passed on to tier 2 or 3 in the window, the share for which the"
        " classifier found an article"
    ),
    "partner_correction_ratio": "Of the same tickets, the share whose classification a person corrected",
    "first_contact_resolution_ratio": (
        "Of the tickets resolved in the window that a first line (tier 0 or 1) took first, the share that no other"
        " queue had and that were never reopened; by the side of that first line"
    ),
    "sla_adherence_ratio": (
        "Of the resolution clocks met or breached in the window, the share met in time; by the side that owned the"
        " ticket then. A clock counts once, as its last generation came out"
    ),
    "resolution_seconds_mean": (
        "From opened to resolved on the wall, of the tickets resolved in the window; by the side that had them then"
    ),
    "csat_mean": (
        "Scores of 1 (worst) to 5 given in the window, the last of each ticket; by the side that had it when it was"
        " resolved"
    ),
    "reassignments_mean": ("Changes of queue, of the tickets resolved in the window; by the side that had them then"),
    "ping_pong_ratio": (
        "Of the tickets resolved in the window, the share that came back to a queue that had them before; by the side"
        " that had them then"
    ),
}
"""How each is computed; the windows end at the desk's present."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value over one window. side: internal or partner; partner: of the first line's figures instead of a side.
    category, priority: None for all. of: how many tickets (or clocks, or scores) it rests on."""

    figure: Name
    window: str
    side: str | None = None
    partner: str | None = None
    category: str | None = None
    priority: str | None = None
    of: int
    value: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures at one instant. partners, priorities: of every version of the agreement, so that what no ticket
    speaks of is known too."""

    until: datetime
    values: list[Figure]
    partners: list[str]
    priorities: list[str]


_WINDOWS = ", ".join(
    f"('{name}', CAST(:until AS timestamptz) - interval '{int(length.total_seconds())} seconds')"
    for name, length in WINDOWS.items()
)

_QUERY = f"""{CTES},
span(name, since) AS (VALUES {_WINDOWS}),
line AS (
    -- the end of a stay in a partner's first line: handed on, or resolved there
    SELECT s.partner, l.category, l.priority, l.covered, l.corrected, s.next_tier >= 2 AS up,
           coalesce(s.left_at, l.resolved_at) AS at
    FROM stay s JOIN life l USING (ticket)
    WHERE s.partner IS NOT NULL AND s.tier <= 1
),
scored AS (
    SELECT DISTINCT ON (f.ticket) f.ticket, f.at, f.csat, l.category, l.priority, coalesce(o.side, 'internal') AS side
    FROM facts.feedback f JOIN life l USING (ticket)
         LEFT JOIN owned o ON o.ticket = f.ticket AND o.after < coalesce(l.resolved_at, f.at) AND o.kind <> 'ended'
                           AND (o.until_at IS NULL OR coalesce(l.resolved_at, f.at) <= o.until_at)
    WHERE f.csat IS NOT NULL AND f.at < CAST(:until AS timestamptz)
    ORDER BY f.ticket, f.at DESC, f.id
),
partners AS (
    SELECT name, partner, category, priority, count(*) AS n, avg(coalesce(up, false)::int) AS up,
           count(*) FILTER (WHERE up) AS ups, avg(covered::int) FILTER (WHERE up) AS covered,
           avg(corrected::int) FILTER (WHERE up) AS corrected
    FROM line JOIN span ON at >= since
    GROUP BY name, partner, GROUPING SETS ((), (category), (priority))
),
finishes AS (
    SELECT name, side, category, priority, count(*) AS n,
           avg(extract(epoch FROM resolved_at - opened_at)) AS seconds,
           avg(greatest(stays - 1, 0)) AS reassignments, avg((returns > 0)::int) AS ping_pong
    FROM finished JOIN span ON resolved_at >= since
    GROUP BY name, side, GROUPING SETS ((), (category), (priority))
),
contacts AS (
    SELECT name, first_side AS side, category, priority, count(*) AS n,
           avg((stays = 1 AND reopened = 0)::int) AS kept
    FROM finished JOIN span ON resolved_at >= since WHERE first_tier <= 1
    GROUP BY name, first_side, GROUPING SETS ((), (category), (priority))
),
scores AS (
    SELECT name, side, category, priority, count(*) AS n, avg(csat) AS csat
    FROM scored JOIN span ON at >= since
    GROUP BY name, side, GROUPING SETS ((), (category), (priority))
),
goals AS (
    SELECT name, side, l.category, l.priority, count(*) AS n, avg(kept::int) AS kept
    FROM judged JOIN life l USING (ticket) JOIN span ON judged_at >= since WHERE clock = 'resolution'
    GROUP BY name, side, GROUPING SETS ((), (l.category), (l.priority))
)
SELECT 'partner_escalation_ratio' AS figure, name, NULL AS side, partner, category, priority, n, up AS value
FROM partners
UNION ALL SELECT 'partner_article_coverage_ratio', name, NULL, partner, category, priority, ups, covered FROM partners
          WHERE ups > 0
UNION ALL SELECT 'partner_correction_ratio', name, NULL, partner, category, priority, ups, corrected FROM partners
          WHERE ups > 0
UNION ALL SELECT 'first_contact_resolution_ratio', name, side, NULL, category, priority, n, kept FROM contacts
UNION ALL SELECT 'sla_adherence_ratio', name, side, NULL, category, priority, n, kept FROM goals
UNION ALL SELECT 'resolution_seconds_mean', name, side, NULL, category, priority, n, seconds FROM finishes
UNION ALL SELECT 'csat_mean', name, side, NULL, category, priority, n, csat FROM scores
UNION ALL SELECT 'reassignments_mean', name, side, NULL, category, priority, n, reassignments FROM finishes
UNION ALL SELECT 'ping_pong_ratio', name, side, NULL, category, priority, n, ping_pong FROM finishes
"""


async def figures(engine: AsyncEngine, now: datetime) -> Figures:
    """All of them, over windows that end with `now` (UTC), which they include."""
    until = now.astimezone(UTC) + timedelta(microseconds=1)
    async with engine.connect() as connection:
        found = await connection.execute(text(_QUERY), {"since": until - max(WINDOWS.values()), "until": until})
        values = [
            Figure(
                figure=row.figure,
                window=row.name,
                side=row.side,
                partner=row.partner,
                category=row.category,
                priority=row.priority,
                of=row.n,
                value=float(row.value),
            )
            for row in found
        ]
        known = await connection.execute(
            text("SELECT DISTINCT partner FROM facts.queues WHERE partner IS NOT NULL AND tier <= 1 ORDER BY partner")
        )
        partners = [row.partner for row in known]
        known = await connection.execute(
            text(
                "SELECT DISTINCT priority.value AS priority FROM facts.agreements,"
                " jsonb_each(document #> '{agreement,matrix,priorities}') AS impact,"
                " jsonb_each_text(impact.value) AS priority ORDER BY priority"
            )
        )
        priorities = [row.priority for row in known]
    order = {name: number for number, name in enumerate(get_args(Name))}
    values.sort(
        key=lambda f: (order[f.figure], f.window, f.side or f.partner or "", f.category or "", f.priority or "")
    )
    return Figures(now, values, partners, priorities)
