"""Who waits, how long, and who never does."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, closing

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway.limits import Limits
from gateway.site import front
from gateway.turns import Turns
from gateway.turnstile import Turnstile
from tests.support.accepting import accepting
from tests.support.gateway_app import SOURCES, signed
from tests.support.gateway_server import serving
from tests.support.waiting import eventually


def turnstile(*, most_waiting=1000):
    return Turnstile(per_second=10, most_waiting=most_waiting, longest_seconds=0.5)


def waits(made, times):
    return [made.seconds(now) for now in times]


def test_whoever_comes_at_the_pace_never_waits():
    assert waits(turnstile(), [n / 10 for n in range(100, 400)]) == [0] * 300


def test_a_seconds_worth_may_come_at_once_and_the_next_ones_wait_for_their_turns():
    seconds = waits(turnstile(), [100.0] * 14)
    assert seconds == pytest.approx([0] * 10 + [0.1, 0.2, 0.3, 0.4], abs=1e-9)


def test_nobody_waits_longer_than_the_longest():
    assert max(waits(turnstile(), [100.0] * 1000)) == 0.5


def test_after_a_flood_it_is_soon_as_if_it_had_not_been():
    made = turnstile()
    waits(made, [100.0] * 1000)
    assert made.seconds(100.7) == 0
    assert waits(made, [102.0] * 10) == [0] * 10


async def test_no_more_wait_than_connections_can_be_spared():
    made = turnstile(most_waiting=3)
    for _ in range(2):
        many = [asyncio.create_task(made.wait()) for _ in range(40)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sum(not one.done() for one in many) == 3
        await asyncio.gather(*many)


class Shut(Turnstile):
    """Lets nobody through until it is opened."""

    def __init__(self):
        super().__init__(per_second=1, most_waiting=1)
        self.opened = threading.Event()
        self.waiting = 0

    async def wait(self):
        self.waiting += 1
        await asyncio.to_thread(self.opened.wait, 20)


@pytest.fixture
def shut():
    made = Shut()
    yield made
    made.opened.set()


def connect(port):
    return closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def request(path="/webhooks/producer", *, signature=None):
    headers = signed(b"{}") | ({"webhook-signature": signature} if signature else {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: 2\r\n\r\n{{}}".encode()


def status(connection):
    return int(connection.recv(65_536)[9:12])


def status_of(port, data):
    with connect(port) as connection:
        connection.sendall(data)
        return status(connection)


FORGED = request(signature="v1,AAAA")


@pytest.mark.parametrize(("data", "told"), [(FORGED, 401), (request("/webhooks/nobody"), 404)])
def test_what_is_not_authentic_waits_for_its_answer_and_what_is_does_not(tmp_path, shut, data, told):
    with accepting(tmp_path, strangers=shut) as gateway, connect(gateway.port) as connection:
        connection.sendall(data)
        eventually(lambda: shut.waiting == 1)
        assert status_of(gateway.port, request()) == 200
        assert shut.waiting == 1
        shut.opened.set()
        assert status(connection) == told


def test_an_authentic_webhook_over_its_rate_is_told_so_at_once(tmp_path, shut):
    text = SOURCES.replace(
        'preset = "standard-webhooks"', 'preset = "standard-webhooks"\nrate_per_second = 0.001'
    )
    with accepting(tmp_path, text, strangers=shut) as gateway:
        assert [status_of(gateway.port, request()) for _ in range(2)] == [200, 429]
        assert shut.waiting == 0


def test_a_handshake_waits_for_its_answer_too(tmp_path, shut):
    text = SOURCES.replace(
        'preset = "standard-webhooks"', 'preset = "standard-webhooks"\nhandshake = "graph"'
    )
    with accepting(tmp_path, text, strangers=shut) as gateway, connect(gateway.port) as connection:
        connection.sendall(request("/webhooks/producer?validationToken=words"))
        eventually(lambda: shut.waiting == 1)
        shut.opened.set()
        assert status(connection) == 200


def test_everything_that_is_no_webhook_waits_but_whether_the_process_lives(shut):
    async def ingest(scope, receive, send):
        await Response(status_code=200)(scope, receive, send)

    @asynccontextmanager
    async def lifespan(_):
        yield

    routes = [Route(path, lambda _: Response(status_code=204)) for path in ("/healthz", "/readyz")]
    app = front(ingest, Starlette(routes=routes, lifespan=lifespan), turnstile=shut, turns=Turns(1))
    with serving(app, limits=Limits()) as served, connect(served.port) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        eventually(lambda: shut.waiting == 1)
        assert status_of(served.port, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") == 204
        assert status_of(served.port, request()) == 200
        assert shut.waiting == 1
        shut.opened.set()
        assert status(connection) == 204
