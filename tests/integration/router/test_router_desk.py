"""The router among the runtime's own parts, in memory: topics, dead letters, crashes and restores, and its commands."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.agreement.publishing import record_of
from ticket_contracts.routing import TicketDispatched, TicketRouted
from ticket_router.__main__ import main
from ticket_router.handlers import INPUTS, RouterWork
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import InMemoryDesk
from unit.router.router_desk import MONDAY, agreement, classified, completed, normalized, published, requested

PARTITIONS = 3


def desk_of(*versions: Published) -> InMemoryDesk:
    desk = InMemoryDesk(MONDAY, PARTITIONS)
    desk.add(
        "router",
        INPUTS,
        lambda context: RouterWork(context.agreements),
        agreements=Agreements(versions),
        single_task=True,
    )
    return desk


def arrive(desk: InMemoryDesk, version: str, number: int, at: datetime, **shape: Any) -> str:
    ticket = f"servicenow:main:INC{number}"
    desk.publish(topics.CLASSIFIED, classified(at=at, ticket=ticket, agreement_version=version, **shape))
    desk.publish(topics.NORMALIZED, normalized(at=at, ticket=ticket))
    return ticket


def test_one_task_decides_for_all_partitions_and_survives_its_death() -> None:
    made = published(agreement())
    desk = desk_of(made)
    for number in range(12):
        arrive(desk, made.version, number, MONDAY + timedelta(minutes=number))
        desk.run(MONDAY + timedelta(minutes=number))
        desk.restart("router")
    routed = desk.events(topics.ROUTED, TicketRouted)
    assert [e.queue for e in routed] == ["desk"] * 12, "the partner sleeps: what overflows waits inside"
    assert [e.inputs.loads["desk"] for e in routed] == list(range(12)), "no reservation was lost by a restart"
    assert [e.inputs.overflowing for e in routed] == [[]] * 5 + [["desk"]] * 5 + [[]] * 2
    assert len(desk.events("queues.desk", TicketDispatched)) == 12


def test_poison_is_a_dead_letter_and_the_others_go_on() -> None:
    made = published(agreement())
    desk = desk_of(made)
    desk.send(topics.NORMALIZED, b"{", b"servicenow:main:INC0", headers=[("ce_type", normalized().TYPE.encode())])
    arrive(desk, made.version, 1, MONDAY)
    desk.run()
    (dead,) = desk.dead_letters()
    assert (dead.topic, dead.group) == (topics.NORMALIZED, "router")
    assert [e.ticket for e in desk.events(topics.ROUTED, TicketRouted)] == ["servicenow:main:INC1"]


def test_the_task_waits_for_an_agreement_that_an_input_names() -> None:
    known, other = published(agreement()), published(agreement(title="Another"), MONDAY + timedelta(days=9))
    agreements = Agreements([known])
    desk = InMemoryDesk(MONDAY)
    desk.add("router", INPUTS, lambda c: RouterWork(c.agreements), agreements=agreements, single_task=True)
    arrive(desk, other.version, 1, MONDAY)
    with pytest.raises(Exception, match="has not been read yet"):
        desk.run()
    agreements.add(other)
    desk.run()
    assert len(desk.events(topics.ROUTED, TicketRouted)) == 1


def exported(desk: InMemoryDesk, versions: list[Published], directory: Path) -> Path:
    """The topics as a replay writes them."""
    directory.mkdir()
    for topic in (topics.NORMALIZED, topics.CLASSIFIED, topics.ROUTED, topics.TRANSFERS):
        lines = [
            {
                "key": (r.key or b"").decode(),
                "n": n,
                "ce_type": r.header("ce_type"),
                "data": msgspec.Raw(r.value or b""),
            }
            for n, r in enumerate(desk.records(topic))
        ]
        (directory / f"{topic}.jsonl").write_bytes(b"".join(sorted(msgspec.json.encode(x) + b"\n" for x in lines)))
    (directory / "desk.agreement.jsonl").write_bytes(
        b"".join(b'{"key":"' + v.version.encode() + b'","data":' + record_of(v, MONDAY)[1] + b"}\n" for v in versions)
    )
    return directory


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A day of a desk whose agreement changes at noon."""
    old, new = published(agreement()), published(agreement(queues={"desk": {"capacity": 2}}), MONDAY.replace(hour=12))
    desk = desk_of(old, new)
    for number in range(30):
        at = MONDAY + timedelta(minutes=20 * number)
        ticket = arrive(desk, (old if at < new.effective_at else new).version, number, at, tier=1 + number % 2)
        desk.run(at)
        queue = desk.events(topics.ROUTED, TicketRouted)[-1].queue
        desk.publish(topics.TRANSFERS, requested(1, at, f"t{number}", ticket, agreement_version=old.version))
        desk.publish(topics.TRANSFERS, completed(2, at, f"t{number}", queue, ticket, old.version))
        if number % 3 == 0:
            desk.publish(topics.NORMALIZED, normalized(2, at, ticket, status="closed", lifecycle="ended"))
        desk.run()
    return exported(desk, [old, new], tmp_path / "out")


def test_every_decision_is_made_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"checked": 30, "different": 0}


@pytest.mark.parametrize(
    ("was", "forged"),
    [
        (b'"queue":"specialists"', b'"queue":"lead"'),
        (b'"rule":"by-day"', b'"rule":"by-night"'),
        (b'"owner_role":"first-line"', b'"owner_role":"duty"'),
        (b'"tier":2,"owner_role"', b'"tier":3,"owner_role"'),
        (b'"final":false', b'"final":true'),
        (b'"loads":{"desk":0}', b'"loads":{"desk":90}'),
        (b'"loads":{"desk":0}', b'"loads":{}'),
    ],
)
def test_a_forged_decision_shows(out: Path, was: bytes, forged: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    routed = out / f"{topics.ROUTED}.jsonl"
    text = routed.read_bytes()
    assert was in text
    routed.write_bytes(text.replace(was, forged, 1))
    assert main(["redecide", "--out", str(out), "--json"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {"checked": 30, "different": 1}
    assert json.loads(first)["differs"]


def test_explain_says_what_was_passed_over_and_why(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = "servicenow:main:INC0"
    assert main(["explain", ticket, "--out", str(out), "--at", "2026-03-06T16:59:59Z"]) == 0
    said = capsys.readouterr().out
    assert "second-line: wants tier 2, 3; has 1" in said
    assert "matched: by-day" in said
    assert main(["explain", ticket, "--out", str(out), "--at", "2026-03-06T17:00:00Z", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["queue"], found["rule"]) == ("night-desk", "by-night")
    assert [p["rule"] for p in found["passed"]] == ["by-group", "second-line", "by-day"]


def test_a_ticket_that_nobody_knows_and_a_missing_directory_are_said_in_a_line(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "servicenow:main:INC999", "--out", str(out), "--at", "2026-03-06T17:00:00Z"]) == 2
    assert "has no decision there" in capsys.readouterr().err
    assert main(["redecide", "--out", str(tmp_path / "nowhere")]) == 2
    assert "is no directory" in capsys.readouterr().err


DEFAULT = str(Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["coverage", "--agreement", DEFAULT, "--calendar", "noon"], "no calendar 'noon'; it has office, network"),
        (["coverage", "--agreement", "nowhere.yaml"], "No such file"),
        (["explain", "FACTS", "--agreement", DEFAULT, "--at", "2026-03-02T09:00:00Z"], "holds no facts of a ticket"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    command: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"source": 1}')
    assert main([str(facts) if part == "FACTS" else part for part in command]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [(["--week", "2026-02-30"], "write it as 2026-03-02"), (["--days", "0"], "is not 1 to 400 days")],
)
def test_a_wrong_option_is_said_with_what_would_do(
    option: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["coverage", "--agreement", DEFAULT, *option])
    assert said in capsys.readouterr().err
