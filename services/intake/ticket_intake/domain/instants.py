"""Instants as tools write them, as microseconds since the epoch (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST: Final = 253_402_300_799_000_000
"""The last second of the year 9999."""
_EPOCH_SCALES: Final = ((100_000_000_000, 1_000_000), (100_000_000_000_000, 1_000), (100_000_000_000_000_000, 1))
"""Below the first number: times how many microseconds. Seconds until 5138, then milli-, micro-, nanoseconds."""

_ZONE_APART: Final = re.compile(r"\s*(?:UTC|GMT)$|\s+(?=[+-]\d\d:?\d\d$)")
"""Ruby's way to end a time, ` UTC` or ` +0100`: Zammad's and Zendesk's placeholders are filled in so."""


def to_datetime(microseconds: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=microseconds)


def of_datetime(at: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    gone = at - EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def read(value: Any, formats: tuple[str, ...], zone: tzinfo) -> int | None:
    """The instant a value names, in the first format that fits; None for none at all (a null, an empty text, a year
    before 1970, as Alertmanager's year 1). Raises ValueError when no format fits.

    formats: `iso` (ISO 8601, its offset also after a space or as ` UTC`; without one it is in `zone`), `epoch` (a
    number since 1970, its unit by its size: seconds to nanoseconds), or a strptime format, in `zone`.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError("a truth value is no instant")
    if isinstance(value, int | float):
        if "epoch" not in formats:
            raise ValueError("a number; add `epoch` to its formats if it counts from 1970")
        return _epoch(value)
    if not isinstance(value, str):
        raise ValueError("neither a text nor a number")
    text = value.strip()
    # Milliseconds as a text may also read as a day of the year 1712 and a time.
    if len(text) > 8 and text.isdecimal() and "epoch" in formats:
        return _epoch(int(text[:20]))
    for form in formats:
        if form == "epoch":
            continue
        try:
            at = _iso(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
        except ValueError:
            continue
        try:
            gone = of_datetime(at if at.tzinfo is not None else at.replace(tzinfo=zone))
        except OverflowError:
            return None
        return gone if 0 <= gone <= _LATEST else None
    raise ValueError(f"in none of its formats ({', '.join(formats)})")


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(_ZONE_APART.sub(lambda found: "+00:00" if found[0].strip() else "", text))


def _epoch(number: float) -> int | None:
    if not 0 < number < 10**20:
        return None
    for below, scale in _EPOCH_SCALES:
        if number < below:
            return min(int(number * scale), _LATEST)
    return min(int(number // 1_000), _LATEST)
