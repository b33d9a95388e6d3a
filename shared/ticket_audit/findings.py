"""What a check found: how much it looked at, and each violation in words."""

from __future__ import annotations

import msgspec

SHOWN_AT_MOST = 20


class Finding(msgspec.Struct):
    """checked: facts looked at. violations: how many of them were wrong; examples: the first of them, in words."""

    number: int
    title: str
    checked: int = 0
    violations: int = 0
    examples: list[str] = []

    def expect(self, holds: bool, otherwise: str) -> None:
        """One fact. otherwise: what to say when it does not hold: names the ticket and what is wrong."""
        self.checked += 1
        if not holds:
            self.violations += 1
            if len(self.examples) < SHOWN_AT_MOST:
                self.examples.append(otherwise)
