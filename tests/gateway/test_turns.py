"""A burst of requests from nobody known does not keep others waiting, and none of it waits for longer than it must."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway import app
from gateway.clock import SystemClock
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.site import front
from gateway.turns import SENDER, Sender, Turns, sender_of
from gateway.turnstile import Turnstile
from tests.support.gateway_app import KEY, SOURCES, configuration, open_store, signed
from tests.support.gateway_server import serving
from tests.support.waiting import eventually


async def arrive(turns: Turns, number: int, begun: list[int]) -> None:
    await turns.wait()
    begun.append(number)


async def test_a_few_begin_in_a_turn_of_the_event_loop_in_the_order_in_which_they_came():
    turns, begun = Turns(2), []
    async with asyncio.TaskGroup() as arriving:
        for number in range(9):
            arriving.create_task(arrive(turns, number, begun))
        counts = []
        while len(begun) < 9:
            before = len(begun)
            await asyncio.sleep(0)
            counts.append(len(begun) - before)
    assert begun == list(range(9))
    assert max(counts) <= 2


async def test_whoever_comes_alone_begins_at_once():
    turns, begun = Turns(2), []
    for number in range(5):
        await arrive(turns, number, begun)
        assert begun[-1] == number
        for _ in range(3):
            await asyncio.sleep(0)


async def test_one_that_is_cancelled_takes_nobodys_turn():
    turns, begun = Turns(1), []
    tasks = [asyncio.create_task(arrive(turns, number, begun)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert begun == [0, 3]


class Shut(Turns):
    """Once shut, lets nobody begin until it is opened."""

    def __init__(self):
        super().__init__(1)
        self.opened = threading.Event()
        self.opened.set()
        self.waiting = 0

    async def wait(self):
        self.waiting += not self.opened.is_set()
        await asyncio.to_thread(self.opened.wait, 20)


@asynccontextmanager
async def nothing(_):
    yield


async def believing(scope, receive, send):
    sender_of(scope).is_known = True
    await Response(status_code=200)(scope, receive, send)


def connect(port):
    return closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def status(connection, path=None):
    if path:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return int(connection.recv(65_536)[9:12])


@pytest.mark.parametrize("path", ["/webhooks/producer", "/readyz"])
def test_a_connection_that_sent_an_authentic_webhook_waits_for_nobody_and_others_do(path):
    others = Starlette(routes=[Route("/readyz", lambda _: Response(status_code=204))], lifespan=nothing)
    shut = Shut()
    served = front(believing, others, turnstile=Turnstile(per_second=1000, most_waiting=0), turns=shut)
    with (
        serving(served, limits=Limits()) as server,
        connect(server.port) as known,
        connect(server.port) as new,
    ):
        assert status(known, "/webhooks/producer") == 200
        shut.opened.clear()
        new.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        eventually(lambda: shut.waiting == 1)
        assert status(known, "/webhooks/producer") == 200
        assert shut.waiting == 1
        shut.opened.set()
        assert status(new) in (200, 204)


@pytest.fixture
async def webhooks(tmp_path):
    """Sends headers over the connection of a sender, without a server."""
    config, metrics = (
        configuration(f'{SOURCES}\n[[sources]]\nname = "open"\nverify = {{ kind = "none" }}\n', tmp_path),
        Metrics(version="test"),
    )
    store = open_store(config, tmp_path / "gateway.db", metrics)
    created = app.create(config, store=store, clock=SystemClock(), metrics=metrics)

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(_): ...

    async def post(sender, headers, source="producer"):
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": f"/webhooks/{source}", "query_string": b""}
        await created.app({**scope, "headers": named, "state": {SENDER: sender}}, receive, send)
        return sender.is_known

    yield post
    await store.close()


async def test_a_sender_is_known_as_long_as_its_last_webhook_was_authentic(webhooks):
    sender = Sender()
    assert not await webhooks(sender, signed(b"{}", key=b"another" * 5))
    assert await webhooks(sender, signed(b"{}"))
    assert await webhooks(sender, signed(b"{}"))
    assert not await webhooks(sender, signed(b"{}", key=b"another" * 5))


async def test_a_source_that_believes_everybody_makes_nobody_known(webhooks):
    assert not await webhooks(Sender(), {}, source="open")


class Noting:
    """A verifier that notes in which thread it was asked."""

    def __init__(self, verifier):
        self._verifier = verifier
        self.threads = []

    def __getattr__(self, name):
        return getattr(self._verifier, name)

    def verify(self, webhook, *, now):
        self.threads.append(threading.get_ident())
        return self._verifier.verify(webhook, now=now)


@pytest.mark.parametrize(("size", "is_beside"), [(2**18, False), (2**18 + 1, True)])
async def test_a_long_body_is_verified_beside_the_event_loop(tmp_path, size, is_beside):
    config, metrics = configuration(SOURCES, tmp_path), Metrics(version="test")
    config = replace(config, server=replace(config.server, max_body_bytes=2**20))
    store = open_store(config, tmp_path / "gateway.db", metrics)
    created = app.create(config, store=store, clock=SystemClock(), metrics=metrics)
    (name,) = created.sources
    noting = Noting(created.sources[name].verifier)
    created.sources[name] = replace(created.sources[name], verifier=noting)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(created.app), base_url="http://gateway")
    body = b"x" * size
    for key, status in ((KEY, 200), (b"another" * 5, 401)):
        answer = await client.post(f"/webhooks/{name}", content=body, headers=signed(body, key=key))
        assert answer.status_code == status
    assert [thread != threading.get_ident() for thread in noting.threads] == [is_beside] * 2
    await client.aclose()
    await store.close()


def test_a_sender_is_that_of_one_connection():
    seen = []

    async def noting(scope, receive, send):
        seen.append(sender_of(scope))
        await Response(status_code=200)(scope, receive, send)

    application = Starlette(routes=[Route("/", Seeing(noting))], lifespan=nothing)
    with (
        serving(application, limits=Limits()) as server,
        connect(server.port) as one,
        connect(server.port) as two,
    ):
        assert [status(one, "/"), status(one, "/"), status(two, "/")] == [200] * 3
    assert seen[0] is seen[1]
    assert seen[0] is not seen[2]


class Seeing:
    """An ASGI application as an object: Starlette takes a function for an endpoint."""

    def __init__(self, application):
        self._application = application

    async def __call__(self, scope, receive, send):
        await self._application(scope, receive, send)
