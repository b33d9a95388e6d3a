"""`python -m ticket_handoff serve | migrate | owners | redecide | verify | key`: the composition root of handoff."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ticket_contracts.cloudevents import instant_text
from ticket_handoff.adapters import schema
from ticket_handoff.adapters.keys import KeyFile, add_key
from ticket_handoff.adapters.store import Store, make_engine
from ticket_handoff.again import redecide_directory
from ticket_handoff.handlers import AgreementBook, HandoffWork, inputs
from ticket_runtime.settings import CannotRun, RuntimeSettings

if TYPE_CHECKING:
    from ticket_handoff.adapters.tokens import Tokens
    from ticket_handoff.desk.signing_in import Provider

_SHOWN = 20
"""Differences that `redecide` and `verify` print."""
_PATIENCE_SECONDS = 30.0
"""How long `serve` waits for a database that starts at the same time."""


class HandoffSettings(RuntimeSettings):
    """`RELAYDESK_HANDOFF_KEYS_FILE`: hashed API keys, see `key`. token_issuer, token_audience, token_keys: of the
    identity provider whose bearer tokens are taken: their `iss` and `aud`, and its JSON Web Key Set, an https address
    or a file. Without either HTTP lets nobody in. http_rate: requests of one caller.

    Of the desk page: desk_url: its address, where a proxy stands before it; desk_session_file: holds what signs
    sessions, the same for every process (without it they end with the process); oidc_*: the OpenID Connect provider,
    its client's secret in a file, and the claims that say for whom somebody works, and who they are.
    """

    handoff_keys_file: Path | None = None
    token_issuer: str | None = None
    token_audience: str = "relaydesk"
    token_keys: str | None = None
    http_rate: str = "600/minute"
    desk_url: str | None = None
    desk_session_file: Path | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str = "relaydesk"
    oidc_client_secret_file: Path | None = None
    oidc_principal_claim: str = "relaydesk_principal"
    oidc_name_claim: str = "name"


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: something differs, or the service failed; 2: wrong usage, or something that is needed is not
    there."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except (CannotRun, schema.SchemaOutdated, ValueError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2
    except (OSError, SQLAlchemyError) as error:
        print(f"{options.command}: {_first_line(error)}", file=sys.stderr)
        return 2


def serve(_: argparse.Namespace) -> int:
    """Runs the service until it is told to stop."""
    # The other commands need neither a broker's client nor a web server.
    from fastapi import FastAPI

    from ticket_handoff.adapters.access import Access, operator_of
    from ticket_handoff.adapters.engine import LedgerLoop, Replies
    from ticket_handoff.adapters.http import install
    from ticket_handoff.adapters.inquiries import Inquiries
    from ticket_handoff.desk.app import Desk
    from ticket_handoff.desk.signing_in import SignIn, session_secret
    from ticket_runtime import dead_letters_http
    from ticket_runtime.agreements import Agreements
    from ticket_runtime.clock import Clock
    from ticket_runtime.context import LiveView, TaskContext
    from ticket_runtime.handling import DeadLetterLimit
    from ticket_runtime.metrics import Metrics
    from ticket_runtime.runner import TaskGroup
    from ticket_runtime.service import ServiceSpec, run_service

    settings = HandoffSettings()
    keys = KeyFile(settings.handoff_keys_file)
    access = Access(keys, _tokens(settings), settings.http_rate)
    url = _database_url(settings)
    asyncio.run(_wait_for_schema(url))
    sign_in = SignIn(keys, _provider(settings), settings.desk_url)
    secret = session_secret(settings.desk_session_file)
    desks: list[Desk] = []

    def changed(tickets: Iterable[str]) -> None:
        for desk in desks:
            desk.live.changed(tickets)

    store = Store(make_engine(url), changed)
    # Another, so that requests that wait for each other leave the tasks their connections.
    asking = make_engine(url, check=True)
    asked = Store(asking, changed)
    loops: list[LedgerLoop] = []
    known: list[Agreements] = []
    clocks: list[Clock] = []

    def read_topics(agreements: Agreements) -> list[str]:
        """Of all versions: an offer that was made under one may be answered under the next."""
        known[:] = [agreements]
        return inputs(sorted({name for each in agreements.every() for name in each.agreement.partners}))

    def make_loop(
        group: TaskGroup, settings: RuntimeSettings, clock: Clock, metrics: Metrics, view: LiveView
    ) -> LedgerLoop:
        loops[:] = [LedgerLoop(store, group, settings, clock, metrics, view)]
        clocks[:] = [clock]
        keys.told = loops[0].ledger_metrics.key_file
        return loops[0]

    def make_work(context: TaskContext) -> HandoffWork:
        return HandoffWork(context.agreements)

    def routes(app: FastAPI, _: LiveView) -> None:
        def now() -> datetime:
            return clocks[0].now()

        def replies() -> Replies:
            return Replies(asked, known[0], loops[0].appended, loops[0].ledger_metrics.committed)

        book = AgreementBook(known[0])
        inquiries = Inquiries(asking, book, now)
        install(app, access, replies, lambda: inquiries, now)
        desks[:] = [Desk(asking, inquiries, replies, book, now, sign_in, secret)]
        desks[0].install(app)
        dead_letters_http.install(app, operator_of(access), settings.bootstrap, settings.topic_prefix)

    spec = ServiceSpec(
        name="handoff",
        inputs=read_topics,
        make_work=make_work,
        stateful=False,
        routes=routes,
        # What receivers send is not in our hand: garbage is dead-lettered, however much of it comes.
        dead_letters=DeadLetterLimit(consecutive=sys.maxsize, ratio=2.0),
    )
    return run_service(spec, settings, make_loop)


def _tokens(settings: HandoffSettings) -> Tokens | None:
    from ticket_handoff.adapters.tokens import IssuerKeys, Tokens

    if settings.token_issuer is None:
        return None
    if settings.token_keys is None:
        raise CannotRun("RELAYDESK_TOKEN_ISSUER is set: RELAYDESK_TOKEN_KEYS says where its keys are (its jwks_uri)")
    return Tokens(IssuerKeys(settings.token_keys), settings.token_issuer, settings.token_audience)


def _provider(settings: HandoffSettings) -> Provider | None:
    from ticket_handoff.desk.signing_in import Provider, read_secret

    if settings.oidc_issuer is None:
        return None
    return Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        read_secret(settings.oidc_client_secret_file, "RELAYDESK_OIDC_CLIENT_SECRET_FILE"),
        settings.oidc_principal_claim,
        settings.oidc_name_claim,
    )


def migrate(_: argparse.Namespace) -> int:
    """Brings the database to the newest schema."""
    url = _database_url(HandoffSettings())

    async def run() -> str:
        engine = make_engine(url)
        try:
            return await schema.migrate(engine)
        finally:
            await engine.dispose()

    print(f"the database is at schema {asyncio.run(run())}")
    return 0


def owners(options: argparse.Namespace) -> int:
    """Shows who owned a ticket from when until when, and its transfers."""

    async def run(store: Store) -> int:
        history = await store.history(options.ticket)
        if history is None:
            print(f"there is no ticket {options.ticket}", file=sys.stderr)
            return 1
        if options.json:
            found = {"ticket": options.ticket, "intervals": history.intervals, "transfers": history.transfers}
            print(msgspec.json.encode(found).decode())
            return 0
        for each in history.intervals:
            until = instant_text(each["until_at"]) if each["until_at"] else "now"
            where = f" in {each['queue']}" if each["queue"] else ""
            print(f"{instant_text(each['from_at'])} – {until}  {each['owner']}{where} ({each['kind']})")
        for each in history.transfers:
            where = f" to {each['queue']}" if each["queue"] else ""
            print(
                f"transfer {each['transfer_id']}: {each['cause']}{where}, attempt {each['attempt']}, {each['status']}"
            )
        return 0

    return _with_store(run)


def verify(options: argparse.Namespace) -> int:
    """Checks the audit trail seal by seal, and every ticket's state against the tables."""

    async def run(store: Store) -> int:
        checked, faults = await store.ledger_faults()
        for partition in await store.trails():
            entries, found = await store.trail_faults(partition)
            checked += entries
            faults += [f"partition {partition}: {fault}" for fault in found]
        for fault in faults[:_SHOWN]:
            print(msgspec.json.encode({"fault": fault}).decode() if options.json else fault)
        print(msgspec.json.encode({"checked": checked, "faults": len(faults)}).decode())
        return 1 if faults else 0

    return _with_store(run)


def redecide(options: argparse.Namespace) -> int:
    """Makes every step again from the recorded facts of its ticket, and compares."""
    checked, differences = redecide_directory(options.out)
    for each in differences[:_SHOWN]:
        print(msgspec.json.encode(each).decode() if options.json else each.text())
    print(msgspec.json.encode({"checked": checked, "different": len(differences)}).decode())
    return 1 if differences else 0


def erase(options: argparse.Namespace) -> int:
    """Erases a ticket's text in every service, for good; the record says who did it and why."""
    from ticket_contracts.agreement import publishing
    from ticket_handoff.adapters.erasure import erase
    from ticket_handoff.domain.decision import Refused
    from ticket_runtime.agreements import Agreements

    settings = HandoffSettings()

    async def run(store: Store) -> int:
        try:
            agreements = Agreements(await publishing.read_versions(settings.bootstrap, settings.topic_prefix))
            done = await erase(
                store, agreements, options.ticket, actor=options.actor, reason=options.reason, at=datetime.now(UTC)
            )
        except (Refused, publishing.Refused) as refused:
            raise CannotRun(str(refused)) from None
        if options.json:
            print(msgspec.json.encode(done).decode())
        else:
            told = "the other services were told" if done.published else "they are told when handoff runs"
            print(f"{done.ticket}: erased {done.packages} packages, {done.steps} steps' words, {done.notices} notices")
            print(f"step {done.step} says so; {told}; topics lose the text by {instant_text(done.topics_until)[:10]}")
        return 0 if done.published else 1

    return _with_store(run)


def openapi(_: argparse.Namespace) -> int:
    """Prints the OpenAPI document of the HTTP surface."""
    from ticket_handoff.adapters.http import document

    print(msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1).decode())
    return 0


def key(options: argparse.Namespace) -> int:
    """Makes an API key and prints it; the file keeps its hash."""
    print(add_key(options.file, options.principal, options.actor))
    return 0


def _with_store(run: Callable[[Store], Coroutine[Any, Any, int]]) -> int:
    url = _database_url(HandoffSettings())

    async def go() -> int:
        engine = make_engine(url, connections=2)
        try:
            await schema.check(engine)
            return await run(Store(engine))
        finally:
            await engine.dispose()

    return asyncio.run(go())


async def _wait_for_schema(url: str) -> None:
    """Raises SchemaOutdated, and CannotRun when no database answers for a while."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        engine = make_engine(url, connections=1)
        try:
            await schema.check(engine)
            return
        except (OSError, SQLAlchemyError) as error:
            if asyncio.get_running_loop().time() > deadline:
                where = make_url(url)
                raise CannotRun(
                    f"no database answers at {where.host}:{where.port} ({_first_line(error)}): "
                    "start PostgreSQL, or set RELAYDESK_DATABASE_URL"
                ) from None
            await asyncio.sleep(0.5)
        finally:
            await engine.dispose()


def _database_url(settings: RuntimeSettings) -> str:
    if settings.database_url is None:
        raise CannotRun("the ledger needs a database: set RELAYDESK_DATABASE_URL=postgresql+asyncpg://user@host/name")
    return settings.database_url


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ticket_handoff", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        words = (run.__doc__ or "").strip().splitlines()[0]
        added = commands.add_parser(name, help=words, description=words)
        added.set_defaults(run=run)
        return added

    command("serve", serve)
    command("migrate", migrate)
    shown = command("owners", owners)
    shown.add_argument("ticket")
    shown.add_argument("--json", action="store_true")
    again = command("redecide", redecide)
    again.add_argument("--out", type=Path, required=True, metavar="DIR", help="what a replay wrote with OUT=DIR")
    again.add_argument("--json", action="store_true")
    checked = command("verify", verify)
    checked.add_argument("--json", action="store_true")
    erased = command("erase", erase)
    erased.add_argument("ticket", help="its id: source:instance:number; it must have ended")
    erased.add_argument("--actor", required=True, help="who has it erased")
    erased.add_argument("--reason", required=True, help="why: a request's number, never words of the ticket")
    erased.add_argument("--json", action="store_true")
    command("openapi", openapi)
    made = command("key", key)
    made.add_argument("principal", help="a partner as the agreement names it, or `internal`")
    made.add_argument("actor", help="the person or system whose key it is")
    made.add_argument("--file", type=Path, required=True)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
