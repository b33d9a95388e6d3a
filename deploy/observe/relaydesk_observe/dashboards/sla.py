"""What time is left, and whether it was said in time."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards.panel import Board, Panel, Rows, one, quantiles

_ROWS: Final[Rows] = [
    (
        "Promises of the desk itself",
        [
            one(
                "Routed within 30 s",
                "Of the last hour; promised are 99 %.",
                "percentunit",
                "1 - relaydesk:routing_slow:ratio_rate1h",
                span=6,
            ),
            one(
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
                quantiles("relaydesk_routing_seconds"),
                span=6,
            ),
            Panel(
                "Lateness of warnings and breaches",
                "From their instant until they were committed.",
                "s",
                quantiles("relaydesk_sla_lateness_seconds"),
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

BOARD: Final = Board("SLA", "What time is left, and whether it was said in time.", _ROWS)
