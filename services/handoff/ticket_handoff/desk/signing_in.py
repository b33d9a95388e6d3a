"""Signing in: by OpenID Connect, or by an API key of this desk; and the session that follows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request
from starlette.responses import Response

from ticket_handoff.adapters.keys import Keys
from ticket_handoff.desk.seats import Seat
from ticket_handoff.desk.words import said
from ticket_handoff.domain.terms import INTERNAL
from ticket_runtime.logs import logger
from ticket_runtime.settings import CannotRun

SESSION_SECONDS: Final = 12 * 3600
"""A shift, and its handover."""
COOKIE: Final = "relaydesk"
_TRIES: Final = RateLimitItemPerMinute(20)
"""Keys have 256 bits, so this keeps load away, not guesses."""
_NAME_AT_MOST: Final = 200

log = logger(__name__)


class NotLetIn(Exception):
    """Why somebody could not sign in, in words for them. status: of the answer."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Connect provider. issuer: its address. principal_claim: the claim that says for whom somebody works:
    `internal`, or a partner as the agreement names it; who has none is not let in. name_claim: as steps name them."""

    issuer: str
    client_id: str
    client_secret: str
    principal_claim: str
    name_claim: str


class SignIn:
    """public_url: the address that people's browsers use, where a proxy hides it. wall: unix seconds; a session lasts
    by the wall clock, whatever a replay plays."""

    def __init__(
        self,
        keys: Keys,
        provider: Provider | None,
        public_url: str | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self.provider, self._wall = keys, provider, wall
        self._public = public_url.rstrip("/") if public_url else None
        self._tries = MovingWindowRateLimiter(MemoryStorage())
        self._oauth = OAuth()
        if provider is not None:
            self._oauth.register(
                "provider",
                client_id=provider.client_id,
                client_secret=provider.client_secret,
                server_metadata_url=provider.issuer.rstrip("/") + "/.well-known/openid-configuration",
                client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": 10},
            )

    @property
    def secure(self) -> bool:
        """Whether browsers come by https alone."""
        return self._public is not None and self._public.startswith("https:")

    @property
    def has_keys(self) -> bool:
        return len(self._keys) > 0

    def seat(self, request: Request) -> Seat | None:
        """Who has this session; None when nobody has, or it is over."""
        said = request.session.get("seat")
        if not isinstance(said, dict) or said["until"] <= self._wall():
            return None
        seat = Seat(said["principal"], said["actor"], said["token"], said["key"])
        return seat if self.still_let_in(seat) else None

    def still_let_in(self, seat: Seat) -> bool:
        """Whether the key that somebody came in by is still one of this desk's."""
        return seat.key is None or self._keys.has(seat.key)

    def seconds_left(self, request: Request) -> float:
        """Of the session of whoever is signed in."""
        return float(request.session["seat"]["until"] - self._wall())

    def by_key(self, request: Request, token: str) -> Seat:
        """Raises NotLetIn."""
        who = request.client.host if request.client else ""
        if not self._tries.hit(_TRIES, "sign-in", who):
            raise NotLetIn("That were many tries. Wait a minute, then try again.", 429)
        found = self._keys.find(token.strip())
        if found is None:
            raise NotLetIn("This desk does not know that token. Copy it whole, as it was printed.", 401)
        return self._begin(request, found.principal, found.actor, sha256(token.strip().encode()).hexdigest())

    async def to_provider(self, request: Request) -> Response:
        """Sends the browser to the provider. Raises NotLetIn when it does not answer."""
        try:
            answer: Response = await self._oauth.provider.authorize_redirect(request, self._callback(request))
        except (httpx.HTTPError, OAuthError, KeyError, ValueError) as error:
            log.warning("the identity provider does not answer", error=type(error).__name__)
            raise NotLetIn("Your company's sign-in does not answer. Try again in a moment.", 503) from None
        return answer

    async def from_provider(self, request: Request, partners: set[str]) -> Seat:
        """partners: as the agreement names them. Raises NotLetIn."""
        assert self.provider is not None
        try:
            token = await self._oauth.provider.authorize_access_token(request)
        except (OAuthError, JoseError, ValueError) as error:
            log.warning("a sign-in was refused", error=type(error).__name__)
            raise NotLetIn("The sign-in did not come to its end. Start it again.", 400) from None
        except httpx.HTTPError as error:
            log.warning("the identity provider does not answer", error=type(error).__name__)
            raise NotLetIn("Your company's sign-in does not answer. Try again in a moment.", 503) from None
        claims: dict[str, Any] = token.get("userinfo") or {}
        principal, actor = claims.get(self.provider.principal_claim), claims.get(self.provider.name_claim)
        if not isinstance(principal, str) or not principal:
            raise NotLetIn(
                f"You are known, but nobody has said for whom you work: your account lacks the claim "
                f"{self.provider.principal_claim!r} (`internal`, or a partner's name). Ask who runs the sign-in."
            )
        if principal not in {INTERNAL, *partners}:
            raise NotLetIn(f"Your account works for {principal[:100]!r}, whom this desk's agreement does not name.")
        if not isinstance(actor, str) or not actor.strip():
            raise NotLetIn(f"Your account has no name: it lacks the claim {self.provider.name_claim!r}.")
        return self._begin(request, principal, said(actor.strip())[:_NAME_AT_MOST], None)

    def address(self, request: Request) -> str:
        """Of this desk, as the browser knows it."""
        return self._public or f"{request.url.scheme}://{request.url.netloc}"

    def _callback(self, request: Request) -> str:
        return self.address(request) + "/desk/sign-in/back"

    def _begin(self, request: Request, principal: str, actor: str, key: str | None) -> Seat:
        """A session of its own: nothing of the one before goes into it, so that nobody can plant one."""
        after = request.session.get("after")
        request.session.clear()
        seat = Seat(principal, actor, secrets.token_urlsafe(24), key)
        request.session["seat"] = {
            "principal": principal,
            "actor": actor,
            "token": seat.token,
            "key": key,
            "until": int(self._wall()) + SESSION_SECONDS,
        }
        if isinstance(after, str):
            request.session["after"] = after
        log.info("signed in", principal=principal, by="key" if key else "oidc")
        return seat


def session_secret(path: Path | None) -> str:
    """What signs sessions; without a file one of this process alone. Raises CannotRun for a file that will not do."""
    if path is None:
        return secrets.token_urlsafe(32)
    secret = read_secret(path, "RELAYDESK_DESK_SESSION_FILE")
    if len(secret) < 32:
        raise CannotRun(f"{path}: a session secret has at least 32 characters: `openssl rand -base64 32 > {path}`")
    return secret


def read_secret(path: Path | None, setting: str) -> str:
    """Raises CannotRun naming the setting."""
    if path is None:
        raise CannotRun(f"set {setting} to the file that holds the secret")
    try:
        return path.read_text().strip()
    except OSError as error:
        raise CannotRun(f"{setting}={path}: {error.strerror}") from None
