"""`python -m ticket_audit DIR`: checks the eight invariants over an exported history, or tells of its transfers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from ticket_audit.history import read_history
from ticket_audit.invariants import audit
from ticket_audit.transfers import TOPICS, Transfers, transfers


def main(arguments: list[str] | None = None) -> int:
    """0: all hold; 1: violations; 2: the directory cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m ticket_audit",
        description="Checks the eight invariants over the topics that a replay exported "
        "(`make replay FEED=… OUT=DIR`), from what stands there alone.",
    )
    parser.add_argument("directory", type=Path, help="an export: <topic>.jsonl for each topic")
    parser.add_argument(
        "--transfers",
        action="store_true",
        help="instead: what each kind of transfer carried, who had no owner, how often the source changed a group, "
        "and the tickets that came back to where they had been",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(
            f"{options.directory} is no directory; make one with `make replay FEED=FILE OUT={options.directory}`"
        )
    try:
        if options.transfers:
            _show_transfers(transfers(read_history(options.directory, *TOPICS)), as_json=options.json)
            return 0
        findings = audit(read_history(options.directory))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(msgspec.json.encode({str(f.number): f for f in findings}).decode())
    else:
        for finding in findings:
            mark = "ok  " if finding.checked and not finding.violations else "FAIL" if finding.violations else "none"
            counts = f"{finding.checked:,} checked, {finding.violations:,} violations"
            print(f"{mark} {finding.number} {finding.title}: {counts}")
            for example in finding.examples:
                print(f"       {example}")
    return 1 if any(finding.violations for finding in findings) else 0


def _show_transfers(found: Transfers, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    for cause, kind in found.kinds.items():
        parts = ", ".join(f"{name} {count:,}" for name, count in kind.parts.items() if count)
        print(f"{cause}: {kind.offers:,} offers; with {parts}")
        asked = ", ".join(
            f"{name} {count:,}" + (f" ({kind.missing[name]:,} without)" if kind.missing[name] else "")
            for name, count in kind.required.items()
        )
        print(f"    required: {asked or 'nothing'}; lacking one of these: {kind.lacking:,}")
    print(f"{sum(found.unowned.values()):,.0f} s without an owner, from first to last, over {found.tickets:,} tickets:")
    for ticket, seconds in found.unowned.items():
        print(f"    {ticket}: {seconds:,.0f} s")
    print(
        f"{found.changes:,} changes of group that the source shows: an event names another group than the ticket's "
        "last event that named one"
    )
    print(f"{found.moved:,} transfers that the source opened, by such a change or by a later event's first group")
    print(f"{len(found.exposed):,} offers showed what a contract no longer allows, until they were taken back:")
    for seen in found.exposed:
        print(f"    {seen.ticket}: {seen.queue} saw {', '.join(seen.fields)} from {seen.since} until {seen.until}")
    for what, returns in (("groups", found.groups), ("queues", found.queues)):
        print(f"{len(returns):,} tickets went A -> B -> A between {what}, from the second straight back to the first:")
        for each in returns:
            print(f"    {each.ticket}: {' -> '.join(each.path)}")


if __name__ == "__main__":
    raise SystemExit(main())
