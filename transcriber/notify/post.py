"""One attempt: the event signed and posted, and what came of it."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook as Signer

from transcriber import __version__, log
from transcriber.backoff import retry_after_seconds
from transcriber.metrics import AttemptOutcome
from transcriber.model import UnixMs
from transcriber.settings import Webhook
from transcriber.store.outbox import Event

ATTEMPT_SECONDS = 15.0
LONGEST_RETRY_AFTER_SECONDS = 300.0
MAX_ANSWER_BYTES = 65_536  # read only to use the connection again
MAX_ERROR = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is None without an answer; `error` is for people, None where it was taken."""

    outcome: AttemptOutcome
    status: int | None = None
    error: str | None = None
    retry_after_seconds: float = 0.0


class Post:
    """Posts to one webhook."""

    def __init__(self, *, webhook: Webhook, now: Callable[[], UnixMs]) -> None:
        self._url = webhook.url
        self._signers = [Signer(secret) for secret in webhook.secrets]
        self._now = now

    @staticmethod
    def client(connections: int) -> httpx.AsyncClient:
        # no bound on connections: a full pool waits for ever for those whose requests were cancelled by their time-out
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=connections)
        return httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(ATTEMPT_SECONDS), trust_env=False)

    async def attempt(self, event: Event, client: httpx.AsyncClient) -> Attempt:
        """Never raises for what a receiver does, or is."""
        try:
            request = client.build_request(
                "POST", self._url, content=event.body.encode(), headers=self._headers(event)
            )
            async with asyncio.timeout(ATTEMPT_SECONDS):
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    await _read_some(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            return Attempt("timeout", error=f"no whole answer within {ATTEMPT_SECONDS:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Attempt("unreachable", error=f"{type(error).__name__}: {error}"[:MAX_ERROR])
        except Exception as error:  # noqa: BLE001 (whatever it is, the event waits for its next attempt)
            log.error("webhook.crashed", error, webhook_id=event.webhook_id)
            return Attempt("unreachable", error=f"failed unexpectedly: {type(error).__name__}")
        if response.is_success:
            return Attempt("taken", response.status_code)
        return Attempt(
            "refused",
            response.status_code,
            f"answered {response.status_code}",
            _quiet_seconds(response, self._now()),
        )

    def _headers(self, event: Event) -> dict[str, str]:
        """Signed for this attempt: receivers refuse a signature that is minutes old."""
        # an aware time in UTC: the library takes a local one for UTC
        signed_at = datetime.fromtimestamp(self._now() // 1000, UTC)
        signatures = [signer.sign(event.webhook_id, signed_at, event.body) for signer in self._signers]
        return {
            "content-type": "application/json",
            "user-agent": f"transcriber/{__version__}",
            "webhook-id": event.webhook_id,
            "webhook-timestamp": str(int(signed_at.timestamp())),
            "webhook-signature": " ".join(signatures),
            "traceparent": _traceparent(event),
        }


def _traceparent(event: Event) -> str:
    """W3C Trace Context: all that is told of a job is one trace, whoever traces it further on."""
    job, own = (hashlib.sha256(text.encode()).hexdigest() for text in (event.job_id, event.webhook_id))
    return f"00-{job[:32]}-{own[:16]}-01"


async def _read_some(response: httpx.Response) -> None:
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            return


def _quiet_seconds(response: httpx.Response, now: UnixMs) -> float:
    """What a 429 or 503 asks for, up to a limit; 0 where that cannot be read."""
    if response.status_code not in {429, 503}:
        return 0.0
    asked = retry_after_seconds(response.headers.get("retry-after", ""), now)
    return min(asked or 0.0, LONGEST_RETRY_AFTER_SECONDS)
