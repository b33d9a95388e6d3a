"""Who comes in to the desk page, and what others cannot make somebody's browser do there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from integration.handoff_page.identity import CLIENT, CLIENT_SECRET, IdentityProvider
from integration.handoff_page.page_desk import PageDesk
from ticket_handoff.adapters.keys import Keys
from ticket_handoff.desk.signing_in import SESSION_SECONDS, Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def identity(desk: PageDesk) -> AsyncIterator[tuple[IdentityProvider, PageDesk]]:
    """A provider, and a second desk over the same ledger that asks it."""
    async with IdentityProvider().serving() as provider:
        known = Provider(provider.issuer, CLIENT, CLIENT_SECRET, "relaydesk_principal", "name")
        other = PageDesk(desk.engine, desk.keys, desk.version, desk.now, known)
        async with other.serving():
            yield provider, other


def browser(desk: PageDesk, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=desk.address, **{"follow_redirects": True, **more})


async def by_key(client: httpx.AsyncClient, desk: PageDesk, actor: str = "Priya Nair") -> httpx.Response:
    return await client.post("/desk/sign-in", data={"token": desk.tokens[actor]})


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def test_who_is_not_signed_in_does_so_and_comes_back(desk: PageDesk) -> None:
    async with browser(desk) as client:
        asked = await client.get("/desk/ticket/servicenow:prod:INC0048213")
        assert asked.url.path == "/desk/sign-in"
        assert "INC0048213" not in asked.text
        back = await by_key(client, desk)
        assert back.url.path == "/desk/ticket/servicenow:prod:INC0048213"
        assert "VPN drops" in back.text
        assert (await client.get("/")).url.path == "/desk/"


async def test_an_address_comes_back_as_it_was_asked_for(desk: PageDesk) -> None:
    async with browser(desk, follow_redirects=False) as client:
        for asked in ("/desk/ticket/forge:prod:acme%2Fapp%2312", "/desk/ticket/forge:prod:50%25%3Fa?comments=all"):
            client.cookies.clear()
            assert (await client.get(asked)).headers["location"] == "/desk/sign-in"
            assert (await by_key(client, desk)).headers["location"] == asked


async def test_a_token_that_is_none_lets_nobody_in(desk: PageDesk) -> None:
    async with browser(desk) as client:
        for wrong in ("", "x", "x" * 10_000, desk.tokens["Priya Nair"][:-1], "\x00"):
            answer = await client.post("/desk/sign-in", data={"token": wrong})
            assert answer.status_code == 401
            assert "does not know that token" in answer.text
            assert len(wrong) < 20 or wrong not in answer.text
        assert (await client.get("/desk/owners")).url.path == "/desk/sign-in"


async def test_many_tries_are_slowed_down(desk: PageDesk) -> None:
    other = PageDesk(desk.engine, desk.keys, desk.version, desk.now)
    async with other.serving(), browser(other) as client:
        tries = [(await client.post("/desk/sign-in", data={"token": "guess"})).status_code for _ in range(25)]
        assert tries[0] == 401
        assert tries[-1] == 429


async def test_the_session_is_a_cookie_that_scripts_and_others_do_not_get(desk: PageDesk) -> None:
    async with browser(desk, follow_redirects=False) as client:
        given = (await by_key(client, desk)).headers["set-cookie"].lower()
        assert "httponly" in given
        assert "samesite=lax" in given
        assert "path=/desk" in given
        assert f"max-age={SESSION_SECONDS}" in given
        assert desk.tokens["Priya Nair"] not in given
        name, _, value = given.partition(";")[0].partition("=")
        forged = httpx.AsyncClient(base_url=desk.address, cookies={name: value[:-2] + "xx"})
        assert (await forged.get("/desk/")).status_code == 303, "a signature that does not fit is no session"
        await forged.aclose()


async def test_a_session_ends_with_its_time_with_its_key_and_by_signing_out(
    desk: PageDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with browser(desk, follow_redirects=False) as client:
        await by_key(client, desk)
        page = await client.get("/desk/")
        assert page.status_code == 200
        sign_in = desk.desk._sign_in
        later = sign_in._wall() + SESSION_SECONDS + 1
        with monkeypatch.context() as patch:
            patch.setattr(sign_in, "_wall", lambda: later)
            assert (await client.get("/desk/")).status_code == 303
        with monkeypatch.context() as patch:
            patch.setattr(sign_in, "_keys", Keys([]))
            assert (await client.get("/desk/")).status_code == 303, "a key that was taken away"
        assert (await client.post("/desk/sign-out", data={"form_token": token_of(page)})).status_code == 303
        assert (await client.get("/desk/")).status_code == 303


async def test_a_post_must_come_from_a_page_of_the_session(desk: PageDesk) -> None:
    async with browser(desk) as client:
        await by_key(client, desk)
        page = await client.get("/desk/ticket/servicenow:prod:INC0048213")
        form = {"action": "escalate", "reason": "Why?", "reply_id": "forged"}
        own = token_of(page)
        async with browser(desk) as stranger:
            await by_key(stranger, desk, "Tobias Lang")
            others = token_of(await stranger.get("/desk/"))
        path = "/desk/ticket/servicenow:prod:INC0048213"
        for token, headers in (
            (None, {}),
            ("", {}),
            ("guess", {}),
            (others, {}),
            (own, {"origin": "https://evil.example"}),
            (own, {"origin": "null"}),
            (own, {"origin": desk.address.replace("127.0.0.1", "localhost")}),
            (own, {"sec-fetch-site": "cross-site"}),
            (own, {"sec-fetch-site": "same-site"}),
        ):
            said = {**form, **({} if token is None else {"form_token": token})}
            answer = await client.post(path, data=said, headers=headers)
            assert answer.status_code == 403, (token, headers)
        assert (await client.post(path, json=form)).status_code == 415
        assert (await client.post(path, data={**form, "form_token": own, "reason": "x" * 300_000})).status_code == 413
        assert (await client.post(path, data={**form, "form_token": own, "action": "own"})).status_code == 422
        history = await desk.store.history("servicenow:prod:INC0048213")
        assert history is not None
        assert history.ledger.transfer is None, "nothing of it was done"
        done = await client.post(path, data={**form, "form_token": own}, headers={"origin": desk.address})
        assert (done.status_code, "Escalated" in done.text) == (200, True)
        again = await client.post(path, data={**form, "form_token": own})
        assert "nothing changed now" in again.text, "a form that is sent twice counts once"


async def test_another_site_cannot_sign_somebody_in(desk: PageDesk) -> None:
    async with browser(desk) as client:
        said = {"token": desk.tokens["Tobias Lang"]}
        answer = await client.post("/desk/sign-in", data=said, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert (await client.get("/desk/")).url.path == "/desk/sign-in"


@pytest.mark.parametrize("path", ["/desk/", "/desk/sign-in", "/desk/nowhere", "/desk/static/desk.css"])
async def test_every_answer_says_what_a_browser_may_do_with_it(desk: PageDesk, path: str) -> None:
    async with browser(desk) as client:
        await by_key(client, desk)
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text
        assert "<script>" not in answer.text


async def test_the_way_back_leads_nowhere_else(desk: PageDesk) -> None:
    for elsewhere in ("//evil.example/", "/desk/..//evil.example", "/desk//evil.example"):
        async with browser(desk) as client:
            await client.get(f"/desk/find?ticket={elsewhere}")
            back = await by_key(client, desk)
            assert back.url.host == "127.0.0.1"


async def test_who_comes_by_the_company_s_account_has_its_name(identity: tuple[IdentityProvider, PageDesk]) -> None:
    provider, desk = identity
    provider.claims = {"relaydesk_principal": "internal", "name": "Ingrid Solberg"}
    async with browser(desk) as client:
        await client.get("/desk/waiting")
        page = await client.get("/desk/sign-in/start")
        assert page.url.path == "/desk/waiting"
        assert "Ingrid Solberg" in page.text


async def test_a_partner_s_account_sees_the_partner_s_desk(identity: tuple[IdentityProvider, PageDesk]) -> None:
    provider, desk = identity
    provider.claims = {"relaydesk_principal": "campo", "name": "Rui Almeida"}
    async with browser(desk) as client:
        page = await client.get("/desk/sign-in/start")
        assert "Printer on floor 3 jams" in page.text
        assert "VPN drops" not in page.text


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"name": "Eve"}, "lacks the claim"),
        ({"relaydesk_principal": "", "name": "Eve"}, "lacks the claim"),
        ({"relaydesk_principal": ["internal"], "name": "Eve"}, "lacks the claim"),
        ({"relaydesk_principal": "mallory & sons", "name": "Eve"}, "does not name"),
        ({"relaydesk_principal": "internal"}, "has no name"),
        ({"relaydesk_principal": "internal", "name": "Eve", "aud": "another client"}, "did not come to its end"),
        ({"relaydesk_principal": "internal", "name": "Eve", "iss": "https://evil.example"}, "did not come to its end"),
        ({"relaydesk_principal": "internal", "name": "Eve", "exp": 1}, "did not come to its end"),
        ({"relaydesk_principal": "internal", "name": "Eve", "nonce": "another"}, "did not come to its end"),
    ],
)
async def test_an_account_that_is_not_meant_for_this_desk_is_told_why(
    identity: tuple[IdentityProvider, PageDesk], claims: dict[str, Any], words: str
) -> None:
    provider, desk = identity
    provider.claims = claims
    async with browser(desk) as client:
        page = await client.get("/desk/sign-in/start")
        assert page.status_code in (400, 403)
        assert words in page.text
        assert (await client.get("/desk/")).url.path == "/desk/sign-in"


async def test_an_answer_that_nobody_asked_for_is_refused(identity: tuple[IdentityProvider, PageDesk]) -> None:
    provider, desk = identity
    provider.claims = {"relaydesk_principal": "internal", "name": "Eve"}
    async with browser(desk) as client:
        assert (await client.get("/desk/sign-in/back?code=x&state=y")).status_code == 400
        assert (await client.get("/desk/sign-in/back")).status_code == 400
        provider.refuses = "access_denied"
        try:
            assert (await client.get("/desk/sign-in/start")).status_code == 400
        finally:
            provider.refuses = None


async def test_a_provider_that_is_away_is_named_as_such(desk: PageDesk) -> None:
    away = Provider("http://127.0.0.1:9", CLIENT, CLIENT_SECRET, "relaydesk_principal", "name")
    other = PageDesk(desk.engine, desk.keys, desk.version, desk.now, away)
    async with other.serving(), browser(other) as client:
        answer = await client.get("/desk/sign-in/start")
        assert answer.status_code == 503
        assert "does not answer" in answer.text
