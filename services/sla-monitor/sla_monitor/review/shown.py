"""Numbers as people read them."""

from __future__ import annotations

from typing import Any


def shown(value: Any, unit: str) -> str:
    """A value in its unit; an en dash where there is none."""
    if value is None:
        return "–"
    match unit:
        case "ratio":
            return share(float(value))
        case "seconds":
            return duration(float(value))
        case "count":
            return f"{value:,.0f}"
        case "money":
            return f"{value:,.2f}"
        case "score" | "number":
            return f"{value:.2f}"
        case _:
            return str(value)


def share(value: float) -> str:
    """All and none are said of all and none alone: one breach of a thousand clocks is no 100 %."""
    if not 0 < value < 1:
        return f"{100 * value:.0f} %"
    percent = round(100 * value, 1)
    return "< 0.1 %" if percent == 0 else "> 99.9 %" if percent == 100 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """Two units at most: `3 d 4 h`, `2 h 05 min`, `41 s`."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    if hours >= 10 and days < 2:
        return f"{hours:.0f} h"
    if days < 2:
        whole = round(minutes)
        return f"{whole // 60} h {whole % 60:02d} min"
    if days < 100:
        whole = round(hours)
        return f"{whole // 24} d {whole % 24} h"
    return f"{days:,.0f} d"
