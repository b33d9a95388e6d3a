"""Labelled tickets from a file: CSV or JSON Lines, compressed by gzip or not, told by what stands in it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec


class LabelledError(ValueError):
    """A file without labelled tickets: names the file, the line and what to do."""


class Labelled(NamedTuple):
    """A ticket each. more: the further columns that were asked for. unlabelled: rows without a label, which were left
    out. sha256: of the file as it was."""

    texts: list[str]
    labels: list[str]
    more: dict[str, list[str]]
    unlabelled: int
    sha256: str


def read_labelled(path: Path, text: str, label: str, more: Sequence[str] = ()) -> Labelled:
    """text, label, more: names of columns, or of fields of each object. Raises LabelledError, and OSError when the file
    is not there."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise LabelledError(f"{path} is compressed, but not whole ({error}): copy it again") from None
    try:
        said = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LabelledError(f"{path}:{line}: not UTF-8 ({error.reason}): save the file as UTF-8") from None
    if text == label:
        raise LabelledError(f"text and label are both {text!r}: name two columns")
    wanted = (text, label, *more)
    rows = _objects(said, path, wanted) if said.lstrip().startswith("{") else _columns(said, path, wanted)
    texts, labels, unlabelled = [], [], 0
    others: dict[str, list[str]] = {name: [] for name in more}
    for written, called, *rest in rows:
        if called := called.strip():
            texts.append(written)
            labels.append(called)
            for name, value in zip(more, rest, strict=True):
                others[name].append(value)
        else:
            unlabelled += 1
    if not texts:
        raise LabelledError(
            f"{path} holds no ticket with a label in {label!r}" + (" (it is empty)" if not said else "")
        )
    return Labelled(texts, labels, others, unlabelled, digest)


def _columns(said: str, path: Path, names: Sequence[str]) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    first = said.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(said, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        places = []
        for wanted in names:
            if (found := header.count(wanted)) != 1:
                raise LabelledError(
                    f"{path}:1: {f'{found} columns are' if found else 'no column is'} called {wanted!r}; "
                    f"the columns are {', '.join(map(repr, header)) or 'none'}"
                )
            places.append(header.index(wanted))
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise LabelledError(
                    f"{path}:{rows.line_num}: {len(row)} fields, the header has {len(header)}: "
                    'put a text that holds separators or line breaks in quotes ("…")'
                )
            yield [row[place] for place in places]
    except csv.Error as error:
        raise LabelledError(f"{path}:{rows.line_num}: not CSV: {error}") from None


def _objects(said: str, path: Path, names: Sequence[str]) -> Iterator[list[str]]:
    text = names[0]
    for number, line in enumerate(said.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise LabelledError(f"{path}:{number}: not JSON ({error}); write one object a line") from None
        if not isinstance(row, dict):
            raise LabelledError(f"{path}:{number}: not an object; write one object a line")
        if text not in row:
            raise LabelledError(f"{path}:{number}: no field {text!r}; it has {', '.join(map(repr, row)) or 'none'}")
        yield [_word(row, name, path, number) for name in names]


def _word(row: dict[str, Any], field: str, path: Path, number: int) -> str:
    found = row.get(field)
    if found is None:
        return ""
    if not isinstance(found, str | int | float):
        raise LabelledError(f"{path}:{number}: {field!r} is {type(found).__name__}, not text")
    return str(found)
