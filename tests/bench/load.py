"""Sends signed webhooks, all made before the clock starts: as fast as they are answered, or at a steady rate."""

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import uvloop

from tests.bench.processes import obey

KEY = b"a made-up secret of thirty bytes"
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
JOBS = 64
"""At once; each says eight things, and then another takes its place. Connections that divide this keep their order."""


@dataclass(frozen=True, slots=True)
class Burst:
    began: float
    """By the monotonic clock, which all processes of a machine share."""
    per_second: float
    took_ms: list[float] = field(repr=False)
    """From request to answer, ascending."""


@dataclass(frozen=True, slots=True)
class Stream:
    began: float
    """When the first was due, by the monotonic clock; the one with number `n` was due n / rate later."""
    took_ms: list[float] = field(repr=False)
    """From when each was due to its answer, in the order of their numbers: a late sender is no excuse."""


def key(number: int) -> str:
    return f"job-{number // (JOBS * 8) * JOBS + number % JOBS}"


def body(number: int, *, body_bytes: int) -> bytes:
    data = {"jobId": key(number), "n": number, "filler": ""}
    bare = json.dumps({"type": "transcription.job.progress", "data": data})
    return bare.replace('""', f'"{"x" * max(0, body_bytes - len(bare))}"').encode()


def headers(content: bytes, *, event_id: str) -> list[tuple[str, str]]:
    sent = str(int(time.time()))
    signature = base64.b64encode(
        hmac.digest(KEY, f"{event_id}.{sent}.".encode() + content, hashlib.sha256)
    ).decode()
    return [
        ("content-type", "application/json"),
        ("webhook-id", event_id),
        ("webhook-timestamp", sent),
        ("webhook-signature", f"v1,{signature}"),
    ]


def signed_request(number: int, *, run: str, host: str, body_bytes: int) -> bytes:
    """A whole HTTP/1.1 request. Its id is one by chance, so that it belongs anywhere in the index of ids."""
    content = body(number, body_bytes=body_bytes)
    event_id = f"msg_{hashlib.blake2b(f'{run}-{number}'.encode(), digest_size=13).hexdigest()}"
    lines = [f"{name}: {value}\r\n" for name, value in headers(content, event_id=event_id)]
    head = f"POST /webhooks/producer HTTP/1.1\r\nhost: {host}\r\n{''.join(lines)}content-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def signed_requests(first: int, total: int, *, port: int, body_bytes: int) -> list[bytes]:
    run, host = str(time.time_ns()), f"127.0.0.1:{port}"
    made = [signed_request(n, run=run, host=host, body_bytes=body_bytes) for n in range(first, first + total)]
    gc.collect()
    gc.freeze()  # these requests are garbage to nobody while they are sent
    return made


def burst(*, port: int, total: int, connections: int, body_bytes: int, first: int = 0) -> Burst:
    """One request in flight on each connection, the next as soon as the last one's answer is whole."""
    requests = signed_requests(first, total, port=port, body_bytes=body_bytes)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_burst(port, requests, connections=connections))


def stream(
    *, port: int, rate: float, total: int, connections: int, body_bytes: int, first: int = 0
) -> Stream:
    """Each is sent when it is due, whatever became of those before it."""
    requests = signed_requests(first, total, port=port, body_bytes=body_bytes)
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    try:
        return Sender(sockets).send(requests, rate=rate)
    finally:
        for one in sockets:
            one.close()


class Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], took: list[float], on_end: Callable[[], None]) -> None:
        self._requests = requests
        self._took = took
        self._on_end = on_end
        self._answer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._answer = self._answer + data
        if not _is_whole(answer):
            return
        if not answer.startswith(b"HTTP/1.1 200 "):
            self._transport.close()
            return
        self._took.append((time.perf_counter() - self._started) * 1000)
        self._answer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the answers are counted
        self._on_end()


async def _burst(port: int, requests: Sequence[bytes], *, connections: int) -> Burst:
    """Raise where one request was not answered 200. The clock starts when every connection stands."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    ended, open_connections = loop.create_future(), connections

    def on_end() -> None:
        nonlocal open_connections
        open_connections -= 1
        if not open_connections:
            ended.set_result(None)

    made = []
    for number in range(connections):
        mine = iter(requests[number::connections])
        _, connection = await loop.create_connection(
            lambda mine=mine: Connection(mine, took, on_end), "127.0.0.1", port
        )
        made.append(connection)
    began = time.monotonic()
    for connection in made:
        connection.send()
    await ended
    seconds = time.monotonic() - began
    if len(took) < len(requests):
        raise RuntimeError(f"{len(requests) - len(took)} of {len(requests)} requests were not answered 200")
    return Burst(began, len(took) / seconds, sorted(took))


class Sender:
    """Sends on whichever connection is free. It waits by select(2), whose clock is finer than an event loop's."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._free = deque(sockets)
        self._due: dict[socket.socket, tuple[int, float]] = {}
        """The number of what each awaits the answer to, and when that was due."""
        self._answers: dict[socket.socket, bytes] = dict.fromkeys(sockets, b"")

    def send(self, requests: Sequence[bytes], *, rate: float) -> Stream:
        self._took_ms = [0.0] * len(requests)
        began = time.monotonic() + 0.05
        for number, request in enumerate(requests):
            due = began + number / rate
            self._take_answers(until=due)
            while not self._free:
                self._take_answers(until=time.monotonic() + 0.001)
            one = self._free.popleft()
            self._due[one] = (number, due)
            one.sendall(request)
        while self._due:
            self._take_answers(until=time.monotonic() + 0.01)
        return Stream(began, self._took_ms)

    def _take_answers(self, *, until: float) -> None:
        """Those that come until then."""
        left = 1.0
        while left:
            left = max(0.0, until - time.monotonic())
            readable, _, _ = select.select(list(self._due), [], [], left)
            for one in readable:
                self._take(one)

    def _take(self, one: socket.socket) -> None:
        answer = self._answers[one] + one.recv(65_536)
        self._answers[one] = answer
        if answer and not _is_whole(answer):
            return
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"answered {answer[:200]!r}")
        number, due = self._due.pop(one)
        self._took_ms[number] = (time.monotonic() - due) * 1000
        self._answers[one] = b""
        self._free.append(one)


def _is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    found = LENGTH.search(answer, 0, end + 2)
    return len(answer) >= end + 4 + (int(found[1]) if found else 0)


if __name__ == "__main__":
    obey({"burst": lambda **job: asdict(burst(**job)), "stream": lambda **job: asdict(stream(**job))})
