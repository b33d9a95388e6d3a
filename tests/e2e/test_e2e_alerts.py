"""A desk under a real Prometheus and Alertmanager: every panel has an answer, trouble that is caused is told, and one
ticket can be followed over all topics, HTTP and the logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from relaydesk_observe import catalogue
from relaydesk_replay import desk as desks
from relaydesk_replay.desk import Plan
from relaydesk_replay.week import make_week
from ticket_contracts.transfers import OfferMade
from ticket_runtime.following import Seen, follow
from watched_desk import AGREEMENTS, ROOT, Watched, has_number, needs_prometheus, panel_queries, played, until

DEFAULT = AGREEMENTS / "default.yaml"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
NEVER_CAUSED_HERE = {
    # Scores and what partners passed on come to be over days; the series are there, and say NaN until then.
    "relaydesk_csat_mean",
    "relaydesk_partner_escalation_ratio",
    "relaydesk_partner_article_coverage_ratio",
    "relaydesk_partner_correction_ratio",
    "relaydesk_first_contact_resolution_ratio",
    "relaydesk_resolution_seconds_mean",
    "relaydesk_sla_adherence_ratio",
    "relaydesk_reassignments_mean",
    "relaydesk_ping_pong_ratio",
}
"""Figures of the facts that may say NaN: they have the series, and no ticket to say more of."""
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """A desk that has played the beginning of the week, went live, and had a little of every kind happen to it."""
    now = datetime.now(UTC)
    feed = make_week(1, end=now.replace(minute=0, second=0, microsecond=0)).first(25)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RELAYDESK_SECRET_ZENDESK", "known to both")
        async with played(
            tmp_path_factory.mktemp("watched"),
            feed,
            DEFAULT,
            grain=timedelta(hours=1),
            partners=("helpline", "campo"),
        ) as here:
            await _a_little_of_everything(here)
            yield here


async def _a_little_of_everything(here: Watched) -> None:
    async def scraped() -> bool:
        """An increase needs two looks at a counter, of which the first is before what it counts."""
        found = await here.ask(
            'min(count_over_time(relaydesk_intake_requests_total{status="401"}[1m])'
            " or count_over_time(relaydesk_transfer_acknowledgement_seconds_sum[1m]))"
        )
        return bool(found) and float(found[0]["value"][1]) >= 2

    await until(scraped, 60, "edge and handoff were scraped twice")
    overdue = {"id": "OVERDUE", "title": "Printer on fire", "created_at": "2026-01-05T09:00:00Z", "status": "new"}
    for n in range(4):
        body = {"id": f"LIVE-{n}", "title": "VPN drops", "text": "Every ten minutes.", "status": "new"}
        assert (await here.post(json.dumps(body).encode())).status_code == 202
    for n in range(1, 4):
        assert (await here.reply(await here.offered(f"generic:main:LIVE-{n}"), "accept")).status_code == 200
    assert (await here.post(json.dumps(overdue).encode())).status_code == 202
    assert (await here.post(b"{ not json")).status_code == 202
    for _ in range(20):
        refused = await here.post(b"{}", "zendesk")
        assert refused.status_code == 401, refused.text
        owners = f"{here.desk.endpoints['handoff']}/v1/tickets/generic:main:LIVE-0/owners"
        assert (await here.client.get(owners, headers=here.keys["internal"])).status_code in (200, 404)
        await asyncio.sleep(0.3)


async def test_alerts_every_panel_of_every_dashboard_has_an_answer(watched: Watched) -> None:
    """In words: what Grafana asks, Prometheus answers, with at least one series that is a number."""
    missing = panel_queries()

    async def all_answered() -> bool:
        for place, query in list(missing.items()):
            result = await watched.ask(query)
            if has_number(result) or (result and any(name in query for name in NEVER_CAUSED_HERE)):
                del missing[place]
        return not missing

    with contextlib.suppress(TimeoutError):
        await until(all_answered, 90, "panels")
    assert missing == {}


async def test_alerts_a_process_exposes_what_the_list_says(watched: Watched) -> None:
    """Of the real processes, so that no metric is declared and never made, or made and not declared."""
    for process, own in catalogue.OWN.items():
        target = await watched.ask(f'up{{service="{process}"}}')
        address = target[0]["metric"]["instance"]
        text = (await watched.client.get(f"http://{address}/metrics")).text
        shown = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        assert shown == {metric.name for metric in (*catalogue.EVERY_PROCESS, *own)}, process
        openmetrics = await watched.client.get(
            f"http://{address}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")


async def test_alerts_trouble_that_was_caused_is_told(watched: Watched) -> None:
    """Broken JSON, wrong signatures, and an owner taken away by hand in the database."""
    database = await asyncpg.connect(
        make_url(watched.desk.database).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        await database.execute("UPDATE tickets SET owner = NULL WHERE ticket = 'generic:main:LIVE-0'")
        wanted = {"DeadLetters", "SignatureFailures", "TicketWithoutOwner"}

        async def firing() -> bool:
            told = await watched.ask('ALERTS{alertstate="firing"}')
            return wanted <= {sample["metric"]["alertname"] for sample in told}

        await until(firing, 120, f"{wanted} fire")

        async def at_alertmanager() -> bool:
            answer = await watched.client.get(f"{watched.desk.endpoints['alertmanager']}/api/v2/alerts")
            alerts = {alert["labels"]["alertname"]: alert for alert in answer.json()}
            if not wanted <= set(alerts):
                return False
            assert [r["name"] for r in alerts["TicketWithoutOwner"]["receivers"]] == ["page"]
            assert [r["name"] for r in alerts["DeadLetters"]["receivers"]] == ["ticket"]
            assert (ROOT / alerts["DeadLetters"]["annotations"]["runbook_url"]).is_file()
            return True

        await until(at_alertmanager, 30, "Alertmanager hears of it")
        # Any update of the ticket makes handoff write down its owner again, as the runbook says.
        assert (await watched.post(b'{"id": "LIVE-0", "title": "VPN drops", "text": "Still."}')).status_code == 202

        async def owned_again() -> bool:
            return not await watched.ask("max(relaydesk_unowned_tickets) > 0")

        await until(owned_again, 60, "the ticket has its owner again")
    finally:
        await database.close()


async def test_alerts_one_ticket_is_followed_over_all_topics_http_and_the_logs(watched: Watched) -> None:
    ticket = "generic:main:FOLLOWED"
    body = b'{"id": "FOLLOWED", "title": "Outlook does not start", "status": "new"}'
    answer = await watched.post(body, traceparent=PARENT)
    assert (answer.status_code, answer.headers["traceparent"]) == (202, PARENT)
    correlation = answer.headers["correlationid"]

    async def offered() -> list[Seen]:
        found = await follow(watched.desk.bootstrap, "", ticket)
        return found if any(seen.type == OfferMade.TYPE for seen in found) else []

    found = await until(offered, 60, "an offer")
    topics = {
        seen.topic.split(".")[0] if seen.topic.startswith(("queues.", "offers.")) else seen.topic for seen in found
    }
    assert topics >= {"inbound.generic", "tickets.keyed", "tickets.normalized", "tickets.classified", "tickets.routed"}
    assert topics >= {"queues", "sla.events", "transfers", "offers"}
    assert {seen.traceparent.split("-")[1] for seen in found} == {TRACE}
    assert {seen.correlationid for seen in found if not seen.topic.startswith("inbound.")} == {correlation}
    ids = {seen.id for seen in found}
    assert all(
        seen.cause in ids or seen.cause == correlation for seen in found if not seen.topic.startswith("inbound.")
    )

    # A receiver answers by HTTP and goes on with the trace of the offer.
    offer = next(seen for seen in found if seen.type == OfferMade.TYPE)
    shown = await watched.client.get(
        f"{watched.desk.endpoints['handoff']}/v1/tickets/{ticket}/owners", headers=watched.keys["internal"]
    )
    (transfer,) = [each for each in shown.json()["transfers"] if each["status"] == "offered"]
    accepted = await watched.client.post(
        f"{watched.desk.endpoints['handoff']}/v1/transfers/{transfer['transfer_id']}/accept",
        json={"reply_id": "followed-1", "digest": transfer["digest"]},
        headers={**watched.keys[transfer["principal"]], "traceparent": offer.traceparent, "correlationid": correlation},
    )
    assert accepted.status_code == 200, accepted.text
    assert accepted.headers["traceparent"] == offer.traceparent

    async def settled() -> list[Seen]:
        found = await follow(watched.desk.bootstrap, "", ticket)
        return found if any(seen.type == "relaydesk.transfer.completed.v1" for seen in found) else []

    found = await until(settled, 60, "the transfer completed")
    steps = [seen for seen in found if seen.topic == "transfers"]
    assert {seen.traceparent.split("-")[1] for seen in steps} == {TRACE}
    assert {seen.correlationid for seen in steps} == {correlation}

    # Whoever decided something of it says so in its log, with the trace.
    told: set[str] = set()
    for service in ("intake", "classifier", "router", "sla-monitor", "handoff"):
        said = (watched.plan.directory / "services" / f"{service}.log").read_bytes()
        lines = [msgspec.json.decode(line) for line in said.splitlines() if TRACE.encode() in line]
        decided = [line for line in lines if line["event"] == "decided" and line["ticket"] == ticket]
        assert decided, service
        assert {line["correlationid"] for line in decided} == {correlation}
        assert b"Outlook does not start" not in said
        told |= {line["id"] for line in decided}

    # What a log tells is committed. The topics are read after the logs: the desk goes on meanwhile.
    async def all_stand_on_topics() -> bool:
        return told <= {seen.id for seen in await follow(watched.desk.bootstrap, "", ticket)}

    await until(all_stand_on_topics, 60, "every decision of the logs on a topic")

    # And a slow bucket of a histogram leads to the trace of what was slow.
    async def exemplars() -> Any:
        answer = await watched.client.get(
            f"{watched.desk.endpoints['prometheus']}/api/v1/query_exemplars",
            params={"query": "relaydesk_event_age_seconds_bucket", "start": watched.since, "end": time.time()},
        )
        return answer.json()["data"]

    (first, *_) = await until(exemplars, 30, "exemplars")
    assert len(first["exemplars"][0]["labels"]["trace_id"]) == 32

    # What cannot be handled stands in the log of who could not, with its trace.
    assert (await watched.post(b"{ nor this", traceparent=PARENT)).status_code == 202
    log = watched.plan.directory / "services" / "intake.log"

    async def logged() -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines() if TRACE.encode() in line]
        return [line for line in lines if line["event"] == "dead_letter"]

    (line, *_) = await until(logged, 30, "a line in the log of intake")
    assert line["correlationid"]
    assert line["traceparent"].split("-")[1] == TRACE
    assert (line["topic"], line["service"]) == ("inbound.generic", "intake")


@pytest.mark.long
async def test_alerts_a_broker_that_is_away_for_a_minute_is_one_page(tmp_path: Path) -> None:
    """With the intervals of every day. Everything else that fires meanwhile is held back by Alertmanager."""
    needs_prometheus()
    plan = Plan(tmp_path, DEFAULT, datetime.now(UTC), partitions=2, ephemeral=True, watched=True)
    pages: set[str] = set()
    told: set[str] = set()
    async with desks.running(plan) as desk, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        here = Watched(plan, desk, client, {}, time.time())

        async def look(seconds: float, *, sends: bool = True) -> None:
            end = time.monotonic() + seconds
            number = 0
            while time.monotonic() < end:
                number += 1
                if sends:
                    with contextlib.suppress(httpx.TransportError):
                        await here.post(json.dumps({"id": f"M-{time.time_ns()}", "title": "VPN drops"}).encode())
                for active, names in (("true", pages), ("false", told)):
                    answer = await client.get(
                        f"{desk.endpoints['alertmanager']}/api/v2/alerts",
                        params={"inhibited": "false" if active == "true" else "true", "filter": 'severity="page"'},
                    )
                    names.update(alert["labels"]["alertname"] for alert in answer.json())
                await asyncio.sleep(2)

        await look(40)
        assert pages == set(), "a desk that is well wakes nobody"
        await asyncio.to_thread(desk.kafka.kill)
        await look(60)
        await asyncio.to_thread(desk.kafka.start)
        await look(240)
        assert pages == {"BrokerUnreachable"}
        print(f"\nheld back meanwhile: {sorted(told - pages)}")  # noqa: T201

        async def over() -> bool:
            return not await here.ask('ALERTS{alertstate="firing", severity="page"}')

        await until(over, 240, "nobody is paged any more")
        body = b'{"id": "AFTERWARDS", "title": "VPN drops", "status": "new"}'
        assert (await here.post(body)).status_code == 202

        async def routed() -> bool:
            return any(
                seen.topic == "tickets.routed" for seen in await follow(desk.bootstrap, "", "generic:main:AFTERWARDS")
            )

        await until(routed, 60, "the desk works again")
