"""What people do at the desk page, in a real browser over a real ledger."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, expect

from integration.handoff_page.page_desk import PageDesk, person

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_queue_is_ordered_by_time_left(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        due = [int(each) for each in await somebody.rows().evaluate_all("rows => rows.map(row => row.dataset.due)")]
        assert len(due) == 14
        assert due == sorted(due)
        first = somebody.rows().first
        await expect(first.locator(".title")).to_have_text("Payroll run stops: table FEBKO is locked")
        await expect(first.locator(".sub").first).to_contain_text("missed")
        await expect(somebody.page.locator("[data-count=over]")).to_have_text("1")


async def test_clocks_tick_and_paused_ones_stand(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        late = somebody.rows().first.locator(".clock")
        before = await late.text_content()
        await expect(late).not_to_have_text(before or "", timeout=5_000)
        assert re.fullmatch(r"−\d+:\d\d", await late.text_content() or "")
        paused = somebody.page.locator("tr[data-ticket$=INC0048120] .clock")
        await expect(paused).to_have_text("80 h 00")


async def test_accepting_moves_the_owner(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048216")
        assert await desk.owner("INC0048216") == "Miriam Aydin"
        await page.get_by_role("button", name="Accept").click()
        await expect(page.get_by_role("status").filter(has_text="Accepted.")).to_be_visible()
        owner = await desk.owner("INC0048216")
        assert owner == "Priya Nair"
        await expect(page.locator(".meta")).to_contain_text(owner)
        await expect(page.get_by_role("button", name="Accept")).to_have_count(0)


async def test_of_two_who_accept_at_once_one_wins_and_the_other_is_told(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, "Priya Nair") as one, person(browser, desk, "Tobias Lang") as other:
        pages = [await each.ticket("INC0048217") for each in (one, other)]
        # Neither page may learn from the other's success before both were sent.
        for page in pages:
            await page.route("**/desk/live", lambda route: route.abort())
            await page.reload()
        await asyncio.gather(*(page.get_by_role("button", name="Accept").click() for page in pages))
        told = [await _told(page) for page in pages]
        assert sorted(kind for kind, _ in told) == ["done", "error"]
        refusal = next(words for kind, words in told if kind == "error")
        winner = "Priya Nair" if told[0][0] == "done" else "Tobias Lang"
        assert f"accepted by {winner}" in refusal
        for each in (one, other):
            each.faults[:] = [fault for fault in each.faults if "409" not in fault and "ERR_FAILED" not in fault]


async def _told(page: Page) -> tuple[str, str]:
    flash = page.locator(".flash.done, .flash.error").first
    await expect(flash).to_be_visible()
    kind = "error" if "error" in (await flash.get_attribute("class") or "") else "done"
    return kind, await flash.text_content() or ""


async def test_a_decline_needs_a_reason_which_the_next_one_reads(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048218")
        await page.locator("summary", has_text="Decline").click()
        await page.get_by_role("button", name="Decline the ticket").click()
        assert await page.locator("#decline-reason:invalid").count() == 1, "the browser asks for it"
        await page.get_by_label("Reason").fill("Not a password: the account is locked.")
        await page.get_by_role("button", name="Decline the ticket").click()
        await expect(page.locator(".flash.done")).to_contain_text("Declined")
        await expect(page.locator("#tried + ol")).to_contain_text("Not a password: the account is locked.")


async def test_escalate_asks_for_the_question_and_the_owner_stays(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048213")
        before = await desk.owner("INC0048213")
        await page.locator("summary", has_text="Escalate").click()
        await page.get_by_label("Question to whoever gets it").fill("Is vpn-gw-ham-02 re-keying every 600 seconds?")
        await page.get_by_role("button", name="Escalate").click()
        await expect(page.locator(".flash.done")).to_contain_text("Escalated")
        await expect(page.get_by_role("heading", name="On its way")).to_be_visible()
        assert await desk.owner("INC0048213") == before
        await somebody.see("waiting")
        await expect(page.get_by_role("row").filter(has_text="INC0048213")).to_contain_text("Escalation")


async def test_return_and_what_was_tried(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048190")
        await page.locator("summary", has_text="Add to the context").click()
        await page.get_by_label("Text").fill("Removed the stored credentials; asked again after a minute.")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.locator("#tried + ol")).to_contain_text("Removed the stored credentials")
        await page.locator("summary", has_text="Return").click()
        await page.get_by_label("Why does it belong elsewhere?").fill("Conditional access is Identity's.")
        await page.get_by_role("button", name="Return the ticket").click()
        await expect(page.locator(".flash.done")).to_contain_text("Returned")


async def test_with_the_keyboard_alone(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = somebody.page
        await page.keyboard.press("Tab")
        await expect(page.locator(":focus")).to_have_text("Skip to the content")
        await page.keyboard.press("Enter")
        for _ in range(12):
            await page.keyboard.press("Tab")
            if await page.locator("#rows .title:focus").count():
                break
        await expect(somebody.rows().first.locator(".title")).to_be_focused()
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "the focus is to be seen"
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("j")
        await expect(somebody.rows().nth(2).locator(".title")).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("Home")
        await expect(somebody.rows().first.locator(".title")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/desk/ticket/*")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Payroll run stops: table FEBKO is locked")


async def test_find_goes_to_the_ticket_by_its_number(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.page.get_by_label("Ticket number").fill("INC0048163")
        await somebody.page.keyboard.press("Enter")
        await somebody.page.wait_for_url("**/desk/ticket/servicenow:prod:INC0048163")
        await somebody.see("find?ticket=INC404")
        await expect(somebody.page.get_by_role("heading", level=1)).to_have_text("Not here")
        somebody.faults[:] = [fault for fault in somebody.faults if "404" not in fault]


async def test_without_scripts_all_of_it_can_be_done(desk: PageDesk, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{desk.address}/desk/")
    await page.get_by_label("Token").fill(desk.tokens["Priya Nair"])
    await page.get_by_role("button", name="Sign in").click()
    await page.select_option("#queue", "business-apps")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.locator("#rows .title").click()
    await page.locator("summary", has_text="Escalate").click()
    await page.get_by_label("Question to whoever gets it").fill("Who maintains the release strategy?")
    await page.get_by_role("button", name="Escalate").click()
    await expect(page.locator(".flash.done")).to_contain_text("Escalated")
    await page.locator(".who summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{desk.address}/desk/owners")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await context.close()


async def test_the_morning_of_a_partner_shows_its_own_tickets_and_fields(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, "Rui Almeida") as somebody:
        page = somebody.page
        await expect(somebody.rows()).to_have_count(1)
        await expect(somebody.rows().first).to_contain_text("Printer on floor 3 jams")
        await somebody.ticket("INC0048209")
        seen = await page.content()
        assert "rosa.lindner@example.com" in seen, "its contract names the requester"
        for hidden in (
            "acme.service-now.com",
            "Classification",
            "words-of-a-category",
            "Jonas Feld",
            "Miriam Aydin",
            "Timeline",
        ):
            assert hidden not in seen
        for closed in ("owners", "timeline/servicenow:prod:INC0048209", "ticket/servicenow:prod:INC0048213"):
            answer = await page.goto(f"{desk.address}/desk/{closed}")
            assert answer is not None
            assert answer.status == 404, closed
        assert await page.locator("#queue").count() == 0
        await somebody.see()
        assert await page.locator("#queue option").all_text_contents() == ["All queues", "Campo on site"]
        somebody.faults[:] = [fault for fault in somebody.faults if "404" not in fault]
