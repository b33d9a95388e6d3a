"""A night in which a partner's first line passes tickets on: from its replies by topics and facts to the alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relaydesk_replay import desk as desks
from relaydesk_replay.feed import Feed, FeedItem
from watched_desk import AGREEMENTS, Watched, played, until

EVENING = datetime(2026, 3, 3, 20, tzinfo=UTC)
"""A Tuesday: the office is closed, and the partner's first line has what comes."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]


def night(tickets: int) -> Feed:
    """A ticket a minute, each solved three hours after it came."""
    items = []
    for number in range(tickets):
        at = EVENING + timedelta(minutes=number)
        for status, moment in (("new", at), ("resolved", at + timedelta(hours=3))):
            body = {
                "id": f"NIGHT-{number}",
                "title": f"Outlook does not start, {number}",
                "text": "It hangs at 'loading profile'. Restarted twice, no luck.",
                "status": status,
                "created_at": at.isoformat(),
                "updated_at": moment.isoformat(),
            }
            items.append(FeedItem(moment, "generic", f"NIGHT-{number}", msgspec.json.encode(body)))
    return Feed("a night", sorted(items, key=lambda item: item.at))


async def figure(here: Watched, name: str) -> float:
    (found,) = await here.ask(f'{name}{{partner="helpline", window="1d"}}')
    return float(found["value"][1])


@pytest.mark.parametrize(
    ("tickets", "escalates", "fires"),
    [(75, 0.35, True), (75, 0.25, False), (10, 0.6, False)],
    ids=["35 %", "25 %", "60 % of 10"],
)
async def test_escalation_is_told_from_the_partners_own_replies(
    tmp_path: Path, tickets: int, escalates: float, fires: bool
) -> None:
    async with played(
        tmp_path,
        night(tickets),
        AGREEMENTS / "default.yaml",
        grain=timedelta(minutes=30),
        escalates=escalates,
        live=False,
    ) as here:
        assert await desks.facts_gathered(here.desk)
        count = "relaydesk_partner_first_line_tickets"

        async def seen() -> bool:
            """Every ticket that the partner had is counted, and the rules have been asked since."""
            steady = f"min_over_time({count}[10s]) == max_over_time({count}[10s]) and {count} > {tickets // 2}"
            return bool(await here.ask(steady))

        await until(seen, 60, "the figures of the night")
        share = await figure(here, "relaydesk_partner_escalation_ratio")
        of = await figure(here, count)
        told = await alerts(here)
        print(f"\n{share:.1%} of {of:.0f} tickets: {[alert['state'] for alert in told]}")  # noqa: T201
        assert (share > 0.30 and of >= 50) is fires, "the night was not what it was to be"
        assert abs(share - escalates) < (0.05 if tickets >= 50 else 0.3)
        assert share > 0.30 or tickets >= 50, "few tickets are quiet although many of them were passed on"
        if not fires:
            assert told == []
            return
        (alert,) = told
        assert alert["state"] == "firing"
        assert (alert["labels"]["severity"], alert["labels"]["partner"]) == ("partner", "helpline")
        assert f"of {of:.0f} tickets" in alert["annotations"]["description"]


async def alerts(here: Watched) -> list[dict[str, Any]]:
    answer = await here.client.get(f"{here.desk.endpoints['prometheus']}/api/v1/alerts")
    return [found for found in answer.json()["data"]["alerts"] if found["labels"]["alertname"] == "PartnerEscalation"]
