"""Connections: which are used again, which never, and that none is left behind."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.connection import Connection
from gateway.forward import Forwarder
from gateway.model import Claim, DeliveryId
from gateway.transport import Transport
from tests.support.failing_attempts import BODY, EVENT_LOOPS, IN_FLIGHT
from tests.support.raw_server import raw_server, say
from tests.support.store import NOW, A, event

ROOT = Path(__file__).parents[2]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"


def claim(number=1, **changes):
    return Claim(
        delivery_id=DeliveryId(number),
        attempt=1,
        destination=A,
        event=event(number, **changes),
        tries=0,
        again=False,
        queued_at=NOW,
        live_since=NOW,
    )


@contextlib.asynccontextmanager
async def forwarder(url, **settings):
    one = Forwarder(Destination(name=A, url=url, allow_private_address=True, **settings), clock=SystemClock())
    try:
        yield one
    finally:
        await one.close()


@contextlib.asynccontextmanager
async def transport(**changes):
    settings = {"tls": None, "keep_bytes": 100, "idle_connections": 10, "idle_seconds": 30}
    one = Transport(**{**settings, **changes})
    try:
        yield one
    finally:
        await one.aclose()


@contextlib.asynccontextmanager
async def listening(serve):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def request(url):
    headers = [(b"host", b"x"), (b"content-length", b"0")]
    return httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(b""))


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def server_in_a_thread(serve):
    """Goes on while the test's event loop is held up. `serve` is given each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    serve(listening.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def read_request(connection):
    """With a body of eight bytes, as those of the tests' events are."""
    received = b""
    while b"\r\n\r\n" not in received or not received.partition(b"\r\n\r\n")[2]:
        received += connection.recv(65_536)


async def test_a_kept_connection_that_the_peer_closed_costs_no_attempt():
    """Also where the event loop had no time yet to read that it is closed."""
    closed, connections = threading.Event(), []

    def serve(connection):
        connections.append(connection)
        with connection:
            read_request(connection)
            connection.sendall(OK)
        closed.set()

    with server_in_a_thread(serve) as url:
        async with forwarder(url) as one:
            for number in range(1, 4):
                assert (await one.forward(claim(number))).kind == "success"
                assert closed.wait(10)  # holds up the event loop, on purpose
                closed.clear()
    assert len(connections) == 3


@pytest.mark.parametrize("held_up", [True, False], ids=["unread", "read"])
async def test_what_comes_unasked_on_a_kept_connection_is_never_the_answer_to_the_next_request(held_up):
    sent, connections = threading.Event(), []

    def serve(connection):
        connections.append(connection)
        first = len(connections) == 1
        read_request(connection)
        connection.sendall(OK if first else REFUSED)
        if first:
            time.sleep(0.05)  # a moment in which the answer is taken, for what follows to be unasked
            connection.sendall(OK)
            sent.set()

    with server_in_a_thread(serve) as url:
        async with forwarder(url) as one:
            assert (await one.forward(claim(1))).status == 200
            if held_up:
                assert sent.wait(10)
            else:
                await until(sent.is_set)
                await asyncio.sleep(0.01)
            assert (await one.forward(claim(2))).status == 500
        for connection in connections:
            connection.close()
    assert len(connections) == 2


async def test_a_request_is_written_once_even_where_a_kept_connection_closes_without_an_answer():
    """The peer may have acted on it: whether it is sent again is for the schedule to say."""

    async def once(_request, writer):
        if len(server.requests) % 2:
            writer.write(OK)
            await writer.drain()
        else:
            writer.close()

    async with raw_server(once) as server, forwarder(server.url) as one:
        kinds = [(await one.forward(claim(number))).kind for number in range(4)]
    assert kinds == ["success", "no_answer", "success", "no_answer"]
    assert len(server.requests) == 4
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok",
        "HTTP/1.0 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok and more",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 5000\n\n" + "x" * 5000,
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n",
    ],
    ids=["close", "HTTP/1.0", "more than it said", "a second answer", "too long", "broken"],
)
async def test_a_connection_is_not_used_again_after(answer):
    async with raw_server(say(answer)) as server, forwarder(server.url) as one:
        kinds = [(await one.forward(claim(number))).kind for number in range(2)]
    assert (kinds, server.connections) == (["success"] * 2, 2)


async def test_an_answer_as_long_as_is_kept_leaves_its_connection_in_use():
    async with (
        raw_server(say("HTTP/1.1 200 OK\nContent-Length: 4096\n\n" + "x" * 4096)) as server,
        forwarder(server.url) as one,
    ):
        outcomes = [await one.forward(claim(number)) for number in range(2)]
    assert [outcome.response for outcome in outcomes] == [b"x" * 4096] * 2
    assert server.connections == 1


async def ask(one, url):
    response = await one.handle_async_request(request(url))
    try:
        return [chunk async for chunk in response.stream]
    finally:
        await response.stream.aclose()


async def test_idle_connections_are_closed_after_their_time():
    closed = 0

    async def serve(reader, writer):
        nonlocal closed
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()
        closed += 1

    async with listening(serve) as url, transport(idle_seconds=0.05) as one:
        await asyncio.gather(*(ask(one, url) for _ in range(3)))
        assert closed == 0
        await until(lambda: closed == 3)
        await ask(one, url)
        await until(lambda: closed == 4)


async def test_no_more_connections_are_kept_than_asked_for():
    async with (
        raw_server(say(OK.decode().replace("\r\n", "\n"))) as server,
        transport(idle_connections=2) as one,
    ):
        for _ in range(2):
            await asyncio.gather(*(ask(one, server.url) for _ in range(5)))
    assert server.connections == 5 + 3


async def test_a_connection_that_is_given_back_after_the_end_is_closed():
    async with raw_server(say(OK.decode().replace("\r\n", "\n"))) as server, transport() as one:
        response = await one.handle_async_request(request(server.url))
        await one.aclose()
        await response.stream.aclose()
        await ask(one, server.url)
    assert server.connections == 2


async def test_on_a_connection_that_is_closed_nothing_is_sent():
    async with raw_server(say("")) as server:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(keep_bytes=1), "127.0.0.1", server.port
        )
        connection.abort()
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            with pytest.raises(httpx.ConnectError, match="before anything was sent"):
                await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"")
    assert server.requests == []


async def test_an_attempt_that_is_cancelled_ends_its_connection():
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def hang(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    async with listening(hang) as url, forwarder(url) as one:
        attempt = asyncio.create_task(one.forward(claim()))
        await arrived.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_thousand_attempts_that_end_by_time_out_leave_no_file_open():
    with socket.create_server(("127.0.0.1", 0), backlog=2000) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with forwarder(url, timeout_seconds=0.05) as one:
            await one.forward(claim())  # the event loop opens files of its own
            before = open_files()
            for _ in range(10):
                outcomes = await asyncio.gather(*(one.forward(claim()) for _ in range(100)))
                assert {outcome.kind for outcome in outcomes} == {"timeout"}
            await until(lambda: open_files() <= before)


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is asked for


@pytest.mark.parametrize("loop", EVENT_LOOPS)
@pytest.mark.parametrize(("end", "kind"), [("reset", "no_answer"), ("silence", "timeout")])
def test_large_bodies_take_no_more_memory_than_is_in_flight_and_none_after(loop, end, kind):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.failing_attempts", loop, end],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    assert measured["kinds"] == [kind]
    assert measured["peak"] < 1.5 * IN_FLIGHT * len(BODY)
    assert (measured["connections"], measured["held"]) == (0, [])
