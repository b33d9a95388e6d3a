"""Bearer tokens: only those of the issuer, for this desk, in time, for one principal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from ticket_handoff.adapters.access import Access
from ticket_handoff.adapters.keys import Keys
from ticket_handoff.adapters.tokens import IssuerKeys, KeysAway, NoToken, Tokens
from ticket_runtime.http import Problem
from ticket_runtime.settings import CannotRun

ISSUER = "https://login.example.com/"
NOW = 1_800_000_000
KEY = ECKey.generate_key("P-256", {"kid": "k1"}, auto_kid=False)
OTHER = ECKey.generate_key("P-256", {"kid": "k1"}, auto_kid=False)
NEXT = ECKey.generate_key("P-256", {"kid": "k2"}, auto_kid=False)


def keys_of(*keys: Any) -> dict[str, Any]:
    return dict(KeySet(list(keys)).as_dict(private=False))


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(keys_of(KEY)))
    return Tokens(IssuerKeys(str(path)), ISSUER, "relaydesk", lambda: NOW)


def token(key: Any = KEY, alg: str = "ES256", kid: str = "k1", **claims: Any) -> str:
    said = {
        "iss": ISSUER,
        "aud": "relaydesk",
        "exp": NOW + 300,
        "sub": "client-7",
        "scope": "openid relaydesk.partner.nightwatch",
        **claims,
    }
    return jwt.encode({"alg": alg, "kid": kid}, {k: v for k, v in said.items() if v is not None}, key, algorithms=[alg])


async def test_a_token_speaks_for_the_partner_of_its_scope(tokens: Tokens) -> None:
    read = await tokens.read(token())
    assert (read.principal, read.actor) == ("nightwatch", "client-7")
    inside = await tokens.read(token(scope=None, scp=["relaydesk.desk"], name="Ada", aud=["else", "relaydesk"]))
    assert (inside.principal, inside.actor) == ("internal", "Ada")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com/"},
        {"iss": None},
        {"aud": "another desk"},
        {"aud": None},
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": NOW + 100},
        {"sub": None},
        {"sub": "x" * 201},
        {"sub": " "},
        {"scope": ""},
        {"scope": 7},
        {"scope": "relaydesk.partner."},
        {"scope": "relaydesk.partner.internal"},
        {"scope": "relaydesk.desk relaydesk.partner.nightwatch"},
        {"scope": "relaydesk.partner.nightwatch relaydesk.partner.otherwise"},
    ],
    ids=str,
)
async def test_what_a_token_must_say(tokens: Tokens, claims: dict[str, Any]) -> None:
    with pytest.raises(NoToken):
        await tokens.read(token(**claims))


async def test_a_clock_may_be_off_by_half_a_minute(tokens: Tokens) -> None:
    assert (await tokens.read(token(exp=NOW - 29))).principal == "nightwatch"


async def test_only_the_issuers_signature_counts(tokens: Tokens) -> None:
    good = token()
    head, body, signature = good.split(".")
    public_as_secret = OctKey.import_key(json.dumps(keys_of(KEY)["keys"][0]))
    unsigned = "eyJhbGciOiJub25lIn0"
    forged = [
        token(OTHER),
        token(RSAKey.generate_key(2048), "RS256"),
        token(public_as_secret, "HS256"),
        f"{unsigned}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{token(sub='admin').split('.')[1]}.{signature}",
        "a.b.c",
        "..",
        "\u00e9.\u00e9.\u00e9",
        f"{head}x.{body}.{signature}",
        "W10.e30.AA",
    ]
    for text in forged:
        with pytest.raises(NoToken) as caught:
            await tokens.read(text)
        assert text[:20] not in str(caught.value) or len(text) < 10
    assert (await tokens.read(good)).actor == "client-7"


async def test_new_keys_are_read_when_a_token_names_one_but_not_for_every_invented_name() -> None:
    published, asked, now = [keys_of(KEY)], [0], [0.0]

    async def fetch(where: str) -> Any:
        asked[0] += 1
        if not published:
            raise OSError("away")
        return published[-1]

    tokens = Tokens(
        IssuerKeys("https://login.example.com/jwks", fetch, lambda: now[0]), ISSUER, "relaydesk", lambda: NOW
    )
    await tokens.read(token())
    with pytest.raises(NoToken):
        await tokens.read(token(NEXT, kid="k2"))
    for number in range(50):
        with pytest.raises(NoToken):
            await tokens.read(token(NEXT, kid=f"invented-{number}"))
    assert asked[0] == 1
    published.append(keys_of(KEY, NEXT))
    now[0] = 31
    assert (await tokens.read(token(NEXT, kid="k2"))).principal == "nightwatch"
    assert asked[0] == 2
    published.clear()
    now[0] = 10_000
    await tokens.read(token())
    assert asked[0] == 3, "the old keys stay good while the issuer is away"


async def test_an_issuer_that_was_never_reached_is_said() -> None:
    async def fetch(where: str) -> Any:
        raise OSError("away")

    access = Access(Keys([]), Tokens(IssuerKeys("https://login.example.com/jwks", fetch), ISSUER, "relaydesk"))
    with pytest.raises(KeysAway):
        await IssuerKeys("https://login.example.com/jwks", fetch).find("k1")
    with pytest.raises(Problem) as caught:
        await access.admit(token(), "10.0.0.1")
    assert caught.value.status == 503


@pytest.mark.parametrize("where", ["http://login.example.com/jwks", "ftp://x/y", "/nowhere/jwks.json"])
def test_keys_come_by_a_safe_way(where: str) -> None:
    with pytest.raises(CannotRun):
        IssuerKeys(where)


async def test_who_tries_too_often_waits(tokens: Tokens) -> None:
    access = Access(Keys([]), tokens, "3/minute")
    for _ in range(3):
        assert (await access.admit(token(), "10.0.0.1")).principal == "nightwatch"
    with pytest.raises(Problem) as caught:
        await access.admit(token(), "10.0.0.1")
    assert (caught.value.status, 0 < caught.value.more["retry_after"] <= 61) == (429, True)
    assert (await access.admit(token(sub="another"), "10.0.0.1")).actor == "another"


async def test_who_guesses_keys_waits_and_nobody_else(tokens: Tokens) -> None:
    access = Access(Keys([]), tokens)
    statuses = []
    for number in range(40):
        with pytest.raises(Problem) as caught:
            await access.admit(f"guess-{number}", "10.0.0.1")
        statuses.append(caught.value.status)
    assert statuses == [401] * 30 + [429] * 10
    assert (await access.admit(token(), "10.0.0.2")).principal == "nightwatch"


@pytest.mark.parametrize("given", [None, "", "x" * 20_000, "x" * 20_000 + ".y.z"])
async def test_what_is_no_key_is_refused(tokens: Tokens, given: str | None) -> None:
    with pytest.raises(Problem) as caught:
        await Access(Keys([]), tokens).admit(given, "10.0.0.1")
    assert caught.value.status == 401
    assert len(caught.value.detail) < 300


def test_a_rate_that_is_none_is_named() -> None:
    with pytest.raises(CannotRun, match="600/minute"):
        Access(Keys([]), None, "often")
