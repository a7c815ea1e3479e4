"""Brings the waiting events of one webhook to it."""

import asyncio
import time
from collections.abc import Callable

import httpx

from transcriber import log
from transcriber.backoff import Backoff
from transcriber.metrics import Metrics
from transcriber.model import UnixMs
from transcriber.notify.post import LONGEST_RETRY_AFTER_SECONDS, Attempt, Post
from transcriber.notify.standing import MAX_IN_FLIGHT, Standing
from transcriber.settings import Webhook
from transcriber.store.outbox import Event, Outbox

# Never longer: a receiver that is back after an outage hears so within a minute, and until then is asked once at a time.
BACKOFF = Backoff(first_seconds=0.25, longest_seconds=30)


class Notifier:
    """Events of one job go one at a time, in order of sequence; jobs do not wait for each other.

    `written` is set whenever there may be something to send. `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        webhook: Webhook,
        written: asyncio.Event,
        metrics: Metrics,
        now: Callable[[], UnixMs],
        chance: Callable[[], float],
        backoff: Backoff = BACKOFF,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._name = webhook.name
        self._post = Post(webhook=webhook, now=now)
        self._written = written
        self._metrics = metrics
        self._now = now
        self._chance = chance
        self._backoff = backoff
        self._monotonic = monotonic
        self._standing = Standing(backoff)
        self._in_flight = 0

    async def run(self) -> None:
        """Until cancelled: what is on its way then is sent again at the next start.

        Raises what the store raises: what became of the attempts under way is not known then, and they are made again.
        """
        self._in_flight = 0
        await self._outbox.resume(self._name)
        async with Post.client(MAX_IN_FLIGHT) as client, asyncio.TaskGroup() as group:
            while True:
                self._written.clear()
                for event in await self._due():
                    self._begin(group, event, client)
                await self._wait()

    async def _due(self) -> list[Event]:
        free = self._free()
        return await self._outbox.claim(self._name, limit=free) if free else []

    def _free(self) -> int:
        return self._standing.free(in_flight=self._in_flight, now=self._monotonic())

    def _begin(self, group: asyncio.TaskGroup, event: Event, client: httpx.AsyncClient) -> None:
        self._in_flight += 1
        task = group.create_task(self._send(event, client), name=f"event {event.webhook_id}")
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._in_flight -= 1
        self._written.set()

    async def _wait(self) -> None:
        """Until an event is written, an attempt ends, or another may begin."""
        try:
            async with asyncio.timeout(await self._idle_seconds()):
                await self._written.wait()
        except TimeoutError:
            pass  # another may begin

    async def _idle_seconds(self) -> float | None:
        """None: nothing is due before something happens."""
        quiet = self._standing.quiet_until - self._monotonic()
        if quiet > 0:
            return quiet
        due = await self._outbox.next_due_at(self._name) if self._free() else None
        if due is None:
            return None
        seconds = (due - self._now()) / 1000
        if seconds > LONGEST_RETRY_AFTER_SECONDS:
            # no attempt is put off so far: the clock was set back
            await self._outbox.wake(self._name)
            return 0.0
        return max(0.0, seconds)

    async def _send(self, event: Event, client: httpx.AsyncClient) -> None:
        began = self._monotonic()
        attempt = await self._post.attempt(event, client)
        self._metrics.attempted(self._name, attempt.outcome)
        await self._record(event, attempt)
        log.info(
            "webhook.attempted",
            webhook=self._name,
            webhook_id=event.webhook_id,
            job_id=event.job_id,
            sequence=event.sequence,
            step=event.step,
            attempt=event.attempt,
            outcome=attempt.outcome,
            status=attempt.status,
            duration_ms=round((self._monotonic() - began) * 1000, 1),
        )

    async def _record(self, event: Event, attempt: Attempt) -> None:
        if attempt.error is None and attempt.status is not None:
            await self._outbox.taken(event, attempt.status)
            if self._standing.took():
                await self._outbox.wake(self._name)
                log.info("webhook.back", webhook=self._name)
            return
        was_away = self._standing.is_away
        self._standing.failed(
            event.job_id,
            quiet_seconds=attempt.retry_after_seconds,
            now=self._monotonic(),
            chance=self._chance(),
        )
        if self._standing.is_away and not was_away:
            log.warning("webhook.away", webhook=self._name, status=attempt.status, reason=attempt.error)
        delay = self._backoff.delay_seconds(event.attempt, self._chance())
        delay = min(max(delay, attempt.retry_after_seconds), LONGEST_RETRY_AFTER_SECONDS)
        await self._outbox.postpone(event, delay, status=attempt.status, error=attempt.error or "")
