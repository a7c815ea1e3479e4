"""A server that says exactly what a test wants it to say, byte by byte, and remembers what it was told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def say(text: str) -> Answer:
    """Answers with `text`, its line ends made CRLF."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode("latin-1"))
        await writer.drain()

    return answer


@asynccontextmanager
async def raw_server(
    answer: Answer, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """`answer` is called for each request; when it returns, the connection waits for the next one."""
    server: RawServer

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while True:
                request = await _read(reader)
                server.requests.append(request)
                await answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    server = RawServer(listening.sockets[0].getsockname()[1])
    tasks_before = asyncio.all_tasks()
    try:
        yield server
    finally:
        listening.close()
        ours = [task for task in asyncio.all_tasks() - tasks_before if task.get_coro().__name__ == "serve"]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Request(head[0], headers, await reader.readexactly(length))
