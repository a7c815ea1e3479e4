"""HTTP/1.1 as whole messages, as they were written: for programs that stand in the way of others."""

import asyncio
import re
from dataclasses import dataclass

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
LAST = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer. `raw` is all of it, `body` its content."""

    raw: bytes
    body: bytes

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.raw[9:12])

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with it."""
        return LAST.search(self.raw, 0, len(self.raw) - len(self.body)) is not None

    def header(self, name: str) -> str:
        """Empty where there is none."""
        found = re.search(rb"\r\n%b: *([^\r]*)\r\n" % name.encode(), self.raw, re.IGNORECASE)
        return found[1].decode("latin-1") if found else ""


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Raise IncompleteReadError where the connection ends before the message does."""
    head = await reader.readuntil(b"\r\n\r\n")
    if found := LENGTH.search(head):
        body = await reader.readexactly(int(found[1]))
        return Message(head + body, body)
    if CHUNKED.search(head):
        raw, body = await _read_chunks(reader)
        return Message(head + raw, body)
    return Message(head, b"")


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    raw, body = b"", b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        chunk = await reader.readexactly(size + 2)
        raw += line + chunk
        if not size:
            return raw, body
        body += chunk[:-2]


class Wire:
    """One connection at a time to a port on this machine, made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes, *, seconds: float) -> Message:
        """The answer. Raise OSError, of which TimeoutError is one, where none comes."""
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except BaseException as error:
            self.close()
            if isinstance(error, asyncio.IncompleteReadError):
                raise ConnectionError("the answer was cut off") from None
            raise

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    async def _exchange(self, request: bytes) -> Message:
        if self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=LIMIT_BYTES
            )
        self._writer.write(request)
        answer = await read_message(self._reader)
        if answer.is_last:
            self.close()
        return answer
