"""`python -m sla_monitor review`: the page of a month or a quarter, with its CSV and JSON."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sla_monitor.facts.commands import with_engine
from sla_monitor.review.period import Period, month_of, quarter_of
from ticket_contracts.cloudevents import instant_text
from ticket_runtime.settings import CannotRun

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def add_to(commands: Any) -> None:
    """Adds `review` to the service's commands."""
    review = commands.add_parser("review", help="a month or a quarter of both sides: HTML, CSV, JSON")
    when = review.add_mutually_exclusive_group(required=True)
    when.add_argument("--month", metavar="2016-03")
    when.add_argument("--quarter", metavar="2016-Q1")
    review.add_argument("--to", type=Path, required=True, metavar="DIR", help="where to write")
    review.add_argument("--load", type=Path, metavar="DIR", help="first add the facts of this exported replay")
    review.add_argument("--database", metavar="URL", help="by default RELAYDESK_DATABASE_URL")
    review.set_defaults(run=_review)


def _review(options: argparse.Namespace) -> int:
    try:
        period = month_of(options.month) if options.month else quarter_of(options.quarter)
    except ValueError as error:
        raise CannotRun(str(error)) from None

    async def work(engine: AsyncEngine) -> list[Path]:
        if options.load is not None:
            from sla_monitor.facts.loading import load

            await load(engine, options.load)
        return await review(engine, period, options.to)

    for path in with_engine(options.database, work):
        print(path)
    return 0


async def review(engine: AsyncEngine, period: Period, directory: Path) -> list[Path]:
    """Writes the review of one period. Raises CannotRun where there are no facts of it."""
    from sla_monitor.facts import schema
    from sla_monitor.review.files import write
    from sla_monitor.review.material import gather
    from sla_monitor.review.report import make

    await schema.migrate(engine)
    material = await gather(engine, period)
    if not (material.opened or material.finished or material.judged):
        if material.first_at is None or material.last_at is None:
            raise CannotRun("there are no facts yet: play a replay, or `python -m sla_monitor facts rebuild`")
        reach = f"from {instant_text(material.first_at)} to {instant_text(material.last_at)}"
        raise CannotRun(f"there are no facts of {period.title}: what is known reaches {reach}")
    before = await gather(engine, period.before())
    whole = material.first_at is not None and material.first_at < before.period.since + timedelta(days=1)
    return write(make(material, before if whole else None), directory)
