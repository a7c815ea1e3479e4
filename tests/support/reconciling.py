"""A transcription API full of jobs, a development backend, and the commands that bring them together."""

import itertools
import os
import subprocess
import threading
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.groq_server import Answer, GroqServer, error, groq_server
from tests.support.live_server import live_server
from tests.support.product import Journey, journey
from tests.support.waiting import eventually

CONVEX = Path(__file__).parents[2] / "convex"
API_KEY = "key-of-the-api"
COMPLETED, OF_EACH_OTHER = 210, 8  # of the API that the tests share: a dozen of its pages
ALL = COMPLETED + 3 * OF_EACH_OTHER
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.out.splitlines()[-1]


@dataclass(frozen=True, slots=True)
class Sides:
    """The API with its jobs, and a deployment that may know them or not."""

    journey: Journey
    groq: GroqServer

    @property
    def api_url(self) -> str:
        return self.journey.stack["transcriber"].url

    @property
    def convex_url(self) -> str:
        return self.journey.stack["convex"].url

    @property
    def site_url(self) -> str:
        return f"http://127.0.0.1:{self.journey.stack.ports.convex_site}"

    @property
    def webhook_key(self) -> str:
        return self.journey.stack.keys.webhook_key

    def empty_convex(self) -> None:
        """Begin again without a row."""
        convex = self.journey.stack["convex"]
        convex.kill()
        Path(convex.program.environment["CONVEX_DATA_FILE"]).unlink(missing_ok=True)
        self.journey.stack.start("convex")

    def add_job(self) -> str:
        """One that completes."""
        fields = {"job_id": f"a-job-of-the-backfill-{next(_numbers):06}"}
        answer = self.journey.product.client.post(
            f"{self.api_url}/v1/jobs", files={"file": ("speech.wav", speech())}, data=fields
        )
        return str(answer.raise_for_status().json()["jobId"])

    def in_convex(self, job_id: str) -> dict[str, Any] | None:
        return self.journey.product.in_convex(job_id)

    def jobs(self, status: str) -> list[dict[str, Any]]:
        """The first of the API's with this status, at most 100."""
        return list(self._page(status)["items"])

    def all_ended(self) -> bool:
        return not self.jobs("queued") and not self.jobs("processing")

    def post_to_convex(self, job: Mapping[str, Any]) -> str:
        answer = httpx.post(
            f"{self.site_url}/webhooks/transcription-jobs",
            json=job,
            headers={"Authorization": f"Bearer {self.webhook_key}"},
        )
        return str(answer.raise_for_status().json()["outcome"])

    def backfill(self, *arguments: str, **environment: str) -> Ended:
        return finish(self.start_backfill(*arguments, **environment))

    def start_backfill(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return start(
            "backfill", "--api", self.api_url, "--site", self.site_url, *arguments, **self.keys | environment
        )

    def compare(self, *arguments: str, **environment: str) -> Ended:
        return finish(
            start(
                "compare",
                *("--api", self.api_url, "--convex", self.convex_url, *arguments),
                **self.keys | environment,
            )
        )

    @property
    def keys(self) -> dict[str, str]:
        return {"TRANSCRIBER_API_KEY": API_KEY, "TRANSCRIPTION_WEBHOOK_KEY": self.webhook_key}

    def _page(self, status: str) -> dict[str, Any]:
        answer = self.journey.product.client.get(
            f"{self.api_url}/v1/jobs",
            params={"limit": 100, "status": status},
            headers={"Authorization": f"Bearer {API_KEY}"},
        )
        return dict(answer.raise_for_status().json())


class HeldApi:
    """The transcription API, but that every page after the first is held until `go_on`."""

    def __init__(self, api_url: str) -> None:
        self.url = ""
        self.app = Starlette(routes=[Route("/v1/jobs", self._page)])
        self._api_url = api_url
        self._is_first = True
        self._may_go_on = threading.Event()

    def go_on(self) -> None:
        self._may_go_on.set()

    async def _page(self, request: Request) -> Response:
        if not self._is_first:
            await run_in_threadpool(self._may_go_on.wait, 60)
        self._is_first = False
        headers = {"Authorization": request.headers["Authorization"]}
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(f"{self._api_url}/v1/jobs", params=request.query_params, headers=headers)
        return Response(page.content, page.status_code, media_type="application/json")


@contextmanager
def held_api(api_url: str) -> Iterator[HeldApi]:
    held = HeldApi(api_url)
    with live_server(held.app) as held.url:
        yield held


def start(command: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`npm run COMMAND`, without npm between its process and ours."""
    return subprocess.Popen(
        ["node", f"tools/{command}.mjs", *arguments],
        cwd=CONVEX,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, seconds: float = 60) -> Ended:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Ended(code=process.returncode, out=out, err=err)


def run(command: str, *arguments: str, **environment: str) -> Ended:
    return finish(start(command, *arguments, **environment))


def speech() -> bytes:
    """A tenth of a second: what is said in it is Groq's affair."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(b"\x01\x10" * 1_600)
    return file.getvalue()


@contextmanager
def sides(directory: Path, *others: str, completed: int, of_each_other: int) -> Iterator[Sides]:
    """So many completed jobs, and so many each of failed, cancelled and deleted ones.

    Convex hears of none of them, unless the gateway is among the others that run.
    """
    with groq_server() as groq:
        settings = {
            "GROQ_API_KEY": "gsk_test",
            "GROQ_BASE_URL": groq.url,
            "TRANSCRIBER_API_KEY": API_KEY,
            "TRANSCRIBER_PROGRESS_SECONDS": "0",
        }
        with journey(directory, "convex", "transcriber", *others, **settings) as started:
            full = Sides(journey=started, groq=groq)
            _fill(full, completed, of_each_other)
            yield full


def _fill(into: Sides, completed: int, of_each_other: int) -> None:
    client = into.journey.product.client
    into.groq.answers.extend(Answer(held=True) for _ in range(of_each_other))
    for job_id in [into.add_job() for _ in range(of_each_other)]:
        into.journey.product.cancel(job_id)
    into.groq.answers.clear()
    into.groq.release()
    into.groq.answers.extend(error(400) for _ in range(of_each_other))
    added = [into.add_job() for _ in range(completed + 2 * of_each_other)]
    eventually(into.all_ended, seconds=90)
    for job_id in added[-of_each_other:]:
        client.delete(f"{into.api_url}/v1/jobs/{job_id}").raise_for_status()
