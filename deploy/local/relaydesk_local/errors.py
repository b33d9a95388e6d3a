"""What can keep a local backend from starting, said in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BackendError(Exception):
    """A backend cannot run. The message is one line: what is wrong and what to do about it."""


def disk_full(where: Path) -> BackendError:
    return BackendError(f"No space left on the disk that holds {where}: free at least 1 GB there, then start again.")


@contextmanager
def said_plainly(where: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write under `where` into a `BackendError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(where) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise BackendError(
                f"{error.filename or where} cannot be written: it belongs to another user or is read-only; "
                "start as its owner, or remove it with `make clean` as its owner."
            ) from error
        raise
