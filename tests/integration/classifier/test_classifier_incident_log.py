"""The real incident log that lies beside the project; skipped where it does not."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ticket_classifier.handlers import ClassifierWork
from ticket_contracts import topics
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.classification import TicketClassified
from ticket_runtime.agreements import Agreements
from ticket_runtime.testing import FakeOutputs
from unit.classifier.classifier_desk import normalized, published, record

ROOT = Path(__file__).parents[3]
LOG = ROOT.parent / "shared" / "data" / "servicenow_incident_log.csv.gz"
AGREEMENT = ROOT / "deploy" / "agreements" / "incident-log.yaml"
_LEVEL = {"1 - High": "high", "2 - Medium": "medium", "3 - Low": "low"}


@pytest.mark.skipif(not LOG.exists(), reason=f"the incident log is not beside the project ({LOG.name})")
def test_the_matrix_gives_the_logs_priority_in_every_event() -> None:
    agreement = read_agreement(AGREEMENT.read_text(), AGREEMENT.name)
    work = ClassifierWork(Agreements([published(agreement, datetime(1970, 1, 1, tzinfo=UTC))]))
    version: Counter[str] = Counter()
    categories: Counter[str | None] = Counter()
    events = decisions = 0
    for row in _rows():
        ticket = f"servicenow:log:{row['number']}"
        version[ticket] += 1
        said = normalized(
            title="",
            ticket=ticket,
            version=version[ticket],
            at=datetime.strptime(row["sys_updated_at"], "%d/%m/%Y %H:%M").replace(tzinfo=UTC),
            evidence={"impact": _LEVEL[row["impact"]], "urgency": _LEVEL[row["urgency"]]}
            | ({} if row["category"] == "?" else {"category": row["category"]}),
            group=None if row["assignment_group"] == "?" else row["assignment_group"],
        )
        out = FakeOutputs()
        work.handle(record(said), out)
        for event in out.events(topics.CLASSIFIED):
            assert isinstance(event, TicketClassified)
            decisions += 1
            assert not event.abstained
            categories[event.category] += 1
        state = work.state(ticket)
        assert state is not None
        assert state.outcome.priority == f"P{row['priority'][0]}", row
        events += 1
    assert events == 77_015
    assert len(version) == 12_460
    assert len(version) < decisions < events  # some were re-prioritised or re-categorised, most events change neither
    assert set(categories) == {*agreement.ancestors}  # each of the log's 43 categories, and `uncategorised`


def _rows() -> list[dict[str, str]]:
    with gzip.open(LOG, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows.sort(key=lambda row: (row["number"], int(row["sys_mod_count"])))
    return rows
