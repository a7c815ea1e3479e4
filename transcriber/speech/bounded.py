"""Answers that are read up to a length and no further: what a server says of itself is not trusted."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx


class AnswerError(httpx.ReadError):
    """The answer is not read any further."""


def bounded(max_bytes: int) -> Callable[[httpx.Response], Awaitable[None]]:
    """A hook for httpx, called before a body is read, which then raises AnswerError beyond `max_bytes`."""

    async def bound(response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise AnswerError("is compressed, though that was not asked for")
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _BoundedStream(response.stream, max_bytes)

    return bound


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for chunk in self._stream:
            count += len(chunk)
            if count > self._max_bytes:
                raise AnswerError(f"is longer than {self._max_bytes} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
