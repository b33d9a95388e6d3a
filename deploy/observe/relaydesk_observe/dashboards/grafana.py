"""A dashboard as Grafana reads it."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from relaydesk_observe.dashboards.panel import Board, Panel

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


def written(name: str, board: Board) -> str:
    """Its JSON."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_built(name, board)) + "\n"


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
            if panel.bad is not None:  # a graph draws no limit unless it is told how
                limit = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
                builder = builder.thresholds_style(limit)
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
        asked = asked.instant() if panel.kind in ("bars", "table") else asked.range()
        if panel.kind == "table":  # as series, each would be a table of its own, of which one is shown
            asked = asked.format(PromQueryFormat.TABLE)
        builder = builder.with_target(asked.exemplar(True) if "event_age" in query else asked)
    return builder
