"""Paths: compiled and library forms agree with JMESPath, and an absent field is told from a null one."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticket_intake.domain.errors import NotUnderstood
from ticket_intake.domain.paths import MISSING, Path, PathError, journal, options

NAMES = st.sampled_from(["a", "b", "c", "value", "display_value"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "yes"]) | st.just(0.0)
BODIES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
CHAINS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
EXPRESSIONS = st.recursive(
    CHAINS | st.just("'x'") | CHAINS.map(lambda c: f"raw({c})") | CHAINS.map(lambda c: f"shown({c})"),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) || ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) && ({pair[1]})"),
        inner.map(lambda one: f"!({one})"),
        inner.map(lambda one: f"({one}) == 'x'"),
        inner.map(lambda one: f"'x' != ({one})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) == ({pair[1]})"),
        inner.map(lambda one: f"({one}) != `1`"),
    ),
    max_leaves=4,
)


@given(body=st.dictionaries(NAMES, BODIES, max_size=4), expression=EXPRESSIONS)
def test_a_compiled_path_finds_what_jmespath_finds(body: dict[str, Any], expression: str) -> None:
    path = Path(expression)
    assert path.compiled
    found = path.get(body)
    expected = jmespath.search(expression, body, options)
    assert (None if found is MISSING else found) == expected
    assert type(None if found is MISSING else found) is type(expected)


@given(body=st.dictionaries(NAMES, BODIES, max_size=4), chain=CHAINS, other=CHAINS)
def test_nothing_is_cleared_that_the_message_does_not_name(body: dict[str, Any], chain: str, other: str) -> None:
    tops = {chain.split(".")[0], other.split(".")[0]}
    trimmed = {name: value for name, value in body.items() if name not in tops}
    for expression in (f"{chain} || {other}", f"{chain}[0] || {other}", f"[{chain}, {other}][0]"):
        assert Path(expression).get(trimmed) is MISSING
    for expression in (f"a.b.{chain}[0].x", f"a.b.{chain}[*].x", f"a.b.{chain}[?x==`1`] | [0]"):
        assert Path(expression).get({"a": {"b": {}}}) is MISSING


@pytest.mark.parametrize(
    ("expression", "body", "found"),
    [
        ("a.b", {}, MISSING),
        ("a.b", {"a": {}}, MISSING),
        ("a.b", {"a": {"b": None}}, None),
        ("a.b", {"a": None}, None),  # the parent is null: so is what would be in it
        ("a.b", {"a": "text"}, MISSING),
        ("a || b", {"b": None}, None),
        ("a || b", {"a": "", "b": "x"}, "x"),
        ("a || b", {"a": ""}, None),
        ("a[0].b", {"a": []}, None),
        ("a[0].b", {}, MISSING),
        ("a[?b=='x'].c | [0]", {"a": [{"b": "x", "c": 1}]}, 1),
        ("a[?b=='x'].c | [0]", {"a": []}, None),
        ("a[?b=='x'].c | [0]", {"b": 1}, MISSING),
        ("raw(a)", {"a": {"link": "l", "value": "v"}}, "v"),
        ("raw(a)", {"a": {"display_value": "shown", "value": "v"}}, "v"),
        ("shown(a)", {"a": {"display_value": "shown", "value": "v"}}, "shown"),
        ("shown(a)", {"a": {"display_value": "", "value": "v"}}, "v"),
        ("shown(a)", {"a": "plain"}, "plain"),
        ("shown(a)", {}, MISSING),
        ("host(a)", {"a": "https://desk.example:8443/x"}, "desk.example"),
        ("host(a)", {"a": "http://[bad"}, None),
        ("before(a, '/rest/')", {"a": "https://x/jira/rest/api/2"}, "https://x/jira"),
    ],
)
def test_absent_null_and_found(expression: str, body: dict[str, Any], found: Any) -> None:
    assert Path(expression).get(body) == found


@pytest.mark.parametrize("expression", ["a ||", "a[", "", "nosuch(a)", "!a.b"])
def test_what_is_no_path_is_refused_when_it_is_compiled(expression: str) -> None:
    with pytest.raises(PathError):
        Path(expression)


def test_a_function_given_the_wrong_type_is_said_where_it_is_read() -> None:
    with pytest.raises(NotUnderstood, match="cannot use what stands there"):
        Path("join('@', [a, b])").get({"a": "x"})


def test_a_journal_is_split_into_its_entries() -> None:
    text = (
        "2026-03-02 10:05:00 - Ada Moss (Additional comments)\nIt works again.\n\n"
        "2026-03-02 09:00:00 - Ben Roy (Additional comments)\nStill broken.\nSince Monday.\n\n"
    )
    assert journal(text) == [
        {"at": "2026-03-02 10:05:00", "author": "Ada Moss", "label": "Additional comments", "text": "It works again."},
        {
            "at": "2026-03-02 09:00:00",
            "author": "Ben Roy",
            "label": "Additional comments",
            "text": "Still broken.\nSince Monday.",
        },
    ]
    assert journal("") == []
    assert journal("just a note")[0]["text"] == "just a note"
    assert journal(None) is None
