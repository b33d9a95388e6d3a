"""A packed ticket is the ticket, whatever its words are."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from sla_monitor.domain.packing import Packing, due_of
from sla_monitor.domain.state import FIELDS, Clock, Entry, Origin, Ticket
from unit.sla.sla_desk import HOUR, TICKET, Desk, agreement, resolution

STATUS, GROUP = FIELDS.index("status"), FIELDS.index("group")


def of(*words: str) -> Ticket:
    return Ticket(due=7, history=[Entry(1, 0, Origin.TICKET, 1, [GROUP, word]) for word in words])


def words_of(ticket: Ticket) -> list[str]:
    return [entry.delta[1] for entry in ticket.history]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Co")), max_size=30), max_size=20))
def test_words_come_back_also_in_another_task(words: list[str]) -> None:
    packing, other = Packing(), Packing()
    packed = packing.pack(of(*words))
    assert words_of(packing.unpack(packed)) == words
    for number, word in packing.take_new():
        other.learn(number, word)
    assert words_of(other.unpack(packed)) == words
    assert due_of(packed) == 7


def test_a_word_costs_its_length_once() -> None:
    packing = Packing()
    once = len(packing.pack(of("network operations centre")))
    twice = len(packing.pack(of(*["network operations centre"] * 2)))
    assert twice - once < 15
    assert len(packing.take_new()) == 1
    assert packing.take_new() == []


def test_more_words_than_numbers_are_packed_as_they_are() -> None:
    packing = Packing()
    words = [f"word {number}" for number in range(6_500)]
    packed = packing.pack(of(*words))
    assert len(packing.take_new()) == 6_400
    assert words_of(packing.unpack(packed)) == words


def test_a_private_character_of_a_source_is_nothing_and_not_another_s_word() -> None:
    packing = Packing()
    packing.pack(of("network"))
    assert words_of(packing.unpack(packing.pack(of("\ue000")))) == ["\ufffd"]


def test_words_are_in_the_changelog_with_the_first_ticket_that_has_them() -> None:
    desk = Desk(agreement({"r": resolution(HOUR)}))
    desk.open("09:00", group="network operations")
    desk.restart()
    ticket = desk.work.ticket(TICKET)
    assert ticket is not None
    assert "network operations" in ticket.history[0].delta


def test_what_an_older_monitor_stored_is_still_read() -> None:
    """Its clocks end before the fields that came later: an array that is too short has their defaults."""
    desk = Desk(agreement({"r": resolution(2 * HOUR)}))
    desk.open("09:00")
    desk.fire("10:50")
    ticket = desk.work.ticket(TICKET)
    [packed] = [value for key, value in desk.out.stored.items() if key == TICKET.encode()]
    old = msgspec.msgpack.decode(packed)
    clocks = old[Ticket.__struct_fields__.index("clocks")]
    for clock in clocks:
        del clock[Clock.__struct_fields__.index("queue") + 1 :]
    assert len(clocks) == 1
    desk.out.stored[TICKET.encode()] = msgspec.msgpack.encode(old)
    desk.restart()
    assert desk.work.ticket(TICKET) == ticket
    desk.fire("11:00")
    assert desk.said()[-1] == ("breached", "11:00")
