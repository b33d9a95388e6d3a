"""Which span a review is of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Period:
    """[since, until) in UTC. name: `2016-03` or `2016-Q1`; title: for people."""

    name: str
    title: str
    since: datetime
    until: datetime

    @property
    def days(self) -> int:
        return (self.until - self.since).days

    @property
    def last_day(self) -> datetime:
        return self.until - timedelta(days=1)

    def before(self) -> Period:
        """The period of the same length before this one."""
        month = self.since.month - (3 if "Q" in self.name else 1)
        year = self.since.year + (month - 1) // 12
        month = (month - 1) % 12 + 1
        return quarter_of(f"{year}-Q{(month + 2) // 3}") if "Q" in self.name else month_of(f"{year}-{month:02d}")


def month_of(text: str) -> Period:
    """`2016-03`. Raises ValueError."""
    if not (found := re.fullmatch(r"(\d{4})-(\d{2})", text)) or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
        raise ValueError(f"{text!r} is no month: write it as 2016-03")
    year, month = int(found[1]), int(found[2])
    since = datetime(year, month, 1, tzinfo=UTC)
    return Period(text, f"{since:%B} {year}", since, _first(year, month + 1))


def quarter_of(text: str) -> Period:
    """`2016-Q1`. Raises ValueError."""
    if not (found := re.fullmatch(r"(\d{4})-Q([1-4])", text)) or int(found[1]) < 1:
        raise ValueError(f"{text!r} is no quarter: write it as 2016-Q1")
    year, number = int(found[1]), int(found[2])
    since = datetime(year, 3 * number - 2, 1, tzinfo=UTC)
    return Period(text, f"Quarter {number} of {year}", since, _first(year, 3 * number + 1))


def _first(year: int, month: int) -> datetime:
    return datetime(year + (month > 12), (month - 1) % 12 + 1, 1, tzinfo=UTC)
