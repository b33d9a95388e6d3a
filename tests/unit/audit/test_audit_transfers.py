"""What transfers carried, and who came back: counted from the topics alone."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import timedelta
from operator import itemgetter
from pathlib import Path

import msgspec
import pytest

import incident_log_figures
from audit_history import TICKET, a_true_history, at
from ticket_audit.__main__ import main
from ticket_audit.transfers import back_and_forth, path, transfers
from ticket_contracts import topics
from ticket_contracts.cloudevents import encode
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import OfferMade, OwnerChanged, TransferOffered, TransferWithdrawn


def test_each_kind_counts_its_parts_and_what_was_lacking() -> None:
    told = a_true_history()
    (kind,) = transfers(told.history()).kinds.values()
    assert (kind.offers, kind.required, kind.lacking) == (1, {"classification": 1, "view": 1}, 0)
    assert (kind.parts["view"], kind.parts["articles"]) == (1, 0)
    row = next(row for row in told.rows[topics.offers("first")] if row.ce_type == OfferMade.TYPE)
    offer = msgspec.json.decode(row.data, type=OfferMade)
    told.replace(topics.offers("first"), OfferMade, package=msgspec.structs.replace(offer.package, classification={}))
    (kind,) = transfers(told.history()).kinds.values()
    assert (kind.parts["classification"], kind.lacking) == (0, 1)
    assert kind.missing == {"classification": 1, "view": 0}


def test_a_ticket_that_came_back_is_listed_with_its_path() -> None:
    told = a_true_history()
    row = told.rows[topics.NORMALIZED][0]
    first = msgspec.json.decode(row.data, type=TicketNormalized)
    for version, group in enumerate(["A", None, "A", "B", "A"], 3):
        told.tell(topics.NORMALIZED, msgspec.structs.replace(first, ticket_version=version, group=group))
    change = msgspec.json.decode(told.rows[topics.TRANSFERS][-1].data, type=OwnerChanged)
    for number, queue in enumerate(["other", "first"], 20):
        told.tell(
            topics.TRANSFERS,
            msgspec.structs.replace(change, sequence=number, queue=queue, decided_for=at(400)),
        )
    found = transfers(told.history())
    assert [(each.ticket, each.path) for each in found.groups] == [(TICKET, ["A", "B", "A"])]
    assert found.changes == 2
    assert [each.path for each in found.queues] == [["first", "other", "first"]]


def test_what_was_seen_before_a_contract_narrowed_is_said() -> None:
    told = a_true_history()
    row = next(row for row in told.rows[topics.TRANSFERS] if row.ce_type == TransferOffered.TYPE)
    offered = msgspec.json.decode(row.data, type=TransferOffered)
    withdrawn = TransferWithdrawn(
        ticket=TICKET,
        decided_for=at(30),
        sequence=99,
        agreement_version=offered.agreement_version,
        ticket_version=1,
        classification_version=1,
        transfer_id=offered.transfer_id,
        attempt=offered.attempt,
        queue="first",
        reason="the contract came to allow less",
        exposed=["text"],
    )
    told.tell(topics.TRANSFERS, withdrawn)
    (seen,) = transfers(told.history()).exposed
    assert (seen.queue, seen.fields, seen.since, seen.until) == ("first", ["text"], offered.decided_for, at(30))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    for topic, rows in a_true_history().rows.items():
        (tmp_path / f"{topic}.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    assert main([str(tmp_path), "--transfers", *options]) == 0
    said = capsys.readouterr().out
    assert "first" in said
    if options:
        assert msgspec.json.decode(said)["groups"] == []


def test_seconds_without_an_owner_are_counted_wherever_they_are() -> None:
    told = a_true_history()
    found = transfers(told.history())
    assert (found.tickets, found.unowned) == (1, {})
    first = next(row for row in told.rows[topics.TRANSFERS] if row.ce_type == OwnerChanged.TYPE)
    change = msgspec.json.decode(first.data, type=OwnerChanged)
    late = msgspec.structs.replace(change, decided_for=change.decided_for + timedelta(seconds=90))
    first.data = msgspec.Raw(encode(late))
    assert transfers(told.history()).unowned == {TICKET: 90}
    told.tell(topics.TRANSFERS, msgspec.structs.replace(change, sequence=90, owner=None, decided_for=at(100)))
    told.tell(topics.TRANSFERS, msgspec.structs.replace(change, sequence=91, decided_for=at(101)))
    assert transfers(told.history()).unowned == {TICKET: 150}


LOG = Path(__file__).parents[4] / "shared/data/servicenow_incident_log.csv.gz"


@pytest.mark.skipif(not LOG.exists(), reason="the incident log is not beside the project")
def test_the_incidents_of_the_log_that_went_back_and_forth() -> None:
    """By their modifications; and by time, as a desk hears them, where three that come late change nothing."""
    modified: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    with gzip.open(LOG, "rt") as lines:
        for row in csv.DictReader(lines):
            group = None if row["assignment_group"] == "?" else row["assignment_group"]
            modified[row["number"]].append((int(row["sys_mod_count"]), group))
    paths = {number: path(group for _, group in sorted(said, key=itemgetter(0))) for number, said in modified.items()}
    assert len(back_and_forth(paths)) == 1_153
    assert _changes(paths) == 10_417
    heard = {number: incident_log_figures.groups(rows) for number, rows in incident_log_figures.read(LOG).items()}
    assert len(back_and_forth(heard)) == 1_151
    assert _changes(heard) == 10_414


def _changes(paths: dict[str, list[str]]) -> int:
    return sum(len(groups) - 1 for groups in paths.values() if groups)
