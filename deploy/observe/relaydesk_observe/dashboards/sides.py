"""Own teams and partners by the same measure."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows


def _side(title: str, what: str, unit: str, name: str) -> Panel:
    return Panel(title, what, unit, ((f'max by (side) ({name}{{window="$window"}})', "{{side}}"),))


_ROWS: Final[Rows] = [
    (
        "Both sides, by the same measure",
        [
            _side(
                "First-contact resolution",
                "Of the tickets that a first line took first, the share that no other queue had and that stayed solved.",
                "percentunit",
                "relaydesk_first_contact_resolution_ratio",
            ),
            _side("Time to resolve", "Mean.", "s", "relaydesk_resolution_seconds_mean"),
            _side("Satisfaction", "Mean of the scores, 1 to 5.", "short", "relaydesk_csat_mean"),
            Panel(
                "SLA adherence",
                "Share of the resolution clocks met or breached that were met, by priority.",
                "percentunit",
                (
                    (
                        'max by (side, priority) (relaydesk_sla_adherence_ratio{window="$window"})',
                        "{{side}} {{priority}}",
                    ),
                ),
            ),
            _side("Reassignments", "Mean of a ticket.", "short", "relaydesk_reassignments_mean"),
            _side(
                "Ping-pong", "Share that came back to a queue that had it.", "percentunit", "relaydesk_ping_pong_ratio"
            ),
        ],
    ),
    (
        "The partners' first lines",
        [
            Panel(
                "Passed on to the second line",
                "Agreed is at most 30 % of a day, of at least 50 tickets.",
                "percentunit",
                (('max by (partner) (relaydesk_partner_escalation_ratio{window="$window"})', "{{partner}}"),),
                bad=0.3,
            ),
            Panel(
                "Tickets",
                "What the ratios rest on.",
                "short",
                (('max by (partner) (relaydesk_partner_first_line_tickets{window="$window"})', "{{partner}}"),),
            ),
            Panel(
                "Knowledge and taxonomy",
                "Share of what was passed on that articles cover, and that was classified anew.",
                "percentunit",
                (
                    (
                        'max by (partner) (relaydesk_partner_article_coverage_ratio{window="$window"})',
                        "{{partner}} covered",
                    ),
                    (
                        'max by (partner) (relaydesk_partner_correction_ratio{window="$window"})',
                        "{{partner}} corrected",
                    ),
                ),
            ),
        ],
    ),
    (
        "Tickets on either side, now",
        [
            Panel(
                "Tickets in queues",
                "By whose queue they are in.",
                "short",
                (
                    (
                        "sum by (support_model, partner) (max by (queue) (relaydesk_queue_tickets) * on (queue) group_left (support_model, partner) max by (queue, support_model, partner) (relaydesk_queue_info))",
                        "{{support_model}} {{partner}}",
                    ),
                ),
                "stacked",
                12,
            ),
            Panel(
                "Until when the figures reach",
                "The end of their windows, before now.",
                "s",
                (("time() - max(relaydesk_figures_timestamp_seconds)", "behind"),),
                "lines",
                12,
                600,
            ),
        ],
    ),
]

BOARD: Final = Board(
    "Both sides", "Own teams and partners side by side, over an hour, a day or a week.", _ROWS, windows=True
)
