"""Closing a client never takes the place of what ended its owner."""

from __future__ import annotations

import asyncio

import pytest

from ticket_runtime.closing import quietly


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError("gone"), TimeoutError()])
async def test_the_error_that_led_to_closing_is_the_one_that_is_told(error: BaseException) -> None:
    """CancelledError: as a consumer raises it that is stopped while its broker is away."""

    async def close() -> None:
        raise error

    async def end() -> None:
        try:
            raise ValueError("what ended it")
        finally:
            await quietly(close)

    with pytest.raises(ValueError, match="what ended it"):
        await end()


async def test_whoever_is_cancelled_meanwhile_is_cancelled() -> None:
    closing = asyncio.Event()

    async def close() -> None:
        closing.set()
        await asyncio.Event().wait()

    owner = asyncio.create_task(quietly(close))
    await closing.wait()
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
