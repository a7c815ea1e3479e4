"""Holds what clients of the transcriber were told, what it holds and what its webhook received against each other."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

Data = dict[str, Any]

OVER = {"completed", "failed", "cancelled", "deleted"}
NEXT = {
    "queued": {"started", "failed", "cancelled"},
    "started": {"progress", "completed", "failed", "cancelled"},
    "progress": {"progress", "completed", "failed", "cancelled"},
    "completed": {"deleted"},
    "failed": {"deleted"},
    "cancelled": {"deleted"},
    "deleted": set(),
}
"""Step → the steps that may follow."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that the webhook received. They are kept in the order of arrival."""

    webhook_id: str
    body: str
    taken: bool
    """Whether it was answered with success."""

    @property
    def step(self) -> str:
        return str(json.loads(self.body)["type"]).removeprefix("transcription.job.")

    @property
    def data(self) -> Data:
        data: Data = json.loads(self.body)["data"]
        return data


@dataclass(slots=True)
class Promises:
    """What clients were told. Of a request without an answer nothing is promised."""

    accepted: dict[str, int] = field(default_factory=dict)
    """Job → its `createdAt`, as every answer to its POST had it."""
    ended: dict[str, str] = field(default_factory=dict)
    """Job → the final status that an answer had."""
    deleted: set[str] = field(default_factory=set)
    untrue: list[str] = field(default_factory=list)
    """Answers that contradict an earlier one."""


@dataclass(slots=True)
class Stored:
    """What a stopped transcriber has on its disk."""

    jobs: dict[str, str]
    """Job → its data."""
    audio: dict[str, str | None]
    transcripts: set[str]
    counts: dict[str, int]
    in_hand: list[str]
    running: list[str]
    """Jobs with an attempt without an end."""
    parts: set[str]
    """Jobs of which parts are kept."""
    files: set[str]
    interrupted: int = 0
    """Attempts during which the process died, as far as they are kept."""


def read_stored(folder: Path) -> Stored:
    with closing(sqlite3.connect(folder / "transcriber.db")) as database:
        jobs = database.execute("SELECT job_id, data, audio, in_hand FROM jobs").fetchall()
        (interrupted,) = database.execute(
            "SELECT count(*) FROM attempts WHERE outcome = 'interrupted'"
        ).fetchone()
        running = database.execute("SELECT job_id FROM attempts WHERE outcome IS NULL").fetchall()
        parts = database.execute("SELECT DISTINCT job_id FROM parts").fetchall()
        transcripts = database.execute("SELECT job_id FROM transcripts").fetchall()
        counts = database.execute("SELECT status, jobs FROM job_counts").fetchall()
    return Stored(
        jobs={job_id: data for job_id, data, _, _ in jobs},
        audio={job_id: audio for job_id, _, audio, _ in jobs},
        transcripts={job_id for (job_id,) in transcripts},
        counts=dict(counts),
        in_hand=[job_id for job_id, _, _, in_hand in jobs if in_hand],
        running=[job_id for (job_id,) in running],
        parts={job_id for (job_id,) in parts},
        files={path.name for path in (folder / "audio").iterdir()},
        interrupted=interrupted,
    )


def faults(promises: Promises, stored: Stored, arrivals: Sequence[Arrival]) -> list[str]:
    """Everything that must not be, once all is let through and the service is stopped."""
    by_job = _by_job(arrivals)
    return [
        *promises.untrue,
        *_identities(arrivals),
        *_never_taken(arrivals),
        *_broken_promises(promises, stored),
        *(f"{job_id} was announced, but there is none" for job_id in by_job.keys() - stored.jobs.keys()),
        *(
            fault
            for job_id, data in stored.jobs.items()
            for fault in _course(job_id, data, by_job.get(job_id, []))
        ),
        *_leftovers(stored),
    ]


def faults_of_one_that_wants(
    steps: Collection[str], arrivals: Sequence[Arrival], everything: Sequence[Arrival]
) -> list[str]:
    """What a webhook got that wants these steps only, held against what one got that wants everything."""
    courses = [
        {
            job_id: [event.body for event in events if event.step in steps]
            for job_id, events in _by_job(heard).items()
        }
        for heard in (arrivals, everything)
    ]
    got, due = ({job_id: bodies for job_id, bodies in course.items() if bodies} for course in courses)
    return [
        *(f"{event.webhook_id}: {event.step} is not wanted" for event in arrivals if event.step not in steps),
        *_never_taken(arrivals),
        *(
            f"{job_id} was told as {got.get(job_id)}, and not as {due.get(job_id)}"
            for job_id in got.keys() | due.keys()
            if got.get(job_id) != due.get(job_id)
        ),
    ]


def _by_job(arrivals: Sequence[Arrival]) -> dict[str, list[Arrival]]:
    """Each event where it was first seen."""
    by_job: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in _firsts(arrivals):
        by_job[arrival.data["jobId"]].append(arrival)
    return by_job


def _firsts(arrivals: Sequence[Arrival]) -> Iterable[Arrival]:
    """Each event where it was first seen."""
    seen: dict[str, Arrival] = {}
    for arrival in arrivals:
        seen.setdefault(arrival.webhook_id, arrival)
    return seen.values()


def _identities(arrivals: Sequence[Arrival]) -> Iterator[str]:
    """An id is one body for ever, and a body one id."""
    bodies: dict[str, str] = {}
    ids: dict[tuple[str, int], str] = {}
    for arrival in arrivals:
        if bodies.setdefault(arrival.webhook_id, arrival.body) != arrival.body:
            yield f"{arrival.webhook_id} came with two bodies"
        event = (arrival.data["jobId"], arrival.data["sequence"])
        if ids.setdefault(event, arrival.webhook_id) != arrival.webhook_id:
            yield f"{event} came under two ids"


def _never_taken(arrivals: Sequence[Arrival]) -> Iterator[str]:
    taken = {arrival.webhook_id for arrival in arrivals if arrival.taken}
    for arrival in _firsts(arrivals):
        if arrival.webhook_id not in taken:
            yield f"{arrival.webhook_id} was never taken"


def _broken_promises(promises: Promises, stored: Stored) -> Iterator[str]:
    for job_id, created_at in promises.accepted.items():
        if job_id not in stored.jobs:
            yield f"{job_id} was accepted, and is lost"
        elif json.loads(stored.jobs[job_id])["timestamps"]["createdAt"] != created_at:
            yield f"{job_id} is another than the one accepted"
    for job_id, status in promises.ended.items():
        if (now := _status(stored, job_id)) not in {status, "deleted"}:
            yield f"{job_id} was {status}, and is {now}"
    for job_id in promises.deleted:
        if (now := _status(stored, job_id)) != "deleted":
            yield f"{job_id} was deleted, and is {now}"


def _status(stored: Stored, job_id: str) -> str | None:
    return json.loads(stored.jobs[job_id])["status"] if job_id in stored.jobs else None


def _course(job_id: str, stored: str, arrivals: Sequence[Arrival]) -> Iterator[str]:
    """A job's events are its steps without gap, in order, the last of them what is stored, and time only goes forward."""
    if json.loads(stored)["status"] not in OVER:
        yield f"{job_id} is not over: {stored}"
    if not arrivals:
        yield f"{job_id} was never announced"
        return
    sequences = [arrival.data["sequence"] for arrival in arrivals]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"{job_id} was announced as {sequences}"
    if not arrivals[-1].body.endswith(f'"data":{stored}}}'):
        yield f"{job_id} is stored as {stored}, last announced as {arrivals[-1].body}"
    steps = [arrival.step for arrival in arrivals]
    if steps[0] != "queued" or any(after not in NEXT[before] for before, after in pairwise(steps)):
        yield f"{job_id} went {steps}"
    yield from _times(job_id, [arrival.data for arrival in arrivals])


def _times(job_id: str, course: Sequence[Data]) -> Iterator[str]:
    for before, after in pairwise(course):
        for name, time in before["timestamps"].items():
            if time is not None and after["timestamps"][name] != time:
                yield f"{job_id} has another {name} at {after['sequence']} than before"
        if after["progress"] < before["progress"]:
            yield f"{job_id} went back to {after['progress']} per cent"
    times = [time for time in course[-1]["timestamps"].values() if time is not None]
    if times != sorted(times):
        yield f"{job_id} has {course[-1]['timestamps']}"


def _leftovers(stored: Stored) -> Iterator[str]:
    """What is kept for nobody, or is missing for somebody."""
    yield from (f"{job_id} is still in hand" for job_id in stored.in_hand)
    yield from (f"{job_id} has an attempt without an end" for job_id in stored.running)
    wanted = {name for name in stored.audio.values() if name is not None}
    yield from (f"{name} is a stray recording" for name in stored.files - wanted)
    yield from (f"{name} is a recording that is gone" for name in wanted - stored.files)
    counted: dict[str, int] = dict.fromkeys(stored.counts, 0)
    for job_id in stored.jobs:
        status = _status(stored, job_id) or ""
        counted[status] = counted.get(status, 0) + 1
        if (job_id in stored.transcripts) != (status == "completed"):
            yield f"{job_id} is {status}, and its transcript is kept: {job_id in stored.transcripts}"
        if stored.audio[job_id] is not None and status in {"completed", "deleted"}:
            yield f"{job_id} is {status}, and its recording is kept"
        if job_id in stored.parts and status in {"completed", "deleted"}:
            yield f"{job_id} is {status}, and its parts are kept"
    if counted != stored.counts:
        yield f"there are {counted} jobs, counted as {stored.counts}"
