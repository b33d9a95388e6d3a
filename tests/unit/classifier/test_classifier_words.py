"""Text as words: what folds together, what is cut off, what a term finds."""

from __future__ import annotations

import pytest

from ticket_classifier.domain.lexicon import Lexicon
from ticket_classifier.domain.words import BODY, BREAK, QUOTED, TITLE, Part, fold, parts, split


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Drucker", "drucker"),
        ("Störung", "storung"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("contraseña", "contrasena"),
        ("Réseau à l'étage", "reseau a l'etage"),
        ("ＶＰＮ", "vpn"),
        ("İSTANBUL", "istanbul"),
    ],
)
def test_case_and_accents_fold_away(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wi-fi is down", ["wi", "fi", "is", "down"]),
        ("no vpn, really.", ["no", "vpn", BREAK, "really", BREAK]),
        ("see https://vpn.example.org/reset now", ["see", "now"]),
        ("from printer@example.org", ["from"]),
        ("A" * 80, []),
        ("x" * 41, []),
        ("🎉🔥", []),
        ("snake_case", ["snake", "case"]),
        ("日本語 vpn", ["日本語", "vpn"]),
    ],
)
def test_words_are_cut_where_people_read_words(text: str, words: list[str]) -> None:
    assert split(text.lower()) == words


@pytest.mark.parametrize(
    "head",
    [
        "On Mon, 2 Mar 2026 at 09:00, Ada <ada@example.org> wrote:",
        "Am 02.03.2026 um 09:00 schrieb Ada Keller:",
        "Le lun. 2 mars 2026, Ada a écrit :",
        "El lun, 2 mar 2026, Ada escribió:",
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "Von: Ada\nGesendet: Montag\nAn: Desk",
        "De : Ada\nEnvoyé : lundi",
        "________________________________",
        "-- ",
    ],
)
def test_history_below_a_reply_is_quoted(head: str) -> None:
    found = parts("", f"vpn is gone\n\n{head}\nthe printer is fine\n")
    assert [(part.weight, part.words[0]) for part in found] == [(BODY, "vpn"), (QUOTED, found[1].words[0])]
    assert "printer" in found[1].words
    assert "printer" not in found[0].words


def test_history_is_known_where_html_lost_its_line_breaks() -> None:
    found = parts("", "the vpn hangs. -----Original Message----- Von: Bo > the printer is fine > bye")
    assert [(part.weight, "printer" in part.words) for part in found] == [(BODY, False), (QUOTED, True)]


def test_quoted_lines_are_history_wherever_they_stand() -> None:
    found = parts("Re: help", "> the printer\nno, the vpn\n  > and the wifi\n")
    assert [part.weight for part in found] == [TITLE, BODY, QUOTED]
    assert [w for w in found[1].words if w] == ["no", "the", "vpn"]
    assert {"printer", "wifi"} <= set(found[2].words)


def test_a_mail_that_is_nothing_but_forwarded_counts_as_written() -> None:
    [part] = parts("", "-----Original Message-----\nthe printer jams\n")
    assert part.weight == BODY
    assert "printer" in part.words


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "QUJD" * 300_000,
        "🎉" * 50,
        "> " * 5_000,
        "\n" * 20_000,
        "a" * 100_000,
        "a@" * 50_000,
        "от: a\n" * 4_000,
    ],
)
def test_odd_text_is_read_without_words_or_trouble(text: str) -> None:
    assert isinstance(parts("", text), list)


def found(text: str, *terms: str) -> dict[str, tuple[float, float]]:
    """term -> (best, firm) of those found in a body."""
    lexicon = Lexicon()
    numbers = {lexicon.add(term): term for term in terms}
    hits = lexicon.find([Part(split(fold(text)), BODY)]).hits
    return {numbers[number]: (hit.best, hit.firm) for number, hit in hits.items()}


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("the VPN is slow", "vpn"),
        ("Druckerproblem im Büro", "Drucker*"),
        ("mein Passwort-Reset", "passwort reset"),
        ("mot de\npasse oublié", "mot de passe oublie"),
        ("wi-fi", "Wi-Fi"),
        ("l'accès à distance", "acces a distance"),
        ("I can't work", "can't work"),
        ("installing it", "install*"),
        ("shared mailboxes", "shared mailbox*"),
    ],
)
def test_a_term_is_found_as_people_write_it(text: str, term: str) -> None:
    assert found(text, term) == {term: (BODY, BODY)}


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("sapphire", "sap"),
        ("the printers", "printer"),
        ("mot, de passe", "mot de passe"),
        ("mailbox shared", "shared mailbox"),
        ("mail", "mailbox*"),
        ("This has nothing to do with VPN", "vpn"),
        ("it is not a vpn issue", "vpn"),
        ("Das hat nichts mit VPN zu tun", "vpn"),
        ("rien à voir avec le VPN", "vpn"),
        ("nada que ver con la VPN", "vpn"),
    ],
)
def test_a_term_is_not_found_in_another_word_or_where_it_is_ruled_out(text: str, term: str) -> None:
    assert found(text, term) == {}


@pytest.mark.parametrize(
    "text",
    [
        "not urgent",
        "this is not very urgent",
        "no es urgente",
        "c'est pas urgent",
        "nicht dringend",
        "keine dringende Sache",
    ],
)
def test_a_negated_term_is_found_but_not_firmly(text: str) -> None:
    assert set(found(text, "urgent", "urgente", "dringend", "dringende").values()) == {(BODY, 0.0)}


@pytest.mark.parametrize(
    "text",
    [
        "urgent",
        "it does not work, urgent",
        "does not work urgent please",
        "Not today. urgent!",
        "ich kann nicht arbeiten urgent",
    ],
)
def test_a_term_after_something_else_denied_stays_firm(text: str) -> None:
    assert found(text, "urgent") == {"urgent": (BODY, BODY)}


def test_the_best_place_counts() -> None:
    lexicon = Lexicon()
    number = lexicon.add("vpn")
    hits = lexicon.find([Part(["vpn"], QUOTED), Part(["vpn"], TITLE), Part(["vpn"], BODY)]).hits
    assert hits[number].best == TITLE


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("20 users cannot log in", 20),
        ("it affects 12 of us", 12),
        ("35 of our colleagues", 35),
        ("betroffen sind 40 Mitarbeiter", 40),
        ("7 personnes et 300 utilisateurs", 300),
        ("15 usuarios", 15),
        ("5 minutes", 0),
        ("in 2026 we had users", 0),
        ("since 12:30, users complain", 0),
        ("9999999 users", 0),
        ("for 5 days users complain", 0),
    ],
)
def test_the_people_concerned_are_counted(text: str, people: int) -> None:
    assert Lexicon().find([Part(split(fold(text)), BODY)]).people == people
