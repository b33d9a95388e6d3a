"""How the page says things: what templates call. Everything from a ticket is hostile text, and goes through here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from markupsafe import Markup

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]|[\ud800-\udfff]")
"""What no reader needs and some terminals, copies and screen readers stumble over; tabs and line ends stay."""


def said(text: object) -> str:
    """Text as it came, but for control characters, which show as U+FFFD. Jinja escapes it; `<bdi>` and `dir=auto` keep
    its writing direction to itself."""
    return "" if text is None else _CONTROLS.sub("�", str(text).replace("\r\n", "\n").replace("\r", "\n"))


def shortened(text: str, at_most: int) -> str:
    return text if len(text) <= at_most else text[: at_most - 1].rstrip() + "…"


def duration(seconds: float) -> str:
    """As desk.js says it too: 14:32, 3 h 05; what is missed begins with a minus."""
    whole = int(abs(seconds))
    sign = "−" if seconds < 0 and whole else ""
    if whole < 3600:
        return f"{sign}{whole // 60}:{whole % 60:02}"
    return f"{sign}{whole // 3600:,} h {whole % 3600 // 60:02}".replace(",", "\u202f")


def instant(at: datetime | str | int | float | None, form: str = "short") -> Markup:
    """A moment, in UTC; the browser says it in its own zone. form: `short`, or `full` with day and seconds."""
    if at is None:
        return Markup("")
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    elif not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
    at = at.astimezone(UTC)
    text = at.strftime("%a %-d %b %Y %H:%M:%S UTC" if form == "full" else "%a %-d %b %H:%M UTC")
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), form, text
    )


def words(code: object) -> str:
    """A name of ours as people say it: `first_response` → First response."""
    text = str(code).replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def path(text: object) -> str:
    """For one segment of an address, or one value of its query."""
    return quote(str(text), safe=":")


_CAUSES: Final = {
    "first": "new ticket",
    "pre_breach": "a deadline is near",
    "breach": "a deadline has passed",
    "return": "returned",
    "owner_left": "its owner left",
    "source": "reassigned in the tool",
    "reroute": "more became known",
}


def cause(code: object) -> str:
    """Why a transfer was asked for."""
    return _CAUSES.get(str(code), str(code).replace("_", " "))


def link(address: object, label: str | None = None) -> Markup:
    """An address out of a ticket: only http and https become links, and they open without a way back. label: instead of
    the address itself."""
    shown = said(address)
    try:
        parts = urlsplit(shown)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        return Markup("<bdi>{}</bdi>").format(shortened(shown, 300))
    return Markup('<a href="{}" target="_blank" rel="noopener noreferrer nofollow ugc"><bdi>{}</bdi></a>').format(
        shown, label or shortened(shown, 300)
    )


def number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def size(bytes_: int | None) -> str:
    if bytes_ is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if bytes_ < 1000:
            return f"{bytes_:.0f} {unit}"
        bytes_ = round(bytes_ / 1000)
    return f"{bytes_} GB"


def quantity(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def finalized(value: Any) -> Any:
    """Text that a template shows without a filter is hostile as well."""
    return said(value) if type(value) is str else value


FILTERS: Final = {
    "said": said,
    "shortened": shortened,
    "duration": duration,
    "instant": instant,
    "words": words,
    "path": path,
    "cause": cause,
    "link": link,
    "number": number,
    "size": size,
    "quantity": quantity,
}
