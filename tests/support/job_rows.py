"""What a page is shown of jobs, held against what their API says of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

Job = dict[str, Any]

PAGE = 100
"""What one call of `transcriptionJobs:list` takes."""


@dataclass(slots=True)
class Comparison:
    """Every list names what must not be."""

    compared: int = 0
    deleted: int = 0
    """Of these, in the end."""
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    deleted_visible: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.differing, *self.missing, *self.deleted_visible]


def compare(truth: Mapping[str, Job], shown: Mapping[str, Job]) -> Comparison:
    """Every job of `truth`, field by field; `updatedAt` is the row's own."""
    found = Comparison(compared=len(truth))
    for job_id, job in truth.items():
        row = shown.get(job_id)
        if job["status"] == "deleted":
            found.deleted += 1
            if row is not None:
                found.deleted_visible.append(f"{job_id} is deleted and is shown as {row['status']}")
        elif row is None:
            found.missing.append(f"{job_id} is {job['status']} and is not shown")
        elif differences := list(_differences(job, row)):
            found.differing.append(f"{job_id}: {', '.join(differences)}")
    return found


def _differences(job: Job, row: Job) -> Iterator[str]:
    for name in sorted((job.keys() | row.keys()) - {"updatedAt"}):
        if name not in job or name not in row or job[name] != row[name]:
            yield f"{name} is {job.get(name)!r}, shown as {row.get(name)!r}"


def read_rows(client: httpx.Client, convex_url: str, job_ids: Sequence[str]) -> dict[str, Job]:
    """As a page asks, a hundred at a time."""
    shown: dict[str, Job] = {}
    for first in range(0, len(job_ids), PAGE):
        asked = {"jobIds": job_ids[first : first + PAGE]}
        call = {"path": "transcriptionJobs:list", "args": asked, "format": "json"}
        answer = client.post(f"{convex_url}/api/query", json=call).raise_for_status().json()
        shown.update({job["jobId"]: job for job in answer["value"]})
    return shown


def setbacks(views: Iterable[Mapping[str, int]]) -> list[str]:
    """Where a page that was shown these views, each job's sequence, was shown something older than before."""
    latest: dict[str, int] = {}
    gone: set[str] = set()
    found = []
    for view in views:
        gone |= latest.keys() - view.keys()
        for job_id, sequence in view.items():
            if job_id in gone:
                gone.discard(job_id)
                found.append(f"{job_id} came back after it was gone")
            if sequence < latest.get(job_id, 0):
                found.append(f"{job_id} went from {latest[job_id]} back to {sequence}")
            latest[job_id] = sequence
    return found
