"""`python -m sla_monitor facts …`: what a person may ask of the facts."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ticket_contracts.cloudevents import instant_text, parse_instant
from ticket_runtime.settings import CannotRun, RuntimeSettings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# The database's and Kafka's clients are imported where they are used: the clocks' commands need none of them, and an
# installation without the extra `facts` has none.


def add_to(commands: Any) -> None:
    """Adds `facts` to the service's commands."""
    facts = commands.add_parser("facts", help="facts for rolling figures and reviews, in PostgreSQL")
    parts = facts.add_subparsers(required=True, metavar="COMMAND")
    serve = parts.add_parser("serve", help="gather them and tell the figures; settings are RELAYDESK_*")
    serve.set_defaults(run=_serve)
    rebuild = parts.add_parser("rebuild", help="make all facts anew from the topics")
    rebuild.add_argument(
        "--forget", action="store_true", help="also where the topics' retention has taken the oldest events"
    )
    rebuild.set_defaults(run=_rebuild)
    load = parts.add_parser("load", help="add the facts of an exported replay")
    load.add_argument("--out", type=Path, required=True, metavar="DIR", help="what `make replay OUT=DIR` wrote")
    load.set_defaults(run=_load)
    show = parts.add_parser("figures", help="show the rolling figures")
    show.add_argument("--at", type=parse_instant, metavar="INSTANT", help="where the windows end; by default now")
    show.set_defaults(run=_figures)
    for command in (rebuild, load, show):
        command.add_argument("--database", metavar="URL", help="by default RELAYDESK_DATABASE_URL")
        command.add_argument("--json", action="store_true")
    rebuild.add_argument("--bootstrap", metavar="HOST:PORT", help="by default RELAYDESK_BOOTSTRAP")
    rebuild.add_argument("--prefix", help="of the desk's topics; by default RELAYDESK_TOPIC_PREFIX")


def with_engine(url: str | None, work: Callable[[AsyncEngine], Awaitable[Any]]) -> Any:
    """What `work` returns, given a database. Raises CannotRun with what to do."""
    from sqlalchemy.exc import DBAPIError

    from sla_monitor.facts import store

    address = url or RuntimeSettings().database_url
    if address is None:
        raise CannotRun("name a database: --database postgresql://user:password@host/name, or RELAYDESK_DATABASE_URL")

    async def run() -> Any:
        engine = store.make_engine(address)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except DBAPIError as error:
        raise CannotRun(f"the database refuses: {store.first_line(error)}") from None


def _serve(_: argparse.Namespace) -> int:
    from sla_monitor.facts.serve import serve

    return serve(RuntimeSettings())


def _rebuild(options: argparse.Namespace) -> int:
    from aiokafka.errors import KafkaError

    from sla_monitor.facts.loading import Refused, rebuild

    settings = RuntimeSettings()
    bootstrap = options.bootstrap or settings.bootstrap
    prefix = settings.topic_prefix if options.prefix is None else options.prefix

    def say(line: str) -> None:
        if not options.json:
            print(line, file=sys.stderr)

    try:
        loaded = with_engine(
            options.database, lambda engine: rebuild(engine, bootstrap, prefix, forget=options.forget, say=say)
        )
    except Refused as why:
        raise CannotRun(str(why)) from None
    except KafkaError as error:
        raise CannotRun(f"no broker answers at {bootstrap}: {error}") from None
    return _tell(loaded, options)


def _load(options: argparse.Namespace) -> int:
    from sla_monitor.facts.loading import load

    return _tell(with_engine(options.database, lambda engine: load(engine, options.out)), options)


def _tell(loaded: Any, options: argparse.Namespace) -> int:
    said = {"records": loaded.records, "facts": loaded.facts, "unreadable": loaded.unreadable}
    if options.json:
        print(json.dumps(said))
    else:
        print(f"{loaded.records:,} records read, {loaded.facts:,} facts were new")
        for topic, count in loaded.unreadable.items():
            print(f"  {count:,} of {topic} could not be read: table facts.unreadable says why")
    return 0


def _figures(options: argparse.Namespace) -> int:
    from sla_monitor.facts.figures import figures

    found = with_engine(options.database, lambda engine: figures(engine, options.at or datetime.now(UTC)))
    if options.json:
        import msgspec

        print(msgspec.json.encode({"until": found.until, "figures": found.values}).decode())
        return 0
    print(f"until {instant_text(found.until)}")
    for each in found.values:
        if each.category is None and each.priority is None:
            who = each.partner or each.side
            print(f"{each.figure:<33} {each.window:>2}  {who:<12} {each.value:>14.4f}  of {each.of:,}")
    return 0
