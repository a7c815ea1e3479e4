"""One HTTP/1.1 connection: writes a request once, takes its answer up to a bound, and knows whether it can be used again."""

import asyncio
import select
from collections.abc import AsyncIterator
from typing import cast

import httptools
import httpx

MAX_HEAD_BYTES = 65_536
"""Of an answer, everything before its body, announcements (100, 103) included."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time: `send`, then `body`, then ask `is_reusable`.

    An answer ends where the connection does, announced or not: what is kept of it is for a record, and its status counts
    from the moment that it is known.
    """

    def __init__(self, *, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._poll = select.poll()
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: tuple[type[httpx.TransportError], str] | None = None
        """No exception: its traceback would hold on to the request."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._is_over = True

    async def send(self, head: bytes, body: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The status and headers of the answer.

        Raise httpx.ConnectError where the connection closed before anything was sent, httpx.RemoteProtocolError or
        httpx.ReadError where no answer came, or none that is HTTP.
        """
        if self._transport.is_closing():
            raise httpx.ConnectError("the connection was closed before anything was sent")
        self._begin()
        self._transport.writelines((head, body))
        while not self._has_head:
            await self._change()
        return self._status, self._headers

    async def body(self) -> AsyncIterator[bytes]:
        """At most `keep_bytes`, as they came: nothing is decompressed. A longer body is not read on."""
        while True:
            if self._body:
                chunk, self._body = self._body, b""
                yield chunk
            elif self._is_over:
                return
            else:
                await self._change()

    def is_reusable(self) -> bool:
        """Whether request and answer are over, in full, and the peer keeps the connection."""
        return (
            self._is_over
            and self._keeps_alive
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        )

    def is_quiet(self) -> bool:
        """Whether the peer has sent nothing since, not even an end that the event loop has yet to read."""
        return not self._transport.is_closing() and not self._poll.poll(0)

    def abort(self) -> None:
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._is_over or self._parser is None:  # nobody asked
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError, "switched to another protocol, unasked")
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError, f"not HTTP: {error}")
        else:
            self._bound_head(len(data))
        self._wake()

    def eof_received(self) -> None:
        self._transport.abort()  # not close, which would first send the rest of a request that nobody reads

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self._fail(httpx.RemoteProtocolError, "closed the connection without an answer")
        else:
            self._fail(httpx.ReadError, str(error))
        self._parser = None  # it refers back to this connection
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._is_over:
            self._keeps_alive = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # else a trailer
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - for the type: it is what calls
        if not self._is_over:
            self._status = self._parser.get_status_code()
            self._has_head = not 100 <= self._status < 200

    def on_body(self, data: bytes) -> None:
        if self._is_over:
            return
        self._body += data[: self._room]
        self._room -= len(data)
        if self._room < 0:
            self._is_over = True
            self._transport.abort()

    def on_message_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - for the type: it is what calls
        if not self._has_head:
            self._headers = []  # of an announcement
        elif not self._is_over:
            self._is_over = True
            self._keeps_alive = self._parser.should_keep_alive()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._status = 0
        self._headers = []
        self._body = b""
        self._room = self._keep_bytes
        self._has_head = self._is_over = self._keeps_alive = False
        self._error = None

    def _bound_head(self, more: int) -> None:
        if not self._has_head:
            self._head_bytes += more
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail(httpx.RemoteProtocolError, f"the answer's head is over {MAX_HEAD_BYTES} bytes")

    def _fail(self, kind: type[httpx.TransportError], why: str) -> None:
        """The end of the exchange, if it is not over, and of the connection."""
        self._keeps_alive = False
        if not self._is_over:
            self._is_over = True
            self._error = None if self._has_head else (kind, why)
        self._transport.abort()

    async def _change(self) -> None:
        """Return when more has come; raise what ended the exchange."""
        if self._error is not None:
            kind, why = self._error
            raise kind(why)
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
