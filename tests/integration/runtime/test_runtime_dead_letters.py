"""Dead letters after the fact, as the command shows and decides them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime_kafka import KafkaDesk, until
from ticket_contracts.topics import Topic
from ticket_runtime.__main__ import run
from ticket_runtime.task import Outputs, Poison, Record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Handling:
    """Takes note of what it handles; refuses `bad` until it was mended."""

    mended = False

    def __init__(self, notes: list[tuple[str, bytes]], group: str) -> None:
        self.notes, self.group = notes, group

    def restore(self, key: bytes, value: bytes | None) -> None: ...

    def handle(self, record: Record, out: Outputs) -> None:
        if record.value == b"bad" and not self.mended:
            raise Poison("the value is bad")
        self.notes.append((self.group, record.value or b""))

    def fire(self, now: datetime, out: Outputs) -> None: ...

    def next_due(self) -> datetime | None:
        return None


class Mended(Handling):
    mended = True


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaDesk]:
    wanted = [Topic(name="numbers", written_by="a test")]
    async with KafkaDesk(kafka_bootstrap, topic_prefix).connected(wanted) as connected:
        yield connected


async def command(desk: KafkaDesk, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the objects of --json, and what was said on standard error."""
    out, err = io.StringIO(), io.StringIO()
    given = ["dead-letters", *arguments, "--bootstrap", desk.bootstrap, "--prefix", desk.prefix, "--json"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await run(given)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


async def let_fail(desk: KafkaDesk, values: list[bytes], key: bytes | None = b"a:b:1") -> None:
    """Two groups read the messages; both refuse the bad ones."""
    for value in values:
        await desk.send("numbers", value, key, ce_id=value.decode(), at=NOON, partition=0)
    notes: list[tuple[str, bytes]] = []
    async with (
        desk.running("one", ["numbers"], lambda task: Handling(notes, "one"), stateful=False),
        desk.running("other", ["numbers"], lambda task: Handling(notes, "other"), stateful=False),
    ):
        bad = values.count(b"bad")
        await until(lambda: len(notes) == 2 * (len(values) - bad))

        async def all_dead() -> bool:
            return len(await desk.read("numbers.dead-letter")) >= 2 * bad

        await until(all_dead)


async def test_a_message_is_handled_again_by_the_group_that_it_failed_for_alone(desk: KafkaDesk) -> None:
    await let_fail(desk, [b"good", b"bad"])
    code, found, _ = await command(desk, "list", "--group", "one")
    assert (code, len(found)) == (0, 1)
    assert (found[0]["topic"], found[0]["offset"], found[0]["key"]) == ("numbers", 1, "a:b:1")
    assert (found[0]["reason"], found[0]["error"]) == ("the value is bad", "ticket_runtime.task.Poison")
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
