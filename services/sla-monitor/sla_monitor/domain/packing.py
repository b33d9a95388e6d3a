"""A ticket as bytes: what a million of them cost in memory, and what the changelog holds.

Most of what is remembered is the same few words over and over: statuses, queues, groups, policies. A task numbers the
words that it meets and packs the number, as one character of the Unicode private use area, so that a packed ticket has
the same form as any other and its decoder need not know. The words stand in the changelog too.
"""

from __future__ import annotations

import copy

import msgspec
from msgspec.structs import force_setattr, replace

from sla_monitor.domain.state import Entry, Ticket

_FIRST, _LAST = 0xE000, 0xF8FF
_SHORTEST = 4
"""A word of fewer characters is no longer than its number."""
_UNDATED = 0x90 | 14
"""The first byte of a MessagePack array of so many fields."""
_NOTHING = "\ufffd"
"""In place of a source's word that is itself a private character, and so means nothing to anybody else."""


class _Head(msgspec.Struct, array_like=True):
    due: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Ticket)
_head = msgspec.msgpack.Decoder(_Head)


def due_of(packed: bytes) -> int:
    """When the ticket's next notice is due, 0 for never; without unpacking the rest."""
    return _head.decode(packed).due


def is_undated(packed: bytes) -> bool:
    """Whether a monitor stored it that wrote down no day of forgetting yet: its array is shorter."""
    return packed[0] == _UNDATED


class Packing:
    """The words of one task, and tickets packed with them."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._new: list[tuple[int, str]] = []
        self._buffer = bytearray()

    def pack(self, ticket: Ticket) -> bytes:
        """May meet new words, which `take_new` hands out: they must be stored together with what is packed."""
        short = self._short
        packed = copy.copy(ticket)
        packed.history = [
            Entry(
                entry.at,
                entry.lag_us,
                entry.origin,
                entry.version,
                [short(part) if type(part) is str else part for part in entry.delta],
            )
            for entry in ticket.history
        ]
        packed.clocks = [replace(c, policy=short(c.policy), version=short(c.version)) for c in ticket.clocks]
        packed.transfers = [replace(c, policy=short(c.policy), version=short(c.version)) for c in ticket.transfers]
        _encoder.encode_into(packed, self._buffer)
        return bytes(self._buffer)  # exactly as long as it is; the encoder's own would keep room to grow

    def unpack(self, packed: bytes) -> Ticket:
        """The inverse, once the words that it needs were learnt. Raises msgspec.DecodeError."""
        words = self._words
        ticket = _decoder.decode(packed)
        for entry in ticket.history:
            delta = entry.delta
            for i in range(1, len(delta), 2):
                part = delta[i]
                if type(part) is str:
                    delta[i] = words.get(part, part)
        for clock in (*ticket.clocks, *ticket.transfers):  # nobody has seen them yet
            force_setattr(clock, "policy", words.get(clock.policy, clock.policy))
            force_setattr(clock, "version", words.get(clock.version, clock.version))
        return ticket

    def take_new(self) -> list[tuple[int, str]]:
        """Words met since the last time, with their numbers."""
        new, self._new = self._new, []
        return new

    def learn(self, number: int, word: str) -> None:
        """A word of the changelog."""
        short = chr(_FIRST + number)
        self._numbers[word], self._words[short] = short, word

    def _short(self, word: str) -> str:
        number = self._numbers.get(word)
        if number is None:
            if len(word) < _SHORTEST:
                return _NOTHING if _is_number(word) else word
            count = len(self._words)
            if count > _LAST - _FIRST:
                return word
            self.learn(count, word)
            self._new.append((count, word))
            number = self._numbers[word]
        return number


def _is_number(word: str) -> bool:
    return len(word) == 1 and _FIRST <= ord(word) <= _LAST
