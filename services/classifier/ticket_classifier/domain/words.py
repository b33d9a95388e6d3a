"""A ticket's text as words: folded, cut at the marks of a sentence, with quoted history told apart."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

MOST_CHARACTERS: Final = 8_000
"""Of a text that are read: what a ticket is about stands at its beginning, and the rest is logs and signatures."""
MOST_OF_A_TITLE: Final = 500
TITLE, BODY, QUOTED = 1.0, 0.9, 0.4
"""What a word is worth by where it stands."""
BREAK: Final = ""
"""A mark that ends a sentence or a clause; no phrase and no negation reaches across it."""

_LONGEST_WORD: Final = 40
_TOKEN = re.compile(r"[^\W_]+|[.,;:!?]|\n\s*\n")
_NOT_PROSE = re.compile(r"https?://\S+|[^\s@]{1,64}@[^\s@]{1,255}|[A-Za-z0-9+/=]{60,}")
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_REPLY_HEAD = re.compile(
    r"-{2,} ?(?:original message|forwarded message|ursprungliche nachricht|weitergeleitete nachricht|"
    r"message d.origine|message transfere|mensaje original|mensaje reenviado)"  # also where HTML lost its line breaks
    r"|^(?:_{10,}|-- ?"
    r"|(?:on|am|le|el) .{4,120}(?:wrote|schrieb.{0,60}|a ecrit|escribio) ?:"
    r"|(?:from|von|de) ?:.*\n(?:.*\n)?(?:sent|date|gesendet|datum|envoye|enviado|to|an|a|para) ?:.*)$",
    re.MULTILINE,
)


class Part(NamedTuple):
    """Words in order, all in one kind of place. weight: what a word is worth there."""

    words: list[str]
    weight: float


def fold(text: str) -> str:
    """Without case and accents: `Über` and `uber` are one, `Straße` and `strasse` too."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join([c for c in decomposed if not unicodedata.combining(c)])


def split(folded: str) -> list[str]:
    """The words of folded text, with BREAK where a sentence or a clause ends."""
    return [
        token if token[0].isalnum() else BREAK
        for token in _TOKEN.findall(_NOT_PROSE.sub(" ", folded))
        if len(token) <= _LONGEST_WORD
    ]


def parts(title: str, text: str) -> list[Part]:
    """A ticket's words: of the title, of what was written, and of the history quoted below it."""
    found = [Part(split(fold(title[:MOST_OF_A_TITLE])), TITLE)] if title else []
    if text:
        written, quoted = unquoted(fold(text[:MOST_CHARACTERS]))
        found += [Part(words, weight) for words, weight in ((split(written), BODY), (split(quoted), QUOTED)) if words]
    return found


def unquoted(folded: str) -> tuple[str, str]:
    """(what was written, the quoted history below it with the signature). Text that is nothing but quoted is a
    forwarded request, and so counts as written."""
    head = _REPLY_HEAD.search(folded)
    written, history = (folded, "") if head is None else (folded[: head.start()], folded[head.start() :])
    if ">" in written:
        history = "\n".join([*_QUOTED_LINE.findall(written), history])
        written = _QUOTED_LINE.sub("", written)
    return (written, history) if written.strip() else (history, "")
