"""Signature vectors of our own making, for every scheme: whole, with a changed byte or header, a missing one, too old,
sent again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ticket_intake import documents
from ticket_intake.adapters.authentication import Secrets, Verdict, Verifier
from ticket_intake.documents import (
    BasicAuthentication,
    BearerAuthentication,
    HeaderAuthentication,
    NoAuthentication,
    Secret,
)

BODY = b'{"ticket": {"id": 1}, "\xc3\xa4": 2}'
NOW = 1_772_445_600.0
OLD, NEW = "old-secret", "new-secret"


def verifier(source: str, *names: str) -> Verifier:
    """Of a shipped source; both of its variables are set, as while a secret rotates."""
    document = documents.load(source)
    variables = [s.env for scheme in document.authentication if scheme.scheme != "none" for s in scheme.secrets]
    values = dict(zip([v for v in variables if v is not None], names or (OLD, NEW), strict=False))
    return Verifier(document.authentication, Secrets(values))


def sha256(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def jira(secret: str, body: bytes) -> dict[str, str]:
    return {"x-hub-signature": f"sha256={sha256(secret, body)}"}


def zammad(secret: str, body: bytes) -> dict[str, str]:
    return {"x-hub-signature": f"sha1={hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}"}


def zendesk(secret: str, body: bytes, at: float = NOW) -> dict[str, str]:
    stamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
    return {
        "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
        "x-zendesk-webhook-signature-timestamp": stamp,
    }


def glpi(secret: str, body: bytes, at: float = NOW) -> dict[str, str]:
    stamp = str(int(at))
    return {"x-glpi-signature": sha256(secret, body + stamp.encode()), "x-glpi-timestamp": stamp}


def pagerduty(secret: str, body: bytes) -> dict[str, str]:
    return {"x-pagerduty-signature": f"v1={sha256('unknown', body)},v1={sha256(secret, body)}"}


def grafana(secret: str, body: bytes, at: float = NOW) -> dict[str, str]:
    stamp = str(int(at))
    return {
        "x-grafana-alerting-signature": sha256(secret, f"{stamp}:".encode() + body),
        "x-grafana-alerting-timestamp": stamp,
    }


SIGNED = {
    "jira": jira,
    "zammad": zammad,
    "zendesk": zendesk,
    "glpi": glpi,
    "pagerduty": pagerduty,
    "grafana": grafana,
}
SHA256_OF_BODY = "544d178c1ec447963c1d00f1b4586b9f9dbf5f2a9d68ec89cef7998eef8633c0"
VECTORS = {
    "jira": {"x-hub-signature": f"sha256={SHA256_OF_BODY}"},
    "pagerduty": {"x-pagerduty-signature": f"v1={'0' * 64},v1={SHA256_OF_BODY}"},
    "zammad": {"x-hub-signature": "sha1=7e9fbe21e495de125992fc85cc546057092809ad"},
    "zendesk": {
        "x-zendesk-webhook-signature": "Y/ipXSJfDGJK8o68/d7R4KCvzyWl73g1vY/gSJDdW98=",
        "x-zendesk-webhook-signature-timestamp": "2026-03-02T10:00:00Z",
    },
    "glpi": {
        "x-glpi-signature": "77e1900745da4b8fee690c681902ba4d39b90884ba50e9bface02483d90de29b",
        "x-glpi-timestamp": "1772445600",
    },
    "grafana": {
        "x-grafana-alerting-signature": "c4bab6baf9d10966884612890e933a6dc8c2a241b21c135025f0bdf618a592e4",
        "x-grafana-alerting-timestamp": "1772445600",
    },
}
"""Made with `openssl dgst -hmac old-secret`, so that nothing of ours stands on both sides."""


@pytest.mark.parametrize("source", SIGNED)
def test_signatures_that_another_program_made(source: str) -> None:
    assert verifier(source).verify(VECTORS[source], BODY, None, NOW) is Verdict.AUTHENTIC
    assert verifier(source, "another", "secret").verify(VECTORS[source], BODY, None, NOW) is Verdict.REFUSED


@pytest.mark.parametrize("source", SIGNED)
@pytest.mark.parametrize("secret", [OLD, NEW])
def test_whole_with_either_secret_and_again(source: str, secret: str) -> None:
    headers = SIGNED[source](secret, BODY)
    check = verifier(source)
    # A replay is authentic: it is told by the delivery's memory in the ticket's state, not by a window of time.
    assert [check.verify(headers, BODY, None, NOW) for _ in range(2)] == [Verdict.AUTHENTIC, Verdict.AUTHENTIC]


@pytest.mark.parametrize("source", SIGNED)
def test_a_changed_byte_anywhere(source: str) -> None:
    headers = SIGNED[source](OLD, BODY)
    for position in range(len(BODY)):
        changed = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        assert verifier(source).verify(headers, changed, None, NOW) is Verdict.REFUSED
    assert verifier(source).verify(headers, BODY + b"\n", None, NOW) is Verdict.REFUSED


@pytest.mark.parametrize("source", SIGNED)
def test_a_changed_or_missing_header(source: str) -> None:
    check = verifier(source)
    headers = SIGNED[source](OLD, BODY)
    for name, value in headers.items():
        without = {other: v for other, v in headers.items() if other != name}
        assert check.verify(without, BODY, None, NOW) is Verdict.REFUSED
        last = value.rstrip("=")[-1]
        changed = value.rstrip("=")[:-1] + ("8" if last == "0" else "0")
        for wrong in (changed, "", "sha256=", "v1=", "=" * 44, "zz", value + ",", "é"):
            if wrong != value and not (source == "pagerduty" and wrong == value + ","):
                verdict = check.verify({**headers, name: wrong}, BODY, None, NOW)
                assert verdict is Verdict.REFUSED or wrong == value + ",", (name, wrong)


@pytest.mark.parametrize("source", SIGNED)
def test_another_secret_or_none(source: str) -> None:
    assert verifier(source).verify(SIGNED[source]("other", BODY), BODY, None, NOW) is Verdict.REFUSED
    assert verifier(source).verify(SIGNED[source]("", BODY), BODY, None, NOW) is Verdict.REFUSED
    unset = Verifier(documents.load(source).authentication, Secrets({}))
    assert unset.verify(SIGNED[source]("", BODY), BODY, None, NOW) is Verdict.UNCONFIGURED


def test_an_old_timestamp_and_one_from_the_future() -> None:
    for offset, verdict in ((-299, Verdict.AUTHENTIC), (-301, Verdict.REFUSED), (301, Verdict.REFUSED)):
        assert verifier("zendesk").verify(zendesk(OLD, BODY, NOW + offset), BODY, None, NOW) is verdict
        assert verifier("grafana").verify(grafana(OLD, BODY, NOW + offset), BODY, None, NOW) is verdict
    week = 7 * 86_400
    for offset, verdict in ((-week + 1, Verdict.AUTHENTIC), (-week - 1, Verdict.REFUSED)):
        assert verifier("glpi").verify(glpi(OLD, BODY, NOW + offset), BODY, None, NOW) is verdict


def test_zendesks_old_order_of_signing_is_refused() -> None:
    headers = zendesk(OLD, BODY)
    stamp = headers["x-zendesk-webhook-signature-timestamp"].encode()
    wrong = hmac.new(OLD.encode(), BODY + stamp, hashlib.sha256).digest()
    headers["x-zendesk-webhook-signature"] = base64.b64encode(wrong).decode()
    assert verifier("zendesk").verify(headers, BODY, None, NOW) is Verdict.REFUSED


def test_glpis_challenge_is_answered_and_is_no_oracle() -> None:
    check = verifier("glpi")
    token = sha256("anything", b"body")
    assert check.answer({"crc_token": token}) == sha256(OLD, token.encode())
    # An event's body and timestamp in its place would hand out the event's signature.
    assert check.answer({"crc_token": (BODY + str(int(NOW)).encode()).decode()}) is None
    assert check.answer({}) is None
    assert verifier("jira").answer({"crc_token": token}) is None


TOKENS = [Secret(env="OLD"), Secret(env="NEW")]
SECRETS = Secrets({"OLD": OLD, "NEW": NEW})


def test_static_header() -> None:
    check = Verifier([HeaderAuthentication(scheme="header", header="X-Token", secrets=TOKENS)], SECRETS)
    assert not check.reads_body
    for value, verdict in (
        (OLD, Verdict.AUTHENTIC),
        (NEW, Verdict.AUTHENTIC),
        (OLD.upper(), Verdict.REFUSED),
        ("", Verdict.REFUSED),
        (f"{OLD},{NEW}", Verdict.REFUSED),
    ):
        assert check.verify({"x-token": value}, b"", None, NOW) is verdict
    assert check.verify({}, b"", None, NOW) is Verdict.REFUSED


def test_basic() -> None:
    check = Verifier([BasicAuthentication(scheme="basic", user="relaydesk", secrets=TOKENS)], SECRETS)

    def basic(text: str) -> dict[str, str]:
        return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    assert check.verify(basic(f"relaydesk:{NEW}"), b"", None, NOW) is Verdict.AUTHENTIC
    assert check.verify(basic(f"other:{NEW}"), b"", None, NOW) is Verdict.REFUSED
    assert check.verify(basic("relaydesk:"), b"", None, NOW) is Verdict.REFUSED
    assert check.verify({"authorization": "Basic !!!"}, b"", None, NOW) is Verdict.REFUSED
    assert check.verify({"authorization": f"Bearer {NEW}"}, b"", None, NOW) is Verdict.REFUSED
    assert check.challenge == 'Basic realm="relaydesk", charset="UTF-8"'


def test_bearer() -> None:
    check = Verifier([BearerAuthentication(scheme="bearer", secrets=TOKENS)], SECRETS)
    assert check.verify({"authorization": f"bearer {OLD}"}, b"", None, NOW) is Verdict.AUTHENTIC
    assert check.verify({"authorization": OLD}, b"", None, NOW) is Verdict.REFUSED
    assert check.verify({}, b"", None, NOW) is Verdict.REFUSED


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_secret_beyond_ascii_in_a_header(encoding: str) -> None:
    """Headers are read as Latin-1, whatever the sender wrote them in."""
    secret = "schlüssel-à"  # ends in what reads as a space
    secrets = Secrets({"OLD": secret})
    sent = secret.encode(encoding).decode("latin-1")
    header = Verifier([HeaderAuthentication(scheme="header", header="X-Token", secrets=TOKENS)], secrets)
    assert header.verify({"x-token": sent}, b"", None, NOW) is Verdict.AUTHENTIC
    assert header.verify({"x-token": sent[:-1]}, b"", None, NOW) is Verdict.REFUSED
    bearer = Verifier([BearerAuthentication(scheme="bearer", secrets=TOKENS)], secrets)
    assert bearer.verify({"authorization": f"Bearer {sent}"}, b"", None, NOW) is Verdict.AUTHENTIC
    assert bearer.verify({"authorization": f"Bearer {sent}?"}, b"", None, NOW) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("client", "verdict"),
    [
        ("127.0.0.1", Verdict.AUTHENTIC),
        ("::1", Verdict.AUTHENTIC),
        ("::ffff:127.0.0.1", Verdict.AUTHENTIC),
        ("192.0.2.7", Verdict.REFUSED),
        ("::ffff:192.0.2.7", Verdict.REFUSED),
        (None, Verdict.REFUSED),
        ("localhost", Verdict.REFUSED),
    ],
)
def test_without_a_secret_only_from_the_allow_list(client: str | None, verdict: Verdict) -> None:
    check = Verifier([NoAuthentication(scheme="none", allow=["127.0.0.0/8", "::1/128"])], SECRETS)
    # Nobody is believed to be somewhere else by a header.
    assert check.verify({"x-forwarded-for": "127.0.0.1"}, BODY, client, NOW) is verdict


def test_a_secret_from_a_file_rotates_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    check = Verifier(
        [HeaderAuthentication(scheme="header", header="X-Token", secrets=[Secret(file=str(file))])], Secrets({})
    )
    assert check.verify({"x-token": "one"}, b"", None, NOW) is Verdict.UNCONFIGURED
    for n, value in enumerate(("one", "two")):
        file.write_text(f"{value}\n")
        os.utime(file, ns=(n, n))
        assert check.verify({"x-token": value}, b"", None, NOW) is Verdict.AUTHENTIC
    assert check.verify({"x-token": "one"}, b"", None, NOW) is Verdict.REFUSED
