"""What is told of a destination's attempts: metrics, log lines, spans."""

import logging

from gateway.log import emit
from gateway.metrics import Metrics, Series
from gateway.model import Claim, Dead, Delivered, DestinationName, Outcome, RetryAt, Verdict
from gateway.tracing import Tracing


class Account:
    def __init__(
        self, destination: DestinationName, *, metrics: Metrics, tracing: Tracing | None = None
    ) -> None:
        self._destination = destination
        self._tracing = tracing
        self._attempts = Series(metrics.attempts)
        self._dead = Series(metrics.dead)
        self._attempt_duration = metrics.attempt_duration.labels(destination)
        self._delivery_latency = metrics.delivery_latency.labels(destination)
        self._retries = metrics.retries.labels(destination)

    def note(self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int, counted: bool) -> None:
        """An attempt is over, and the store has its result; `now` in Unix ms. Not `counted`: its lease was lost."""
        name = self._destination
        self._attempts[name, outcome.kind].inc()
        self._attempt_duration.observe(outcome.duration_ms / 1000)
        if claim.attempt > 1:
            self._retries.inc()
        fields = {"event_id": claim.event.id, "destination": name, "attempt": claim.attempt}
        emit(
            "delivery.attempted",
            level=logging.INFO if outcome.kind == "success" else logging.WARNING,
            **fields,
            outcome=outcome.kind,
            status=outcome.status,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            retry_at=verdict.at if isinstance(verdict, RetryAt) else None,
            counted=counted,
        )
        if self._tracing is not None:
            self._tracing.attempted(claim, outcome, verdict)
        if not counted:
            return
        if isinstance(verdict, Delivered):
            self._delivery_latency.observe(max(0, now - claim.queued_at) / 1000)
        if isinstance(verdict, Dead):
            self._dead[name, verdict.reason].inc()
            emit("delivery.dead", level=logging.ERROR, **fields, reason=verdict.reason)
