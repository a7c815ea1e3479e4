"""Lets through so many strangers a second; when more come, each waits for its turn, and never long."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST_SECONDS = 0.5
"""Whoever asks whether the gateway is ready gives it a second, and so does a producer."""


class Turnstile:
    """For work that anybody may ask for: a second's worth of it at once, more of it evenly.

    Only who asked is kept waiting, by the answer to that: no address and no connection is blamed, which others may share.
    """

    def __init__(
        self, *, per_second: float, most_waiting: int, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        """`most_waiting`: so many connections can be spared for it; beyond that nobody waits."""
        self._gap_seconds = 1 / per_second
        self._most_waiting = most_waiting
        self._longest_seconds = longest_seconds
        self._waiting = 0
        self._last = 0.0
        """When the last one that came has its turn."""

    def seconds(self, now: float) -> float:
        """How long the one that comes `now` has to wait. Seconds of any clock that never steps back."""
        self._last = min(max(self._last, now - 1.0) + self._gap_seconds, now + self._longest_seconds)
        return max(0.0, self._last - now)

    async def wait(self) -> None:
        seconds = self.seconds(asyncio.get_running_loop().time())
        if not seconds or self._waiting >= self._most_waiting:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1

    def before(self, answer: ASGIApp) -> ASGIApp:
        """`answer`, when its turn comes."""

        async def answer_in_turn(scope: Scope, receive: Receive, send: Send) -> None:
            await self.wait()
            await answer(scope, receive, send)

        return answer_in_turn
