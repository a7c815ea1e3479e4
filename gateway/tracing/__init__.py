"""Spans of what becomes of a webhook: accepted, stored, attempted. `otlp` sends them to a collector; where none is configured there are none."""

from typing import Protocol

from gateway.model import Accepted, Claim, Event, Outcome, Rejected, Verdict


class Tracing(Protocol):
    """Nothing here waits for anybody."""

    def accepted(self, event: Event, accepted: Accepted, *, started: float, asked: float) -> None:
        """It came at `started`, and the store was asked at `asked`, in seconds of the monotonic clock; it is on disk now."""
        ...

    def refused(self, source: str, rejected: Rejected, event: Event | None) -> None:
        """Without an `event` nobody knows who sent it."""
        ...

    def attempted(self, claim: Claim, outcome: Outcome, verdict: Verdict) -> None: ...

    def traceparent(self, claim: Claim, producer: bytes | None) -> bytes:
        """What the attempt's request carries, in place of the producer's."""
        ...

    async def close(self, *, grace_seconds: float) -> None:
        """Sends what waits, as far as the time allows."""
        ...
