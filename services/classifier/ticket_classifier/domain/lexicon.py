"""All terms of an agreement's rules in one table, found in one pass over a ticket's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from ticket_classifier.domain.words import BREAK, Part, fold, split

_REMEMBERED: Final = 50_000

_NEGATORS: Final = frozenset(
    {
        "not",
        "no",
        "never",
        "without",
        "isn",
        "aren",
        "wasn",
        "nothing",
        "nicht",
        "nichts",
        "ohne",
        "pas",
        "sans",
        "rien",
    }
    | {"sin", "nunca", "ni", "nada"}
)
_NEGATORS_BEGIN: Final = ("kein",)
_REACH: Final = 2
# `does not work, urgent` denies the working, not the urgency.
_DENIED_ITSELF: Final = frozenset(
    {"work", "works", "working", "able", "possible", "available", "reachable", "start", "starts", "connect", "respond"}
    | {"arbeiten", "funktioniert", "geht", "mehr", "moglich", "erreichbar", "startet"}
    | {"marche", "fonctionne", "fonctionnent", "plus", "funciona", "funcionan", "conecta", "arranca", "puedo", "puede"}
)
# What denies that a ticket is about the thing itself: `no wifi` is about the wifi, `nothing to do with wifi` is not.
_ABOUT_SOMETHING_ELSE: Final = frozenset(
    tuple(phrase.split())
    for phrase in (
        *(
            "nothing to do with",
            "not related to",
            "unrelated to",
            "not a problem with",
            "no problem with",
            "not about",
            "instead of",
            "rather than",
            "not a",
            "not an",
            "not the",
        ),
        *("nichts mit", "kein problem mit", "nicht am", "nicht an", "liegt nicht an", "statt", "anstatt", "nicht um"),
        *("rien a voir avec", "pas un probleme de", "pas un probleme avec", "pas lie a", "au lieu de", "plutot que"),
        *("nada que ver con", "no es un problema de", "no es problema de", "en lugar de", "en vez de"),
    )
)
_ARTICLES: Final = frozenset(
    {
        "the",
        "my",
        "our",
        "a",
        "an",
        "dem",
        "der",
        "den",
        "das",
        "die",
        "meinem",
        "meiner",
        "unserem",
        "unserer",
        "einem",
    }
    | {"le", "la", "les", "l", "mon", "ma", "notre", "un", "une", "el", "los", "las", "mi", "nuestra", "nuestro", "una"}
)
_LONGEST_DENIAL: Final = max(map(len, _ABOUT_SOMETHING_ELSE))

_PEOPLE: Final = frozenset(
    {"us", "user", "users", "people", "persons", "colleagues", "coworkers", "employees", "staff", "workers", "agents"}
    | {"mitarbeiter", "mitarbeitern", "mitarbeiterinnen", "mitarbeitende", "mitarbeitenden", "kollegen", "kolleginnen"}
    | {"nutzer", "nutzern", "benutzer", "benutzern", "anwender", "anwendern", "personen", "leute", "leuten"}
    | {"utilisateurs", "personnes", "collegues", "collaborateurs", "employes", "salaries"}
    | {"usuarios", "personas", "companeros", "companeras", "empleados", "trabajadores"}
)
_BETWEEN: Final = frozenset(
    {"of", "our", "the", "my", "other", "more", "remote", "external", "internal", "different", "affected"}
    | {"von", "unserer", "unseren", "andere", "anderen", "weitere", "weiteren", "externe", "externen", "interne"}
    | {"de", "nos", "mes", "d", "autres", "nuestros", "nuestras", "otros", "otras", "mas"}
)
_LONGEST_NUMBER: Final = 5
# Written out, as small numbers mostly are.
_NUMBERS: Final = {
    word: number
    for number, words in {
        2: "two deux dos zwei both beide",
        3: "three trois tres drei",
        4: "four quatre cuatro vier",
        5: "five cinq cinco funf",
        6: "six seis sechs",
        7: "seven sept siete sieben",
        8: "eight huit ocho acht",
        9: "nine neuf nueve neun",
        10: "ten dix diez zehn",
        12: "twelve douze doce zwolf dozen",
        15: "fifteen quinze quince funfzehn",
        20: "twenty vingt veinte zwanzig",
        30: "thirty trente treinta dreissig",
        50: "fifty cinquante cincuenta funfzig",
        100: "hundred hundert cent cien",
    }.items()
    for word in words.split()
}
_ANY_NUMBER: Final = "anynumber"
"""What `#` is while a term is split into words."""


class Hit(msgspec.Struct):
    """Where a term was found. best: the weight of its best place; firm: of the best where it is not negated; 0:
    nowhere."""

    best: float = 0.0
    firm: float = 0.0


class Found(NamedTuple):
    """hits: term number -> hit. people: the largest number of people that the text speaks of as concerned, and the
    weight of the place."""

    hits: dict[int, Hit]
    people: int
    people_weight: float


class _Entry(NamedTuple):
    """A term by its first word. rest: the words that must follow; one that ends with `*` is a stem."""

    term: int
    rest: tuple[str, ...]


class Lexicon:
    """Terms, numbered as they come. A term is a word or a phrase; `*` ends a stem, `#` within a phrase is any
    number."""

    def __init__(self) -> None:
        self.terms: list[str] = []
        self._numbers: dict[str, int] = {}
        self._words: dict[str, list[_Entry]] = {}
        self._stems: dict[str, list[_Entry]] = {}
        self._lengths: list[int] = []
        self._seen: dict[str, tuple[_Entry, ...]] = {}

    def add(self, term: str) -> int:
        """The number of a term; the same for the same words."""
        folded = fold(term.strip())
        is_stem = folded.endswith("*")
        words = [
            "#" if word == _ANY_NUMBER else word
            for word in split(folded.rstrip("*").replace("#", _ANY_NUMBER))
            if word != BREAK
        ]
        if is_stem:
            words[-1] += "*"
        key = " ".join(words)
        if key not in self._numbers:
            self._numbers[key] = number = len(self.terms)
            self.terms.append(term)
            first, rest = words[0], tuple(words[1:])
            if first.endswith("*"):
                self._stems.setdefault(first[:-1], []).append(_Entry(number, rest))
                self._lengths = sorted({*self._lengths, len(first) - 1})
            else:
                self._words.setdefault(first, []).append(_Entry(number, rest))
        return self._numbers[key]

    def find(self, parts: Iterable[Part]) -> Found:
        """Every term in these words, each at its best place."""
        hits: dict[int, Hit] = {}
        people, people_weight = 0, 0.0
        seen = self._seen
        for words, weight in parts:
            for place, word in enumerate(words):
                entries = seen.get(word)
                if entries is None:
                    entries = self._look_up(word)
                for term, rest in entries:
                    if rest and not _follows(words, place + 1, rest):
                        continue
                    if _is_about_something_else(words, place):
                        continue
                    hit = hits.get(term)
                    if hit is None:
                        hit = hits[term] = Hit()
                    if weight > hit.best:
                        hit.best = weight
                    if weight > hit.firm and not _is_negated(words, place):
                        hit.firm = weight
                if (word.isdecimal() or word in _NUMBERS) and (count := _people(words, place)) > people:
                    people, people_weight = count, weight
        return Found(hits, people, people_weight)

    def _look_up(self, word: str) -> tuple[_Entry, ...]:
        found = list(self._words.get(word, ()))
        for length in self._lengths:
            if length > len(word):
                break
            found += self._stems.get(word[:length], ())
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[word] = entries = tuple(found)
        return entries


def _follows(words: Sequence[str], place: int, rest: tuple[str, ...]) -> bool:
    if place + len(rest) > len(words):
        return False
    for offset, wanted in enumerate(rest):
        word = words[place + offset]
        if wanted == "#":
            if not word.isdecimal():
                return False
        elif word != wanted and not (wanted.endswith("*") and word.startswith(wanted[:-1])):
            return False
    return True


def _is_negated(words: Sequence[str], place: int) -> bool:
    for back in range(1, min(_REACH, place) + 1):
        word = words[place - back]
        if word == BREAK or word in _DENIED_ITSELF:
            return False
        if word in _NEGATORS or word.startswith(_NEGATORS_BEGIN):
            return True
    return False


def _is_about_something_else(words: Sequence[str], place: int) -> bool:
    """An article may stand between: `nothing to do with the VPN`."""
    if place and words[place - 1] in _ARTICLES and _is_denied(words, place - 1):
        return True
    return _is_denied(words, place)


def _is_denied(words: Sequence[str], place: int) -> bool:
    return any(
        tuple(words[place - length : place]) in _ABOUT_SOMETHING_ELSE
        for length in range(1, min(_LONGEST_DENIAL, place) + 1)
    )


def _people(words: Sequence[str], place: int) -> int:
    """`20 users`, `20 of our remote colleagues`: the number, else 0."""
    if len(words[place]) > _LONGEST_NUMBER and words[place] not in _NUMBERS:
        return 0
    for word in words[place + 1 : place + 5]:
        if word in _PEOPLE:
            return _NUMBERS.get(words[place]) or int(words[place])
        if word not in _BETWEEN:
            return 0
    return 0
