"""The language a ticket is written in, by lingua: deterministic, and silent where it is not sure."""

from __future__ import annotations

import functools
import re
from typing import Final

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

_SAMPLE: Final = 600
_FEWEST_LETTERS: Final = 20
_SURE: Final = 0.75
_NOT_PROSE = re.compile(r"https?://\S+|\S+@\S+|\S*[\d_/\\{}<>=]\S*")

_LANGUAGES = (
    *(Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.ITALIAN, Language.PORTUGUESE),
    *(Language.DUTCH, Language.POLISH, Language.CZECH, Language.SWEDISH, Language.DANISH, Language.BOKMAL),
    *(Language.FINNISH, Language.HUNGARIAN, Language.ROMANIAN, Language.TURKISH, Language.UKRAINIAN, Language.RUSSIAN),
    *(Language.GREEK, Language.JAPANESE, Language.CHINESE, Language.KOREAN, Language.ARABIC, Language.HEBREW),
)
"""Fewer candidates make short texts surer: those of a European company and its large markets."""


@functools.cache
def _detector() -> LanguageDetector:
    # The small models: 45 MB instead of 600, 0.13 ms a ticket instead of 0.9, and as good on whole sentences.
    builder = LanguageDetectorBuilder.from_languages(*_LANGUAGES)
    return builder.with_low_accuracy_mode().with_preloaded_language_models().build()


def load() -> None:
    """Read the models now (0.2 s), so that the first ticket does not wait for them."""
    _detector()


def detect(title: str, text: str) -> str | None:
    """The ISO 639-1 code of the language of a ticket's first words; None for too few of them, or when unsure."""
    sample = _NOT_PROSE.sub(" ", f"{title}\n{text[:_SAMPLE]}")
    letters = sum(map(str.isalpha, sample))
    wide = letters and not sample.isascii() and any("\u2e80" <= c <= "\ud7ff" for c in sample)
    if letters < (_FEWEST_LETTERS // 4 if wide else _FEWEST_LETTERS):
        return None
    ranked = _detector().compute_language_confidence_values(sample)
    best = ranked[0]
    if round(best.value, 3) < _SURE:
        return None
    code = best.language.iso_code_639_1.name.lower()
    return "no" if code == "nb" else code
