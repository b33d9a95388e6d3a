"""The review of a small made-up desk, from a real database to its files."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright
from sqlalchemy.ext.asyncio import AsyncEngine

import backends
import facts_stories as told
from facts_database import engine_of, write
from integration.handoff_page.page_desk import CHROMIUM, FLAGS
from sla_monitor.review.commands import review
from sla_monitor.review.period import month_of, quarter_of
from ticket_runtime.settings import CannotRun

MARCH = month_of("2026-03")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with engine_of(database_url) as made:
        yield made


async def test_a_review_agrees_with_a_recount_and_names_its_tickets(engine: AsyncEngine, tmp_path: Path) -> None:
    stories = told.make_stories(400, seed=6)
    await write(engine, [told.agreement(), *(r for story in stories for r in story.records)], batch=3_000)
    written = await review(engine, MARCH, tmp_path)
    assert [path.name for path in written] == ["review.html", "figures.csv", "tickets.csv", "review.json"]
    document = json.loads((tmp_path / "review.json").read_text())
    figures = {figure["id"]: figure["sides"] for figure in document["figures"]}
    expected = told.recount(stories, MARCH.since, MARCH.until)
    for ours, theirs, side, partner in (
        ("escalation", "partner_escalation_ratio", "owls", "owls"),
        ("first_contact", "first_contact_resolution_ratio", "partner", "owls"),
        ("first_contact", "first_contact_resolution_ratio", "internal", "internal"),
        ("adherence.resolution", "sla_adherence_ratio", "partner", "owls"),
        ("adherence.resolution", "sla_adherence_ratio", "internal", "internal"),
        ("reassignments", "reassignments_mean", "internal", "internal"),
        ("ping_pong", "ping_pong_ratio", "partner", "owls"),
        ("csat", "csat_mean", "internal", "internal"),
    ):
        of, value = expected[theirs, side]
        assert figures[ours][partner] == {"value": pytest.approx(value), "of": of}, ours
    again = sum(story.reopened for story in stories)
    resolutions = again + sum(story.resolved_at is not None for story in stories)
    assert figures["reopen"]["all"] == {"value": pytest.approx(again / resolutions), "of": resolutions}
    taken = [s for s in told.make_stories(400, seed=6) if any(queue in told.PARTNERS for queue, _ in s.stays)]
    price = {1: 12.5, 2: 80.0}
    first = [next(told.TIERS[queue] for queue, _ in s.stays if queue in told.PARTNERS) for s in taken]
    assert figures["cost.EUR"]["owls"] == {"value": pytest.approx(sum(price[tier] for tier in first)), "of": len(taken)}
    rows = list(csv.DictReader((tmp_path / "tickets.csv").open(encoding="utf-8-sig")))
    escalated = {r["ticket"] for r in rows if r["figure"] == "escalation" and r["part"] == "escalated"}
    assert len(escalated) > 20
    page = (tmp_path / "review.html").read_text()
    assert "<script" not in page
    assert "Night Owls" in page
    assert "secret" not in page + (tmp_path / "tickets.csv").read_text(encoding="utf-8-sig")


async def test_a_partner_whose_contract_ended_still_has_what_it_had(engine: AsyncEngine, tmp_path: Path) -> None:
    stories = told.make_stories(200, seed=6)
    parted = told.agreement(without_the_partner_from=MARCH.since)
    await write(engine, [told.agreement(), parted, *(r for story in stories for r in story.records)], batch=3_000)
    await review(engine, MARCH, tmp_path)
    document = json.loads((tmp_path / "review.json").read_text())
    figures = {figure["id"]: figure["sides"] for figure in document["figures"]}
    assert figures["resolved"]["owls"]["of"] > 20
    assert sum(figures["resolved"][side]["of"] for side in ("internal", "owls")) == figures["resolved"]["all"]["of"]
    assert any("Night Owls's first line escalated" in finding for finding in document["findings"])
    assert '<th class="n" title="Night Owls">Night Owls</th>' in (tmp_path / "review.html").read_text()


async def test_the_page_is_read_on_a_phone_on_paper_and_without_colours(engine: AsyncEngine, tmp_path: Path) -> None:
    if CHROMIUM is None:
        backends.unavailable("no Chromium: apt-get install chromium")
    stories = told.make_stories(200, seed=6)
    await write(engine, [told.agreement(), *(r for story in stories for r in story.records)], batch=3_000)
    page_file, *_ = await review(engine, MARCH, tmp_path)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        await page.goto(page_file.as_uri())
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        words = await page.evaluate("document.querySelector('dd').getBoundingClientRect().width")
        assert words > 300, "how a figure is computed stands in a column of a word a line"
        heights = await page.evaluate(
            "[...document.querySelectorAll('figure text')].map(t => t.getBoundingClientRect().height)"
        )
        assert min(heights) > 7, "a chart is drawn too small to read"
        legend = await page.locator("figure", has_text="Breaches by owner").inner_text()
        assert 0 < legend.find("Internal") < legend.find("Night Owls")  # the company first, whoever has most
        named = await page.evaluate("document.querySelector('td.what').getBoundingClientRect().width")
        assert named < 200, "what a figure is called pushes the figure out of sight"
        await page.set_viewport_size({"width": 695, "height": 990})  # A4 without its margins
        await page.emulate_media(media="print")
        half = await page.evaluate("document.querySelector('figure:not(.wide)').getBoundingClientRect().width")
        assert half < 400, "half a chart is as wide as a page"
        await browser.close()


async def test_what_is_hostile_in_names_stays_text(engine: AsyncEngine, tmp_path: Path) -> None:
    (story,) = told.make_stories(1, seed=2)
    hostile = '"><img src=x onerror=alert(1)>'
    records = [
        told.Said(r.topic, r.ce_id, r.ce_type, r.key, r.value.replace(b"generic:main:0", b"generic:main:" + name))
        for name in (hostile.replace('"', '\\"').encode(), b"=cmd|' /C calc'!A0")
        for r in story.records
    ]
    await write(engine, [told.agreement(), *records], batch=1)
    await review(engine, MARCH, tmp_path)
    page = (tmp_path / "review.html").read_text()
    assert "<img" not in page
    assert "&lt;img" in page


async def test_a_period_without_facts_says_what_is_known(engine: AsyncEngine, tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no facts yet"):
        await review(engine, MARCH, tmp_path)
    await write(engine, [r for story in told.make_stories(3) for r in story.records])
    with pytest.raises(CannotRun, match="no facts of January 2020: what is known reaches from 2026-03"):
        await review(engine, month_of("2020-01"), tmp_path)
    # Facts whose agreement has not been read yet make a review all the same.
    assert await review(engine, quarter_of("2026-Q1"), tmp_path)
