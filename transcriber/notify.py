"""Sends the outbox: signs each event per Standard Webhooks and posts it until it is taken."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook as Signer

from transcriber import __version__, log
from transcriber.backoff import Backoff
from transcriber.metrics import AttemptOutcome, Metrics
from transcriber.model import JobId, UnixMs
from transcriber.settings import Webhook
from transcriber.store.outbox import Event, Outbox

BACKOFF = Backoff(first_seconds=0.25, longest_seconds=30)
ATTEMPT_SECONDS = 15.0
LONGEST_RETRY_AFTER_SECONDS = 300.0
MAX_IN_FLIGHT = 16
MAX_ANSWER_BYTES = 65_536  # read only to use the connection again


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is None without an answer."""

    outcome: AttemptOutcome
    status: int | None = None
    retry_after_seconds: float = 0.0


class Notifier:
    """Events of one job go one at a time, in order of sequence; jobs do not wait for each other."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        written: asyncio.Event,
        webhook: Webhook,
        metrics: Metrics,
        now: Callable[[], UnixMs],
        chance: Callable[[], float],
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._outbox = outbox
        self._written = written
        self._webhook = webhook
        self._signer = Signer(webhook.secret)
        self._metrics = metrics
        self._now = now
        self._chance = chance
        self._backoff = backoff
        self._sending: dict[JobId, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled: what is on its way then is sent again at the next start."""
        await self._outbox.wake()
        # no bound on connections: a full pool waits for ever for those whose requests were cancelled by their time-out
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IN_FLIGHT)
        timeout = httpx.Timeout(ATTEMPT_SECONDS)
        async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
            try:
                while True:
                    self._written.clear()
                    for event in await self._due():
                        self._begin(event, client)
                    await self._wait()
            finally:
                for task in self._sending.values():
                    task.cancel()
                await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def _due(self) -> list[Event]:
        free = MAX_IN_FLIGHT - len(self._sending)
        return await self._outbox.claim(busy=frozenset(self._sending), limit=free) if free else []

    async def _wait(self) -> None:
        """Until an event is written, an attempt ends, or another is due."""
        due = (
            await self._outbox.next_due_at(busy=frozenset(self._sending))
            if len(self._sending) < MAX_IN_FLIGHT
            else None
        )
        timeout = None if due is None else max(0.0, (due - self._now()) / 1000)
        try:
            async with asyncio.timeout(timeout):
                await self._written.wait()
        except TimeoutError:
            pass  # an attempt is due

    def _begin(self, event: Event, client: httpx.AsyncClient) -> None:
        task = asyncio.create_task(self._send(event, client), name=f"event {event.webhook_id}")
        self._sending[event.job_id] = task

        def ended(done: asyncio.Task[None]) -> None:
            del self._sending[event.job_id]
            self._written.set()
            if not done.cancelled() and (cause := done.exception()):
                log.error("webhook.crashed", cause, webhook_id=event.webhook_id)

        task.add_done_callback(ended)

    async def _send(self, event: Event, client: httpx.AsyncClient) -> None:
        began = time.monotonic()
        attempt = await self._post(event, client)
        self._metrics.attempted(attempt.outcome)
        if attempt.outcome == "taken":
            await self._outbox.taken(event)
        else:
            delay = self._backoff.delay_seconds(event.attempt, self._chance())
            await self._outbox.postpone(event, max(delay, attempt.retry_after_seconds))
        log.info(
            "webhook.attempted",
            webhook_id=event.webhook_id,
            job_id=event.job_id,
            sequence=event.sequence,
            step=event.step,
            attempt=event.attempt,
            outcome=attempt.outcome,
            status=attempt.status,
            duration_ms=round((time.monotonic() - began) * 1000, 1),
        )

    async def _post(self, event: Event, client: httpx.AsyncClient) -> Attempt:
        try:
            request = client.build_request(
                "POST", self._webhook.url, content=event.body.encode(), headers=self._headers(event)
            )
            async with asyncio.timeout(ATTEMPT_SECONDS):
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    await _read_some(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            return Attempt("timeout")
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Attempt("unreachable")
        except Exception as error:  # noqa: BLE001 (whatever it is, the event waits for its next attempt)
            log.error("webhook.crashed", error, webhook_id=event.webhook_id)
            return Attempt("unreachable")
        return Attempt(
            "taken" if response.is_success else "refused",
            status=response.status_code,
            retry_after_seconds=_retry_after_seconds(response),
        )

    def _headers(self, event: Event) -> dict[str, str]:
        """Signed for this attempt: receivers refuse a signature that is minutes old."""
        # an aware time in UTC: the library takes a local one for UTC
        signed_at = datetime.fromtimestamp(self._now() // 1000, UTC)
        return {
            "content-type": "application/json",
            "user-agent": f"transcriber/{__version__}",
            "webhook-id": event.webhook_id,
            "webhook-timestamp": str(int(signed_at.timestamp())),
            "webhook-signature": self._signer.sign(event.webhook_id, signed_at, event.body),
        }


async def _read_some(response: httpx.Response) -> None:
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            return


def _retry_after_seconds(response: httpx.Response) -> float:
    """What a 429 or 503 asks for in seconds, up to a limit; a date counts as absent: the backoff does as well."""
    value = response.headers.get("retry-after", "")
    if response.status_code not in {429, 503} or not value.isascii() or not value.isdigit():
        return 0.0
    return min(float(value), LONGEST_RETRY_AFTER_SECONDS)
