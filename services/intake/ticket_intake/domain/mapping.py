"""A source, compiled: from a message's body to the partial update that it means. Pure, and made once per source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ticket_contracts.ids import ticket_id
from ticket_intake.domain import instants
from ticket_intake.domain.errors import NotUnderstood, code
from ticket_intake.domain.paths import MISSING, Path
from ticket_intake.domain.text import LINE_LIMIT, line, readable
from ticket_intake.domain.update import LEAVES, UNREADABLE, CommentUpdate, Order, Shape, Update

STATUSES: Final = frozenset(
    ("new", "open", "pending_customer", "pending_vendor", "on_hold", "resolved", "closed", "merged", "deleted")
)
KINDS: Final = frozenset(("incident", "service_request", "question", "problem", "change"))
CHANNELS: Final = frozenset(("portal", "mail", "chat", "phone", "monitoring", "api"))
WORDS: Final[dict[str, frozenset[str]]] = {"status": STATUSES, "kind": KINDS, "channel": CHANNELS}

DIGEST_BYTES: Final = 12
EXTERNAL_ID_LIMIT: Final = 200
_SKEW: Final = 5 * 60 * 1_000_000
"""Microseconds by which a source's clock may run ahead and still order its own messages."""
MOST_COMMENTS: Final = 1_000
MOST_ATTACHMENTS: Final = 200
_TRUE = frozenset(("true", "1", "yes", "y", "on"))


_NO_SCHEME: Final = re.compile(r"(?i:[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/\S*)")
"""A link as Zendesk's `{{ticket.url}}` is filled in: host and path."""


def digest(data: bytes) -> bytes:
    """What tells one body, or one delivery, from another."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Rule:
    """Whence one value comes. path or value: where it stands, or what it always is. when: only if this holds.

    words: value map, keys in lower case. otherwise: what a value is that `words` does not know: `keep` it, `skip` this
    rule, this value, or None: it is not understood.
    """

    path: Path | None = None
    value: str | bool | None = None
    when: Path | None = None
    words: dict[str, str | None] | None = None
    otherwise: str | None = None
    form: str = "plain"
    formats: tuple[str, ...] = ("iso",)
    zone: tzinfo = instants.EPOCH.tzinfo  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class CommentRule:
    """each: the comment, or the list of them; the others see `{"item": the comment, "body": the message}`."""

    each: Path
    text: Rule
    id: Rule | None = None
    author: Rule | None = None
    role: tuple[Rule, ...] = ()
    visibility: tuple[Rule, ...] = ()
    at: Rule | None = None
    deleted: Path | None = None
    attachments: Path | None = None


@dataclass(frozen=True, slots=True)
class VersionPart:
    """One number of a source's version. form: `integer` (also `"1,000"`), `instant`, or `rank` by `ranks`."""

    path: Path
    form: Literal["integer", "instant", "rank"]
    ranks: dict[str, int] = field(default_factory=dict)
    formats: tuple[str, ...] = ("iso", "epoch")
    zone: tzinfo = instants.EPOCH.tzinfo  # type: ignore[assignment]


ALWAYS: Final = "(always)"
"""In an explanation, the path of what the document itself says."""

Reader = Callable[[Any, list[str]], Any]
"""Scope, and the list that names of cut leaves are added to -> the leaf's value, or MISSING."""


class Step(NamedTuple):
    """One line of an explanation: the leaf, the path that gave it, what stood there, what it became."""

    leaf: str
    path: str
    found: Any
    became: Any


@dataclass(frozen=True, slots=True)
class Source:
    """A compiled source document.

    within: where the message proper stands, when it is wrapped. parts: splits a message of several tickets; each is
    then read as `{"item": the part, "body": the message}`. refuse: what is not about a ticket, and why. resolved_for:
    microseconds after which the desk closes a resolved ticket, in a tool that closes none; 0 is never.
    """

    name: str
    within: Path | None
    external_id: Path
    instance: str
    instance_path: Path | None
    parts: Path | None
    refuse: tuple[tuple[Path, str], ...]
    delivery: Path | None
    version: tuple[VersionPart, ...]
    fields: tuple[tuple[str, tuple[Rule, ...]], ...]
    comments: tuple[CommentRule, ...]
    resolved_for: int = 0
    readers: tuple[tuple[str, Reader], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "readers", tuple((leaf, _reader(leaf, rules)) for leaf, rules in self.fields))

    # --- which tickets

    @property
    def version_is_time(self) -> bool:
        """Whether versions are instants, and shown as such."""
        return bool(self.version) and self.version[0].form == "instant"

    def tickets(self, body: Any) -> list[str]:
        """The ids of the tickets a message speaks of, in order. Raises NotUnderstood."""
        body = self._opened(body)
        return [ticket_id(self.name, *self._identity(scope)) for scope in self._scopes(body)]

    def _opened(self, body: Any) -> dict[str, Any]:
        """The message proper. Raises NotUnderstood when it is none, or is not about a ticket."""
        if type(body) is not dict:
            raise NotUnderstood("(body)", f"{_kind(body)} where an object is expected")
        if self.within is not None:
            body = self.within.get(body)
            if type(body) is not dict:
                raise NotUnderstood(self.within.text, f"{_kind(body)} where an object is expected")
        for condition, why in self.refuse:
            if condition.holds(body):
                raise NotUnderstood(condition.text, why)
        return body

    def _scopes(self, body: Any) -> list[Any]:
        if self.parts is None:
            return [body]
        found = self.parts.get(body)
        if not isinstance(found, list) or not found:
            why = "an empty list: the message holds no ticket" if found == [] else "no list of tickets stands there"
            raise NotUnderstood(self.parts.text, why)
        if not all(type(item) is dict for item in found):
            raise NotUnderstood(self.parts.text, "an entry of the list is not an object")
        return [{"item": item, "body": body} for item in found]

    def _identity(self, scope: Any) -> tuple[str, str]:
        external = _scalar(self.external_id.get(scope), self.external_id)
        if not external:
            raise NotUnderstood(
                self.external_id.text, "the ticket's own id is missing; the source's document says `ticket:`"
            )
        if len(external) > EXTERNAL_ID_LIMIT:
            raise NotUnderstood(self.external_id.text, f"an id of more than {EXTERNAL_ID_LIMIT} characters")
        if "{{" in external:
            raise NotUnderstood(
                self.external_id.text, "a placeholder that the tool did not fill in; mend the body that it is to send"
            )
        instance = self.instance
        if self.instance_path is not None:
            instance = _scalar(self.instance_path.get(scope), self.instance_path).replace(":", "_") or instance
        return instance, external

    # --- what it says

    def read(
        self, body: Any, raw: bytes, part: int, delivery: str | None, received: int, steps: list[Step] | None = None
    ) -> Update:
        """The update that one part of a message means.

        raw: the message's bytes. delivery: the id that the sender gave with it, if any. received: microseconds since
        the epoch, when Relaydesk accepted it; a later time is clamped to it. steps: filled with what came whence.
        Raises NotUnderstood.
        """
        scopes = self._scopes(self._opened(body))
        if part >= len(scopes):
            raise NotUnderstood(self.parts.text if self.parts else "(body)", f"there is no part {part}")
        scope = scopes[part]
        instance, external = self._identity(scope)
        own = raw if self.parts is None else msgspec.json.encode(scope["item"], order="deterministic")
        fields: dict[str, Any] = {}
        cut: list[str] = []
        if steps is None:
            for leaf, reader in self.readers:
                value = reader(scope, cut)
                if value is not MISSING:
                    fields[leaf] = value
        else:
            for leaf, rules in self.fields:
                value = _first(rules, leaf, scope, cut, steps)
                if value is not MISSING:
                    fields[leaf] = value
        updated = fields.get("updated_at")
        if updated is UNREADABLE:
            updated = None
        for leaf in ("created_at", "updated_at"):
            if (at := fields.get(leaf)) is not None and at is not UNREADABLE and at > received:
                fields[leaf] = received
        body_digest = digest(own)
        latest = received + _SKEW
        version, clamped = self._version(scope, latest)
        time = min(updated, latest) if updated else 0 if version else received
        by_arrival = clamped or bool(updated and updated > latest) or not (version or updated)
        comments = tuple(self._comments(scope, min(updated or received, received), received, steps))
        named = delivery if delivery is not None else self._delivery(scope)
        return Update(
            source=self.name,
            instance=instance,
            external_id=external,
            order=Order(version, time, body_digest),
            delivery=body_digest
            if named is None
            else digest(f"{part if self.parts else 0} {named}".encode("utf-8", "replace")),
            fields=fields,
            comments=comments,
            by_arrival=by_arrival,
            cut=tuple(cut),
            closes_at=received + self.resolved_for if self.resolved_for else 0,
        )

    def _delivery(self, scope: Any) -> str | None:
        if self.delivery is None:
            return None
        return _scalar(self.delivery.get(scope), self.delivery) or None

    def _version(self, scope: Any, latest: int) -> tuple[tuple[int, ...], bool]:
        """The source's version, and whether a time in it lay in the future, beyond `latest`."""
        found: list[int] = []
        clamped = False
        for part in self.version:
            number = _number(part, scope)
            if number is None:
                if not found:
                    return (), False
                number = -1
            elif part.form == "instant" and number > latest:
                number, clamped = latest, True
            found.append(number)
        return tuple(found), clamped

    def _comments(self, scope: Any, updated: int, received: int, steps: list[Step] | None) -> Iterator[CommentUpdate]:
        for rule in self.comments:
            found = rule.each.get(scope)
            if not found:
                continue
            items = found if isinstance(found, list) else [found]
            for item in items[:MOST_COMMENTS]:
                if item is not None:
                    comment = _comment(rule, {"item": item, "body": scope}, updated, received)
                    if comment is not None:
                        if steps is not None:
                            steps.append(Step("comments", rule.each.text, item, comment.id))
                        yield comment

    def leaves(self) -> list[str]:
        """The fields that the document reads."""
        return [leaf for leaf, _ in self.fields]

    def unread(self, body: Any, part: int) -> list[str]:
        """The paths of one part of a message that nothing reads: leaves, lists whole; for `--explain`."""
        reads = {names for path in self._paths() for names in path.reads}
        if self.within is not None:
            body = self.within.get(body)
        if self.parts is not None:
            body = self.parts.get(body)[part]
            reads = {names[1:] for names in reads if names[0] == "item"}
        return [".".join(names) for names in _leaves(body, ()) if not any(names[: len(r)] == r for r in reads)]

    def _paths(self) -> Iterator[Path]:
        yield self.external_id
        for path in (self.instance_path, self.parts, self.delivery):
            if path is not None:
                yield path
        for condition, _ in self.refuse:
            yield condition
        for version in self.version:
            yield version.path
        if self.within is not None:
            yield self.within
        for comment in self.comments:
            yield comment.each
        for _, rules in self.fields:
            for rule in rules:
                for inner in (rule.path, rule.when):
                    if inner is not None:
                        yield inner


def _leaves(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if type(value) is dict and value and len(names) < 8:
        for name, inner in value.items():
            yield from _leaves(inner, (*names, name))
    elif names:
        yield names


# --- one value


def _kind(value: Any) -> str:
    if value is None or value is MISSING:
        return "null" if value is None else "nothing"
    return {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}.get(type(value), "a number")


def _scalar(value: Any, path: Path) -> str:
    if value is None or value is MISSING:
        return ""
    if isinstance(value, str):
        return line(value)
    if isinstance(value, bool | dict | list):
        raise NotUnderstood(path.text, f"{_kind(value)} where a text or a number is expected")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _apply(leaf: str, shape: Shape, rule: Rule, scope: Any, cut: list[str], steps: list[Step] | None) -> Any:
    """The value of one rule; MISSING when it says nothing."""
    if rule.when is not None and not rule.when.holds(scope):
        return MISSING
    if rule.path is None:
        if steps is not None:
            steps.append(Step(leaf, ALWAYS, rule.value, rule.value))
        return rule.value
    found = rule.path.get(scope)
    if found is MISSING:
        return MISSING
    became = _SHAPES[shape](leaf, found, rule, rule.path, cut)
    if steps is not None:
        steps.append(Step(leaf, rule.path.text, found, became))
    return became


def _reader(leaf: str, rules: tuple[Rule, ...]) -> Reader:
    """The rules of a leaf as one closure: nearly all have a single path and no condition."""
    shape = _SHAPES[LEAVES[leaf]]
    only = rules[0]
    path = only.path
    if len(rules) > 1 or path is None or only.when is not None:
        return lambda scope, cut: _first(rules, leaf, scope, cut, None)
    get = path.get
    if LEAVES[leaf] == "line" and only.words is None:

        def short(scope: Any, cut: list[str]) -> Any:
            found = get(scope)
            if (
                type(found) is str
                and found.isascii()
                and found.isprintable()
                and len(found) <= LINE_LIMIT
                and "  " not in found
            ):
                return found.strip() or None
            if found is None or found is MISSING:
                return found
            return shape(leaf, found, only, path, cut)

        return short

    def read(scope: Any, cut: list[str]) -> Any:
        found = get(scope)
        return MISSING if found is MISSING else shape(leaf, found, only, path, cut)

    return read


def _line(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    text = (
        found
        if type(found) is str
        else "true"
        if found is True
        else "false"
        if found is False
        else _scalar(found, path)
    )
    text = line(text)
    if rule.words is not None:
        return _word(leaf, text, rule, path)
    return text or None


def _word(leaf: str, text: str, rule: Rule, path: Path) -> Any:
    assert rule.words is not None
    known = rule.words.get(text.lower(), MISSING)
    if known is not MISSING:
        return known
    if not text:
        return None
    if rule.otherwise == "keep":
        return text
    if rule.otherwise == "skip":
        return MISSING
    if rule.otherwise is not None:
        return rule.otherwise
    raise NotUnderstood(path.text, f"{code(text)} is not in the map of `{leaf}`; add a line to the source's document")


def _enumerated(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    word = _line(leaf, found, rule, path, cut)
    if word is not None and word is not MISSING and word not in WORDS[leaf]:
        raise NotUnderstood(path.text, f"{code(word)} is no {leaf}; map it in the source's document")
    return word


def _text(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    if found is None:
        return None
    if not isinstance(found, str | dict):
        if isinstance(found, list):
            raise NotUnderstood(path.text, "a list where a text is expected")
        found = _scalar(found, path)
    if isinstance(found, dict) and found.get("type") != "doc":
        raise NotUnderstood(path.text, "an object where a text is expected")
    shown = readable(found, rule.form)
    if shown.cut:
        cut.append(leaf)
    return shown.text or None


def _url(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    text = _scalar(found, path)
    if _NO_SCHEME.fullmatch(text):
        return f"https://{text}"
    return text if text.lower().startswith(("http://", "https://")) and " " not in text else None


def _flag(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    if found is None or isinstance(found, bool):
        return found
    return _scalar(found, path).lower() in _TRUE


def _instant(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    try:
        return instants.read(found, rule.formats, rule.zone)
    except ValueError:
        # An odd date is no reason to let a ticket wait: it is flagged. What orders the updates must be read, though.
        return UNREADABLE


def _attachments(leaf: str, found: Any, rule: Rule, path: Path, cut: list[str]) -> Any:
    """[[name, url, media type, size in bytes], …], from `[{name, url, media_type, size_bytes}, …]`."""
    if found is None:
        return None
    if not isinstance(found, list):
        raise NotUnderstood(path.text, f"{_kind(found)} where a list of attachments is expected")
    result: list[list[Any]] = []
    for item in found[:MOST_ATTACHMENTS]:
        if not isinstance(item, dict):
            raise NotUnderstood(path.text, "an attachment is not an object")
        size = item.get("size_bytes")
        if isinstance(size, str):
            size = int(size) if size.isdecimal() and len(size) < 19 else None
        url = _url(leaf, item.get("url"), rule, path, cut)
        name = _scalar(item.get("name"), path) or (url or "").rsplit("/", 1)[-1] or "attachment"
        whole = type(size) is int and 0 <= size < 2**63
        result.append([name, url, _scalar(item.get("media_type"), path) or None, size if whole else None])
    return result


_SHAPES: dict[Shape, Callable[[str, Any, Rule, Path, list[str]], Any]] = {
    "line": _line,
    "text": _text,
    "url": _url,
    "status": _enumerated,
    "channel": _enumerated,
    "kind": _enumerated,
    "flag": _flag,
    "instant": _instant,
    "attachments": _attachments,
}


def _number(part: VersionPart, scope: Any) -> int | None:
    found = part.path.get(scope)
    if found is None or found is MISSING or found == "":
        return None
    if part.form == "rank":
        rank = part.ranks.get(_scalar(found, part.path).lower())
        if rank is None:
            raise NotUnderstood(part.path.text, f"{code(found)} has no rank; add a line to the source's document")
        return rank
    if part.form == "instant":
        try:
            return instants.read(found, part.formats, part.zone)
        except ValueError as error:
            raise NotUnderstood(part.path.text, f"{code(found)} is not an instant: {error}") from error
    if type(found) is float and found.is_integer():
        found = int(found)
    if type(found) is int and abs(found) < 2**62:
        return found
    text = found.strip().replace(",", "").replace(" ", "") if isinstance(found, str) else ""
    if not text.lstrip("-").isdecimal() or len(text) > 18 or not text.isascii():
        raise NotUnderstood(part.path.text, f"{code(found)} is not a whole number, which orders the updates")
    return int(text)


# --- comments

_PLAIN: Final = Rule()
_ROLES = frozenset(("customer", "agent", "system"))


def _comment(rule: CommentRule, scope: Any, updated: int, received: int) -> CommentUpdate | None:
    cut: list[str] = []
    text: Any = _first((rule.text,), "text", scope, cut, None) or None
    deleted = rule.deleted is not None and rule.deleted.holds(scope)
    author: Any = None if rule.author is None else _first((rule.author,), "requester.name", scope, cut, None) or None
    at: Any = None if rule.at is None else _first((rule.at,), "created_at", scope, cut, None) or None
    if at is UNREADABLE:
        at = None
    named: Any = None if rule.id is None else _first((rule.id,), "title", scope, cut, None) or None
    visibility: Any = _first(rule.visibility, "visibility", scope, cut, None) or None
    attachments = () if rule.attachments is None else _of_comment(rule.attachments, scope)
    if text is None and not deleted and (named is None or not (visibility or attachments)):
        return None
    if named is None:
        named = digest(f"{author}\x1f{at}\x1f{text}".encode("utf-8", "replace")).hex()
    role = _first(rule.role, "role", scope, cut, None) or "agent"
    if role not in _ROLES or visibility not in ("public", "internal", None):
        raise NotUnderstood(
            rule.each.text, f"{code(role)}, {code(visibility)}: a comment's role or visibility is not mapped"
        )
    return CommentUpdate(
        id=named,
        author=author,
        role=role,
        visibility=visibility,
        at=min(updated if at is None else at, received),
        text=text,
        cut=bool(cut),
        deleted=deleted,
        attachments=attachments,
    )


def _of_comment(path: Path, scope: Any) -> tuple[tuple[Any, ...], ...]:
    """(key, taken away, name, url, media type, size in bytes) of each attachment that came with a comment; the key is
    its id, else its address or name."""
    found = path.get(scope)
    if found is None or found is MISSING:
        return ()
    read = _attachments("attachments", found, _PLAIN, path, [])
    return tuple(
        (_scalar(item.get("id"), path) or url or name, item.get("gone") is True, name, url, media_type, size)
        for item, (name, url, media_type, size) in zip(found, read, strict=False)
    )


def _first(rules: Sequence[Rule], leaf: str, scope: Any, cut: list[str], steps: list[Step] | None) -> Any:
    for rule in rules:
        value = _apply(leaf, LEAVES.get(leaf, "line"), rule, scope, cut, steps)
        if value is not MISSING:
            return value
    return MISSING
