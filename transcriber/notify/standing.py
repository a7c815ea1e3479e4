"""How a webhook stands as a whole, by its latest attempts: it answers, it asks for quiet, or it is away."""

from collections import deque

from transcriber.backoff import Backoff
from transcriber.model import JobId

MAX_IN_FLIGHT = 16
# One job that is always refused, or two, say nothing of the receiver: others still get through.
AWAY_FAILURES = 5
AWAY_JOBS = 3


class Standing:
    """Times are seconds of a monotonic clock: no wall clock that is set moves an attempt.

    A webhook is away once its last 5 attempts failed, of at least 3 jobs. Then one attempt at a time asks whether it is
    back, after waits of `backoff`.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failed: deque[JobId] = deque(maxlen=AWAY_FAILURES)
        self._probes = 0
        self._next_probe_at = 0.0
        self._asked_until = 0.0

    @property
    def quiet_until(self) -> float:
        """No attempt begins before."""
        return max(self._next_probe_at, self._asked_until)

    @property
    def is_away(self) -> bool:
        return len(self._failed) == AWAY_FAILURES and len(set(self._failed)) >= AWAY_JOBS

    def free(self, *, in_flight: int, now: float) -> int:
        """How many attempts may begin."""
        if now < self.quiet_until:
            return 0
        return max(0, (1 if self.is_away else MAX_IN_FLIGHT) - in_flight)

    def took(self) -> bool:
        """Whether it was away until now."""
        was_away = self.is_away
        self._failed.clear()
        self._probes, self._next_probe_at = 0, 0.0
        return was_away

    def failed(self, job_id: JobId, *, quiet_seconds: float, now: float, chance: float) -> None:
        """`quiet_seconds` is what the receiver asked for: nothing at all is sent to it before."""
        self._failed.append(job_id)
        self._asked_until = max(self._asked_until, now + quiet_seconds)
        if self.is_away and now >= self._next_probe_at:
            # what fails before that began with the others: it says nothing new
            self._probes += 1
            self._next_probe_at = now + self._backoff.delay_seconds(self._probes, chance)
