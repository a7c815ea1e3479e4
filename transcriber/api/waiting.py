"""Waits with a caller for the end of a job: costs nothing until the job changes."""

import asyncio
from typing import Any, Literal, TypeAlias

from starlette.requests import Request

from transcriber.model import JobId
from transcriber.store.jobs import Jobs, Snapshot

Outcome: TypeAlias = Snapshot | Literal["caller_gone", "stopping", "unknown"]


class Waiting:
    """`stopping` is set when the service begins to stop."""

    def __init__(self, *, jobs: Jobs, stopping: asyncio.Event) -> None:
        self._jobs = jobs
        self._stopping = stopping

    async def end_of(self, job_id: JobId, request: Request) -> Outcome:
        """The job once it is over, or why this ends before: there is no limit of time. The request's body has been read."""
        over = asyncio.create_task(self._jobs.ended(job_id))
        gone = asyncio.create_task(_disconnected(request))
        stopping = asyncio.create_task(self._stopping.wait())
        await _first(over, gone, stopping)
        if not over.cancelled():
            return over.result() or "unknown"
        return "stopping" if gone.cancelled() else "caller_gone"


async def _first(*tasks: "asyncio.Task[Any]") -> None:
    """Returns when one has ended, the others cancelled."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
