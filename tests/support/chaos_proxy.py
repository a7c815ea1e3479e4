"""A proxy between two programs that delays, loses, repeats and refuses what passes, as the dice fall."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from tests.support.background import Background
from tests.support.http_wire import LIMIT_BYTES, Message, Wire, read_message

ANSWER_SECONDS = 10.0
"""More than what either side waits for the other."""


@dataclass(frozen=True, slots=True)
class Odds:
    """Of each fault, per request. At most one befalls a request."""

    delayed: float = 0.03
    """It is passed on late, so that others overtake it."""
    dropped: float = 0.01
    """It is not passed on, and the connection is closed."""
    unanswered: float = 0.015
    """It is passed on; its answer is lost, and the connection closed."""
    repeated: float = 0.02
    """It is passed on, and a second time later."""
    refused: float = 0.01
    """It is answered 503 or 429 and not passed on."""


FAULTS = tuple(field.name for field in fields(Odds))
LONGEST_DELAY_SECONDS = 0.3
LONGEST_REPEAT_SECONDS = 5.0
REFUSALS = (
    ("503 Service Unavailable",) * 12 + ("429 Too Many Requests",) * 11 + ("503 Busy\r\nretry-after: 1",)
)
"""One asks for a second's rest: a destination that does keeps every delivery waiting."""

Hear = Callable[[Message, Message], None]


class ChaosProxy:
    """`hear` is told of every request that was answered and its answer, whether or not that was passed on."""

    def __init__(self, *, target_port: int, chance: random.Random, odds: Odds, hear: Hear) -> None:
        self._target_port = target_port
        self._chance = chance
        self._odds = odds
        self._hear = hear
        self._late: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.calm = False
        """From when on it only passes on."""
        self.counts: Counter[str] = Counter()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to be repeated."""
        return not self._late

    async def listen(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, backlog=1000, limit=LIMIT_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        ending = [*self._serving, *self._late]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = Wire(self._target_port)
        try:
            while answer := await self._answer(await read_message(reader), target):
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # one of the two is gone, and the other finds its connection closed
        finally:
            target.close()
            writer.close()

    async def _answer(self, request: Message, target: Wire) -> bytes:
        """Nothing: the connection is to be closed."""
        fault = "" if self.calm else self._throw()
        self.counts[fault] += 1
        if fault == "dropped":
            return b""
        if fault == "refused":
            return f"HTTP/1.1 {self._chance.choice(REFUSALS)}\r\ncontent-length: 0\r\n\r\n".encode()
        if fault == "delayed":
            await asyncio.sleep(self._chance.uniform(0, LONGEST_DELAY_SECONDS))
        if fault == "repeated":
            self._repeat(request, self._chance.uniform(0, LONGEST_REPEAT_SECONDS))
        answer = await self._ask(request, target)
        return b"" if fault == "unanswered" else answer.raw

    def _throw(self) -> str:
        roll = self._chance.random()
        for fault in FAULTS:
            roll -= getattr(self._odds, fault)
            if roll < 0:
                return fault
        return ""

    def _repeat(self, request: Message, after_seconds: float) -> None:
        async def again() -> None:
            await asyncio.sleep(after_seconds)
            wire = Wire(self._target_port)
            try:
                await self._ask(request, wire)
            except OSError:
                pass  # nobody there: what was repeated got lost
            finally:
                wire.close()

        task = asyncio.create_task(again())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _ask(self, request: Message, target: Wire) -> Message:
        answer = await target.ask(request.raw, seconds=ANSWER_SECONDS)
        self._hear(request, answer)
        return answer


@contextmanager
def chaos_proxy(
    loop: Background, *, target_port: int, chance: random.Random, hear: Hear, odds: Odds | None = None
) -> Iterator[ChaosProxy]:
    """On a free port of this machine, in that loop."""
    proxy = ChaosProxy(target_port=target_port, chance=chance, odds=odds or Odds(), hear=hear)
    loop.do(proxy.listen())
    try:
        yield proxy
    finally:
        loop.do(proxy.close())
