"""Secrets and personal data that people paste into tickets: found and marked, so that others can leave them out.

A mark is sure enough to hide text by: numbers must have a valid check digit (python-stdnum knows each country's) and,
where that alone says too little, stand behind their word; passwords must stand behind theirs. Left out are the numbers
whose check in stdnum asks for today's date, since a decision must come out the same next year.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stdnum import iban, luhn
from stdnum.at import vnr
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn


class Mark(NamedTuple):
    """kind: `secret:…` or `personal:…`. start, end: characters of the text, end exclusive."""

    kind: str
    start: int
    end: int


Valid = Callable[[str], bool]


_CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|2(?:2[2-9]|[3-6]\d|7[0-2])\d)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners
    r"|(?:35|5[06-8]|6\d)\d{14,17}"  # JCB, Maestro, Discover, UnionPay
)
"""How each network's numbers begin and how long they are. A phone's IMEI, of 15 digits, has the same check digit."""


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return _CARDS.fullmatch(digits) is not None and len(set(digits)) > 1 and luhn.is_valid(digits)


def _iban(text: str) -> bool:
    """By its check digits and its country's form; whether the bank exists is not asked."""
    return iban.is_valid(text, check_country=False)


def _any(text: str) -> bool:
    return True


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _random(text: str) -> bool:
    """Not a name made of words and dashes."""
    return _has_digit(text) or max(map(len, text.split("-"))) >= 20


def _password(text: str) -> bool:
    return len(text) >= 4 and text.lower() not in _NO_PASSWORDS and any(map(str.isalnum, text))


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
_WORDS = (
    *("password", "passwort", "passwd", "passcode", "passphrase", "pwd", "kennwort", "mot de passe", "contraseña"),
    *("wachtwoord", "senha", "hasło", "heslo", "lösenord", "passord", "adgangskode", "salasana", "jelszó", "parola"),
    *("parolă", "şifre", "пароль", "パスワード", "密码", "비밀번호"),
)
"""In the languages that are detected, as far as the word means nothing else."""
_WORD = f"(?:{'|'.join(_WORDS)})"
_SHORT = ("pass", "pw")
_DIGITS = ("three digits in a row",)
_THREE_DIGITS = re.compile(r"\d{3}")

_NINO = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"
_IS = r"(?:is|lautet|ist|est|es)"
_OPEN, _SHUT = "\"'«„", "\"'»“,;"

_VALUE = rf"[{_OPEN}]?([^\s{_SHUT}]{{4,80}})"
_KINDS: tuple[tuple[str, tuple[str, ...], re.Pattern[str], Valid], ...] = (
    (
        "secret:private_key",
        ("private key",),
        # Headers within it have dashes of their own; of one that was pasted in part, the lines that follow are it too.
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]{0,8000}(?:-(?!----)[^-]{0,8000}){0,50}-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:\s{1,4}[A-Za-z0-9+/=]{16,200}){1,400})?"
        ),
        _any,
    ),
    (
        "secret:token",
        (
            *("akia", "asia", "gh", "glpat-", "xox", "k_live_", "k_test_", "aiza", "ya29.", "npm_", "sg.", "eyj"),
            *("xapp-", "hvs.", "hf_", "pypi-", "atatt3", "dop_v1_", "shpat_"),
        ),
        re.compile(
            r"\b(?:A(?:KI|SI)A[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}"
            r"|xox[abeoprs]-[\w-]{10,250}|[sr]k_(?:live|test)_\w{16,200}|AIza[\w-]{35}"
            r"|ya29\.[\w-]{20,500}|npm_[A-Za-z0-9]{36}|SG\.[\w-]{16,64}\.[\w-]{16,64}"
            r"|xapp-[\w-]{20,250}|hvs\.[\w-]{20,250}|hf_[A-Za-z0-9]{30,60}|pypi-[\w-]{20,250}|ATATT3[\w=-]{20,250}"
            r"|dop_v1_[0-9a-f]{64}|shpat_[0-9a-fA-F]{32}"
            r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})"
        ),
        _any,
    ),
    ("secret:token", ("sk-",), re.compile(r"\bsk-[\w-]{20,200}"), _random),  # OpenAI's, Anthropic's
    ("secret:token", ("hooks.slack.com",), re.compile(r"hooks\.slack\.com/services/[\w/]{20,100}"), _any),
    ("secret:token", ("bearer ",), re.compile(r"(?i:\bbearer )[\w.~+/-]{20,}=*"), _any),
    (
        "secret:password",  # user and password, encoded
        ("authorization",),
        re.compile(r"(?i:\bauthorization[\"']?[ \t]*[:=][ \t]*[\"']?basic )[A-Za-z0-9+/]{8,400}={0,2}"),
        _any,
    ),
    (
        "secret:token",
        ("key", "secret", "token"),
        re.compile(
            r"(?<![A-Za-z0-9])(?:api|client|(?:shared)?access|account|secret|auth)[ _-]?(?:key|secret|token)\b[\"']?"
            r"[ \t]*[:=][ \t]*[\"']?([\w./+-]{12,200}=*)",
            re.I,
        ),
        _has_digit,
    ),
    (
        "secret:password",
        _WORDS,
        re.compile(rf"(?<![^\W_]){_WORD}\b[\"']?[ \t]*(?:[:=：]|{_IS}[ \t]*:)[ \t]*{_VALUE}", re.I),
        _password,
    ),
    (
        "secret:password",  # without a colon only what looks like one: it has a digit or a sign
        _WORDS,
        re.compile(rf"(?<![^\W_]){_WORD}\b[ \t]+{_IS}[ \t]+(?=[^\s{_SHUT}]*[\d!$%&*#@?+]){_VALUE}", re.I),
        _password,
    ),
    (
        "secret:password",  # a short word names much else: only what holds letters with digits or signs
        _SHORT,
        re.compile(
            rf"(?<![^\W_])(?:{'|'.join(_SHORT)})[ \t]*[:=][ \t]*(?=[^\s{_SHUT}]{{0,80}}[\d!$%&*#@?+])"
            rf"(?=[^\s{_SHUT}]{{0,80}}[^\W\d_]){_VALUE}",
            re.I,
        ),
        _password,
    ),
    (
        "secret:password",
        ("://",),
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:([^\s:/@]{1,80})@", re.I),
        _any,
    ),
    ("personal:card_number", _DIGITS, re.compile(r"(?<![\d.,+-])\d(?:[ -]?\d){12,18}(?![\d-])"), _card),
    (
        "personal:bank_account",
        _DIGITS,
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.I),
        _iban,
    ),
    *(
        ("personal:national_id", hints, re.compile(pattern, re.I), valid)
        for hints, pattern, valid in (
            (_DIGITS, r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", ssn.is_valid),
            (_DIGITS, r"(?<![\d.,-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\d.,-])", idnr.is_valid),
            (_DIGITS, r"(?<![\d.,-])\d{11}(?![\d.,-])", pesel.is_valid),
            (_DIGITS, r"\b\d{8}-?[A-Z]\b", dni.is_valid),
            (_DIGITS, r"\b[XYZ]-?\d{7}-?[A-Z]\b", nie.is_valid),
            (_DIGITS, r"(?<!\d)[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)", nir.is_valid),
            (
                _DIGITS,
                r"\b[A-Z]{6}[\dL-NP-V]{2}[A-EHLMPRST][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z]\b",
                codicefiscale.is_valid,
            ),
            (("756",), r"\b756\.?\d{4}\.?\d{4}\.?\d{2}\b", ahv.is_valid),
            (_DIGITS, r"\b\d{6}[-+A]\d{3}[\dA-Z]\b", hetu.is_valid),
            (("bsn", "burgerservice"), r"\b(?:BSN|burgerservicenummer)\W{0,3}(\d{9})\b", bsn.is_valid),
            (
                ("svnr", "vsnr", "versicherungsnummer"),
                r"\b(?:SVNR|VSNR|(?:Sozial)?Versicherungsnummer)\W{0,3}(\d{4} ?\d{6})\b",
                vnr.is_valid,
            ),
            (("nhs",), r"\bNHS\b(?: (?:no|number|nr)\b)?\W{0,3}(\d{3}[ -]?\d{3}[ -]?\d{4})\b", nhs.is_valid),
            (("utr",), r"\bUTR\b\W{0,3}(\d{5} ?\d{5})\b", utr.is_valid),
            # The one of these without a check digit: its word is asked for instead.
            (
                ("nino", "national insurance", "ni n"),
                rf"\b(?:NINO|National Insurance|NI)(?: (?:no|number|nr)\b)?\W{{0,3}}({_NINO})\b",
                _any,
            ),
        )
    ),
)
"""(kind, what a text must hold in lower case to be looked at, pattern whose last group is marked, check)."""


def find(text: str) -> list[Mark]:
    """The marks of a text in order, none within another."""
    found = sorted(_candidates(text), key=lambda mark: (mark.start, -mark.end))
    kept: list[Mark] = []
    for mark in found:
        if not kept or mark.start >= kept[-1].end:
            kept.append(mark)
    return kept


def _candidates(text: str) -> Iterator[Mark]:
    lower = text.lower()
    digits = _THREE_DIGITS.search(text) is not None
    for kind, hints, pattern, valid in _KINDS:
        if not (digits if hints is _DIGITS else any(hint in lower for hint in hints)):
            continue
        group = pattern.groups
        for match in pattern.finditer(text):
            start, found = match.start(group), match[group]
            while found and not valid(found):
                # A pattern that allows spaces may have taken the next word with it.
                found = found.rpartition(" ")[0] if kind == "personal:bank_account" else ""
            if found:
                yield Mark(kind, start, start + len(found))


def flags(field: str, text: str) -> list[str]:
    """The marks of one field as the normalized ticket's flags carry them: the kind, and `kind@field:start-end`."""
    marks = find(text)
    return [mark.kind for mark in marks] + [f"{mark.kind}@{field}:{mark.start}-{mark.end}" for mark in marks]
