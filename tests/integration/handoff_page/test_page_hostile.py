"""A ticket's text is hostile: whatever it says, in whatever field, is shown as text and does nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from integration.handoff_page.page_desk import PageDesk, person
from integration.handoff_page.scene import Case
from ticket_contracts.tickets import Attachment, Comment, Requester

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = (
    "<script>window.pwned = 1; alert(1)</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "</textarea></title></style><svg onload=window.pwned=1>",
    "\" autofocus onfocus=window.pwned=1 x=\"' onmouseover='window.pwned=1",
    "{{ 7 * 7 }}${7 * 7}<%= 7 * 7 %>",
    "'; DROP TABLE tickets; --",
    "javascript:window.pwned=1",
)
RTL = "\u202egnp.exe\u202c \u2067‏עברית\u2069 \u202eabc"
ODD = "nul\x00bell\x07esc\x1b[31m\u0301\u0302" + "\u0301" * 200


def everywhere(desk: PageDesk, number: str, evil: str, **more: Any) -> Case:
    """A ticket that says it in every field that people fill in."""
    at = desk.now()
    case = Case(
        desk.version,
        number,
        evil,
        5,
        at,
        text=evil,
        comments=[
            Comment(id="1", author=evil, author_role="customer", visibility="public", at=at, text=evil),
            Comment(id="2", author=evil, author_role="agent", visibility="internal", at=at, text=evil),
        ],
        requester=Requester(name=evil, address=evil, language=evil, site=evil),
        customer=evil,
        service=evil,
        configuration_item=evil,
        assignee=evil,
        group=evil,
        language=evil,
        url=evil,
        attachments=[Attachment(name=evil, url=evil, media_type=evil, size_bytes=1)],
        flags=[evil],
        **more,
    )
    return case.judged(evil, articles=[evil], flags=[evil])


async def test_script_in_every_field_is_text(desk: PageDesk, browser: Browser) -> None:
    evil = "\n".join(SCRIPTS)
    case = everywhere(desk, "INC0049001", evil).to("service-desk")
    await desk.tell(case)
    case.answers(2, "decline", actor=SCRIPTS[0], reason=evil)
    await desk.tell(case)
    case.to("service-desk", when=1)
    async with person(browser, desk) as somebody:
        page = somebody.page
        await somebody.live()
        await desk.tell(case)  # the row comes by the news as well
        await expect(page.locator("tr[data-ticket$=INC0049001]")).to_contain_text("offered")
        for path in (
            "",
            "ticket/servicenow:prod:INC0049001",
            "ticket/servicenow:prod:INC0049001?comments=all",
            "timeline/servicenow:prod:INC0049001",
            "waiting",
            "owners",
            "brief?queue=service-desk",
        ):
            await somebody.see(path)
            await page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
            assert await page.evaluate("window.pwned") is None, path
            assert await page.locator("main script, main svg[onload], main [onerror], main [onfocus]").count() == 0, (
                path
            )
            assert await page.locator('main a[href^="javascript:"]').count() == 0, path
        await somebody.ticket("INC0049001")
        await expect(page.locator("#text + .text")).to_contain_text("<script>window.pwned = 1; alert(1)</script>")
        await expect(page.locator("#text + .text")).to_contain_text("{{ 7 * 7 }}")
        await page.get_by_role("button", name="Accept").click()
        await expect(page.locator(".flash.done")).to_be_visible()


async def test_what_people_write_here_is_text_as_well(desk: PageDesk, browser: Browser) -> None:
    case = Case(desk.version, "INC0049002", "Plain", 5, desk.now()).judged("mfa").to("service-desk")
    case.answers(3, "accept", actor="Priya Nair")
    await desk.tell(case)
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0049002")
        await page.locator("summary", has_text="Add to the context").click()
        await page.get_by_label("Text").fill("\n".join(SCRIPTS))
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.locator("#tried + ol")).to_contain_text("<script>window.pwned = 1")
        await page.locator("summary", has_text="Add to the context").click()
        await page.select_option("#part", "links")
        await page.get_by_label("Text").fill("javascript:alert(1)\nhttps://example.com/a?b=1&c=<x>")
        await page.get_by_role("button", name="Add", exact=True).click()
        hrefs = await page.locator("#help + ul a").evaluate_all("links => links.map(each => each.href)")
        assert hrefs == ["https://example.com/a?b=1&c=%3Cx%3E"]
        assert await page.locator("#help + ul a").get_attribute("rel") == "noopener noreferrer nofollow ugc"
        assert await page.evaluate("window.pwned") is None


async def test_writing_directions_and_control_characters_stay_to_themselves(desk: PageDesk, browser: Browser) -> None:
    case = everywhere(desk, "INC0049003", RTL).to("service-desk")
    odd = everywhere(desk, "INC0049004", ODD).to("service-desk")
    await desk.tell(case, odd)
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0049003")
        meta = page.locator(".meta .number")
        await expect(meta).to_have_text("INC0049003")
        # An override that nobody ends must end with its own text: in an isolate, or with its block.
        open_ended = await page.locator("main").evaluate(
            """main => [...main.querySelectorAll("*")].filter(
                (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.includes("\\u202e"))
                    && getComputedStyle(each).display.startsWith("inline")
                    && !["isolate", "plaintext", "isolate-override"].includes(getComputedStyle(each).unicodeBidi)
            ).map((each) => each.outerHTML)"""
        )
        assert open_ended == []
        page = await somebody.ticket("INC0049004")
        seen = await page.content()
        assert not any(chr(code) in seen for code in (0, 7, 27))
        assert "nul\ufffdbell\ufffdesc\ufffd" in seen


async def test_huge_text_is_cut_and_a_link_away(desk: PageDesk, browser: Browser) -> None:
    huge = "x" * 5_000_000
    at = desk.now()
    talk = [
        Comment(
            id=str(n), author="Rosa", author_role="customer", visibility="public", at=at, text=f"{n} " + "y" * 30_000
        )
        for n in range(120)
    ]
    case = (
        Case(desk.version, "INC0049005", "w" * 100_000, 5, at, text=huge, comments=talk)
        .judged("mfa")
        .to("service-desk")
    )
    await desk.tell(case)
    async with person(browser, desk) as somebody:
        page = await somebody.see()
        assert len(await page.content()) < 200_000
        await somebody.ticket("INC0049005")
        assert len(await page.content()) < 2_500_000
        await expect(page.get_by_role("link", name="All 120")).to_be_visible()
        width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0, "it does not run out of the window"
        await expect(page.get_by_role("link", name="all of it, as plain text")).to_be_visible()
    async with httpx.AsyncClient(base_url=desk.address, timeout=30) as client:
        await client.post("/desk/sign-in", data={"token": desk.tokens["Priya Nair"]})
        whole = await client.get("/desk/text/servicenow:prod:INC0049005")
        assert whole.headers["content-type"] == "text/plain; charset=utf-8"
        assert whole.headers["x-content-type-options"] == "nosniff"
        assert huge in whole.text


@pytest.mark.parametrize(
    "ticket", ["a:b:../../etc", "a:b:c?d=e#f", "a:b:<script>", "a:b:%00", "a:b:ä ö/ü", "::", "a:b:'\""]
)
async def test_a_ticket_whose_name_is_odd_has_its_page(desk: PageDesk, ticket: str) -> None:
    case = Case(desk.version, "", "Odd", 5, desk.now(), ticket=ticket)
    case.judged("mfa").to("service-desk")
    await desk.tell(case)
    async with httpx.AsyncClient(base_url=desk.address, follow_redirects=True) as client:
        await client.post("/desk/sign-in", data={"token": desk.tokens["Priya Nair"]})
        found = await client.get("/desk/find", params={"ticket": ticket})
        assert found.status_code == 200, found.url
        assert "Offered to" in found.text


@pytest.mark.parametrize(
    "path",
    [
        "ticket/" + "x" * 5_000,
        "ticket/%00",
        "?queue=%00'",
        "?after=%00",
        "?after=2026-99-99~x",
        "?after=0001-01-01T00:00:00%2B14:00~x",
        "?after=~%00",
        "?queue=" + "x" * 5_000,
        "brief?queue='; DROP TABLE tickets",
        "timeline/%ff",
        "text/nothing",
        "find?ticket=%00",
        "static/../app.py",
        "static/%2e%2e/app.py",
    ],
)
async def test_odd_addresses_get_a_plain_answer(desk: PageDesk, path: str) -> None:
    async with httpx.AsyncClient(base_url=desk.address, follow_redirects=True) as client:
        await client.post("/desk/sign-in", data={"token": desk.tokens["Priya Nair"]})
        answer = await client.get(f"/desk/{path}")
        assert answer.status_code in (200, 404), answer.status_code
        assert "DROP TABLE tickets</" not in answer.text or "&#39;; DROP" in answer.text
