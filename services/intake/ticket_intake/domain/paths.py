"""JMESPath, compiled once, that knows an absent field from a null one.

JMESPath itself answers null for both, but an update that leaves a field out must not clear it. So the forms that source
documents are made of (names joined by dots, `||`, `&&`, `!`, `==`, `!=`, the functions below) are compiled
to closures that also tell the two apart and take a tenth of the time; any other expression runs in the jmespath
library, and its null counts as "cleared" when one of the names it begins with is there. A property test holds both to
the library.

Functions besides JMESPath's own: `shown(x)` and `raw(x)` read ServiceNow's three encodings of a field, `journal(x)`
splits its comment journal, `host(x)` is the host of a URL, `letters(x)` are the letters that a text begins with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import jmespath
import jmespath.exceptions
import jmespath.functions
import jmespath.parser
import jmespath.visitor

from ticket_intake.domain.errors import NotUnderstood


class Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()
"""No such field in the message: leave what is known."""

Search = Callable[[Any], Any]
"""A body -> what stands at the path: a value, None (null: clear it), or MISSING."""


class PathError(ValueError):
    """An expression that is not JMESPath."""


class Path:
    """One compiled expression.

    text: the expression. reads: the names, joined by dots, that it begins with. compiled: it runs without the library.
    get: see `Search`; it raises NotUnderstood where a function meets what it does not take.
    """

    __slots__ = ("compiled", "get", "reads", "text")

    def __init__(self, text: str) -> None:
        try:
            parsed = jmespath.compile(text)
        except jmespath.exceptions.JMESPathError as error:
            raise PathError(f"{text!r} is not JMESPath: {str(error).splitlines()[0]}") from error
        self.text = text
        tree: _Tree = parsed.parsed
        if _negates_too_little(tree):
            raise PathError(f"{text!r}: `!a.b` means `(!a).b` to JMESPath; write !(a.b)")
        for name in _called(tree):
            if name not in _Functions.FUNCTION_TABLE:
                raise PathError(f"{text!r} calls {name}(), which JMESPath does not know")
        self.reads: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys(_reads(tree)))
        fast = _compile(tree)
        self.compiled = fast is not None
        self.get: Search = fast or _library(text, self.reads)

    def holds(self, body: Any) -> bool:
        """Whether the expression is true of the body, in JMESPath's sense."""
        return not _false(self.get(body))


def shown(value: Any) -> Any:
    """What people see of a ServiceNow field: its display value where it has one."""
    return _either(value, "display_value", "value")


def raw(value: Any) -> Any:
    """What the database holds of a ServiceNow field: its raw value where it has one."""
    return _either(value, "value", "display_value")


def _either(value: Any, first: str, second: str) -> Any:
    if type(value) is not dict or (first not in value and second not in value):
        return value
    found = value.get(first)
    return value.get(second) if found is None or found == "" else found


_ENTRY = re.compile(
    r"^(\d[\d./-]{7,9}[ T]\d{1,2}:\d{2}(?::\d{2})?(?: ?[AP]M)?) - (.{1,200}?) \(([^()\n]{1,80})\)$", re.M
)


def journal(value: Any) -> Any:
    """A ServiceNow journal, newest first, as `[{at, author, label, text}]`; a list or null stays what it is."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return []
    heads = list(_ENTRY.finditer(value))
    if not heads:
        return [{"at": None, "author": None, "label": None, "text": value.strip()}]
    ends = [head.start() for head in heads[1:]] + [len(value)]
    return [
        {"at": head[1], "author": head[2], "label": head[3], "text": value[head.end() : end].strip()}
        for head, end in zip(heads, ends, strict=True)
    ]


def host(value: Any) -> Any:
    """The host of a URL; null when there is none."""
    if not isinstance(value, str):
        return None
    try:
        return urlsplit(value).hostname
    except ValueError:
        return None


def letters(value: Any) -> Any:
    """The letters that a text begins with, as the kind of a ServiceNow number; null when there are none."""
    if not isinstance(value, str):
        return None
    found = _LETTERS.match(value)
    return found and found[0]


_LETTERS: Final = re.compile(r"[A-Za-z]+")


def before(value: Any, mark: str) -> Any:
    """What stands in a text before the first `mark`; the whole text when there is none."""
    return value.split(mark, 1)[0] if isinstance(value, str) else None


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "shown": shown,
    "raw": raw,
    "journal": journal,
    "host": host,
    "letters": letters,
}


class _Functions(jmespath.functions.Functions):
    @jmespath.functions.signature({"types": []})
    def _func_shown(self, value: Any) -> Any:
        return shown(value)

    @jmespath.functions.signature({"types": []})
    def _func_raw(self, value: Any) -> Any:
        return raw(value)

    @jmespath.functions.signature({"types": []})
    def _func_journal(self, value: Any) -> Any:
        return journal(value)

    @jmespath.functions.signature({"types": []})
    def _func_letters(self, value: Any) -> Any:
        return letters(value)

    @jmespath.functions.signature({"types": []}, {"types": ["string"]})
    def _func_before(self, value: Any, mark: str) -> Any:
        return before(value, mark)

    @jmespath.functions.signature({"types": []})
    def _func_host(self, value: Any) -> Any:
        return host(value)


options = jmespath.Options(custom_functions=_Functions())


def _false(value: Any) -> bool:
    return value is None or value is False or value is MISSING or value == "" or value == [] or value == {}


# --- what an expression reads

_Tree = Mapping[str, Any]


def _called(tree: _Tree) -> list[str]:
    own = [tree["value"]] if tree["type"] == "function_expression" else []
    return own + [name for child in tree["children"] for name in _called(child)]


def _negates_too_little(tree: _Tree) -> bool:
    if tree["type"] == "subexpression" and tree["children"][0]["type"] == "not_expression":
        return True
    return any(_negates_too_little(child) for child in tree["children"])


def _reads(tree: _Tree) -> list[tuple[str, ...]]:
    """The chains of names from the body's root; what is named inside a projection or after a pipe stands elsewhere."""
    chain, _ = _chain(tree)
    if chain:
        return [chain]
    if tree["type"] in _FROM_THE_FIRST:
        return _reads(tree["children"][0])
    return [found for child in tree["children"] for found in _reads(child)]


_FROM_THE_FIRST = frozenset(
    ("subexpression", "pipe", "index_expression", "projection", "value_projection", "filter_projection", "flatten")
)


def _chain(tree: _Tree) -> tuple[tuple[str, ...], bool]:
    """The names that an expression begins with, and whether it is nothing but these."""
    if tree["type"] == "field":
        return (tree["value"],), True
    if tree["type"] == "subexpression":
        names: tuple[str, ...] = ()
        for child in tree["children"]:
            more, whole = _chain(child)
            names += more
            if not whole:
                return names, False
        return names, True
    if tree["type"] in _FROM_THE_FIRST:
        return _chain(tree["children"][0])[0], False
    return (), False


def walk(body: Any, names: tuple[str, ...]) -> Any:
    """What stands under names joined by dots: a null on the way is null, a name that is not there MISSING."""
    for name in names:
        if type(body) is dict:
            body = body.get(name, MISSING)
            if body is MISSING:
                return MISSING
        else:
            return None if body is None else MISSING
    return body


# --- the compiled forms


def _compile(tree: _Tree) -> Search | None:
    kind, children = tree["type"], tree["children"]
    if kind in ("field", "subexpression"):
        names, whole = _chain(tree)
        return _names(names) if whole else None
    if kind == "current":
        return lambda body: body
    if kind == "literal":
        value = tree["value"]
        return lambda body: value
    if kind == "or_expression":
        left, right = _compile(children[0]), _compile(children[1])
        return None if left is None or right is None else _or(left, right)
    if kind == "and_expression":
        left, right = _compile(children[0]), _compile(children[1])
        return None if left is None or right is None else _and(left, right)
    if kind == "not_expression":
        inner = _compile(children[0])
        return None if inner is None else lambda body: _false(inner(body))
    if kind == "comparator" and tree["value"] in ("eq", "ne"):
        return _comparison(tree["value"] == "eq", *children)
    if kind == "function_expression" and tree["value"] in _FUNCTIONS and len(children) == 1:
        if tree["value"] in _ENCODED and children[0]["type"] == "field":
            return _encoded(children[0]["value"], *_ENCODED[tree["value"]])
        argument = _compile(children[0])
        return None if argument is None else _call(_FUNCTIONS[tree["value"]], argument)
    return None


def _names(names: tuple[str, ...]) -> Search:
    if len(names) == 1:
        only = names[0]
        return lambda body: body.get(only, MISSING) if type(body) is dict else MISSING

    def get(body: Any) -> Any:
        return walk(body, names)

    return get


def _or(left: Search, right: Search) -> Search:
    def get(body: Any) -> Any:
        first = left(body)
        if (first and first is not MISSING) or not _false(first):  # 0 is true to JMESPath
            return first
        second = right(body)
        return None if second is MISSING and first is not MISSING else second

    return get


def _and(left: Search, right: Search) -> Search:
    def get(body: Any) -> Any:
        first = left(body)
        return first if _false(first) else right(body)

    return get


def _comparison(equal: bool, left: _Tree, right: _Tree) -> Search | None:
    one, other = _compile(left), _compile(right)
    if one is None or other is None:
        return None
    return lambda body: _equals(one(body), other(body)) is equal


def _equals(one: Any, other: Any) -> bool:
    """As JMESPath compares: an absent field is null, and a truth value no number."""
    if (one is True or one is False) != (other is True or other is False):
        return False
    return bool((None if one is MISSING else one) == (None if other is MISSING else other))


def _call(function: Callable[[Any], Any], argument: Search) -> Search:
    def get(body: Any) -> Any:
        value = argument(body)
        return MISSING if value is MISSING else function(value)

    return get


_ENCODED = {"shown": ("display_value", "value"), "raw": ("value", "display_value")}


def _encoded(name: str, first: str, second: str) -> Search:
    """`shown(name)` and `raw(name)`, which most ServiceNow fields are."""

    def get(body: Any) -> Any:
        if type(body) is not dict:
            return MISSING
        value = body.get(name, MISSING)
        return _either(value, first, second) if type(value) is dict else value

    return get


def _library(text: str, reads: tuple[tuple[str, ...], ...]) -> Search:
    expression = jmespath.compile(text)

    def get(body: Any) -> Any:
        try:
            value = expression.search(body, options)
        except jmespath.exceptions.JMESPathTypeError as error:
            why = f"{error.function_name}() cannot use what stands there: a field is missing, or of another kind"
            raise NotUnderstood(text, why) from error
        except (jmespath.exceptions.JMESPathError, TypeError, ValueError, ArithmeticError) as error:
            # A function was given what it does not take; the library's own checks do not see all of it.
            raise NotUnderstood(text, f"cannot be read here: {type(error).__name__}") from error
        if value is None and not any(walk(body, names) is not MISSING for names in reads):
            return MISSING
        return value

    return get
