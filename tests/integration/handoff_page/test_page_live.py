"""What changes on the desk arrives on the pages that are open."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Route, expect

from integration.handoff_page.page_desk import PageDesk, Person, person
from integration.handoff_page.scene import Case
from ticket_handoff.adapters.keys import add_key

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_new_ticket_arrives_in_its_place(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.live()
        case = Case(desk.version, "INC0048300", "Scanner is offline", 2, desk.now()).judged("printing", "P2")
        case.to("service-desk", case.clock("first-response-critical", 1800))
        await desk.tell(case)
        row = somebody.page.locator("tr[data-ticket$=INC0048300]")
        await expect(row).to_be_visible()
        due = [int(each) for each in await somebody.rows().evaluate_all("rows => rows.map(row => row.dataset.due)")]
        assert due == sorted(due)
        await expect(row.locator(".state")).to_contain_text("offered")
        await expect(somebody.page.locator("[data-count=open]")).to_have_text("15")
        await expect(somebody.page.locator("#said")).to_have_text("One ticket changed")
        case.answers(1, "accept", actor="Tobias Lang")
        await desk.tell(case)
        await expect(row.locator(".where")).to_have_text("Service desk")
        await expect(row.locator(".state")).to_be_empty()


async def test_a_row_leaves_when_its_ticket_ends_and_the_focus_stays(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.live()
        last = somebody.page.locator("tr[data-ticket$=INC0048213] .title")
        await last.focus()
        gone = desk.cases["INC0048163"]
        gone.ends()
        other = desk.cases["INC0048213"]
        other.says(title="VPN drops, now on every floor")
        await desk.tell(gone, other)
        await expect(somebody.page.locator("tr[data-ticket$=INC0048163]")).to_have_count(0)
        await expect(last).to_have_text("VPN drops, now on every floor")
        await expect(last).to_be_focused()


async def test_a_filter_holds_for_what_arrives(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.see("?queue=network")
        await somebody.live()
        case = Case(desk.version, "INC0048301", "Not for the network", 2, desk.now()).judged("printing")
        case.to("service-desk")
        mine = Case(desk.version, "INC0048302", "For the network", 2, desk.now()).judged("wifi")
        mine.to("network")
        await desk.tell(case, mine)
        await expect(somebody.page.locator("tr[data-ticket$=INC0048302]")).to_be_visible()
        await expect(somebody.page.locator("tr[data-ticket$=INC0048301]")).to_have_count(0)


async def test_a_tickets_page_follows_it_and_spares_what_is_being_written(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048201")
        await somebody.live()
        case = desk.cases["INC0048201"]
        await page.evaluate(
            """document.querySelector("main").prepend(
                Object.assign(document.createElement("p"), { className: "flash done", textContent: "Accepted." }))"""
        )
        case.says(title="Headset is not recognised, Bluetooth neither")
        await desk.tell(case)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Headset is not recognised, Bluetooth neither")
        await expect(page.locator(".flash.done")).to_have_text("Accepted.")  # what one was told outlives that
        await page.locator("summary", has_text="Escalate").click()
        await page.get_by_label("Question to whoever gets it").fill("Half a sentence")
        case.says(title="Solved itself")
        await desk.tell(case)
        await expect(page.locator(".stale")).to_contain_text("changed meanwhile")
        await expect(page.get_by_label("Question to whoever gets it")).to_have_value("Half a sentence")


async def test_a_partner_is_told_of_its_own_tickets_only(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk, "Rui Almeida") as somebody:
        await somebody.live()
        told = await listened(somebody)
        hidden = Case(desk.version, "INC0048310", "Secret of the board", 2, desk.now()).judged("laptop")
        hidden.to("workplace")
        theirs = Case(desk.version, "INC0048311", "Dock is dead", 2, desk.now()).judged("peripherals", tier=2)
        theirs.to("campo-on-site")
        await desk.tell(hidden, theirs)
        row = somebody.page.locator("tr[data-ticket$=INC0048311]")
        await expect(row).to_be_visible()
        await expect(row.locator(".owner")).to_be_empty()
        assert any("INC0048311" in each for each in told)
        assert not any("INC0048310" in each or "Secret" in each for each in told)


async def test_the_page_says_when_it_is_not_live_and_catches_up(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048211")
        await somebody.live()
        await page.context.set_offline(True)
        await page.evaluate("dispatchEvent(new Event('pagehide'))")  # the line goes, as on a sleeping machine
        case = desk.cases["INC0048211"]
        case.says(title="Guest Wi-Fi is back")
        await desk.tell(case)
        await page.context.set_offline(False)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Guest Wi-Fi is back")
        forget_the_cut_line(somebody)


async def test_a_page_that_comes_back_before_its_network_does_tries_again(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048211")
        await somebody.live()
        await page.context.set_offline(True)
        await page.evaluate("dispatchEvent(new Event('pagehide'))")
        case = desk.cases["INC0048211"]
        case.says(title="Guest Wi-Fi is slow")
        await desk.tell(case)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator("#line")).to_have_attribute("data-state", "lost")
        await page.context.set_offline(False)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Guest Wi-Fi is slow", timeout=15_000)
        await somebody.live()
        forget_the_cut_line(somebody)


@pytest.mark.parametrize("status", [429, 502])
async def test_a_page_that_cannot_be_read_says_so_and_reads_it_later(
    desk: PageDesk, browser: Browser, status: int
) -> None:
    async with person(browser, desk) as somebody:
        page = await somebody.ticket("INC0048211")
        await somebody.live()

        async def refuse(route: Route) -> None:
            await route.fulfill(status=status, body="<h1>Bad gateway</h1>")

        await page.route("**/desk/ticket/**", refuse)
        case = desk.cases["INC0048211"]
        case.says(title=f"Guest Wi-Fi, after {status}")
        await desk.tell(case)
        await expect(page.locator("#line")).to_have_attribute("data-state", "lost")
        await page.unroute("**/desk/ticket/**")
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Guest Wi-Fi, after {status}", timeout=15_000)
        await somebody.live()
        somebody.faults[:] = [fault for fault in somebody.faults if str(status) not in fault]


async def listened(somebody: Person) -> list[str]:
    """What the page's line is told from now on, as it comes."""
    told: list[str] = []
    session = await somebody.page.context.new_cdp_session(somebody.page)
    await session.send("Network.enable")
    session.on("Network.eventSourceMessageReceived", lambda event: told.append(event["data"]))
    return told


def forget_the_cut_line(somebody: Person) -> None:
    """The browser complains of whatever was on its way when the test cut the network, and may do so for a moment after
    it is back."""
    somebody.faults[:] = [fault for fault in somebody.faults if "ERR_INTERNET_DISCONNECTED" not in fault]


async def test_many_changes_at_once_are_told_as_one(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.see("?queue=identity")
        await somebody.live()
        cases = [Case(desk.version, f"INC1{n:05}", f"Account {n}", 2, desk.now()) for n in range(240)]
        for case in cases:
            case.judged("mfa").to("identity")
        await desk.tell(*cases, at_once=True)
        await expect(somebody.rows()).to_have_count(100)
        await expect(somebody.page.get_by_role("link", name="Next 100")).to_be_visible()
        before = await somebody.rows().last.get_attribute("data-ticket")
        late = Case(desk.version, "INC0048320", "Locked out before a board meeting", 2, desk.now()).judged("mfa", "P1")
        late.to("identity", late.clock("resolution-critical", 900))
        await desk.tell(late)
        await expect(somebody.rows().first).to_contain_text("Locked out")
        await expect(somebody.rows()).to_have_count(100)
        assert await somebody.rows().last.get_attribute("data-ticket") != before, "the window keeps its size"


async def test_open_pages_do_not_hold_the_service_up(desk: PageDesk, browser: Browser) -> None:
    other = PageDesk(desk.engine, desk.keys, desk.version, desk.now)
    async with person(browser, other, actor=None) as somebody:
        async with other.serving():
            await somebody.sign_in("Priya Nair")
            await somebody.live()
            assert other.desk.live.readers == 1
            leaving = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - leaving < 10, "it waited for the page's line"
        await expect(somebody.page.locator("#line")).to_have_attribute("data-state", "lost")
        somebody.faults.clear()


async def test_a_page_whose_session_is_over_says_so(desk: PageDesk, browser: Browser) -> None:
    async with person(browser, desk) as somebody:
        await somebody.live()
        await somebody.page.context.clear_cookies()
        await somebody.page.evaluate("dispatchEvent(new Event('pagehide'))")
        await somebody.page.evaluate("dispatchEvent(new Event('pageshow'))")
        await expect(somebody.page.locator("#line")).to_contain_text("Your session is over")
        somebody.faults[:] = [fault for fault in somebody.faults if "401" not in fault]


async def test_whose_key_was_struck_is_told_nothing_more(desk: PageDesk, browser: Browser) -> None:
    before = desk.keys.read_bytes()
    desk.tokens["Ines Duarte"] = add_key(desk.keys, "internal", "Ines Duarte")
    async with person(browser, desk, "Ines Duarte") as somebody:
        await somebody.live()
        told = await listened(somebody)
        desk.keys.write_bytes(before)
        case = Case(desk.version, "INC0048330", "Salary list printed on the wrong floor", 2, desk.now()).judged(
            "printing"
        )
        case.to("service-desk")
        await desk.tell(case)
        await expect(somebody.page.locator("#line")).to_contain_text("Your session is over")
        assert not any("INC0048330" in each for each in told)
        somebody.faults[:] = [fault for fault in somebody.faults if "401" not in fault]
