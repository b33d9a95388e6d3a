"""Who sent a message: checked over the raw bytes, in constant time, before anything of them is parsed."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final

from ticket_intake.documents import (
    Authentication,
    BasicAuthentication,
    BearerAuthentication,
    HeaderAuthentication,
    HmacAuthentication,
    NoAuthentication,
    Secret,
)

_CHALLENGE = re.compile(r"[0-9a-f]{64}")


class Verdict(Enum):
    """UNCONFIGURED: none of the source's secrets is set, so nobody can be authentic."""

    AUTHENTIC = "authentic"
    REFUSED = "refused"
    UNCONFIGURED = "unconfigured"


class Secrets:
    """The secrets that documents refer to. Files are read again when they change, so that one can rotate without a
    restart; variables are those of the process's start."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {name: value.encode() for name, value in environment.items()}
        self._files: dict[str, tuple[int, bytes]] = {}

    def of(self, references: Sequence[Secret]) -> list[bytes]:
        """The secrets that are set, in order."""
        return [value for reference in references if (value := self._one(reference))]

    def _one(self, reference: Secret) -> bytes:
        if reference.env is not None:
            return self._environment.get(reference.env, b"")
        assert reference.file is not None
        try:
            changed = Path(reference.file).stat().st_mtime_ns
            known = self._files.get(reference.file)
            if known is None or known[0] != changed:
                known = changed, Path(reference.file).read_bytes().strip()
                self._files[reference.file] = known
        except OSError:
            return b""  # a mount that is not there yet; the next request looks again
        return known[1]


class Verifier:
    """The authentication of one source; any of its schemes will do."""

    def __init__(self, schemes: Sequence[Authentication], secrets: Secrets) -> None:
        self._schemes = schemes
        self._secrets = secrets
        self.reads_body = any(isinstance(scheme, HmacAuthentication) for scheme in schemes)
        self.by_address = all(isinstance(scheme, NoAuthentication) for scheme in schemes)

    @property
    def challenge(self) -> str | None:
        """The WWW-Authenticate value of a 401."""
        for scheme in self._schemes:
            if isinstance(scheme, BasicAuthentication):
                return 'Basic realm="relaydesk", charset="UTF-8"'
            if isinstance(scheme, BearerAuthentication):
                return "Bearer"
        return None

    def verify(self, headers: Mapping[str, str], body: bytes, client: str | None, now: float) -> Verdict:
        """headers: by lower-case name. client: the peer's address. now: seconds since the epoch."""
        configured = False
        for scheme in self._schemes:
            if isinstance(scheme, NoAuthentication):
                configured = True
                authentic = _allowed(scheme, client)
            else:
                secrets = self._secrets.of(scheme.secrets)
                configured = configured or bool(secrets)
                authentic = bool(secrets) and _matches(scheme, secrets, headers, body, now)
            if authentic:
                return Verdict.AUTHENTIC
        return Verdict.REFUSED if configured else Verdict.UNCONFIGURED

    def answer(self, parameter_values: Mapping[str, str]) -> str | None:
        """The answer to a challenge by GET (GLPI), or None when it is none.

        Only what looks like GLPI's own token, 64 hexadecimal digits, is answered: signing anything would hand out
        signatures of bodies.
        """
        for scheme in self._schemes:
            if isinstance(scheme, HmacAuthentication) and scheme.challenge is not None:
                token = parameter_values.get(scheme.challenge, "")
                secrets = self._secrets.of(scheme.secrets)
                if secrets and _CHALLENGE.fullmatch(token):
                    return hmac.digest(secrets[0], token.encode(), scheme.algorithm).hex()
        return None


def _allowed(scheme: NoAuthentication, client: str | None) -> bool:
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    networks = (ipaddress.ip_network(network) for network in scheme.allow)
    return any(address.version == network.version and address in network for network in networks)


def _matches(
    scheme: HeaderAuthentication | BasicAuthentication | BearerAuthentication | HmacAuthentication,
    secrets: list[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> bool:
    if isinstance(scheme, HmacAuthentication):
        return _signed(scheme, secrets, headers, body, now)
    if isinstance(scheme, HeaderAuthentication):
        return _any_equal(secrets, _written(headers.get(scheme.header.lower(), "")))
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if isinstance(scheme, BearerAuthentication):
        return kind.lower() == "bearer" and _any_equal(secrets, _written(credentials.strip(" \t")))
    if kind.lower() != "basic":
        return False
    try:
        given = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    user = scheme.user.encode()
    return _any_equal([user + b":" + secret for secret in secrets], [given])


def _written(text: str) -> list[bytes]:
    """What a header's text may have been written from: senders put UTF-8 there, or Latin-1, as which it was read."""
    return [text.encode("latin-1", "replace"), text.encode("utf-8", "replace")]


def _signed(
    scheme: HmacAuthentication, secrets: list[bytes], headers: Mapping[str, str], body: bytes, now: float
) -> bool:
    parts = [part.strip() for part in headers.get(scheme.header.lower(), "").split(",")[:8]]
    given = [part[len(scheme.prefix) :] for part in parts if part.startswith(scheme.prefix)]
    stamp = b""
    if scheme.timestamp_header is not None:
        text = headers.get(scheme.timestamp_header.lower(), "")
        if not _recent(text, scheme, now):
            return False
        stamp = text.encode("utf-8", "replace")
    size = _DIGEST_BYTES[scheme.algorithm]
    signatures = [read for text in given if len(read := _decoded(text, scheme.encoding)) == size]
    if not signatures:
        return False
    named = {"body": body, "timestamp": stamp}
    message = b"".join([named[part] if part in named else part.encode() for part in scheme.signed])
    return _any_equal([hmac.digest(secret, message, scheme.algorithm) for secret in secrets], signatures)


_DIGEST_BYTES: Final = {"sha1": 20, "sha256": 32, "sha512": 64}


def _decoded(text: str, encoding: str) -> bytes:
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _recent(text: str, scheme: HmacAuthentication, now: float) -> bool:
    try:
        if scheme.timestamp_form == "iso":
            at = datetime.fromisoformat(text)
            if at.tzinfo is None:
                return False
            seconds = at.timestamp()
        elif text.isascii() and text.isdecimal() and len(text) <= 15:
            seconds = float(text) / (1_000 if len(text) > 11 else 1)
        else:
            return False
    except (ValueError, OverflowError):
        return False
    return scheme.max_age_seconds is None or abs(now - seconds) <= scheme.max_age_seconds


def _any_equal(expected: list[bytes], given: list[bytes]) -> bool:
    """Every pair is compared, and each in constant time: how long it takes tells nothing of where they differ."""
    equal = False
    for mine in expected:
        for theirs in given:
            equal |= hmac.compare_digest(mine, theirs)
    return equal
