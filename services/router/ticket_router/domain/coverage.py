"""The week as a picture of letters: who would answer, hour by tier."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Final

from ticket_contracts.agreement.coverage import Stretch
from ticket_contracts.agreement.special import TIERS
from ticket_router.domain.policy import Policy

SYMBOLS: Final = {"internal": "I", "partner": "P", "automation": "A"}
GAP: Final = "!"
LEGEND: Final = (
    "I internal, P partner, A automation; a small letter: most, not all of the tickets; "
    "! for some nobody but the duty owner"
)


def picture(policy: Policy, stretches: list[Stretch], zone: dt.tzinfo) -> str:
    """A line a day, a letter an hour, a block a tier; local days of `zone`. An hour with several spans shows a gap, or
    the longest of them."""
    lines: list[str] = []
    for tier in TIERS:
        hours: dict[dt.date, dict[int, Counter[str]]] = {}
        for stretch in (s for s in stretches if s.tier == tier):
            symbol, at = _symbol(policy, stretch), stretch.begin
            while at < stretch.until:
                local, after = at.astimezone(zone), next_hour(at, zone)
                spans = hours.setdefault(local.date(), {}).setdefault(local.hour, Counter())
                spans[symbol] += int((min(after, stretch.until) - at).total_seconds())
                at = after
        lines.append(f"tier {tier}           0     3     6     9     12    15    18    21")
        for day, letters in hours.items():
            row = " ".join(_letter(letters.get(hour, Counter())) for hour in range(24))
            lines.append(f"  {day:%a %Y-%m-%d}  {row}".rstrip())
    return "\n".join(lines)


def next_hour(at: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The next instant at which a clock of that zone shows a whole hour; its offset need not be of whole hours."""
    local = at.astimezone(zone)
    return at + dt.timedelta(seconds=3600 - 60 * local.minute - local.second)


def _symbol(policy: Policy, stretch: Stretch) -> str:
    if stretch.gaps:
        return GAP
    models: Counter[str] = Counter()
    for queue, count in stretch.queues:
        models[SYMBOLS[policy.queues[queue].support_model]] += count
    most = models.most_common(1)[0][0]
    return most if len(models) == 1 else most.lower()


def _letter(spans: Counter[str]) -> str:
    """Of an hour's letters; an hour that summer time skips has none."""
    if not spans:
        return " "
    return GAP if GAP in spans else spans.most_common(1)[0][0]
