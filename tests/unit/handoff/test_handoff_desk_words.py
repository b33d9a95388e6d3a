"""How the desk page says things, and to whom it shows what: without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ticket_contracts.transfers import Reply
from ticket_handoff.adapters.answers import OwnerLoad, TimelineLine
from ticket_handoff.desk import shown, words
from ticket_handoff.desk.acting import _done
from ticket_handoff.desk.live import _payloads
from ticket_handoff.desk.rendering import Rendering
from ticket_handoff.desk.seats import Seat, is_offered, may_know, may_read
from ticket_handoff.desk.signing_in import session_secret
from ticket_handoff.domain.decision import Answer
from ticket_runtime.settings import CannotRun
from unit.handoff.handoff_desk import Story, at, published, running


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0:00"),
        (59.9, "0:59"),
        (872, "14:32"),
        (3_599, "59:59"),
        (3_600, "1 h 00"),
        (11_100, "3 h 05"),
        (-1, "−0:01"),
        (-0.4, "0:00"),
        (-3_660, "−1 h 01"),
        (360_000_000, "100\u202f000 h 00"),
    ],
)
def test_a_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ""),
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("nul\x00 esc\x1b del\x7f c1\x9b", "nul� esc� del� c1�"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        ("ما هذا 👩‍💻 ö", "ما هذا 👩‍💻 ö"),
    ],
)
def test_control_characters_show_as_what_they_are(text: str | None, said: str) -> None:
    assert words.said(text) == said
    words.said(text).encode()


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "//evil.example",
        "https:",
        "http://[::1",
        " javascript:x",
        "java\nscript:x",
        "ftp://x/y",
        "mailto:a@b",
    ],
)
def test_only_the_web_becomes_a_link(address: str) -> None:
    assert "<a" not in words.link(address)
    assert "<script>" not in words.link(address)


def test_a_link_is_escaped_and_opens_without_a_way_back() -> None:
    made = words.link('https://example.com/"onclick="x<y>')
    assert made.startswith('<a href="https://example.com/&#34;onclick=&#34;x&lt;y&gt;"')
    assert 'rel="noopener noreferrer nofollow ugc"' in made


@pytest.mark.parametrize("ticket", ["a:b:c", "a:b:c/d?e#f", "a:b:<x>", "a:b:ö ü", "a:b:%2F"])
def test_a_ticket_has_one_segment_of_an_address(ticket: str) -> None:
    from urllib.parse import unquote

    assert not set("/?# <>") & set(words.path(ticket))
    assert unquote(words.path(ticket)) == ticket


def row_of(story: Story, principal: str = "internal", minutes: float = 60) -> shown.Row | None:
    held, now = story.work.tickets[story.ticket], at(minutes)
    book = story.work.book
    return shown.row(held.ledger, held.texts, principal, book.in_force(now), book, now)


def test_a_row_of_who_is_inside_has_everything() -> None:
    story = Story()
    story.seen()
    story.judged()
    story.routed()
    story.stated(0, running(at(240)))
    row = row_of(story)
    assert row is not None
    assert (row.title, row.priority, row.state, row.offered_to) == ("Laptop does not start", "P1", "offered", "desk")
    assert row.owner in ("Ira", "Ian")
    assert row.due == int(at(240).timestamp())
    assert row.clock is not None
    assert (row.clock.left, row.clock.counting, row.clock.level) == (3 * 3600, True, "ok")


@pytest.mark.parametrize(
    ("minutes", "level"), [(179, "ok"), (180, "soon"), (239, "soon"), (240, "over"), (300, "over")]
)
def test_a_clock_asks_for_attention_when_three_quarters_are_used(minutes: float, level: str) -> None:
    story = Story()
    story.seen()
    story.judged()
    story.routed()
    story.stated(0, running(at(240)))
    row = row_of(story, minutes=minutes)
    assert row is not None
    assert row.clock is not None
    assert row.clock.level == level


def test_a_clock_whose_calendar_is_closed_stands_until_it_opens() -> None:
    story = Story()
    story.seen()
    story.judged()
    story.routed()
    story.stated(0, running(at(24 * 60), goal=36_000))
    row = row_of(story, minutes=10 * 60)  # 19:00; the office closed at 18:00
    assert row is not None
    assert row.clock is not None
    assert (row.clock.running, row.clock.counting) == (True, False)
    assert row.clock.changes == int(at(23 * 60).timestamp())
    assert row.clock.left == 3_600


def test_a_partner_sees_an_offer_without_who_has_it_inside_and_nothing_of_others() -> None:
    story = Story()
    story.seen()
    story.judged()
    story.routed(0, "night-desk")
    story.stated()
    row = row_of(story, "nightwatch")
    assert row is not None
    assert (row.owner, row.kind, row.queue, row.offered_to) == (None, None, None, "night-desk")
    assert row_of(story, "otherwise") is None
    assert not may_know(story.ledger, "otherwise")
    story.accept(5, "nightwatch")
    owned = row_of(story, "nightwatch")
    assert owned is not None
    assert (owned.owner in ("Nora", "Nils"), owned.queue) == (True, "night-desk")
    assert story.ledger.is_held_by("nightwatch")
    assert not is_offered(story.ledger, "nightwatch")


def test_a_field_that_the_contract_does_not_name_is_not_in_the_row() -> None:
    story = Story(published(required={"default": ["view"]}))
    story.seen()
    story.judged()
    story.routed(0, "other-desk")
    story.stated()
    row = row_of(story, "otherwise")  # its contract names the title alone
    assert row is not None
    assert (row.title, row.priority, row.category, row.status) == ("Laptop does not start", None, None, "open")


def test_what_was_declined_may_be_known_but_no_longer_read() -> None:
    story = Story()
    story.seen()
    story.judged()
    story.routed(0, "night-desk")
    story.stated()
    story.decline(5, "nightwatch")
    assert may_know(story.ledger, "nightwatch")
    assert not may_read(story.ledger, "nightwatch")
    assert row_of(story, "nightwatch") is None


def test_a_row_is_rendered_with_its_text_escaped() -> None:
    story = Story(ticket="servicenow:prod:\"'><b>")
    story.seen(title="<script>alert(1)</script>")
    story.judged()
    story.routed()
    story.stated()
    row = row_of(story)
    assert row is not None
    html = Rendering().row(row, story.work.book.in_force(at(60)), at(60))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<b>" not in html
    assert html.startswith("<tr")


def line(minutes: float, name: str, /, **said: Any) -> TimelineLine:
    return TimelineLine(at=at(minutes), by="handoff", type=name, text="", said=said)


OWNER = "relaydesk.owner.changed.v1"


def test_lanes_have_every_interval_without_a_hole() -> None:
    lines = [
        line(0, OWNER, owner="Ira", queue=None, kind="intake_duty"),
        line(15, "relaydesk.sla.clock.v1", occurrence="breached", clock="first_response"),
        line(30, OWNER, owner="Ada", queue="desk", kind="acknowledged"),
        line(60, OWNER, owner=None, queue=None, kind="ended"),
        line(60, "relaydesk.ticket.normalized.v1"),
    ]
    lanes = shown.lanes(lines, at(500))
    assert [(each.owner, each.seconds, each.begin, each.length, each.open) for each in lanes.held] == [
        ("Ira", 1_800, 0.0, 0.5, False),
        ("Ada", 1_800, 0.5, 0.5, False),
    ]
    assert [(share, what) for _, share, what in lanes.breaches] == [(0.25, "first_response")]
    still = shown.lanes(lines[:3], at(90))
    assert (still.held[-1].seconds, still.held[-1].open, still.end) == (3_600, True, at(90))


def test_owners_with_the_most_to_do_come_first() -> None:
    def load(owner: str, queue: str | None, count: int, overdue: int, due: datetime | None = None) -> OwnerLoad:
        return OwnerLoad(owner=owner, queue=queue, open=count, overdue=overdue, due_at=due)

    soon, later = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    people = shown.people(
        [
            load("Ada", "desk", 2, 0, later),
            load("Ada", None, 1, 1, soon),
            load("Bea", "desk", 9, 0),
            load("Dan", "x", 0, 0),
        ]
    )
    assert [(each.owner, each.open, each.over, each.due_at) for each in people] == [
        ("Ada", 3, 1, soon),
        ("Bea", 9, 0, None),
        ("Dan", 0, 0, None),
    ]
    assert people[2].queues == []


def test_news_name_their_tickets_in_payloads_that_the_database_takes() -> None:
    tickets = [f"servicenow:prod:{'ü' * 400}{n}" for n in range(50)]
    payloads = _payloads(tickets)
    assert len(payloads) > 1
    assert max(len(each.encode()) for each in payloads) < 8_000
    assert [name for each in payloads for name in msgspec.json.decode(each, type=list[str])] == tickets
    assert _payloads([str(n) for n in range(201)]) == [""], "too many to be named"
    assert _payloads([]) == []


def test_a_moment_is_given_in_utc_for_the_browser_to_say() -> None:
    made = words.instant(datetime(2026, 3, 3, 10, 40, tzinfo=UTC) + timedelta(milliseconds=5))
    assert made == '<time datetime="2026-03-03T10:40:00.005Z" data-form="short">Tue 3 Mar 10:40 UTC</time>'
    assert words.instant(None) == ""
    assert words.instant("2026-03-03T10:40:00Z", "full").endswith("Tue 3 Mar 2026 10:40:00 UTC</time>")


def test_a_secret_that_will_not_do_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="RELAYDESK_DESK_SESSION_FILE"):
        session_secret(tmp_path / "none")
    (tmp_path / "short").write_text("x")
    with pytest.raises(CannotRun, match="32 characters"):
        session_secret(tmp_path / "short")
    assert len(session_secret(None)) >= 32


@pytest.mark.parametrize(("actor", "who"), [("Nora", "You own"), ("Nils", "Nora owns")])
def test_a_return_says_who_owns_the_ticket_until_then(actor: str, who: str) -> None:
    reply, answer = Reply(reply_id="r", action="return"), Answer("t", "requested", 1, "Nora", "night-desk", False)
    assert _done(reply, answer, Seat("nightwatch", actor, "token")) == (
        f"Returned. {who} the ticket until somebody has acknowledged it."
    )
