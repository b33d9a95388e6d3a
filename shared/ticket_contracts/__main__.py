"""`python -m ticket_contracts agreement check|publish|show`: the document that both sides sign."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ticket_contracts.agreement import Agreement, Published, digest
from ticket_contracts.agreement.calendars import compile_calendars
from ticket_contracts.agreement.coverage import (
    Gap,
    SpecialGap,
    coverage,
    gap_spans,
    gaps_of,
    home_calendar,
    special_gaps,
    special_of,
    special_spans,
    whom,
)
from ticket_contracts.agreement.publishing import Refused, publish, read_versions
from ticket_contracts.agreement.reading import AgreementError, read_agreement
from ticket_contracts.cloudevents import instant_text, parse_instant

_ABOUT = """\
The agreement is one YAML document that holds all that both sides sign: taxonomy, priority matrix, calendars, owners,
partners and what they may see, queues, routing rules, SLAs and transfers. Its version is a digest of its content."""

_EXAMPLES = """\
examples:
  python -m ticket_contracts agreement check deploy/agreements/default.yaml
  python -m ticket_contracts agreement publish my-desk.yaml --effective-at 2026-03-02T09:00:00Z \\
      --approve 'Our Company=Jane Doe' --approve 'The Partner=Juan Cruz'
  python -m ticket_contracts agreement show
  python -m ticket_contracts agreement show 3f1c --json"""


def main(arguments: list[str] | None = None) -> int:
    """0: done; 1: the document cannot be signed, or was refused; 2: wrong usage, or a file or broker is not there."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say arrives here as an exception
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except AgreementError as error:
        if options.json:
            _json({"ok": False, "problems": error.problems})
        else:
            print(error)
            count = len(error.problems)
            print(
                f"\n{count} {'thing' if count == 1 else 'things'} to mend before this can be signed.", file=sys.stderr
            )
        return 1
    except Refused as error:
        return _failed(options, str(error), 1)
    except BrokenPipeError:  # who reads on has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ticket_contracts", description="Relaydesk's contracts.")
    agreement = parser.add_subparsers(required=True, metavar="agreement").add_parser(
        "agreement",
        help="check, publish and show the agreement",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = agreement.add_subparsers(required=True, metavar="check|publish|show")

    check = commands.add_parser(
        "check",
        help="say whether a document can be signed, else what to mend and where",
        description="Reads a document and checks it as a whole: its form, every name it uses, rules that can never be "
        "reached, and that somebody of the company's side always answers. Each line of output is "
        "FILE:LINE:COLUMN: PLACE: what is wrong; how to mend it. Of a document that can be signed, every minute of a "
        "year is looked at, holidays and changes of the clock included, for each tier and category: where no queue is "
        "open, the duty owner who then answers is named.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="the YAML document")
    check.add_argument(
        "--from",
        dest="begin",
        type=_first_day,
        metavar="DATE",
        help="the first day of the year over which every minute is looked at (default: today)",
    )
    check.add_argument("--language", default="en", help="of the tickets asked about (%(default)s)")
    check.set_defaults(run=_check)

    put = commands.add_parser(
        "publish",
        help="bring a document into force at an instant",
        description="Writes a checked document to desk.agreement, where it stays for ever. It holds for every decision "
        "that is made for --effective-at or later. A desk's first version takes effect at once; a later one needs 60 "
        "seconds of notice, so that every service knows it. Every party must have approved, by name.",
    )
    put.add_argument("file", type=Path, metavar="FILE", help="the YAML document")
    put.add_argument(
        "--effective-at",
        type=_instant,
        metavar="INSTANT",
        help="as 2026-03-02T09:00:00Z; may be left away for a desk's first",
    )
    put.add_argument(
        "--approve",
        action="append",
        default=[],
        type=_approval,
        metavar="PARTY=NAME",
        help="who approved for a party, named as in the document; once for each party",
    )
    put.set_defaults(run=_publish)

    show = commands.add_parser(
        "show",
        help="list the versions of a desk, or print one",
        description="Without VERSION: every version, who approved it, from when it holds, and which is in force now. "
        "With VERSION (its first digits will do): the document, as YAML.",
    )
    show.add_argument("version", nargs="?", metavar="VERSION", help="a version's digest or its beginning")
    show.set_defaults(run=_show)

    for command in (check, put, show):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    for command in (put, show):
        command.add_argument(
            "--bootstrap",
            default=os.environ.get("RELAYDESK_BOOTSTRAP", "127.0.0.1:9092"),
            help="the broker (RELAYDESK_BOOTSTRAP; %(default)s)",
        )
        command.add_argument(
            "--topic-prefix",
            default=os.environ.get("RELAYDESK_TOPIC_PREFIX", ""),
            help="of the desk's topics (RELAYDESK_TOPIC_PREFIX)",
        )
    return parser


def _first_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date ({error}); write it as 2026-03-02") from None
    if not 1901 <= day.year <= 2197:
        raise argparse.ArgumentTypeError(f"{text} is not in the years 1901 to 2197, for which calendars are known")
    return day


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; write it as 2026-03-02T09:00:00Z") from None


def _approval(text: str) -> tuple[str, str]:
    party, equals, name = text.partition("=")
    if not equals or not party.strip() or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not PARTY=NAME")
    return party.strip(), name.strip()


def _check(options: argparse.Namespace) -> int:
    agreement = _read(options)
    counts = _counts(agreement)
    calendars = compile_calendars(agreement)
    home = home_calendar(agreement)
    zone = calendars[home].zone if home is not None else UTC
    begin = datetime.combine(options.begin or datetime.now(zone).date(), time(), zone)
    until = begin.replace(year=begin.year + 1) if (begin.month, begin.day) != (2, 29) else begin + timedelta(days=366)
    stretches = coverage(agreement, calendars, begin, until, options.language)
    special = special_spans(agreement, calendars, begin, until, options.language)
    if options.json:
        _json(
            {
                "ok": True,
                "version": digest(agreement),
                "title": agreement.title,
                **counts,
                "problems": [],
                "coverage": {
                    "begin": begin,
                    "until": until,
                    "duty": agreement.duty,
                    "gaps": gap_spans(stretches),
                    "special": special,
                },
            }
        )
    else:
        print(f"{options.file} can be signed: {agreement.title}")
        print(f"version   {digest(agreement)}")
        for name, count in counts.items():
            print(f"{name.replace('_', ' '):<22} {count}")
        print("\n".join(_coverage(agreement, gaps_of(stretches, zone), special_gaps(special, zone), begin, until)))
    return 0


def _coverage(
    agreement: Agreement, gaps: list[Gap], special: list[SpecialGap], begin: datetime, until: datetime
) -> list[str]:
    """What the look at every minute showed."""
    owner = agreement.owners[agreement.duty]
    lines = [
        "",
        f"Every minute from {begin:%Y-%m-%d} to {until:%Y-%m-%d} ({begin.tzinfo}), holidays and clock changes too:",
        f"each tier and category has an open queue or the {owner.title} ({', '.join(owner.members)}).",
    ]
    if not gaps and not special:
        return [*lines, f"At no minute is the {owner.title} alone."]
    if gaps:
        lines.append(f"The {owner.title} is alone:")
    for gap in gaps[:_SHOWN_GAPS]:
        tiers = ",".join(map(str, gap.tiers))
        lines.append(f"  tier {tiers:<7} {_when(gap, begin.tzinfo)}  {whom(agreement, gap.gaps)}")
    if len(gaps) > _SHOWN_GAPS:
        hours = sum(gap.seconds for gap in gaps[_SHOWN_GAPS:]) / 3600
        lines.append(f"  and {len(gaps) - _SHOWN_GAPS} more, {hours:g} h: --json shows all")
    if special:
        lines.append(f"The {owner.title} is {'also ' if gaps else ''}alone with special tickets:")
    lines += [
        f"  {_when(alone, begin.tzinfo)}  {special_of(alone.rule, alone.traits, alone.example)}"
        for alone in special[:_SHOWN_GAPS]
    ]
    if len(special) > _SHOWN_GAPS:
        lines.append(f"  and {len(special) - _SHOWN_GAPS} more: --json shows all")
    return lines


def _when(gap: Gap | SpecialGap, zone: tzinfo | None) -> str:
    """When in the week, how often and how long."""
    first = gap.first.astimezone(zone)
    often = f"{gap.times} times from {first:%Y-%m-%d}" if gap.times > 1 else f"{first:%Y-%m-%d}"
    return f"{_WEEKDAYS[gap.weekday]} {gap.clock:<24} {often:<25} {gap.seconds / 3600:6g} h"


_SHOWN_GAPS = 24
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _counts(agreement: Agreement) -> dict[str, Any]:
    models = Counter(queue.support_model for queue in agreement.queues.values())
    return {
        "parties": len(agreement.parties),
        "categories": len(agreement.ancestors),
        "classification_rules": len(agreement.classification.rules),
        "queues": len(agreement.queues),
        **{f"{model}_queues": models[model] for model in sorted(models)},
        "routing_rules": len(agreement.routing.rules),
        "policies": len(agreement.sla),
    }


def _publish(options: argparse.Namespace) -> int:
    approvals = dict(options.approve)
    if len(approvals) != len(options.approve):
        raise Refused("a party is named twice with --approve; name each once")
    agreement = _read(options)
    published = _ask(
        options,
        publish(
            options.bootstrap,
            agreement,
            now=datetime.now(UTC),
            effective_at=options.effective_at,
            approvals=approvals,
            prefix=options.topic_prefix,
        ),
    )
    if options.json:
        _json({"ok": True, **_summary(published)})
    else:
        print(f"published {published.version}, in force from {instant_text(published.effective_at)}: {agreement.title}")
    return 0


def _show(options: argparse.Namespace) -> int:
    versions: list[Published] = sorted(
        _ask(options, read_versions(options.bootstrap, options.topic_prefix)), key=lambda v: v.effective_at
    )
    now = datetime.now(UTC)
    current = next(
        (v.version for v in reversed(versions) if v.effective_at <= now), versions[0].version if versions else None
    )
    if options.version is not None:
        return _show_one(options, [v for v in versions if v.version.startswith(options.version)])
    if options.json:
        _json({"versions": [{**_summary(v), "in_force": v.version == current} for v in versions]})
        return 0
    if not versions:
        print("no version has been published yet; `python -m ticket_contracts agreement publish FILE` does it")
    for version in versions:
        mark = "in force" if version.version == current else "        "
        who = ", ".join(f"{a.name} for {a.party}" for a in version.approvals)
        print(f"{version.version}  {mark}  from {instant_text(version.effective_at)}  {version.agreement.title}")
        print(f"    approved by {who}")
    return 0


def _show_one(options: argparse.Namespace, matching: list[Published]) -> int:
    if len(matching) != 1:
        found = ", ".join(v.version for v in matching)
        what = (
            f"{options.version} stands for {found}; write more digits"
            if found
            else f"no version begins with {options.version}"
        )
        raise Refused(what)
    [version] = matching
    content = version.agreement.model_dump(mode="json", exclude_defaults=True)
    if options.json:
        _json({**_summary(version), "agreement": content})
    else:
        print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=130), end="")
    return 0


def _summary(version: Published) -> dict[str, Any]:
    return {
        "version": version.version,
        "effective_at": instant_text(version.effective_at),
        "title": version.agreement.title,
        "approvals": [{"party": a.party, "name": a.name, "at": instant_text(a.at)} for a in version.approvals],
    }


def _read(options: argparse.Namespace) -> Agreement:
    file: Path = options.file
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(_failed(options, f"cannot read {file}: {error}", 2)) from None
    return read_agreement(text, str(file))


def _ask(options: argparse.Namespace, answer: Any) -> Any:
    """The broker's answer; a broker that gives none is said in one line."""
    from aiokafka.errors import KafkaError

    try:
        return asyncio.run(answer)
    except KafkaError as error:
        raise SystemExit(
            _failed(options, f"no answer from the broker at {options.bootstrap} ({error}); is the desk running?", 2)
        ) from None


def _failed(options: argparse.Namespace, what: str, code: int) -> int:
    if options.json:
        _json({"ok": False, "error": what})
    print(what, file=sys.stderr)
    return code


def _json(value: object) -> None:
    print(msgspec.json.encode(value).decode())


if __name__ == "__main__":
    raise SystemExit(main())
