"""Forms: small ones, read whole, and only where they come from this desk."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ticket_handoff.desk.seats import Seat

_BYTES: Final = 200_000
"""A reason has 10,000 characters at most, of which each may be 12 bytes of a form."""
_FIELDS: Final = 20

Form = dict[str, str]


async def read_form(request: Request) -> Form:
    """The fields of a form, the last of a name. Raises HTTPException for one that is too long, or is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "That was not sent by a form of this desk.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BYTES:
            raise HTTPException(413, "That is too long: a reason has at most 10,000 characters.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        raise HTTPException(422, "That was not sent by a form of this desk.") from None


def is_elsewhere(request: Request, address: str) -> bool:
    """Whether the browser says that another site sent this. address: of this desk, as the browser knows it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin)[:2] != urlsplit(address)[:2]:
        return True
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def is_forged(request: Request, seat: Seat, form: Form, address: str) -> bool:
    """Whether a post is not from a page of this session: each form repeats the session's token."""
    token = form.get("form_token", "")
    return is_elsewhere(request, address) or not hmac.compare_digest(token.encode(), seat.token.encode())
