"""A ticket's state, and how a partial update goes into it.

Each field keeps the order (source version, time, body's digest) of the message that last wrote it, so that the same set
of messages gives the same ticket in whatever order, and however often, they arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ticket_contracts.cloudevents import instant_text
from ticket_contracts.ids import ticket_id
from ticket_contracts.tickets import (
    ENDED,
    Attachment,
    Comment,
    Evidence,
    Lifecycle,
    Requester,
    Status,
    TicketNormalized,
)
from ticket_intake.domain import marks
from ticket_intake.domain.instants import to_datetime
from ticket_intake.domain.mapping import DIGEST_BYTES, MOST_COMMENTS
from ticket_intake.domain.update import LEAVES, UNREADABLE, CommentUpdate, Order, Update

REMEMBERED_IN_ORDER: Final = 32
"""Deliveries remembered for a ticket whose messages carry an order. A forgotten one changes nothing when it comes
again, since nothing in it is newer; it is only called `no_change` instead of `same_delivery`."""
REMEMBERED_BY_ARRIVAL: Final = 512
"""Deliveries remembered for a ticket ordered by arrival alone, or with a time that had to be clamped: there a repeated
message looks new, so its digest is all that tells. 6 KB a ticket at most."""

_KEPT: Final = frozenset({"status", "channel", "kind", "created_at", "updated_at", "merged_into", "split_from"})
"""Leaves that say nothing of anybody."""

CLOSED_BY_DESK: Final = "closed:by_desk"

DEFAULTS: Final[dict[str, Any]] = {
    "channel": "api",
    "status": "new",
    "title": "",
    "text": "",
    "requester.vip": False,
    "attachments": [],
}
"""What a leaf is that no message has written, or that one has cleared; None where it is not named here."""
_CHANGED: Final = {leaf: leaf.split(".", 1)[0] for leaf in LEAVES}
_POSITIONS: Final = {
    name: position
    for position, name in enumerate(
        field for field in TicketNormalized.__struct_fields__ if field not in ("ticket", "decided_for")
    )
}


class StoredComment(msgspec.Struct, frozen=True, array_like=True):
    """A comment, the order of the message that last wrote its text (index into `State.orders`; -1 for none yet, since a
    message may tell of its visibility or its attachments first), and its marks.

    A deleted one stays without its text, so that a late message does not bring it back. visibility_order: as `order`,
    of the visibility; -1 where no message has said it. attachments: (key, taken away, name, url, media type, size).
    """

    at: int
    id: str
    author: str | None
    role: Literal["customer", "agent", "system"]
    visibility: Literal["public", "internal"]
    text: str
    cut: bool
    deleted: bool
    order: int
    flags: list[str]
    visibility_order: int = -1
    attachments: list[tuple[str, bool, str, str | None, str | None, int | None]] = []


class State(msgspec.Struct, frozen=True, array_like=True):
    """One ticket as intake keeps it: a record of its changelog.

    version: of the normalized ticket; 0 is none yet. orders: those that `written` points to, in order. values, written:
    leaf -> value, and index of its order. newest: index of the newest order seen. detected: language of the text.
    flags: leaf -> marks found. deliveries: digests of DIGEST_BYTES each, the newest last. due: when, if nothing
    changes until then, it is closed, since its source closes none, or, where the number is negative, forgotten, in
    microseconds since the epoch; 0 is never. closed: by the desk; `values` still holds what the source says. floor: the
    newest order of a former life that is forgotten; what is not newer changes nothing.
    """

    version: int
    orders: list[tuple[list[int], int, bytes]]
    values: dict[str, Any]
    written: dict[str, int]
    newest: int
    comments: list[StoredComment]
    detected: str | None
    flags: dict[str, list[str]]
    deliveries: bytes
    due: int = 0
    closed: bool = False
    floor: tuple[list[int], int, bytes] | None = None

    @property
    def status(self) -> Status:
        said: Status = self.values.get("status") or "new"
        return "closed" if self.closed else said


class _Dated(msgspec.Struct, array_like=True):
    """A state of which only `due` is read."""

    version: msgspec.Raw
    orders: msgspec.Raw
    values: msgspec.Raw
    written: msgspec.Raw
    newest: msgspec.Raw
    comments: msgspec.Raw
    detected: msgspec.Raw
    flags: msgspec.Raw
    deliveries: msgspec.Raw
    due: int = 0


EMPTY: Final = State(0, [], {}, {}, -1, [], None, {}, b"")
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(State)
_dated_decoder = msgspec.msgpack.Decoder(_Dated)


def encode(state: State) -> bytes:
    """The changelog's bytes of a state; equal states give equal bytes."""
    return _encoder.encode(state)


def decode(data: bytes) -> State:
    """The inverse of `encode`. Raises msgspec.DecodeError."""
    return _decoder.decode(data)


def due_of(data: bytes) -> int:
    """`State.due` of an encoded state, without reading the rest."""
    return _dated_decoder.decode(data).due


class Merged(NamedTuple):
    """state: to be stored; None when nothing of it changed. changed: fields of the normalized ticket that differ.
    duplicate: why there is no new version, or None. happened: as the source says, in microseconds since the epoch."""

    state: State | None
    changed: list[str]
    lifecycle: Lifecycle
    duplicate: Literal["same_delivery", "no_change"] | None
    happened: int | None = None


Detect = Callable[[str, str], str | None]
"""Title and text -> the language's ISO 639-1 code."""


def merge(state: State, update: Update, detect: Detect, forget_at: int = 0) -> Merged:
    """What an update does to a ticket. `state` stays as it is. forget_at: when the ticket is forgotten if it has ended
    with this, in microseconds since the epoch; 0 is never."""
    if _remembers(state.deliveries, update.delivery):
        return Merged(None, [], "updated", "same_delivery")
    mine = update.order
    if state.floor is not None and mine <= _order(state.floor):
        return Merged(None, [], "updated", "no_change")
    orders = [_order(stored) for stored in state.orders]
    values, written = dict(state.values), dict(state.written)
    own = len(orders)  # mine, as an index, until the list is packed
    changed: dict[str, None] = {}
    for leaf, value in update.fields.items():
        index = written.get(leaf)
        if index is not None and orders[index] >= mine:
            continue
        written[leaf] = own
        if values.get(leaf) != value:
            default = DEFAULTS.get(leaf)
            before = values.get(leaf)
            if (default if before is None else before) != (default if value is None else value):
                changed[_CHANGED[leaf]] = None
                if UNREADABLE in (before, value):
                    changed["flags"] = None
            if value is None:
                values.pop(leaf, None)
            else:
                values[leaf] = value
    orders.append(mine)
    newest = own if state.newest < 0 or orders[state.newest] < mine else state.newest
    comments = state.comments
    if update.comments:
        comments = _comments(state.comments, update.comments, orders, own)
        if _seen(comments) != _seen(state.comments):
            changed["comments"] = None
        if _attached(comments) != _attached(state.comments):
            changed["attachments"] = None
    detected, flags = state.detected, state.flags
    if "title" in changed or "text" in changed or update.cut or "comments" in changed:
        detected, flags = _derived(state, values, update, comments, changed, detect)
    closed = state.closed and values.get("status") == "resolved"
    if state.closed and not closed:
        changed["flags"] = None
        if values.get("status") == "closed":
            changed.pop("status", None)
    status = "closed" if closed else values.get("status") or "new"
    unchanged = bool(state.version and not changed)
    due = state.due
    if not unchanged or not due:  # what changes nothing puts nothing off
        due = update.closes_at if status == "resolved" else -forget_at if status in ENDED else 0
    kept = State(
        state.version if unchanged else state.version + 1,
        *_packed(orders, values, written, newest, comments),
        detected,
        flags,
        _remember(state, update),
        due,
        closed,
        state.floor,
    )
    if unchanged:
        return Merged(kept, [], "updated", "no_change")
    lifecycle: Lifecycle
    if state.version == 0:
        lifecycle = "split" if values.get("split_from") else "created"
    else:
        lifecycle = _lifecycle(state.status, status)
    said = update.fields.get("updated_at")
    happened = said if said != UNREADABLE else None
    return Merged(kept, sorted(changed, key=_POSITIONS.__getitem__), lifecycle, None, happened)


def _order(stored: tuple[list[int], int, bytes]) -> Order:
    version, time, data = stored
    return Order(tuple(version), time, data)


def close(state: State, forget_at: int = 0) -> Merged:
    """The end of a ticket that has been resolved for as long as its source's document says. What the source says stays
    as it was: the same once more does not reopen it, and whatever is newer counts."""
    kept = msgspec.structs.replace(state, version=state.version + 1, due=-forget_at, closed=True)
    return Merged(kept, ["status", "flags"], "ended", None)


def forgotten(state: State) -> State:
    """What is left of a ticket that ended long ago: enough to go on counting its versions, and to see that a message is
    not newer than all that was known."""
    return msgspec.structs.replace(
        EMPTY,
        version=state.version,
        orders=[state.orders[state.newest]],
        values={leaf: value for leaf, value in state.values.items() if leaf in _KEPT},
        newest=0,
        closed=state.closed,
        floor=state.orders[state.newest],
    )


def _lifecycle(before: str, after: str) -> Lifecycle:
    if after in ENDED and after != before:
        return "merged" if after == "merged" else "deleted" if after == "deleted" else "ended"
    if after in ENDED:
        return "updated"
    return "reopened" if before in ENDED or (before == "resolved" and after != "resolved") else "updated"


def _remembers(deliveries: bytes, delivery: bytes) -> bool:
    found = deliveries.find(delivery)
    while found >= 0 and found % DIGEST_BYTES:
        found = deliveries.find(delivery, found + 1)
    return found >= 0


def _remember(state: State, update: Update) -> bytes:
    # A ticket that was ever ordered by arrival stays so: its long memory is not cut by one ordered message.
    by_arrival = update.by_arrival or len(state.deliveries) > REMEMBERED_IN_ORDER * DIGEST_BYTES
    limit = (REMEMBERED_BY_ARRIVAL if by_arrival else REMEMBERED_IN_ORDER) * DIGEST_BYTES
    return (state.deliveries + update.delivery)[-limit:]


def _packed(
    orders: list[Order],
    values: dict[str, Any],
    written: dict[str, int],
    newest: int,
    comments: list[StoredComment],
) -> tuple[list[tuple[list[int], int, bytes]], dict[str, Any], dict[str, int], int, list[StoredComment]]:
    """The same with only the orders that something points to, renumbered by first use."""
    used: dict[int, int] = {newest: 0}
    for index in written.values():
        used.setdefault(index, len(used))
    for comment in comments:
        for order in (comment.order, comment.visibility_order):
            if order >= 0:
                used.setdefault(order, len(used))
    if len(used) != len(orders) or any(old != new for old, new in used.items()):
        written = {leaf: used[index] for leaf, index in written.items()}
        if comments:
            comments = [
                msgspec.structs.replace(
                    c, order=used.get(c.order, -1), visibility_order=used.get(c.visibility_order, -1)
                )
                for c in comments
            ]
        newest = 0
    kept = [(list(orders[old].version), orders[old].time, orders[old].digest) for old in used]
    return kept, values, written, newest, comments


def _comments(
    stored: list[StoredComment], given: tuple[CommentUpdate, ...], orders: list[Order], own: int
) -> list[StoredComment]:
    """Text, visibility and attachments of a comment may come in messages of their own, in any order."""
    by_id = {comment.id: comment for comment in stored}
    for new in given:
        comment = by_id.get(new.id)
        if comment is None:
            comment = StoredComment(new.at, new.id, None, "agent", "internal", "", False, False, -1, [])
        elif new.at < comment.at:  # one without a time of its own has that of the first message that held it
            comment = msgspec.structs.replace(comment, at=new.at)
        if (new.text is not None or new.deleted) and (comment.order < 0 or orders[comment.order] < orders[own]):
            text = "" if new.deleted else new.text or ""
            comment = msgspec.structs.replace(
                comment,
                author=new.author,
                role=new.role,
                text=text,
                cut=new.cut,
                deleted=new.deleted,
                order=own,
                flags=marks.flags(f"comments.{new.id}", text) if text else [],
            )
        if new.visibility is not None:
            # A changelog of before knows one order for both.
            known = comment.visibility_order if comment.visibility_order >= 0 else comment.order
            if known < 0 or known == own or orders[known] < orders[own]:
                comment = msgspec.structs.replace(comment, visibility=new.visibility, visibility_order=own)
        if new.attachments:
            comment = msgspec.structs.replace(comment, attachments=_united(comment.attachments, new.attachments))
        by_id[new.id] = comment
    return sorted(by_id.values(), key=lambda comment: (comment.at, comment.id))[-MOST_COMMENTS:]


def _united(one: list[Any], other: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """Both lists' attachments, once by key; what was taken away stays so. The same in whatever order they come."""
    kept: dict[str, Any] = {}
    for attachment in sorted([*one, *other], key=lambda a: (a[1], msgspec.json.encode(a))):
        kept[attachment[0]] = attachment
    return sorted(kept.values(), key=lambda attachment: str(attachment[0]))


def _seen(comments: list[StoredComment]) -> list[tuple[Any, ...]]:
    return [(c.id, c.at, c.author, c.role, c.visibility, c.text) for c in comments if c.text]


def _attached(comments: list[StoredComment]) -> list[tuple[Any, ...]]:
    """(name, url, media type, size) of what came with comments."""
    return [tuple(a[2:]) for c in comments if not c.deleted for a in c.attachments if not a[1]]


def _derived(
    state: State,
    values: dict[str, Any],
    update: Update,
    comments: list[StoredComment],
    changed: dict[str, None],
    detect: Detect,
) -> tuple[str | None, dict[str, list[str]]]:
    """Language and flags, computed anew only where their text changed; what they change is added to `changed`."""
    title, text = values.get("title") or "", values.get("text") or ""
    detected, flags = state.detected, dict(state.flags)
    if "title" in changed or "text" in changed:
        detected = detect(title, text)
        if detected != state.detected and values.get("language") is None:
            changed["language"] = None
        for leaf, shown in (("title", title), ("text", text)):
            if leaf in changed:
                flags[leaf] = marks.flags(leaf, shown)
                if leaf == "text" and "text" in update.cut:
                    flags[leaf].append("text:cut")
    flags["comments"] = sorted(
        {f for c in comments for f in c.flags} | ({"text:cut"} if any(c.cut for c in comments) else set())
    )
    flags = {leaf: found for leaf, found in flags.items() if found}
    if _flags(flags) != _flags(state.flags):
        changed["flags"] = None
    return detected, flags


def _flags(by_leaf: dict[str, list[str]]) -> list[str]:
    return sorted({flag for found in by_leaf.values() for flag in found})


def _text_of_version(order: tuple[list[int], int, bytes], by_time: bool) -> str:
    version, time, _ = order
    if not version:
        return instant_text(to_datetime(time)) if time else ""
    first = instant_text(to_datetime(version[0])) if by_time else str(version[0])
    return ".".join([first, *(str(part) for part in version[1:] if part >= 0)])


def erased(state: State) -> State:
    """The ticket without its text and without people: its version, what was written when, and which deliveries were
    seen stay, so that a late message brings nothing back."""
    return msgspec.structs.replace(
        state,
        values={leaf: value if leaf in _KEPT else None for leaf, value in state.values.items()},
        comments=[
            msgspec.structs.replace(comment, author=None, text="", deleted=True, flags=[], attachments=[])
            for comment in state.comments
        ],
        detected=None,
        flags={},
    )


def normalized(
    state: State,
    merged: Merged,
    *,
    ticket: str,
    source: str,
    instance: str,
    external_id: str,
    delivery: str,
    received: int,
    version_is_time: bool,
) -> TicketNormalized:
    """The event of a new version. received: microseconds since the epoch; also the instant it was decided for.

    Many sources do not say whose side a comment's author is on: the requester's own comments are a customer's.
    """
    get = state.values.get
    at = to_datetime(received)
    created, updated = get("created_at"), get("updated_at")
    asking = (get("requester.name"), get("requester.address"))
    unreadable = (f"unreadable:{leaf}" for leaf in ("created_at", "updated_at") if get(leaf) == UNREADABLE)

    def other(leaf: str) -> str | None:
        external = get(leaf)
        return None if external is None else ticket_id(source, instance, external)

    return TicketNormalized(
        ticket=ticket,
        decided_for=at,
        ticket_version=state.version,
        source_version=_text_of_version(state.orders[state.newest], version_is_time),
        delivery=delivery,
        lifecycle=merged.lifecycle,
        changed=merged.changed,
        source=source,
        instance=instance,
        external_id=external_id,
        url=get("url"),
        channel=get("channel") or "api",
        kind=get("kind"),
        title=get("title") or "",
        text=get("text") or "",
        language=get("language") or state.detected,
        comments=[
            Comment(
                id=c.id,
                author=c.author,
                author_role="customer" if c.author is not None and c.author in asking else c.role,
                visibility=c.visibility,
                at=to_datetime(c.at),
                text=c.text,
            )
            for c in state.comments
            if c.text
        ],
        requester=Requester(
            name=get("requester.name"),
            address=get("requester.address"),
            language=get("requester.language"),
            site=get("requester.site"),
            vip=bool(get("requester.vip")),
        ),
        customer=get("customer"),
        status=state.status,
        merged_into=other("merged_into"),
        split_from=other("split_from"),
        evidence=Evidence(
            priority=get("evidence.priority"),
            impact=get("evidence.impact"),
            urgency=get("evidence.urgency"),
            category=get("evidence.category"),
        ),
        service=get("service"),
        configuration_item=get("configuration_item"),
        assignee=get("assignee"),
        group=get("group"),
        attachments=_attachments(state),
        flags=sorted({*_flags(state.flags), *unreadable, *((CLOSED_BY_DESK,) if state.closed else ())}),
        created_at=None if created is None or created == UNREADABLE else to_datetime(created),
        updated_at=None if updated is None or updated == UNREADABLE else to_datetime(updated),
        received_at=at,
        happened_at=None if merged.happened is None else to_datetime(merged.happened),
    )


def _attachments(state: State) -> list[Attachment]:
    """The ticket's own, and those of its comments that it does not name itself."""
    own = [tuple(attachment) for attachment in state.values.get("attachments") or ()]
    links = {url for _, url, _, _ in own if url is not None}
    more = [attachment for attachment in _attached(state.comments) if attachment[1] not in links]
    return [Attachment(name=n, url=u, media_type=m, size_bytes=s) for n, u, m, s in (*own, *more)]
