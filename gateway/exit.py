"""How answers leave one connection, in the place of the transport that uvicorn would use."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class Backpressure(FlowControl):
    """Reads nothing more while whole requests wait for their turn: a pipeline is as long as one read."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class Exit:
    """The connection's transport as uvicorn uses it, but for `close`, which the protocol does in its own way: `leave`.

    The head of an answer waits for the body, which comes in the same turn of the event loop: two packets would cost two
    system calls here, and wake the peer twice.
    """

    def __init__(
        self, transport: asyncio.Transport, *, loop: asyncio.AbstractEventLoop, leave: Callable[[], None]
    ) -> None:
        self.is_shut = False
        """No other answer is to come."""
        self._transport = transport
        self._loop = loop
        self._leave: Callable[[], None] | None = leave
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        if self._leave is not None:
            self._transport.write(data)

    def flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def is_closing(self) -> bool:
        return self.is_shut or self._transport.is_closing()

    def close(self) -> None:
        if self._leave is not None:
            self._leave()

    def lead_nowhere(self) -> None:
        """The connection is lost, and what an application still answers with it."""
        self.is_shut = True
        self._leave = None
