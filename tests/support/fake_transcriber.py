"""A transcription API whose jobs move when the test says so; their updates go straight to Convex, as a gateway's would."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.support.live_server import live_server

Job = dict[str, Any]

STARTED_AT = 1_795_000_000_000


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Upload:
    file_name: str
    size: int
    content_type: str | None


@dataclass(slots=True)
class FakeTranscriber:
    """`url` is set while it runs; `site_url` and `key` say where updates go (None: nowhere)."""

    url: str = ""
    site_url: str | None = None
    key: str = ""
    refusal: Refusal | None = None
    stalls: bool = False  # uploads are begun and never finish
    stalled: int = 0  # uploads that are held so at the moment
    jobs: dict[str, Job] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # "GET /v1/jobs/x 304", in order

    def move(self, job_id: str, **changes: Any) -> Job:
        """Give the job its next state and send it; returns the state."""
        job = self.jobs[job_id]
        changes["sequence"] = job["sequence"] + 1
        return self._publish(job | changes)

    def complete(self, job_id: str, *segments: tuple[float, float, str]) -> Job:
        result = {
            "text": " ".join(text for _, _, text in segments),
            "language": "en",
            "durationSeconds": segments[-1][1],
            "segments": [{"start": start, "end": end, "text": text} for start, end, text in segments],
            "transcriptUrl": None,
            "truncated": False,
        }
        return self.move(job_id, status="completed", progress=100, result=result)

    def send(self, job: Job) -> Any:
        """Deliver a state to Convex, whether or not it is the job's; returns the outcome."""
        answer = httpx.post(
            f"{self.site_url}/webhooks/transcription-jobs",
            json=job,
            headers={"Authorization": f"Bearer {self.key}"},
            trust_env=False,
        )
        return answer.raise_for_status().json()["outcome"]

    def _publish(self, job: Job) -> Job:
        self.jobs[job["jobId"]] = job
        if self.site_url is not None:
            self.send(job)
        return job

    async def create(self, request: Request) -> Response:
        if self.stalls:
            return await self._stall(request)
        async with request.form() as form:
            if self.refusal is not None:
                return _problem(self.refusal)
            file, job_id = form["file"], form["job_id"]
            assert not isinstance(file, str)
            assert isinstance(job_id, str)
            self.uploads[job_id] = Upload(file.filename or "", file.size or 0, file.content_type)
        return JSONResponse(self._publish(_queued(job_id)), 202)

    async def _stall(self, request: Request) -> Response:
        """Read what comes and answer nothing, until the other side gives up."""
        self.stalled += 1
        try:
            async for _ in request.stream():
                pass
            while (await request.receive())["type"] != "http.disconnect":
                pass
        except ClientDisconnect:
            pass
        finally:
            self.stalled -= 1
        return Response(status_code=499)

    async def read(self, request: Request) -> Response:
        if (job := self._job(request)) is None:
            return _problem(NO_SUCH_JOB)
        etag = f'"{job["sequence"]}"'
        if request.headers.get("If-None-Match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return JSONResponse(job, headers={"ETag": etag})

    async def cancel(self, request: Request) -> Response:
        if (job := self._job(request)) is None:
            return _problem(NO_SUCH_JOB)
        return JSONResponse(self.move(job["jobId"], status="cancelled"), 202)

    async def retry(self, request: Request) -> Response:
        if (job := self._job(request)) is None:
            return _problem(NO_SUCH_JOB)
        return JSONResponse(self._publish(_queued(f"{job['jobId']}-again")), 202)

    async def remove(self, request: Request) -> Response:
        if (job := self._job(request)) is None:
            return _problem(NO_SUCH_JOB)
        self.move(job["jobId"], status="deleted", result=None)
        return Response(status_code=204)

    async def transcript(self, request: Request) -> Response:
        job = self._job(request)
        if job is None or job["result"] is None:
            return _problem(NO_SUCH_JOB)
        return PlainTextResponse(f"{request.query_params['format']}: {job['result']['text']}")

    def _job(self, request: Request) -> Job | None:
        return self.jobs.get(request.path_params["job_id"])


NO_SUCH_JOB = Refusal(404, "unknown_job", "There is no such job.")


@contextmanager
def fake_transcriber() -> Iterator[FakeTranscriber]:
    fake = FakeTranscriber()
    path = "/v1/jobs/{job_id}"
    app: Any = Starlette(
        routes=[
            Route("/v1/jobs", _noted(fake, fake.create), methods=["POST"]),
            Route(path, _noted(fake, fake.read), methods=["GET"]),
            Route(path, _noted(fake, fake.remove), methods=["DELETE"]),
            Route(f"{path}/cancel", _noted(fake, fake.cancel), methods=["POST"]),
            Route(f"{path}/retry", _noted(fake, fake.retry), methods=["POST"]),
            Route(f"{path}/transcript", _noted(fake, fake.transcript), methods=["GET"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["*"],
                allow_headers=["If-None-Match"],
                expose_headers=["ETag"],
            )
        ],
    )
    with live_server(app) as url:
        fake.url = url
        yield fake


def _noted(fake: FakeTranscriber, handler: Any) -> Any:
    async def noted(request: Request) -> Response:
        response: Response = await handler(request)
        fake.requests.append(f"{request.method} {request.url.path} {response.status_code}")
        return response

    return noted


def _queued(job_id: str) -> Job:
    return {
        "jobId": job_id,
        "userId": "anonymous",
        "status": "queued",
        "progress": 0,
        "sequence": 1,
        "result": None,
        "error": None,
        "timestamps": {"createdAt": STARTED_AT, "startedAt": None, "completedAt": None},
    }


def _problem(refusal: Refusal) -> Response:
    body = {
        "type": "about:blank",
        "title": "Refused",
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    return JSONResponse(body, refusal.status, media_type="application/problem+json")
