"""How facts become the course of a ticket: common table expressions that the rolling figures and the review share.

Everything is asked for a span [since, until) and from facts before `until` alone: the figures of a month never change
when the next month's facts come in, and a replay's figures end where its time stands.

- `life`: a ticket: opened_at (the source's creation where it is earlier than the first that the desk knows of),
  resolved_at (when it last became resolved or closed; NULL unless it is so), reopened_at, category, priority,
  corrected (a person put its classification right), covered (articles were found for it).
- `stay`: a ticket in a queue whose owner acknowledged it, from taken_at until left_at (NULL: still there). Intake duty
  between two stays in one queue does not part them; number counts from 1; next_*: the stay after it.
- `finished`: a resolved ticket with who had it then (queue NULL: intake duty), its stays and returns (A -> B -> A), and
  the same of the groups that its tool names.
- `owned`: who owned it in (after, until_at]: what happens at the instant of a change is the former owner's.
- `judged`: a clock of a ticket that was met or breached, at judged_at, with whose ticket it was at that moment. A
  resolution or first response counts once, as its last generation came out; the others once for each generation.
"""

from __future__ import annotations

_SINCE, _UNTIL = "CAST(:since AS timestamptz)", "CAST(:until AS timestamptz)"

CTES = f"""
WITH touched AS MATERIALIZED (
    SELECT ticket FROM facts.versions WHERE at >= {_SINCE} AND at < {_UNTIL}
    UNION SELECT ticket FROM facts.owners WHERE at >= {_SINCE} AND at < {_UNTIL}
    UNION SELECT ticket FROM facts.clocks
          WHERE at >= {_SINCE} AND at < {_UNTIL} AND occurrence IN ('met', 'breached')
    UNION SELECT ticket FROM facts.feedback WHERE at >= {_SINCE} AND at < {_UNTIL}
),
version AS MATERIALIZED (
    SELECT ticket, version, at, lifecycle, channel, url, created_at, assigned, status IN ('resolved', 'closed') AS done,
           lag(status IN ('resolved', 'closed'), 1, false) OVER (PARTITION BY ticket ORDER BY version) AS was_done,
           lead(version) OVER (PARTITION BY ticket ORDER BY version) IS NULL AS newest
    FROM facts.versions JOIN touched USING (ticket) WHERE at < {_UNTIL}
),
classification AS (
    SELECT DISTINCT ON (ticket) ticket, category, kind, priority, bool_or(corrected) OVER whole AS corrected,
           bool_or(cardinality(articles) > 0) OVER whole AS covered
    FROM facts.classifications JOIN touched USING (ticket) WHERE at < {_UNTIL}
    WINDOW whole AS (PARTITION BY ticket)
    ORDER BY ticket, version DESC
),
life AS MATERIALIZED (
    SELECT v.*, coalesce(c.category, 'uncategorised') AS category, c.kind, coalesce(c.priority, 'none') AS priority,
           coalesce(c.corrected, false) AS corrected,
           coalesce(c.covered, false) AS covered
    FROM (
        SELECT ticket, least(min(created_at), min(at)) AS opened_at, min(at) AS seen_at,
               CASE WHEN bool_or(done AND newest) THEN max(at) FILTER (WHERE done AND NOT was_done) END AS resolved_at,
               max(at) FILTER (WHERE lifecycle = 'reopened') AS reopened_at,
               count(*) FILTER (WHERE lifecycle = 'reopened') AS reopened,
               min(channel) FILTER (WHERE newest) AS channel, min(url) FILTER (WHERE newest) AS url
        FROM version GROUP BY ticket
    ) v LEFT JOIN classification c USING (ticket)
),
owned AS MATERIALIZED (
    SELECT o.ticket, o.sequence, o.at, o.kind, o.role, o.queue, o.transfer_id, q.title, q.tier, q.partner,
           coalesce(q.side, 'internal') AS side, q.price, q.currency,
           CASE WHEN lag(o.at) OVER w IS NULL THEN '-infinity' ELSE o.at END AS after, lead(o.at) OVER w AS until_at
    FROM facts.owners o JOIN touched USING (ticket)
         LEFT JOIN facts.queues q ON q.agreement = o.agreement AND q.queue = o.queue
    WHERE o.at < {_UNTIL}
    WINDOW w AS (PARTITION BY o.ticket ORDER BY o.sequence)
),
held AS (
    SELECT *, lag(queue) OVER (PARTITION BY ticket ORDER BY sequence) AS before
    FROM owned WHERE kind IN ('acknowledged', 'automatic') AND queue IS NOT NULL
),
stay AS MATERIALIZED (
    SELECT ticket, at AS taken_at, queue, title, tier, side, partner, price, currency, kind, transfer_id,
           row_number() OVER w AS number, count(*) OVER whole AS stays,
           lead(at) OVER w AS left_at, lead(queue) OVER w AS next_queue, lead(tier) OVER w AS next_tier,
           lead(side) OVER w AS next_side, lead(transfer_id) OVER w AS next_transfer
    FROM held WHERE before IS DISTINCT FROM queue
    WINDOW w AS (PARTITION BY ticket ORDER BY sequence), whole AS (PARTITION BY ticket)
),
visited AS (
    SELECT ticket, count(*) AS stays, count(*) - count(DISTINCT queue) AS returns,
           min(queue) FILTER (WHERE number = 1) AS first_queue, min(side) FILTER (WHERE number = 1) AS first_side,
           min(tier) FILTER (WHERE number = 1) AS first_tier, min(taken_at) AS taken_at
    FROM stay GROUP BY ticket
),
moved AS (
    -- the same in the ticket's tool: from group to group, whoever owned it here
    SELECT ticket, count(*) - 1 AS tool_moves, count(*) - count(DISTINCT assigned) AS tool_returns
    FROM (SELECT ticket, assigned, lag(assigned) OVER (PARTITION BY ticket ORDER BY version) AS before
          FROM version WHERE assigned IS NOT NULL) a
    WHERE before IS DISTINCT FROM assigned GROUP BY ticket
),
finished AS MATERIALIZED (
    SELECT l.*, coalesce(m.tool_moves, 0) AS tool_moves, coalesce(m.tool_returns, 0) AS tool_returns,
           coalesce(v.stays, 0) AS stays, coalesce(v.returns, 0) AS returns, v.first_queue,
           coalesce(v.first_side, 'internal') AS first_side, v.first_tier, v.taken_at, o.queue,
           coalesce(o.side, 'internal') AS side, o.partner, o.tier, o.role
    FROM life l LEFT JOIN visited v USING (ticket) LEFT JOIN moved m USING (ticket)
         LEFT JOIN owned o ON o.ticket = l.ticket AND o.after < l.resolved_at AND o.kind <> 'ended'
                           AND (o.until_at IS NULL OR l.resolved_at <= o.until_at)
    WHERE l.resolved_at >= {_SINCE}
),
generation AS (
    SELECT c.ticket, c.clock, c.generation, min(c.policy) AS policy, max(c.goal_seconds) AS goal_seconds,
           min(c.at) FILTER (WHERE c.occurrence = 'breached' AND r.revises IS NULL) AS breached_at,
           max(c.at) FILTER (WHERE c.occurrence = 'met') AS met_at,
           lead(c.generation) OVER (PARTITION BY c.ticket, c.clock ORDER BY c.generation) IS NULL AS newest
    FROM facts.clocks c JOIN touched USING (ticket)
         LEFT JOIN facts.clocks r ON r.ticket = c.ticket AND r.revises = c.id AND r.at < {_UNTIL}
    WHERE c.at < {_UNTIL} AND c.transfer_id IS NULL
    GROUP BY c.ticket, c.clock, c.generation
),
judged AS MATERIALIZED (
    SELECT g.ticket, g.clock, g.generation, g.policy, g.goal_seconds, g.breached_at IS NULL AS kept,
           g.judged_at, o.queue, o.role, o.kind AS owner_kind, coalesce(o.side, 'internal') AS side, o.partner
    FROM (SELECT *, coalesce(breached_at, met_at) AS judged_at FROM generation) g
         LEFT JOIN owned o ON o.ticket = g.ticket AND o.after < g.judged_at AND o.kind <> 'ended'
                           AND (o.until_at IS NULL OR g.judged_at <= o.until_at)
    WHERE g.judged_at >= {_SINCE} AND (g.newest OR g.clock NOT IN ('first_response', 'resolution'))
)
"""
