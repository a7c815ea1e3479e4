"""A server that answers as Groq's transcription API does, by a script, and keeps what it was asked."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.live_server import live_server

KEY = "gsk_test"
TEXT = " And so my fellow Americans, ask not what your country can do for you."
VERBOSE = {
    "task": "transcribe",
    "language": "English",
    "duration": 11.0,
    "text": TEXT,
    "segments": [
        {"id": 0, "seek": 0, "start": 0.0, "end": 4.5, "text": " And so my fellow Americans,", "tokens": [1]},
        {"id": 1, "seek": 0, "start": 4.5, "end": 11.0, "text": " ask not what your country can do for you."},
    ],
    "words": [{"word": "And", "start": 0.0, "end": 0.4}, {"word": "so", "start": 0.4, "end": 0.7}],
    "x_groq": {"id": "req_01"},
}


@dataclass(frozen=True)
class Answer:
    """`body` of str goes out as it is; `held` waits for `GroqServer.release` or `release_next`."""

    status: int = 200
    body: object = field(default_factory=lambda: VERBOSE)
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    held: bool = False


@dataclass(frozen=True)
class Asked:
    fields: list[tuple[str, str]]
    filename: str
    media_type: str
    size: int
    authorization: str
    at: float
    """A monotonic time: when all of it was there."""


@dataclass(frozen=True)
class Answered:
    """When an answer went out, by two clocks, in seconds."""

    at: float
    monotonic: float


def error(status: int, message: str = "said Groq", **headers: str) -> Answer:
    """An error in Groq's own shape."""
    body = {"error": {"message": message, "type": "some_error"}}
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class GroqServer:
    """Takes the answers in their order, then succeeds for ever."""

    def __init__(self) -> None:
        self.url = ""
        path = "/openai/v1/audio/transcriptions"
        self.app = Starlette(routes=[Route(path, self._transcribe, methods=["POST"])])
        self.reset()

    def reset(self) -> None:
        """As if new: for servers that serve many tests."""
        self.answers: deque[Answer] = deque()
        self.asked: list[Asked] = []
        self.answered: list[Answered] = []
        self.held: deque[threading.Event] = deque()
        self._released = threading.Event()

    def release(self) -> None:
        """Lets every held answer go, now and later."""
        self._released.set()

    def release_next(self) -> None:
        """Lets the answer go that is held longest. There must be one."""
        self.held.popleft().set()

    async def _transcribe(self, request: Request) -> Response:
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            self.asked.append(
                Asked(
                    fields=[(name, value) for name, value in form.multi_items() if isinstance(value, str)],
                    filename=file.filename or "",
                    media_type=file.content_type or "",
                    size=len(await file.read()),
                    authorization=request.headers.get("authorization", ""),
                    at=time.monotonic(),
                )
            )
        answer = self.answers.popleft() if self.answers else Answer()
        if answer.held:
            await self._until_released(request)
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.answered.append(Answered(at=time.time(), monotonic=time.monotonic()))
        return Response(body, answer.status, dict(answer.headers), answer.media_type)

    async def _until_released(self, request: Request) -> None:
        """Or until the client has gone, so that a test which ends early can stop the server."""
        released, own = self._released, threading.Event()
        self.held.append(own)
        while not (released.is_set() or own.is_set() or await request.is_disconnected()):
            await asyncio.sleep(0.005)


@contextmanager
def groq_server() -> Iterator[GroqServer]:
    server = GroqServer()
    with live_server(server.app) as url:
        server.url = url
        try:
            yield server
        finally:
            server.release()
