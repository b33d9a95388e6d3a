"""Versions of the agreement on a real broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from ticket_contracts import topics
from ticket_contracts.__main__ import main
from ticket_contracts.agreement.publishing import read_versions
from ticket_contracts.cloudevents import instant_text
from ticket_contracts.topics import Topic
from ticket_runtime.topics import create_topics

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
APPROVALS = [
    *("--approve", "Rheinbogen Instruments GmbH=Jane Doe"),
    *("--approve", "Helpline Pacific Inc.=Juan Cruz"),
    *("--approve", "Campo Assistência Lda.=Rui Almeida"),
]


def test_a_desk_without_topics_is_said(
    kafka_bootstrap: str, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agreement", "show", "--bootstrap", kafka_bootstrap, "--topic-prefix", topic_prefix]) == 1
    assert "start the desk first" in capsys.readouterr().err


def test_versions_are_published_listed_and_shown(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = Topic(name=topics.AGREEMENT, written_by="the agreement command", ticket_keyed=False, compacted=True)
    asyncio.run(create_topics(kafka_bootstrap, topic_prefix, [topic], 1, live=True))
    where = ["--bootstrap", kafka_bootstrap, "--topic-prefix", topic_prefix]

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["agreement", *arguments, *where])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert "no version has been published yet" in run("show")[1]
    assert "Helpline Pacific Inc. has not approved" in run("publish", str(_DEFAULT), *APPROVALS[:2], *APPROVALS[4:])[1]
    code, said = run("publish", str(_DEFAULT), *APPROVALS, "--json")
    assert code == 0
    first = msgspec.json.decode(said)["version"]

    changed = tmp_path / "desk.yaml"
    changed.write_text(_DEFAULT.read_text().replace("support desk", "support desk, second year"))
    assert "say from when on it holds" in run("publish", str(changed), *APPROVALS)[1]
    soon = instant_text(datetime.now(UTC) + timedelta(seconds=30))
    assert "before services know it" in run("publish", str(changed), *APPROVALS, "--effective-at", soon)[1]
    later = instant_text(datetime.now(UTC).replace(microsecond=0) + timedelta(days=1))
    code, said = run("publish", str(changed), *APPROVALS, "--effective-at", later)
    assert code == 0
    assert f"in force from {later}" in said
    assert f"version {first} already" in run("publish", str(_DEFAULT), *APPROVALS, "--effective-at", later)[1]

    listed = msgspec.json.decode(run("show", "--json")[1])["versions"]
    assert [(v["version"] == first, v["in_force"]) for v in listed] == [(True, True), (False, False)]
    assert [v.version for v in asyncio.run(read_versions(kafka_bootstrap, topic_prefix))] == [
        v["version"] for v in listed
    ]
    code, said = run("show", first[:8])
    assert code == 0
    assert yaml.safe_load(said)["title"] == "Rheinbogen Instruments – support desk"
    assert "no version begins with ffff" in run("show", "ffffffffffff")[1]
