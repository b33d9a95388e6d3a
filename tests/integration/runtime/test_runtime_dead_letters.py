"""Dead letters after the fact, as the command shows and decides them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import Request

from runtime_kafka import KafkaDesk, until
from ticket_contracts import topics
from ticket_contracts.topics import Topic
from ticket_runtime import dead_letters_http
from ticket_runtime.__main__ import run
from ticket_runtime.dead_letters import connect
from ticket_runtime.http import Health, Problem, make_app
from ticket_runtime.metrics import Metrics
from ticket_runtime.task import Outputs, Poison, Record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Handling:
    """Takes note of what it handles; refuses what holds `bad`, until it was mended."""

    mended = False

    def __init__(self, notes: list[tuple[str, bytes]], group: str) -> None:
        self.notes, self.group = notes, group

    def restore(self, key: bytes, value: bytes | None) -> None: ...

    def handle(self, record: Record, out: Outputs) -> None:
        if b"bad" in (record.value or b"") and not self.mended:
            raise Poison("ticket.status: the value is bad", "refused", "ticket.status")
        self.notes.append((self.group, record.value or b""))

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


class Mended(Handling):
    mended = True


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    wanted = [Topic(name=name, written_by="a test") for name in ("numbers", topics.KEYED, "inbound.jira")]
    async with KafkaDesk(kafka_bootstrap, topic_prefix).connected(wanted) as connected:
        yield connected


async def command(desk: KafkaDesk, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the objects of --json, and what was said on standard error."""
    out, err = io.StringIO(), io.StringIO()
    given = ["dead-letters", *arguments, "--bootstrap", desk.bootstrap, "--prefix", desk.prefix, "--json"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await run(given)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


async def let_fail(
    desk: KafkaDesk, values: list[bytes], key: bytes | None = b"a:b:1", topic: str = "numbers", at: datetime = NOON
) -> None:
    """Two groups read the messages; both refuse the bad ones."""
    for value in values:
        await desk.send(topic, value, key, ce_id=value.decode(), at=at, partition=0)
    notes: list[tuple[str, bytes]] = []
    async with (
        desk.running("one", [topic], lambda task: Handling(notes, "one"), stateful=False),
        desk.running("other", [topic], lambda task: Handling(notes, "other"), stateful=False),
    ):
        bad = sum(b"bad" in value for value in values)
        await until(lambda: len(notes) == 2 * (len(values) - bad))

        async def all_dead() -> bool:
            return len(await desk.read(f"{topic}.dead-letter")) >= 2 * bad

        await until(all_dead)


async def test_a_message_is_handled_again_by_the_group_that_it_failed_for_alone(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"good", b"bad"])
    code, found, _ = await command(desk, "list", "--group", "one")
    assert (code, len(found)) == (0, 1)
    assert (found[0]["topic"], found[0]["offset"], found[0]["key"]) == ("numbers", 1, "a:b:1")
    assert (found[0]["reason"], found[0]["error"]) == (
        "ticket.status: the value is bad",
        "ticket_runtime.task.Poison",
    )
    code, (shown,), _ = await command(desk, "show", found[0]["id"])
    assert shown["headers"]["ce_id"] == "bad"
    code, (done,), _ = await command(desk, "replay", found[0]["id"], "--by", "sam")
    assert (done["resolution"]["outcome"], done["resolution"]["by"]) == ("replayed", "sam")

    notes: list[tuple[str, bytes]] = []
    async with (
        desk.running("one", ["numbers"], lambda task: Mended(notes, "one"), stateful=False),
        desk.running("other", ["numbers"], lambda task: Mended(notes, "other"), stateful=False),
    ):
        await desk.send("numbers", b"last", b"a:b:2", ce_id="last", at=NOON, partition=0)
        await until(lambda: notes.count(("one", b"last")) == notes.count(("other", b"last")) == 1)
    assert ("one", b"bad") in notes
    assert ("other", b"bad") not in notes
    assert [letter["group"] for letter in (await command(desk, "list"))[1]] == ["other"]
    code, _, said = await command(desk, "replay", found[0]["id"])
    assert code == 1
    assert "was replayed on" in said


async def test_an_old_state_is_not_handled_after_a_newer_one(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad", b"newer"])
    _, done, _ = await command(desk, "replay", "--all", "--group", "one")
    assert [row["resolution"]["outcome"] for row in done] == ["superseded"]
    assert "handled offset 1 of the same key since" in done[0]["resolution"]["reason"]
    assert len(await desk.read("numbers")) == 2


async def test_a_later_message_that_failed_as_well_supersedes_nothing(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad", b"bad"])
    _, done, _ = await command(desk, "replay", "--all", "--group", "one")
    assert [row["resolution"]["outcome"] for row in done] == ["replayed", "replayed"]


async def test_a_message_without_a_key_has_no_successor(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad", b"newer"], key=None)
    _, done, _ = await command(desk, "replay", "--all", "--group", "one")
    assert [row["resolution"]["outcome"] for row in done] == ["replayed"]


async def test_what_is_discarded_stays_on_record(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad"])
    code, done, _ = await command(desk, "discard", "--all", "--reason", "a load test")
    assert (code, len(done)) == (0, 2)
    assert (await command(desk, "list"))[1] == []
    _, kept, _ = await command(desk, "list", "--resolved")
    assert {row["resolution"]["reason"] for row in kept} == {"a load test"}


async def test_what_is_not_there_is_told(desk: KafkaDesk) -> None:
    code, _, said = await command(desk, "replay", "numbers/0/99")
    assert (code, said) == (1, "There is no dead letter numbers/0/99; `list --resolved` shows all.\n")
    code, _, said = await command(desk, "discard", "--reason", "x")
    assert (code, said) == (1, "Name the dead letters, or say --all; `list` shows them.\n")


async def said(desk: KafkaDesk, *arguments: str) -> str:
    """What people read."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert await run(["dead-letters", *arguments, "--bootstrap", desk.bootstrap, "--prefix", desk.prefix]) == 0
    return out.getvalue()


async def test_intakes_messages_are_superseded_by_none(desk: KafkaDesk) -> None:
    """An older one that could not be read may hold a comment that no newer one does, and overwrites nothing."""
    await let_fail(desk, [b"bad", b"newer"], topic=topics.KEYED)
    _, done, _ = await command(desk, "replay", "--all", "--group", "one")
    assert [row["resolution"]["outcome"] for row in done] == ["replayed"]


async def test_filters_choose_by_service_source_reason_and_time(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad"], key=b"zendesk:main:7", topic=topics.KEYED)
    await let_fail(desk, [b"bad"], key=b"a-guid", topic="inbound.jira", at=datetime.now(UTC))
    for arguments, sources in (
        ((), ["jira", "jira", "zendesk", "zendesk"]),
        (("--service", "one"), ["jira", "zendesk"]),
        (("--source", "zendesk"), ["zendesk", "zendesk"]),
        (("--topic", "inbound.jira", "--group", "other"), ["jira"]),
        (("--reason-like", "VALUE IS BAD", "--group", "one"), ["jira", "zendesk"]),
        (("--reason-like", "something else"), []),
        (("--until", "2026-03-02T12:00:01Z", "--group", "one"), ["zendesk"]),
        (("--since", "5m", "--group", "one"), ["jira"]),
    ):
        _, rows, _ = await command(desk, "list", *arguments)
        assert [row["source"] for row in rows] == sources, arguments
    _, done, _ = await command(desk, "discard", "--all", "--source", "jira", "--reason", "a test")
    assert [row["source"] for row in done] == ["jira", "jira"]
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as complaint:
        await run(["dead-letters", "list", "--since", "yesterday"])
    assert "write 30m, 2h, 3d" in complaint.getvalue()


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad", b"newer"])
    for action, outcome in ((["replay"], "superseded"), (["discard", "--reason", "a load test"], "discarded")):
        _, told, _ = await command(desk, *action, "--all", "--dry-run", "--group", "one")
        assert [row["resolution"]["outcome"] for row in told] == [outcome]
        assert "Nothing was done" in await said(desk, *action, "--all", "--dry-run")
    assert len((await command(desk, "list"))[1]) == 2
    assert len(await desk.read("numbers")) == 2


async def test_show_points_at_the_path_that_failed(desk: KafkaDesk) -> None:
    body = b'{"ticket":{"id":7,"status":"bad"},"note":"x"}'
    await let_fail(desk, [body])
    (letter, _) = (await command(desk, "list"))[1]
    assert letter["path"] == "ticket.status"
    lines = (await said(desk, "show", letter["id"])).splitlines()
    assert "reason      ticket.status: the value is bad" in lines
    assert '->     "status": "bad"' in lines
    assert '       "id": 7,' in lines
    _, (whole,), _ = await command(desk, "show", letter["id"])
    assert whole["value"].encode() == body


async def test_what_another_has_decided_meanwhile_is_left_alone(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"bad"])
    async with connect(desk.bootstrap, desk.prefix) as one, connect(desk.bootstrap, desk.prefix) as other:
        seen = await one.all()
        assert len(await other.replay(await other.all(), "ann")) == 2
        assert await one.replay(seen, "ben") == []
        assert await one.discard(seen, "ben", "too late") == []
    assert len(await desk.read("numbers")) == 3


def operator(request: Request) -> str:
    if request.headers.get("authorization") != "Bearer k":
        raise Problem(401, "who are you?")
    return "sam"


@pytest.fixture
async def client(desk: KafkaDesk) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
    dead_letters_http.install(app, operator, desk.bootstrap, desk.prefix)
    transport = httpx.ASGITransport(app)
    head = {"authorization": "Bearer k"}
    async with httpx.AsyncClient(transport=transport, base_url="http://desk", headers=head) as made:
        yield made


async def test_the_same_over_http_for_operators(desk: KafkaDesk, client: httpx.AsyncClient) -> None:
    await let_fail(desk, [b"bad"], key=b"zendesk:main:7", topic=topics.KEYED)
    for path in ("/v1/dead-letters", "/v1/dead-letters/tickets.keyed/0/0"):
        assert (await client.get(path, headers={"authorization": "Bearer x"})).status_code == 401
    for path, body in (("/v1/dead-letters/replay", {}), ("/v1/dead-letters/discard", {"reason": "x"})):
        refused = await client.post(path, json={"ids": ["tickets.keyed/0/0"], **body}, headers={"authorization": ""})
        assert refused.status_code == 401

    first = (await client.get("/v1/dead-letters", params={"source": "zendesk", "limit": 1})).json()
    second = (
        await client.get("/v1/dead-letters", params={"source": "zendesk", "limit": 1, "after": first["next"]})
    ).json()
    assert [len(page["dead_letters"]) for page in (first, second)] == [1, 1]
    assert second["next"] is None
    assert (await client.get("/v1/dead-letters", params={"source": "jira"})).json()["dead_letters"] == []
    one = first["dead_letters"][0]["id"]
    whole = (await client.get(f"/v1/dead-letters/{one}")).json()
    assert (whole["value"], whole["path"]) == ("bad", "ticket.status")
    assert (await client.get("/v1/dead-letters/tickets.keyed/0/99")).status_code == 404

    told = (await client.post("/v1/dead-letters/replay", json={"ids": [one], "dry_run": True})).json()
    assert told["dry_run"] is True
    done = (await client.post("/v1/dead-letters/replay", json={"ids": [one]})).json()["dead_letters"]
    decided = [(row["id"], row["resolution"]["outcome"], row["resolution"]["by"]) for row in done]
    assert decided == [(one, "replayed", "sam")]
    again = await client.post("/v1/dead-letters/replay", json={"ids": [one]})
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    done = (await client.post("/v1/dead-letters/discard", json={"source": "zendesk", "reason": "a load test"})).json()[
        "dead_letters"
    ]
    assert [row["resolution"]["reason"] for row in done] == ["a load test"]
    for wrong in ({}, {"ids": [one], "source": "zendesk"}, {"reason_like": "x", "colour": 1}):
        assert (await client.post("/v1/dead-letters/replay", json=wrong)).status_code == 422


async def test_a_broker_that_is_away_is_a_503() -> None:
    app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
    dead_letters_http.install(app, operator, "127.0.0.1:1", "")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        answer = await client.get("/v1/dead-letters", headers={"authorization": "Bearer k"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
