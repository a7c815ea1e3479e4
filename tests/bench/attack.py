"""Attacks on a gateway, each at a stated rate: what a hostile network sends beside the honest producers."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from tests.bench.load import headers
from tests.bench.processes import obey

HOST = b"host: gateway\r\n"


@dataclass(frozen=True, slots=True)
class Suffered:
    """What became of an attack."""

    requests: int
    """Sent whole, or for connections that only stand, connections made."""
    per_second: float
    standing: int
    """Connections open at its end."""


def bad_signature(body_bytes: int) -> Callable[[int], bytes]:
    """Well-formed, of this minute, and signed with another key."""
    content = b"x" * body_bytes

    def request(number: int) -> bytes:
        signed = headers(b"something else", event_id=f"msg_hostile_{number}")
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed).encode()
        length = b"content-length: %d\r\n\r\n" % len(content)
        return b"POST /webhooks/producer HTTP/1.1\r\n" + HOST + lines + length + content

    return request


def plain(start: bytes, more: bytes = b"") -> Callable[[int], bytes]:
    return lambda _: start + b" HTTP/1.1\r\n" + HOST + more + b"content-length: 0\r\n\r\n"


REQUESTS: dict[str, Callable[[int], bytes]] = {
    "bad signature": bad_signature(1024),
    "bad signature, 1 MiB": bad_signature(1_048_576),
    "unknown source": plain(b"POST /webhooks/nobody"),
    "no such path": plain(b"GET /wp-login.php"),
    "wrong admin token": plain(b"GET /v1/events", b"authorization: Bearer wrong\r\n"),
    "many headers": plain(b"POST /webhooks/producer", b"x: y\r\n" * 101),
    "huge head": plain(b"POST /webhooks/producer", b"x: " + b"y" * 70_000 + b"\r\n"),
    "two lengths": plain(b"POST /webhooks/producer", b"transfer-encoding: chunked\r\n"),
    "no HTTP": lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    "metrics": plain(b"GET /metrics"),
    "readiness": plain(b"GET /readyz"),
    "contract": plain(b"GET /openapi.json"),
}
SLOW = {
    "nothing": b"",
    "slow head": b"POST /webhooks/producer HTTP/1.1\r\nhost: gateway\r\nx: ",
    "slow body": bad_signature(1024)(0)[:-1024],
}


class Peer(asyncio.Protocol):
    """Learns that it was answered; does not look at what."""

    def __init__(self) -> None:
        self.is_open = True
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, _: bytes) -> None:
        self.answered.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        self.answered.set()


class Attack:
    def __init__(self, port: int, *, seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._sent = 0
        self._peers: set[Peer] = set()

    async def flood(
        self, make: Callable[[int], bytes], *, connections: int, rate: float, fresh: bool
    ) -> None:
        """So many requests a second, or with 0 as many as are answered; `fresh`: each over a connection of its own."""
        every = connections / rate if rate else 0.0
        async with asyncio.TaskGroup() as senders:
            for number in range(connections):
                senders.create_task(
                    self._send(make, delay=every * number / connections, every=every, fresh=fresh)
                )

    async def stand(self, start: bytes, *, connections: int, ramp: float) -> None:
        """So many connections that say this and then drip, within `ramp` seconds; a closed one is made anew."""
        async with asyncio.TaskGroup() as standing:
            for number in range(connections):
                standing.create_task(self._drip(start, delay=ramp * number / connections))

    async def end(self) -> Suffered:
        standing = [peer for peer in self._peers if peer.is_open]
        for peer in standing:
            peer.transport.abort()
        while any(peer.is_open for peer in standing):
            await asyncio.sleep(0)
        return Suffered(self._sent, self._sent / self._seconds, len(standing))

    async def _send(self, make: Callable[[int], bytes], *, delay: float, every: float, fresh: bool) -> None:
        await asyncio.sleep(min(delay, self._seconds))
        due, peer = time.monotonic(), None
        while (now := time.monotonic()) < self._end:
            peer = peer if peer is not None and peer.is_open and not fresh else await self._another(peer)
            if peer is None:
                continue
            peer.answered.clear()
            peer.transport.write(make(self._sent))
            self._sent += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(peer.answered.wait(), self._end - now)
            due = max(due + every, now)
            await asyncio.sleep(min(due, self._end) - time.monotonic())

    async def _drip(self, start: bytes, *, delay: float) -> None:
        await asyncio.sleep(delay)
        while time.monotonic() < self._end:
            peer = await self._another(None)
            if peer is None:
                continue
            peer.transport.write(start)
            self._sent += 1
            while peer.is_open and time.monotonic() < self._end:
                await asyncio.sleep(min(1.0, self._end - time.monotonic()))
                peer.transport.write(b"x" if start else b"")

    async def _another(self, last: Peer | None) -> Peer | None:
        """A new connection in place of the last one; None where there is none to be had."""
        if last is not None:
            last.transport.abort()
            self._peers.discard(last)
        try:
            _, peer = await asyncio.get_running_loop().create_connection(Peer, "127.0.0.1", self._port)
        except OSError:
            await asyncio.sleep(0.1)
            return None
        self._peers.add(peer)
        return peer


def flood(*, port: int, request: str, seconds: float, **how: Any) -> dict[str, float]:
    return _run(port, seconds, lambda attack: attack.flood(REQUESTS[request], **how))


def stand(*, port: int, start: str, seconds: float, **how: Any) -> dict[str, float]:
    return _run(port, seconds, lambda attack: attack.stand(SLOW[start], **how))


def _run(port: int, seconds: float, act: Callable[[Attack], Awaitable[None]]) -> dict[str, float]:
    async def run() -> Suffered:
        attack = Attack(port, seconds=seconds)
        await act(attack)
        return await attack.end()

    return asdict(uvloop.run(run()))


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    obey({"flood": flood, "stand": stand})
