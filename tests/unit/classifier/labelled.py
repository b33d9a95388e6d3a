"""Labelled tickets made up by a rule: three topics with words of their own among words that all share."""

from __future__ import annotations

import csv
import gzip
import io
import random
from pathlib import Path

import msgspec

TOPICS = {
    "Network": [
        "vpn",
        "wifi",
        "router",
        "tunnel",
        "gateway",
        "firewall",
        "proxy",
        "lan",
        "switch",
        "outage",
        "latency",
        "packet",
    ],
    "Accounts": [
        "password",
        "locked",
        "login",
        "reset",
        "account",
        "token",
        "authenticator",
        "expired",
        "unlock",
        "username",
        "rights",
    ],
    "Printing": [
        "printer",
        "toner",
        "paper",
        "jam",
        "tray",
        "scanner",
        "print",
        "queue",
        "label",
        "duplex",
        "colour",
        "cartridge",
    ],
}
SHARED = [
    "hello",
    "please",
    "help",
    "the",
    "office",
    "since",
    "this",
    "morning",
    "my",
    "colleague",
    "thanks",
    "again",
    "need",
    "today",
    "it",
    "does",
    "not",
    "work",
]


def tickets(count: int = 600, seed: int = 1) -> list[tuple[str, str]]:
    """(text, label). One in twelve has the label of another topic, as people err."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        topic = chance.choice(sorted(TOPICS))
        words = chance.choices(TOPICS[topic], k=chance.randint(2, 4)) + chance.choices(SHARED, k=chance.randint(4, 9))
        chance.shuffle(words)
        label = chance.choice(sorted(TOPICS)) if chance.random() < 1 / 12 else topic
        found.append((" ".join(words), label))
    return found


def as_csv(rows: list[tuple[str, str]], separator: str = ",") -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, delimiter=separator)
    writer.writerow(["text", "label"])
    writer.writerows(rows)
    return held.getvalue().encode()


def as_jsonl(rows: list[tuple[str, str]]) -> bytes:
    return b"\n".join(msgspec.json.encode({"text": text, "label": label, "more": 1}) for text, label in rows)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return str(path)
