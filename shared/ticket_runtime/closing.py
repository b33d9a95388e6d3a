"""Closing a client on the way out, whatever it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

_GIVE_UP_SECONDS: Final = 10.0


async def quietly(close: Callable[[], Awaitable[Any]]) -> None:
    """What cannot be closed in time is left to the end of the process. Raises CancelledError only where the caller
    was cancelled: a consumer of aiokafka that is stopped while its broker is away raises that of its own fetch, which
    would take the place of the error that is being told."""
    try:
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            await close()
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise
    except Exception:  # noqa: S110 - the error that led here is the one to tell
        pass
