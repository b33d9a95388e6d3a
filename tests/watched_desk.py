"""A desk under a real Prometheus and Alertmanager, for the tests that ask them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

import backends
from relaydesk_local import prometheus
from relaydesk_observe import dashboards
from relaydesk_replay import desk as desks
from relaydesk_replay.__main__ import simulated_people
from relaydesk_replay.desk import Desk, Plan
from relaydesk_replay.driver import Driver
from relaydesk_replay.feed import Feed

ROOT = Path(__file__).parents[1]
AGREEMENTS = ROOT / "deploy/agreements"
QUICKLY = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}


def sooner(directory: Path, *, minutes: bool = False) -> Path:
    """The desk's own rules, looked at more often; what must last for some seconds lasts for two. minutes: also what
    must last for minutes. The expressions are untouched."""
    directory.mkdir()
    for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"):
        often = re.sub(r"interval: \d+\w", "interval: 2s", path.read_text())
        (directory / path.name).write_text(re.sub(r" for: \d+[sm]" if minutes else r" for: \d+s", " for: 2s", often))
    return directory


@dataclass(frozen=True, slots=True)
class Watched:
    plan: Plan
    desk: Desk
    client: httpx.AsyncClient
    keys: dict[str, dict[str, str]]
    """Principal -> the headers of somebody who answers for it."""
    since: float
    """Unix time of its first step."""

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers now. Fails on an error."""
        return await self._ask("query", {"query": query})

    async def ask_since(self, query: str, seconds: int) -> list[dict[str, Any]]:
        """What it answered at every so many seconds since the desk began."""
        given = {"query": query, "start": self.since, "end": time.time(), "step": seconds}
        return await self._ask("query_range", given)

    async def _ask(self, path: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{self.desk.endpoints['prometheus']}/api/v1/{path}", params=given)
        found = answer.json()
        assert found["status"] == "success", f"{found.get('error')}: {given['query']}"
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    async def post(self, body: bytes, source: str = "generic", **headers: str) -> httpx.Response:
        address = f"{self.desk.endpoints['intake']}/v1/sources/{source}/events"
        return await self.client.post(address, content=body, headers={"content-type": "application/json", **headers})

    async def offered(self, ticket: str) -> dict[str, Any]:
        """The offer that is open for a ticket. Raises TimeoutError when there is none within a minute."""

        async def found() -> Any:
            with contextlib.suppress(httpx.TransportError):  # handoff may be about to start again
                answer = await self.client.get(
                    f"{self.desk.endpoints['handoff']}/v1/tickets/{ticket}/owners", headers=self.keys["internal"]
                )
                transfers = answer.json().get("transfers", [])
                return next((each for each in transfers if each["status"] == "offered"), None)
            return None

        transfer: dict[str, Any] = await until(found, 60, f"an offer of {ticket}")
        return transfer

    async def reply(self, transfer: dict[str, Any], action: str, **more: str) -> httpx.Response:
        """In the name of whoever it was offered to; an acceptance names the digest that was shown."""
        if action == "accept":
            more = {"digest": transfer["digest"]} | more
        return await self.client.post(
            f"{self.desk.endpoints['handoff']}/v1/transfers/{transfer['transfer_id']}/{action}",
            json={"reply_id": f"{action}-{time.time_ns()}", **more},
            headers=self.keys[transfer["principal"]],
        )


async def until(ready: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """The first answer that is true. Raises TimeoutError when none is within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await ready()
        if found:
            return found
        await asyncio.sleep(0.5)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def needs_prometheus() -> None:
    if not prometheus.installed():
        backends.unavailable(
            "Prometheus or Alertmanager is not installed (Debian: prometheus, prometheus-alertmanager)"
        )


@contextlib.asynccontextmanager
async def played(
    directory: Path,
    feed: Feed,
    agreement: Path,
    *,
    grain: timedelta,
    partners: tuple[str, ...] = (),
    escalates: float = 0.0,
    live: bool = True,
) -> AsyncIterator[Watched]:
    """A desk that has played a feed under the eyes of a Prometheus that looks often, and then went live.

    partners: for whom there shall be a key. escalates: share of its tickets that the first partner passes on.
    live: False for one that stays where the feed ends, and tells at once what must last for minutes.
    """
    needs_prometheus()
    plan = Plan(
        directory,
        agreement,
        feed.items[0].at,
        partitions=2,
        clock="stream",
        fresh=True,
        ephemeral=True,
        watched=True,
        scrapes=QUICKLY,
        rules=sooner(directory / "rules", minutes=not live),
    )
    keys = {partner: (await _key(directory, partner)).strip() for partner in partners}
    async with desks.running(plan) as desk, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        since = time.time()
        people = simulated_people(desk.agreement, 1, escalates)
        driver = Driver(desk.bootstrap, "", desk.names, 2, people, grain=grain)
        await driver.play(feed, lambda _: desk.supervisor.raise_failure())
        if live:
            await desks.go_live(desk)
            await driver.go_live()
        keys["internal"] = (directory / desks.OPERATOR_KEY).read_text().strip()
        headers = {who: {"authorization": f"Bearer {key}"} for who, key in keys.items()}
        yield Watched(plan, desk, client, headers, since)


async def _key(directory: Path, principal: str) -> str:
    """Lets somebody of a partner in, as the desk's operator would."""
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ticket_handoff", "key", principal, "tester"),
        *("--file", str(directory / "handoff-keys.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await made.communicate()
    assert made.returncode == 0
    return said.decode()


def panel_queries() -> dict[str, str]:
    """`board: panel, number` -> what Grafana asks for it, with the variables that it puts in."""
    return {
        f"{name}: {panel.title}, {number}": query.replace("$__rate_interval", "1m").replace("$window", "1w")
        for name, board in dashboards.BOARDS.items()
        for panel in board.panels
        for number, (query, _) in enumerate(panel.queries, 1)
    }


def has_number(result: list[dict[str, Any]]) -> bool:
    """Whether one of the series, of now or of a range, is a number somewhere."""
    return any(
        not math.isnan(float(value)) for series in result for _, value in series.get("values", [series.get("value")])
    )
