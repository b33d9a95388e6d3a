"""Who may decide about dead letters: the desk's own people, with their key."""

from __future__ import annotations

from hashlib import sha256

import httpx
import pytest

from ticket_handoff.adapters.access import Access, operator_of
from ticket_handoff.adapters.keys import Key, Keys
from ticket_runtime import dead_letters_http
from ticket_runtime.http import Health, make_app
from ticket_runtime.metrics import Metrics


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (None, 401),
        ("nobody's", 401),
        ("partner's", 404),  # a partner does not learn that there is such a page
        ("operator's", 503),  # let in; there is no broker behind this test
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/inbound.jira/0/1"),
        ("POST", "/replay"),
        ("POST", "/discard"),
    ],
)
async def test_only_the_desks_own_people_see_dead_letters(method: str, path: str, key: str | None, status: int) -> None:
    keys = [
        Key(sha256=sha256(token.encode()).hexdigest(), principal=principal, actor="sam")
        for token, principal in (("partner's", "nightline"), ("operator's", "internal"))
    ]
    app = make_app("handoff", Metrics("handoff"), lambda: Health(True), lambda: Health(True))
    dead_letters_http.install(app, operator_of(Access(Keys(keys))), "127.0.0.1:1", "")
    head = {} if key is None else {"authorization": f"Bearer {key}"}
    body = {"source": "jira", "reason": "x"} if path == "/discard" else {"source": "jira"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        answer = await client.request(
            method, f"/v1/dead-letters{path}", headers=head, json=body if method == "POST" else None
        )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
