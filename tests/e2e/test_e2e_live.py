"""A live desk: a ticket sent by HTTP arrives and is owned; bad input ends where it should, and the others go on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from playwright.async_api import async_playwright, expect
from sqlalchemy import URL, make_url

import backends
from integration.handoff_page.page_desk import CHROMIUM, FLAGS
from relaydesk_replay import desk as desks
from relaydesk_replay.desk import Desk
from ticket_contracts import topics
from ticket_contracts.transfers import TransferAccepted

ROOT = Path(__file__).parents[2]
KEYS: dict[str, dict[str, str]] = {}
"""Bootstrap address of a desk -> the operator's headers."""
LEDGERS: dict[str, URL] = {}
"""The same -> the ledger's database."""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The desk's directory."""
    return tmp_path_factory.mktemp("live")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(directory: Path) -> AsyncIterator[Desk]:
    plan = desks.Plan(directory, ROOT / "deploy/agreements/default.yaml", datetime.now(UTC), ephemeral=True)
    async with desks.running(plan) as up:
        key = (plan.directory / desks.OPERATOR_KEY).read_text().strip()
        KEYS[up.bootstrap] = {"authorization": f"Bearer {key}"}
        password = (plan.directory / "postgres/password").read_text().strip()
        LEDGERS[up.bootstrap] = make_url(up.endpoints["postgres"]).set(password=password)
        yield up


async def _committed(desk: Desk, topic: str, count: int = 4) -> list[Any]:
    """All committed records of a topic so far."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=desk.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=16_000_000,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for p in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def _eventually(desk: Desk, topic: str, wanted: Callable[[Any], bool], seconds: float = 30) -> Any:
    """The first committed record like that; fails when none comes within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for record in await _committed(desk, topic):
            if wanted(record):
                return record
        await asyncio.sleep(0.2)
    raise AssertionError(f"nothing like that came on {topic} within {seconds:.0f} s")


async def _post(desk: Desk, body: bytes, source: str = "generic", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.post(
            f"{desk.endpoints['intake']}/v1/sources/{source}/events",
            content=body,
            headers={"content-type": "application/json", **headers},
        )


async def _still_works(desk: Desk, external: str) -> None:
    answer = await _post(
        desk, json.dumps({"id": external, "title": "Outlook does not start", "status": "new"}).encode()
    )
    assert answer.status_code == 202, answer.text
    await _eventually(desk, topics.ROUTED, lambda record: record.key == f"generic:main:{external}".encode())


async def test_e2e_live_a_ticket_sent_by_http_arrives_with_an_owner(desk: Desk) -> None:
    answer = await _post(desk, b'{"id": "LIVE-1", "title": "VPN drops", "text": "Every ten minutes.", "status": "new"}')
    assert answer.status_code == 202, answer.text
    assert answer.json()["id"]
    until = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False, headers=KEYS[desk.bootstrap]) as client:
        while True:
            owners = await client.get(f"{desk.endpoints['handoff']}/v1/tickets/generic:main:LIVE-1/owners")
            if owners.status_code == 200 and any(t["status"] == "offered" for t in owners.json().get("transfers", [])):
                break
            assert time.monotonic() < until, owners.text
            await asyncio.sleep(0.2)
        clocks = await client.get(f"{desk.endpoints['sla']}/v1/tickets/generic:main:LIVE-1/clocks")
    assert clocks.status_code == 200
    assert "resolution" in clocks.text


async def test_e2e_live_a_ticket_arrives_on_the_open_page_and_is_accepted_there(desk: Desk, directory: Path) -> None:
    """The link that `make run` prints, the page that it leads to, and what one does there."""
    if CHROMIUM is None:
        backends.unavailable("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        await page.goto(desks.page_link(directory, desk.endpoints))
        await page.wait_for_selector("#line[data-state=live]")
        assert "token" not in page.url
        answer = await _post(desk, b'{"id": "PAGE-1", "title": "Dock shows no picture", "status": "new"}')
        assert answer.status_code == 202, answer.text
        row = page.locator("tr[data-ticket='generic:main:PAGE-1']")
        await expect(row.locator(".state")).to_contain_text("offered", timeout=30_000)
        offered = await row.get_attribute("data-offered")
        await row.locator(".title").click()
        if desk.agreement.queues[offered or ""].partner is not None:  # by night: the partner answers
            await expect(page.get_by_role("heading", name="On its way")).to_be_visible()
            await expect(page.get_by_role("button", name="Accept")).to_have_count(0)
            await browser.close()
            return
        await page.get_by_role("button", name="Accept").click()
        await expect(page.locator(".flash.done")).to_contain_text("Accepted.")
        await browser.close()

    def taken(record: Any) -> bool:
        kinds = dict(record.headers)
        return (record.key, kinds["ce_type"]) in {(b"generic:main:PAGE-1", TransferAccepted.TYPE.encode())}

    accepted = json.loads((await _eventually(desk, topics.TRANSFERS, taken)).value)
    assert (accepted["actor"], accepted["automatic"]) == ("operator", False)


async def test_e2e_live_an_unknown_source_is_a_problem_document(desk: Desk) -> None:
    answer = await _post(desk, b"{}", source="nobody")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail"} <= set(answer.json())


async def test_e2e_live_ten_megabytes_are_too_large_for_the_edge(desk: Desk) -> None:
    answer = await _post(desk, b'{"id": "BIG", "text": "' + b"x" * 10_000_000 + b'"}')
    assert answer.status_code == 413
    assert answer.headers["content-type"].startswith("application/problem+json")
    await _still_works(desk, "AFTER-413")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("not JSON", b'{"id": "X", "title": "Toner "empty""}'),
        ("no ticket", b'{"hello": "world"}'),
        ("a list", b"[1, 2, 3]"),
        ("wrong types", b'{"id": {"a": 1}, "title": 7, "comments": "none"}'),
        ("nothing", b""),
    ],
)
async def test_e2e_live_what_is_not_understood_is_kept_as_a_dead_letter(desk: Desk, name: str, body: bytes) -> None:
    """The same whether it came by HTTP or was produced to the topic by the tool, with any key or none."""
    marker = f"{name}-{time.monotonic_ns()}".encode()
    producer = AIOKafkaProducer(bootstrap_servers=desk.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topics.inbound("generic"), body, key=None, headers=[("x-test", marker)])
    finally:
        await producer.stop()
    letter = await _eventually(
        desk,
        topics.dead_letter(topics.inbound("generic")),
        lambda record: dict(record.headers).get("x-test") == marker,
    )
    assert (letter.value or b"") == body
    said = dict(letter.headers)
    assert said["kafka_dlt-original-topic"] == b"inbound.generic"
    assert said["kafka_dlt-exception-message"]
    await _still_works(desk, "AFTER-" + marker.decode().replace(" ", "-"))


async def test_e2e_live_ten_megabytes_on_the_topic_are_a_dead_letter(desk: Desk) -> None:
    body = b'{"id": "BIG-2", "text": "' + b"x" * 10_000_000 + b'"'
    producer = AIOKafkaProducer(bootstrap_servers=desk.bootstrap, max_request_size=12_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(topics.inbound("generic"), body, headers=[("x-test", b"ten megabytes")])
    finally:
        await producer.stop()
    letter = await _eventually(
        desk,
        topics.dead_letter(topics.inbound("generic")),
        lambda record: dict(record.headers).get("x-test") == b"ten megabytes",
    )
    assert letter.value == body
    await _still_works(desk, "AFTER-BIG")


async def test_e2e_live_a_value_from_a_future_schema_is_read_or_kept(desk: Desk) -> None:
    """Unknown fields are ignored; an event that today's model cannot hold is a dead letter of each group that reads
    it."""
    producer = AIOKafkaProducer(bootstrap_servers=desk.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(
            topics.NORMALIZED,
            b'{"ticket": "generic:main:FUTURE", "ticket_version": "seven"}',
            key=b"generic:main:FUTURE",
            headers=[
                ("ce_type", b"relaydesk.ticket.normalized.v1"),
                ("ce_id", b"0" * 32),
                ("ce_time", b"2026-03-02T09:00:00Z"),
                ("x-test", b"future"),
            ],
        )
    finally:
        await producer.stop()
    groups: set[bytes] = set()
    until = time.monotonic() + 30
    while groups != {b"classifier", b"router", b"sla-monitor", b"handoff"} and time.monotonic() < until:
        letters = await _committed(desk, topics.dead_letter(topics.NORMALIZED))
        groups = {dict(letter.headers)["kafka_dlt-original-consumer-group"] for letter in letters}
        await asyncio.sleep(0.2)
    assert groups == {b"classifier", b"router", b"sla-monitor", b"handoff"}
    await _still_works(desk, "AFTER-FUTURE")


async def test_e2e_live_an_erased_ticket_leaves_no_text_in_any_state(desk: Desk) -> None:
    """In the ledger's database, and in every compacted topic as whoever restores from it would read it."""
    ticket, secret = "generic:main:ERASE-1", "Rosamunde Zwetschge"
    said: dict[str, Any] = {
        "id": "ERASE-1",
        "title": f"Payslip of {secret}",
        "text": "VPN drops",
        "version": 1,
        "status": "new",
    }
    said["requester"] = {"name": secret, "address": "rosamunde@example.com"}
    await _post(desk, json.dumps(said).encode())
    await _eventually(desk, topics.ROUTED, lambda record: record.key == ticket.encode())
    await _post(desk, json.dumps({**said, "version": 2, "status": "closed"}).encode())

    async def states() -> list[bytes]:
        """The last value of the ticket in each changelog, and all that the database holds."""
        last: dict[tuple[str, bytes], bytes] = {}
        for group in ("intake", "classifier", "router", "sla-monitor"):
            for record in await _committed(desk, topics.changelog(group), 1 if group == "router" else 4):
                last[group, record.key] = record.value or b""
        return [value for (_, key), value in last.items() if b"ERASE-1" in key] + await _database(desk)

    until = time.monotonic() + 30
    while not any(event["kind"] == "ended" for event in await _changes(desk, ticket)):
        assert time.monotonic() < until, "it did not end"
        await asyncio.sleep(0.2)
    assert any(secret.encode() in value for value in await states())
    command = [sys.executable, "-m", "ticket_handoff", "erase", ticket, "--actor", "Petra", "--reason", "request 7"]
    environment = {
        **os.environ,
        "RELAYDESK_BOOTSTRAP": desk.bootstrap,
        "RELAYDESK_DATABASE_URL": _ledger(desk, "postgresql+asyncpg"),
    }
    done = await _run(command, environment)
    assert done.returncode == 0, done.stderr
    assert "the other services were told" in done.stdout

    while left := [value for value in await states() if secret.encode() in value or b"rosamunde@" in value]:
        assert time.monotonic() < until + 60, left[0][:500]
        await asyncio.sleep(0.5)
    checked = await _run([sys.executable, "-m", "ticket_handoff", "verify"], environment)
    assert checked.returncode == 0, checked.stdout


async def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )


def _ledger(desk: Desk, driver: str) -> str:
    return LEDGERS[desk.bootstrap].set(drivername=driver).render_as_string(hide_password=False)


async def _changes(desk: Desk, ticket: str) -> list[Any]:
    records = await _committed(desk, topics.TRANSFERS)
    return [
        json.loads(record.value)
        for record in records
        if record.key == ticket.encode() and dict(record.headers)["ce_type"] == b"relaydesk.owner.changed.v1"
    ]


async def _database(desk: Desk) -> list[bytes]:
    """Every value of every table of the ledger."""
    connection = await asyncpg.connect(_ledger(desk, "postgresql"))
    try:
        tables = await connection.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema='public'")
        rows = [row for table in tables for row in await connection.fetch(f'SELECT * FROM "{table["table_name"]}"')]
    finally:
        await connection.close()
    return [value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values()]
