"""A TCP line to a server on this machine, which can be cut and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import time

HOST = "127.0.0.1"
PIECE_BYTES = 65_536


@dataclass(slots=True)
class Line:
    to_port: int
    port: int = 0
    """Where it is entered; the same after it was mended."""
    cut_at: float | None = None
    """When it was last cut, in Unix seconds."""
    _server: asyncio.Server | None = None
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def mend(self) -> None:
        """Connections are taken, from now on."""
        self._server = await asyncio.start_server(self._join, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """All connections are reset, and new ones are refused."""
        self.cut_at = time()
        if self._server is not None:
            _close(self._server)
            self._server = None
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.to_port)
        except OSError:
            writer.transport.abort()
            self._ends.discard(writer)
            return
        self._ends.add(far_writer)
        if self._server is None or writer.transport.is_closing():  # it was cut meanwhile
            writer.transport.abort()
            far_writer.transport.abort()
        try:
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
        finally:
            self._ends -= {writer, far_writer}


def _close(server: asyncio.Server) -> None:
    """At the next step of the loop: a connection that a server has just accepted as it closes would stay open for ever."""
    loop = server.get_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    loop.call_soon(server.close)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side has ended; then the other hears of it."""
    with suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def line(to_port: int) -> AsyncIterator[Line]:
    laid = Line(to_port)
    await laid.mend()
    try:
        yield laid
    finally:
        laid.cut()
