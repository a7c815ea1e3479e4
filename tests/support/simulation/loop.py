"""An event loop that a simulation turns by hand, in time that only a clock of its own moves."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from tests.support.clock import ManualClock


class VirtualLoop(asyncio.SelectorEventLoop):
    """Timers go by the clock given. It must never be left with nothing to do: it would wait for a time that stands still."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._virtual = clock
        self.scheduled = 0

    def time(self) -> float:
        return self._virtual.monotonic()

    def call_soon(self, *arguments: Any, **named: Any) -> asyncio.Handle:
        self.scheduled += 1
        return super().call_soon(*arguments, **named)

    def turn(self, rounds: int) -> None:
        """Runs what is ready, so many times."""

        async def turned() -> None:
            for _ in range(rounds):
                await asyncio.sleep(0)

        self.run_until_complete(turned())

    def settle(self) -> None:
        """Until everything waits: for an answer, for a time, for somebody else."""
        self.run_until_complete(self._settled())

    async def _settled(self) -> None:
        await asyncio.sleep(0)  # timers whose time has come
        while True:
            before = self.scheduled
            await asyncio.sleep(0)
            if self.scheduled == before + 1:  # nobody but this coroutine
                return


class Aside:
    """A loop in a thread of its own, whose work is waited for on the spot, so that the order of things never depends on threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
