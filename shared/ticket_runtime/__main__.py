"""`python -m ticket_runtime dead-letters list|show|replay|discard` and `follow TICKET`"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import msgspec
from aiokafka.errors import KafkaConnectionError, KafkaError

from ticket_runtime.dead_letters import DeadLetter, Filter, Resolution, connect, shown, shown_whole
from ticket_runtime.following import follow
from ticket_runtime.settings import RuntimeSettings

_TEACHES = """\
A message that a service can never handle is put on <topic>.dead-letter, untouched, with why in its headers; the
messages after it go on. It is somebody's ticket, so look at it:

  %(prog)s list                                         what is open
  %(prog)s list --source jira --since 2h                what one tool has sent in the last two hours
  %(prog)s show tickets.normalized/2/17                 one of them: the place that failed, its headers, its message
  %(prog)s replay tickets.normalized/2/17               after the cause was mended: handle it again
  %(prog)s replay --all --group intake --reason-like "not in the map" --dry-run
  %(prog)s discard inbound.web/0/3 --reason "a load test"

An id is topic, partition and offset of the dead letter. `replay` sends the message to its topic again, for the service
that it failed for alone: the others pass it by. Where that service has meanwhile handled something newer of the same
ticket, nothing is sent and the dead letter is recorded as superseded, for an old state must not overwrite a newer one
(intake alone puts what comes late where it belongs, so nothing supersedes what it could not read). --dry-run says what
would be done.
"""


def main(arguments: list[str] | None = None) -> int:
    """0: done. 1: nothing there, or no broker. 2: wrong usage."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what a person needs of it is said below
    return asyncio.run(run(arguments))


async def run(arguments: list[str] | None = None) -> int:
    """`main` inside a running event loop."""
    options = _parser().parse_args(arguments)
    try:
        code: int = await options.run(options)
        return code
    except KafkaConnectionError:
        print(f"no broker answers at {options.bootstrap}: is the desk up? (--bootstrap)", file=sys.stderr)
    except KafkaError as error:
        print(f"the broker refused: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    settings = RuntimeSettings()
    parser = argparse.ArgumentParser(prog="python -m ticket_runtime", description="Operating the services of a desk.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    letters = commands.add_parser(
        "dead-letters",
        help="messages that could not be handled",
        description=_TEACHES % {"prog": "python -m ticket_runtime dead-letters"},
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    letters.set_defaults(run=_run)
    actions = letters.add_subparsers(required=True, metavar="ACTION", dest="action")

    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--topic", help="only those of this topic, as in tickets.normalized")
    which.add_argument("--group", "--service", help="only those that failed for this service")
    which.add_argument("--source", help="only those that came from this tool, as in jira")
    which.add_argument("--reason-like", metavar="TEXT", help="only those whose reason holds this text")
    which.add_argument(
        "--since", type=_instant, metavar="WHEN", help="not before: 30m, 2h, 3d, or an instant (RFC 3339)"
    )
    which.add_argument("--until", type=_instant, metavar="WHEN", help="before: the same")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="JSON Lines, one object a line")
    common.add_argument("--bootstrap", default=settings.bootstrap, help="broker (default %(default)s)")
    common.add_argument("--prefix", default=settings.topic_prefix, help="topic prefix of the desk (default none)")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("ids", nargs="*", metavar="ID", help="topic/partition/offset, as `list` shows it")
    chosen.add_argument("--all", action="store_true", help="all open ones that the filters leave")
    chosen.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    chosen.add_argument("--by", default=getpass.getuser(), help="who decides (default: %(default)s)")

    following = commands.add_parser(
        "follow",
        parents=[common],
        help="what happened to one ticket, on all topics, in order",
        description="Shows every record that speaks of a ticket: when, on which topic, what it is, and the id of what "
        "it followed from. All that one message led to has one trace id, which log lines about it name as well.",
    )
    following.add_argument("ticket", metavar="TICKET", help="its id, as in generic:main:DEMO-1")
    following.set_defaults(run=_follow)

    listing = actions.add_parser("list", parents=[which, common], help="the open ones")
    listing.add_argument("--resolved", action="store_true", help="also those that something was decided about")
    show = actions.add_parser("show", parents=[common], help="one, with its message")
    show.add_argument("ids", nargs=1, metavar="ID")
    show.add_argument("--whole", action="store_true", help="the message in full, not its first 2,000 characters")
    actions.add_parser("replay", parents=[chosen, which, common], help="handle again, after the cause was mended")
    discard = actions.add_parser("discard", parents=[chosen, which, common], help="put aside for good")
    discard.add_argument("--reason", required=True, help="why, for whoever asks later")
    return parser


def _instant(text: str) -> datetime:
    """`2h`: so long ago; else an instant. Raises ArgumentTypeError."""
    ago = re.fullmatch(r"(\d{1,5})([smhd])", text)
    if ago is not None:
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
        return datetime.now(UTC) - timedelta(**{unit: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write 30m, 2h, 3d, or an instant as 2026-03-02T09:00:00Z"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


async def _follow(options: argparse.Namespace) -> int:
    found = await follow(options.bootstrap, options.prefix, options.ticket)
    if not found:
        print(f"No topic holds anything of {options.ticket}; its id is source:instance:number.", file=sys.stderr)
        return 1
    for seen in found:
        if options.json:
            print(msgspec.json.encode(seen).decode())
            continue
        kind = seen.type.removeprefix("relaydesk.") or "message"
        trace = seen.traceparent.split("-")[1][:8]
        print(f"{seen.at:<27} {seen.topic:<24} {kind:<26} {seen.id[:8]} ← {seen.cause[:8]:<8}  trace {trace}")
    return 0


async def _run(options: argparse.Namespace) -> int:
    async with connect(options.bootstrap, options.prefix) as letters:
        found = await letters.all()
        if options.action == "list":
            chosen = [letter for letter in found if _filter(options).takes(letter)]
            for letter in chosen:
                print(json.dumps(shown(letter)) if options.json else _line(letter))
            if not chosen and not options.json:
                print("There are no dead letters." if not found else "None of the dead letters is open and fits.")
            return 0
        chosen = _chosen(found, options)
        if not chosen:
            return 1
        if options.action == "show":
            (letter,) = chosen
            try:
                value = await letters.value(letter)
            except LookupError as gone:
                print(gone, file=sys.stderr)
                return 1
            print(json.dumps(shown_whole(letter, value)) if options.json else _story(letter, value, options.whole))
            return 0
        if options.action == "replay":
            done = await letters.replay(chosen, options.by, dry_run=options.dry_run)
        else:
            done = await letters.discard(chosen, options.by, options.reason, dry_run=options.dry_run)
        for letter, resolution in done:
            print(json.dumps(shown(letter, resolution)) if options.json else _line(letter, resolution))
        if options.dry_run and not options.json:
            print(f"Nothing was done: --dry-run. {len(done)} dead letters would be as above.")
        return 0


def _filter(options: argparse.Namespace) -> Filter:
    return Filter(
        topic=options.topic,
        group=options.group,
        source=options.source,
        reason=options.reason_like,
        since=options.since,
        until=options.until,
        resolved=getattr(options, "resolved", False),
    )


def _chosen(found: list[DeadLetter], options: argparse.Namespace) -> list[DeadLetter]:
    if getattr(options, "all", False):
        chosen = [letter for letter in found if _filter(options).takes(letter)]
        if not chosen:
            print("There is no open dead letter of these.", file=sys.stderr)
        return chosen
    by_id = {letter.id: letter for letter in found}
    if not options.ids:
        print("Name the dead letters, or say --all; `list` shows them.", file=sys.stderr)
    for unknown in [i for i in options.ids if i not in by_id]:
        print(f"There is no dead letter {unknown}; `list --resolved` shows all.", file=sys.stderr)
    for done in [i for i in options.ids if i in by_id and by_id[i].resolution is not None]:
        if options.action != "show":
            resolution = by_id[done].resolution
            assert resolution is not None
            print(f"{done} was {resolution.outcome} on {resolution.at:%Y-%m-%d} already.", file=sys.stderr)
    chosen = [by_id[i] for i in options.ids if i in by_id]
    return [letter for letter in chosen if options.action == "show" or letter.resolution is None]


def _line(letter: DeadLetter, resolution: Resolution | None = None) -> str:
    decided = resolution or letter.resolution
    state = "open" if decided is None else decided.outcome
    said = decided.reason if decided is not None and decided.reason else letter.reason
    what = _text(letter.key) or letter.source or "-"
    return f"{letter.id:<32} {letter.at:%Y-%m-%d %H:%M} {state:<10} {letter.group:<12} {what:<30} {said[:160]}"


def _story(letter: DeadLetter, value: bytes | None, whole: bool) -> str:
    row = shown(letter)
    names = ("id", "group", "source", "key", "at", "error", "reason", "path", "bytes")
    lines = [f"{name:<12}{row[name]}" for name in names if row[name] is not None]
    lines.insert(1, f"{'failed at':<12}{letter.topic}, partition {letter.partition}, offset {letter.offset}")
    if letter.resolution is not None:
        decided = letter.resolution
        lines.append(f"{decided.outcome:<12}{decided.at:%Y-%m-%d %H:%M} UTC by {decided.by} {decided.reason}")
    lines += ["", *(f"{name}: {_text(said)}" for name, said in letter.headers), ""]
    text = _message(value, letter.path)
    lines.append(text if whole or len(text) <= 2_000 else f"{text[:2_000]}… (--whole shows all)")
    return "\n".join(lines)


def _message(value: bytes | None, path: str | None) -> str:
    """JSON on lines of its own, an arrow before those that the path that failed names; anything else as it is."""
    if value is None:
        return "(no value)"
    try:
        lines = msgspec.json.format(value, indent=2).decode().splitlines()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value.decode(errors="replace")
    named = {f'"{name}"' for name in re.findall(r"[A-Za-z_][\w-]*", path or "")}
    marks = ("->" if line.strip().partition(":")[0] in named else "  " for line in lines)
    return "\n".join(f"{mark} {line}" if path else line for mark, line in zip(marks, lines, strict=True))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


if __name__ == "__main__":
    raise SystemExit(main())
