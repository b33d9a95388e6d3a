"""Source documents: YAML, checked against a schema with errors that name file and line, then compiled."""

from __future__ import annotations

import difflib
import importlib.resources
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from business_calendar.spec import CalendarError
from business_calendar.zones import zone
from ticket_intake.domain import mapping
from ticket_intake.domain.paths import Path, PathError
from ticket_intake.domain.update import LEAVES


class DocumentError(ValueError):
    """A source document that cannot be used: one line for each fault, `file:line: path: what, and how to mend it`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _expression(text: str) -> str:
    try:
        Path(text)
    except PathError as error:
        raise ValueError(str(error)) from error
    return text


def _zone(name: str) -> str:
    try:
        zone(name)
    except CalendarError as error:
        raise ValueError(str(error)) from error
    return name


def _format(text: str) -> str:
    if text not in ("iso", "epoch") and "%" not in text:
        raise ValueError(f"{text!r} is no date format; write iso, epoch, or one like '%d.%m.%Y %H:%M:%S'")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write a network, as 127.0.0.0/8") from error
    return text


def _leaf(name: str) -> str:
    if name not in LEAVES:
        close = difflib.get_close_matches(name, LEAVES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(LEAVES)}"
        raise ValueError(f"no such field; {hint}")
    return name


Expression = Annotated[str, AfterValidator(_expression)]
"""JMESPath."""
Zone = Annotated[str, AfterValidator(_zone)]
Format = Annotated[str, AfterValidator(_format)]


class Secret(_Strict):
    """Where a secret stands: a file's path or the name of an environment variable; never the secret itself."""

    env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret names either `env: NAME` or `file: /path`")
        return self


Secrets = Annotated[list[Secret], Field(min_length=1, max_length=4)]
"""Two while one rotates: whichever is set counts. Missing ones are skipped; with none at all the edge answers 503."""


class NoAuthentication(_Strict):
    """No secret: only for senders from these networks."""

    scheme: Literal["none"]
    allow: list[Annotated[str, AfterValidator(_network)]] = Field(min_length=1)


class HeaderAuthentication(_Strict):
    """A header that holds the secret as it is."""

    scheme: Literal["header"]
    header: str
    secrets: Secrets


class BasicAuthentication(_Strict):
    """HTTP Basic; the secret is the password."""

    scheme: Literal["basic"]
    user: str
    secrets: Secrets


class BearerAuthentication(_Strict):
    """`Authorization: Bearer <secret>`."""

    scheme: Literal["bearer"]
    secrets: Secrets


class HmacAuthentication(_Strict):
    """A signature over the raw body.

    signed: what is concatenated and signed, a separator included. header: where the signature stands, after `prefix`;
    several are separated by commas. timestamp_form: as `timestamp_header` writes it; the bytes signed are the header's
    own. max_age_seconds: how old (or ahead) a timestamp may be. challenge: the query parameter of a GET that is
    answered with its own HMAC.
    """

    scheme: Literal["hmac"]
    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256"
    header: str
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    signed: list[Literal["body", "timestamp", ":", "."]] = ["body"]
    timestamp_header: str | None = None
    timestamp_form: Literal["iso", "epoch"] = "epoch"
    max_age_seconds: int | None = Field(default=None, gt=0)
    challenge: str | None = None
    secrets: Secrets

    @model_validator(mode="after")
    def _whole(self) -> HmacAuthentication:
        if "body" not in self.signed:
            raise ValueError("`signed` must hold body")
        if ("timestamp" in self.signed) != (self.timestamp_header is not None):
            raise ValueError("`timestamp_header` and a signed timestamp go together")
        return self


Authentication = Annotated[
    NoAuthentication | HeaderAuthentication | BasicAuthentication | BearerAuthentication | HmacAuthentication,
    Field(discriminator="scheme"),
]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Limits(_Strict):
    """Of one source at the edge. per_second, burst: requests. body_bytes: of one body, at most 10 MiB. depth: brackets
    within brackets."""

    body_bytes: int = Field(default=4 * 1024 * 1024, gt=0, le=10 * 1024 * 1024)
    depth: int = Field(default=64, gt=0, le=500)
    per_second: float = Field(default=500, gt=0)
    burst: int = Field(default=2_000, gt=0)


class RuleForm(_Strict):
    """See `mapping.Rule`. map: value -> the desk's word, compared without case; null clears."""

    path: Expression | None = None
    value: str | bool | None = None
    when: Expression | None = None
    map: dict[str, str | None] | None = None
    otherwise: str | None = None
    format: Literal["plain", "html", "detect"] = "plain"
    dates: list[Format] | None = Field(default=None, min_length=1)
    zone: Zone | None = None

    @model_validator(mode="after")
    def _one(self) -> RuleForm:
        if self.path is not None and self.value is not None:
            raise ValueError("a rule has either a path or a value")
        if self.path is None and self.value is None and self.when is None:
            raise ValueError("a rule needs `path:` or `value:`")
        return self


def _as_rule(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _as_rules(value: Any) -> Any:
    return [_as_rule(each) for each in (value if isinstance(value, list) else [value])]


RuleOf = Annotated[RuleForm, BeforeValidator(_as_rule)]
RulesOf = Annotated[list[RuleForm], BeforeValidator(_as_rules), Field(min_length=1)]
"""The first that applies gives the value. A bare text is a path."""


class CommentForm(_Strict):
    """Where comments stand; see `mapping.CommentRule`."""

    each: Expression
    id: RuleOf | None = None
    author: RuleOf | None = None
    role: Annotated[list[RuleForm], BeforeValidator(_as_rules)] = []
    visibility: Annotated[list[RuleForm], BeforeValidator(_as_rules)] = []
    at: RuleOf | None = None
    text: RuleOf
    deleted: Expression | None = None
    attachments: Expression | None = None


class VersionForm(_Strict):
    """One number of the source's version."""

    path: Expression
    form: Literal["integer", "instant", "rank"] = "integer"
    ranks: dict[str, int] | None = None


class Refusal(_Strict):
    when: Expression
    because: str


class InstanceForm(_Strict):
    """path: where the message names the instance; otherwise: what it is when it does not."""

    path: Expression
    otherwise: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")] = "main"


class Delivery(_Strict):
    """What one delivery is known by: the first of the headers that is there, else the path, else the body's hash."""

    headers: list[str] = []
    path: Expression | None = None


class Dates(_Strict):
    formats: list[Format] = ["iso"]
    zone: Zone = "UTC"


_DAY_US = 86_400_000_000


class Document(_Strict):
    """One source. source: part of the topic `inbound.<source>` and of every ticket's id. close_resolved_after_days:
    where resolved may be the last that is heard of a ticket; absent: the tool itself closes what was resolved."""

    source: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    title: str
    authentication: Annotated[list[Authentication], BeforeValidator(_as_list), Field(min_length=1)]
    limits: Limits = Limits()
    media_types: list[str] = ["application/json"]
    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")] | InstanceForm = "main"
    within: Expression | None = None
    ticket: Expression
    parts: Expression | None = None
    refuse: list[Refusal] = []
    delivery: Delivery = Delivery()
    version: Annotated[list[VersionForm], BeforeValidator(_as_list)] = []
    dates: Dates = Dates()
    fields: dict[Annotated[str, AfterValidator(_leaf)], RulesOf]
    comments: list[CommentForm] = []
    close_resolved_after_days: int | None = Field(default=None, ge=1, le=365)

    @model_validator(mode="after")
    def _known(self) -> Document:
        for leaf, rules in self.fields.items():
            words = mapping.WORDS.get(leaf)
            for rule in rules:
                said = [*(rule.map or {}).values(), rule.otherwise, rule.value if isinstance(rule.value, str) else None]
                for word in said:
                    if words is not None and word not in (None, "skip") and word not in words:
                        raise ValueError(f"fields.{leaf}: {word!r} is none of {', '.join(sorted(words))}")
        return self

    def compile(self) -> mapping.Source:
        """The compiled form that reads messages."""
        instance = self.instance
        return mapping.Source(
            name=self.source,
            external_id=Path(self.ticket),
            instance=instance if isinstance(instance, str) else instance.otherwise,
            instance_path=None if isinstance(instance, str) else Path(instance.path),
            within=None if self.within is None else Path(self.within),
            parts=None if self.parts is None else Path(self.parts),
            refuse=tuple((Path(each.when), each.because) for each in self.refuse),
            delivery=None if self.delivery.path is None else Path(self.delivery.path),
            version=tuple(
                mapping.VersionPart(
                    path=Path(part.path),
                    form=part.form,
                    ranks={key.lower(): rank for key, rank in (part.ranks or {}).items()},
                    formats=tuple(dict.fromkeys((*self.dates.formats, "epoch"))),
                    zone=zone(self.dates.zone),
                )
                for part in self.version
            ),
            # `updated_at` first: what a comment without a time of its own is dated by
            fields=tuple((leaf, self._rules(rules)) for leaf, rules in self.fields.items()),
            comments=tuple(self._comment(form) for form in self.comments),
            resolved_for=(self.close_resolved_after_days or 0) * _DAY_US,
        )

    def _rule(self, form: RuleForm) -> mapping.Rule:
        return mapping.Rule(
            path=None if form.path is None else Path(form.path),
            value=form.value,
            when=None if form.when is None else Path(form.when),
            words=None if form.map is None else {key.strip().lower(): word for key, word in form.map.items()},
            otherwise=form.otherwise,
            form=form.format,
            formats=tuple(form.dates or self.dates.formats),
            zone=zone(form.zone or self.dates.zone),
        )

    def _rules(self, forms: list[RuleForm]) -> tuple[mapping.Rule, ...]:
        return tuple(map(self._rule, forms))

    def _comment(self, form: CommentForm) -> mapping.CommentRule:
        return mapping.CommentRule(
            each=Path(form.each),
            text=self._rule(form.text),
            id=None if form.id is None else self._rule(form.id),
            author=None if form.author is None else self._rule(form.author),
            role=self._rules(form.role),
            visibility=self._rules(form.visibility),
            at=None if form.at is None else self._rule(form.at),
            deleted=None if form.deleted is None else Path(form.deleted),
            attachments=None if form.attachments is None else Path(form.attachments),
        )


# --- reading


def shipped() -> list[str]:
    """The names of the sources that ship ready."""
    folder = importlib.resources.files("ticket_intake") / "sources"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load(name_or_file: str) -> Document:
    """A document that ships ready, by its name, or one from a file. Raises DocumentError."""
    if re.fullmatch(r"[a-z0-9_-]+", name_or_file):
        if name_or_file not in shipped():
            raise DocumentError(
                f"no source {name_or_file!r} ships ready; there are {', '.join(shipped())}, or name a file"
            )
        resource = importlib.resources.files("ticket_intake") / "sources" / f"{name_or_file}.yaml"
        return read(resource.read_text(encoding="utf-8"), f"{name_or_file}.yaml")
    file = FilePath(name_or_file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{file}: cannot be read: {error}") from error
    return read(text, str(file))


def read(text: str, name: str) -> Document:
    """A document from YAML. `extends: NAME` takes what it does not say itself from a source that ships ready:
    fields one by one, everything else whole. Raises DocumentError, with all faults at once."""
    try:
        node, content = _parsed(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        raise DocumentError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(content, dict):
        raise DocumentError(f"{name}:1: a source document is a mapping that begins with `source:`")
    base = content.pop("extends", None)
    if base is not None:
        if base not in shipped():
            raise DocumentError(
                f"{name}:{_line(node, ('extends',))}: extends: {base!r} does not ship; {', '.join(shipped())} do"
            )
        content = _extended(_plain(base), content)
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        faults = [_fault(name, node, detail) for detail in error.errors()]
        raise DocumentError("\n".join(faults)) from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's where it is built in
    """Dates stay texts, every key is a text (in a value map, 1 and true are two), and may stand once only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _plain(name: str) -> dict[str, Any]:
    text = (importlib.resources.files("ticket_intake") / "sources" / f"{name}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = _parsed(text)[1]
    base = content.pop("extends", None)
    return content if base is None else _extended(_plain(base), content)


def _parsed(text: str) -> tuple[Any, Any]:
    """The tree with its line numbers, and what it says."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _extended(base: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    fields = content.get("fields")
    merged = {**base, **content}
    if isinstance(fields, dict):
        merged["fields"] = {**base["fields"], **fields}
    elif fields is None:
        merged["fields"] = base["fields"]
    return merged


_NOT_IN_THE_FILE = ("[key]", "none", "header", "basic", "bearer", "hmac")
"""Steps of pydantic's own: a key instead of its value, the tag of a union."""


def _fault(name: str, node: Any, detail: Any) -> str:
    location = tuple(
        part for part in detail["loc"] if part not in ("[key]", "none", "header", "basic", "bearer", "hmac")
    )
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "no such key here; is it misspelt?"
    elif detail["type"] == "missing":
        message = "is missing"
    if not location and message.startswith("fields."):
        location = ("fields", message.removeprefix("fields.").split(":", 1)[0])
        message = message.split(": ", 1)[1]
    path = ".".join(map(str, location)) or "(document)"
    return f"{name}:{_line(node, location)}: {path}: {message}"


def _line(node: Any, location: tuple[Any, ...]) -> int:
    """The line of the deepest part of a path that stands in the file."""
    found = node
    line: int = node.start_mark.line
    for part in location:
        step = next(_below(found, part), None)
        if step is None:
            continue
        line, found = step
    return line + 1


def _below(node: Any, part: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                yield key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        yield node.value[part].start_mark.line, node.value[part]
