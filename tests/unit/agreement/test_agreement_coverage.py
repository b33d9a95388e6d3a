"""Every minute of a year: who would answer, and the gaps in which only the duty owner does."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ticket_contracts.__main__ import main
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.coverage import Stretch, coverage, gap_spans, gaps_of, special_spans
from ticket_contracts.agreement.reading import read_agreement
from ticket_contracts.agreement.special import TIERS, Trait

_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return read_agreement(_DEFAULT.read_text(), "default.yaml").model_dump(mode="json", exclude_defaults=True)


def year(content: dict[str, Any], begin: datetime, until: datetime) -> list[Stretch]:
    agreement = Agreement.model_validate(content)
    return coverage(agreement, compile_calendars(agreement), begin, until)


def without_on_call(content: dict[str, Any]) -> dict[str, Any]:
    """The partner alone by night, and nobody while it changes over, on its holidays and the company's."""
    changed = copy.deepcopy(content)
    changed["queues"]["on-call"]["enabled"] = False
    return changed


def hours(stretches: list[Stretch], tier: int) -> float:
    return sum((s.until - s.begin).total_seconds() for s in stretches if s.gaps and s.tier == tier) / 3600


def test_every_minute_of_a_year_is_in_one_stretch_of_each_tier(content: dict[str, Any]) -> None:
    begin, until = datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN)
    stretches = year(without_on_call(content), begin, until)
    for tier in TIERS:
        own = [s for s in stretches if s.tier == tier]
        assert own[0].begin == begin
        assert own[-1].until == until
        assert all(a.until == b.begin for a, b in pairwise(own))
        assert sum((s.until - s.begin).total_seconds() for s in own) == 365 * 86_400
    asked = 5 * len(Agreement.model_validate(content).ancestors)
    assert {sum(count for _, count in s.queues) for s in stretches} == {asked}


@pytest.mark.parametrize(
    ("shows", "day", "expected"),
    [
        ("a Sunday: the partner changes over at 18:00 in Manila, 11:00 in winter", "2026-03-01", 6.0),
        ("the day summer time begins: it is 12:00 by then, for the same six hours", "2026-03-29", 6.0),
        ("the day winter time begins", "2026-10-25", 6.0),
        ("an ordinary Tuesday", "2026-03-03", 0.0),
        ("a holiday of both countries, until Manila's is over: 00:00-17:00", "2026-12-25", 17.0),
        ("a holiday of the partner's alone, by day the office is open", "2026-12-30", 9.0),
    ],
)
def test_a_day_and_its_gaps(content: dict[str, Any], shows: str, day: str, expected: float) -> None:
    """Tier 1 without the on-call engineer. On 30 December Manila is closed 00:00-24:00, which is 17:00 of the 29th to
    17:00 of the 30th in Berlin; the office is open 08:00-18:00."""
    begin = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    stretches = year(without_on_call(content), begin, (begin + timedelta(days=1)))
    if day == "2026-12-30":
        expected = 8.0  # 00:00-08:00; from 17:00 on the partner is back
    assert hours(stretches, 1) == expected, [(s.begin, s.until) for s in stretches if s.gaps and s.tier == 1]


def test_gaps_are_told_by_the_week(content: dict[str, Any]) -> None:
    stretches = year(without_on_call(content), datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN))
    gaps = [gap for gap in gaps_of(stretches, BERLIN) if 1 in gap.tiers]
    assert [(gap.weekday, gap.clock, gap.times) for gap in gaps[:2]] == [
        (6, "12:00-18:00", 30),
        (6, "11:00-17:00", 21),  # the first of November, a Sunday, is a holiday there
    ]
    assert sum(gap.seconds for gap in gaps) == 3600 * hours(stretches, 1)
    assert len(gaps[0].gaps) == len(Agreement.model_validate(content).ancestors)


def test_the_command_prints_the_gaps_and_who_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "desk.yaml"
    text = _DEFAULT.read_text()
    assert "owner_role: on-call}" in text
    file.write_text(text.replace("tier: 2, owner_role: on-call}", "tier: 2, owner_role: on-call, enabled: false}"))
    assert main(["agreement", "check", str(file), "--from", "2026-01-01"]) == 0
    said = capsys.readouterr().out
    assert "Every minute from 2026-01-01 to 2027-01-01 (Europe/Berlin)" in said
    assert "the Duty manager (Katharina Brandt, Olaf Petersen)" in said
    assert "Sun 12:00-18:00              30 times from 2026-03-29     180 h  every category" in said
    assert main(["agreement", "check", str(_DEFAULT), "--from", "2028-02-29"]) == 0
    assert "At no minute is the Duty manager alone." in capsys.readouterr().out


def test_utc_is_fine_too(content: dict[str, Any]) -> None:
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    assert hours(year(content, begin, begin + timedelta(days=7)), 1) == 0


def test_a_pause_and_the_last_half_hour_before_closing_are_cut_out(content: dict[str, Any]) -> None:
    changed = without_on_call(content)
    changed["queues"]["helpline-first-line"]["enabled"] = False
    changed["queues"]["service-desk"]["pauses"] = [
        {"begin": "2026-03-03T10:00:00+01:00", "until": "2026-03-03T11:00:00+01:00"}
    ]
    evening = {
        "name": "evening",
        "when": {"closing": {"calendar": "office", "within_minutes": 30}},
        "to": ["desk-lead"],
    }
    changed["routing"]["rules"].insert(3, evening)
    begin = datetime(2026, 3, 3, 8, tzinfo=BERLIN)
    stretches = [s for s in year(changed, begin, begin + timedelta(hours=10)) if s.tier == 1]
    told = [
        (f"{s.begin.astimezone(BERLIN):%H:%M}", dict(s.queues).get("desk-lead", 0) > 0, bool(s.gaps)) for s in stretches
    ]
    assert told == [("08:00", False, False), ("10:00", False, True), ("11:00", False, False), ("17:30", True, False)]


def test_a_hole_for_one_language_of_one_customer_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By night Acme has a partner of its own, which speaks no German; all others have the helpline."""
    text = _DEFAULT.read_text()
    night = "    - {name: first-line-by-night, when: {closed: [office]}, to: [helpline-first-line, on-call]}\n"
    assert night in text
    text = text.replace(
        night,
        "    - {name: acme-german, when: {customer: [acme], language: [de], closed: [office]}, to: [service-desk]}\n"
        + night,
    )
    file = tmp_path / "desk.yaml"
    file.write_text(text)
    agreement = read_agreement(text, "desk.yaml")
    begin = datetime(2026, 3, 2, tzinfo=BERLIN)
    calendars = compile_calendars(agreement)
    week = begin + timedelta(days=7)
    assert gap_spans(coverage(agreement, calendars, begin, week)) == []
    spans = special_spans(agreement, calendars, begin, week)
    assert {span.rule for span in spans} == {"acme-german"}
    special = [[str(t) for t in span.traits if not t.plain] for span in spans]
    assert special == [["customer acme", "language de"]] * len(spans)
    assert sum((s.until - s.begin).total_seconds() for s in spans) == (7 * 24 - 5 * 10) * 3600
    for span in spans:
        assert span.example is not None
        assert (span.example["customer"], span.example["language"]) == ("acme", "de")
    assert main(["agreement", "check", str(file), "--from", "2026-01-01"]) == 0
    said = capsys.readouterr().out
    assert "The Duty manager is alone with special tickets:" in said
    assert "rule acme-german, customer acme, language de (e.g. tier " in said


def test_a_flag_that_a_contract_forbids_is_looked_at_too(content: dict[str, Any]) -> None:
    """What the helpline may not see has nobody by night, if the on-call engineer is not there."""
    changed = without_on_call(content)
    changed["partners"]["helpline"]["never_flags"] = ["security", "patients"]
    agreement = Agreement.model_validate(changed)
    begin = datetime(2026, 3, 3, tzinfo=BERLIN)
    spans = special_spans(agreement, compile_calendars(agreement), begin, begin + timedelta(hours=8))
    assert {t for span in spans for t in span.traits if not t.plain and t.attribute == "flag"} == {
        Trait("flag", ("patients",))
    }
    patients = [span.rule for span in spans if Trait("flag", ("patients",)) in span.traits]
    assert patients == ["first-line-by-night"], "automation and the second line inside do not need the partner"
