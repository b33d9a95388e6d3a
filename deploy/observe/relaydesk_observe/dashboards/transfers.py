"""Who is asked, who answers, how long it takes."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows, age, one, quantiles

_ROWS: Final[Rows] = [
    (
        "Now",
        [
            one(
                "Under way", "Requested or offered.", "short", "sum(max by (status) (relaydesk_open_transfers))", span=6
            ),
            one(
                "Oldest",
                "Since when the oldest waits.",
                "s",
                age("relaydesk_oldest_unacknowledged_timestamp_seconds"),
                7200,
                6,
            ),
            Panel(
                "How tickets came to their owner",
                "Intake duty and automatic ones are safe, not served.",
                "short",
                (("max by (kind) (relaydesk_owned_tickets)", "{{kind}}"),),
                "bars",
                12,
            ),
        ],
    ),
    (
        "Steps",
        [
            Panel(
                "By step",
                "An hour.",
                "short",
                (("sum by (step) (rate(relaydesk_transfer_steps_total[$__rate_interval])) * 3600", "{{step}}"),),
            ),
            Panel(
                "Requested, by cause",
                "An hour.",
                "short",
                (
                    (
                        'sum by (cause) (rate(relaydesk_transfer_steps_total{step="requested"}[$__rate_interval])) * 3600',
                        "{{cause}}",
                    ),
                ),
                "stacked",
            ),
            Panel(
                "Offers that were accepted",
                "Share of offers that ended with an acknowledgement, by whose queue; the rest was declined or ran out.",
                "percentunit",
                (
                    (
                        (
                            'sum by (support_model) (increase(relaydesk_offers_total{step="accepted"}[1d])'
                            " * on (queue) group_left (support_model) max by (queue, support_model) (relaydesk_queue_info))"
                            ' / sum by (support_model) (increase(relaydesk_offers_total{step=~"accepted|declined|expired"}[1d])'
                            " * on (queue) group_left (support_model) max by (queue, support_model) (relaydesk_queue_info))"
                        ),
                        "{{support_model}}",
                    ),
                ),
            ),
        ],
    ),
    (
        "Acknowledgement",
        [
            Panel(
                "Time to an acknowledgement",
                "From the request, however many were asked; by people and by the desk itself (automatic).",
                "s",
                quantiles("relaydesk_transfer_acknowledgement_seconds", "automatic"),
                span=12,
            ),
            Panel(
                "Mean time by queue",
                "Over a day, the slowest ten.",
                "s",
                (
                    (
                        (
                            "topk(10, sum by (queue) (increase(relaydesk_transfer_acknowledgement_seconds_sum[1d]))"
                            " / (sum by (queue) (increase(relaydesk_transfer_acknowledgement_seconds_count[1d])) > 0))"
                        ),
                        "{{queue}}",
                    ),
                ),
                "bars",
                12,
            ),
        ],
    ),
    (
        "Owners",
        [
            Panel(
                "Changes of owner",
                "An hour.",
                "short",
                (("sum by (kind) (rate(relaydesk_owner_changes_total[$__rate_interval])) * 3600", "{{kind}}"),),
                "stacked",
                12,
            ),
            Panel(
                "Reached nobody",
                "In a day: all on the path declined or stayed silent (nobody), or the package lacked a part (gap).",
                "short",
                (("sum by (why) (increase(relaydesk_transfers_undelivered_total[1d]))", "{{why}}"),),
                "bars",
                12,
            ),
            Panel(
                "Declined and expired, by queue",
                "In a day.",
                "short",
                (
                    (
                        'sum by (queue, step) (increase(relaydesk_offers_total{step=~"declined|expired"}[1d]))',
                        "{{queue}} {{step}}",
                    ),
                ),
                "table",
                12,
            ),
        ],
    ),
]

BOARD: Final = Board("Transfers", "Who is asked, who answers, how long it takes.", _ROWS)
