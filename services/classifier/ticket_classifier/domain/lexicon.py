"""All terms of an agreement's rules in one table, found in one pass over a ticket's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from ticket_classifier.domain.words import BREAK, Part, fold, split

_REMEMBERED: Final = 50_000

_NEGATORS: Final = frozenset(
    {"not", "no", "never", "without", "isn", "aren", "wasn", "nicht", "ohne", "pas", "sans", "sin", "nunca", "ni"}
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
            "nothing to do with the",
            "nothing to do with my",
            "not related to",
            "not related to the",
        ),
        *("unrelated to", "unrelated to the", "not a", "not an", "not the", "instead of", "instead of the"),
        *("nichts mit", "nichts mit dem", "nichts mit der", "kein problem mit", "nicht am", "nicht an der", "statt"),
        *("rien a voir avec", "rien a voir avec le", "rien a voir avec la", "pas un probleme de", "au lieu de"),
        *("nada que ver con", "nada que ver con el", "nada que ver con la", "no es un problema de", "en lugar de"),
    )
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
    """Terms, numbered as they come. A term is a word or a phrase; `*` ends a stem."""

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
        words = [word for word in split(folded.rstrip("*")) if word != BREAK]
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
                if word.isdecimal() and (count := _people(words, place)) > people:
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
        if word != wanted and not (wanted.endswith("*") and word.startswith(wanted[:-1])):
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
    return any(
        tuple(words[place - length : place]) in _ABOUT_SOMETHING_ELSE
        for length in range(1, min(_LONGEST_DENIAL, place) + 1)
    )


def _people(words: Sequence[str], place: int) -> int:
    """`20 users`, `20 of our remote colleagues`: the number, else 0."""
    if len(words[place]) > _LONGEST_NUMBER:
        return 0
    for word in words[place + 1 : place + 5]:
        if word in _PEOPLE:
            return int(words[place])
        if word not in _BETWEEN:
            return 0
    return 0
