"""The state machine of a job: pure steps from one job to the next.

    create ──▶ queued ──start──▶ processing ──complete──▶ completed ─┐
                 │                │      │ ▲                         │
                 │                │      └─┘ progress                ├──delete──▶ deleted
                 │                ├────────fail──▶ failed ───────────┤
                 ├──────fail──────┘                                  │
                 └──────────────── cancel ──────▶ cancelled ─────────┘

(`cancel` and `fail` leave both `queued` and `processing`; an unfinished job is cancelled before it is deleted.)
Each step is one event, the next in the job's sequence. A job whose worker is replaced, or that waits for another
attempt, stays `processing`: that is no step. Every step takes the present time and never lets a time go backwards.
"""

from dataclasses import replace

from transcriber.errors import JobOverError
from transcriber.model import OVER, Failure, Job, JobId, Result, UnixMs


def create(job_id: JobId, user_id: str, now: UnixMs) -> Job:
    return Job(
        job_id=job_id,
        user_id=user_id,
        status="queued",
        progress=0,
        sequence=0,
        result=None,
        error=None,
        created_at=now,
        started_at=None,
        completed_at=None,
    )


def start(job: Job, now: UnixMs) -> Job:
    """For a queued job only: one that is processing keeps its first start."""
    _require_unfinished(job)
    return replace(job, status="processing", started_at=now)


def progress(job: Job, percent: int) -> Job:
    """The same job when `percent` is no step forward. 100 is kept for completion."""
    _require_unfinished(job)
    return replace(job, progress=max(job.progress, min(percent, 99)))


def complete(job: Job, result: Result, now: UnixMs) -> Job:
    _require_unfinished(job)
    return replace(job, status="completed", progress=100, result=result, completed_at=now)


def fail(job: Job, error: Failure, now: UnixMs) -> Job:
    _require_unfinished(job)
    return replace(job, status="failed", error=error, completed_at=now)


def cancel(job: Job, now: UnixMs) -> Job:
    _require_unfinished(job)
    return replace(job, status="cancelled", completed_at=now)


def delete(job: Job) -> Job:
    """The tombstone of a finished job: everything but the result stays."""
    return replace(job, status="deleted", result=None)


def _require_unfinished(job: Job) -> None:
    if job.status in OVER:
        raise JobOverError(f"job {job.job_id} is {job.status}: nothing can change it but its deletion")
