"""An httpx transport that keeps its connections: HTTP/1.1 to the address in the URL, and nothing of its own added.

httpx's pool walks over all its connections for every request; under dozens at once that costs more than all the rest.
"""

import asyncio
import re
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import httpx

from gateway.connection import Connection

HEADERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\x00\r\n]*\r\n)*")

Origin = tuple[str, str, int | None, str | None]
"""Scheme, host, port, and the name that the certificate has to be for."""


class Transport(httpx.AsyncBaseTransport):
    """`sni_hostname` and the `connect` part of `timeout` are taken from a request's extensions, as httpx's own does.

    A request is written once. It is never sent again on a second connection: where a kept connection turns out closed,
    that is only known to be harmless while nothing is written, and so it is looked for at the last moment before.

    Up to `idle_connections` are kept for `idle_seconds`. There is no bound on those in use.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None, keep_bytes: int, idle_connections: int, idle_seconds: float
    ) -> None:
        self._tls = tls
        self._keep_bytes = keep_bytes
        self._idle_connections = idle_connections
        self._idle_seconds = idle_seconds
        self._idle: defaultdict[Origin, list[tuple[Connection, float]]] = defaultdict(list)
        """With the loop's time since when; the latest last."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise httpx.ConnectError or httpx.ConnectTimeout where nothing was sent."""
        head = _head(request)
        body = b"".join([chunk async for chunk in _stream(request)])
        origin = _origin(request)
        connection = self._take(origin) or await self._connect(origin, _connect_seconds(request))
        try:
            status, headers = await connection.send(head, body)
        except BaseException:
            connection.abort()
            raise
        return httpx.Response(
            status, headers=headers, stream=_Body(connection, lambda: self._give_back(origin, connection))
        )

    async def aclose(self) -> None:
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for kept in self._idle.values():
            for connection, _ in kept:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # for the event loop to close them

    def _take(self, origin: Origin) -> Connection | None:
        """The one used last: the others may then be left to their end."""
        kept = self._idle.get(origin, [])
        while kept:
            connection, _ = kept.pop()
            if connection.is_quiet():
                return connection
            connection.abort()
        return None

    def _give_back(self, origin: Origin, connection: Connection) -> None:
        number = sum(map(len, self._idle.values()))
        if self._is_closed or number >= self._idle_connections or not connection.is_reusable():
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        self._idle[origin].append((connection, loop.time()))
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Closes what has been idle for long, and comes back while anything is left."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_seconds
        for origin, kept in list(self._idle.items()):
            for connection, _ in (one for one in kept if one[1] <= oldest):
                connection.abort()
            self._idle[origin] = [one for one in kept if one[1] > oldest]
            if not self._idle[origin]:
                del self._idle[origin]
        self._sweeping = loop.call_later(self._idle_seconds, self._sweep) if self._idle else None

    async def _connect(self, origin: Origin, seconds: float | None) -> Connection:
        scheme, host, port, name = origin
        secure = scheme == "https"
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(keep_bytes=self._keep_bytes),
                    host,
                    port or (443 if secure else 80),
                    ssl=self._tls if secure else None,
                    server_hostname=(name or host) if secure else None,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {seconds} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection


class _Body(httpx.AsyncByteStream):
    def __init__(self, connection: Connection, give_back: Callable[[], None]) -> None:
        self._connection = connection
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.body()

    async def aclose(self) -> None:
        self._give_back()


def _head(request: httpx.Request) -> bytes:
    """Raise httpx.LocalProtocolError where a header would break out of its line."""
    lines = [b"%b: %b\r\n" % header for header in request.headers.raw]
    headers = b"".join(lines)
    if not HEADERS.fullmatch(headers) or headers.count(b"\n") != len(lines):
        raise httpx.LocalProtocolError("a header's name or value is not one that HTTP can carry")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), request.url.raw_path, headers)


def _stream(request: httpx.Request) -> httpx.AsyncByteStream:
    assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type: this is no synchronous one
    return request.stream


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    return url.scheme, url.host, url.port, request.extensions.get("sni_hostname")


def _connect_seconds(request: httpx.Request) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("connect")
    return seconds
