"""Topics, lag, transactions, processes."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows

_ROWS: Final[Rows] = [
    (
        "How far behind",
        [
            Panel(
                "Lag",
                "Messages that were not handled yet.",
                "short",
                (("sum by (group) (relaydesk_consumer_lag_offsets)", "{{group}}"),),
            ),
            Panel(
                "Age of events when done with",
                "99th, from an event's own time; over all hops it is a ticket's way through the desk.",
                "s",
                (
                    (
                        "histogram_quantile(0.99, sum by (le, group) (rate(relaydesk_event_age_seconds_bucket[$__rate_interval])))",
                        "{{group}}",
                    ),
                ),
            ),
            Panel(
                "Last commit",
                "Seconds ago; an idle task commits nothing.",
                "s",
                (("time() - max by (group) (relaydesk_last_commit_timestamp_seconds)", "{{group}}"),),
            ),
        ],
    ),
    (
        "What flows",
        [
            Panel(
                "Handled",
                "Messages a second, by topic.",
                "ops",
                (
                    (
                        'sum by (topic) (rate(relaydesk_messages_total{outcome="handled"}[$__rate_interval]))',
                        "{{topic}}",
                    ),
                ),
                "stacked",
                12,
            ),
            Panel(
                "Written",
                "Records a second, by topic.",
                "ops",
                (("sum by (topic) (rate(relaydesk_written_total[$__rate_interval]))", "{{topic}}"),),
                "stacked",
                12,
            ),
        ],
    ),
    (
        "What it costs",
        [
            Panel(
                "Transactions",
                "99th.",
                "s",
                (
                    (
                        "histogram_quantile(0.99, sum by (le, group) (rate(relaydesk_transaction_seconds_bucket[$__rate_interval])))",
                        "{{group}}",
                    ),
                ),
            ),
            Panel(
                "Messages in a batch",
                "Mean: how many share a transaction.",
                "short",
                (
                    (
                        "sum by (group) (rate(relaydesk_messages_total[$__rate_interval])) / sum by (group) (rate(relaydesk_transaction_seconds_count[$__rate_interval]))",
                        "{{group}}",
                    ),
                ),
            ),
            Panel(
                "CPU",
                "Cores.",
                "short",
                (("sum by (service) (rate(relaydesk_process_cpu_seconds_total[$__rate_interval]))", "{{service}}"),),
                "stacked",
            ),
        ],
    ),
    (
        "What goes wrong",
        [
            Panel(
                "Dead letters",
                "In an hour, by reason.",
                "short",
                (("sum by (group, reason) (increase(relaydesk_dead_letters_total[1h]))", "{{group}} {{reason}}"),),
                "stacked",
                6,
            ),
            Panel(
                "Trouble waited out",
                "A minute.",
                "short",
                (("sum by (group) (rate(relaydesk_transient_failures_total[$__rate_interval])) * 60", "{{group}}"),),
                "lines",
                6,
            ),
            Panel(
                "Broker's last answer",
                "Seconds ago.",
                "s",
                (("time() - max by (group) (relaydesk_broker_last_answer_timestamp_seconds > 0)", "{{group}}"),),
                "lines",
                6,
                20,
            ),
            Panel(
                "Outbox",
                "Rows that are not published yet.",
                "short",
                (("max by (partition) (relaydesk_outbox_rows)", "partition {{partition}}"),),
                "lines",
                6,
            ),
        ],
    ),
    (
        "What runs",
        [
            Panel(
                "Processes that answer",
                "By service.",
                "short",
                (('sum by (service) (up{job="relaydesk"})', "{{service}}"),),
                "lines",
                6,
            ),
            Panel(
                "Restored",
                "Share of a task's state that was read back.",
                "percentunit",
                (("min by (group) (relaydesk_restore_progress_ratio)", "{{group}}"),),
                "lines",
                6,
            ),
            Panel(
                "Agreement in force",
                "One version, when all is well.",
                "short",
                (("count by (version) (relaydesk_agreement_info)", "{{version}}"),),
                "table",
                6,
            ),
            Panel(
                "Builds",
                "What runs where.",
                "short",
                (("count by (group, version, python) (relaydesk_build_info)", "{{group}} {{version}}"),),
                "table",
                6,
            ),
        ],
    ),
]

BOARD: Final = Board("The pipeline", "Topics, lag, transactions, processes.", _ROWS)
