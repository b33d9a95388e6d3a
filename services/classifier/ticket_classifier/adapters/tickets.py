"""Tickets from a file: Relaydesk's own normalized events, plain objects with a title and a text, or plain text."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ticket_contracts.tickets import TicketNormalized

DEFAULT_AGREEMENT = Path("deploy/agreements/default.yaml")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TicketsError(ValueError):
    """A file that holds no tickets: names the line and what to write."""


def read_tickets(content: bytes, name: str) -> list[TicketNormalized]:
    """The tickets in a file: one JSON object, JSON Lines, or text whose first line is the title. Fields as in the
    normalized ticket, all optional; also a record of a replay's export, whose `data` counts. Raises TicketsError."""
    text = content.decode("utf-8", "replace").strip()
    if not text:
        raise TicketsError(f"{name} is empty; give a ticket as JSON or as text, its title in the first line")
    if not text.startswith("{"):
        title, _, body = text.partition("\n")
        return [_ticket({"title": title.strip(), "text": body.strip()}, name, 1)]
    try:
        return [_ticket(msgspec.json.decode(text), name, 1)]
    except msgspec.DecodeError:
        pass  # more than one object: a line each
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(_ticket(msgspec.json.decode(line), name, number))
            except msgspec.DecodeError as error:
                raise TicketsError(f"{name}:{number}: not JSON ({error}); write one object a line") from None
    return found


def _ticket(said: Any, name: str, line: int) -> TicketNormalized:
    if not isinstance(said, dict):
        raise TicketsError(f'{name}:{line}: not an object; write {{"title": "…", "text": "…"}}')
    if isinstance(said.get("data"), dict):
        said = said["data"]
    given = {
        "ticket": f"file:{name.replace(':', '-')}:{line}",
        "decided_for": _EPOCH,
        "received_at": _EPOCH,
        "ticket_version": 1,
        "source_version": "1",
        "delivery": "",
        "lifecycle": "created",
        "changed": [],
        "source": "generic",
        "instance": "file",
        "external_id": str(line),
        **{key: value for key, value in said.items() if value is not None},
    }
    try:
        return msgspec.convert(given, TicketNormalized, strict=False)
    except msgspec.ValidationError as error:
        raise TicketsError(f"{name}:{line}: not a ticket: {error}") from None


def plain_ticket(title: str, text: str) -> TicketNormalized:
    """A ticket of which nothing else is known."""
    return _ticket({"title": title, "text": text}, "plain", 1)


def default_agreement() -> Path:
    """The default agreement here or above. Raises FileNotFoundError."""
    for above in (Path.cwd(), *Path.cwd().parents):
        if (above / DEFAULT_AGREEMENT).is_file():
            return above / DEFAULT_AGREEMENT
    raise FileNotFoundError(f"no {DEFAULT_AGREEMENT} here or above; name an agreement with --agreement YAML")
