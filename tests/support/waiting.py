"""Waits for a condition, with an end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 20.0) -> T:
    """The first true value of `condition`; AssertionError if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s; last seen: {value!r}")
        time.sleep(0.01)
    return value


async def eventually_async(condition: Callable[[], Awaitable[T]], *, seconds: float = 20.0) -> T:
    """The same for a condition that has to be awaited."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):
            await asyncio.sleep(0.005)
        return value
