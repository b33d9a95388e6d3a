"""What a domain may import, as an allow-list; the import-linter contracts in pyproject.toml forbid the rest by name."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOMAINS = sorted(ROOT.glob("services/*/*/domain"))
ALLOWED = {"msgspec", "ticket_contracts", "business_calendar"}
IMPURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "urllib.request",
}
CLOCKS = {"now", "utcnow", "today"}  # of datetime and date

# Reading a language, a mail or a check digit is arithmetic over text, a model over arrays: no clock, I/O or framework.
PURE_LIBRARIES = {"bm25s", "jmespath", "lingua", "numpy", "quotequail", "selectolax", "stdnum"}


def modules() -> list[Path]:
    return [path for domain in DOMAINS for path in sorted(domain.rglob("*.py"))]


def test_every_service_has_a_domain() -> None:
    assert [domain.parent.name for domain in DOMAINS] == [
        "ticket_classifier",
        "ticket_handoff",
        "ticket_intake",
        "ticket_router",
        "sla_monitor",
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT / "services")))
def test_a_domain_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text())
    package = path.relative_to(ROOT / "services").parts[1]
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top == package:
                assert name.startswith(f"{package}.domain"), f"{name}: a domain imports nothing around it"
                continue
            assert not {top, name} & IMPURE, f"{name}: a domain has no clock, no chance and no I/O"
            assert top in ALLOWED | PURE_LIBRARIES or top in sys.stdlib_module_names, f"{name}: not a domain's business"
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            owner = ast.unparse(node.value).split(".")[-1]
            assert owner not in ("datetime", "date"), f"line {node.lineno}: a domain is told what time it is"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input"), f"line {node.lineno}: a domain does no I/O"
