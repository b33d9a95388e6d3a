"""What comes, where it goes, what waits, what is wrong."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows, age, one

_ROWS: Final[Rows] = [
    (
        "Now",
        [
            one("Open tickets", "Tickets that came and have not ended.", "short", "max(relaydesk_open_tickets)"),
            one(
                "Without an owner", "Always 0, or an invariant is broken.", "short", "max(relaydesk_unowned_tickets)", 1
            ),
            one(
                "Oldest unrouted",
                "Since when a ticket waits for its first decision.",
                "s",
                age("relaydesk_oldest_unrouted_timestamp_seconds"),
                300,
            ),
            one(
                "Oldest unacknowledged",
                "Since when a transfer waits for somebody to acknowledge it.",
                "s",
                age("relaydesk_oldest_unacknowledged_timestamp_seconds"),
                7200,
            ),
            one(
                "Clocks at risk",
                "They have warned, and may still be met.",
                "short",
                'sum(relaydesk_sla_clocks{state="at_risk",clock!~"transfer.*"})',
                6,
            ),
            one(
                "Clocks breached",
                "Open and past their deadline.",
                "short",
                'sum(relaydesk_sla_clocks{state="breached",clock!~"transfer.*"})',
                1,
            ),
        ],
    ),
    (
        "What comes and where it goes",
        [
            Panel(
                "Tickets that came",
                "New tickets an hour, by source.",
                "short",
                (
                    (
                        'sum by (source) (rate(relaydesk_tickets_normalized_total{lifecycle="created"}[$__rate_interval])) * 3600',
                        "{{source}}",
                    ),
                ),
                "stacked",
            ),
            Panel(
                "Routed, by tier",
                "First decisions an hour; tier 0 is automation and self-service.",
                "short",
                (
                    (
                        'sum by (tier) (rate(relaydesk_tickets_routed_total{purpose="first"}[$__rate_interval])) * 3600',
                        "tier {{tier}}",
                    ),
                ),
                "stacked",
            ),
            Panel(
                "Own teams, partners, automation",
                "First decisions an hour, by whose queue.",
                "short",
                (
                    (
                        'sum by (support_model) (rate(relaydesk_tickets_routed_total{purpose="first"}[$__rate_interval])) * 3600',
                        "{{support_model}}",
                    ),
                ),
                "stacked",
            ),
        ],
    ),
    (
        "Queues",
        [
            Panel(
                "Tickets in queues",
                "What each queue has or is to have.",
                "short",
                (("topk(15, max by (queue) (relaydesk_queue_tickets))", "{{queue}}"),),
                "bars",
                12,
            ),
            Panel(
                "Queues in overflow",
                "1 while a queue gives to its overflow.",
                "short",
                (("max by (queue) (relaydesk_queue_overflowing)", "{{queue}}"),),
                "lines",
                12,
            ),
        ],
    ),
    (
        "Trouble",
        [
            Panel(
                "Alerts that fire",
                "By severity; none is drawn as 0, since Prometheus has no series for an alert that does not fire.",
                "short",
                (
                    (
                        'count by (severity) (ALERTS{alertstate="firing"}) or label_replace(vector(0), "severity", "none", "", "")',
                        "{{severity}}",
                    ),
                ),
                "lines",
                12,
            ),
            Panel(
                "Dead letters",
                "Messages an hour that could not be handled.",
                "short",
                (
                    (
                        "sum by (group, reason) (rate(relaydesk_dead_letters_total[$__rate_interval])) * 3600",
                        "{{group}} {{reason}}",
                    ),
                ),
                "stacked",
                12,
            ),
        ],
    ),
]

BOARD: Final = Board("The desk at a glance", "What comes, where it goes, what waits, what is wrong.", _ROWS)
