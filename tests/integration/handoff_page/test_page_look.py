"""How the desk page looks: on a desk and on a phone, in the light and in the dark, to who sees and to who listens.

With RELAYDESK_PICTURES=docs/guide/pictures it also takes the guide's pictures.
"""

from __future__ import annotations

import io
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.async_playwright import Axe
from PIL import Image
from playwright.async_api import Browser, Page, expect

from integration.handoff_page.page_desk import PageDesk, Person, person
from integration.handoff_page.scene import Case

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = os.environ.get("RELAYDESK_PICTURES")
LARGEST = 150_000
"""Bytes of a picture in the guide."""

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}

VIEWS = {
    "queue": "",
    "ticket": "ticket/servicenow:prod:INC0048213",
    "offer": "ticket/servicenow:prod:INC0048216",
    "waiting": "waiting",
    "owners": "owners",
    "brief": "brief?queue=service-desk",
    "timeline": "timeline/servicenow:prod:INC0048151",
}


async def picture(page: Page, name: str, **how: Any) -> None:
    if PICTURES:
        path = Path(PICTURES) / f"desk-{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = await page.screenshot(animations="disabled", **how)
        with Image.open(io.BytesIO(taken)) as shown:  # few colours: a palette says the same in a third of the bytes
            shown.convert("RGB").quantize(colors=160).save(path, optimize=True)
        assert path.stat().st_size < LARGEST, path


async def accessible(page: Page) -> None:
    """By axe-core, WCAG 2.2 A and AA and its best practices."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_is_accessible(desk: PageDesk, browser: Browser, scheme: Any) -> None:
    async with person(browser, desk, color_scheme=scheme, **DESK) as somebody:
        await somebody.live()
        for name, path in VIEWS.items():
            page = await somebody.see(path)
            await page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
            await accessible(page)
            await page.reload()
            await somebody.live()
            if scheme == "light":
                await picture(page, name)
            elif name in ("queue", "offer"):
                await picture(page, f"{name}-dark")
        back = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(17, 21, 27)") == (scheme == "dark")


async def test_the_sign_in_is_accessible(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, actor=None, **DESK) as somebody:
        page = await somebody.see("sign-in")
        await accessible(page)
        await picture(page, "sign-in", clip={"x": 340, "y": 0, "width": 600, "height": 420})


async def test_a_phone_has_room_for_every_view(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, color_scheme="dark", **PHONE) as somebody:
        await somebody.live()
        for name, path in VIEWS.items():
            page = await somebody.see(path)
            wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{name} runs {wider} pixels out of the window"
            await accessible(page)
            if name in ("queue", "offer", "timeline"):
                await somebody.live()
                await picture(page, f"{name}-phone")
        await _targets(somebody)


async def _targets(somebody: Person) -> None:
    """What is meant for a thumb is 24 pixels high at least (WCAG 2.2, 2.5.8)."""
    page = await somebody.ticket("INC0048217")
    for each in await page.locator("button:visible, nav a:visible, summary:visible, input:visible").all():
        box = await each.bounding_box()
        assert box is not None
        assert box["height"] >= 24, await each.evaluate("each => each.outerHTML")


async def test_text_at_twice_its_size_fits(desk: PageDesk, browser: Browser) -> None:
    """WCAG 1.4.10: 1280 pixels at 400 % are 320."""
    async with person(browser, desk, viewport={"width": 320, "height": 640}) as somebody:
        for name, path in VIEWS.items():
            page = await somebody.see(path)
            wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{name} runs {wider} pixels out of the window"


async def test_the_shift_brief_prints_its_tickets_and_nothing_else(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, **DESK) as somebody:
        page = await somebody.see("brief?queue=service-desk")
        await page.emulate_media(media="print")
        for hidden in (".bar", ".foot", ".filters"):
            await expect(page.locator(hidden)).to_be_hidden()
        await expect(page.locator(".brief article")).to_have_count(5)
        pdf = await page.pdf(format="A4")
        assert pdf.startswith(b"%PDF")
        await picture(page, "brief-print", full_page=True)


async def test_a_shift_brief_says_by_how_much_a_goal_was_missed(desk: PageDesk, browser: Browser) -> None:
    case = Case(desk.version, "INC0048350", "Nobody can sign in", 2, desk.now() - timedelta(hours=2)).judged(
        "mfa", "P1"
    )
    case.to("identity", case.clock("resolution-critical", 1_800))
    case.answers(1, "accept", actor="Priya Nair")
    await desk.tell(case)
    async with person(browser, desk, **DESK) as somebody:
        page = await somebody.see("brief?queue=identity")
        line = page.locator(".brief article").filter(has_text=case.number)
        await expect(line.locator("dd").first).to_contain_text(re.compile(r"^1 h \d+ over, due "))


async def test_a_closing_leaves_a_record_by_day_and_by_night(desk: PageDesk, browser: Browser) -> None:
    """All that the queue had at that time, the least time left first: where each went, and what stayed."""
    closes = desk.now() + timedelta(minutes=30)
    mail, phone = desk.cases["INC0048190"], desk.cases["INC0048201"]
    leaving: dict[str, Any] = {"purpose": "reroute", "current": "service-desk", "cause": "queue_closing"}
    mail.to("helpline-first-line", mail.clock("resolution", 72_000), when=0, closes_at=closes, **leaving)
    phone.to("helpline-first-line", phone.clock("resolution", 144_000), when=0, closes_at=closes, **leaving)
    await desk.tell(mail, phone)
    async with person(browser, desk, **DESK) as somebody:
        page = await somebody.see("brief?queue=service-desk")
        here = closes.astimezone(ZoneInfo("Europe/Berlin"))  # the UTC is under the pointer
        choice = page.get_by_label("Closing").locator("option").nth(1)
        await expect(choice).to_contain_text(f"{here:%H:%M}: 5 tickets, 2 sent on")
        await expect(choice).to_have_attribute("title", f"{closes:%a %-d %b %Y %H:%M} UTC: 5 tickets, 2 sent on")
        await page.get_by_label("Closing").select_option(index=1)
        await expect(page.locator(".brief")).to_contain_text("Stays in")
        await expect(page.locator(".head")).to_contain_text("their clocks and owners as of now")
        lines = page.locator(".brief article")
        await expect(lines).to_have_count(5)
        for case in (mail, phone):
            await expect(lines.filter(has_text=case.number)).to_contain_text(
                desk.version.agreement.queues["helpline-first-line"].title
            )
        await accessible(page)
        await picture(page, "brief-closing", full_page=True)
        await page.emulate_media(color_scheme="dark")
        await accessible(page)
        await picture(page, "brief-closing-dark", full_page=True)
