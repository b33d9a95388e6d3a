"""From a partner's tickets to the alert on it: facts in a real PostgreSQL, figures at a real /metrics, the rule in a
real Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

import backends
import facts_stories as told
from facts_database import engine_of, write
from relaydesk_local import prometheus
from relaydesk_local.prometheus import LocalPrometheus
from sla_monitor.facts.http import FiguresCollector, Snapshots
from ticket_runtime.http import Health, Server, make_app
from ticket_runtime.metrics import Metrics

ROOT = Path(__file__).parents[3]
QUICKLY = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
NOW = datetime.now(UTC)


def tickets(count: int, escalated: int, *, articles: bool, corrected: bool) -> list[told.Said]:
    """A day of a partner's first line: so many tickets, of which so many were passed on to the second line."""
    records = [told.agreement()]
    for number in range(count):
        began = NOW - timedelta(hours=8) + timedelta(minutes=number)
        story = told.Story(f"generic:main:{number}", began)
        teller = told._Teller(story, began)
        teller.version("created", "new", created_at=began)
        teller.classify(articles=["KB1"] if articles else [], corrected=False)
        teller.owner("intake_duty", None)
        teller.wait(1)
        teller.move("owls-first", "first")
        if corrected:
            teller.feedback(category="mail")
            teller.classify(articles=[], corrected=True)
        teller.wait(20)
        if number < escalated:
            teller.move("network", "escalation")
            teller.wait(20)
        teller.resolve()
        records += story.records
    return records


@contextlib.asynccontextmanager
async def exported(engine: AsyncEngine) -> AsyncIterator[str]:
    """The figures as the facts' own process exports them; yields its address."""
    metrics = Metrics("facts")
    snapshots = Snapshots(engine, lambda: NOW, lambda: True)
    FiguresCollector(snapshots, metrics.registry)
    await snapshots.fresh()
    app = make_app("facts", metrics, lambda: Health(True), lambda: Health(True))
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def told_by(address: str, directory: Path) -> list[dict[str, Any]]:
    """The alerts on partners that a Prometheus has, once it has looked at the figures several times."""
    rules = directory / "rules"
    rules.mkdir()
    text = (ROOT / "deploy/prometheus/rules/alerts.yml").read_text()
    (rules / "alerts.yml").write_text(re.sub(r"for: \d+m", "for: 1s", re.sub(r"interval: \d+\w", "interval: 1s", text)))
    server = LocalPrometheus(directory / "prometheus", {"facts": address}, rules=rules, intervals=QUICKLY)
    await asyncio.to_thread(server.start)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10, base_url=server.address) as client:
            end = time.monotonic() + 60
            seen = 'count_over_time(relaydesk_partner_first_line_tickets{partner="owls",window="1d"}[1m])'
            while time.monotonic() < end:
                found = (await client.get("/api/v1/query", params={"query": seen})).json()["data"]["result"]
                if found and float(found[0]["value"][1]) >= 6:
                    break
                await asyncio.sleep(0.5)
            alerts = (await client.get("/api/v1/alerts")).json()["data"]["alerts"]
        return [alert for alert in alerts if alert["labels"]["alertname"] == "PartnerEscalation"]
    finally:
        await asyncio.to_thread(server.stop)


@pytest.mark.parametrize(
    ("count", "escalated", "articles", "corrected", "cause"),
    [
        (60, 21, False, False, "Likely cause: knowledge"),
        pytest.param(60, 21, True, True, "Likely cause: taxonomy", marks=pytest.mark.long),
        (60, 15, False, False, None),
        pytest.param(10, 4, False, False, None, marks=pytest.mark.long),
    ],
    ids=["35 %, no articles", "35 %, classified anew", "25 %", "4 of 10"],
)
async def test_a_partner_that_passes_on_too_much_is_told_of_and_why(
    database_url: str, tmp_path: Path, count: int, escalated: int, articles: bool, corrected: bool, cause: str | None
) -> None:
    if not prometheus.installed():
        backends.unavailable(
            "Prometheus or Alertmanager is not installed (Debian: prometheus, prometheus-alertmanager)"
        )
    async with engine_of(database_url) as engine:
        await write(engine, tickets(count, escalated, articles=articles, corrected=corrected))
        async with exported(engine) as address:
            alerts = await told_by(address, tmp_path)
    if cause is None:
        assert alerts == []
        return
    (alert,) = alerts
    assert (alert["state"], alert["labels"]["severity"], alert["labels"]["partner"]) == ("firing", "partner", "owls")
    assert cause in alert["annotations"]["description"], alert["annotations"]["description"]
    assert "of 60 tickets" in alert["annotations"]["description"]
    assert "35%" in alert["annotations"]["summary"]
