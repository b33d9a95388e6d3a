"""What one message says of one ticket: the fields that it names, and where it stands in the source's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

Shape = Literal["line", "text", "url", "status", "channel", "kind", "flag", "instant", "attachments"]

LEAVES: Final[Mapping[str, Shape]] = {
    "url": "url",
    "channel": "channel",
    "kind": "kind",
    "title": "line",
    "text": "text",
    "language": "line",
    "requester.name": "line",
    "requester.address": "line",
    "requester.language": "line",
    "requester.site": "line",
    "requester.vip": "flag",
    "customer": "line",
    "status": "status",
    "merged_into": "line",
    "split_from": "line",
    "evidence.priority": "line",
    "evidence.impact": "line",
    "evidence.urgency": "line",
    "evidence.category": "line",
    "service": "line",
    "configuration_item": "line",
    "assignee": "line",
    "group": "line",
    "attachments": "attachments",
    "created_at": "instant",
    "updated_at": "instant",
}
"""The fields that updates are merged by, and the form of each. Instants are microseconds since the epoch, UTC;
`merged_into` and `split_from` are the source's own id of the other ticket."""

UNREADABLE: Final = "unreadable"
"""The value of an instant that stands there in none of the source's formats: the ticket is read, and flagged."""


class Order(NamedTuple):
    """Where a message stands among those of its ticket; the greater wins a field.

    version: the source's own, one or more numbers; () where it gives none, which is older than any. time: microseconds
    since the epoch, of the source's update; 0 where it is not said. digest: of the body, so that no two are equal.
    """

    version: tuple[int, ...]
    time: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class CommentUpdate:
    """One comment as a message gives it. at: microseconds since the epoch. deleted: the source took it away.

    text, visibility: None where the message does not say, so that what is known stays. attachments: as
    `StoredComment` keeps them.
    """

    id: str
    author: str | None
    role: str
    visibility: str | None
    at: int
    text: str | None
    cut: bool
    deleted: bool
    attachments: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """A partial update. fields: leaf -> value, None where it is cleared; a leaf that is not named stays as it is.

    delivery: digest of what identifies the delivery. by_arrival: its order rests on when it was received, so that the
    same message received again would look newer. cut: leaves whose text was cut. closes_at: microseconds since the
    epoch; when the desk closes a ticket that this leaves resolved and that nothing changes until then; 0 is never.
    """

    source: str
    instance: str
    external_id: str
    order: Order
    delivery: bytes
    fields: dict[str, Any]
    comments: tuple[CommentUpdate, ...]
    by_arrival: bool = False
    cut: tuple[str, ...] = ()
    closes_at: int = 0
