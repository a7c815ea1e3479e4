"""An event loop in a thread of its own, for tests whose own thread waits for processes."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class Background:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def do(self, work: Coroutine[Any, Any, T], *, seconds: float = 60.0) -> T:
        return self.begin(work).result(seconds)


@contextmanager
def background() -> Iterator[Background]:
    """What still runs at the end is cancelled."""
    started: Future[asyncio.AbstractEventLoop] = Future()
    ended = asyncio.Event()

    async def live() -> None:
        started.set_result(asyncio.get_running_loop())
        await ended.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live())

    thread = threading.Thread(target=run, name="background", daemon=True)
    thread.start()
    loop = started.result()
    try:
        yield Background(loop)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
