"""CPU time of each stage of an event's way, by itself, in one process. Kernel and all threads are counted."""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from uvicorn.server import ServerState

from gateway import app
from gateway.clock import SystemClock
from gateway.config import Destination, load
from gateway.forward import Forwarder
from gateway.lane import Lane
from gateway.limits import Limits
from gateway.log import set_up
from gateway.metrics import Metrics
from gateway.model import Accepted, Claim, Delivered, Event, Outcome, Webhook
from gateway.server import settings
from gateway.store import Claimed, Finished, Standing
from tests.bench.load import body, headers, key, signed_request
from tests.bench.processes import obey
from tests.support import store as steps

BODY_BYTES = 512
TOGETHER = 32
"""Requests or attempts under way at once."""
CONFIGURATION = """
[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["whsec_YSBtYWRlLXVwIHNlY3JldCBvZiB0aGlydHkgYnl0ZXM="]
ordering_key = "json:data.jobId"

[[destinations]]
name = "a"
url = "http://127.0.0.1:{port}/in"
allow_private_address = true
max_in_flight = 32
"""

Turn = Callable[[], Awaitable[None]]
"""Does `TOGETHER` of something."""


class NoStore:
    """Answers at once: what is measured is the way there and back."""

    def __init__(self) -> None:
        self.waiting: list[Claim] = []

    async def accept(self, event: Event, **_: Any) -> Accepted:
        return Accepted(event.id, "accepted")

    async def claim(self, *_: Any, **__: Any) -> Claimed:
        claims, self.waiting = self.waiting, []
        return Claimed(claims, None, Standing())

    async def record(self, *_: Any, **__: Any) -> Finished:
        return Finished(counted=True, released=False)


class NoForwarder:
    async def forward(self, claim: Claim) -> Outcome:
        return Outcome("success", started_at=claim.queued_at, duration_ms=1, status=200)


class Wire(asyncio.Transport):
    """A connection's other end: counts the answers."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.answered = 0

    def write(self, data: Any) -> None:
        self.answered += bytes(data).startswith(b"HTTP/1.1 200")

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def measure(events: int, destination_port: int) -> dict[str, float]:
    """Microseconds of CPU per event, by stage."""
    with Path(os.devnull).open("w") as nowhere, tempfile.TemporaryDirectory() as folder:
        set_up(level="info", stream=nowhere)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(events, destination_port, Path(folder)))


async def _measure(events: int, destination_port: int, folder: Path) -> dict[str, float]:
    (folder / "gateway.toml").write_text(CONFIGURATION.format(port=destination_port))
    config = load(folder / "gateway.toml", environ={})
    turns, metrics = max(2, events // TOGETHER), Metrics(version="bench")
    figures: dict[str, float] = {}
    figures["serve: HTTP in and out, without the socket"] = await _repeated(serving(), turns)
    figures["verify"] = await _repeated(verifying(config), turns)
    ingested = await _repeated(ingesting(config, metrics), turns)
    figures["event, answer, log line, metrics"] = ingested - figures["verify"]
    async with steps.open_store(folder / "store.db") as store:
        figures["store.accept"] = await _repeated(accepting(store, turns), turns)
        return figures | await _delivered(store, config.destinations[0], metrics)


async def _repeated(turn: Turn, turns: int) -> float:
    began = time.process_time()
    for _ in range(turns):
        await turn()
    return (time.process_time() - began) / (turns * TOGETHER) * 1e6


async def _delivered(store: Any, destination: Destination, metrics: Metrics) -> dict[str, float]:
    """All that the store holds, group by group: each is recorded before the next, which waits for the keys of this one."""
    watch = Watch()
    forwarder = Forwarder(destination, clock=SystemClock())
    dispatched = NoStore()
    lane = _lane(destination, dispatched, metrics)
    events = 0
    while True:
        with watch.on("store.claim"):
            claims = await steps.claim(store, total=TOGETHER)
        if not claims:
            break
        events += len(claims)
        with watch.on("forward, sockets included"):
            outcomes = await asyncio.gather(*(forwarder.forward(claim) for claim in claims))
        assert all(outcome.kind == "success" for outcome in outcomes), outcomes
        dispatched.waiting = claims
        with watch.on("judge, pace, log line, metrics"):
            await lane.step()
            await lane.drain()
        with watch.on("store.record"):
            await asyncio.gather(*(steps.finish(store, claim, Delivered()) for claim in claims))
    await forwarder.close()
    return {name: seconds / events * 1e6 for name, seconds in watch.seconds.items()}


class Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began


def serving() -> Turn:
    async def answer(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    config = settings(answer, limits=Limits(), max_connections=1000, metrics=Metrics(version="bench"))
    config.load()
    wires = []
    for _ in range(TOGETHER):
        protocol = config.http_protocol_class(config=config, server_state=ServerState(), app_state={})
        wires.append((protocol, Wire()))
        protocol.connection_made(wires[-1][1])
    request = signed_request(0, run="", host="127.0.0.1:8080", body_bytes=BODY_BYTES)

    async def turn() -> None:
        expected = sum(wire.answered for _, wire in wires) + TOGETHER
        for protocol, _ in wires:
            protocol.data_received(request)
        while sum(wire.answered for _, wire in wires) < expected:
            await asyncio.sleep(0)

    return turn


def webhook(number: int) -> Webhook:
    content = body(number, body_bytes=BODY_BYTES)
    sent = headers(content, event_id=f"msg_{number}")
    extra = [("host", "127.0.0.1:8080"), ("content-length", str(len(content)))]
    received = tuple((name.encode(), value.encode()) for name, value in [*extra, *sent])
    return Webhook(headers=received, query=b"", body=content)


def verifying(config: Any) -> Turn:
    verifier, one = config.sources[0].verifier, webhook(0)
    now = int(time.time())

    async def turn() -> None:
        for _ in range(TOGETHER):
            verifier.verify(one, now=now)

    return turn


def ingesting(config: Any, metrics: Metrics) -> Turn:
    """From the ASGI request to its answer."""
    created = app.create(config, store=NoStore(), clock=SystemClock(), metrics=metrics)  # type: ignore[arg-type]
    one = webhook(0)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/producer",
        "query_string": b"",
        "headers": list(one.headers),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": one.body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    async def turn() -> None:
        for _ in range(TOGETHER):
            await created.app(scope, receive, send)
        await asyncio.sleep(0)  # the lines are written now

    return turn


def accepting(store: Any, turns: int) -> Turn:
    """Of as many keys as there are events at once."""
    made = [
        steps.event(n, webhook=webhook(n), ordering_key=key(n), type="transcription.job.progress")
        for n in range(turns * TOGETHER)
    ]
    groups = iter([made[n : n + TOGETHER] for n in range(0, len(made), TOGETHER)])

    async def turn() -> None:
        await steps.accept(store, *next(groups))

    return turn


def _lane(destination: Destination, store: NoStore, metrics: Metrics) -> Lane:
    return Lane(
        destination,
        store=store,  # type: ignore[arg-type]
        forwarder=NoForwarder(),
        clock=SystemClock(),
        metrics=metrics,
        rng=random.Random(1),
    )


if __name__ == "__main__":
    obey({"measure": measure})
