"""A page that stays open: a process that writes a line for every view that the official client is given of some jobs.

A subscription blocks its whole interpreter while it waits, so it has one of its own.
"""

import json
import sys
from pathlib import Path

from convex import ConvexClient


def watch(url: str, lines: Path, job_ids: list[str]) -> None:
    """Until it is ended: each line is the sequence of every job that is shown."""
    with lines.open("a", encoding="utf-8") as file:
        for view in ConvexClient(url).subscribe("transcriptionJobs:list", {"jobIds": job_ids}):
            file.write(json.dumps({job["jobId"]: job["sequence"] for job in view}) + "\n")
            file.flush()


if __name__ == "__main__":
    watch(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
