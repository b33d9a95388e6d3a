"""Warnings that fall due together, taken as one."""

from __future__ import annotations

from datetime import timedelta

from sla_monitor.domain.digest import as_text, digests
from unit.sla.sla_desk import HOUR, Desk, agreement, at, resolution


def five_hundred() -> Desk:
    desk = Desk(agreement({"r": resolution(900)}))
    for number in range(500):
        desk.open("09:00", ticket=f"itsm:one:{number:03}")
    return desk


def test_five_hundred_warnings_due_at_once_are_one_digest() -> None:
    desk = five_hundred()
    desk.fire("09:00")
    [digest] = digests(desk.out.events * 2)  # read twice, as a consumer may that starts again
    assert (digest.occurrence, digest.clock, digest.policy, digest.left_seconds) == ("warned", "resolution", "r", 900)
    assert (digest.begins, digest.ends) == (at("09:00"), at("09:00"))
    assert digest.tickets == [f"itsm:one:{number:03}" for number in range(500)]
    assert as_text(digest, shown=2) == (
        "Mon 2026-03-02 09:00:00Z  resolution (r), 0:15:00 left: 500 tickets: itsm:one:000, itsm:one:001 and 498 more"
    )


def test_breaches_and_warnings_other_thresholds_and_other_policies_are_told_apart() -> None:
    warn = [{"left_seconds": 1800}, {"left_seconds": 900}, {"left_seconds": 900, "wall": True}]
    desk = Desk(
        agreement({"a": resolution(HOUR, warn=warn), "f": {"clock": "first_response", "goals": [{"seconds": HOUR}]}})
    )
    for number in range(3):
        desk.open("09:00", ticket=f"itsm:one:{number}")
    desk.fire("10:00")
    found = digests(desk.out.events)
    assert [(d.occurrence, d.clock, d.left_seconds, d.wall, len(d.tickets)) for d in found] == [
        ("warned", "resolution", 1800, False, 3),
        ("warned", "first_response", 900, False, 3),
        ("warned", "resolution", 900, False, 3),
        ("warned", "resolution", 900, True, 3),
        ("breached", "first_response", 0, False, 3),
        ("breached", "resolution", 0, False, 3),
    ]


def test_what_falls_due_within_the_minute_is_together_and_what_comes_after_is_not() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    for number, opened in enumerate(("09:00:00", "09:00:30", "09:01:00", "09:01:01")):
        desk.open(opened, ticket=f"itsm:one:{number}")
    desk.fire("09:59")
    assert [len(digest.tickets) for digest in digests(desk.out.events)] == [3, 1]
    assert [len(digest.tickets) for digest in digests(desk.out.events, timedelta())] == [1, 1, 1, 1]


def test_what_was_unsaid_is_in_no_digest() -> None:
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.open("09:00", ticket="itsm:one:2")
    desk.fire("11:00")
    desk.ticket("10:00", received="11:00:20", status="resolved")
    assert [(d.occurrence, d.tickets) for d in digests(desk.out.events)] == [
        ("warned", ["itsm:one:2"]),
        ("breached", ["itsm:one:2"]),
    ]


def test_the_late_ones_are_counted() -> None:
    desk = Desk(agreement({"r": resolution(900)}), present=lambda: at("10:00"))
    desk.open("09:00")
    desk.fire("10:00")
    assert [digest.late for digest in digests(desk.out.events)] == [1, 1]
    assert "1 ticket, 1 late: itsm:one:1" in as_text(digests(desk.out.events)[0])
