"""Made-up jobs, and everything that a transcription API would say of each, from a seed."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Job = dict[str, Any]

BEGAN_AT = 1_795_000_000_000
SENTENCE = "and so my fellow Americans ask not what your country can do for you — fragt nicht, 日本語 🎧"
ENDS = ("completed",) * 7 + ("failed",) * 2 + ("cancelled",)
DELETED = 0.1
RETRIED = 0.5
"""Of those that failed or were cancelled."""


@dataclass(frozen=True, slots=True)
class Update:
    step: str
    job: Job

    @property
    def body(self) -> bytes:
        moment = datetime.fromtimestamp(self.job["timestamps"]["createdAt"] / 1000, UTC).isoformat()
        content = {"type": f"transcription.job.{self.step}", "timestamp": moment, "data": self.job}
        return json.dumps(content, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class History:
    updates: list[Update]
    """In their order."""

    @property
    def latest(self) -> Job:
        return self.updates[-1].job


def histories(count: int, chance: random.Random) -> list[History]:
    """So many; a retry is a new job of the same user's."""
    made: list[History] = []
    user = ""
    while len(made) < count:
        user = user or chance.choice(("anonymous", f"user-{len(made)}"))
        made.append(History(list(_updates(f"made-up-{chance.getrandbits(96):024x}", user, chance))))
        again = made[-1].latest["status"] in {"failed", "cancelled"} and chance.random() < RETRIED
        user = user if again else ""
    return made


def latest(told: Iterable[History]) -> dict[str, Job]:
    """Each job as it is in the end."""
    return {history.latest["jobId"]: history.latest for history in told}


def _updates(job_id: str, user_id: str, chance: random.Random) -> Iterator[Update]:
    at = BEGAN_AT + chance.randrange(1_000_000)
    job = _queued(job_id, user_id, at)
    yield Update("queued", job)
    end = chance.choice(ENDS)
    if end != "cancelled" or chance.random() < 0.5:
        job = _next(job, status="processing", startedAt=at + chance.randrange(1, 5000))
        yield Update("started", job)
        for percent in sorted(chance.sample(range(1, 100), chance.randint(2, 4))):
            job = _next(job, progress=percent)
            yield Update("progress", job)
    job = _ended(job, end, at + chance.randrange(5000, 60_000), chance)
    yield Update(end, job)
    if chance.random() < DELETED:
        yield Update("deleted", _next(job, status="deleted", result=None))


def _queued(job_id: str, user_id: str, at: int) -> Job:
    return {
        "jobId": job_id,
        "userId": user_id,
        "status": "queued",
        "progress": 0,
        "sequence": 1,
        "result": None,
        "error": None,
        "timestamps": {"createdAt": at, "startedAt": None, "completedAt": None},
    }


def _ended(job: Job, end: str, at: int, chance: random.Random) -> Job:
    if end == "completed":
        return _next(job, status=end, progress=100, result=_result(chance), completedAt=at)
    if end == "failed":
        error = {"code": "engine_refused", "message": _text(chance, 6)}
        return _next(job, status=end, error=error, completedAt=at)
    return _next(job, status=end, completedAt=at)


def _next(job: Job, **changes: Any) -> Job:
    times = {name: changes.pop(name) for name in ("startedAt", "completedAt") if name in changes}
    return {
        **job,
        **changes,
        "sequence": job["sequence"] + 1,
        "timestamps": {**job["timestamps"], **times},
    }


def _result(chance: random.Random) -> Job:
    ends = sorted(round(chance.uniform(0, 90), 2) for _ in range(chance.randint(1, 4)))
    segments = [
        {"start": start, "end": end, "text": _text(chance, 8)}
        for start, end in zip([0.0, *ends], ends, strict=False)
    ]
    too_long = chance.random() < 0.1
    return {
        "text": _text(chance, 20) if too_long else " ".join(segment["text"] for segment in segments),
        "language": chance.choice(("en", "de", None)),
        "durationSeconds": ends[-1],
        "segments": None if too_long else segments,
        "transcriptUrl": "http://127.0.0.1/v1/jobs/x/transcript" if too_long else None,
        "truncated": too_long,
    }


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(SENTENCE.split(), k=words))
