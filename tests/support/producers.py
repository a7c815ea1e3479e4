"""Producers that send each webhook until it is answered 200, and keep a ledger of what they were told."""

import asyncio
import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.gateway_app import signed
from tests.support.http_wire import Wire

TYPES = ("thing.made", "thing.made", "thing.moved", "thing.moved", "thing.moved", "other.done")
"""What a producer says, by turns. A configuration routes `thing.*` here and `thing.moved` there, and the rest nowhere."""
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Webhook:
    message_id: str
    type: str
    key: str | None
    n: int
    filler: str = ""

    @property
    def body(self) -> bytes:
        content = {"type": self.type, "n": self.n, "filler": self.filler}
        return json.dumps(content if self.key is None else {**content, "key": self.key}).encode()

    @property
    def identity(self) -> tuple[str, bytes]:
        """What makes it the same webhook when it is sent again."""
        return self.message_id, hashlib.sha256(self.body).digest()


@dataclass(slots=True)
class Entry:
    """What became of one webhook."""

    webhook: Webhook
    cut: int = 0
    """Tries that were never answered."""
    answers: list[dict[str, object]] = field(default_factory=list)
    """Those of status 200."""

    @property
    def statuses(self) -> list[object]:
        return [answer["status"] for answer in self.answers]


@dataclass(slots=True)
class Ledger:
    entries: dict[tuple[str, bytes], Entry] = field(default_factory=dict)
    unavailable: int = 0
    """Answers 503."""
    odd: list[str] = field(default_factory=list)
    """Answers that are neither 200 nor 503, which an honest producer never gets."""

    def entry(self, webhook: Webhook) -> Entry:
        return self.entries.setdefault(webhook.identity, Entry(webhook))

    @property
    def answers(self) -> int:
        return sum(len(entry.answers) for entry in self.entries.values())


class Producer:
    """Webhooks of one key, one after the other; without a key where there is no order to keep.

    By chance some are sent on several connections at once, and some carry the id of the one before them.
    """

    def __init__(
        self,
        name: str,
        port: int,
        ledger: Ledger,
        *,
        ordered: bool = True,
        pause_seconds: float = 0.0,
        duplicates: float = 0.0,
        reused_ids: float = 0.0,
        filler_bytes: int = 0,
    ) -> None:
        self._name = name
        self._key = name if ordered else None
        self._ledger = ledger
        self._pause_seconds = pause_seconds
        self._duplicates = duplicates
        self._reused_ids = reused_ids
        self._filler = "x" * filler_bytes
        self._chance = random.Random(name)
        self._wires = [Wire(port) for _ in range(3)]

    async def run(self, goes_on: Callable[[int], bool]) -> None:
        """While `goes_on` says so of the next one's number, from 1."""
        try:
            for webhook in self._webhooks():
                if not goes_on(webhook.n):
                    return
                twice = self._chance.random() < self._duplicates
                wires = self._wires if twice else self._wires[:1]
                await asyncio.gather(*(self.send(webhook, wire) for wire in wires))
                if self._pause_seconds:
                    await asyncio.sleep(self._chance.uniform(0, 2 * self._pause_seconds))
        finally:
            for wire in self._wires:
                wire.close()

    async def send(self, webhook: Webhook, wire: Wire) -> None:
        """Until it is answered 200, or in a way that no retry is for."""
        entry = self._ledger.entry(webhook)
        while True:
            try:
                answer = await wire.ask(_request(webhook), seconds=ANSWER_SECONDS)
            except (OSError, TimeoutError):
                entry.cut += 1
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status == 200:
                entry.answers.append(json.loads(answer.body))
                return
            if answer.status != 503:
                self._ledger.odd.append(f"{answer.status} {answer.body.decode()}")
                return
            self._ledger.unavailable += 1
            await asyncio.sleep(RETRY_SECONDS)

    def _webhooks(self) -> Iterator[Webhook]:
        message_id = ""
        for n in itertools.count(1):
            if not message_id or self._chance.random() >= self._reused_ids:
                message_id = f"{self._name}-{n}"
            yield Webhook(message_id, TYPES[n % len(TYPES)], self._key, n, self._filler)


def statuses(ledger: Ledger) -> Counter[object]:
    return Counter(status for entry in ledger.entries.values() for status in entry.statuses)


def _request(webhook: Webhook) -> bytes:
    body = webhook.body
    lines = [
        "POST /webhooks/producer HTTP/1.1",
        "host: gateway",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in signed(body, message_id=webhook.message_id).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
