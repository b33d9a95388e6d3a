"""Each service: rate, errors and duration, and what it alone decides."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows, quantiles

_OWN: Final[dict[str, list[Panel]]] = {
    "intake": [
        Panel(
            "Requests of tools",
            "A minute, by status.",
            "short",
            (("sum by (status) (rate(relaydesk_intake_requests_total[$__rate_interval])) * 60", "{{status}}"),),
            "stacked",
        ),
        Panel(
            "Refused signatures",
            "In an hour, by source.",
            "short",
            (('sum by (source) (increase(relaydesk_intake_requests_total{status="401"}[1h]))', "{{source}}"),),
        ),
        Panel(
            "Source last heard",
            "Seconds ago.",
            "s",
            (
                (
                    'time() - max by (topic) (relaydesk_input_last_seen_timestamp_seconds{topic=~"inbound[.].+"})',
                    "{{topic}}",
                ),
            ),
            "bars",
        ),
        Panel(
            "Versions of tickets",
            "A minute.",
            "short",
            (
                (
                    "sum by (lifecycle) (rate(relaydesk_tickets_normalized_total[$__rate_interval])) * 60",
                    "{{lifecycle}}",
                ),
            ),
            "stacked",
        ),
        Panel(
            "Duplicates",
            "A minute, by reason.",
            "short",
            (("sum by (reason) (rate(relaydesk_ticket_duplicates_total[$__rate_interval])) * 60", "{{reason}}"),),
        ),
        Panel(
            "The edge",
            "Time of a request.",
            "s",
            quantiles("relaydesk_http_request_seconds", where='{group="intake-edge"}'),
        ),
    ],
    "classifier": [
        Panel(
            "Classifications",
            "An hour, by outcome.",
            "short",
            (("sum by (outcome) (rate(relaydesk_classifications_total[$__rate_interval])) * 3600", "{{outcome}}"),),
            "stacked",
        ),
        Panel(
            "Abstained",
            "Share of a day's classifications that people must triage.",
            "percentunit",
            (
                (
                    'sum(increase(relaydesk_classifications_total{outcome="abstained"}[1d])) / sum(increase(relaydesk_classifications_total[1d]))',
                    "abstained",
                ),
            ),
        ),
        Panel(
            "Confidence",
            "A tenth is less sure than the lower line, half than the upper.",
            "percentunit",
            tuple(
                (
                    f"histogram_quantile({q}, sum by (le) (increase(relaydesk_classification_confidence_ratio_bucket[1d])))",
                    said,
                )
                for q, said in ((0.1, "tenth"), (0.5, "half"))
            ),
        ),
        Panel(
            "By priority",
            "In a day.",
            "short",
            (("sum by (priority) (increase(relaydesk_classifications_total[1d]))", "{{priority}}"),),
            "bars",
        ),
    ],
    "router": [
        Panel(
            "Decisions",
            "An hour, by purpose.",
            "short",
            (("sum by (purpose) (rate(relaydesk_tickets_routed_total[$__rate_interval])) * 3600", "{{purpose}}"),),
            "stacked",
        ),
        Panel(
            "Rules",
            "What decided how often, in a day.",
            "short",
            (
                (
                    "topk(20, sum by (rule, queue) (increase(relaydesk_tickets_routed_total[1d])))",
                    "{{rule}} → {{queue}}",
                ),
            ),
            "table",
        ),
        Panel(
            "Time to the first decision",
            "From the arrival of what made a ticket ready.",
            "s",
            quantiles("relaydesk_routing_seconds"),
        ),
        Panel(
            "Unrouted",
            "Tickets that wait for their first decision.",
            "short",
            (("max(relaydesk_unrouted_tickets)", "unrouted"),),
        ),
        Panel(
            "Queues beside their capacity",
            "Of those that are bounded.",
            "percentunit",
            (
                (
                    "max by (queue) (relaydesk_queue_tickets) / on (queue) max by (queue) (relaydesk_queue_capacity_tickets)",
                    "{{queue}}",
                ),
            ),
            "bars",
        ),
    ],
    "sla-monitor": [
        Panel(
            "Events",
            "A minute, by occurrence.",
            "short",
            (("sum by (occurrence) (rate(relaydesk_sla_events_total[$__rate_interval])) * 60", "{{occurrence}}"),),
            "stacked",
        ),
        Panel("Lateness", "Of warnings and breaches.", "s", quantiles("relaydesk_sla_lateness_seconds", "occurrence")),
        Panel(
            "Next due",
            "Seconds until the next timer; below 0 it is behind.",
            "s",
            (
                (
                    'min by (task) (relaydesk_next_due_timestamp_seconds{group="sla-monitor"} > 0) - time()',
                    "task {{task}}",
                ),
            ),
        ),
    ],
    "handoff": [
        Panel(
            "Steps",
            "A minute.",
            "short",
            (("sum by (step) (rate(relaydesk_transfer_steps_total[$__rate_interval])) * 60", "{{step}}"),),
            "stacked",
        ),
        Panel(
            "Ledger's last answer",
            "Seconds ago.",
            "s",
            (("time() - max(relaydesk_ledger_last_answer_timestamp_seconds)", "ledger"),),
            bad=60,
        ),
        Panel("Outbox", "Rows that are not published yet.", "short", (("sum(relaydesk_outbox_rows)", "rows"),)),
        Panel(
            "Requests",
            "A minute, by route and status.",
            "short",
            (
                (
                    'sum by (route, status) (rate(relaydesk_http_requests_total{group="handoff"}[$__rate_interval])) * 60',
                    "{{route}} {{status}}",
                ),
            ),
            "lines",
            12,
        ),
        Panel(
            "Time of requests",
            "By route.",
            "s",
            quantiles("relaydesk_http_request_seconds", "route", '{group="handoff"}'),
            "lines",
            12,
        ),
    ],
}


def _rows(group: str) -> Rows:
    here = f'{{group="{group}"}}'
    services = f'{{service=~"{group}(-edge)?"}}'
    return [
        (
            "Rate, errors, duration",
            [
                Panel(
                    "Messages",
                    "A second, by topic.",
                    "ops",
                    ((f"sum by (topic) (rate(relaydesk_messages_total{here}[$__rate_interval]))", "{{topic}}"),),
                    "stacked",
                ),
                Panel(
                    "Errors",
                    "Messages in an hour that became dead letters.",
                    "short",
                    (
                        (
                            f"sum by (topic, reason) (increase(relaydesk_dead_letters_total{here}[1h]))",
                            "{{topic}} {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Age of events when done with",
                    "From their own time.",
                    "s",
                    quantiles("relaydesk_event_age_seconds", where=here),
                ),
                Panel(
                    "Time of a message",
                    "Handling alone, by topic, without its share of a transaction.",
                    "s",
                    (
                        (
                            (
                                f"sum by (topic) (rate(relaydesk_handling_seconds_total{here}[$__rate_interval]))"
                                f" / sum by (topic) (rate(relaydesk_messages_total{here}[$__rate_interval]))"
                            ),
                            "{{topic}}",
                        ),
                    ),
                ),
                Panel("Transactions", "Time of one.", "s", quantiles("relaydesk_transaction_seconds", where=here)),
                Panel(
                    "Lag",
                    "By topic.",
                    "short",
                    ((f"sum by (topic) (relaydesk_consumer_lag_offsets{here})", "{{topic}}"),),
                ),
            ],
        ),
        ("What it decides", _OWN[group]),
        (
            "The process",
            [
                Panel(
                    "CPU",
                    "Cores.",
                    "short",
                    (
                        (
                            f"sum by (service) (rate(relaydesk_process_cpu_seconds_total{services}[$__rate_interval]))",
                            "{{service}}",
                        ),
                    ),
                    span=6,
                ),
                Panel(
                    "Memory",
                    "Resident.",
                    "bytes",
                    ((f"sum by (service) (relaydesk_process_resident_memory_bytes{services})", "{{service}}"),),
                    span=6,
                ),
                Panel(
                    "Starts",
                    "In a day.",
                    "short",
                    (
                        (
                            f"sum by (service) (changes(relaydesk_process_start_time_seconds{services}[1d]))",
                            "{{service}}",
                        ),
                    ),
                    span=6,
                ),
                Panel("Tasks", "That run.", "short", ((f"sum(relaydesk_task_running{here})", "tasks"),), span=6),
            ],
        ),
    ]


BOARDS: Final = {
    f"service-{group}": Board(
        f"Service: {group}", f"Rate, errors and duration of {group}, and what it decides.", _rows(group)
    )
    for group in _OWN
}
