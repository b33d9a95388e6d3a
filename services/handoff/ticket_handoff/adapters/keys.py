"""API keys: who may speak for which principal. Only their hashes are kept."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from pathlib import Path

import msgspec

from ticket_runtime.settings import CannotRun


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sha256: of the key, 64 hex digits. principal: a partner's name as the agreement has it, or `internal`.
    actor: the person or system whose key it is."""

    sha256: str
    principal: str
    actor: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: list[Key]


class Keys:
    """The keys of a desk; none: nobody is let in."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    def find(self, token: str) -> Key | None:
        """Whose key this is. Takes the same time for each key of the file."""
        hashed = sha256(token.encode()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, hashed):
                found = key
        return found

    def has(self, hashed: str) -> bool:
        """Whether a key with this SHA-256 is still among them."""
        return any(key.sha256 == hashed for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def read_keys(path: Path | None) -> Keys:
    """Raises CannotRun naming the file and what is wrong with it."""
    if path is None:
        return Keys([])
    try:
        return Keys(msgspec.json.decode(path.read_bytes(), type=_File).keys)
    except (OSError, msgspec.DecodeError) as error:
        raise CannotRun(
            f"{path}: {error}; write one with `python -m ticket_handoff key PRINCIPAL ACTOR --file {path}`"
        ) from None


def add_key(path: Path, principal: str, actor: str) -> str:
    """Makes a key, adds its hash to the file (made if missing, readable by its owner alone), and returns the key, which
    is kept nowhere."""
    kept = read_keys(path)._keys if path.exists() else []
    token = secrets.token_urlsafe(32)
    new = Key(sha256=sha256(token.encode()).hexdigest(), principal=principal, actor=actor)
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(_File(keys=[*kept, new]))) + b"\n")
    part.replace(path)
    return token
