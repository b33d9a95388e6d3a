"""A policy tried before it is signed: a flood with and without overflow, the same bytes twice, the week's picture."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ticket_contracts.agreement.coverage import coverage
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import TransferAccepted, TransferOffered
from ticket_router.__main__ import main
from ticket_router.adapters.page import _by_day, coverage_page, page, table
from ticket_router.domain.coverage import picture
from ticket_router.pace import Pace
from ticket_router.whatif import Always, Given, Run, figures, flows, in_order, moved, wishes
from ticket_router.whatif import simulate as simulate_at
from unit.router.router_desk import (
    ALL_DAYS,
    MONDAY,
    TICKET,
    agreement,
    classified,
    content,
    hours,
    merge,
    normalized,
    policy,
    published,
    requested,
)

BERLIN = ZoneInfo("Europe/Berlin")
ALWAYS: dict[str, Any] = {
    "calendars": {"always": {"zone": "Asia/Manila", "hours": hours(("00:00", "24:00"), days=ALL_DAYS)}},
    "partners": {"nightwatch": {"calendar": "always", "price_per_ticket": {1: 10.0}}},
}
WITH: dict[str, Any] = {**ALWAYS, "queues": {"desk": {"capacity": 30, "overflow": {"above": 20, "below": 10}}}}
WITHOUT: dict[str, Any] = {**ALWAYS, "queues": {"desk": {"capacity": None, "overflow": None}}}


AT_ONCE = Pace([normalized(status="open")])
"""Somebody began in the second of the creation."""


def simulate(under: Always, history: list[Given], pace: Pace = AT_ONCE) -> Run:
    return simulate_at(under, history, pace)


def flood() -> list[Given]:
    """Sixty tickets in half an hour of a Monday morning, each closed after an hour; then a quiet evening."""
    tickets, judged = [], []
    for number in range(80):
        at = MONDAY + (timedelta(seconds=30 * number) if number < 60 else timedelta(hours=9, minutes=5 * number))
        name = f"servicenow:main:INC{number:03}"
        tickets += [normalized(1, at, name), normalized(2, at + timedelta(hours=1), name, status="closed")]
        judged.append(classified(1, at, name))
    return in_order(tickets, judged, [])


def numbers(run: Run, **changes: Any) -> Any:
    return figures(run, policy(**changes), "frankfurt")


def test_a_flood_with_and_without_an_overflow() -> None:
    history = flood()
    current = simulate(Always(published(agreement(**WITHOUT))), history)
    candidate = simulate(Always(published(agreement(**WITH))), history)
    without, with_overflow = numbers(current, **WITHOUT), numbers(candidate, **WITH)
    assert without.peaks["desk"] == (60, None, MONDAY + timedelta(minutes=29, seconds=30))
    assert with_overflow.peaks["desk"][:2] == (20, 30)
    assert (without.by_queue, with_overflow.by_queue) == (
        {"desk": 60, "night-desk": 20},
        {"desk": 20, "night-desk": 60},
    )
    assert (without.cost, with_overflow.cost) == (200.0, 600.0)
    assert (without.overflow, with_overflow.overflow) == (0, 40)
    assert with_overflow.after_hours == 20
    elsewhere = moved(current, candidate)
    assert len(elsewhere) == 40
    assert {(m.was, m.now, m.now_rule) for m in elsewhere} == {("desk", "night-desk", "by-day")}
    said = table(without, with_overflow, elsewhere, BERLIN)
    assert "40 tickets would go elsewhere" in said
    assert "peak load desk (of 30)" in said


def test_the_same_bytes_twice() -> None:
    def whole() -> str:
        runs = [(n, simulate(Always(published(agreement(**c))), flood()), c) for n, c in (("a", WITHOUT), ("b", WITH))]
        found = [(name, run, numbers(run, **c)) for name, run, c in runs]
        return page("Flood", found, moved(runs[0][1], runs[1][1]), BERLIN, AT_ONCE)

    once = whole()
    assert whole() == once
    assert once.count("INC0") == 40


def test_what_people_asked_for_is_asked_again_from_where_the_ticket_is_then() -> None:
    later = MONDAY + timedelta(hours=1)
    asks = requested(1, later, "t1", cause="source", asks=True, tried=["elsewhere"], target_group="Experts")
    timer = requested(2, later, "t2", cause="pre_breach", asks=True)
    history = in_order([normalized()], [classified()], [asks, timer])
    assert len(history) == 3, "a warning is the agreement's doing, not history"
    run = simulate(Always(published(agreement())), history)
    assert [(s.purpose, s.queue) for s in run.steps] == [("first", "desk"), ("transfer", "specialists")]


def test_a_closing_queue_moves_its_tickets_in_a_run_too() -> None:
    closing = {**ALWAYS, "queues": {"desk": {"close_lead_minutes": 30}}}
    next_day = MONDAY + timedelta(days=1)
    other = "servicenow:main:INC2"
    history = in_order(
        [normalized(), normalized(1, next_day, other)], [classified(), classified(1, next_day, other)], []
    )
    run = simulate(Always(published(agreement(**closing))), history)
    assert [(s.purpose, s.queue) for s in run.steps] == [
        ("first", "desk"),
        ("reroute", "night-desk"),
        ("first", "desk"),
    ]
    assert run.steps[1].at == datetime.fromisoformat("2026-03-02T16:30:00+00:00")


@pytest.mark.parametrize(
    ("week", "gap_hours"),
    [("2026-03-02", 2 * 7), ("2026-06-08", 2 * 7 + 14)],
    ids=["an ordinary week: the days of the weekend", "and a night of a holiday in the partner's country alone"],
)
def test_the_week_and_its_gaps(week: str, gap_hours: int) -> None:
    made = policy(partners={"nightwatch": {"categories": ["hardware", "access"]}})
    zone = ZoneInfo("Europe/Berlin")
    begin = datetime.combine(date.fromisoformat(week), time(), zone)
    stretches = coverage(made.agreement, made.calendars, begin, begin + timedelta(days=7))
    for tier in (0, 1, 2, 3):
        own = [s for s in stretches if s.tier == tier]
        assert own[0].begin == begin
        assert own[-1].until == begin + timedelta(days=7)
        assert all(a.until == b.begin for a, b in pairwise(own)), "every minute is in one stretch"
    assert not [s for s in stretches if s.tier >= 2 and s.gaps]
    gaps = [s for s in stretches if s.tier == 1 and s.gaps]
    assert sum((s.until - s.begin).total_seconds() for s in gaps) == gap_hours * 3600
    assert {category for s in gaps for category, _ in s.gaps} == {"hardware", "laptop", "access"}
    drawn = picture(made, stretches, zone).splitlines()
    assert len(drawn) == 4 * 8
    assert drawn[9].startswith(f"  Mon {week}")
    assert "I I I I" in drawn[9]


def test_one_hour_of_the_year_has_no_letter_and_one_has_both() -> None:
    made = policy()
    zone = ZoneInfo("Europe/Berlin")
    begin = datetime.combine(date(2026, 3, 29), time(), zone)
    drawn = picture(made, coverage(made.agreement, made.calendars, begin, begin + timedelta(days=1)), zone).splitlines()
    assert drawn[1][len("  Sun 2026-03-29  ") :].split(" ")[2] == "", "02:00 does not exist that day"


def test_a_deadline_that_falls_before_the_queue_opens_is_at_risk() -> None:
    nobody_by_night = {
        **ALWAYS,
        "routing": {"rules": [{"name": "all", "to": ["desk"]}]},
        "queues": {"duty": {"calendar": "frankfurt"}},
    }
    evening = MONDAY.replace(hour=17, minute=30)  # 18:30 in Berlin; the goal is eight hours around the clock
    history = in_order([normalized(1, evening, created_at=evening)], [classified(1, evening)], [])
    late = simulate(Always(published(agreement(**nobody_by_night))), history)
    assert numbers(late, **nobody_by_night).at_risk == 1
    early = simulate(Always(published(agreement(**ALWAYS))), history)
    assert numbers(early, **ALWAYS).at_risk == 0, "the partner works by night"


def test_figures_are_plain_data() -> None:
    run = simulate(Always(published(agreement(**WITH))), flood())
    assert msgspec.json.decode(msgspec.json.encode(numbers(run, **WITH)))["tickets"] == 80


def both() -> tuple[Run, Run]:
    return (
        simulate(Always(published(agreement(**WITHOUT))), flood()),
        simulate(Always(published(agreement(**WITH))), flood()),
    )


def test_moves_between_queues_tiers_and_partners_hour_by_hour() -> None:
    elsewhere = moved(*both())
    for kind, was, now in (("queue", "desk", "night-desk"), ("partner", "inside", "nightwatch")):
        (flow,) = flows(elsewhere, BERLIN, kind)  # type: ignore[arg-type]
        assert (flow.was, flow.now, flow.tickets, flow.hours) == (was, now, 40, {10: 40})
    assert flows(elsewhere, BERLIN, "tier") == [], "both are first line"
    found = numbers(both()[1], **WITH)
    assert found.hours[10] == {"desk": 20, "night-desk": 40}
    assert found.hours_by_tier[10] == {"1": 60}
    assert found.hours_by_partner[10] == {"inside": 20, "nightwatch": 40}
    assert found.hours_overflow[10] == 40
    assert found.cost_by_partner == {"nightwatch": 600.0}
    assert found.after_hours_share == 0.25


def test_tiers_stand_in_their_order_and_the_rest_stands_last() -> None:
    from ticket_router.adapters import charts  # it brings matplotlib

    tiers = {9: {"tier 1": 50, "tier 2": 20, "tier 0": 5, "tier 3": 1}}
    drawn = charts.by_hour([("current", tiers)], "first decisions by tier")
    assert re.findall(r">(tier \d)</text>", drawn) == ["tier 0", "tier 1", "tier 2", "tier 3"]
    many = {9: {f"queue {letter}": number for number, letter in enumerate("kjihgfedcba", 1)}}
    drawn = charts.by_hour([("current", many)], "first decisions by queue")
    shown = [f"queue {letter}" for letter in "abcdefghi"]
    assert re.findall(r">(queue \w|all others)</text>", drawn) == [*shown, "all others"]


def test_what_is_paid_in_two_currencies_is_not_added_up() -> None:
    """By day a partner paid in dollars has what overflows, by night one paid in euros; before, in pounds."""
    second = {**content()["partners"]["nightwatch"], "calendar": "always", "languages": None, "currency": "USD"}
    both_partners = merge(
        WITH,
        {
            "partners": {"daywatch": {**second, "price_per_ticket": {1: 2.0}}},
            "queues": {"day-desk": {**content()["queues"]["night-desk"], "partner": "daywatch"}},
            "routing": {
                "rules": [
                    {"name": "by-day", "when": {"open": ["frankfurt"]}, "to": ["desk", "day-desk"]},
                    {"name": "by-night", "when": {"closed": ["frankfurt"]}, "to": ["night-desk"]},
                ]
            },
        },
    )
    pounds = merge(WITHOUT, {"partners": {"nightwatch": {"currency": "GBP"}}})
    runs = [simulate(Always(published(agreement(**changes))), flood()) for changes in (pounds, both_partners)]
    was, now = numbers(runs[0], **pounds), numbers(runs[1], **both_partners)
    assert (was.cost, was.cost_by_currency) == (200.0, {"GBP": 200.0})
    assert (now.cost, now.cost_by_currency) == (None, {"EUR": 200.0, "USD": 80.0})
    assert now.currencies == {"daywatch": "USD", "nightwatch": "EUR"}
    shown = table(was, now, [], BERLIN)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert "cost by the price list, EUR 0.00 200.00 +200.00" in lines
    assert "cost by the price list, GBP 200.00 0.00 -200.00" in lines
    assert "cost by the price list, USD 0.00 80.00 +80.00" in lines
    assert "cost of daywatch, USD 0.00 80.00 +80.00" in lines
    found = [("current", runs[0], was), ("candidate", runs[1], now)]
    said = page("Currencies", found, moved(*runs), BERLIN, AT_ONCE)
    assert "Partners would cost 80.00 USD more by the price list." in said
    assert "Partners would cost 200.00 GBP less by the price list." in said


def test_reassignments_of_a_feed_are_asked_again_unless_they_are_fulfilled() -> None:
    """A feed that no desk has handled yet has no transfers: people gave the ticket to another group."""
    later = MONDAY + timedelta(hours=1)
    versions = [
        normalized(group="Helpers"),
        normalized(2, later, group="Experts", changed=["group"]),
        normalized(3, later + timedelta(hours=1), group="Experts", changed=["title"]),
        normalized(4, later + timedelta(hours=2), group="Helpers", changed=["group", "title"]),
    ]
    history = in_order(versions, [classified()], wishes(versions))
    run = simulate(Always(published(agreement())), history)
    assert [(s.purpose, s.queue) for s in run.steps] == [
        ("first", "desk"),
        ("transfer", "specialists"),
        ("transfer", "desk"),
    ]
    there = agreement(routing={"rules": [{"name": "all", "to": ["specialists"]}]})
    run = simulate(Always(published(there)), history)
    assert [(s.purpose, s.queue) for s in run.steps] == [("first", "specialists"), ("transfer", "desk")]


def test_a_page_needs_nothing_but_a_browser_and_shows_hostile_names_as_text() -> None:
    evil = "<script>alert(1)</script>"
    current, candidate = both()
    elsewhere = [msgspec.structs.replace(m, ticket=evil) for m in moved(current, candidate)]
    found = [("current", current, numbers(current, **WITHOUT)), ("candidate", candidate, numbers(candidate, **WITH))]
    shown = page(evil, found, elsewhere, BERLIN, AT_ONCE)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert not re.findall(r"(?:src|href)=\"(?!#)", shown.replace('xlink:href="#', "")), "nothing is fetched"
    assert shown.count("<svg") == 6
    assert len(re.findall(r'<div class="wide"><svg', shown)) == 6, "a chart scrolls where the screen is narrow"
    calm = [("a", current, numbers(current, **WITHOUT))] * 2
    assert page("Calm", calm, [], BERLIN, AT_ONCE).count("<svg") == 4, "no chart of what never happened"


def test_the_week_as_a_page_shows_the_hour_that_is_not_there() -> None:
    made = policy()
    begin = datetime(2026, 3, 29, tzinfo=BERLIN)
    stretches = coverage(made.agreement, made.calendars, begin, begin + timedelta(days=1))
    shown = coverage_page("Week", made, stretches, BERLIN)
    assert shown == coverage_page("Week", made, stretches, BERLIN)
    assert "nobody but the duty owner" in shown
    assert "Sun 29 Mar 17:00" in shown
    spans = [span for stretch in stretches if stretch.tier == 1 for span in _by_day(stretch, BERLIN)]
    assert sum(until - begins for _, begins, until in spans) == 23
    assert not [span for span in spans if span[1] < 3 and span[2] > 2], "from two to three there is nobody to answer"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Kolkata", "2026-03-02", 24),
        ("Asia/Kathmandu", "2026-03-02", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24),
        ("America/St_Johns", "2026-03-08", 23),
    ],
    ids=[
        "half an hour",
        "a quarter",
        "winter time by half an hour lies upon itself",
        "summer time of a half-hour zone",
    ],
)
def test_a_day_of_a_zone_between_whole_hours_is_drawn_from_midnight_to_midnight(
    zone: str, day: str, hours: int
) -> None:
    made, home = policy(), ZoneInfo(zone)
    begin = datetime.combine(date.fromisoformat(day), time(), home)
    stretches = coverage(made.agreement, made.calendars, begin, begin + timedelta(days=2))
    drawn: dict[date, list[tuple[float, float]]] = {}
    for span in (span for stretch in stretches if stretch.tier == 2 for span in _by_day(stretch, home)):
        drawn.setdefault(span[0], []).append(span[1:])
    assert list(drawn) == [begin.date(), begin.date() + timedelta(days=1)]
    for spans in drawn.values():
        assert (min(begins for begins, _ in spans), max(ends for _, ends in spans)) == (0, 24)
    minutes_shown = {m for begins, ends in drawn[begin.date()] for m in range(round(60 * begins), round(60 * ends))}
    assert len(minutes_shown) == 60 * hours
    letters = picture(made, stretches, home).splitlines()[7:9]
    assert [line.split()[2:] for line in letters] == [["I"] * hours, ["I"] * 24]


# -- people


def offered(
    at: datetime, transfer: str, ticket: str = TICKET, queue: str = "desk", attempt: int = 1
) -> TransferOffered:
    return TransferOffered(
        ticket=ticket,
        decided_for=at,
        sequence=1,
        agreement_version="",
        ticket_version=1,
        classification_version=1,
        transfer_id=transfer,
        attempt=attempt,
        queue=queue,
        receiver="Ada",
        digest="d",
        acknowledge_seconds=900,
        decision=1,
    )


def accepted(
    at: datetime, transfer: str, ticket: str = TICKET, queue: str = "desk", attempt: int = 1, automatic: bool = False
) -> TransferAccepted:
    return TransferAccepted(
        ticket=ticket,
        decided_for=at,
        sequence=2,
        agreement_version="",
        ticket_version=1,
        classification_version=1,
        transfer_id=transfer,
        attempt=attempt,
        queue=queue,
        digest="d",
        actor="Ada",
        automatic=automatic,
    )


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def test_people_accept_as_fast_as_their_transfers_tell() -> None:
    pace = Pace(
        [normalized(status="open")],
        [
            offered(MONDAY, "t1"),
            offered(MONDAY, "t2", queue="night-desk"),
            offered(MONDAY, "t2", queue="specialists", attempt=2),
            offered(MONDAY, "t3", "x:y:2"),
            offered(MONDAY, "t4", "x:y:3"),
        ],
        [
            accepted(MONDAY + seconds(120), "t1"),
            accepted(MONDAY + seconds(300), "t2", queue="specialists", attempt=2),
            accepted(MONDAY + seconds(400), "t3", "x:y:2"),
            accepted(MONDAY, "t4", "x:y:3", automatic=True),
        ],
    )
    assert (pace.known, pace.from_transfers) == (2, True)
    assert [pace.seconds(TICKET, nth, "desk", 900) for nth in range(3)] == [120, 300, 300]
    assert pace.seconds(TICKET, 1, "desk", 200) == 200, "later than agreed nobody accepts: the duty owner has it"
    assert pace.seconds("x:y:9", 0, "desk", 900) == 120, "as most do there"
    assert pace.seconds("x:y:9", 0, "lead", 900) == 300, "as most do"


def test_of_a_feed_the_first_status_tells_and_of_nothing_the_agreement() -> None:
    feed = [normalized(), normalized(2, MONDAY + seconds(240), status="open"), normalized(3, MONDAY, status="on_hold")]
    assert Pace(feed).seconds(TICKET, 0, "desk", 900) == 240
    assert (Pace([normalized()]).known, Pace([normalized()]).seconds(TICKET, 0, "desk", 900)) == (0, 900)


def test_who_gives_a_ticket_away_has_it_until_it_is_accepted() -> None:
    later = MONDAY + timedelta(hours=1)
    asks = requested(1, later, "t1", cause="source", asks=True, target_group="Experts")
    pace = Pace([], [offered(MONDAY, "t")], [accepted(MONDAY + seconds(600), "t")])
    after = normalized(1, later + timedelta(hours=1), "servicenow:main:INC2")
    history = in_order([normalized(), after], [classified()], [asks])
    run = simulate(Always(published(agreement())), history, pace)
    begun = int(later.timestamp())
    assert run.loads["desk"] == [(int(MONDAY.timestamp()), 1), (begun + 600, 0)]
    assert run.loads["specialists"] == [(begun, 1)]


def test_what_nobody_has_accepted_drains_back_in_a_run_too() -> None:
    """One comes every half minute and is closed ten minutes later; where it overflows to people take a quarter of an
    hour, as agreed."""
    versions, judged = [], []
    for number in range(60):
        at, name = MONDAY + timedelta(seconds=30 * number), f"servicenow:main:INC{number:03}"
        versions += [normalized(1, at, name), normalized(2, at + timedelta(minutes=10), name, status="closed")]
        judged.append(classified(1, at, name))
    history = in_order(versions, judged, [])
    runs = [simulate(Always(published(agreement(**WITH))), history, pace) for pace in (Pace([]), AT_ONCE)]
    slow, at_once = (numbers(run, **WITH) for run in runs)
    assert slow.drained_back > 0
    assert at_once.drained_back == 0, "there is nothing to take back"
    back = [step.ticket for step in runs[0].steps if step.rule == "protocol:drained_back"]
    assert len(set(back)) == len(back)
    again = simulate(Always(published(agreement(**WITH))), history, Pace([]))
    assert msgspec.json.encode(again) == msgspec.json.encode(runs[0])


def test_the_page_says_how_load_is_simulated() -> None:
    runs = both()
    found = [("a", runs[0], numbers(runs[0], **WITHOUT)), ("b", runs[1], numbers(runs[1], **WITH))]
    for pace, said in (
        (AT_ONCE, "1 tickets tell it,\nby the first status"),
        (Pace([]), "is accepted when the agreement says it is due"),
        (Pace([], [offered(MONDAY, "t")], [accepted(MONDAY, "t")]), "by their transfers"),
    ):
        assert said in page("Page", found, moved(*runs), BERLIN, pace)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no tickets"),
        (["{}", "no json"], "tickets.normalized.jsonl:2 is no record"),
        ([{"title": 5}], "tickets.normalized holds a relaydesk.ticket.normalized"),
        ([{}], "leads to no decision: it holds no ticket together with its classification"),
    ],
    ids=["nothing", "a line that is none", "an event that is none", "tickets without classifications"],
)
def test_a_history_of_which_nothing_can_be_made_is_said_with_its_place(
    lines: list[Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = msgspec.to_builtins(normalized())
    written = [
        line
        if isinstance(line, str)
        else msgspec.json.encode(
            {"key": TICKET, "n": n, "ce_type": TicketNormalized.TYPE, "data": {**event, **line}}
        ).decode()
        for n, line in enumerate(lines)
    ]
    (tmp_path / "tickets.normalized.jsonl").write_text("".join(f"{line}\n" for line in written))
    examples = Path(__file__).parents[3] / "deploy" / "agreements" / "examples"
    command = ["whatif", "--agreement", str(examples / "internal.yaml"), "--against", str(examples / "co-managed.yaml")]
    assert main([*command, "--history", str(tmp_path), "--page", str(tmp_path / "page.html")]) == 2
    assert said in capsys.readouterr().err
