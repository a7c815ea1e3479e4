"""The bound on the time that a request's head may take, over real sockets."""

import functools
import json
import socket
import threading
from collections.abc import Callable, Iterator

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.live_server import live_server
from transcriber.connection import Protocol

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
Connect = Callable[[], socket.socket]


@pytest.fixture
def release() -> threading.Event:
    """Lets requests be answered."""
    return threading.Event()


@pytest.fixture
def connect(release: threading.Event) -> Iterator[Connect]:
    async def answer(_: Request) -> Response:
        await anyio.to_thread.run_sync(release.wait, 30)
        return Response("heard")

    app = Starlette(routes=[Route("/", answer)])
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection((host, int(port)), timeout=10))
        return opened[-1]

    with live_server(app, http=functools.partial(Protocol, head_seconds=0.3)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        try:
            yield connect
        finally:
            release.set()
            for client in opened:
                client.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost"])
def test_a_connection_without_a_whole_head_is_ended(connect: Connect, said: bytes) -> None:
    client = connect()
    client.sendall(said)
    assert client.recv(100) == b""


def test_a_next_request_without_a_whole_head_is_ended_too(connect: Connect, release: threading.Event) -> None:
    release.set()
    client = connect()
    client.sendall(HEAD + b"\r\n")
    while not (answer := client.recv(1000)).endswith(b"heard"):
        assert answer
    client.sendall(HEAD)
    assert client.recv(100) == b""


def test_an_answer_may_take_longer_than_a_head(connect: Connect, release: threading.Event) -> None:
    patient, silent = connect(), connect()
    patient.sendall(HEAD + b"\r\n")
    assert silent.recv(100) == b""  # by then a head would have been too late
    release.set()
    assert patient.recv(1000).startswith(b"HTTP/1.1 200")


def test_what_turns_out_unsound_after_its_answer_ends_the_connection_without_a_word(
    connect: Connect, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    release.set()
    client = connect()
    client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    client.sendall(b"no size\r\n")
    assert client.recv(1000) == b""
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"])
def test_what_is_no_sound_http_is_refused_with_a_problem(connect: Connect, said: bytes) -> None:
    client = connect()
    client.sendall(said)
    answer = b""
    while piece := client.recv(1000):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert {b"content-type: application/problem+json", b"connection: close"} <= set(
        head.lower().split(b"\r\n")
    )
    assert (json.loads(body)["status"], json.loads(body)["code"]) == (400, "refused")
