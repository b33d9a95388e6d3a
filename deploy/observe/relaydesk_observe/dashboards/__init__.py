"""The dashboards, by name."""

from __future__ import annotations

from typing import Final

from relaydesk_observe.dashboards import desk, grafana, pipeline, services, sides, sla, transfers
from relaydesk_observe.dashboards.panel import Board

BOARDS: Final[dict[str, Board]] = {
    "desk": desk.BOARD,
    "sla": sla.BOARD,
    "transfers": transfers.BOARD,
    "sides": sides.BOARD,
    "pipeline": pipeline.BOARD,
    **services.BOARDS,
}


def written() -> dict[str, str]:
    """Name -> JSON of every dashboard."""
    return {name: grafana.written(name, board) for name, board in BOARDS.items()}
