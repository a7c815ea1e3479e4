"""A producer of made-up jobs' updates: signed, out of order, some repeated, each sent until it is answered 200."""

import asyncio
import base64
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.support.gateway_app import signed
from tests.support.http_wire import Message, Wire
from tests.support.job_histories import History

PATH = "/webhooks/transcriber"
CONNECTIONS = 24
ANSWER_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 0.3
LOOK_SECONDS = 0.02
SPREAD = 1500
"""Updates of one job are up to so many sendings apart."""
REPEATED = 0.03
"""Sent once more under the same id: the gateway knows it."""
REWRITTEN = 0.03
"""Sent once more under another id: a new event for the gateway, and an old one for the row."""


@dataclass(frozen=True, slots=True)
class Sending:
    place: float
    message_id: str
    body: bytes


def sendings(told: Sequence[History], chance: random.Random) -> list[Sending]:
    """Every update at least once, in an order that has nothing to do with theirs."""
    return sorted(_sendings(told, chance), key=lambda sending: sending.place)


def _sendings(told: Sequence[History], chance: random.Random) -> Iterator[Sending]:
    first = 0
    for history in told:
        for number, update in enumerate(history.updates):
            message_id = f"msg_{history.latest['jobId']}_{number}"
            place = first + chance.uniform(0, SPREAD)
            yield Sending(place, message_id, update.body)
            if chance.random() < REPEATED:
                yield Sending(place + chance.uniform(0, SPREAD), message_id, update.body)
            if chance.random() < REWRITTEN:
                yield Sending(place + chance.uniform(0, SPREAD), f"{message_id}_again", update.body)
        first += len(history.updates)


class JobProducer:
    """`may_go` says whether another one may be begun now."""

    def __init__(
        self,
        *,
        port: int,
        secret: str,
        sending: Sequence[Sending],
        may_go: Callable[[], bool],
        chance: random.Random,
    ) -> None:
        self._port = port
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._sending = sending
        self._may_go = may_go
        self._chance = chance
        self.tries = 0

    async def run(self) -> None:
        queue = iter(self._sending)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._work(queue))

    async def _work(self, queue: Iterator[Sending]) -> None:
        wire = Wire(self._port)
        try:
            for sending in queue:
                while not self._may_go():
                    await asyncio.sleep(LOOK_SECONDS)
                while not await self._is_taken(sending, wire):
                    await asyncio.sleep(self._chance.uniform(0, LONGEST_PAUSE_SECONDS))
        finally:
            wire.close()

    async def _is_taken(self, sending: Sending, wire: Wire) -> bool:
        """Raise RuntimeError at a refusal that no repetition can change."""
        self.tries += 1
        try:
            answer: Message = await wire.ask(self._request(sending), seconds=ANSWER_SECONDS)
        except OSError:
            return False
        if answer.status not in {200, 429, 503}:
            raise RuntimeError(f"the gateway answered {answer.status}: {answer.body!r}")
        return answer.status == 200

    def _request(self, sending: Sending) -> bytes:
        """Signed anew at every try, as Standard Webhooks has it."""
        lines = [
            f"POST {PATH} HTTP/1.1",
            f"host: 127.0.0.1:{self._port}",
            "content-type: application/json",
            f"content-length: {len(sending.body)}",
            *(
                f"{name}: {value}"
                for name, value in signed(sending.body, message_id=sending.message_id, key=self._key).items()
            ),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + sending.body
