"""Whether a replay kept what always holds: the audit's eight findings, and every decision made again."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from relaydesk_replay.desk import MODULES

_REDECIDERS = ("classifier", "router", "sla-monitor", "handoff")


class NotJudged(RuntimeError):
    """The audit or a service's `redecide` could not be run; holds what it said."""


@dataclass(slots=True)
class Verdict:
    """invariants: number -> {checked, violations, title, examples}. redecided: {checked, different} over all services;
    differences: what the services said of the decisions that came out otherwise."""

    invariants: dict[str, dict[str, Any]]
    redecided: dict[str, int]
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.redecided["different"] and not any(found["violations"] for found in self.invariants.values())


async def judge(directory: Path) -> Verdict:
    """Of an exported replay. Raises NotJudged."""
    audit, *again = await asyncio.gather(
        _python("ticket_audit", str(directory), "--json"),
        *(_python(MODULES[name], "redecide", "--out", str(directory), "--json") for name in _REDECIDERS),
    )
    verdict = Verdict(msgspec.json.decode(audit[-1]), {"checked": 0, "different": 0})
    for lines in again:
        counts = msgspec.json.decode(lines[-1])
        verdict.redecided["checked"] += counts["checked"]
        verdict.redecided["different"] += counts["different"]
        verdict.differences += lines[:-1]
    return verdict


async def _python(module: str, *arguments: str) -> list[str]:
    """The lines that a command prints. Ends with 0 or 1 mean that it came to a judgement; anything else raises."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    lines = out.decode().splitlines()
    if process.returncode not in (0, 1) or not lines:
        said = err.decode(errors="replace").strip().splitlines()
        raise NotJudged(
            f"python -m {module} {' '.join(arguments)} ended with {process.returncode}: " + "\n".join(said[-5:])
        )
    return lines


def show(console: Console, verdict: Verdict) -> None:
    """The eight invariants and the decisions made again, with the first examples of what was wrong."""
    console.rule("What always holds, checked on this run")
    table = Table(box=None, padding=(0, 1))
    for title, justify in (("", "left"), ("invariant", "left"), ("checked", "right"), ("violations", "right")):
        table.add_column(title, justify="right" if justify == "right" else "left")
    for number, found in sorted(verdict.invariants.items()):
        mark = "[red]✗[/red]" if found["violations"] else "[green]✓[/green]" if found["checked"] else "–"
        table.add_row(mark, f"{number}. {found['title']}", f"{found['checked']:,}", f"{found['violations']:,}")
    again = verdict.redecided
    mark = "[red]✗[/red]" if again["different"] else "[green]✓[/green]" if again["checked"] else "–"
    table.add_row(mark, "Decided again from recorded inputs", f"{again['checked']:,}", f"{again['different']:,}")
    console.print(table)
    for found in verdict.invariants.values():
        for example in found["examples"][:5]:
            console.print(f"  {example}", style="red", markup=False)
    for line in verdict.differences[:10]:
        console.print(f"  {line}", style="red", markup=False)
