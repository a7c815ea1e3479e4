"""Names: asked for once, judged each time, and the judged address is the one that is connected to."""

import asyncio
import contextlib
import socket

import pytest

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.forward import Forwarder
from gateway.model import Claim, DeliveryId
from gateway.resolver import FRESH_SECONDS, AddressRefusedError, Resolver, resolve_by_system
from tests.support.clock import ManualClock
from tests.support.raw_server import raw_server, say
from tests.support.store import NOW, A, event

OK = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"


def claim(number=1):
    return Claim(
        delivery_id=DeliveryId(number),
        attempt=1,
        destination=A,
        event=event(number),
        tries=0,
        again=False,
        queued_at=NOW,
        live_since=NOW,
    )


class NameServer:
    """Gives `answers` one after the other, the last for ever; an exception is raised. Holds them back while `hangs` is clear."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, _host, _port):
        self.asked += 1
        await self.goes_on.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def resolver(names, *, allow_private=False, clock=None):
    return Resolver(
        "convex.example", 80, allow_private=allow_private, resolve=names, clock=clock or ManualClock()
    )


async def test_a_name_that_turns_to_an_inner_address_is_refused_from_then_on():
    names, clock = NameServer(["8.8.8.8"], ["127.0.0.1"]), ManualClock()
    one = resolver(names, clock=clock)
    assert await one.addresses() == ["8.8.8.8"]
    clock.advance(FRESH_SECONDS)
    for _ in range(2):
        with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1 is not a public address"):
            await one.addresses()
    assert names.asked == 3  # a refusal is not remembered


async def test_a_name_is_asked_for_again_when_its_addresses_are_no_longer_fresh():
    names, clock = NameServer(["8.8.8.8"], ["1.1.1.1"]), ManualClock()
    one = resolver(names, clock=clock)
    assert [await one.addresses() for _ in range(3)] == [["8.8.8.8"]] * 3
    assert names.asked == 1
    clock.advance(FRESH_SECONDS)
    assert await one.addresses() == ["1.1.1.1"]
    assert FRESH_SECONDS < 1


async def test_attempts_at_the_same_moment_ask_once():
    names = NameServer(["8.8.8.8"])
    one = resolver(names)
    assert await asyncio.gather(*(one.addresses() for _ in range(50))) == [["8.8.8.8"]] * 50
    assert names.asked == 1


async def test_only_the_addresses_that_may_be_connected_to_are_given():
    assert await resolver(NameServer(["10.0.0.1", "8.8.8.8", "::1"])).addresses() == ["8.8.8.8"]


async def test_a_failure_is_not_remembered():
    one = resolver(NameServer(OSError("no answer"), ["8.8.8.8"]))
    with pytest.raises(OSError, match="no answer"):
        await one.addresses()
    assert await one.addresses() == ["8.8.8.8"]


async def test_a_name_server_that_hangs_is_asked_once_however_many_attempts_end_by_time_out():
    names = NameServer(["127.0.0.1"])
    names.goes_on.clear()
    async with raw_server(say(OK)) as server:
        one = forwarder(f"http://convex.example:{server.port}", names, timeout_seconds=0.02)
        for _ in range(3):
            outcomes = await asyncio.gather(*(one.forward(claim()) for _ in range(10)))
            assert {outcome.kind for outcome in outcomes} == {"timeout"}
        assert names.asked == 1
        names.goes_on.set()
        await asyncio.sleep(0)
        assert await one.address_refusal() is None
        await one.close()
    assert names.asked == 1


def forwarder(url, names, *, clock=None, **settings):
    destination = Destination(name=A, url=url, allow_private_address=True, **settings)
    return Forwarder(destination, clock=clock or SystemClock(), resolve=names)


async def test_a_kept_connection_is_not_used_once_the_name_has_moved():
    heard, ended = [], []

    async def answer(reader, writer):
        ended.append(asyncio.current_task())
        while await reader.readline():
            heard.append(writer.get_extra_info("sockname")[0])
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(8)
            writer.write(OK.replace("\n", "\r\n").encode())
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    port, clock = server.sockets[0].getsockname()[1], ManualClock()
    one = forwarder(f"http://convex.example:{port}", NameServer(["127.0.0.1"], ["127.0.0.2"]), clock=clock)
    for pause in (0, FRESH_SECONDS, 0):
        clock.advance(pause)
        assert (await one.forward(claim())).kind == "success"
    await one.close()
    await asyncio.gather(*ended)
    server.close()
    assert heard == ["127.0.0.1", "127.0.0.2", "127.0.0.2"]


async def test_the_address_that_answered_is_tried_first_from_then_on():
    """Else every attempt on a new connection would first wait for one that nobody takes."""
    answer = say("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n")
    async with raw_server(answer) as server:
        with deaf("127.0.0.2", server.port):
            names = NameServer(["127.0.0.2", "127.0.0.1"])
            one = forwarder(f"http://convex.example:{server.port}", names, timeout_seconds=0.8)
            first, second = [await one.forward(claim()) for _ in range(2)]
            await one.close()
    assert (first.kind, second.kind, server.connections) == ("success", "success", 2)
    assert first.duration_ms >= 400 > second.duration_ms


@contextlib.contextmanager
def deaf(address, port):
    """Listens, and lets connections wait until their time is over."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind((address, port))
        full.listen(0)
        for _ in range(3):  # fill its backlog: the next one's SYN gets no answer
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((address, port))
        yield


async def test_the_system_knows_localhost_and_says_what_it_does_not_know():
    assert "127.0.0.1" in await resolve_by_system("localhost", 80)
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's choice
        await resolve_by_system("no-such-host.invalid", 80)
    with pytest.raises(OSError, match="no name that could be asked for"):
        await resolve_by_system("a" * 64 + ".example", 80)
