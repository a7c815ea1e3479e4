"""One time limit for many waits: what is late is cut off, what is not is left alone."""

import asyncio
import time

import pytest

from gateway.patience import Patience


async def value(after=0.0):
    await asyncio.sleep(after)
    return "value"


async def limited(patience, work):
    with patience.limit():
        return await work


async def test_what_comes_in_time_is_passed_on():
    patience = Patience(0.2)
    assert await limited(patience, value()) == "value"

    async def fails():
        raise KeyError("why")

    with pytest.raises(KeyError):
        await limited(patience, fails())


async def test_what_is_late_is_cancelled_and_raises_at_its_time():
    cancelled = []

    async def hangs():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await limited(Patience(0.1), hangs())
    assert (cancelled, 0.09 < time.monotonic() - began < 1) == ([True], True)
    assert asyncio.current_task().cancelling() == 0


async def test_each_of_many_waits_has_its_own_time():
    patience, ends = Patience(0.2), []

    async def begin(after):
        await asyncio.sleep(after)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await limited(patience, asyncio.Event().wait())
        ends.append(time.monotonic() - began)

    async def passes():
        for _ in range(20):
            await limited(patience, value(0.01))

    await asyncio.gather(begin(0), begin(0.1), begin(0.35), passes())
    assert all(0.19 < seconds < 0.5 for seconds in ends)
    assert len(ends) == 3


async def test_a_wait_that_somebody_else_cancels_is_cancelled():
    task = asyncio.create_task(limited(Patience(10), asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_wait_that_ended_cancels_nothing_later():
    patience = Patience(0.05)
    await limited(patience, value())
    assert await value(0.1) == "value"
    assert await limited(patience, value(0.01)) == "value"


async def test_waits_that_ended_are_forgotten():
    patience = Patience(0.05)
    for _ in range(100):
        await limited(patience, value())
    await asyncio.sleep(0.1)
    assert len(patience._waits) == 0  # noqa: SLF001 - what it keeps is seen nowhere else


def test_it_serves_one_loop_after_another():
    patience = Patience(0.05)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(limited(patience, asyncio.Event().wait()))
