"""The dashboards: rows of panels, whose questions are plain PromQL, so that a test can ask them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, Threshold, ThresholdsMode

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
Kind = Literal["lines", "stacked", "number", "bars", "table"]


@dataclass(frozen=True, slots=True)
class Panel:
    """title, what: for people; what says how to read it. unit: Grafana's. queries: (PromQL, legend).

    bad: from which value on it is drawn red. span: of 24.
    """

    title: str
    what: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: Kind = "lines"
    span: int = 8
    bad: float | None = None


Rows = list[tuple[str, list[Panel]]]


def _one(title: str, what: str, unit: str, query: str, bad: float | None = None, span: int = 4) -> Panel:
    return Panel(title, what, unit, ((query, ""),), "number", span, bad)


def _quantiles(name: str, by: str = "", where: str = "") -> tuple[tuple[str, str], ...]:
    """Median and 99th of a histogram. by: further labels, comma and all. where: matchers in braces."""
    legend = "".join(f" {{{{{label}}}}}" for label in by.split(",") if label)
    return tuple(
        (
            f"histogram_quantile({q}, sum by (le{',' + by if by else ''}) (rate({name}_bucket{where}[$__rate_interval])))",
            f"{said}{legend}",
        )
        for q, said in ((0.5, "median"), (0.99, "99th"))
    )


def _age(metric: str) -> str:
    """How old the oldest is, 0 when there is none."""
    return f"(time() - max({metric})) * on() (max({metric}) > bool 0)"


GLANCE: Final[Rows] = [
    (
        "Now",
        [
            _one("Open tickets", "Tickets that came and have not ended.", "short", "max(relaydesk_open_tickets)"),
            _one(
                "Without an owner", "Always 0, or an invariant is broken.", "short", "max(relaydesk_unowned_tickets)", 1
            ),
            _one(
                "Oldest unrouted",
                "Since when a ticket waits for its first decision.",
                "s",
                _age("relaydesk_oldest_unrouted_timestamp_seconds"),
                300,
            ),
            _one(
                "Oldest unacknowledged",
                "Since when a transfer waits for somebody to acknowledge it.",
                "s",
                _age("relaydesk_oldest_unacknowledged_timestamp_seconds"),
                3600,
            ),
            _one(
                "Clocks at risk",
                "They have warned, and may still be met.",
                "short",
                'sum(relaydesk_sla_clocks{state="at_risk",clock!~"transfer.*"})',
                6,
            ),
            _one(
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

SLA: Final[Rows] = [
    (
        "Promises of the desk itself",
        [
            _one(
                "Routed within 30 s",
                "Of the last hour; promised are 99 %.",
                "percentunit",
                "1 - relaydesk:routing_slow:ratio_rate1h",
                span=6,
            ),
            _one(
                "Warned within 5 s",
                "Of the last hour; promised are 99 %.",
                "percentunit",
                "1 - relaydesk:warning_slow:ratio_rate1h",
                span=6,
            ),
            Panel(
                "Time to the first decision",
                "From the arrival of what made a ticket ready.",
                "s",
                _quantiles("relaydesk_routing_seconds"),
                span=6,
            ),
            Panel(
                "Lateness of warnings and breaches",
                "From their instant until they were committed.",
                "s",
                _quantiles("relaydesk_sla_lateness_seconds"),
                span=6,
            ),
        ],
    ),
    (
        "Clocks",
        [
            Panel(
                "At risk",
                "Open clocks that have warned.",
                "short",
                (('sum by (clock) (relaydesk_sla_clocks{state="at_risk"})', "{{clock}}"),),
                "stacked",
                12,
            ),
            Panel(
                "Breached and open",
                "Open clocks past their deadline.",
                "short",
                (('sum by (clock) (relaydesk_sla_clocks{state="breached"})', "{{clock}}"),),
                "stacked",
                12,
            ),
        ],
    ),
    (
        "What happened to them",
        [
            Panel(
                "Warnings and breaches",
                "An hour; those of transfers are offers that ran out.",
                "short",
                (
                    (
                        'sum by (clock, occurrence) (rate(relaydesk_sla_events_total{occurrence=~"warned|breached"}[$__rate_interval])) * 3600',
                        "{{clock}} {{occurrence}}",
                    ),
                ),
            ),
            Panel(
                "Met and breached",
                "Resolution clocks an hour.",
                "short",
                (
                    (
                        'sum by (occurrence) (rate(relaydesk_sla_events_total{clock="resolution",occurrence=~"met|breached"}[$__rate_interval])) * 3600',
                        "{{occurrence}}",
                    ),
                ),
            ),
            Panel(
                "Started, paused, resumed, cancelled",
                "All clocks, an hour.",
                "short",
                (
                    (
                        'sum by (occurrence) (rate(relaydesk_sla_events_total{occurrence!~"warned|breached|met|stated"}[$__rate_interval])) * 3600',
                        "{{occurrence}}",
                    ),
                ),
            ),
        ],
    ),
]

TRANSFERS: Final[Rows] = [
    (
        "Now",
        [
            _one(
                "Under way", "Requested or offered.", "short", "sum(max by (status) (relaydesk_open_transfers))", span=6
            ),
            _one(
                "Oldest",
                "Since when the oldest waits.",
                "s",
                _age("relaydesk_oldest_unacknowledged_timestamp_seconds"),
                3600,
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
                            'sum by (support_model) (increase(relaydesk_transfer_steps_total{step="accepted"}[1d])'
                            " * on (queue) group_left (support_model) max by (queue, support_model) (relaydesk_queue_info))"
                            ' / sum by (support_model) (increase(relaydesk_transfer_steps_total{step=~"accepted|declined|expired"}[1d])'
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
                _quantiles("relaydesk_transfer_acknowledgement_seconds", "automatic"),
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
                        'sum by (queue, step) (increase(relaydesk_transfer_steps_total{step=~"declined|expired"}[1d]))',
                        "{{queue}} {{step}}",
                    ),
                ),
                "table",
                12,
            ),
        ],
    ),
]


def _side(title: str, what: str, unit: str, name: str) -> Panel:
    return Panel(title, what, unit, ((f'max by (side) ({name}{{window="$window"}})', "{{side}}"),))


SIDES: Final[Rows] = [
    (
        "Both sides, by the same measure",
        [
            _side(
                "First-contact resolution",
                "Share that its first queue solved.",
                "percentunit",
                "relaydesk_first_contact_resolution_ratio",
            ),
            _side("Time to resolve", "Mean.", "s", "relaydesk_resolution_seconds_mean"),
            _side("Satisfaction", "Mean of the scores, 1 to 5.", "short", "relaydesk_csat_mean"),
            Panel(
                "SLA adherence",
                "Share of clocks that were met, by priority.",
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

PIPELINE: Final[Rows] = [
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
            _quantiles("relaydesk_http_request_seconds", where='{group="intake-edge"}'),
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
            _quantiles("relaydesk_routing_seconds"),
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
        Panel("Lateness", "Of warnings and breaches.", "s", _quantiles("relaydesk_sla_lateness_seconds", "occurrence")),
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
            _quantiles("relaydesk_http_request_seconds", "route", '{group="handoff"}'),
            "lines",
            12,
        ),
    ],
}


def _service(group: str) -> Rows:
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
                    _quantiles("relaydesk_event_age_seconds", where=here),
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
                Panel("Transactions", "Time of one.", "s", _quantiles("relaydesk_transaction_seconds", where=here)),
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


@dataclass(frozen=True, slots=True)
class Board:
    title: str
    what: str
    rows: Rows
    windows: bool = False


BOARDS: Final[dict[str, Board]] = {
    "desk": Board("The desk at a glance", "What comes, where it goes, what waits, what is wrong.", GLANCE),
    "sla": Board("SLA", "What time is left, and whether it was said in time.", SLA),
    "transfers": Board("Transfers", "Who is asked, who answers, how long it takes.", TRANSFERS),
    "sides": Board("Both sides", "Own teams and partners side by side, over an hour, a day or a week.", SIDES, True),
    "pipeline": Board("The pipeline", "Topics, lag, transactions, processes.", PIPELINE),
    **{
        f"service-{group}": Board(
            f"Service: {group}", f"Rate, errors and duration of {group}, and what it decides.", _service(group)
        )
        for group in _OWN
    },
}


def panels(board: Board) -> list[Panel]:
    return [panel for _, row in board.rows for panel in row]


def written() -> dict[str, str]:
    """Name -> JSON of every dashboard."""
    return {
        name: JSONEncoder(sort_keys=True, indent=2).encode(_built(name, board)) + "\n" for name, board in BOARDS.items()
    }


def _built(name: str, board: Board) -> Any:
    made = (
        dashboard.Dashboard(f"Relaydesk: {board.title}")
        .uid(f"relaydesk-{name}")
        .description(board.what)
        .tags(["relaydesk"])
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            dashboard.DashboardLink("Relaydesk")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["relaydesk"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    if board.windows:
        made = made.with_variable(dashboard.CustomVariable("window").label("Window").values("1h,1d,1w"))
    number = 0
    for title, row in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in row:
            number += 1
            made = made.with_panel(_panel(panel, number))
    return made.build()


def _panel(panel: Panel, number: int) -> Any:
    builder: Any
    match panel.kind:
        case "number":
            builder = stat.Panel().height(5)
        case "bars":
            builder = bargauge.Panel().height(8)
        case "table":
            builder = table.Panel().height(8)
        case _:
            builder = (
                timeseries.Panel()
                .height(8)
                .draw_style(GraphDrawStyle.LINE)
                .fill_opacity(20 if panel.kind == "stacked" else 5)
                .legend(
                    common.VizLegendOptions()
                    .display_mode(LegendDisplayMode.LIST)
                    .placement(LegendPlacement.BOTTOM)
                    .show_legend(True)
                )
                .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
            )
            if panel.kind == "stacked":
                builder = builder.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    steps = [Threshold(value=None, color="green")]
    if panel.bad is not None:
        steps.append(Threshold(value=panel.bad, color="red"))
    builder = (
        builder.id(number)
        .title(panel.title)
        .description(panel.what)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(panel.span)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )
    for place, (query, legend) in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query).legend_format(legend).ref_id("ABCDEFGH"[place]).datasource(SOURCE)
        builder = builder.with_target(asked.instant() if panel.kind in ("bars", "table") else asked.range())
    return builder
