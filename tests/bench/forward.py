"""`python -m tests.bench.forward`: one attempt, by transport, event loop and number in flight, and by stage.

CPU is this process's; the receiver is another. The transports take turns, and the least of their rounds counts.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httptools
import httpx
import uvloop

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.forward import KEPT_RESPONSE_BYTES, Forwarder
from gateway.model import Claim, DeliveryId, Webhook
from gateway.outgoing import Composer, Outgoing
from gateway.transport import Transport
from tests.support.store import NOW, A, event

BODY = b"x" * 1024
RECEIVED = (
    (b"content-type", b"application/json"),
    *((b"x-header-%d" % n, b"value %d" % n) for n in range(9)),
)
IN_FLIGHT = (1, 8, 32, 64)
ROUNDS = 3
SECONDS = 0.3
CLAIM = Claim(
    delivery_id=DeliveryId(1),
    attempt=1,
    destination=A,
    event=event(1, webhook=Webhook(headers=RECEIVED, query=b"", body=BODY)),
    tries=0,
    again=False,
    queued_at=NOW,
    live_since=NOW,
)

Once = Callable[[], Awaitable[Any]]
Prepare = Callable[[str], contextlib.AbstractAsyncContextManager[Once]]


@dataclass(frozen=True, slots=True)
class Figure:
    per_second: float
    cpu_us: float


def main() -> None:
    with receiver() as url:
        print(f"{'in flight':10}{'':28}{'asyncio /s':>12}{'CPU us':>9}{'uvloop /s':>12}{'CPU us':>9}")
        for in_flight in IN_FLIGHT:
            compare(url, in_flight)
        print("\nstages, uvloop, 32 in flight, CPU us:")
        for name, prepare in STAGES.items():
            print(f"  {name:36}{best(prepare, url, 32)[1].cpu_us:9.1f}")


def compare(url: str, in_flight: int) -> None:
    for name, prepare in TRANSPORTS.items():
        on_asyncio, on_uvloop = best(prepare, url, in_flight)
        print(
            f"{in_flight:<10}{name:28}{on_asyncio.per_second:12.0f}{on_asyncio.cpu_us:9.0f}"
            f"{on_uvloop.per_second:12.0f}{on_uvloop.cpu_us:9.0f}"
        )


def best(prepare: Prepare, url: str, in_flight: int) -> tuple[Figure, Figure]:
    """On asyncio's event loop and on uvloop."""
    loops = (asyncio.new_event_loop, uvloop.new_event_loop)
    rounds: list[list[Figure]] = [[], []]
    for _ in range(ROUNDS):
        for new_loop, figures in zip(loops, rounds, strict=True):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                figures.append(runner.run(measure(prepare, url, in_flight)))
    least = (min(figures, key=lambda figure: figure.cpu_us) for figures in rounds)
    return next(least), next(least)


async def measure(prepare: Prepare, url: str, in_flight: int) -> Figure:
    async with prepare(url) as once:
        await asyncio.gather(*(once() for _ in range(in_flight)))  # connects
        started, cpu = time.perf_counter(), time.process_time()
        numbers = await asyncio.gather(*(repeat(once, until=started + SECONDS) for _ in range(in_flight)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Figure(sum(numbers) / seconds, cpu / sum(numbers) * 1e6)


async def repeat(once: Once, *, until: float) -> int:
    number = 0
    while time.perf_counter() < until:
        await once()
        number += 1
    return number


@contextlib.asynccontextmanager
async def whole_attempt(url: str) -> AsyncIterator[Once]:
    destination = Destination(name=A, url=url, allow_private_address=True, max_in_flight=max(IN_FLIGHT))
    forwarder = Forwarder(destination, clock=SystemClock())

    async def once() -> None:
        outcome = await forwarder.forward(CLAIM)
        if outcome.kind != "success":
            raise RuntimeError(outcome)

    yield once
    await forwarder.close()


def exchange(new: Callable[[], httpx.AsyncBaseTransport], *, reads: bool = True) -> Prepare:
    @contextlib.asynccontextmanager
    async def prepare(url: str) -> AsyncIterator[Once]:
        transport, build = new(), builder(url)

        async def once() -> None:
            response = await transport.handle_async_request(build())
            if reads:
                async for _ in response.stream:
                    pass
            await response.stream.aclose()

        yield once
        await transport.aclose()

    return prepare


def builder(url: str) -> Callable[[], httpx.Request]:
    """Makes requests as the forwarder does."""
    where, outgoing = httpx.URL(url), Composer(Destination(name=A, url=url), sources={}).compose(CLAIM, now=0)
    extensions = {"timeout": {"connect": 5}}

    def build() -> httpx.Request:
        headers = [
            (b"host", where.netloc),
            *outgoing.headers,
            (b"content-length", b"%d" % len(outgoing.body)),
        ]
        stream = httpx.ByteStream(outgoing.body)
        return httpx.Request("POST", where, headers=headers, stream=stream, extensions=extensions)

    return build


def composer(url: str) -> Callable[[], Outgoing]:
    one = Composer(Destination(name=A, url=url, bearer_token="made-up"), sources={})
    return lambda: one.compose(CLAIM, now=0)


def own() -> Transport:
    return Transport(
        tls=None, keep_bytes=KEPT_RESPONSE_BYTES, idle_connections=max(IN_FLIGHT), idle_seconds=30
    )


def of_httpx() -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncHTTPTransport(limits=limits, trust_env=False)


def without_network(step: Callable[[str], Callable[[], Any]]) -> Prepare:
    @contextlib.asynccontextmanager
    async def prepare(url: str) -> AsyncIterator[Once]:
        work = step(url)

        async def once() -> None:
            work()

        yield once

    return prepare


TRANSPORTS: dict[str, Prepare] = {
    "httpx's own transport": exchange(of_httpx),
    "the gateway's transport": exchange(own),
    "a whole attempt": whole_attempt,
}
STAGES: dict[str, Prepare] = {
    "compose": without_network(composer),
    "build the request": without_network(builder),
    "build, send": exchange(own, reads=False),
    "build, send, read": exchange(own),
    "a whole attempt": whole_attempt,
}


class Receiver(asyncio.Protocol):
    """Answers every request at once."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self.ANSWER)


async def receive() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """Its URL; it runs in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.forward", "receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/in"
        finally:
            process.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["receive"]:
        uvloop.run(receive())
    else:
        main()
