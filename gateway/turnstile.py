"""Lets through so many strangers a second; when more come, each waits for its turn, and never long."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST_SECONDS = 0.5
"""Whoever asks whether the gateway is ready gives it a second, and so does a producer."""


class Turnstile:
    """For work that anybody may ask for. The wait is that of the one who asked: what came over the same connection
    before is answered, and a proxy that has something honest to send takes another, or waits no longer than this.
    """

    def __init__(self, *, per_second: float, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._gap_seconds = 1 / per_second
        self._longest_seconds = longest_seconds
        self._last = 0.0
        """When the last one that came has its turn."""

    def seconds(self, now: float) -> float:
        """How long the one that comes `now` has to wait. Seconds of any clock that never steps back."""
        self._last = min(max(self._last, now - 1.0) + self._gap_seconds, now + self._longest_seconds)
        return max(0.0, self._last - now)

    async def wait(self) -> None:
        if seconds := self.seconds(asyncio.get_running_loop().time()):
            await asyncio.sleep(seconds)

    def before(self, answer: ASGIApp) -> ASGIApp:
        """`answer`, when its turn comes."""

        async def answer_in_turn(scope: Scope, receive: Receive, send: Send) -> None:
            await self.wait()
            await answer(scope, receive, send)

        return answer_in_turn
