"""Whether the engine may be asked: freely, not before a rate limit is over, or by one run that tries."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from transcriber.backoff import Backoff
from transcriber.errors import SpeechError

LONGEST_PAUSE_SECONDS = 3_600.0
LEAST_ASKED_SECONDS = 1.0


class Pace:
    """Time is the event loop's, which nobody can set. `chance` gives numbers from 0 to 1."""

    def __init__(self, *, backoff: Backoff, chance: Callable[[], float]) -> None:
        self._backoff = backoff
        self._chance = chance
        self._until = 0.0
        self._strikes = 0  # pauses since the engine last worked; after any, one run at a time is let through
        self._trier: object | None = None
        self._moved = asyncio.Event()

    def seconds_left(self) -> float:
        """0 unless the engine pauses."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def pause(self, asked_seconds: float | None) -> None:
        """Lets nobody through for as long as asked, at most an hour; where that is not said, for longer each time."""
        if self.seconds_left() == 0:
            self._strikes += 1
        seconds = min(asked_seconds or 0.0, LONGEST_PAUSE_SECONDS)
        if seconds < LEAST_ASKED_SECONDS:
            seconds = max(seconds, self._backoff.delay_seconds(self._strikes, self._chance()))
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)
        self._trier = None
        self._move()

    async def free(self) -> None:
        """Returns once a run that begins now would not have to wait."""
        while self._strikes > 0:
            left = self.seconds_left()
            if left == 0 and self._trier is None:
                return
            await self._change(left or None)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Callable[[], None]]:
        """Inside, the engine may be asked; call what it gives once the engine works: then everyone may ask again.

        A SpeechError from inside that says so begins a pause.
        """
        await self.free()
        ticket = object()
        if self._strikes:
            self._trier = ticket
        try:
            yield lambda: self._open(ticket)
        except SpeechError as error:
            if error.pauses_engine:
                self.pause(error.retry_after_seconds)
            raise
        finally:
            if self._trier is ticket:
                self._trier = None
                self._move()

    def _open(self, ticket: object) -> None:
        """Only for the run that tries: one that was let through before the pause shows nothing of what came after."""
        if self._trier is ticket:
            self._trier, self._strikes = None, 0
            self._move()

    def _move(self) -> None:
        """Wakes everyone who waits for a change."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _change(self, within_seconds: float | None) -> None:
        try:
            async with asyncio.timeout(within_seconds):
                await self._moved.wait()
        except TimeoutError:
            pass  # the pause is over
