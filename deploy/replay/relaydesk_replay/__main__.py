"""`python -m relaydesk_replay run | replay | review | up | down`: what the targets of the same names call."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from relaydesk_local import BackendError
from relaydesk_replay import desk as desks
from relaydesk_replay.driver import Driver, Pulse, ReplayStuck
from relaydesk_replay.export import export, exported
from relaydesk_replay.feed import Feed, FeedError, read_feed
from relaydesk_replay.history import write_history
from relaydesk_replay.judgement import NotJudged, Verdict, judge
from relaydesk_replay.judgement import show as show_verdict
from relaydesk_replay.people import Habit, People
from relaydesk_replay.review import write_review
from relaydesk_replay.summary import Figures, figures, show
from relaydesk_replay.supervisor import ServiceFailed
from relaydesk_replay.week import make_week
from ticket_contracts.agreement import Agreement
from ticket_contracts.agreement.publishing import Refused
from ticket_contracts.agreement.reading import AgreementError, read_agreement
from ticket_runtime.settings import CannotRun

AGREEMENTS = Path(__file__).parents[2] / "agreements"
RUN = Path(".run")
ADDRESSES = "endpoints.json"
"""Below RUN: where whoever is beside the desk finds it, while it runs."""


_TOLD = (BackendError, FeedError, AgreementError, Refused, CannotRun, ServiceFailed, ReplayStuck, NotJudged)
"""What can keep a desk from running, in words that say what to do."""


def main(arguments: list[str] | None = None) -> int:
    """0: done, and nothing violated; 1: a violation; 2: it could not run, with one line that says what to do."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.command == "replay")
    try:
        _raise_file_limit()
        _log_to_file()
        return asyncio.run(_ended_by_sigterm(options.run(options, console)))
    except _TOLD as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m relaydesk_replay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="a desk that plays a week of support, shows it, and stays up")
    run.add_argument("--seed", type=int, default=1, help="of the generated week (default 1)")
    run.add_argument("--agreement", type=Path, default=AGREEMENTS / "default.yaml", help="the document that all sign")
    run.add_argument("--limit", type=int, help="play the week's first so many tickets only")
    run.add_argument("--no-stay", action="store_true", help="stop after the summary")
    run.set_defaults(run=_run)
    replay = commands.add_parser("replay", help="plays a file to its end; its last line is JSON")
    replay.add_argument(
        "feed", help="a ServiceNow audit log or JSON Lines, plain or gzip; or `week` for the generated one"
    )
    replay.add_argument("--out", type=Path, help="also write every decision there, a sorted file per topic")
    replay.add_argument("--limit", type=int, help="the first so many tickets only")
    replay.add_argument("--agreement", type=Path, help="default: the log's own for a log, else the default desk's")
    replay.add_argument(
        "--directory", type=Path, default=RUN / "replay", help="for its data and logs (default %(default)s)"
    )
    replay.add_argument("--seed", type=int, default=1, help="of the generated week and of the simulated people")
    replay.add_argument("--partitions", type=int, default=2, help="of topics keyed by ticket (default 2)")
    replay.add_argument("--watched", action="store_true", help="with Prometheus and Alertmanager, while it plays")
    replay.set_defaults(run=_replay)
    told = commands.add_parser(
        "history", help="what a file means, tickets and their classifications, without playing it: for whatif"
    )
    told.add_argument("feed", help="as for replay")
    told.add_argument("out", type=Path, metavar="DIR", help="where to write it, a sorted file per topic")
    told.add_argument("--limit", type=int, help="the first so many tickets only")
    told.add_argument("--agreement", type=Path, help="by which to classify; default as for replay")
    told.add_argument("--seed", type=int, default=1, help="of the generated week")
    told.set_defaults(run=_history)
    up = commands.add_parser("up", help="a desk without a feed, live, in the background")
    up.add_argument("--agreement", type=Path, default=AGREEMENTS / "default.yaml", help="the document that all sign")
    up.add_argument("--foreground", action="store_true", help="stay in the foreground")
    up.set_defaults(run=_up)
    review = commands.add_parser("review", help="a month or a quarter of both sides, as a page, CSV and JSON")
    when = review.add_mutually_exclusive_group(required=True)
    when.add_argument("--month", metavar="2016-03")
    when.add_argument("--quarter", metavar="2016-Q1")
    review.add_argument("--from", dest="export", type=Path, metavar="DIR", help="what a replay wrote (OUT=DIR)")
    review.add_argument("--to", type=Path, metavar="DIR", help="default: review-2016-03")
    review.set_defaults(run=_review)
    commands.add_parser("down", help="stops what `up` started").set_defaults(run=_down)
    return parser


async def _run(options: argparse.Namespace, console: Console) -> int:
    directory = RUN / "desk"
    played = directory / "week"
    first = not (played / "done").exists()
    now = datetime.now(UTC)
    feed = make_week(options.seed, end=now.replace(minute=0, second=0, microsecond=0))
    if options.limit is not None:
        feed = feed.first(options.limit)
    begin = feed.items[0].at if first else now
    clock = "stream" if first else "wall"
    plan = desks.Plan(
        directory,
        options.agreement,
        begin,
        clock=clock,
        ports=_ports(),
        fresh=first,
        watched=True,
        addresses=RUN / ADDRESSES,
    )
    async with desks.running(plan, _stages(console)) as desk:
        holds = True
        if first:
            driver = _driver(desk, plan, feed, options.seed)
            await _play(driver, desk, feed, console)
            _, verdict = await _report(desk, played, console)
            holds = verdict.holds
            (played / "done").touch()
            if not options.no_stay:
                await desks.go_live(desk)
                await driver.go_live()
        if not options.no_stay:
            await _stay(desk, console)
    return 0 if holds else 1


def _feed(options: argparse.Namespace) -> tuple[Feed, Path]:
    """The feed, and the agreement that is named or else fits it."""
    feed = make_week(options.seed) if options.feed == "week" else read_feed(Path(options.feed))
    if options.limit is not None:
        feed = feed.first(options.limit)
    log = options.feed != "week" and all(item.source == "servicenow" for item in feed.items)
    return feed, options.agreement or AGREEMENTS / ("incident-log.yaml" if log else "default.yaml")


async def _history(options: argparse.Namespace, _: Console) -> int:
    feed, path = _feed(options)
    agreement = read_agreement(path.read_text(encoding="utf-8"), str(path))
    print(msgspec.json.encode(write_history(feed, agreement, options.out)).decode())
    return 0


async def _replay(options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    feed, agreement = _feed(options)
    plan = desks.Plan(
        options.directory,
        agreement,
        feed.items[0].at,
        partitions=options.partitions,
        clock="stream",
        fresh=True,
        ephemeral=True,
        watched=options.watched,
    )
    out = options.out or plan.directory / "out"
    for stale in out.glob("*.jsonl"):
        stale.unlink()
    async with desks.running(plan, _stages(console)) as desk:
        if "prometheus" in desk.endpoints:
            console.print(f"Prometheus watches it: {desk.endpoints['prometheus']}", highlight=False)
        before = desk.supervisor.cpu_seconds()
        await _play(_driver(desk, plan, feed, options.seed), desk, feed, console)
        used = {name: cpu - before.get(name, 0.0) for name, cpu in desk.supervisor.cpu_seconds().items()}
        found, verdict = await _report(desk, out, console)
    last = {
        **asdict(found),
        "redecided": verdict.redecided,
        "invariants": {
            number: {"checked": kept["checked"], "violations": kept["violations"]}
            for number, kept in sorted(verdict.invariants.items())
        },
        "wall_seconds": round(time.monotonic() - began, 1),
        "cpu_us_per_ticket": {name: round(cpu * 1e6 / max(found.tickets, 1)) for name, cpu in used.items()},
    }
    print(msgspec.json.encode(last).decode())
    return 0 if verdict.holds and not found.unowned_seconds else 1


async def _up(options: argparse.Namespace, console: Console) -> int:
    directory = RUN / "desk"
    if options.foreground:
        plan = desks.Plan(
            directory, options.agreement, datetime.now(UTC), ports=_ports(), watched=True, addresses=RUN / ADDRESSES
        )
        async with desks.running(plan, _stages(console)) as desk:
            await _stay(desk, console)
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "up.log").touch(mode=0o600)  # the link to the desk page is in it
    with (directory / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relaydesk_replay", "up", "--foreground", "--agreement", str(options.agreement)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (directory / "pid").write_text(str(process.pid))
    ended = asyncio.create_task(process.wait())
    while not (RUN / ADDRESSES).exists():
        await asyncio.wait({ended}, timeout=0.2)
        if ended.done():
            console.print((directory / "up.log").read_text().strip(), markup=False)
            return 2
    endpoints = (RUN / ADDRESSES).read_bytes()
    console.print(endpoints.decode(), markup=False)
    link = desks.page_link(directory, msgspec.json.decode(endpoints, type=dict[str, str]))
    console.print(f"The desk page: {link}", markup=False, highlight=False, soft_wrap=True)
    return 0


async def _review(options: argparse.Namespace, _: Console) -> int:
    period = ["--month", options.month] if options.month else ["--quarter", options.quarter]
    to = options.to or Path(f"review-{period[1]}".replace("/", "-"))
    return await write_review(RUN, period, to, options.export)


async def _down(_: argparse.Namespace, console: Console) -> int:
    path = RUN / "desk" / "pid"
    if not path.exists():
        console.print("Nothing is up.")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGTERM)
        while True:
            os.kill(int(path.read_text()), 0)
            await asyncio.sleep(0.2)
    path.unlink()
    console.print("Down.")
    return 0


def _ports() -> dict[str, int]:
    """The well-known ports, or, with `RELAYDESK_PORTS=free`, any that are free."""
    return {} if os.environ.get("RELAYDESK_PORTS") == "free" else desks.PORTS


def _driver(desk: desks.Desk, plan: desks.Plan, feed: Feed, seed: int) -> Driver:
    span = feed.items[-1].at - feed.items[0].at
    grain = timedelta(hours=1) if span > timedelta(days=40) else timedelta(minutes=30)
    return Driver(desk.bootstrap, "", desk.names, plan.partitions, simulated_people(desk.agreement, seed), grain=grain)


def simulated_people(agreement: Agreement, seed: int, escalates: float = 0.0) -> People:
    """Who answers how: internal teams take what they are offered within minutes; the agreement's first partner declines
    now and then; its last, where it has several, often does not answer. escalates: share of what the first partner
    accepts that it passes on."""
    habits = {"*": Habit()}
    partners = list(agreement.partners)
    for name, queue in agreement.queues.items():
        if queue.partner and len(partners) > 1 and queue.partner == partners[-1]:
            habits[name] = Habit(after=300, until=1_500, silent=0.6)
        elif queue.partner:
            habits[name] = Habit(after=60, until=840, declines=0.08, silent=0.01, escalates=escalates)
    return People(habits, {name: queue.partner for name, queue in agreement.queues.items() if queue.partner}, seed)


async def _play(driver: Driver, desk: desks.Desk, feed: Feed, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"Playing {feed.name}", total=len(feed.items))

        def pulse(at: Pulse) -> None:
            desk.supervisor.raise_failure()
            bar.update(task, completed=at.fed, description=f"{at.instant:%a %Y-%m-%d %H:%M}")

        await driver.play(feed, pulse)


async def _report(desk: desks.Desk, directory: Path, console: Console) -> tuple[Figures, Verdict]:
    await export(desk.bootstrap, "", exported(desk.names), directory)
    found, verdict = await asyncio.to_thread(figures, directory), await judge(directory)
    if not await desks.facts_gathered(desk):
        console.print(
            "The facts are still behind: `python -m sla_monitor facts rebuild` makes them anew.", style="yellow"
        )
    show(console, found)
    show_verdict(console, verdict)
    return found, verdict


def _stages(console: Console) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda stage: console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {stage}")


def _addresses(console: Console, desk: desks.Desk) -> None:
    console.rule("The desk is up, live on the wall clock")
    metrics = f"{desk.endpoints['intake']}/metrics, and so on every service"
    for name, address in {**desk.endpoints, "metrics": metrics}.items():
        console.print(f"  {name:<14}{address}", markup=False, highlight=False)
    console.print("\nThe desk page, signed in by this link (keep it to yourself):", highlight=False)
    link = desks.page_link(RUN / "desk", desk.endpoints)
    console.print(f"  {link}", markup=False, highlight=False, soft_wrap=True)
    ticket = '{"id": "DEMO-1", "title": "VPN drops every ten minutes", "text": "Since this morning, for all of us."}'
    console.print("\nSend a ticket, then watch it arrive:", highlight=False)
    send = f"curl -sS -H 'content-type: application/json' -d '{ticket}'"
    watch = f'curl -sS -H "authorization: Bearer $(cat {RUN / "desk" / desks.OPERATOR_KEY})"'
    for line in (
        f"  {send} {desk.endpoints['intake']}/v1/sources/generic/events",
        f"  {watch} {desk.endpoints['desk']}/v1/tickets/generic:main:DEMO-1/owners",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\nCtrl-C stops everything.")


async def _stay(desk: desks.Desk, console: Console) -> None:
    """Until Ctrl-C or SIGTERM. Raises ServiceFailed when a service would not stay up."""
    _addresses(console, desk)
    try:
        while True:
            desk.supervisor.raise_failure()
            await asyncio.sleep(1)
    except asyncio.CancelledError:
        console.print("Stopping: services finish their transactions, then Kafka and PostgreSQL go down.")


async def _ended_by_sigterm(work: Coroutine[None, None, int]) -> int:
    """SIGTERM ends the work as Ctrl-C does."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _log_to_file() -> None:
    """What the Kafka client has to say of leaders not yet chosen is for a file, not for the screen."""
    RUN.mkdir(exist_ok=True)
    logging.basicConfig(filename=RUN / "replay.log", level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")


def _raise_file_limit() -> None:
    """A desk of many queues has many topics, whose segments the broker keeps open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise SystemExit(main())
