"""Secrets and personal data: found where they are surely meant, left alone otherwise. All numbers are test numbers."""

from __future__ import annotations

import time

import pytest

from ticket_intake.domain import marks


@pytest.mark.parametrize(
    ("text", "kind", "marked"),
    [
        ("my card 4111 1111 1111 1111 was charged", "personal:card_number", "4111 1111 1111 1111"),
        ("5500-0000-0000-0004", "personal:card_number", "5500-0000-0000-0004"),
        ("378282246310005", "personal:card_number", "378282246310005"),
        ("pay to DE89 3704 0044 0532 0130 00 please", "personal:bank_account", "DE89 3704 0044 0532 0130 00"),
        ("GB82WEST12345698765432", "personal:bank_account", "GB82WEST12345698765432"),
        ("password: Summer2026!", "secret:password", "Summer2026!"),
        ("Passwort ist hunter2 danke", "secret:password", "hunter2"),
        ("pwd=abcd1234, please", "secret:password", "abcd1234"),
        ("Mot de passe : soleil99", "secret:password", "soleil99"),
        ("postgres://app:s3cret@db/app", "secret:password", "s3cret"),
        ("token ghp_" + "a1B2" * 9, "secret:token", "ghp_" + "a1B2" * 9),
        ("AKIAIOSFODNN7EXAMPLE", "secret:token", "AKIAIOSFODNN7EXAMPLE"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "secret:token", "Bearer abcdefghijklmnopqrstuvwxyz"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0x.c2lnbmF0dXJlLXBhcnQ", "secret:token", None),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "secret:private_key", None),
        ("SSN 536-90-4399", "personal:national_id", "536-90-4399"),
        ("Steuer-ID 36 574 261 809", "personal:national_id", "36 574 261 809"),
        ("NIE x-2482300-w", "personal:national_id", "x-2482300-w"),
        ("NIR 2 95 10 99 126 111 93", "personal:national_id", "2 95 10 99 126 111 93"),
        ("corse: 253072B07300470", "personal:national_id", "253072B07300470"),
        ("AHV 756.9217.0769.85", "personal:national_id", "756.9217.0769.85"),
        ("hetu 131052-308T", "personal:national_id", "131052-308T"),
        ("SVNR: 1237 010180", "personal:national_id", "1237 010180"),
        ("NHS number: 943 476 5870", "personal:national_id", "943 476 5870"),
        ("UTR 1955839661", "personal:national_id", "1955839661"),
        ("National Insurance number AB 12 34 56 C", "personal:national_id", "AB 12 34 56 C"),
        ("cf rssmra85t10a562s", "personal:national_id", "rssmra85t10a562s"),
        ("to BE68 5390 0754 7034 NOW", "personal:bank_account", "BE68 5390 0754 7034"),
        ("api_key = 9f8a7b6c5d4e3f2a1b", "secret:token", "9f8a7b6c5d4e3f2a1b"),
        ('{"client_secret": "Zx9~"}'.replace("Zx9~", "a1" * 10), "secret:token", "a1" * 10),
        ('{"password": "Summer2026!"}', "secret:password", "Summer2026!"),
        ("hooks.slack.com/services/T000/B000/" + "x1" * 12, "secret:token", None),
        ("sk_live_" + "a1" * 12, "secret:token", None),
        ("DNI 12345678Z", "personal:national_id", "12345678Z"),
        ("PESEL 44051401359", "personal:national_id", "44051401359"),
        ("CF RSSMRA85T10A562S", "personal:national_id", "RSSMRA85T10A562S"),
        ("BSN: 111222333", "personal:national_id", "111222333"),
        ("user: bo pass: S3cret!x", "secret:password", "S3cret!x"),
        ("PW = S3cret!x", "secret:password", "S3cret!x"),
        ("DB_PASSWORD=Summer2026!", "secret:password", "Summer2026!"),
        ("lösenord: Sommar26", "secret:password", "Sommar26"),
        ("Пароль: Лето2026", "secret:password", "Лето2026"),
        ("パスワード：natsu2026", "secret:password", "natsu2026"),
        ("aws_secret_access_key = " + "aB3/" * 10, "secret:token", "aB3/" * 10),
        ("MY_API_KEY=9f8a7b6c5d4e3f2a1b", "secret:token", "9f8a7b6c5d4e3f2a1b"),
        ("AccountKey=" + "aB3+" * 21 + "==", "secret:token", "aB3+" * 21 + "=="),
        ("ATATT3x" + "aB3" * 20, "secret:token", None),
        ("hf_" + "aB" * 17, "secret:token", None),
        ("sk-proj-" + "ab" * 12, "secret:token", None),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "secret:password", None),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,0A1B\n\nMIIB\n-----END RSA PRIVATE KEY-----",
            "secret:private_key",
            None,
        ),
        (
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----",
            "secret:private_key",
            None,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 16 + "\n" + "a1B2" * 16 + "\nand so on",
            "secret:private_key",
            "-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 16 + "\n" + "a1B2" * 16,
        ),
        ("iban de89370400440532013000", "personal:bank_account", "de89370400440532013000"),
        ("4222222222222", "personal:card_number", "4222222222222"),
        ("2223 0031 2200 3222", "personal:card_number", "2223 0031 2200 3222"),
    ],
)
def test_found(text: str, kind: str, marked: str | None) -> None:
    (mark,) = marks.find(text)
    assert mark.kind == kind
    assert text[mark.start : mark.end] == (marked if marked is not None else text)


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",  # the check digit is wrong
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",
        "my password expired, please reset it",
        "password: expired",
        "the password is wrong",
        "password reset does not work",
        "call +49 30 123456789",
        "2026-03-02 09:00:00",
        "INC0000045 and CHG0030123",
        "SSN 000-12-3456",
        "12345678A",
        "219-09-9999",  # printed on millions of specimen cards, and nobody's
        "asset AB123456C",  # a British number only behind its word
        "NHS number: 943 476 5871",
        "756.9217.0769.86",
        "131052-308U",
        "invoice 1237010180",
        "BE68 5390 0754 7035 NOW",
        "api key is missing",
        "token: required_by_policy",
        "https://corp.example:8443/path",
        "10.0.0.1:5432",
        "IMEI 356938035643809",  # with a card's check digit
        "IMEI: 490154203237518",
        "call +49 151 1234 5678",  # Luhn finds nothing wrong with it
        "password: ********",
        "tests pass: yes, all",
        "bypass: on23",
        "sk-learn-something-like-this-name",
    ],
)
def test_left_alone(text: str) -> None:
    assert marks.find(text) == []


def test_flags_name_the_kind_and_the_place() -> None:
    assert marks.flags("text", "pwd: abcd1234") == ["secret:password", "secret:password@text:5-13"]


@pytest.mark.parametrize(
    "text",
    ["1 " * 16_000, "password " * 4_000, "A" * 32_000, "eyJ" * 10_000, "a://" * 8_000, "DE89 " * 6_000]
    + [f"-----BEGIN PRIVATE KEY-----{end}" for end in ("a-" * 16_000, "\n" + "A" * 32_000, " AAAAAAAAAAAAAAAA" * 2_000)]
    + ["-----BEGIN PRIVATE KEY-----" * 1_200, "pass=" * 6_000, "de89" * 8_000],
)
def test_hostile_text_takes_bounded_time(text: str) -> None:
    start = time.process_time()
    marks.find(text)
    assert time.process_time() - start < 2
