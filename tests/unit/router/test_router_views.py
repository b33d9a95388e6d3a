"""Need to know: what a partner's topic carries is named, field by field, down to the parts of a field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ticket_contracts.routing import TicketDispatched, TicketView
from ticket_contracts.tickets import Attachment, Comment, Evidence, Requester, TicketNormalized
from ticket_router.domain.tickets import TicketState
from ticket_router.domain.views import full_view, redacted
from unit.router.router_desk import classified, normalized
from unit.router.test_router_work import ROUND_THE_CLOCK, Story

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def full_ticket() -> TicketNormalized:
    """A ticket with something in every field that a view can show."""
    return normalized(
        url="https://example.org/INC1",
        comments=[
            Comment(id="c1", author="Ada", author_role="agent", visibility="internal", at=AT, text="checked the cable")
        ],
        requester=Requester(name="Grace", address="grace@example.org", language="en", site="Berlin", vip=True),
        customer="acme",
        evidence=Evidence(priority="1", impact="2", urgency="3", category="hw"),
        service="laptops",
        configuration_item="lt-17",
        assignee="Ada",
        group="Helpers",
        attachments=[Attachment(name="a.png", url="https://example.org/a.png", media_type="image/png", size_bytes=9)],
        flags=["outage"],
        updated_at=AT,
    )


def full() -> TicketView:
    state = TicketState()
    state.learn_classification(classified())
    return full_view(full_ticket(), state.classified)


def test_an_internal_queue_sees_every_field() -> None:
    view = full()
    assert [name for name in TicketView.__struct_fields__ if getattr(view, name) is None] == []


@pytest.mark.parametrize("name", TicketView.__struct_fields__)
def test_a_field_goes_out_when_it_is_named_and_only_then(name: str) -> None:
    view = full()
    assert set(msgspec.to_builtins(redacted(view, {name}))) == {name}
    assert getattr(redacted(view, {name}), name) == getattr(view, name)
    others = set(TicketView.__struct_fields__) - {name}
    assert name not in msgspec.to_builtins(redacted(view, others))


def test_a_new_field_of_the_view_stays_inside_until_a_contract_names_it() -> None:
    """The view of tomorrow has a field more: no contract of today shows it."""

    class Tomorrow(TicketView, frozen=True, kw_only=True):
        home_address: str | None = None

    view = Tomorrow(**msgspec.structs.asdict(full()), home_address="Elm Street 1")
    shown = redacted(view, set(TicketView.__struct_fields__))
    assert "Elm Street" not in msgspec.json.encode(shown).decode()


@pytest.mark.parametrize(
    ("field", "part", "value"),
    [
        ("requester", Requester, Requester()),
        ("comments", Comment, [Comment(id="c", author=None, author_role="agent", visibility="public", at=AT, text="")]),
        ("evidence", Evidence, Evidence()),
        ("attachments", Attachment, [Attachment(name="a")]),
    ],
)
def test_a_new_part_of_a_field_stays_inside_too(field: str, part: type[Any], value: Any) -> None:
    """A part that the models gain tomorrow goes out only once the router names it, contract or not."""
    tomorrow = msgspec.defstruct(
        "Tomorrow", [("home_address", str, "Elm Street 1")], bases=(part,), frozen=True, kw_only=True
    )
    grown: Any = (
        [tomorrow(**msgspec.structs.asdict(item)) for item in value]
        if isinstance(value, list)
        else tomorrow(**msgspec.structs.asdict(value))
    )
    shown = redacted(TicketView(**{field: grown}), {field})
    assert "Elm Street" not in msgspec.json.encode(shown).decode()
    assert msgspec.to_builtins(getattr(shown, field)) == msgspec.to_builtins(value), "what is named today goes out"


def test_what_a_view_is_made_of_is_known() -> None:
    """A field that is added to the contracts is a decision about every partner: make it here, knowingly."""
    assert set(TicketView.__struct_fields__) == {
        "title", "text", "language", "comments", "requester", "customer", "status", "channel", "kind", "category",
        "impact", "urgency", "priority", "tier", "flags", "evidence", "service", "configuration_item", "assignee",
        "group", "attachments", "url", "created_at", "updated_at",
    }  # fmt: skip


def canaries(ticket: TicketNormalized) -> dict[str, str]:
    """Where a word stands in the ticket -> a word that stands nowhere else."""
    return {path: f"canary-{path}" for path in _texts(msgspec.to_builtins(ticket), "") if path not in _NOT_FREE}


_NOT_FREE = {
    "ticket", "decided_for", "source_version", "delivery", "lifecycle", "source", "instance", "external_id", "channel",
    "status", "kind", "created_at", "updated_at", "received_at", "comments.0.at", "comments.0.author_role",
    "comments.0.visibility",
}  # fmt: skip
"""Ids, instants and words of a fixed list: they cannot hold a canary. Of these `ticket` is every notice's key."""


def _texts(value: Any, path: str) -> Iterator[str]:
    match value:
        case dict():
            for name, part in value.items():
                yield from _texts(part, f"{path}.{name}" if path else name)
        case list():
            for number, part in enumerate(value):
                yield from _texts(part, f"{path}.{number}")
        case str():
            yield path


def _set(value: Any, path: str, word: str) -> None:
    *above, last = path.split(".")
    for part in above:
        value = value[int(part) if part.isdigit() else part]
    value[int(last) if last.isdigit() else last] = word


FIELDS_OF_CONTRACT = [["title", "priority"], ["text"], ["requester"], ["comments", "evidence"], []]


@pytest.mark.parametrize("allowed", FIELDS_OF_CONTRACT, ids=["+".join(f) or "nothing" for f in FIELDS_OF_CONTRACT])
def test_no_word_of_a_ticket_reaches_a_partner_but_in_a_field_that_its_contract_names(allowed: list[str]) -> None:
    """A word in every place of the ticket where text can stand, new places included, followed through the whole task
    to the bytes of the partner's topic."""
    outside = {
        **ROUND_THE_CLOCK,
        "partners": {"nightwatch": {"calendar": "always", "fields": allowed, "categories": None, "languages": None}},
        "routing": {"rules": [{"name": "out", "to": ["night-desk"]}]},
    }
    plain = msgspec.to_builtins(full_ticket())
    words = canaries(full_ticket())
    for path, word in words.items():
        _set(plain, path, word)
    story = Story(**outside)
    story.tell(msgspec.convert(plain, TicketNormalized), classified())
    ((topic, notice),) = story.notices
    assert topic == "queues.night-desk"
    sent = msgspec.json.encode(notice).decode()
    shown = {path for path, word in words.items() if f'"{word}"' in sent}
    assert {path.partition(".")[0] for path in shown} <= set(allowed)
    assert {name for name in allowed if name in plain and not isinstance(plain[name], str)} <= {
        path.partition(".")[0] for path in shown
    }, "what is named does go out"


def test_what_a_notice_says_beside_its_view_is_known() -> None:
    """A field that a notice gains goes to every partner, contract or not: make that decision here, knowingly."""
    assert set(TicketDispatched.__struct_fields__) == {
        "ticket", "decided_for", "decision", "queue", "tier", "priority", "purpose", "transfer_id", "view",
        "agreement_version",
    }  # fmt: skip
