"""The product as its clients see it: jobs go in at the transcriber and come out of Convex."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from convex import ConvexClient

Job = dict[str, Any]  # as the transcriber and transcriptionJobs:get answer it


class ProductError(Exception):
    """An answer that no client wants; the message has what the service said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`client` makes every request; httpx.TransportError from it means that a service is not there."""

    transcriber_url: str
    convex_url: str
    client: httpx.Client

    def post(self, audio: Path, **fields: str) -> Job:
        """Return the job that the transcriber accepted. Raises ProductError with its reason if it refused."""
        with audio.open("rb") as file:
            answer = self.client.post(
                f"{self.transcriber_url}/v1/jobs", files={"file": (audio.name, file)}, data=fields
            )
        if answer.status_code != httpx.codes.ACCEPTED:
            raise ProductError(f"The transcriber refused {audio.name}: {_problem(answer)}")
        return _job(answer)

    def cancel(self, job_id: str) -> Job:
        return _job(self.client.post(f"{self.transcriber_url}/v1/jobs/{job_id}/cancel"))

    def in_transcriber(self, job_id: str) -> Job:
        return _job(self.client.get(f"{self.transcriber_url}/v1/jobs/{job_id}"))

    def in_convex(self, job_id: str) -> Job | None:
        """Return transcriptionJobs:get over plain HTTP, which can be waited for and interrupted."""
        call = {"path": "transcriptionJobs:get", "args": {"jobId": job_id}, "format": "json"}
        answer = self.client.post(f"{self.convex_url}/api/query", json=call).json()
        if answer["status"] != "success":
            raise ProductError(f"transcriptionJobs:get failed in Convex: {answer['errorMessage']}")
        job: Job | None = answer["value"]
        return job

    def read_back(self, job_id: str) -> Job | None:
        """Return transcriptionJobs:get from the official client, which blocks until Convex has answered."""
        job: Job | None = ConvexClient(self.convex_url).query("transcriptionJobs:get", {"jobId": job_id})
        return job


def _job(answer: httpx.Response) -> Job:
    if not answer.is_success:
        raise ProductError(f"The transcriber answered {_problem(answer)}")
    job: Job = answer.json()
    return job


def _problem(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
        return f"{problem.get('detail') or problem['title']} ({answer.status_code})"
    return f"{answer.text[:200]} ({answer.status_code})"
