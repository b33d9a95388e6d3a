"""`python -m ticket_router serve | redecide | explain | coverage | whatif`: the composition root of the router."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from aiokafka.errors import KafkaError

from ticket_contracts import topics
from ticket_contracts.agreement.coverage import coverage, gap_spans, home_calendar, whom
from ticket_contracts.agreement.reading import AgreementError
from ticket_contracts.classification import TicketClassified
from ticket_contracts.cloudevents import instant_text, parse_instant
from ticket_contracts.routing import TicketFacts, TicketRouted
from ticket_contracts.tickets import TicketNormalized
from ticket_contracts.transfers import TransferAccepted, TransferOffered, TransferRequested
from ticket_router.adapters.history import Directory, History, Topics, agreement_file, agreements_of, events
from ticket_router.adapters.page import coverage_page, page, table
from ticket_router.domain.again import LastSeen, differences, request_of
from ticket_router.domain.coverage import LEGEND, picture
from ticket_router.domain.decide import Request
from ticket_router.domain.explain import Explanation, explain
from ticket_router.domain.policy import Policies, Policy
from ticket_router.handlers import INPUTS, RouterWork
from ticket_router.pace import Pace
from ticket_router.whatif import Always, Under, figures, flows, in_order, moved, simulate, wishes
from ticket_runtime.agreements import Agreements
from ticket_runtime.task import Transient

_SHOWN = 20
"""Differences that `redecide` prints."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: something differs, or the agreement cannot be used; 2: wrong usage, a file or broker is not there."""
    options = _parser().parse_args(arguments)
    if options.command != "serve":
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say arrives here as an exception
    try:
        code: int = options.run(options)
        return code
    except KafkaError as error:
        print(f"no answer from the broker at {options.bootstrap} ({error}); is the desk running?", file=sys.stderr)
        return 2
    except AgreementError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads on has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LookupError as error:
        print(f"{options.command}: {error.args[0] if error.args else error}", file=sys.stderr)
        return 2
    except (OSError, ValueError, Transient) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2


def serve(_: argparse.Namespace) -> int:
    """Runs the service until it is told to stop."""
    from ticket_router.adapters.measure import RouterMetrics
    from ticket_runtime.service import ServiceSpec, run_service  # the other commands need none of its web server
    from ticket_runtime.settings import RuntimeSettings

    spec = ServiceSpec(
        name="router",
        inputs=INPUTS,
        make_work=lambda context: RouterWork(context.agreements),
        single_task=True,
        stateful=True,
        observe=RouterMetrics,
    )
    return run_service(spec, RuntimeSettings())


def redecide(options: argparse.Namespace) -> int:
    """Makes every published decision again from its own record, and compares."""
    history = _history(options)
    agreements = _agreements(options, history)
    policies = Policies()
    checked = different = 0
    for event in events(history, topics.ROUTED, TicketRouted):
        checked += 1
        found = differences(event, policies.of(agreements.version(event.agreement_version)))
        if not found:
            continue
        different += 1
        if different <= _SHOWN:
            print(_difference(event, found, as_json=options.json))
    print(msgspec.json.encode({"checked": checked, "different": different}).decode())
    return 1 if different else 0


def _difference(event: TicketRouted, found: dict[str, tuple[object, object]], *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(
            {
                "ticket": event.ticket,
                "decision": event.decision,
                "differs": {name: {"published": was, "again": now} for name, (was, now) in found.items()},
            }
        ).decode()
    parts = "; ".join(f"{name} was {was}, now {now}" for name, (was, now) in found.items())
    return f"{event.ticket} decision {event.decision} for {instant_text(event.decided_for)}: {parts}"


def explained(options: argparse.Namespace) -> int:
    """Why a ticket goes where it goes at an instant, under the agreement of then or under another."""
    at: datetime = options.at
    facts_file = Path(options.ticket)
    seen = LastSeen()
    policies = Policies()
    if facts_file.suffix == ".json":
        try:
            facts = msgspec.json.decode(facts_file.read_bytes(), type=TicketFacts)
        except msgspec.DecodeError as error:
            raise ValueError(f"{facts_file} holds no facts of a ticket: {error}") from None
        request = Request(facts=facts, purpose="first", cause="first")
        agreements = _agreements(options, None)
    else:
        history = _history(options)
        agreements = _agreements(options, history)
        published = agreements_of(history)
        last: TicketRouted | None = None
        for event in sorted(events(history, topics.ROUTED, TicketRouted), key=lambda e: e.decided_for):
            if event.decided_for <= at:
                seen.see(event, policies.of(published.version(event.agreement_version)))
            if event.ticket == options.ticket and (last is None or event.decided_for <= at):
                last = event
        if last is None:
            raise LookupError(f"{options.ticket} has no decision there; give a ticket's id or a .json file with facts")
        request = request_of(last)
    policy = policies.of(agreements.in_force(at))
    found = explain(request, policy, seen, at)
    print(_explanation_json(found) if options.json else _explanation(options.ticket, at, request, policy, found))
    return 0


def _explanation(ticket: str, at: datetime, request: Request, policy: Policy, found: Explanation) -> str:
    facts = request.facts
    lines = [
        f"{ticket} at {instant_text(at)}, agreement {policy.version[:12]}",
        f"  {facts.priority} {facts.kind}, tier {facts.tier}, category {facts.category}, asked for: {request.cause}"
        + (f", leaving {request.current}" if request.current else ""),
        "rules passed over:" if found.passed else "no rule passed over",
        *(f"  {p.rule}: wants {p.part} {p.wanted}; has {p.has}" for p in found.passed),
        f"matched: {found.matched}" if found.matched else "no rule matched",
        *(
            f"  {c.queue}: {c.verdict} ({c.load} of {c.capacity if c.capacity is not None else 'any number'})"
            for c in found.candidates
        ),
        f"decision: {found.outcome.queue.name}, owned by {found.outcome.queue.owner_role}"
        + (" (the end of the path)" if found.outcome.final else ""),
        f"  {found.outcome.reason}",
    ]
    if found.outcome.look_again_at is not None:
        lines.append(f"  looked at again {instant_text(found.outcome.look_again_at)}")
    return "\n".join(lines)


def _explanation_json(found: Explanation) -> str:
    outcome = found.outcome
    return msgspec.json.encode(
        {
            "passed": found.passed,
            "matched": found.matched,
            "candidates": found.candidates,
            "queue": outcome.queue.name,
            "rule": outcome.rule,
            "final": outcome.final,
            "reason": outcome.reason,
            "look_again_at": outcome.look_again_at,
        }
    ).decode()


def covered(options: argparse.Namespace) -> int:
    """The week as a picture, and its gaps; 1 when there are any."""
    published = _agreements(options, None).in_force(datetime.max.replace(tzinfo=UTC))
    policy = Policies().of(published)
    calendar = _calendar(options, policy)
    zone = policy.calendars[calendar].zone if calendar is not None else ZoneInfo("UTC")
    begin = datetime.combine(options.week, time(), zone)
    until = begin + timedelta(days=options.days)
    stretches = coverage(policy.agreement, policy.calendars, begin, until, options.language)
    gaps = gap_spans(stretches)
    if options.page is not None:
        title = f"{published.agreement.title}: who answers from {begin:%Y-%m-%d} on"
        options.page.write_text(coverage_page(title, policy, stretches, zone), encoding="utf-8")
    if options.json:
        print(msgspec.json.encode({"zone": str(zone), "stretches": stretches}).decode())
        return 1 if gaps else 0
    print(f"{published.agreement.title}, agreement {published.version[:12]}, hours of {zone}")
    print(f"{LEGEND}\n")
    print(picture(policy, stretches, zone))
    print("\ngaps:" if gaps else "\nno gaps")
    for gap in gaps:
        begin, until = gap.begin.astimezone(zone), gap.until.astimezone(zone)
        for_whom = whom(policy.agreement, gap.gaps)
        print(
            f"  tier {gap.tier}, {begin:%a %d %b %H:%M}-{until:%a %d %b %H:%M}: {policy.duty.owner_role} for {for_whom}"
        )
    return 1 if gaps else 0


def tried(options: argparse.Namespace) -> int:
    """History through two agreements, side by side."""
    candidate = agreement_file(options.agreement)
    with tempfile.TemporaryDirectory(prefix="whatif-") as scratch:
        history = _tried_on(options, Path(scratch))
        against: Under = Always(agreement_file(options.against)) if options.against else agreements_of(history)
        tickets = list(events(history, topics.NORMALIZED, TicketNormalized))
        judged = list(events(history, topics.CLASSIFIED, TicketClassified))
        asked = list(events(history, topics.TRANSFERS, TransferRequested)) or wishes(tickets)
        offered = list(events(history, topics.TRANSFERS, TransferOffered))
        pace = Pace(tickets, offered, events(history, topics.TRANSFERS, TransferAccepted))
    given = in_order(tickets, judged, asked)
    whence = options.history if options.history is not None else f"the desk at {options.bootstrap}"
    if not given:
        raise ValueError(f"{whence} holds no tickets; name a feed file, or a directory of `make replay FEED=… OUT=DIR`")
    runs = [("current", simulate(against, given, pace)), ("candidate", simulate(Always(candidate), given, pace))]
    if not all(run.steps for _, run in runs):
        raise ValueError(f"{whence} leads to no decision: it holds no ticket together with its classification")
    policy = Policies().of(candidate)
    calendar = _calendar(options, policy)
    zone = policy.calendars[calendar].zone if calendar is not None else ZoneInfo("UTC")
    found = [(name, run, figures(run, policy, calendar)) for name, run in runs]
    elsewhere = moved(runs[0][1], runs[1][1])
    if options.page is not None:
        options.page.write_text(
            page(f"What if: {candidate.agreement.title}", found, elsewhere, zone, pace), encoding="utf-8"
        )
    if options.json:
        said = {name: of_run for name, _, of_run in found}
        ways = {kind: flows(elsewhere, zone, kind) for kind in ("queue", "tier", "partner")}
        print(msgspec.json.encode({**said, "flows": ways, "elsewhere": elsewhere}).decode())
    else:
        print(table(found[0][2], found[1][2], elsewhere, zone))
    return 0


def _tried_on(options: argparse.Namespace, scratch: Path) -> History:
    """The topics of a desk, the directory of a replay, or a feed file as the desk would understand it."""
    path: Path | None = options.history
    if path is None:
        return Topics(options.bootstrap, options.prefix)
    if path.is_dir():
        return Directory(path)
    if str(path) != "week" and not path.is_file():
        raise FileNotFoundError(f"{path} is not there; name a feed file or a directory of `make replay FEED=… OUT=DIR`")
    # Intake and the classifier know what a feed means; the replay asks them, each in its own words.
    agreement = options.against or options.agreement
    command = [sys.executable, "-m", "relaydesk_replay", "history", str(path), str(scratch), "--agreement", agreement]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise ValueError(f"this is no feed: {' '.join((told.stderr or told.stdout).split())}")
    return Directory(scratch)


def _calendar(options: argparse.Namespace, policy: Policy) -> str | None:
    """The calendar that is named, or the one of most of the desk's people."""
    name: str | None = options.calendar
    if name is not None and name not in policy.calendars:
        raise LookupError(f"the agreement has no calendar {name!r}; it has {', '.join(policy.calendars)}")
    return name or home_calendar(policy.agreement)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date ({error}); write it as 2026-03-02") from None


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 400:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 400 days")
    return int(text)


def _history(options: argparse.Namespace) -> History:
    if options.out is not None:
        return Directory(options.out)
    return Topics(options.bootstrap, options.prefix)


def _agreements(options: argparse.Namespace, history: History | None) -> Agreements:
    """The agreement of the file that is given, else those that the desk published."""
    if options.agreement is not None:
        path: Path = options.agreement
        if path.is_dir():
            return agreements_of(Directory(path))
        return Agreements([agreement_file(path)])
    if history is None:
        raise ValueError("facts in a file belong to no desk: name the agreement with --agreement FILE")
    return agreements_of(history)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ticket_router", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")

    command = commands.add_parser("serve", help="run the service; RELAYDESK_* in the environment says how")
    command.set_defaults(run=serve)

    command = commands.add_parser("redecide", help="make every decision again from its record, and compare")
    _sources(command)
    command.add_argument("--json", action="store_true", help="differences as JSON Lines")
    command.set_defaults(run=redecide)

    command = commands.add_parser("explain", help="rules passed over and why, candidates and why not, the winner")
    command.add_argument("ticket", metavar="TICKET", help="a ticket's id, or a .json file with its facts")
    command.add_argument("--at", type=parse_instant, required=True, metavar="INSTANT", help="2026-03-06T17:59:59Z")
    _sources(command)
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=explained)

    command = commands.add_parser("coverage", help="the week as a picture, hour by tier, with its gaps")
    command.add_argument("--agreement", type=Path, required=True, metavar="FILE")
    command.add_argument("--week", type=_day, default=date(2026, 3, 2), metavar="DATE", help="its first day")
    command.add_argument("--days", type=_days, default=7, help="how many, up to 400 (%(default)s)")
    command.add_argument(
        "--calendar", metavar="NAME", help="whose zone the hours are of; default: that of the first internal queue"
    )
    command.add_argument("--language", default="en", help="of the tickets asked about")
    command.add_argument("--page", type=Path, metavar="FILE", help="write it as a page with a chart")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=covered)

    command = commands.add_parser("whatif", help="a history through an agreement that is not signed yet")
    command.add_argument("--agreement", type=Path, required=True, metavar="CANDIDATE", help="the YAML to try")
    command.add_argument("--against", type=Path, metavar="CURRENT", help="default: the agreements of the history")
    command.add_argument(
        "--history",
        type=Path,
        metavar="PATH",
        help="a feed file (ServiceNow's incident log, JSON Lines; plain or gzip), `week` for the generated one, or a "
        "replay's OUT directory; default: the topics of a desk",
    )
    _broker(command)
    command.add_argument(
        "--calendar", metavar="NAME", help="what after hours is; default: that of the first internal queue"
    )
    command.add_argument("--page", type=Path, metavar="FILE", help="write a page with charts, and every ticket moved")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=tried)
    return parser


def _sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, metavar="DIR", help="a replay's directory; default: the topics")
    _broker(command)
    command.add_argument(
        "--agreement", type=Path, metavar="FILE", help="another agreement (YAML, or a replay's directory)"
    )


def _broker(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bootstrap",
        default=os.environ.get("RELAYDESK_BOOTSTRAP", "127.0.0.1:9092"),
        help="the broker of the topics (RELAYDESK_BOOTSTRAP; %(default)s)",
    )
    command.add_argument(
        "--topic-prefix",
        "--prefix",
        dest="prefix",
        default=os.environ.get("RELAYDESK_TOPIC_PREFIX", ""),
        help="of the desk's topics (RELAYDESK_TOPIC_PREFIX)",
    )


if __name__ == "__main__":
    raise SystemExit(main())
