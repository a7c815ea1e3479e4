"""One time limit for many waits at once, with one timer for all of them."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Wait:
    """One task's wait. Its end is `loop.time()`."""

    __slots__ = ("end", "over", "task")

    def __init__(self, task: asyncio.Task[Any] | None, end: float) -> None:
        self.task = task
        """None once it waits no longer."""
        self.end = end
        self.over = False


class Patience:
    """As `asyncio.timeout`, which arms and clears a timer for every single wait: that costs more than it watches."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[Wait] = deque()
        self._armed: asyncio.AbstractEventLoop | None = None

    async def limit(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raise TimeoutError where there is none in time; `work` is cancelled then."""
        loop = asyncio.get_running_loop()
        wait = Wait(asyncio.current_task(), loop.time() + self._seconds)
        self._waits.append(wait)
        if self._armed is not loop:
            self._arm(loop, wait.end)
        try:
            return await work
        except asyncio.CancelledError:
            if wait.over and wait.task is not None and wait.task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            wait.task = None

    def _arm(self, loop: asyncio.AbstractEventLoop, end: float) -> None:
        self._armed = loop
        loop.call_at(end, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """All waits are equally long, so that they end in the order in which they began."""
        self._armed = None
        while self._waits and (self._waits[0].task is None or self._waits[0].end <= loop.time()):
            wait = self._waits.popleft()
            if wait.task is not None:
                wait.over = True
                wait.task.cancel()
        if self._waits:
            self._arm(loop, self._waits[0].end)
