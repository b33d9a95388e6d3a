"""`python -m ticket_audit DIR`: checks the eight invariants over an exported history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from ticket_audit.history import read_history
from ticket_audit.invariants import audit


def main(arguments: list[str] | None = None) -> int:
    """0: all hold; 1: violations; 2: the directory cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m ticket_audit",
        description="Checks the eight invariants over the topics that a replay exported "
        "(`make replay FEED=… OUT=DIR`), from what stands there alone.",
    )
    parser.add_argument("directory", type=Path, help="an export: <topic>.jsonl for each topic")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(
            f"{options.directory} is no directory; make one with `make replay FEED=FILE OUT={options.directory}`"
        )
    try:
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


if __name__ == "__main__":
    raise SystemExit(main())
