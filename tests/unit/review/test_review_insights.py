"""What the figures point at, told in small made-up material."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sla_monitor.review import insights, measures
from sla_monitor.review.material import Material
from sla_monitor.review.period import month_of

AT = datetime(2016, 3, 7, 9, tzinfo=UTC)


def material(**more: Any) -> Material:
    lists = ("opened", "finished", "resolutions", "reopenings", "judged", "stays", "taken", "transfers", "scores")
    given: dict[str, Any] = {name: [] for name in (*lists, "pauses", "rules", "agreements")}
    given |= {
        "period": month_of("2016-03"),
        "partners": {"owls": "Night Owls – nights"},
        "titles": {"desk": "The desk"},
    }
    return Material(**(given | {"first_at": AT, "last_at": AT} | more))


def row(**more: Any) -> SimpleNamespace:
    given = {"ticket": "t", "url": None, "partner": None, "queue": "desk", "category": "vpn", "priority": "P3"}
    return SimpleNamespace(**(given | more))


def finished(number: int, **more: Any) -> SimpleNamespace:
    given = {
        "ticket": f"t{number}",
        "opened_at": AT,
        "resolved_at": AT + timedelta(hours=2),
        "stays": 1,
        "returns": 0,
        "reopened": 0,
        "covered": False,
        "corrected": False,
        "kind": "incident",
    }
    return row(**(given | more))


def test_a_breach_is_given_to_who_owned_the_ticket_then() -> None:
    judged = [
        row(ticket="a", kept=False, clock="resolution"),
        row(ticket="b", kept=False, clock="first_response", queue=None, priority="P1"),
        row(ticket="c", kept=False, clock="resolution", queue="owls-1", partner="owls"),
        row(ticket="d", kept=True, clock="resolution"),
    ]
    found = {line.what: line for line in insights.breaches(material(judged=judged)).lines}
    assert {name: line.values["breaches"] for name, line in found.items()} == {
        "The desk": 1,
        "Intake duty": 1,
        "owls-1": 1,
    }
    assert found["owls-1"].values["side"] == "Night Owls"
    assert found["Intake duty"].values["urgent"] == 1
    assert [counted.ticket for counted in found["The desk"].counted] == ["a"]


@pytest.mark.parametrize(
    ("rows", "worth"),
    [
        ([finished(n) for n in range(20)], True),
        ([finished(n) for n in range(19)], False),
        ([finished(n, stays=1 + (n < 5)) for n in range(20)], False),
        ([finished(n, resolved_at=AT + timedelta(hours=2 if n % 5 else 100)) for n in range(40)], False),
    ],
    ids=["frequent, alone, alike", "too few", "a quarter is handed on", "one in five takes fifty times as long"],
)
def test_what_is_worth_automating(rows: list[Any], worth: bool) -> None:
    assert bool(insights.automation(material(finished=rows)).lines) == worth


def test_what_a_candidate_cost_is_said_in_each_currency_and_for_each_partner() -> None:
    taken = [
        row(ticket="t1", partner="owls", price=12.5, currency="EUR"),
        row(ticket="t1", partner="larks", price=10, currency="EUR"),  # both are paid for a ticket that both took
        row(ticket="t2", partner="rooks", price=900, currency="INR"),
        row(ticket="t3", partner="owls", price=1, currency="EUR", category="mail"),
        row(ticket="t4", partner="owls", price=None, currency=None),
    ]
    found = insights.automation(material(finished=[finished(n) for n in range(20)], taken=taken))
    (line,) = found.lines
    titles = {title: line.values[name] for name, (title, unit) in found.columns.items() if unit == "money"}
    assert titles == {"Paid to partners (EUR)": 22.5, "Paid to partners (INR)": 900}


def test_a_resolution_that_did_not_last_counts_among_those_that_are_reopened() -> None:
    theirs = [row(ticket=f"t{n}", partner="owls") for n in range(20)]  # ten of them the company resolved at last
    (reopen,) = (
        measure
        for measure in measures.quality(
            material(
                finished=[finished(n, responded_at=None, first_tier=1, first_queue="desk", tool_moves=0, tool_returns=0)
                          for n in range(10)],
                resolutions=[*theirs, *(row(ticket=f"t{n}") for n in range(10))],
                reopenings=theirs[:15],
            )
        ).measures
        if measure.id == "reopen"
    )  # fmt: skip
    found = {side: (cell.value, cell.of) for side, cell in reopen.cells.items()}
    assert found == {"internal": (0, 10), "owls": (0.75, 20), "all": (0.5, 30)}


def test_a_gap_is_what_is_handed_on_without_an_article() -> None:
    moved = [finished(n, stays=2) for n in range(10)]
    assert [line.what for line in insights.gaps(material(finished=moved)).lines] == ["vpn"]
    assert not insights.gaps(material(finished=[finished(n, stays=2, covered=True) for n in range(10)])).lines
    assert not insights.gaps(material(finished=[finished(n) for n in range(10)])).lines


def test_knowledge_that_only_a_partner_holds() -> None:
    theirs = [finished(n, partner="owls", queue="owls-1") for n in range(5)]
    (line,) = insights.only_partners(material(finished=[*theirs, finished(9)])).lines
    assert line.values["outside"] == pytest.approx(5 / 6)
    assert line.values["who"] == "Night Owls"
    assert not insights.only_partners(material(finished=[*theirs, finished(8), finished(9)])).lines


UNTIL = datetime(2016, 4, 1, tzinfo=UTC)


def pause(**more: Any) -> SimpleNamespace:
    given = {
        "at": AT,
        "until_at": AT + timedelta(hours=2),
        "deadline": AT + timedelta(hours=5),
        "status": "pending_customer",
        "asked": 1,
        "answered_at": None,
        "has_comments": True,
    }
    return row(**(given | more))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"asked": 0}, [measures.UNASKED]),
        ({"asked": 0, "has_comments": False}, []),  # a tool that sends no comments says nothing about them
        ({"asked": 0, "status": "on_hold"}, []),
        ({"answered_at": AT + timedelta(hours=1), "until_at": AT + timedelta(hours=5)}, []),
        ({"answered_at": AT + timedelta(hours=1), "until_at": AT + timedelta(hours=5, seconds=1)}, [measures.ANSWERED]),
        ({"answered_at": AT, "until_at": None}, [measures.ANSWERED]),
        ({"deadline": AT + timedelta(minutes=29)}, [measures.LAST_MINUTE]),
        ({"deadline": AT + timedelta(minutes=30)}, []),
        ({"deadline": AT - timedelta(minutes=1)}, []),  # breached already: nothing to gain
        ({"deadline": None}, []),
    ],
)
def test_why_a_pause_looks_unjustified(given: dict[str, Any], expected: list[str]) -> None:
    assert measures.doubts(pause(**given), UNTIL) == expected


def test_an_agreement_is_compared_entry_by_entry() -> None:
    before = {"sla": {"first": {"goals": [{"seconds": 900}]}}, "taxonomy": [{"id": "vpn", "title": "VPN"}], "old": 1}
    after = {
        "sla": {"first": {"goals": [{"seconds": 600}]}},
        "taxonomy": [{"id": "sap", "title": "SAP"}, {"id": "vpn", "title": "VPN"}],
    }
    assert list(insights.differences(before, after)) == [
        ("sla.first.goals", "{'seconds': 900}", "{'seconds': 600}"),
        ("taxonomy.sap", "–", "{'id': 'sap', 'title': 'SAP'}"),
        ("old", "1", "–"),
    ]
