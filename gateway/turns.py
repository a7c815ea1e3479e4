"""Who goes first: webhooks from connections that have sent authentic ones, before a burst of requests from others."""

import asyncio
from collections import deque

from starlette.types import Scope

SENDER = "sender"
"""Where a request's scope has it, in its `state`."""


class Sender:
    """Whoever is at the other end of a connection."""

    __slots__ = ("is_known",)

    def __init__(self) -> None:
        self.is_known = False
        """Its last webhook was authentic."""


def sender_of(scope: Scope) -> Sender:
    """One that is not known, where the server tells of none."""
    return scope.get("state", {}).get(SENDER) or Sender()


class Turns:
    """Lets a few requests begin in each turn of the event loop, in the order in which they came.

    What comes at once would else be done at once, and whatever comes meanwhile would wait for all of it. Nothing is slower
    for that: a turn with nothing else to do is over at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._next, loop)
        if self._left:
            self._left -= 1
            return
        future = loop.create_future()
        self._waiting.append(future)
        await future

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._most
        while self._left and self._waiting:
            future = self._waiting.popleft()
            if not future.done():  # whoever waited was cancelled
                future.set_result(None)
                self._left -= 1
        self._is_scheduled = self._left < self._most
        if self._is_scheduled:
            loop.call_soon(self._next, loop)
