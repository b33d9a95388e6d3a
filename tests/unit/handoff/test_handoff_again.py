"""`redecide`: every step comes out again as it was published, and one that does not is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ticket_contracts import topics
from ticket_contracts.transfers import OfferMade, Reply, TransferEvent, TransferRequested
from ticket_handoff.__main__ import main
from ticket_handoff.again import redecide_directory
from ticket_handoff.domain.facts import ReplyGiven
from ticket_handoff.handlers import HandoffWork, inputs
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import FakeOutputs, InMemoryDesk, StoredRecord
from unit.handoff.handoff_desk import TICKET, at, classified, clock, normalized, published, routed

VERSION = published()
A = VERSION.version


@pytest.fixture
def desk() -> InMemoryDesk:
    """A ticket that was declined, taken, returned and renewed, and one that waited long for its first version."""
    made = InMemoryDesk(at(0))
    made.add(
        "handoff",
        inputs(["nightwatch"]),
        lambda context: HandoffWork(context.agreements),
        agreements=Agreements([VERSION]),
    )
    made.publish(topics.NORMALIZED, normalized(when=at(0)))
    made.publish(topics.CLASSIFIED, classified(A, when=at(0)))
    made.publish(topics.SLA_EVENTS, clock(A, when=at(0)))
    made.publish(topics.ROUTED, routed(A, when=at(0)))
    other = "servicenow:prod:INC2"
    made.publish(topics.ROUTED, routed(A, other, when=at(1)))
    made.publish(topics.CLASSIFIED, classified(A, other, when=at(1)))
    made.publish(topics.SLA_EVENTS, clock(A, other, when=at(1)))
    made.run(at(1))
    reply(made, 2, "decline", reason="no parts")
    made.publish(topics.ROUTED, answer(made, 2, "night-desk", "night", decision=2))
    made.run(at(3))
    reply(made, 4, "accept", principal="nightwatch")
    made.run(at(5))
    reply(made, 6, "return", principal="nightwatch", reason="Who has them?")
    made.publish(topics.NORMALIZED, normalized(other, when=at(7)))
    made.run(at(10))
    made.publish(topics.ROUTED, answer(made, 10, "experts", "second-line", decision=3))
    made.run(at(10))
    by_http(made, 11, "decline", reason="We have none.")
    made.publish(topics.ROUTED, answer(made, 11, "desk", "first-line", decision=4))
    made.run(at(12))
    made.publish(topics.NORMALIZED, normalized(version=2, when=at(12.5), text="It smokes!"))  # renews the offer
    made.run(at(12.5))
    by_http(made, 13, "accept")
    made.run(at(14))
    by_http(made, 15, "return", reason="Where are the others?")
    made.run(at(20))
    return made


def by_http(desk: InMemoryDesk, minute: float, action: Any, **said: Any) -> None:
    """It changes the ledger as the service does it, and stands on no topic."""
    offer = newest_offer(desk)
    given = Reply(transfer_id=offer.transfer_id, reply_id=f"h{minute}", action=action, digest=offer.digest, **said)
    out = FakeOutputs()
    work = desk.work("handoff")
    assert isinstance(work, HandoffWork)
    work.answer(ReplyGiven(reply=given, principal="internal", actor="Ada", at=at(minute)), f"http-{minute}", out)
    for topic, event in out.emitted:
        desk.publish(topic, event)


def newest_offer(desk: InMemoryDesk) -> OfferMade:
    offers = [o for q in ("desk", "night-desk", "experts") for o in desk.events(topics.offers(q), OfferMade)]
    return max((o for o in offers if o.ticket == TICKET), key=lambda o: o.decided_for)


def reply(desk: InMemoryDesk, minute: float, action: Any, principal: str = "internal", **said: Any) -> None:
    offer = newest_offer(desk)
    given = Reply(transfer_id=offer.transfer_id, reply_id=f"r{minute}", action=action, digest=offer.digest, **said)
    desk.send(topics.replies(principal), msgspec.json.encode(given), TICKET.encode(), at=at(minute))
    desk.run(at(minute))


def answer(desk: InMemoryDesk, minute: float, queue: str, role: str, decision: int) -> Any:
    asked = [e for e in desk.events(topics.TRANSFERS, TransferRequested) if e.ticket == TICKET][-1]
    return routed(A, TICKET, decision, at(minute), queue, role, "transfer", transfer_id=asked.transfer_id)


def line(record: StoredRecord, number: int) -> dict[str, Any]:
    said = {name: value.decode() for name, value in record.headers if name.startswith("ce_")}
    outside = {} if "ce_id" in said else {"at": f"{record.partition}/{record.offset}"}
    data = msgspec.Raw(record.value or b"null")
    return {"key": (record.key or b"").decode(), "n": number, **outside, **said, "data": data}


@pytest.fixture
def out(desk: InMemoryDesk, tmp_path: Path) -> Path:
    """What `make replay OUT=DIR` writes of it."""
    names = [
        *inputs(["nightwatch"]),
        topics.TRANSFERS,
        topics.offers("desk"),
        topics.offers("night-desk"),
        topics.offers("experts"),
    ]
    for name in names:
        lines = [msgspec.json.encode(line(record, n)) for n, record in enumerate(desk.records(name), 1)]
        if lines:
            (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(sorted(lines)) + b"\n")
    agreement = msgspec.Raw(VERSION.model_dump_json().encode())
    (tmp_path / f"{topics.AGREEMENT}.jsonl").write_bytes(msgspec.json.encode({"key": A, "data": agreement}) + b"\n")
    return tmp_path


def test_every_step_comes_out_as_it_was_published(desk: InMemoryDesk, out: Path) -> None:
    assert not desk.dead_letters()
    steps = [e for e in desk.all_events(topics.TRANSFERS) if isinstance(e, TransferEvent)]
    assert {type(step).__name__ for step in steps} >= {"TransferDeclined", "TransferCompleted", "OwnerChanged"}
    assert redecide_directory(out) == (len(steps), [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda step: {**step, "queue": "elsewhere"}, "queue"),
        (lambda step: {**step, "decided_for": "2026-03-02T09:00:01Z"}, "decided_for"),
        (lambda step: {**step, "digest": "0" * 64}, "digest"),
        (lambda step: {**step, "receiver": "Mallory"}, "receiver"),
        (lambda step: {**step, "heard": ["nothing"]}, "heard"),
    ],
    ids=["queue", "instant", "digest", "receiver", "what was heard"],
)
def test_a_step_that_was_altered_is_named(out: Path, change: Callable[[Any], Any], field: str) -> None:
    path = out / f"{topics.TRANSFERS}.jsonl"
    rows = [msgspec.json.decode(row) for row in path.read_bytes().splitlines()]
    for row in rows:
        if row["ce_type"] == "relaydesk.transfer.offered.v1" and row["data"]["attempt"] == 2:
            row["data"] = change(row["data"])
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in rows))
    _, differences = redecide_directory(out)
    assert field in differences[0].differs
    assert differences[0].ticket == TICKET
    assert field in differences[0].text()


def test_an_altered_fact_shows_in_what_followed_from_it(out: Path) -> None:
    path = out / f"{topics.NORMALIZED}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"It only blinks", b"It only sleeps"))
    _, differences = redecide_directory(out)
    assert "digest" in differences[0].differs


def test_the_command_ends_with_the_count(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--out", str(out), "--json"]) == 0
    last = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert last["different"] == 0
    assert last["checked"] > 10
    (out / f"{topics.ROUTED}.jsonl").unlink()
    assert main(["redecide", "--out", str(out)]) == 1


def test_the_command_names_a_directory_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redecide", "--out", str(tmp_path)]) == 2
    assert "make replay OUT=DIR" in capsys.readouterr().err


def test_nothing_is_decided_before_its_first_version_came(desk: InMemoryDesk) -> None:
    """The router, the monitor and the classifier were all faster than the ticket itself."""
    steps = [e for e in desk.all_events(topics.TRANSFERS) if e.ticket == "servicenow:prod:INC2"]
    assert {step.decided_for for step in steps} == {at(7)}
    assert steps[0].decided_for - at(1) == timedelta(minutes=6)
