"""What ended is remembered for the agreed days, then forgotten: state does not grow with every ticket ever seen, and
what comes late is still right."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sla_monitor.domain.state import Ticket
from ticket_contracts.agreement import Agreement, Published
from ticket_contracts.cloudevents import ce_id
from ticket_runtime.task import Transient
from unit.sla.sla_desk import HOUR, MONDAY, TICKET, Desk, FakeAgreements, agreement, at, comment, resolution, text

DAYS = 30
WEEKS = "+" * 5
"""Five weeks later, after the thirty days of what ended in the first week."""
FORGOTTEN = "Thu++++ 00:00"
"""Ended on Monday the second: Wednesday, the first of April, is the last of thirty days."""


def content(**policies: object) -> Agreement:
    made = agreement({"r": resolution(2 * HOUR), **policies}).model_dump(mode="json", exclude_defaults=True)
    made["routing"]["ended_kept_days"] = DAYS
    return Agreement.model_validate(made)


def ended(**policies: object) -> Desk:
    desk = Desk(content(**policies))
    desk.open("09:00", "P3")
    desk.route("09:00")
    desk.ticket("10:00", status="closed")
    return desk


def stored(desk: Desk) -> list[str]:
    return [key.decode() for key in desk.out.stored if not key.startswith(b"~")]


def test_it_goes_out_of_memory_and_changelog_a_day_after_the_agreed_days() -> None:
    desk = ended()
    assert text(desk.work.next_due() or MONDAY) == "Fri++++ 00:00"
    desk.fire("Thu++++ 23:59")
    assert stored(desk) == [TICKET]
    desk.restart()
    desk.fire("Fri++++ 00:00")
    assert stored(desk) == []
    assert desk.work.ticket(TICKET) is None
    assert desk.work.next_due() is None


def test_reopened_within_the_days_its_clock_goes_on() -> None:
    desk = ended()
    desk.fire("Wed++++ 12:00")
    desk.ticket("Wed++++ 12:00", status="open")
    assert desk.last().generation == 1
    assert desk.deadline() == "Wed++++ 13:00", "one of the two hours was used before"
    desk.fire("Fri" + WEEKS + " 00:00")
    assert stored(desk) == [TICKET], "it is somebody's again"


@pytest.mark.parametrize("buried", [True, False])
def test_reopened_after_them_it_counts_anew_and_no_event_has_an_old_id(buried: bool) -> None:
    """Whether it went out of memory yet, or the monitor was away, makes no difference."""
    desk = ended()
    if buried:
        desk.fire("Fri" + WEEKS + " 00:00")
    before = set(desk.out.ids)
    desk.ticket(f"Mon{WEEKS} 10:00", status="open")
    desk.route(f"Mon{WEEKS} 10:00", ticket_version=3, classification_version=0)
    desk.fire(f"Tue{WEEKS} 10:00")
    again = [event for event in desk.of() if event.generation > 1]
    assert [(event.occurrence, text(event.decided_for)) for event in again] == [
        ("started", f"Mon{WEEKS} 10:00"),
        ("warned", f"Mon{WEEKS} 11:45"),
        ("breached", f"Mon{WEEKS} 12:00"),
    ]
    assert len({*desk.out.ids}) == len(desk.out.ids)
    assert before.isdisjoint(ce_id(event) for event in again)
    stated = desk.last("*")
    assert [clock.clock for clock in stated.running] == ["resolution"], "by the priority that the router took for it"


def test_its_classification_replaces_what_the_router_took_for_it() -> None:
    desk = Desk(content(r=resolution(2 * HOUR, when={"priority": ["P3"]}), urgent=resolution(HOUR)))
    desk.open("09:00")
    desk.ticket("10:00", status="closed")
    desk.fire(f"Mon{WEEKS} 00:00")
    desk.ticket(f"Mon{WEEKS} 10:00", status="open")
    desk.route(f"Mon{WEEKS} 10:00", ticket_version=3, classification_version=0, priority="P3")
    assert desk.deadline() == f"Mon{WEEKS} 12:00"
    desk.classify(f"Mon{WEEKS} 10:30", "P1")
    assert desk.deadline() == f"Mon{WEEKS} 11:00"


def test_a_router_that_still_knows_its_classification_is_believed() -> None:
    desk = ended()
    desk.fire(f"Mon{WEEKS} 00:00")
    desk.ticket(f"Mon{WEEKS} 10:00", status="open")
    desk.route(f"Mon{WEEKS} 10:00", ticket_version=3, classification_version=1)
    assert desk.last("*").classification_version == 1
    assert desk.deadline() == f"Mon{WEEKS} 12:00"


def test_what_was_said_in_its_former_life_asks_for_no_answer_now() -> None:
    answers = {
        "f": {"clock": "first_response", "goals": [{"seconds": HOUR}]},
        "n": {"clock": "next_response", "goals": [{"seconds": HOUR}]},
    }
    desk = Desk(content(**answers))
    said = [comment("09:10", "customer"), comment("09:20", "agent"), comment("09:30", "customer")]
    desk.open("09:00")
    desk.ticket("09:30", comments=list(said))
    desk.ticket("10:00", status="closed")
    desk.fire(f"Mon{WEEKS} 00:00")
    said.append(comment(f"Mon{WEEKS} 09:59", "customer"))
    desk.ticket(f"Mon{WEEKS} 10:00", status="open", comments=list(said))
    desk.route(f"Mon{WEEKS} 10:00", ticket_version=4, classification_version=0)
    assert [event.generation for event in desk.of("first_response")] == [1, 1], "it was answered, for good"
    assert desk.last("next_response").occurrence == "started"
    assert desk.deadline("next_response") == f"Mon{WEEKS} 11:00"


def test_a_word_after_the_end_that_brings_nothing_back_says_nothing_and_is_forgotten_again() -> None:
    desk = ended()
    desk.fire(f"Mon{WEEKS} 00:00")
    told = len(desk.out.events)
    desk.ticket("09:30", received=f"Mon{WEEKS} 10:00", group="B")
    desk.classify(f"Mon{WEEKS} 11:00", "P1")
    desk.classify(f"Mon{WEEKS} 11:00", "P1", "itsm:one:other", ticket_version=7)
    assert len(desk.out.events) == told
    assert sorted(stored(desk)) == [TICKET, "itsm:one:other"]
    desk.restart()
    desk.fire(f"Mon{'+' * 10} 00:00")
    assert (stored(desk), len(desk.out.events)) == ([], told)


def test_a_reopening_after_such_a_word_has_ids_of_its_own_as_well() -> None:
    desk = ended()
    desk.fire(f"Mon{WEEKS} 00:00")
    desk.ticket(f"Mon{WEEKS} 10:00", group="B")
    desk.ticket(f"Wed{WEEKS} 10:00", status="open")
    desk.route(f"Wed{WEEKS} 10:00", ticket_version=4, classification_version=0)
    assert desk.last().generation > 1_000_000
    assert desk.deadline() == f"Wed{WEEKS} 12:00"
    assert len({*desk.out.ids}) == len(desk.out.ids)


def test_a_late_older_stop_of_what_ended_is_still_heard_within_the_days() -> None:
    desk = Desk(content())
    desk.open("09:00")
    desk.fire("12:00")
    desk.ticket("12:30", status="closed")
    desk.ticket("10:00", received="Tue+++ 10:00", status="resolved")
    assert [event.occurrence for event in desk.of()[-3:]].count("revised") == 2


def test_what_is_somebody_s_is_never_forgotten() -> None:
    desk = Desk(content())
    for number, status in enumerate(("open", "resolved", "pending_customer")):
        desk.open("09:00", ticket=f"itsm:one:{number}", status=status)
    desk.open("09:00", "P4", ticket="itsm:one:9")
    desk.fire(f"Mon{'+' * 60} 00:00")
    assert len(stored(desk)) == 4


def test_state_does_not_grow_with_every_ticket_ever_seen() -> None:
    desk = Desk(content())
    most = 0
    for week in range(40):
        for number in range(5):
            ticket = f"itsm:one:{week}-{number}"
            desk.open(f"Mon{'+' * week} 09:00", ticket=ticket)
            desk.ticket(f"Tue{'+' * week} 09:30", ticket=ticket, status="closed")
        desk.fire(f"Sat{'+' * week} 00:00")
        most = max(most, len(stored(desk)))
    assert most <= 6 * 5, "those of the weeks that are agreed on"
    assert len(list(desk.work.tickets())) == len(stored(desk))
    restored = {name for name, _ in desk.work.tickets()}
    desk.restart()
    assert {name for name, _ in desk.work.tickets()} == restored


def test_a_busy_day_is_forgotten_in_parts() -> None:
    desk = Desk(content())
    for number in range(2_500):
        desk.ticket("09:00", f"itsm:one:{number}", status="closed")
    desk.fire("Fri++++ 00:00")
    assert len(stored(desk)) == 500
    assert text(desk.work.next_due() or MONDAY) == "Fri++++ 00:00"
    desk.fire("Fri++++ 00:00")
    assert stored(desk) == []


def test_what_ended_before_days_were_written_down_has_one() -> None:
    desk = ended()
    old = msgspec.msgpack.decode(desk.out.stored[TICKET.encode()])
    old[0] = 0
    del old[Ticket.__struct_fields__.index("lives_from") :]
    desk.out.stored[TICKET.encode()] = msgspec.msgpack.encode(old)
    desk.restart()
    assert text(desk.work.next_due() or MONDAY) == "Fri++++ 00:00"
    desk.fire("Fri++++ 00:00")
    assert stored(desk) == []


class StillReading(FakeAgreements):
    """Has not read one version yet."""

    missing = ""

    def version(self, digest: str) -> Published:
        if digest == self.missing:
            raise Transient("not read yet")
        return super().version(digest)


def test_what_was_said_before_a_version_was_found_missing_goes_out_and_nothing_is_said_twice() -> None:
    desk = Desk(content())
    agreements = StillReading(content())
    desk.agreements = agreements
    desk.restart()
    desk.open("09:00")
    later = agreements.publish(content(other=resolution(HOUR, when={"priority": ["P1"]})), at("09:30"))
    desk.fire("09:40")
    desk.open("09:40", ticket="itsm:one:2")
    desk.restart()
    agreements.missing = later
    desk.fire("12:00")  # the first says its part, the second cannot yet
    assert [said for said, _ in desk.said()] == ["started", "warned", "breached"]
    with pytest.raises(Transient):
        desk.fire("12:00")
    agreements.missing = ""
    desk.fire("12:00")
    assert [said for said, _ in desk.said(ticket="itsm:one:2")] == ["started", "warned", "breached"]
    assert len({*desk.out.ids}) == len(desk.out.ids)
    assert desk.of()[-1].decided_for - MONDAY == timedelta(hours=11)
