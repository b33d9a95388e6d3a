"""API keys: who may speak for which principal. Only their hashes are kept."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from ticket_runtime.logs import logger
from ticket_runtime.settings import CannotRun

log = logger(__name__)


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


class KeyFile(Keys):
    """The keys of a file as it stands: who is struck from it is let in no more, without a restart. One that cannot be
    read, or is gone, leaves the keys of before as they are.

    told: is called with whether the file is broken, each time that it has changed; never with anything of it.
    """

    def __init__(self, path: Path | None, told: Callable[[bool], None] = lambda _: None) -> None:
        """Raises CannotRun naming the file and what is wrong with it."""
        self._path, self.told = path, told
        self._seen = _version(path)
        super().__init__(read_keys(path)._keys)

    def find(self, token: str) -> Key | None:
        self._follow()
        return super().find(token)

    def has(self, hashed: str) -> bool:
        self._follow()
        return super().has(hashed)

    def __len__(self) -> int:
        self._follow()
        return super().__len__()

    def _follow(self) -> None:
        """Costs a look at the file's date; a replaced file is another one, whatever its date says."""
        path, now = self._path, _version(self._path)
        if path is None or now == self._seen:
            return
        self._seen = now
        try:
            self._keys = _read(path)
        except (OSError, msgspec.DecodeError) as error:
            self.told(True)
            log.warning(
                "the key file is broken: the keys of before still count",
                file=str(path),
                reason=type(error).__name__,  # its text may repeat what stands there
                remedy="write it anew, or with `python -m ticket_handoff key`",
            )
            return
        self.told(False)
        log.info("the key file was read again", file=str(path), keys=len(self._keys))


def _version(path: Path | None) -> tuple[int, ...] | None:
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> list[Key]:
    return msgspec.json.decode(path.read_bytes(), type=_File).keys


def read_keys(path: Path | None) -> Keys:
    """Raises CannotRun naming the file and what is wrong with it."""
    if path is None:
        return Keys([])
    try:
        return Keys(_read(path))
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
