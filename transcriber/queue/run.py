"""One attempt at a job, and the judgement of what came of it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transcriber import log
from transcriber.backoff import Backoff
from transcriber.errors import JobOverError, SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Failure, JobId, UnixMs
from transcriber.queue.pace import Pace
from transcriber.store.work import Work

MAX_ATTEMPTS = 10  # with the backoff below: about nine minutes of an engine that is away
BACKOFF = Backoff(first_seconds=1, longest_seconds=256)
LONGEST_RETRY_AFTER_SECONDS = 3_600.0
# since its first start: whom rate limits have kept out for so long, they always will
LONGEST_LIMITED_MS = 24 * 3_600_000


class Step(Protocol):
    """What an attempt does for a job: fetches its recording, or has it transcribed."""

    @property
    def name(self) -> str:
        """As attempts, metrics and log lines have it."""

    @property
    def concurrency(self) -> int:
        """How many jobs it can take at the same time."""

    async def prepare(self) -> None:
        """Loads what it needs. Raises SpeechError if that cannot be used."""

    async def take(self, assignment: Assignment, over: Callable[[JobId], None]) -> RunOutcome:
        """Raises SpeechError, or JobOverError if the job ended by other hands: `over` may hear of that first."""


@dataclass(frozen=True, slots=True)
class Patience:
    """With an attempt that did not succeed."""

    backoff: Backoff = BACKOFF
    max_attempts: int = MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a job, and why if it is not done; `delay_seconds` says when it is tried again."""

    outcome: RunOutcome
    error: SpeechError | None = None
    delay_seconds: float | None = None


class Runs:
    """`chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        work: Work,
        step: Step,
        metrics: Metrics,
        pace: Pace,
        patience: Patience,
        chance: Callable[[], float],
        now: Callable[[], UnixMs],
    ) -> None:
        self._work = work
        self._step = step
        self._metrics = metrics
        self._pace = pace
        self._patience = patience
        self._chance = chance
        self._now = now

    async def attempt(self, assignment: Assignment, *, over: Callable[[JobId], None]) -> Ended:
        """What became of the job. Raises JobOverError if it ended by other hands; `over` may hear of that first."""
        try:
            self._require_left(assignment.attempt)
            return Ended(await self._step.take(assignment, over))
        except SpeechError as error:
            return await self._judge(assignment, error)
        except (JobOverError, sqlite3.Error):
            raise
        except Exception as error:  # noqa: BLE001 (nothing that an engine does may leave a job processing for ever)
            log.error("job.crashed", error, job_id=assignment.job.job_id)
            return await self._judge(
                assignment, SpeechError("internal", "the transcription failed unexpectedly")
            )

    def _require_left(self, attempt: int) -> None:
        if attempt > self._patience.max_attempts:
            raise SpeechError("gave_up", f"the job was interrupted {self._patience.max_attempts} times")

    async def _judge(self, assignment: Assignment, error: SpeechError) -> Ended:
        """Another attempt where that may help, else the end of the job."""
        job_id, failure = assignment.job.job_id, Failure(error.code, error.message)
        self._metrics.engine_failed(engine=self._step.name, code=error.code)
        if error.pauses_engine and self._may_wait_longer(assignment):
            delay = self._pace.seconds_left()
            await self._work.wait_for_engine(job_id, failure, delay)
            return Ended("postponed", error, delay)
        if error.retryable and not error.pauses_engine and assignment.attempt < self._patience.max_attempts:
            delay = self._patience.backoff.delay_seconds(assignment.attempt, self._chance())
            delay = max(delay, min(error.retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))
            await self._work.postpone(job_id, failure, delay)
            return Ended("postponed", error, delay)
        await self._work.fail(job_id, failure)
        return Ended("failed", error)

    def _may_wait_longer(self, assignment: Assignment) -> bool:
        started_at = assignment.job.started_at
        return started_at is None or self._now() - started_at < LONGEST_LIMITED_MS
