"""The versions of the agreement that this process has read, chosen by the instant that a decision is made for."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from datetime import datetime

from ticket_contracts.agreement import Published
from ticket_runtime.task import Transient


class Agreements:
    """Every version read so far. The runtime reads the topic to its end before the first decision and follows it."""

    def __init__(self, published: Iterable[Published] = ()) -> None:
        self._by_digest: dict[str, Published] = {}
        self._timeline: list[tuple[datetime, int, Published]] = []
        for version in published:
            self.add(version)

    def add(self, published: Published) -> None:
        """Takes a version in, in the order of the topic. A content that comes back into force is a second entry."""
        if any(entry.version == published.version and at == published.effective_at for at, _, entry in self._timeline):
            return
        insort(self._timeline, (published.effective_at, len(self._timeline), published))
        self._by_digest[published.version] = published

    def in_force(self, at: datetime) -> Published:
        """The version in force at an instant; of two that begin together the one published later. The desk's first is
        in force from the beginning of time. Raises Transient while there is none at all."""
        if not self._timeline:
            raise Transient(
                "no agreement has been published yet: `python -m ticket_contracts agreement publish` does it"
            )
        after = bisect_right(self._timeline, at, key=lambda entry: entry[0])
        return self._timeline[max(after - 1, 0)][2]

    def following(self, at: datetime) -> Published | None:
        """The version that takes effect next after an instant; None while none is published. Never the desk's first."""
        after = max(bisect_right(self._timeline, at, key=lambda entry: entry[0]), 1)
        return self._timeline[after][2] if after < len(self._timeline) else None

    def version(self, digest: str) -> Published:
        """The version with this digest. Raises Transient when it has not been read yet."""
        try:
            return self._by_digest[digest]
        except KeyError:
            raise Transient(f"agreement {digest} has not been read yet") from None

    def every(self) -> list[Published]:
        """All versions read, by the instant that they take effect: for what must be served for any of them, such as the
        topics of their queues and sources."""
        return [published for _, _, published in self._timeline]

    def __len__(self) -> int:
        return len(self._by_digest)
