"""A destination that answers as it is told: at once, or when it is released."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import Claim, Outcome, OutcomeKind
from tests.support.clock import ManualClock
from tests.support.simulation.attempts import Attempts


@dataclass(frozen=True, slots=True)
class Answer:
    kind: OutcomeKind
    status: int | None = None
    retry_after: str | None = None


def of_status(status: int, retry_after: str | None = None) -> Answer:
    if status < 300:
        return Answer("success", status)
    kinds: dict[int, OutcomeKind] = {3: "redirect", 4: "client_error", 5: "server_error"}
    return Answer(kinds[status // 100], status, retry_after)


SUCCESS = of_status(200)

Mood = Callable[[Claim], Answer | None]
"""What it answers; None: nothing until it is released."""


class Remote:
    def __init__(self, *, clock: ManualClock, attempts: Attempts) -> None:
        self._clock = clock
        self._attempts = attempts
        self._open: list[asyncio.Future[Answer]] = []
        self.mood: Mood = lambda _claim: SUCCESS

    async def forward(self, claim: Claim) -> Outcome:
        started_at, started = self._clock.now_ms(), self._clock.monotonic()
        self._attempts.began(claim)
        try:
            answer = self.mood(claim) or await self._held_open()
        except asyncio.CancelledError:
            self._attempts.abandoned(claim)
            raise
        outcome = Outcome(
            kind=answer.kind,
            started_at=started_at,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            status=answer.status,
            retry_after=answer.retry_after,
        )
        self._attempts.answered(claim, outcome)
        return outcome

    @property
    def open(self) -> bool:
        """Whether an attempt waits to be released."""
        return any(not one.done() for one in self._open)

    def release(self, index: int, answer: Answer) -> bool:
        """Answers one of the attempts held open. Whether there was any."""
        self._open = [one for one in self._open if not one.done()]
        if not self._open:
            return False
        self._open.pop(index % len(self._open)).set_result(answer)
        return True

    async def _held_open(self) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open.append(future)
        return await future
