"""`python -m sla_monitor`: the service, and its commands for people."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from business_calendar import CalendarError, compile_calendar, local_time, offset_changes
from business_calendar.cases import evaluate
from sla_monitor import offline
from sla_monitor.adapters.recorded import Recorded, RecordedError, from_broker, from_directory
from sla_monitor.baseline.commands import add_to as add_baseline
from sla_monitor.domain.digest import as_text as digest_as_text
from sla_monitor.domain.digest import digests
from sla_monitor.domain.explain import as_text, explain
from sla_monitor.facts.commands import add_to as add_facts
from sla_monitor.handlers import INPUTS, SlaWork
from sla_monitor.review.commands import add_to as add_review
from ticket_contracts.agreement.calendars import calendar_spec
from ticket_contracts.agreement.reading import AgreementError, read_agreement
from ticket_contracts.cloudevents import encode, parse_instant
from ticket_contracts.sla import ClockEvent
from ticket_runtime.context import TaskContext
from ticket_runtime.settings import CannotRun

DAY = 86_400
_SETTLING_SECONDS = 3.0
"""A desk at work has said by then what it was about to say."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: something differs; 2: it could not be read."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except (RecordedError, AgreementError, CalendarError, CannotRun, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sla_monitor", description="Decides what time is left.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the service; settings are RELAYDESK_* in the environment")
    serve.set_defaults(run=_serve)

    calendar = commands.add_parser("calendar", help="questions to working time").add_subparsers(required=True)
    evaluation = calendar.add_parser("eval", help="answer the rows of a file, one JSON line each")
    evaluation.add_argument("file", metavar="FILE.jsonl", help="`-`: standard input")
    evaluation.set_defaults(run=_evaluate)
    preview = calendar.add_parser("preview", help="show the windows, holidays and clock changes ahead")
    preview.add_argument("name", metavar="NAME", help="of a calendar of the agreement")
    preview.add_argument("--agreement", type=Path, required=True, metavar="FILE")
    preview.add_argument("--days", type=_preview_days, default=14, metavar="N", help="1 to 3660; by default 14")
    preview.add_argument("--from", dest="first", type=_date, metavar="YYYY-MM-DD", help="by default today")
    preview.set_defaults(run=_preview)

    for name, run, what in (
        ("redecide", _redecide, "make every recorded clock event again from its own inputs, and compare"),
        ("verify", _verify, "recompute every clock from its ticket's history, and compare with what was said"),
    ):
        command = commands.add_parser(name, help=what)
        _recorded(command)
        command.add_argument("--json", action="store_true", help="the last line only")
        command.set_defaults(run=run)
    explanation = commands.add_parser("explain", help="show a ticket's clocks as one would check them by hand")
    explanation.add_argument("ticket", metavar="TICKET", help="<source>:<instance>:<external id>")
    _recorded(explanation)
    explanation.add_argument("--at", type=_instant, metavar="INSTANT", help="by default its last event")
    explanation.add_argument("--json", action="store_true")
    explanation.set_defaults(run=_explain)
    digest = commands.add_parser("digest", help="take warnings and breaches that fell due together as one")
    _recorded(digest)
    digest.add_argument("--since", type=_instant, metavar="INSTANT", help="due from then on; by default all")
    digest.add_argument(
        "--together", type=_minutes, default=1.0, metavar="MINUTES", help="by default 1; 0: one instant"
    )
    digest.add_argument("--json", action="store_true", help="a JSON line for each, with all its tickets")
    digest.set_defaults(run=_digest)
    add_facts(commands)
    add_review(commands)
    add_baseline(commands)
    return parser


def _preview_days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3660:
        raise argparse.ArgumentTypeError("show 1 to 3660 days")
    return days


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it as 2026-03-24") from None


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 <= minutes <= 1440:
        raise argparse.ArgumentTypeError("give 0 to 1440 minutes")
    return minutes


def _recorded(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="an export of a replay: <topic>.jsonl for each topic")
    where.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker, whose topics are read to their present end")
    command.add_argument("--prefix", default="", help="of the desk's topics on that broker")


def _rows(options: argparse.Namespace) -> list[Recorded]:
    if options.out is not None:
        return list(from_directory(options.out, offline.ALL_TOPICS))
    return from_broker(options.bootstrap, options.prefix, offline.ALL_TOPICS)


def _serve(options: argparse.Namespace) -> int:
    # Here and not above: a question to a calendar need not wait for Kafka's client and a web framework.
    from sla_monitor.adapters.http import add_routes
    from sla_monitor.adapters.measure import SlaMetrics
    from ticket_runtime.service import ServiceSpec, run_service
    from ticket_runtime.settings import RuntimeSettings

    spec = ServiceSpec(name="sla-monitor", inputs=INPUTS, make_work=_make_work, routes=add_routes, observe=SlaMetrics)
    return run_service(spec, RuntimeSettings())


def _make_work(context: TaskContext) -> SlaWork:
    clock = context.clock

    def present() -> datetime | None:
        return None if clock is None or clock.streaming else clock.now()

    return SlaWork(context.agreements, present)


def _evaluate(options: argparse.Namespace) -> int:
    if options.file == "-":
        return _answer(sys.stdin.buffer)
    with Path(options.file).open("rb") as lines:
        return _answer(lines)


def _answer(lines: Iterable[bytes]) -> int:
    """Line by line as bytes: one that is no text is a fault of that row alone."""
    number = 0
    for line in lines:
        if not line.strip():
            continue
        number += 1
        answer: dict[str, Any] = {"row": number}
        try:
            answer |= evaluate(json.loads(line.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            answer["error"] = f"the row is not UTF-8 at byte {error.start + 1}"
        except json.JSONDecodeError as error:
            answer["error"] = f"the row is not JSON at character {error.pos + 1}: {error.msg}"
        except (ValueError, RecursionError) as error:
            answer["error"] = str(error)
        print(json.dumps(answer))  # in ASCII, which every terminal can write: a character it cannot would end the rows
    return 0


def _preview(options: argparse.Namespace) -> int:
    agreement = read_agreement(options.agreement.read_text(encoding="utf-8"), str(options.agreement))
    hours = agreement.calendars.get(options.name)
    if hours is None:
        known = ", ".join(sorted(agreement.calendars))
        raise CalendarError(f"{options.agreement} has no calendar {options.name!r}; it has {known}")
    calendar = compile_calendar(calendar_spec(options.name, hours))
    first = options.first or datetime.now(calendar.zone).date()
    start = int(datetime(first.year, first.month, first.day, tzinfo=calendar.zone).timestamp())
    days = list(calendar.days(start, options.days))
    # From before the first midnight on: at that very instant the clocks may change.
    changes = list(offset_changes(calendar.zone, start - 1, start + (options.days + 1) * DAY))
    print(f"{options.name}, {hours.zone}")
    for day in days:
        windows = [
            f"{local_time(opens, calendar.zone):%H:%M}–{_closing(closes, day.date, calendar.zone)}"
            for opens, closes in day.windows
        ]
        notes = [day.holiday] if day.holiday else []
        if day.special:
            notes.append("hours of its own")
        for change in changes:
            at = local_time(change.at, calendar.zone)
            if at.date() == day.date:
                moved = "forward" if change.after > change.before else "back"
                minutes = abs(change.after - change.before) // 60
                notes.append(f"clocks go {moved} {minutes} minutes, then it is {at:%H:%M} ({at:%Z})")
        print(f"{day.date:%a %Y-%m-%d}  {' '.join(windows) or 'closed':<24}{'; '.join(notes)}".rstrip())
    return 0


def _closing(at: int, day: date, zone: ZoneInfo) -> str:
    """On the clocks; a day's own end as 24:00, which they show as 00:00, or as 01:00 where they go forward then."""
    closes = local_time(at, zone)
    whole = closes.date() > day and local_time(at - 1, zone).date() == day
    return "24:00" if whole else f"{closes:%H:%M}"


def _redecide(options: argparse.Namespace) -> int:
    return _show(offline.redecide(_rows(options)), options)


def _verify(options: argparse.Namespace) -> int:
    if options.out is not None:
        return _show(offline.verify(_rows(options)), options)
    return _show(offline.verify_at_work(lambda: _rows(options), lambda: time.sleep(_SETTLING_SECONDS)), options)


def _digest(options: argparse.Namespace) -> int:
    events = [event for event in offline.clock_events(_rows(options)) if _is_since(event, options.since)]
    for found in digests(events, timedelta(minutes=options.together)):
        print(encode(found).decode() if options.json else digest_as_text(found))
    return 0


def _is_since(event: ClockEvent, since: datetime | None) -> bool:
    return since is None or event.due_at is None or event.due_at >= since


def _show(verdict: offline.Verdict, options: argparse.Namespace) -> int:
    if not options.json:
        for finding in verdict.findings:
            print(finding)
        if verdict.different > len(verdict.findings):
            print(f"… and {verdict.different - len(verdict.findings)} more")
    print(json.dumps({"checked": verdict.checked, "different": verdict.different}))
    return 1 if verdict.different else 0


def _explain(options: argparse.Namespace) -> int:
    work, ticket = offline.one_ticket(_rows(options), options.ticket)
    if ticket is None:
        raise RecordedError(f"nothing is recorded of ticket {options.ticket!r}")
    as_of = ticket.through if options.at is None else int(options.at.astimezone(UTC).timestamp())
    try:
        found = explain(options.ticket, ticket, as_of, work.book)
    except ValueError as error:
        raise RecordedError(f"--at: {error}") from error
    print(encode(found).decode() if options.json else as_text(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
