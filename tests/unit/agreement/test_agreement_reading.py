"""What a person who writes an agreement gets wrong, and the line they are told to mend."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from business_calendar import parse_instant
from ticket_contracts.agreement import Agreement, digest
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.reading import AgreementError, Problem, read_agreement

DOCUMENTS = Path(__file__).parents[3] / "deploy" / "agreements"

SMALL = """\
title: A small desk
parties: [{name: Company, side: company}]
sources: [generic]
taxonomy:
  - {id: hardware, title: Hardware}
matrix:
  impacts: [high]
  urgencies: [high]
  priorities: {high: {high: P1}}
classification:
  defaults: {impact: high, urgency: high}
calendars:
  office:
    zone: Europe/Berlin
    hours: {mon: [['09:00', '17:00']]}
owners:
  desk: {title: Desk, kind: rota, members: [Ada]}
  duty: {title: Duty, kind: duty, members: [Bo]}
intake_duty: desk
duty: duty
queues:
  desk: {title: Desk, support_model: internal, tier: 1, owner_role: desk, calendar: office}
  duty: {title: Duty, support_model: internal, tier: 2, owner_role: duty}
routing:
  duty_queue: duty
  rules:
    - {name: all, to: [desk]}
sla:
  resolution:
    clock: resolution
    calendar: office
    goals: [{seconds: 7200}]
"""


def mended(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


def problems(text: str) -> list[Problem]:
    with pytest.raises(AgreementError) as caught:
        read_agreement(text, "desk.yaml")
    return list(caught.value.problems)


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name", [str(path.relative_to(DOCUMENTS)) for path in sorted(DOCUMENTS.rglob("*.yaml"))])
def test_the_projects_own_documents_can_be_signed(name: str) -> None:
    assert isinstance(read_agreement((DOCUMENTS / name).read_text(), name), Agreement)


def test_the_small_desk_of_these_tests_can_be_signed() -> None:
    assert read_agreement(SMALL, "desk.yaml").title == "A small desk"


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "what", "remedy"),
    [
        pytest.param("", 1, 1, "", "the file is empty", "begin with a copy", id="empty"),
        pytest.param("- a\n", 1, 1, "", "not a mapping", "key: value", id="a list"),
        pytest.param("title: a\n\tx: 1\n", 2, 1, "", "a tab indents", "spaces", id="a tab"),
        pytest.param("title: a: b\n", 1, 9, "", "a colon", "quotes", id="an unquoted colon"),
        pytest.param("a: 1\n---\nb: 2\n", 2, 1, "", "more than one document", "one agreement", id="two documents"),
        pytest.param("a: *gone\n", 1, 4, "", "undefined alias", "&anchor", id="an alias without its anchor"),
        pytest.param("a: !python/object:os.system x\n", 1, 4, "a", "the tag", "leave the tag away", id="a tag"),
        pytest.param("a: &a [*a]\n", 1, 4, "a[0]", "an alias holds itself", "write the part out", id="a circle"),
        pytest.param("a: 1\n<<: [1]\n", 2, 6, "", "<< needs a mapping", "anchor", id="a merge of a list"),
        pytest.param("a: 1\n? [x]\n: 2\n", 2, 3, "", "a key must be a word", "as text", id="a list as a key"),
        pytest.param("a: 1\nb: 2\na: 3\n", 3, 1, "a", "stands twice, first in line 1", "keep one", id="a key twice"),
        pytest.param("a: \x07\n", 1, 4, "", "U+0007", "remove it", id="a control character"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_line(
    text: str, line: int, column: int, path: str, what: str, remedy: str
) -> None:
    problem = only(text)
    assert (problem.line, problem.column, problem.path) == (line, column, path)
    assert what in problem.what
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("old", "new", "path", "what", "remedy"),
    [
        pytest.param("title: A small desk\n", "", "title", "`title` is missing", "add `title:`", id="missing"),
        pytest.param(
            "intake_duty:", "intake_dutty:", "intake_dutty", "not a key", "write `intake_duty`", id="misspelt"
        ),
        pytest.param("title: A small desk", "title: 5", "title", "read as a number", '"5"', id="a number for text"),
        pytest.param(
            "['09:00'", "['9:00'", "calendars.office.hours.mon[0][0]", "not a time", "09:00", id="a short hour"
        ),
        pytest.param(
            "  office:\n", "  Office:\n", "calendars.Office", "cannot be a name", "lower-case", id="upper case"
        ),
        pytest.param(
            "seconds: 7200", "seconds: 0", "sla.resolution.goals[0].seconds", "0 is out", "more than 0", id="0"
        ),
        pytest.param(
            "seconds: 7200", "seconds: 2h", "sla.resolution.goals[0].seconds", "'2h'", "a whole number", id="2h"
        ),
        pytest.param("side: company", "side: compny", "parties[0].side", "'compny'", "write company", id="a literal"),
        pytest.param(
            "tier: 1, owner",
            "pauses: [{begin: '2026-03-02 09:00', until: '2026-03-02T10:00:00Z'}], tier: 1, owner",
            "queues.desk.pauses[0].begin",
            "not an instant",
            "2026-03-02T09:00:00+01:00",
            id="a local time",
        ),
        pytest.param("members: [Ada]", "members: []", "owners.desk.members", "empty", "at least 1", id="nobody"),
        pytest.param("[{seconds: 7200}]", "{seconds: 7200}", "sla.resolution.goals", "a mapping", "- ", id="no list"),
        pytest.param(
            "tier: 1, owner", "enabled: yes, tier: 1, owner", "queues.desk.enabled", "'yes' is text", "true", id="yes"
        ),
        pytest.param(
            "[['09:00', '17:00']",
            "[['09:00', '12:00', '17:00']",
            "calendars.office.hours.mon[0]",
            "has 3 parts",
            "write 2",
            id="three in a pair",
        ),
        pytest.param(
            "routing:\n",
            "routing:\n  ended_kept_days: 9999999\n",
            "routing.ended_kept_days",
            "out of range",
            "at most 36500",
            id="kept for ever",
        ),
        pytest.param(
            "routing:\n",
            "routing:\n  ping_pong_after: 0\n",
            "routing.ping_pong_after",
            "out of range",
            "1 or more",
            id="no round at all",
        ),
        pytest.param(
            "title: Hardware}",
            "title: Mice, and men}",
            "taxonomy[0].and men",
            "not a key",
            "needs quotes",
            id="a comma",
        ),
    ],
)
def test_what_has_the_wrong_form_is_said_with_its_place(old: str, new: str, path: str, what: str, remedy: str) -> None:
    text = mended(old, new)
    found = {problem.path: problem for problem in problems(text)}
    assert path in found, found
    assert what in found[path].what
    assert remedy in found[path].remedy
    if new:
        assert new.splitlines()[-1].strip() in text.splitlines()[found[path].line - 1]


def test_a_problem_is_one_line_that_an_editor_can_follow() -> None:
    problem = only(mended("owner_role: desk, calendar", "owner_role: dsk, calendar"))
    assert str(problem) == (
        "desk.yaml:22:57: queues.desk.owner_role: no owner 'dsk' is defined; write `desk`, or define it under `owners`"
    )


def test_all_problems_are_said_at_once_in_the_order_of_the_file() -> None:
    text = mended("kind: rota", "kind: rotta").replace("impact: high", "impact: 3").replace("clock: res", "clock: rees")
    assert [problem.path for problem in problems(text)] == [
        "classification.defaults.impact",
        "owners.desk.kind",
        "sla.resolution.clock",
    ]


def test_words_that_yaml_once_took_for_something_else_stay_words() -> None:
    text = mended("members: [Ada]", "members: [no, on, y, 22:00, 2025-12-24, 0x1F, 1_000, 010]")
    members = read_agreement(text, "desk.yaml").owners["desk"].members
    assert members == ["no", "on", "y", "22:00", "2025-12-24", "0x1F", "1_000", "010"]


def test_a_merge_fills_in_what_a_mapping_does_not_say_itself() -> None:
    text = mended(
        "  desk: {title: Desk, support_model: internal, tier: 1, owner_role: desk, calendar: office}\n",
        "  desk: &queue {title: Desk, support_model: internal, tier: 1, owner_role: desk, calendar: office}\n"
        "  second: {<<: *queue, title: Second, tier: 2}\n",
    )
    second = read_agreement(text, "desk.yaml").queues["second"]
    assert (second.title, second.tier, second.calendar) == ("Second", 2, "office")


def test_a_fault_that_comes_through_a_merge_is_shown_where_it_is_written() -> None:
    text = mended(
        "  desk: {title: Desk, support_model: internal, tier: 1, owner_role: desk, calendar: office}\n",
        "  desk: &queue {title: Desk, support_model: internal, tier: 1, owner_role: nobody, calendar: office}\n"
        "  second: {<<: *queue, owner_role: desk}\n"
        "  third: {<<: *queue, title: Third}\n",
    )
    assert [(problem.path, problem.line) for problem in problems(text)] == [
        ("queues.desk.owner_role", 22),
        ("queues.third.owner_role", 22),
    ]


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert "more than" in only("\n".join(lines)).what


def test_a_document_nested_without_end_is_refused() -> None:
    assert "nested too deeply" in only("a: " + "[" * 5_000 + "]" * 5_000).what


def test_the_version_is_the_contents_and_not_the_spellings() -> None:
    same = SMALL.replace("[{name: Company, side: company}]", "\n  - side: company\n    name: Company") + "# a remark\n"
    assert digest(read_agreement(SMALL, "a.yaml")) == digest(read_agreement(same, "b.yaml"))
    assert digest(read_agreement(SMALL, "a.yaml")) != digest(read_agreement(mended("7200", "7201"), "a.yaml"))


CLOSED = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//A small desk//EN
BEGIN:VEVENT
UID:1@small.example
DTSTAMP:20250101T000000Z
DTSTART;VALUE=DATE:20260302
SUMMARY:Works outing
END:VEVENT
END:VCALENDAR
"""


def with_file(name: str) -> str:
    return mended("    hours: {mon:", f"    icalendar: [{name}]\n    hours: {{mon:")


def test_the_holidays_of_an_icalendar_file_become_part_of_what_is_signed(tmp_path: Path) -> None:
    (tmp_path / "closed.ics").write_bytes(CLOSED.replace("\n", "\r\n").encode("utf-8-sig"))
    agreement = read_agreement(with_file("closed.ics"), str(tmp_path / "desk.yaml"))
    office = compile_calendars(agreement)["office"]
    outing = parse_instant("2026-03-02T10:00", office.zone)
    assert not office.is_open(outing)
    assert office.is_open(outing + 7 * 86_400)
    assert [day.holiday for day in office.days(outing, 1)] == ["Works outing"]

    # Published, it needs no file; and the digest is that of the holidays, however the file came by them.
    (tmp_path / "closed.ics").write_text(CLOSED)
    assert digest(read_agreement(with_file("closed.ics"), str(tmp_path / "desk.yaml"))) == digest(agreement)
    text = agreement.calendars["office"].icalendar[0]
    quoted = with_file("text").replace("[text]", msgspec.json.encode([text]).decode())
    assert digest(read_agreement(quoted, "elsewhere.yaml")) == digest(agreement)
    (tmp_path / "closed.ics").write_text(CLOSED.replace("20260302", "20260309"))
    assert digest(read_agreement(with_file("closed.ics"), str(tmp_path / "desk.yaml"))) != digest(agreement)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("gone.ics", None, "cannot be read (No such file"),
        ("../../etc/passwd.ics", None, "not a file beside the document"),
        ("/etc/holidays.ics", None, "not a file beside the document"),
        ("holidays.txt", None, "not a file beside the document"),
        ("some.ics", b"not a calendar", "not an iCalendar text"),
        ("some.ics", b"\xff\xfe", "not UTF-8"),
        ("some.ics", CLOSED.replace(";VALUE=DATE:20260302", ":20260302T090000").encode(), "lasts hours"),
        ("some.ics", b"BEGIN:VCALENDAR\nEND:VCALENDAR", "holds no event"),
        ("some.ics", b" " * 300_000, "larger than 256 KB"),
    ],
)
def test_an_icalendar_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AgreementError) as caught:
        read_agreement(with_file(name), str(tmp_path / "desk.yaml"))
    [problem] = caught.value.problems
    assert (problem.line, problem.path) == (15, "calendars.office.icalendar[0]")
    assert what in problem.what
    assert problem.remedy
