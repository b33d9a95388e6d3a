"""`python -m relaydesk_observe write | check`: the dashboards and the reference of the metrics, from the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from relaydesk_observe import dashboards, reference

ROOT = Path(__file__).parents[3]


def main(arguments: list[str] | None = None) -> int:
    """0: done; 1: a file differs from what the code says."""
    parser = argparse.ArgumentParser(prog="python -m relaydesk_observe", description=__doc__)
    parser.add_argument("command", choices=["write", "check"], help="write the files, or name those that differ")
    options = parser.parse_args(arguments)
    wanted = files()
    if options.command == "write":
        for path, content in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return 0
    differing = [path for path, content in wanted.items() if not path.exists() or path.read_text() != content]
    stale = [path for path in (ROOT / "deploy/grafana/dashboards").glob("*.json") if path not in wanted]
    for path in (*differing, *stale):
        print(f"{path.relative_to(ROOT)} is not what the code says: make dashboards", file=sys.stderr)
    return 1 if differing or stale else 0


def files() -> dict[Path, str]:
    """Path -> content of all that is written."""
    found = {ROOT / "docs/metrics.md": reference.page()}
    for name, content in dashboards.written().items():
        found[ROOT / "deploy/grafana/dashboards" / f"{name}.json"] = content
    return found


if __name__ == "__main__":
    sys.exit(main())
