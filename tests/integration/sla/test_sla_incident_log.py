"""The fitted clock over the real incident log that lies beside the project; skipped where it does not."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from sla_monitor import offline
from sla_monitor.adapters.recorded import Recorded
from sla_monitor.domain.redecide import differences
from sla_monitor.handlers import SlaWork
from ticket_contracts import topics
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.classification import ClassificationInputs, TicketClassified
from ticket_contracts.cloudevents import Event, encode
from ticket_contracts.tickets import Status, TicketNormalized
from unit.sla.sla_desk import TOPIC_OF, Collected, FakeAgreements, published, record_of

ROOT = Path(__file__).parents[3]
LOG = ROOT.parent / "shared" / "data" / "servicenow_incident_log.csv.gz"
AGREEMENT = ROOT / "deploy" / "agreements" / "incident-log.yaml"

_STATUS: dict[str, Status] = {
    "New": "new",
    "Active": "open",
    "Awaiting User Info": "pending_customer",
    "Awaiting Vendor": "pending_vendor",
    "Resolved": "resolved",
    "Closed": "closed",
}
_LEVEL = {"1 - High": "high", "2 - Medium": "medium", "3 - Low": "low"}


def _date(text: str) -> datetime | None:
    return None if text == "?" else datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


def _rows() -> list[dict[str, str]]:
    with gzip.open(LOG, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows.sort(key=lambda row: (row["number"], int(row["sys_mod_count"])))
    return rows


def _events(rows: list[dict[str, str]]) -> Iterator[Event]:
    """What intake and classifier make of the log: by instant, and of a ticket in the log's order."""
    version: Counter[str] = Counter()
    classified: dict[str, tuple[int, tuple[str, str, str]]] = {}
    found: list[tuple[datetime, str, int, int, Event]] = []
    newest: dict[str, datetime] = {}
    for row in rows:
        number = row["number"]
        ticket = f"servicenow:log:{number}"
        version[number] += 1
        sent = _date(row["sys_updated_at"])
        assert sent is not None
        newest[number] = sent = max(sent, newest.get(number, sent))
        normalized = TicketNormalized(
            ticket=ticket,
            decided_for=sent,
            ticket_version=version[number],
            source_version=row["sys_mod_count"],
            delivery="d",
            lifecycle="updated",
            changed=["updated_at"],
            source="servicenow",
            instance="log",
            external_id=number,
            status=_STATUS.get(row["incident_state"], "on_hold"),
            group=None if row["assignment_group"] == "?" else row["assignment_group"],
            created_at=_date(row["opened_at"]),
            updated_at=sent,
            received_at=sent,
        )
        found.append((sent, number, version[number], 0, normalized))
        judged = (_LEVEL[row["impact"]], _LEVEL[row["urgency"]], f"P{row['priority'][0]}")
        before = classified.get(number)
        if before is None or before[1] != judged:
            classified[number] = (before[0] + 1 if before else 1, judged)
            decided = TicketClassified(
                ticket=ticket,
                decided_for=sent,
                ticket_version=version[number],
                classification_version=classified[number][0],
                rule="source",
                agreement_version="v",
                category=None,
                kind="incident",
                impact=judged[0],
                urgency=judged[1],
                priority=judged[2],
                tier=1,
                inputs=ClassificationInputs(normalized="n"),
            )
            found.append((sent, number, version[number], 1, decided))
    found.sort(key=lambda entry: entry[:4])
    for *_, event in found:
        yield event


class Played(NamedTuple):
    """rows: of the log. told: what the monitor heard of it."""

    rows: list[dict[str, str]]
    told: list[Event]
    out: Collected


@pytest.fixture(scope="module")
def played() -> Played:
    if not LOG.exists():
        pytest.skip("the incident log is not beside the project")
    rows = _rows()
    out = Collected()
    work = SlaWork(FakeAgreements(read_agreement(AGREEMENT.read_text(), str(AGREEMENT))))
    step = datetime.min.replace(tzinfo=UTC)
    told = list(_events(rows))
    for event in told:
        if event.decided_for > step:  # a replay's grain: what came up to its end is settled, then the rest fires
            if step.year > 1:
                work.fire(step, out)
            step = event.decided_for + timedelta(hours=1)
        work.handle(record_of(event), out)
    work.fire(step, out)
    return Played(rows, told, out)


def test_the_fitted_clock_agrees_with_the_log_s_own_word(played: Played) -> None:
    rows, out = played.rows, played.out
    # A ticket whose priority was lowered may have missed the goal that it had before: its last generation counts.
    last_generation = {event.ticket: event.generation for event in out.events}
    breached = {
        event.ticket
        for event in out.events
        if event.occurrence == "breached" and event.generation == last_generation[event.ticket]
    }
    last = {row["number"]: row for row in rows}
    agreeing: dict[str, list[bool]] = defaultdict(list)
    for number, row in last.items():
        made = row["made_sla"] == "true"
        agreeing[row["priority"][0]].append(made != (f"servicenow:log:{number}" in breached))
    share = {priority: sum(each) / len(each) for priority, each in sorted(agreeing.items())}
    counts = {priority: len(each) for priority, each in sorted(agreeing.items())}
    print({priority: f"{100 * each:.2f} %" for priority, each in share.items()}, counts)  # noqa: T201
    assert counts["3"] > 10_000
    assert share["3"] >= 0.985, (share, counts)
    assert share["4"] >= 0.985, (share, counts)


def test_every_clock_event_of_the_log_is_decided_again_by_plain_arithmetic(
    played: Played,
) -> None:
    agreement = read_agreement(AGREEMENT.read_text(), str(AGREEMENT))
    calendars = compile_calendars(agreement)
    out = played.out
    assert len(out.events) > 25_000
    assert [faults for event in out.events if (faults := differences(event, agreement, calendars))] == []


def test_every_clock_of_the_log_is_recomputed_from_its_ticket_s_history(played: Played) -> None:
    version = published(read_agreement(AGREEMENT.read_text(), str(AGREEMENT)), datetime(2016, 1, 1, tzinfo=UTC))
    rows = [Recorded(topic=topics.AGREEMENT, data=msgspec.Raw(version.model_dump_json().encode()))]
    for number, event in enumerate([*played.told, *played.out.events]):
        topic = TOPIC_OF.get(type(event), topics.SLA_EVENTS)
        data = msgspec.Raw(encode(event))
        rows.append(Recorded(topic=topic, key=event.ticket, n=number, ce_id="", ce_type=event.TYPE, data=data))
    verdict = offline.verify(rows)
    print(f"{verdict.checked:,} clocks recomputed, {verdict.different} different")  # noqa: T201
    assert verdict.findings == []
    assert verdict.checked == len({event.ticket for event in played.told})


def test_each_warning_and_breach_of_the_log_is_said_once(played: Played) -> None:
    out = played.out
    assert [ident for ident, count in Counter(out.ids).items() if count > 1] == []
    said: Counter[Any] = Counter(
        (event.ticket, event.generation, event.occurrence, event.threshold_seconds)
        for event in out.events
        if event.occurrence in ("warned", "breached")
    )
    assert said
    assert set(said.values()) == {1}
    assert not any(event.late for event in out.events)
