"""A destination that answers at once, and notes the number and the moment of everything it gets."""

import asyncio
import json
import re
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
NUMBER = re.compile(rb'"jobId": "([^"]*)", "n": ([0-9]+)')
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Ledger:
    def __init__(self) -> None:
        self.numbers = array("q")
        self.times = array("d")
        """By the monotonic clock, which all processes of a machine share."""
        self.seen: set[int] = set()
        self.out_of_order = 0
        self._latest: dict[bytes, int] = {}

    def note(self, key: bytes, number: int) -> None:
        self.times.append(time.monotonic())
        self.numbers.append(number)
        if number in self.seen:
            return
        self.seen.add(number)
        self.out_of_order += number < self._latest.get(key, -1)
        self._latest[key] = number


class Exchange(asyncio.Protocol):
    def __init__(self, ledger: Ledger, is_open: set["Exchange"]) -> None:
        self._ledger = ledger
        self._open = is_open
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        head = received.find(b"\r\n\r\n") + 4
        length = LENGTH.search(received, 0, head) if head > 3 else None
        if length is None or len(received) < head + int(length[1]):
            self._received = received
            return
        self._received = b""
        said = NUMBER.search(received, head, head + 200)
        assert said is not None
        self._ledger.note(said[1], int(said[2]))
        self.transport.write(ANSWER)


class Receiver:
    def __init__(self) -> None:
        self._ledger = Ledger()
        self._open: set[Exchange] = set()
        self._port = 0

    async def up(self) -> int:
        """The port, which stays the same."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Exchange(self._ledger, self._open), "127.0.0.1", self._port, backlog=1000
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return int(self._port)

    async def down(self) -> float:
        """Connections are refused and broken from now on, which is a moment of the monotonic clock."""
        self._server.close()
        for exchange in list(self._open):
            exchange.transport.abort()
        return time.monotonic()

    async def received(self) -> int:
        """Each only once."""
        return len(self._ledger.seen)

    async def forget(self) -> None:
        self._ledger.__init__()

    async def report(self, path: str) -> dict[str, int]:
        """Every number and its time go to the file, in two arrays."""
        ledger = self._ledger
        await asyncio.to_thread(_write, Path(path), ledger)
        received = len(ledger.numbers)
        return {
            "received": received,
            "repeated": received - len(ledger.seen),
            "out_of_order": ledger.out_of_order,
        }


def _write(path: Path, ledger: Ledger) -> None:
    with path.open("wb") as file:
        ledger.numbers.tofile(file)
        ledger.times.tofile(file)


def arrivals(path: Path) -> tuple["array[int]", "array[float]"]:
    """What `report` wrote."""
    content = path.read_bytes()
    numbers, times = array("q"), array("d")
    numbers.frombytes(content[: len(content) // 2])
    times.frombytes(content[len(content) // 2 :])
    return numbers, times


def follow(receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
    """Does what each line of the input says, and ends the loop with the input."""
    for line in sys.stdin:
        values: dict[str, Any] = json.loads(line)
        doing = getattr(receiver, values.pop("do"))(**values)
        print(json.dumps(asyncio.run_coroutine_threadsafe(doing, loop).result()), flush=True)
    loop.call_soon_threadsafe(loop.stop)


if __name__ == "__main__":
    event_loop = uvloop.new_event_loop()
    threading.Thread(target=follow, args=(Receiver(), event_loop), daemon=True).start()
    event_loop.run_forever()
