"""Mutated bodies of every tool: each is understood or refused with a reason; nothing else may come out of a handler,
for that would end the process. `RELAYDESK_FUZZ=100000` runs the long form."""

from __future__ import annotations

import copy
import json
import os
import random
from datetime import UTC, datetime
from typing import Any

from ticket_contracts import topics
from ticket_contracts.cloudevents import Event, encode
from ticket_intake import documents
from ticket_intake.domain import language
from ticket_intake.handlers import IntakeWork
from ticket_runtime.task import Poison, Record
from ticket_runtime.testing import FakeOutputs
from unit.intake.tool_events import EVENTS

SEEDS: dict[str, list[dict[str, Any]]] = {}
for told in EVENTS:
    SEEDS.setdefault(told.source, []).extend(told.bodies)
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1e308,
        10**30,
        "",
        "x",
        "\u202e",
        "\x00",
        "<b>",
        "é" * 600,
        [],
        {},
        [None],
        [[]],
        {"a": 1},
    ),
    *("9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "1772445600", -(10**20), "2026-02-30", "1,2,3"),
    *({"display_value": {}, "value": []}, {"type": "doc", "content": [{"type": "text", "text": 1}]}, "pwd: abcd1234"),
    *("https://[", "a" * 300, ":", "\ud800", {"link": 1}, "2026-03-02 09:05:00 - \n (x)\n", 1772445600.5),
]
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def mutated(choice: random.Random, value: Any) -> Any:
    """Some places of a body with something else in them."""
    body = copy.deepcopy(value)
    for _ in range(choice.choice((1, 1, 2, 4))):
        inner = body
        while isinstance(inner, dict | list) and inner:
            key = choice.choice(list(inner)) if isinstance(inner, dict) else choice.randrange(len(inner))
            if not isinstance(inner[key], dict | list) or choice.random() < 0.3:
                if choice.random() < 0.2:
                    del inner[key]
                else:
                    inner[key] = copy.deepcopy(choice.choice(VALUES))
                break
            inner = inner[key]
    return body


def test_mutated_bodies_of_every_tool() -> None:
    count = int(os.environ.get("RELAYDESK_FUZZ", "4000"))
    choice = random.Random(int(os.environ.get("RELAYDESK_FUZZ_SEED", "11")))
    work = IntakeWork({name: documents.load(name).compile() for name in SEEDS}, language.detect)
    effects = refused = 0
    for offset in range(count):
        source = choice.choice(list(SEEDS))
        value = json.dumps(mutated(choice, choice.choice(SEEDS[source]))).encode()
        out = FakeOutputs()
        try:
            work.handle(record(topics.inbound(source), offset, None, value, {}), out)
            for message in out.forwarded:
                headers = {**dict(message.headers), "ce_id": message.event_id.encode()}
                work.handle(record(topics.KEYED, offset, message.key, value, headers), out)
        except Poison:
            refused += 1
            continue
        for _, event in out.emitted:
            assert isinstance(event, Event)
            encode(event)
        assert len(out.emitted) == len(out.forwarded) >= 1
        effects += 1
    assert effects > count // 4
    assert refused > count // 10


def record(topic: str, offset: int, key: bytes | None, value: bytes, headers: dict[str, bytes]) -> Record:
    return Record(
        topic=topic, partition=0, offset=offset, key=key, value=value, headers=headers, timestamp_ms=0, instant=AT
    )
