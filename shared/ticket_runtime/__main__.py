"""`python -m ticket_runtime dead-letters list|show|replay|discard`"""

from __future__ import annotations

import argparse
import asyncio
import base64
import getpass
import json
import logging
import sys
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError

from ticket_runtime.dead_letters import DeadLetter, Resolution, connect
from ticket_runtime.settings import RuntimeSettings

_TEACHES = """\
A message that a service can never handle is put on <topic>.dead-letter, untouched, with why in its headers; the
messages after it go on. It is somebody's ticket, so look at it:

  %(prog)s list                                  what is open
  %(prog)s show tickets.normalized/2/17          one of them, with its headers and its message
  %(prog)s replay tickets.normalized/2/17        after the cause was mended: handle it again
  %(prog)s replay --all --group classifier       all that failed for one service
  %(prog)s discard inbound.web/0/3 --reason "a load test"

An id is topic, partition and offset of the dead letter. `replay` sends the message to its topic again, for the service
that it failed for alone: the others pass it by. Where that service has meanwhile handled something newer of the same
ticket, nothing is sent and the dead letter is recorded as superseded, for an old state must not overwrite a newer one.
"""


def main(arguments: list[str] | None = None) -> int:
    """0: done. 1: nothing there, or no broker. 2: wrong usage."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what a person needs of it is said below
    return asyncio.run(run(arguments))


async def run(arguments: list[str] | None = None) -> int:
    """`main` inside a running event loop."""
    options = _parser().parse_args(arguments)
    try:
        return await _run(options)
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
    actions = letters.add_subparsers(required=True, metavar="ACTION", dest="action")

    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--topic", help="only those of this topic, as in tickets.normalized")
    which.add_argument("--group", help="only those that failed for this service")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="JSON Lines, one object for each dead letter")
    common.add_argument("--bootstrap", default=settings.bootstrap, help="broker (default %(default)s)")
    common.add_argument("--prefix", default=settings.topic_prefix, help="topic prefix of the desk (default none)")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("ids", nargs="*", metavar="ID", help="topic/partition/offset, as `list` shows it")
    chosen.add_argument("--all", action="store_true", help="all open ones that --topic and --group leave")
    chosen.add_argument("--by", default=getpass.getuser(), help="who decides (default: %(default)s)")

    listing = actions.add_parser("list", parents=[which, common], help="the open ones")
    listing.add_argument("--resolved", action="store_true", help="also those that something was decided about")
    show = actions.add_parser("show", parents=[common], help="one, with its message")
    show.add_argument("ids", nargs=1, metavar="ID")
    show.add_argument("--whole", action="store_true", help="the message in full, not its first 2,000 characters")
    actions.add_parser("replay", parents=[chosen, which, common], help="handle again, after the cause was mended")
    discard = actions.add_parser("discard", parents=[chosen, which, common], help="put aside for good")
    discard.add_argument("--reason", required=True, help="why, for whoever asks later")
    return parser


async def _run(options: argparse.Namespace) -> int:
    async with connect(options.bootstrap, options.prefix) as letters:
        found = await letters.all()
        if options.action == "list":
            chosen = [f for f in _filtered(found, options) if options.resolved or f.resolution is None]
            for letter in chosen:
                print(json.dumps(_row(letter)) if options.json else _line(letter))
            if not chosen and not options.json:
                print("There are no dead letters." if not found else "None of the dead letters is open.")
            return 0
        chosen = _chosen(found, options)
        if not chosen:
            return 1
        if options.action == "show":
            print(json.dumps(_whole_row(chosen[0])) if options.json else _story(chosen[0], whole=options.whole))
            return 0
        if options.action == "replay":
            done = await letters.replay(chosen, options.by)
        else:
            done = await letters.discard(chosen, options.by, options.reason)
        for letter, resolution in done:
            print(json.dumps(_row(letter, resolution)) if options.json else _line(letter, resolution))
        return 0


def _filtered(found: list[DeadLetter], options: argparse.Namespace) -> list[DeadLetter]:
    return [
        letter for letter in found if options.topic in (None, letter.topic) and options.group in (None, letter.group)
    ]


def _chosen(found: list[DeadLetter], options: argparse.Namespace) -> list[DeadLetter]:
    if getattr(options, "all", False):
        chosen = [letter for letter in _filtered(found, options) if letter.resolution is None]
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


def _row(letter: DeadLetter, resolution: Resolution | None = None) -> dict[str, Any]:
    decided = resolution or letter.resolution
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "group": letter.group,
        "key": _text(letter.key),
        "at": letter.at.isoformat(),
        "error": letter.error,
        "reason": letter.reason,
        "bytes": len(letter.value or b""),
        "resolution": None
        if decided is None
        else {
            "outcome": decided.outcome,
            "at": decided.at.isoformat(),
            "by": decided.by,
            "reason": decided.reason,
        },
    }


def _whole_row(letter: DeadLetter) -> dict[str, Any]:
    """With the message, in base64: it may be anything."""
    value = None if letter.value is None else base64.b64encode(letter.value).decode()
    return {**_row(letter), "headers": {name: _text(said) for name, said in letter.headers}, "value_base64": value}


def _line(letter: DeadLetter, resolution: Resolution | None = None) -> str:
    decided = resolution or letter.resolution
    state = "open" if decided is None else decided.outcome
    said = decided.reason if decided is not None and decided.reason else letter.reason
    return f"{letter.id:<32} {state:<10} {letter.group:<12} {_text(letter.key) or '-':<36} {said[:160]}"


def _story(letter: DeadLetter, *, whole: bool) -> str:
    row = _row(letter)
    lines = [f"{name:<12}{row[name]}" for name in ("id", "group", "key", "at", "error", "reason", "bytes")]
    lines.insert(1, f"{'failed at':<12}{letter.topic}, partition {letter.partition}, offset {letter.offset}")
    if letter.resolution is not None:
        decided = letter.resolution
        lines.append(f"{decided.outcome:<12}{decided.at:%Y-%m-%d %H:%M} UTC by {decided.by} {decided.reason}")
    lines += ["", *(f"{name}: {_text(said)}" for name, said in letter.headers), ""]
    text = _text(letter.value) or "(no value)"
    lines.append(text if whole or len(text) <= 2_000 else f"{text[:2_000]}… (--whole shows all)")
    return "\n".join(lines)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


if __name__ == "__main__":
    raise SystemExit(main())
