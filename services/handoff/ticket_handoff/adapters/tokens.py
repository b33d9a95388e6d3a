"""OAuth 2 bearer tokens: JWTs (RFC 9068) signed by the company's or a partner's identity provider, checked against its
published keys."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ticket_handoff.domain.terms import INTERNAL
from ticket_runtime.logs import logger
from ticket_runtime.settings import CannotRun

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""With two keys only: a secret that both sides know would let whoever checks tokens make them."""
SCOPE_INSIDE: Final = "relaydesk.desk"
SCOPE_PARTNER: Final = "relaydesk.partner."
_LEEWAY_SECONDS: Final = 30
_FRESH_SECONDS: Final = 600.0
_AGAIN_SECONDS: Final = 30.0
"""An unknown key id makes the keys be read again, but no sooner: ids are the sender's to invent."""
_WAIT_SECONDS: Final = 5.0

log = logger(__name__)


class NoToken(Exception):
    """This token lets nobody in; says why, and nothing of the token."""


class KeysAway(Exception):
    """The issuer's keys cannot be read just now."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token speaks for, and who speaks."""

    principal: str
    actor: str


class IssuerKeys:
    """The issuer's keys, from a file or an address; read again when they are old, or when a token names a newer one."""

    def __init__(
        self,
        where: str,
        fetch: Callable[[str], Awaitable[Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """where: `https://...`, `http://` on this machine alone, or a file. Raises CannotRun for another address, and
        for a file that holds no keys."""
        self._where, self._fetch, self._clock = where, fetch or _get, clock
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._file = None if "://" in where else Path(where)
        if self._file is not None:
            try:
                self._keys = KeySet.import_key_set(json.loads(self._file.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
                raise CannotRun(f"{where} is no JSON Web Key Set ({error}): save the issuer's jwks_uri there") from None
        elif not where.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise CannotRun(f"keys are read by https:// or from a file, not from {where}")

    async def find(self, kid: str | None) -> KeySet:
        """The keys, with one of this id if the issuer has it. Raises KeysAway."""
        age = self._clock() - self._read_at
        known = self._keys is not None and (kid is None or any(key.kid == kid for key in self._keys.keys))
        if self._keys is None or age > _FRESH_SECONDS or (not known and age > _AGAIN_SECONDS):
            await self._read()
        if self._keys is None:
            raise KeysAway(f"the keys at {self._where} cannot be read just now")
        return self._keys

    async def _read(self) -> None:
        self._read_at = self._clock()
        try:
            content = json.loads(self._file.read_bytes()) if self._file is not None else await self._fetch(self._where)
            self._keys = KeySet.import_key_set(content)
        except (OSError, ValueError, KeyError, TypeError, JoseError, httpx.HTTPError) as error:
            # The old ones stay good: an issuer that is away for a while must not close the desk.
            log.warning("the issuer's keys cannot be read", where=self._where, error=type(error).__name__)


class Tokens:
    """issuer, audience: what `iss` and `aud` must say. now: wall clock, in unix seconds."""

    def __init__(self, keys: IssuerKeys, issuer: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def read(self, token: str) -> Bearer:
        """Raises NoToken and KeysAway."""
        try:
            header = json.loads(_unpadded(token.split(".")[0]))
            kid = header.get("kid") if isinstance(header, dict) else None
            keys = await self._keys.find(kid if isinstance(kid, str) else None)
            claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
            self._claims.validate(claims)
        except JoseError as error:
            raise NoToken(f"the token is refused: {error.error.replace('_', ' ')}") from None
        except (ValueError, TypeError, KeyError):
            raise NoToken("the token is no JSON Web Token that can be read") from None
        return _bearer(claims)


def looks_like_token(text: str) -> bool:
    """A JWT has three parts; an API key has none of its dots."""
    return text.count(".") == 2


def _bearer(claims: dict[str, Any]) -> Bearer:
    """scope: one of `relaydesk.desk` and `relaydesk.partner.<name>`; whoever speaks for two speaks for none."""
    said = claims.get("scope", claims.get("scp", ""))
    said = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    scopes = [each for each in said if isinstance(each, str)]
    found = {_principal(scope) for scope in scopes} - {None}
    if len(found) != 1:
        raise NoToken(f"the token needs one scope of {SCOPE_INSIDE} and {SCOPE_PARTNER}<name>, and has {len(found)}")
    (principal,) = found
    named = (claims.get(name) for name in ("name", "preferred_username", "client_id", "sub"))
    actor = next((said for said in named if isinstance(said, str)), "").strip()
    if not principal or not actor or len(actor) > 200:
        raise NoToken("the token names nobody: it needs a sub, or a name, of at most 200 characters")
    return Bearer(principal, actor)


def _principal(scope: str) -> str | None:
    if scope == SCOPE_INSIDE:
        return INTERNAL
    name = scope.removeprefix(SCOPE_PARTNER)
    return name if name and name != scope and name != INTERNAL else None


async def _get(where: str) -> Any:
    async with httpx.AsyncClient(timeout=_WAIT_SECONDS) as client:
        answer = await client.get(where)
        answer.raise_for_status()
        return answer.json()


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
