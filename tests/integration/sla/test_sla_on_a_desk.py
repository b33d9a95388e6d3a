"""The monitor on a desk in memory that plays like a replay; and what it recorded, made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from sla_monitor import offline
from sla_monitor.__main__ import main
from sla_monitor.adapters.recorded import Recorded, from_directory
from sla_monitor.handlers import INPUTS, SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement import Published
from ticket_contracts.cloudevents import Event
from ticket_contracts.sla import ClockEvent
from ticket_contracts.transfers import (
    TransferAccepted,
    TransferCompleted,
    TransferExpired,
    TransferOffered,
    TransferRequested,
)
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import InMemoryDesk
from unit.sla.sla_desk import HOUR, MONDAY, TICKET, TOPIC_OF, Desk, agreement, at, comment, published, resolution

CONTENT = agreement(
    {
        "first": {"clock": "first_response", "calendar": "nine_to_five", "goals": [{"seconds": 2 * HOUR}]},
        "fix": resolution(8 * HOUR, warn=[{"left_seconds": 900}, {"used_share": 0.5}]),
    },
    transfers={"total_seconds": 3600},
)
VERSION = published(CONTENT, MONDAY - timedelta(days=365))


def story() -> list[Event]:
    """Two tickets: one goes well, of the other an offer expires and the deadline passes."""
    heard: list[Event] = []
    teller = Desk(CONTENT)
    teller.feed = heard.append  # type: ignore[method-assign, assignment]
    other = "itsm:one:2"
    teller.open("09:00", "P3")
    teller.route("09:00")
    teller.transfer(
        "09:00", TransferRequested, transfer_id="t1", cause="first", attempt=1, asks=False, tried=[], sender="duty"
    )
    for ticket, transfer, when in ((TICKET, "t1", "09:00"), (other, "t2", "09:05")):
        if ticket == other:
            teller.open("09:05", "P2", other)
            teller.route("09:05", ticket=other)
        teller.transfer(
            when,
            TransferOffered,
            ticket,
            transfer_id=transfer,
            attempt=1,
            queue="first_line",
            receiver="R",
            digest="d",
            acknowledge_seconds=900,
            decision=1,
        )
    teller.transfer(
        "09:10",
        TransferAccepted,
        transfer_id="t1",
        attempt=1,
        queue="first_line",
        digest="d",
        actor="R",
        automatic=False,
    )
    teller.transfer("09:10", TransferCompleted, transfer_id="t1", queue="first_line", owner="R")
    teller.ticket("09:30", comments=[comment("09:30", "agent")])
    teller.ticket("10:00", status="pending_customer")
    teller.ticket("11:00", status="open")
    teller.ticket("15:00", status="resolved")
    teller.transfer("09:20", TransferExpired, other, transfer_id="t2", attempt=1, queue="first_line", scope="offer")
    teller.ticket("Wed 09:00", other, status="resolved")
    return heard


def played(partitions: int = 1, *, restarts: tuple[str, ...] = ()) -> InMemoryDesk:
    desk = InMemoryDesk(at("08:00"), partitions)
    agreements = Agreements([VERSION])
    desk.add("sla-monitor", INPUTS, lambda context: SlaWork(context.agreements), agreements=agreements)
    for event in story():
        desk.publish(TOPIC_OF.get(type(event), topics.TRANSFERS), event)
    for stop in restarts:
        desk.run(at(stop))
        desk.restart("sla-monitor")
    desk.run(at("Fri 09:00"))
    return desk


def said(desk: InMemoryDesk) -> list[tuple[str, str, str]]:
    return sorted(
        (event.ticket[-1] + event.clock, str(event.decided_for), event.occurrence)
        for event in desk.events(topics.SLA_EVENTS, ClockEvent)
    )


def test_a_story_of_two_tickets() -> None:
    desk = played()
    assert desk.dead_letters() == []
    occurrences = {
        key: [
            event.occurrence
            for event in desk.events(topics.SLA_EVENTS, ClockEvent)
            if (event.ticket, event.clock) == key
        ]
        for key in {(event.ticket, event.clock) for event in desk.events(topics.SLA_EVENTS, ClockEvent)}
    }
    assert occurrences == {
        (TICKET, "*"): ["stated"],
        (TICKET, "first_response"): ["started", "met"],
        (TICKET, "resolution"): ["started", "paused", "resumed", "warned", "met"],
        (TICKET, "transfer:t1"): ["started", "met"],
        (TICKET, "transfer_acknowledgement:t1"): ["started", "met"],
        ("itsm:one:2", "*"): ["stated"],
        ("itsm:one:2", "first_response"): ["started", "warned", "breached", "met"],
        ("itsm:one:2", "resolution"): ["started", "warned", "warned", "breached", "met"],
        ("itsm:one:2", "transfer_acknowledgement:t2"): ["started", "breached"],
    }


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("restarts", [("09:00",), ("09:12", "09:20", "12:59"), ("Tue 08:00", "Tue 09:05", "Thu 00:00")])
def test_restarts_and_partitions_change_nothing_that_is_said(partitions: int, restarts: tuple[str, ...]) -> None:
    assert said(played(partitions, restarts=restarts)) == said(played())


def recorded(desk: InMemoryDesk, directory: Path, versions: Sequence[Published] = (VERSION,)) -> None:
    """As a replay exports it."""
    for topic in (*INPUTS, topics.SLA_EVENTS):
        lines = []
        for record in desk.records(topic):
            row = {
                "key": (record.key or b"").decode(),
                "n": record.offset,
                **{name: record.header(name) for name in ("ce_id", "ce_type", "ce_time")},
                "data": json.loads(record.value or b"null"),
            }
            lines.append(json.dumps(row, sort_keys=True))
        (directory / f"{topic}.jsonl").write_text("".join(line + "\n" for line in sorted(lines)))
    rows = [{"key": each.version, "n": 1, "data": each.model_dump(mode="json")} for each in versions]
    (directory / f"{topics.AGREEMENT}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_recorded_decision_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = played()
    recorded(desk, tmp_path)
    clock_events = [e for e in desk.events(topics.SLA_EVENTS, ClockEvent) if e.occurrence != "stated"]
    assert main(["redecide", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checked": len(clock_events), "different": 0}
    assert main(["verify", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"checked": 4, "different": 0}


@pytest.mark.parametrize(
    ("field", "value"),
    [("deadline", "2026-03-02T12:00:00Z"), ("due_at", "2026-03-02T12:00:00Z"), ("threshold_seconds", 901)],
)
def test_a_decision_that_does_not_follow_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: object
) -> None:
    recorded(played(), tmp_path)
    path = tmp_path / f"{topics.SLA_EVENTS}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    row = next(row for row in rows if row["data"]["occurrence"] == "warned")
    row["data"][field] = value
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert main(["redecide", "--out", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["different"] == 1


def test_verify_finds_a_clock_that_was_told_otherwise(tmp_path: Path) -> None:
    recorded(played(), tmp_path)
    rows = list(from_directory(tmp_path, offline.ALL_TOPICS))
    kept: list[Recorded] = []
    for row in rows:
        if row.topic == topics.SLA_EVENTS and msgspec.json.decode(row.data)["occurrence"] == "met":
            continue
        kept.append(row)
    verdict = offline.verify(kept)
    assert verdict.different == 4
    assert offline.verify(rows).different == 0


def test_of_a_desk_at_work_what_it_is_about_to_say_is_no_difference(tmp_path: Path) -> None:
    recorded(played(), tmp_path)
    rows = list(from_directory(tmp_path, offline.ALL_TOPICS))
    told = [
        row
        for row in rows
        if row.topic == topics.SLA_EVENTS
        and (said := msgspec.json.decode(row.data))["occurrence"] == "met"
        and said["clock"] == "resolution"
    ]
    readings = [[row for row in rows if row not in told[missing:]] for missing in (0, 1)] + [rows]
    waits: list[int] = []
    verdict = offline.verify_at_work(lambda: readings[len(waits)], lambda: waits.append(1))
    assert (verdict.different, len(waits), verdict.checked) == (0, 2, 4)

    waits.clear()
    behind = [row for row in rows if row is not told[-1]]
    verdict = offline.verify_at_work(lambda: behind, lambda: waits.append(1))
    assert (verdict.different, len(waits)) == (1, 3)
    assert verdict.findings


def test_a_digest_is_a_line_for_people_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(played(), tmp_path)
    assert main(["digest", "--out", str(tmp_path), "--since", "2026-03-02T11:00:00Z", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(each["begins"] >= "2026-03-02T11:00" for each in found)
    assert {each["clock"] for each in found} == {"first_response", "resolution"}
    assert main(["digest", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > len(found)
    assert any(
        "transfer_acknowledgement (transfers.acknowledge_seconds), deadline passed: 1 ticket" in x for x in lines
    )


def test_an_explanation_adds_up_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(played(), tmp_path)
    assert main(["explain", TICKET, "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    clock = next(each for each in found["clocks"] if each["clock"] == "resolution")
    assert clock["state"] == "met"
    assert (clock["elapsed_seconds"], clock["left_seconds"]) == (5 * HOUR, 3 * HOUR)
    counted = [(s["begins"][11:16], s["ends"][11:16], s["counted"], s["reason"]) for s in clock["segments"]]
    assert counted == [
        ("09:00", "10:00", HOUR, "working time"),
        ("10:00", "11:00", 0, "pending_customer"),
        ("11:00", "15:00", 4 * HOUR, "working time"),
    ]
    assert main(["explain", TICKET, "--out", str(tmp_path)]) == 0
    assert "used 5:00:00, left 3:00:00" in capsys.readouterr().out
    assert main(["explain", "itsm:one:9", "--out", str(tmp_path)]) == 2


def test_a_ticket_that_returns_after_it_was_forgotten_is_verified_in_each_of_its_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[Event] = []
    teller = Desk(CONTENT)
    teller.feed = heard.append  # type: ignore[method-assign, assignment]
    teller.open("09:00")
    teller.route("09:00")
    teller.ticket("10:00", status="pending_customer")
    teller.ticket("12:00", status="closed")
    back = "Mon" + "+" * 15
    teller.ticket(f"{back} 09:00", status="open")
    teller.route(f"{back} 09:00", ticket_version=4, classification_version=0)
    teller.open("09:00", ticket="itsm:one:2")
    teller.ticket("09:30", "itsm:one:2", status="closed")
    desk = InMemoryDesk(at("08:00"), 1)
    desk.add("sla-monitor", INPUTS, lambda context: SlaWork(context.agreements), agreements=Agreements([VERSION]))
    for event in heard:
        desk.publish(TOPIC_OF[type(event)], event)
    desk.run(at(f"{back} 09:00"))
    desk.restart("sla-monitor")
    desk.run(at(f"Fri{'+' * 15} 09:00"))
    recorded(desk, tmp_path)
    events = [event for event in desk.events(topics.SLA_EVENTS, ClockEvent) if event.clock == "resolution"]
    lives = {event.generation for event in events if event.ticket == TICKET}
    assert len(lives) == 2
    assert main(["verify", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checked": 6, "different": 0}
    assert main(["redecide", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["explain", "itsm:one:2", "--out", str(tmp_path)]) == 0
    assert "resolution #1: met" in capsys.readouterr().out


def test_a_life_whose_clock_followed_a_new_agreement_is_verified_after_it_was_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (agreement({"fix": resolution(hours * HOUR, on_change="recalculate")}) for hours in (8, 4))
    versions = [published(first, MONDAY - timedelta(days=365)), published(second, at("11:00"))]
    heard: list[Event] = []
    teller = Desk(first)
    teller.feed = heard.append  # type: ignore[method-assign, assignment]
    teller.open("09:00")
    teller.ticket("12:00", status="closed")
    back = "Mon" + "+" * 15
    teller.ticket(f"{back} 09:00", status="open")
    teller.route(f"{back} 09:00", ticket_version=3, classification_version=0)
    desk = InMemoryDesk(at("08:00"), 1)
    desk.add("sla-monitor", INPUTS, lambda context: SlaWork(context.agreements), agreements=Agreements(versions))
    for event in heard:
        desk.publish(TOPIC_OF[type(event)], event)
    desk.run(at(f"Fri{'+' * 15} 09:00"))
    recorded(desk, tmp_path, versions)
    goals = [e.inputs.goal_seconds for e in desk.events(topics.SLA_EVENTS, ClockEvent) if e.inputs is not None]
    assert {8 * HOUR, 4 * HOUR} == set(goals)
    assert main(["verify", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checked": 2, "different": 0}
