"""A completed job's way to Convex, from what each service noted of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.product import Journey

COMPLETED = "transcription.job.completed"


@dataclass(frozen=True, slots=True)
class Way:
    """Unix milliseconds, whole ones."""

    completed: float
    """The job's `completedAt`."""
    sent: float
    """The transcriber began the webhook's first attempt."""
    accepted: float
    """The gateway had it on disk."""
    applied: float
    """The row's `updatedAt`."""


def ways(journey: Journey, job_ids: Sequence[str]) -> list[Way]:
    """In the order of `job_ids`."""
    sent = _sent(journey.stack["transcriber"].log)
    accepted = _accepted(journey.stack["gateway"].log)
    rows = [journey.product.in_convex(job_id) for job_id in job_ids]
    return [
        Way(row["timestamps"]["completedAt"], sent[job_id], accepted[job_id], row["updatedAt"])
        for job_id, row in zip(job_ids, rows, strict=True)
        if row is not None
    ]


def _sent(log: Path) -> dict[str, float]:
    return {
        line["job_id"]: _ms(line) - line["duration_ms"]
        for line in _lines(log, "webhook.attempted")
        if line["step"] == "completed" and line["attempt"] == 1
    }


def _accepted(log: Path) -> dict[str, float]:
    lines = _lines(log, "webhook.accepted")
    return {line["ordering_key"]: _ms(line) for line in lines if line["type"] == COMPLETED}


def _lines(log: Path, event: str) -> Iterator[dict[str, Any]]:
    for text in log.read_text("utf-8").splitlines():
        line = json.loads(text)
        if line["event"] == event:
            yield line


def _ms(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp() * 1000
