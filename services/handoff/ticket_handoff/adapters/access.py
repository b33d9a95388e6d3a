"""Who is let in by HTTP, for whom they speak, and how often: by API key or by bearer token."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from ticket_handoff.adapters.keys import Keys
from ticket_handoff.adapters.tokens import KeysAway, NoToken, Tokens, looks_like_token
from ticket_handoff.domain.terms import INTERNAL
from ticket_runtime.http import Problem, problem_responses, trace_headers
from ticket_runtime.settings import CannotRun

REFUSALS: Final = "30/minute"
"""Tries that an address may have with what is no key."""
_LONGEST: Final = 16_384
"""Characters of a token; what is longer is none."""


@dataclass(frozen=True, slots=True)
class Caller:
    """principal: a partner's name, or `internal`. actor: the person or system, as steps will name it. trace: the trace
    context that its request brought."""

    principal: str
    actor: str
    trace: Mapping[str, str] = field(default_factory=dict)

    @property
    def inside(self) -> bool:
        return self.principal == INTERNAL


class Access:
    """keys: of this desk. tokens: of its identity provider, None without one. rate: requests of one caller, such as
    `600/minute`."""

    def __init__(self, keys: Keys, tokens: Tokens | None = None, rate: str = "600/minute") -> None:
        """Raises CannotRun for a rate that is none."""
        self._keys, self._tokens = keys, tokens
        self._rate, self._refusals = _rate(rate), parse(REFUSALS)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def admit(self, token: str | None, address: str) -> Caller:
        """Raises Problem: 401, 429, 503."""
        if not await self._limiter.test(self._refusals, "refused", address):
            raise await self._too_many(self._refusals, "refused", address)
        try:
            caller = await self._caller(token)
        except NoToken as error:
            await self._limiter.hit(self._refusals, "refused", address)
            raise Problem(401, f"who are you? {error}") from None
        except KeysAway as error:
            raise Problem(503, f"{error}: try again in a moment, or use an API key") from None
        if not await self._limiter.hit(self._rate, caller.principal, caller.actor):
            raise await self._too_many(self._rate, caller.principal, caller.actor)
        return caller

    async def _caller(self, token: str | None) -> Caller:
        if not token:
            nothing = "no keys are set up: RELAYDESK_HANDOFF_KEYS_FILE, or RELAYDESK_TOKEN_ISSUER"
            known = len(self._keys) or self._tokens is not None
            raise NoToken("send `Authorization: Bearer KEY`" if known else nothing)
        if len(token) > _LONGEST:
            raise NoToken(f"a key or token has at most {_LONGEST} characters")
        if self._tokens is not None and looks_like_token(token):
            bearer = await self._tokens.read(token)
            return Caller(bearer.principal, bearer.actor)
        found = self._keys.find(token)
        if found is None:
            raise NoToken("this key is none of this desk's: ask for one, `python -m ticket_handoff key` makes it")
        return Caller(found.principal, found.actor)

    async def _too_many(self, rate: RateLimitItem, *whose: str) -> Problem:
        free_at, _ = await self._limiter.get_window_stats(rate, *whose)
        wait = max(1, int(free_at - time.time()) + 1)
        return TooMany(f"at most {rate}: go on in {wait} s", wait)


class TooMany(Problem):
    """429, with the seconds to wait as `Retry-After`."""

    def __init__(self, detail: str, wait: int) -> None:
        super().__init__(429, detail, retry_after=wait)
        self.wait = wait


_bearer = HTTPBearer(auto_error=False, description="an API key, or a JWT of the desk's identity provider")


def caller_of(access: Access) -> Callable[..., Awaitable[Caller]]:
    """What a route depends on to know who asks."""

    async def admit(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        address = request.client.host if request.client is not None else ""
        caller = await access.admit(None if given is None else given.credentials.strip(), address)
        return replace(caller, trace=trace_headers(request.scope))

    return admit


def operator_of(access: Access) -> Callable[..., Awaitable[str]]:
    """What a route for the desk's own people alone depends on to know who asks."""

    async def admit(caller: Caller = Depends(caller_of(access))) -> str:  # noqa: B008 - FastAPI's way
        if not caller.inside:
            raise Problem(404, "there is no such page")
        return caller.actor

    return admit


def _rate(text: str) -> RateLimitItem:
    try:
        return parse(text)
    except ValueError:
        raise CannotRun(f"{text!r} is no rate: write it as 600/minute") from None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers as OpenAPI describes them."""
    return problem_responses(*statuses, when=_WHEN, more=_MEMBERS)


_WHEN: Final = {
    400: "a body that cannot be read",
    401: "no key or token that this desk knows",
    404: "there is none, or it is none of yours",
    409: "it cannot count: `state`, `digest` and `package` say what is offered now",
    413: "more than a reply may hold",
    422: "something is missing or malformed",
    429: "too often: `Retry-After` says when to go on",
    503: "not just now: try again",
}
_MEMBERS: Final[dict[str, Any]] = {
    "state": {"type": "string"},
    "digest": {"type": "string"},
    "newer": {"type": "string"},
    "missing": {"type": "array", "items": {"type": "string"}},
    "package": {"type": "object"},
    "retry_after": {"type": "integer"},
    "errors": {"type": "array", "items": {"type": "object"}},
}
