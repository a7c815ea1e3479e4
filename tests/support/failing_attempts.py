"""How much memory attempts with a large body take that end without an answer, as JSON: in a process of its own, where
nothing else allocates.

    python -m tests.support.failing_attempts (asyncio | uvloop) (reset | silence)
"""

import asyncio
import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import uvloop

from gateway.clock import SystemClock
from gateway.config import Destination
from gateway.connection import Connection
from gateway.forward import Forwarder
from gateway.model import Claim, DeliveryId
from tests.support.store import NOW, A, event

BODY = b"x" * 1_000_000
IN_FLIGHT = 8
EVENT_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
FRAMES = 30


async def measure(end: str) -> dict[str, Any]:
    """`peak` in bytes; `held` has where each block was allocated that is as large as a body and stays after all is over,
    even while nothing collects cycles: what failed must not be held by its own traceback.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536) and end == "silence":
            pass
        writer.transport.abort()

    claim = Claim(
        delivery_id=DeliveryId(1),
        attempt=1,
        destination=A,
        event=event(1, body=BODY),
        tries=0,
        again=False,
        queued_at=NOW,
        live_since=NOW,
    )
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        destination = Destination(
            name=A,
            url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            allow_private_address=True,
            timeout_seconds=5 if end == "reset" else 0.1,
        )
        forwarder = Forwarder(destination, clock=SystemClock())
        kinds = set()
        gc.collect()
        gc.disable()
        tracemalloc.start(FRAMES)
        for _ in range(5):
            outcomes = await asyncio.gather(*(forwarder.forward(claim) for _ in range(IN_FLIGHT)))
            kinds |= {outcome.kind for outcome in outcomes}
        _, peak = tracemalloc.get_traced_memory()
        connections = await none_of(lambda: [one for one in gc.get_objects() if type(one) is Connection])
        held = await none_of(large_blocks)  # the event loop lets go of what it was sending a turn later
        tracemalloc.stop()
        await forwarder.close()
    return {"kinds": sorted(kinds), "peak": peak, "connections": len(connections), "held": held}


async def none_of(what: Callable[[], list[Any]]) -> list[Any]:
    """What there still is after 10 s; empty as soon as there is nothing."""
    end = asyncio.get_running_loop().time() + 10
    while left := what():
        if asyncio.get_running_loop().time() > end:
            break
        del left
        await asyncio.sleep(0.005)
    return left


def large_blocks() -> list[str]:
    traces = tracemalloc.take_snapshot().traces
    return ["\n".join(trace.traceback.format()) for trace in traces if trace.size >= len(BODY)]


if __name__ == "__main__":
    loop, end = sys.argv[1:]
    with asyncio.Runner(loop_factory=EVENT_LOOPS[loop]) as runner:
        json.dump(runner.run(measure(end)), sys.stdout)
