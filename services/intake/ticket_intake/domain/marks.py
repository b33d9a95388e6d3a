"""Secrets and personal data that people paste into tickets: found and marked, so that others can leave them out.

A mark is sure enough to hide text by: numbers must have a valid check digit, passwords must stand behind their word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Mark(NamedTuple):
    """kind: `secret:…` or `personal:…`. start, end: characters of the text, end exclusive."""

    kind: str
    start: int
    end: int


def luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 13 <= len(digits) <= 19 and digits[0] in "23456" and len(set(digits)) > 1 and luhn(digits)


def iban(text: str) -> bool:
    """The check digits of an IBAN (ISO 13616), spaces allowed."""
    compact = text.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _us_ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def _german_tax_id(digits: str) -> bool:
    """ISO/IEC 7064 MOD 11,10; one of the first ten digits occurs two or three times, no leading zero."""
    if digits[0] == "0" or not 8 <= len(set(digits[:10])) <= 9:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _pesel(digits: str) -> bool:
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    total = sum(int(d) * w for d, w in zip(digits, weights, strict=False))
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return (10 - total % 10) % 10 == int(digits[10]) and 1 <= month <= 12 and 1 <= day <= 31


def _eleven_digits(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(digits) == 11 and (_german_tax_id(digits) or _pesel(digits))


def _spanish_dni(text: str) -> bool:
    number = text[:-1].rstrip("-").translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def _french_nir(text: str) -> bool:
    compact = text.replace(" ", "")
    number = compact[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(compact[13:])


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(1, 0, 5, 7, 9, 13),
            *(15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        ),
        strict=True,
    )
)


def _codice_fiscale(text: str) -> bool:
    total = sum(_ODD[c] if i % 2 == 0 else int(c, 36) - (10 if c.isalpha() else 0) for i, c in enumerate(text[:15]))
    return chr(ord("A") + total % 26) == text[15]


def _burgerservicenummer(text: str) -> bool:
    digits = re.sub(r"\D", "", text)[-9:]
    return (
        len(digits) == 9
        and sum(int(d) * w for d, w in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0
    )


def _any(text: str) -> bool:
    return True


def _password(text: str) -> bool:
    return len(text) >= 4 and text.lower() not in _NO_PASSWORDS


_NO_PASSWORDS = frozenset(
    [
        "expired",
        "reset",
        "incorrect",
        "invalid",
        "wrong",
        "required",
        "forgotten",
        "none",
        "null",
        "unknown",
        "changed",
        "policy",
        "manager",
        "self-service",
        "abgelaufen",
        "falsch",
        "vergessen",
        "zurücksetzen",
        "oublié",
        "caducada",
    ]
)
_WORDS = r"(?:pass(?:word|wort|wd|code|phrase)|pwd|kennwort|mot de passe|contraseña|wachtwoord|senha|hasło|heslo)"

_IS = r"(?:is|lautet|ist|est|es)"
_OPEN, _SHUT = "\"'«„", "\"'»“,;"

_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    (
        "secret:private_key",
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]{0,8000}-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
        _any,
    ),
    (
        "secret:token",
        re.compile(
            r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}"
            r"|xox[abeoprs]-[\w-]{10,250}|sk-[\w-]{20,200}|AIza[\w-]{35}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})"
            r"|(?i:\bbearer )[\w.~+/-]{20,}=*"
        ),
        _any,
    ),
    (
        "secret:password",
        re.compile(rf"\b{_WORDS}\b[ \t]*(?:[:=]|{_IS}[ \t]*:)[ \t]*[{_OPEN}]?([^\s{_SHUT}]{{4,80}})", re.I),
        _password,
    ),
    (
        "secret:password",  # without a colon only what looks like one: it has a digit or a sign
        re.compile(
            rf"\b{_WORDS}\b[ \t]+{_IS}[ \t]+[{_OPEN}]?((?=[^\s{_SHUT}]*[\d!$%&*#@?+])[^\s{_SHUT}]{{4,80}})", re.I
        ),
        _password,
    ),
    ("secret:password", re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:([^\s:/@]{1,80})@", re.I), _any),
    ("personal:card_number", re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-])"), _card),
    ("personal:bank_account", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban),
    ("personal:national_id", re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), _us_ssn),
    ("personal:national_id", re.compile(r"(?<![\d.,-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\d.,-])"), _eleven_digits),
    ("personal:national_id", re.compile(r"\b[XYZ\d]\d{7}-?[A-Z]\b"), _spanish_dni),
    (
        "personal:national_id",
        re.compile(r"(?<!\d)[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)"),
        _french_nir,
    ),
    ("personal:national_id", re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"), _codice_fiscale),
    ("personal:national_id", re.compile(r"\b(?:BSN|burgerservicenummer)\W{0,3}(\d{9})\b", re.I), _burgerservicenummer),
)
_HINT = re.compile(rf"\d{{3}}|{_WORDS}|BEGIN|AKIA|bearer |://|gh[pousr]_|glpat-|xox|sk-|AIza|eyJ", re.I)


def find(text: str) -> list[Mark]:
    """The marks of a text in order, none within another."""
    if not _HINT.search(text):
        return []
    found = sorted(_candidates(text), key=lambda mark: (mark.start, -mark.end))
    kept: list[Mark] = []
    for mark in found:
        if not kept or mark.start >= kept[-1].end:
            kept.append(mark)
    return kept


def _candidates(text: str) -> Iterator[Mark]:
    for kind, pattern, valid in _KINDS:
        group = pattern.groups
        for match in pattern.finditer(text):
            if valid(match[group]):
                yield Mark(kind, match.start(group), match.end(group))


def flags(field: str, text: str) -> list[str]:
    """The marks of one field as the normalized ticket's flags carry them: the kind, and `kind@field:start-end`."""
    marks = find(text)
    return [mark.kind for mark in marks] + [f"{mark.kind}@{field}:{mark.start}-{mark.end}" for mark in marks]
