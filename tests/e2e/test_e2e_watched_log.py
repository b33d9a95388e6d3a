"""The incident log replayed under a real Prometheus: what every panel of every dashboard shows of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from relaydesk_replay.feed import Feed, read_feed
from watched_desk import AGREEMENTS, ROOT, Watched, has_number, panel_queries, played, until

LOG = ROOT.parent / "shared" / "data" / "servicenow_incident_log.csv.gz"
TICKETS = int(os.environ.get("RELAYDESK_LOG_TICKETS", "300"))
"""How many incidents are played; 0: the whole log."""
SECRET = "known to both"
NOT_IN_THE_LOG = {
    "relaydesk_csat_mean": "nobody scores an incident",
    "relaydesk_queue_capacity_tickets": "no queue of its agreement is bounded",
}
"""Metric -> why there is nothing to say of it."""
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(4 * 3_600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """After the log the desk goes live, and tools and people come: what measures a moment that passes, such as how long
    a ticket waits, says nothing in a replay."""
    if not LOG.exists():
        pytest.skip(f"the incident log is not beside the project: {LOG}")
    feed = read_feed(LOG)
    feed = _some(feed) if TICKETS else feed
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RELAYDESK_SECRET_SERVICENOW", SECRET)
        async with played(
            tmp_path_factory.mktemp("log"), feed, AGREEMENTS / "incident-log.yaml", grain=timedelta(hours=1)
        ) as here:
            await _people_come(here, feed)
            yield here


def _some(feed: Feed) -> Feed:
    """The first incidents, and some of those that never name a group: the partner of the log's agreement has these."""
    named = {item.thread for item in feed.items if json.loads(item.body)["assignment_group"]}
    never = list(dict.fromkeys(item.thread for item in feed.items if item.thread not in named))
    kept = {*list(dict.fromkeys(item.thread for item in feed.items))[: TICKETS - 20], *never[:20]}
    return Feed(feed.name, [item for item in feed.items if item.thread in kept])


async def _people_come(here: Watched, feed: Feed) -> None:
    secret = {"x-relaydesk-token": SECRET}
    incident = json.loads(feed.items[0].body)
    for number in range(4):  # opened in 2016: its deadlines are long past
        incident["number"] = f"INC9{number:06}"
        answer = await here.post(json.dumps(incident).encode(), "servicenow", **secret)
        assert answer.status_code == 202, answer.text
    assert (await here.post(b"{ not json", "servicenow", **secret)).status_code == 202
    owners = f"{here.desk.endpoints['handoff']}/v1/tickets/servicenow:main:INC9000000/owners"
    for _ in range(20):
        assert (await here.post(b"{}", "servicenow")).status_code == 401
        assert (await here.client.get(owners, headers=here.keys["internal"])).status_code in (200, 404)
        await asyncio.sleep(0.3)


async def test_watched_log_every_panel_has_an_answer(watched: Watched) -> None:
    """At some moment since the desk began, with at least one series that is a number."""
    missing = panel_queries()

    async def all_answered() -> bool:
        for place, query in list(missing.items()):
            result = await watched.ask_since(query, 10)
            if has_number(result) or any(name in query for name in NOT_IN_THE_LOG):
                del missing[place]
        return not missing

    with contextlib.suppress(TimeoutError):
        await until(all_answered, 90, "panels")
    assert sorted(missing) == []


async def test_watched_log_what_must_never_fire_did_not(watched: Watched) -> None:
    told = await watched.ask_since('ALERTS{alertstate="firing"}', 10)
    fired = {series["metric"]["alertname"] for series in told}
    print(f"\nfired: {sorted(fired)}")  # noqa: T201
    assert not fired & {"TicketWithoutOwner", "BrokerUnreachable", "LedgerUnreachable", "OutboxStuck", "ServiceDown"}
