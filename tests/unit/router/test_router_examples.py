"""The shipped agreements, each a support model: what a reader would try on them. Ticket, instant, load -> queue, rule."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ticket_contracts.agreement import digest
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.reading import read_agreement
from ticket_router.domain.decide import Request, decide
from ticket_router.domain.policy import Policy
from unit.router.router_desk import Desk, facts, utc

AGREEMENTS = Path(__file__).parents[3] / "deploy" / "agreements"
EXAMPLES = sorted(path.stem for path in (AGREEMENTS / "examples").glob("*.yaml"))


@cache
def signed(name: str) -> Policy:
    path = AGREEMENTS / f"{name}.yaml" if name == "default" else AGREEMENTS / "examples" / f"{name}.yaml"
    made = read_agreement(path.read_text(encoding="utf-8"), path.name)
    return Policy(digest(made), made, compile_calendars(made))


# (what it shows, agreement, instant (UTC), ticket, request, load, queue, rule)
ROWS: list[tuple[str, str, str, dict[str, Any], dict[str, Any], dict[str, Any], str, str]] = [
    # Fully internal
    ("the general group, while it has room", "internal", "2026-03-06T16:59:59", {"category": "network"}, {}, {}, "service-desk", "by-day"),
    ("Friday 18:00:00: it waits for Monday at whom the night has", "internal", "2026-03-06T17:00:00", {"category": "network"}, {}, {}, "on-call", "waits-for-the-morning"),
    ("a skill that two groups have", "internal", "2026-03-02T10:00:00", {"category": "business-apps", "language": "fr"}, {}, {"loads": {"service-desk/french-and-sap": 6}}, "engineering", "by-day"),
    ("a P2 weighs two: no room for it in the last place", "internal", "2026-03-02T10:00:00", {"category": "network", "priority": "P2"}, {}, {"loads": {"service-desk": 59}}, "engineering", "by-day"),
    ("a staff meeting", "internal", "2026-09-17T10:00:00", {"category": "network"}, {}, {}, "engineering", "by-day"),
    ("Epiphany is a holiday in Bavaria", "internal", "2026-01-06T10:00:00", {"category": "network"}, {}, {}, "on-call", "waits-for-the-morning"),
    # Fully outsourced under governance
    ("all is outside", "outsourced", "2026-03-02T03:00:00", {"category": "network", "language": "es"}, {}, {}, "andes-first-line", "first-line"),
    ("a customer whose data stays in the Union", "outsourced", "2026-03-02T03:00:00", {"category": "network", "language": "es", "customer": "claims"}, {}, {}, "trusted", "first-line"),
    ("work that writes the CMDB", "outsourced", "2026-03-02T03:00:00", {"category": "network", "language": "es", "flags": ["cmdb-write"]}, {}, {}, "trusted", "writes-the-cmdb"),
    ("a language that the contract does not have", "outsourced", "2026-03-02T03:00:00", {"category": "network", "language": "fr"}, {}, {}, "trusted", "first-line"),
    ("a holiday in the partner's country alone", "outsourced", "2026-09-18T12:00:00", {"category": "network", "language": "es"}, {}, {}, "trusted", "first-line"),
    ("the day's cap, a second before Santiago's midnight", "outsourced", "2026-03-03T02:59:59", {"category": "network", "language": "es"}, {}, {"taken": {("andes", "2026-03-02"): 300}}, "trusted", "first-line"),
    ("and at its midnight", "outsourced", "2026-03-03T03:00:00", {"category": "network", "language": "es"}, {}, {"taken": {("andes", "2026-03-02"): 300}}, "andes-first-line", "first-line"),
    ("summer time is over there since 5 April: midnight is an hour later", "outsourced", "2026-04-07T03:59:59", {"category": "network", "language": "es"}, {}, {"taken": {("andes", "2026-04-06"): 300}}, "trusted", "first-line"),
    ("the month's cap", "outsourced", "2026-03-31T12:00:00", {"category": "network", "language": "es"}, {}, {"taken": {("andes", "2026-03-01"): 6000}}, "trusted", "first-line"),
    ("the month is over at the partner's midnight", "outsourced", "2026-04-01T03:00:00", {"category": "network", "language": "es"}, {}, {"taken": {("andes", "2026-03-01"): 6000}}, "andes-first-line", "first-line"),
    ("back and forth ends at the vendor manager", "outsourced", "2026-03-02T12:00:00", {"category": "network", "language": "es", "tier": 2}, {"purpose": "transfer", "cause": "return", "current": "trusted", "history": ["andes-second-line", "trusted", "andes-second-line", "trusted"]}, {}, "vendor-manager", "protocol:ping_pong"),
    # Co-managed
    ("automation first", "co-managed", "2026-03-02T10:00:00", {"category": "password-reset", "tier": 0}, {}, {}, "robots", "robots-first"),
    ("automation failed: people", "co-managed", "2026-03-02T10:00:00", {"category": "password-reset", "tier": 0}, {"purpose": "transfer", "cause": "return", "current": "robots", "history": ["robots"]}, {}, "first-line", "robots-first"),
    ("an escalation comes inside", "co-managed", "2026-03-02T10:00:00", {"category": "network"}, {"purpose": "transfer", "cause": "escalation", "current": "first-line", "history": ["first-line"]}, {}, "engineers", "climbs"),
    ("by night to the lead", "co-managed", "2026-03-02T17:30:00", {"category": "network"}, {"purpose": "transfer", "cause": "escalation", "current": "first-line", "history": ["first-line"]}, {}, "lead", "climbs"),
    ("a third round goes to the named lead", "co-managed", "2026-03-02T10:00:00", {"category": "network"}, {"purpose": "transfer", "cause": "escalation", "current": "first-line", "history": ["first-line", "engineers", "first-line"]}, {}, "lead", "protocol:ping_pong"),
    ("a reopened ticket whose queue is closed", "co-managed", "2026-03-02T21:00:00", {"category": "network"}, {"cause": "reopened", "history": ["first-line"]}, {}, "lead", "first-line"),
    ("every candidate full or closed: it waits inside", "co-managed", "2026-03-02T10:00:00", {"category": "network", "tier": 2}, {"purpose": "transfer", "cause": "declined", "tried": ["lead"]}, {"loads": {"engineers": 80}}, "engineers", "second-line"),
    # After hours and overflow
    ("Friday, the last second", "after-hours-and-overflow", "2026-03-06T15:59:59", {"category": "network"}, {}, {}, "desk", "by-day"),
    ("Friday 17:00:00", "after-hours-and-overflow", "2026-03-06T16:00:00", {"category": "network"}, {}, {}, "cebu", "by-night"),
    ("somebody has waited for ninety minutes", "after-hours-and-overflow", "2026-03-06T10:00:00", {"category": "network"}, {}, {"oldest": {"desk": 5400}}, "cebu", "by-day"),
    ("a newcomer would wait for an hour", "after-hours-and-overflow", "2026-03-06T10:00:00", {"category": "network"}, {}, {"waits": {"desk": 3600}}, "cebu", "by-day"),
    ("it drained, and the hold is over", "after-hours-and-overflow", "2026-03-06T10:00:00", {"category": "network"}, {}, {"oldest": {"desk": 1800}, "waits": {"desk": 1200}, "overflowing": ["desk"]}, "desk", "by-day"),
    ("security does not leave", "after-hours-and-overflow", "2026-03-06T22:00:00", {"category": "network", "flags": ["security"]}, {}, {}, "engineers", "inside-alone"),
    ("a holiday in the partner's country alone, before the office opens", "after-hours-and-overflow", "2026-06-12T05:00:00", {"category": "network"}, {}, {}, "duty", "by-night"),
    # Follow the sun
    ("Lisbon, before the others", "follow-the-sun", "2026-03-02T09:30:00", {"category": "network"}, {}, {}, "lisbon", "sun-over-europe"),
    ("Melbourne and Lisbon overlap: who closes last", "follow-the-sun", "2026-03-02T08:00:00", {"category": "network"}, {}, {}, "lisbon", "sun-over-europe"),
    ("the second before Austin opens", "follow-the-sun", "2026-03-02T13:59:59", {"category": "network"}, {}, {}, "lisbon", "sun-over-europe"),
    ("Lisbon and Austin overlap", "follow-the-sun", "2026-03-02T14:00:00", {"category": "network"}, {}, {}, "austin", "sun-over-america"),
    ("Austin has summer time three weeks before Lisbon", "follow-the-sun", "2026-03-09T13:00:00", {"category": "network"}, {}, {}, "austin", "sun-over-america"),
    ("Melbourne opens in its summer time", "follow-the-sun", "2026-03-02T21:00:00", {"category": "network"}, {}, {}, "melbourne", "sun-over-australia"),
    ("summer time is over in Melbourne: an hour later", "follow-the-sun", "2026-04-07T21:30:00", {"category": "network"}, {}, {}, "austin", "sun-over-america"),
    ("and has begun in October", "follow-the-sun", "2026-10-05T21:30:00", {"category": "network"}, {}, {}, "melbourne", "sun-over-australia"),
    ("a site's own holiday: the next has it", "follow-the-sun", "2026-06-10T14:30:00", {"category": "network"}, {}, {}, "austin", "sun-over-america"),
    ("Lisbon closes: to who is open then", "follow-the-sun", "2026-03-02T16:30:00", {"category": "network"}, {"purpose": "reroute", "cause": "queue_closing", "current": "lisbon", "history": ["lisbon"]}, {}, "austin", "sun-over-america"),
    ("Austin closes: across the date line", "follow-the-sun", "2026-03-02T23:30:00", {"category": "network"}, {"purpose": "reroute", "cause": "queue_closing", "current": "austin", "history": ["lisbon", "austin"]}, {}, "melbourne", "sun-over-australia"),
    # The default desk has most of them side by side
    ("automation", "default", "2026-03-02T10:00:00", {"category": "password-reset", "tier": 0}, {}, {}, "automation", "automation"),
    ("first line inside by day", "default", "2026-03-02T10:00:00", {"category": "vpn"}, {}, {}, "service-desk", "first-line-by-day"),
    ("the partner on overflow", "default", "2026-03-02T10:00:00", {"category": "vpn"}, {}, {"loads": {"service-desk": 60}}, "helpline-first-line", "first-line-by-day"),
    ("the partner after hours", "default", "2026-03-02T18:00:00", {"category": "vpn"}, {}, {}, "helpline-first-line", "first-line-by-night"),
    ("a partner of its own on site", "default", "2026-03-02T10:00:00", {"category": "laptop", "tier": 2}, {}, {}, "campo-on-site", "hardware"),
    ("security inside", "default", "2026-03-02T20:00:00", {"category": "phishing", "flags": ["security"], "tier": 3}, {}, {}, "security", "security"),
    ("the last who can help is the duty manager", "default", "2026-03-02T20:00:00", {"category": "vpn"}, {"purpose": "transfer", "cause": "escalation", "current": "on-call", "history": ["on-call"]}, {}, "duty", "up-last"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shows", "agreement", "at", "ticket", "asked", "load", "queue", "rule"),
    ROWS,
    ids=[f"{row[1]}: {row[0]}" for row in ROWS],
)
def test_a_support_model_decides(
    shows: str,
    agreement: str,
    at: str,
    ticket: dict[str, Any],
    asked: dict[str, Any],
    load: dict[str, Any],
    queue: str,
    rule: str,
) -> None:
    request = Request(**{"facts": facts(**ticket), "purpose": "first", "cause": "first", **asked})
    outcome = decide(request, signed(agreement), Desk(**load), utc(at))
    assert (outcome.queue.name, outcome.rule) == (queue, rule), outcome.reason


def test_each_example_is_shown_by_some_row() -> None:
    assert {row[1] for row in ROWS} == {*EXAMPLES, "default"}
    for name in EXAMPLES:
        about = (AGREEMENTS / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
        assert about.startswith("# "), "the first lines say what it is"
        assert "# Shows: " in about
