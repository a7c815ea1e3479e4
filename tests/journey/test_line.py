"""The line that test_page_figures cuts is cut for everybody who is on it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from tests.support.line import HOST, Line, line
from tests.support.page_scene import eventually

LONGEST_SECONDS = 15.0
STEPS = 12
"""Of the event loop, more than a connection takes from its acceptance to the first byte."""


@pytest.mark.parametrize("steps", range(STEPS))
def test_a_line_that_is_cut_while_a_connection_is_being_made_is_cut_at_both_its_ends(steps: int) -> None:
    asyncio.run(_cut_after(steps))


def test_a_connection_that_carries_is_cut_and_a_mended_line_carries_again() -> None:
    asyncio.run(_cut_and_mend())


async def _cut_after(steps: int) -> None:
    async with _echoing() as (laid, served):
        with closing(socket.create_connection((HOST, laid.port))) as client:
            client.setblocking(False)
            for _ in range(steps):
                await asyncio.sleep(0)
            laid.cut()
            reader, writer = await asyncio.open_connection(sock=client)
            writer.write(b"still here")
            assert await _is_over(reader)
            await eventually(lambda: not served)
            writer.close()


async def _cut_and_mend() -> None:
    async with _echoing() as (laid, served):
        for _ in range(2):
            reader, writer = await asyncio.open_connection(HOST, laid.port)
            writer.write(b"heard")
            assert await reader.readexactly(5) == b"heard"
            laid.cut()
            assert await _is_over(reader)
            await eventually(lambda: not served)
            writer.close()
            await laid.mend()


@asynccontextmanager
async def _echoing() -> AsyncIterator[tuple[Line, set[asyncio.StreamWriter]]]:
    """A line to a server that says what it hears, and whom the server serves now."""
    served: set[asyncio.StreamWriter] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        try:
            while heard := await reader.read(100):
                writer.write(heard)
        except ConnectionError:
            pass  # cut
        finally:
            writer.close()
            served.discard(writer)

    async with (
        await asyncio.start_server(echo, HOST, 0) as server,
        line(server.sockets[0].getsockname()[1]) as laid,
    ):
        yield laid, served


async def _is_over(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends, and nothing comes before that."""
    try:
        return await asyncio.wait_for(reader.read(), LONGEST_SECONDS) == b""
    except ConnectionError:
        return True
