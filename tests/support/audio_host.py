"""A web server with recordings, which answers by a script and keeps what it was asked."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.live_server import live_server
from tests.support.speech import DATA

SOUND = (DATA / "jfk.mp3").read_bytes()


@dataclass(frozen=True)
class Reply:
    """`held` sends the first half, then waits for `AudioHost.release`."""

    status: int = 200
    body: bytes = SOUND
    headers: Mapping[str, str] = field(default_factory=dict)
    held: bool = False


class AudioHost:
    """Gives the replies in their order, then the recording for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.app = Starlette(routes=[Route("/{path:path}", self._serve)])
        self.replies: deque[Reply] = deque()
        self.asked: list[str] = []
        self.left = 0
        """How many held answers were not waited for."""
        self._released = threading.Event()

    def release(self) -> None:
        """Lets every held answer go, now and later."""
        self._released.set()

    async def _serve(self, request: Request) -> Response:
        self.asked.append(str(request.url).removeprefix(self.url))
        reply = self.replies.popleft() if self.replies else Reply()
        if not reply.held:
            return Response(reply.body, reply.status, dict(reply.headers))
        return StreamingResponse(self._halves(request, reply.body), reply.status, dict(reply.headers))

    async def _halves(self, request: Request, body: bytes) -> AsyncIterator[bytes]:
        half = len(body) // 2
        yield body[:half]
        try:
            while not self._released.is_set() and not await request.is_disconnected():
                await asyncio.sleep(0.005)
        finally:
            self.left += not self._released.is_set()
        yield body[half:]


@contextmanager
def audio_host() -> Iterator[AudioHost]:
    host = AudioHost()
    with live_server(host.app) as url:
        host.url = url
        try:
            yield host
        finally:
            host.release()
