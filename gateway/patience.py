"""One time limit for many waits at once, with one timer for all of them."""

import asyncio
from collections import deque
from types import TracebackType


class Wait:
    """Of one task, for what stands in a `with`. Its end is `loop.time()`."""

    __slots__ = ("_task", "end", "is_over")

    def __init__(self, task: asyncio.Task[object] | None, end: float) -> None:
        self._task = task
        """None once it waits no longer."""
        self.end = end
        self.is_over = False

    @property
    def has_ended(self) -> bool:
        return self._task is None

    def give_up(self) -> None:
        if self._task is not None:
            self.is_over = True
            self._task.cancel()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self.is_over and kind is asyncio.CancelledError and task is not None and task.uncancel() == 0:
            raise TimeoutError from None


class Patience:
    """As `asyncio.timeout`, which arms and clears a timer for every single wait: that costs more than it watches."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[Wait] = deque()
        self._armed: asyncio.AbstractEventLoop | None = None

    def limit(self) -> Wait:
        """For a `with`, of what is awaited in it. It raises TimeoutError where that is not over in time; it is cancelled then."""
        loop = asyncio.get_running_loop()
        wait = Wait(asyncio.current_task(loop), loop.time() + self._seconds)
        self._waits.append(wait)
        if self._armed is not loop:
            self._arm(loop, wait.end)
        return wait

    def _arm(self, loop: asyncio.AbstractEventLoop, end: float) -> None:
        self._armed = loop
        loop.call_at(end, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """All waits are equally long, so that they end in the order in which they began."""
        self._armed = None
        while self._waits and (self._waits[0].has_ended or self._waits[0].end <= loop.time()):
            self._waits.popleft().give_up()
        if self._waits:
            self._arm(loop, self._waits[0].end)
