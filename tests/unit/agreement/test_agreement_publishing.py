"""When a version may come into force, and what stands on the topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ticket_contracts.agreement import Agreement, Published, digest, parse_published
from ticket_contracts.agreement.publishing import Refused, prepare, record_of
from ticket_contracts.agreement.reading import read_agreement

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_DEFAULT = Path(__file__).parents[3] / "deploy" / "agreements" / "default.yaml"
APPROVALS = {
    "Rheinbogen Instruments GmbH": "Jane Doe",
    "Helpline Pacific Inc.": "Juan Cruz",
    "Campo Assistência Lda.": "Rui Almeida",
}


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    return read_agreement(_DEFAULT.read_text(), "default.yaml")


def another(agreement: Agreement) -> Agreement:
    return agreement.model_copy(update={"title": "Another"})


def first(agreement: Agreement, effective_at: datetime | None = None) -> Published:
    return prepare(agreement, [], now=NOW, effective_at=effective_at, approvals=APPROVALS)


def test_a_desks_first_version_takes_effect_at_once(agreement: Agreement) -> None:
    published = first(agreement)
    assert (published.version, published.effective_at) == (digest(agreement), NOW)
    assert [(a.party, a.name, a.at) for a in published.approvals] == [(*said, NOW) for said in APPROVALS.items()]


def test_a_desks_first_version_may_begin_earlier(agreement: Agreement) -> None:
    assert first(agreement, NOW - 500 * MINUTE).effective_at == NOW - 500 * MINUTE


def test_a_later_version_needs_a_minute_of_notice(agreement: Agreement) -> None:
    known = [first(agreement)]
    after = another(agreement)
    with pytest.raises(Refused, match="--effective-at"):
        prepare(after, known, now=NOW, effective_at=None, approvals=APPROVALS)
    with pytest.raises(Refused, match="write 2026-03-02T09:01:01Z or later"):
        prepare(after, known, now=NOW, effective_at=NOW + timedelta(seconds=59), approvals=APPROVALS)
    assert prepare(after, known, now=NOW, effective_at=NOW + MINUTE, approvals=APPROVALS).effective_at == NOW + MINUTE


def test_an_instant_is_kept_in_utc(agreement: Agreement) -> None:
    manila = timezone(timedelta(hours=8))
    assert first(agreement, NOW.astimezone(manila)).effective_at.tzinfo is UTC


def test_the_same_content_is_not_published_twice(agreement: Agreement) -> None:
    with pytest.raises(Refused, match="in force from 2026-03-02T09:00:00Z"):
        prepare(agreement, [first(agreement)], now=NOW, effective_at=NOW + 5 * MINUTE, approvals=APPROVALS)


@pytest.mark.parametrize("party", APPROVALS)
def test_every_party_must_have_approved(agreement: Agreement, party: str) -> None:
    with pytest.raises(Refused, match="has not approved"):
        prepare(agreement, [], now=NOW, effective_at=None, approvals={p: n for p, n in APPROVALS.items() if p != party})


@pytest.mark.parametrize(
    ("party", "name", "said"), [("Strangers Ltd", "Eve", "no party"), (next(iter(APPROVALS)), " ", "no name")]
)
def test_an_approval_needs_a_party_and_a_name(agreement: Agreement, party: str, name: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        prepare(agreement, [], now=NOW, effective_at=None, approvals=APPROVALS | {party: name})


def test_the_record_is_read_back_as_it_was_published(agreement: Agreement) -> None:
    published = first(agreement)
    key, value, headers = record_of(published, NOW)
    assert key == published.version.encode()
    assert dict(headers)["ce_id"] == key
    assert parse_published(value) == published


def test_an_altered_record_is_found_out(agreement: Agreement) -> None:
    _, value, _ = record_of(first(agreement), NOW)
    assert value.count(b'"seconds":14400') > 0
    with pytest.raises(ValueError, match="was altered"):
        parse_published(value.replace(b'"seconds":14400', b'"seconds":14401', 1))
