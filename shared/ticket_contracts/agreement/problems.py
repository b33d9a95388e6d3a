"""What is wrong with an agreement, said so that its author can mend it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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
