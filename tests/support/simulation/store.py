"""The store as one process sees it: real, but now and then unavailable, and its answers come late."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from gateway.errors import StoreUnavailable
from gateway.store import Store
from tests.support.simulation.calls import Calls
from tests.support.simulation.loop import Aside

Trouble = Literal["none", "before", "after"]
"""When a call fails: not at all, before the store has done anything, or after it has done it."""

SURE = frozenset(("clock_stepped",))
"""What the dispatcher counts on."""


class WatchedStore:
    """Does what it is asked for at once and in the order of asking, as the writer does; answers `delay` turns of the loop later."""

    def __init__(self, store: Store, *, calls: Calls, aside: Aside, delay: int) -> None:
        self._store = store
        self._calls = calls
        self._aside = aside
        self._delay = delay
        self._gone = False
        self.troubles: deque[Trouble] = deque()
        """For the next calls."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._call(name, *arguments, **named)

        return call

    def die(self) -> None:
        """The process is gone: whatever still runs of it neither asks nor learns anything."""
        self._gone = True

    async def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self._live()
        trouble = self.troubles.popleft() if self.troubles and name not in SURE else "none"
        if trouble != "none":
            self._calls.saw_trouble(name)
        result = None
        if trouble != "before":
            result = self._aside.do(getattr(self._store, name)(*arguments, **named))
            self._calls.saw(name, result, *arguments, **named)
        for _ in range(self._delay):
            await asyncio.sleep(0)
            self._live()
        if trouble != "none":
            raise StoreUnavailable(f"{name}: trouble {trouble} it was done")
        return result

    def _live(self) -> None:
        if self._gone:
            raise asyncio.CancelledError
