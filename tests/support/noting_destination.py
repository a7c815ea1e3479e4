"""Destinations that note every attempt before they answer it, and answer as they are told."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.support.background import background


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    """0: the connection is closed instead."""
    headers: str = ""
    """Lines, each with its end."""
    after_seconds: float = 0.0


OK = Reply()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One as it arrived; `status` is what it was going to be answered."""

    destination: str
    event_id: str
    number: int
    key: str | None
    n: int
    at: float
    status: int = 0

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


Behaviour = Callable[[Attempt], Reply]


class NotingDestinations:
    """Each path is a destination. `behave` may be set to another at any time."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.attempts: list[Attempt] = []
        self.port = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def numbers(self, n: int, *, destination: str = "first") -> list[int]:
        """Of the attempts at the webhook number `n`."""
        return [one.number for one in self.attempts if (one.n, one.destination) == (n, destination)]

    def order(self, *, destination: str = "first") -> list[int]:
        """The webhooks' numbers as they came, each once."""
        return list(dict.fromkeys(one.n for one in self.attempts if one.destination == destination))

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the gateway is gone, or the test is over
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        attempt = Attempt(
            destination=line.split(" ")[1].removeprefix("/"),
            event_id=headers["webhook-id"],
            number=int(headers["x-gateway-attempt"]),
            key=body.get("key"),
            n=body["n"],
            at=time.monotonic(),
        )
        reply = self.behave(attempt)
        self.attempts.append(replace(attempt, status=reply.status))
        if reply.after_seconds:
            await asyncio.sleep(reply.after_seconds)
        if not reply.status:
            return False
        writer.write(f"HTTP/1.1 {reply.status} -\r\n{reply.headers}content-length: 0\r\n\r\n".encode())
        await writer.drain()
        return True


@contextmanager
def noting_destinations(behave: Behaviour = lambda _: OK) -> Iterator[NotingDestinations]:
    destinations = NotingDestinations(behave)
    with background() as loop:
        loop.do(destinations.listen())
        try:
            yield destinations
        finally:
            loop.do(destinations.close())
