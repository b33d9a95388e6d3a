"""From a YAML file to an `Agreement`, or to errors that name the line, what is wrong and how to mend it.

The YAML read here is the safe middle of the language: words mean what they say. `on`, `off`, `yes` and `no` are text,
`22:00` is a time of day and not 1320, `2025-12-24` is a date as written; only `true` and `false` are truth values. A
key may stand once. Anchors, aliases and merge keys (`<<`) are understood, tags are not.

A calendar may name iCalendar files that lie beside the document. Their text becomes part of the agreement, so that what
is signed, and its digest, hold the holidays themselves and not the name of a file that may change.
"""

from __future__ import annotations

import difflib
import pathlib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml
from pydantic import BaseModel, ValidationError

from business_calendar import CalendarError, check_icalendar, is_icalendar
from ticket_contracts.agreement.checking import check
from ticket_contracts.agreement.model import Agreement
from ticket_contracts.agreement.problems import AgreementError, Finding, Path, Problem, dotted

__all__ = ["AgreementError", "Problem", "read_agreement"]

_MOST_NODES = 200_000
"""Aliases of aliases can spell a document of any size in a few lines."""
_LARGEST_ICALENDAR = 256 * 1024
"""The agreement is one record of a topic, and every service reads it whole."""
_MERGE = "tag:yaml.org,2002:merge"
_WORDS_OF_YAML = re.compile(r"^(?:yes|no|on|off|y|n)$", re.IGNORECASE)


def read_agreement(text: str, file: str) -> Agreement:
    """The agreement that this YAML holds; `file` is its name in errors. Raises AgreementError with all that was found.

    Faults of the form (YAML, types, unknown keys) hide those of the content, which are looked for once the form is
    right.
    """
    document = _parse(text, file)
    _take_in_files(document)
    try:
        # JSON, since pydantic's strict mode then takes lists for tuples and text for the keys of a mapping.
        agreement = Agreement.model_validate_json(msgspec.json.encode(document.data), strict=True)
    except ValidationError as error:
        raise AgreementError([document.problem(_of_form(e, document)) for e in error.errors()]) from None
    findings = check(agreement)
    if findings:
        raise AgreementError([document.problem(finding) for finding in findings])
    return agreement


class _Loader(yaml.SafeLoader):
    """Resolves plain words by the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # PyYAML's own form


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-+0123456789"),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


class _Document:
    """The data of a composed document, and where each part of it stands. Collects faults instead of raising them."""

    def __init__(self, root: yaml.Node, file: str) -> None:
        self.file = file
        self.faults: list[Problem] = []
        self._keys: dict[Path, yaml.Mark] = {}
        self._values: dict[Path, yaml.Mark] = {}
        self._open: list[int] = []
        self._nodes = 0
        self.data = self._build(root, ())

    def problem(self, finding: Finding) -> Problem:
        """The finding at its place, or at the nearest place above it that stands in the file."""
        path = finding.path
        while path and path not in self._values:
            path = path[:-1]
        mark = self._keys.get(path) or self._values[path]
        return self._at(mark, finding.path, finding.what, finding.remedy)

    def value_at(self, path: Path) -> Any:
        """What stands there; KeyError or IndexError when nothing does."""
        found = self.data
        for part in path:
            found = found[part]
        return found

    def _at(self, mark: yaml.Mark, path: Path, what: str, remedy: str) -> Problem:
        return Problem(
            file=self.file, line=mark.line + 1, column=mark.column + 1, path=dotted(path), what=what, remedy=remedy
        )

    def _fault(self, node: yaml.Node, path: Path, what: str, remedy: str) -> None:
        self.faults.append(self._at(node.start_mark, path, what, remedy))

    def _build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise AgreementError(
                [
                    self._at(
                        node.start_mark, path, f"the document has more than {_MOST_NODES} parts", "use fewer aliases"
                    )
                ]
            )
        self._values[path] = node.start_mark
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._fault(node, path, "an alias holds itself", "write the part out here instead of the alias")
            return None
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._fault(node, path, f"the tag {node.tag} is not known", "leave the tag away")
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._build(item, (*path, number)) for number, item in enumerate(node.value)]
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else None
        finally:
            self._open.pop()

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "str" | "merge":
                return text
            case "bool":
                return text.lower() == "true"
            case "null":
                return None
            case "int" if re.fullmatch(r"[-+]?\d+", text):
                return int(text)
            case "float" if re.fullmatch(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", text):
                return float(text)
        self._fault(
            node, path, f"the tag {node.tag} is not known", "leave the tag away, and quote what is meant as text"
        )
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for given in reversed(
            self._merged(node, path)
        ):  # an earlier one goes before a later, the mapping's own before both
            found |= self._build(given, path)
        self._values[path] = node.start_mark
        first: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:null":
                self._fault(key_node, path, "a key must be a word", "write the key as text")
                continue
            key: str = key_node.value
            here = (*path, key)
            if key in first:
                line = first[key].start_mark.line + 1
                self._fault(key_node, here, f"the key stands twice, first in line {line}", "keep one of them")
                continue
            first[key] = key_node
            self._keys[here] = key_node.start_mark
            found[key] = self._build(value_node, here)
        return found

    def _merged(self, node: yaml.MappingNode, path: Path) -> list[yaml.MappingNode]:
        """What the mapping takes over by `<<`, in order."""
        found: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            for given in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(given, yaml.MappingNode):
                    self._fault(given, path, "<< needs a mapping", "name an anchor that stands before a mapping")
                elif id(given) in self._open:
                    self._fault(given, path, "an alias holds itself", "write the part out here instead of the alias")
                else:
                    found.append(given)
        return found


def _take_in_files(document: _Document) -> None:
    """Puts the text of each iCalendar file in the place of its name. Raises AgreementError naming the places."""
    calendars = document.data.get("calendars")
    problems = []
    for name, calendar in calendars.items() if isinstance(calendars, dict) else ():
        entries = calendar.get("icalendar") if isinstance(calendar, dict) else None
        if not isinstance(entries, list):
            continue  # the form's fault, said there, as what is no text in the list
        for number, entry in enumerate(entries):
            if not isinstance(entry, str):
                continue
            try:
                entries[number] = _icalendar(entry, document.file)
            except CalendarError as error:
                what, _, remedy = str(error).partition("; ")
                path = ("calendars", name, "icalendar", number)
                problems.append(document.problem(Finding(path, what, remedy or "mend this file")))
    if problems:
        raise AgreementError(problems)


def _icalendar(entry: str, file: str) -> str:
    """The text that an entry is, or names; CalendarError when it cannot be read or is no iCalendar text of holidays."""
    if is_icalendar(entry):
        check_icalendar(entry, "this text")
        return entry
    named = pathlib.PurePosixPath(entry)
    if named.suffix != ".ics" or named.is_absolute() or ".." in named.parts:
        raise CalendarError(
            f"{entry!r} is not a file beside the document; write its name, as company-holidays.ics, or the text itself"
        )
    path = pathlib.Path(file).parent / named
    try:
        if path.stat().st_size > _LARGEST_ICALENDAR:
            raise CalendarError(f"{path} is larger than {_LARGEST_ICALENDAR // 1024} KB; keep the holidays of it only")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CalendarError(f"{path} cannot be read ({error.strerror}); put the file beside the document") from None
    except UnicodeDecodeError as error:
        raise CalendarError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    text = "\n".join(text.splitlines())  # the same holidays have the same digest, whatever ends the file's lines
    check_icalendar(text, str(path))
    return text


def _parse(text: str, file: str) -> _Document:
    def whole(line: int, column: int, what: str, remedy: str) -> AgreementError:
        return AgreementError([Problem(file=file, line=line, column=column, path="", what=what, remedy=remedy)])

    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise whole(
            line, column, f"the character U+{ord(text[error.position]):04X} cannot stand in YAML", "remove it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise whole(line, column, *_of_yaml(error, text, line)) from None
    except RecursionError:
        raise whole(1, 1, "the document is nested too deeply", "nest it less deeply") from None
    if root is None:
        raise whole(1, 1, "the file is empty", "begin with a copy of deploy/agreements/default.yaml")
    if not isinstance(root, yaml.MappingNode):
        raise whole(1, 1, "the document is not a mapping", "begin with `title:`, `parties:`, … as `key: value` lines")
    document = _Document(root, file)
    if document.faults:
        raise AgreementError(document.faults)
    return document


def _of_yaml(error: yaml.MarkedYAMLError, text: str, line: int) -> tuple[str, str]:
    """(what is wrong, remedy) of a file that is no YAML."""
    said = " ".join(filter(None, (error.context, error.problem)))
    lines = text.splitlines()
    if line <= len(lines) and "\t" in lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]:
        return "a tab indents this line", "indent with spaces"
    if "undefined alias" in said:
        return said, "write the part with the &anchor above the place that uses its *alias"
    if "single document" in said:
        return "the file holds more than one document", "keep one agreement in a file, without a second `---`"
    if "mapping values are not allowed" in said:
        return "a colon stands where none is expected", "put the text in quotes, or check the indentation of this line"
    if "expected <block end>" in said or "could not find expected ':'" in said:
        return (
            f"not YAML ({said})",
            "check the indentation of this line against its neighbours', and that keys end with `: `",
        )
    return f"not YAML ({said})", "put the text in quotes if it begins with a special character, or mend the line"


def _of_form(error: Any, document: _Document) -> Finding:
    """One of pydantic's errors in the words of this document."""
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    value = error.get("input")
    name = path[-1] if path else ""
    match kind:
        case "missing":
            return Finding(path, f"`{name}` is missing", f"add `{name}:` here")
        case "extra_forbidden":
            known = sorted(_keys_of(path[:-1]))
            near = difflib.get_close_matches(str(name), known, 1)
            remedy = f"write `{near[0]}`" if near else f"remove it, or write one of {', '.join(known)}"
            if value is None:  # what follows a comma between braces is read as a key
                remedy += "; a text that holds a comma needs quotes"
            return Finding(path, f"`{name}` is not a key of this part", remedy)
        case "literal_error":
            near = difflib.get_close_matches(str(value), re.findall(r"'([^']+)'", str(context["expected"])), 1)
            expected = str(context["expected"]).replace("'", "")
            return Finding(path, f"{value!r} is not known here", f"write {near[0] if near else expected}")
        case "string_pattern_mismatch":
            if "2[0-3]" in str(context["pattern"]):
                return Finding(path, f"{value!r} is not a time of day", "write it as 09:00, and the day's end as 24:00")
            return Finding(
                path,
                f"{value!r} cannot be a name",
                "use lower-case letters, digits, `-`, `_` and `.`, at most 63 characters, the first a letter or digit",
            )
        case "string_type" if isinstance(value, (int, float, bool)):
            return Finding(
                path, f"{value!r} is read as a number or truth value", f'put it in quotes: "{_as_yaml(value)}"'
            )
        case "bool_type" if isinstance(value, str) and _WORDS_OF_YAML.match(value):
            return Finding(path, f"{value!r} is text", "write true or false")
        case (
            "string_type"
            | "int_type"
            | "float_type"
            | "bool_type"
            | "list_type"
            | "dict_type"
            | "model_type"
            | "tuple_type"
        ):
            return Finding(path, f"{_what(value)} stands here", f"write {_WANTED[kind]}")
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            bound = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
            limit = next(f"{words} {context[key]}" for key, words in bound.items() if key in context)
            return Finding(path, f"{value!r} is out of range", f"write {limit}")
        case "timezone_aware" | "datetime_parsing" | "datetime_from_date_parsing" | "datetime_type":
            return Finding(
                path, f"{value!r} is not an instant with its offset", "write it as 2026-03-02T09:00:00+01:00"
            )
        case "int_parsing" | "int_from_float":
            return Finding(path, f"{value!r} is no whole number", "write a whole number")
        case "too_long":
            most = context["max_length"]
            return Finding(
                path, f"this has {context['actual_length']} parts", f"write {most}, and the next as one more"
            )
        case "too_short":
            return Finding(path, "this is empty", f"write at least {context['min_length']}")
    return Finding(path, str(error["msg"]), "mend this value")


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list, `[a, b]` or lines that begin with `- `",
    "tuple_type": 'a pair, as ["09:00", "17:00"]',
    "dict_type": "a mapping of `key: value` lines",
    "model_type": "a mapping of `key: value` lines",
}


def _what(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"the text {value[:40]!r}"
    return repr(value)


def _as_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _keys_of(path: Path) -> set[str]:
    """The keys that the part at this path may have."""
    return {name for model in _models_at(Agreement, path) for name in model.model_fields}


def _models_at(annotation: Any, path: Path) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows at that path below it."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for choice in typing.get_args(annotation):
            yield from _models_at(choice, path)
    elif origin is typing.Annotated:
        yield from _models_at(typing.get_args(annotation)[0], path)
    elif origin in (list, tuple, dict):
        if path:
            yield from _models_at(typing.get_args(annotation)[-1 if origin is dict else 0], path[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not path:
            yield annotation
        elif path[0] in annotation.model_fields:
            yield from _models_at(annotation.model_fields[str(path[0])].annotation, path[1:])
