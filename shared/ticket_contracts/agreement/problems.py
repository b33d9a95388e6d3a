"""What is wrong with an agreement, said so that its author can mend it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

_NO_WORD = 4
"""Names this short are abbreviations, of which every letter tells."""

Path = tuple[str | int, ...]
"""Where something stands in the document: `("queues", "service-desk", "owner_role")`."""


class Finding(msgspec.Struct, frozen=True):
    """A fault of the content. remedy: what to write instead, as an order."""

    path: Path
    what: str
    remedy: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of a file. line, column: from 1. path: dotted, `queues.service-desk.owner_role`; empty for the whole
    file."""

    file: str
    line: int
    column: int
    path: str
    what: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return f"{where}{self.path + ': ' if self.path else ''}{self.what}; {self.remedy}"


class AgreementError(ValueError):
    """The document cannot be signed as it stands. problems: in the order of the file; the text has a line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column, p.path)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """`a.b[2].c`"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def misspelt(name: str, known: Collection[str]) -> str | None:
    """The known name of which this is a slip of the pen: a letter too many, one lacking, or two that changed places.
    `us-east` and `us-west`, `level-1` and `level-2`, `uk` and `us` are two names each."""
    if name in known or len(name) < _NO_WORD:
        return None
    return next((other for other in sorted(known) if _slipped(name, other)), None)


def _slipped(one: str, other: str) -> bool:
    if len(one) == len(other):
        apart = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if len(apart) != 2 or apart[1] != apart[0] + 1:
            return False
        swapped = one[apart[0] : apart[1] + 1]
        return swapped.isalpha() and swapped[::-1] == other[apart[0] : apart[1] + 1]
    short, long = sorted((one, other), key=len)
    return len(long) == len(short) + 1 and any(
        c.isalpha() and long[:n] + long[n + 1 :] == short for n, c in enumerate(long)
    )
