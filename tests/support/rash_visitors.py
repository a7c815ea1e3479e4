"""People at the page who cancel, delete and retry in the very moment in which their recording is done.

Groq is fake, so that it can say when that moment is: it tells of each job for the first time that it is asked.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.background import Background
from tests.support.groq_server import VERBOSE

WHIMS = (
    *(("cancel",),) * 4,
    *(("cancel", "delete"), ("cancel", "retry"), ("cancel", "retry", "delete")) * 2,
    ("delete",),
    ("retry",),
    (),
)
"""What a visitor asks for at once."""
ANSWERS = {"cancel": {200, 202}, "retry": {202, 409, 410}, "delete": {200}}
"""What the page understands."""
LONGEST_ANSWER_SECONDS = 0.08
STUMBLES = 0.06
"""Answers 500, after which the transcriber asks again."""
REFUSALS = 0.06
"""Answers 400: the job has failed."""
LONGEST_PAUSE_SECONDS = 0.3
LOOK_SECONDS = 0.02
REQUEST_SECONDS = 10.0

Meet = Callable[[str, float], None]


class TellingGroq:
    """Tells `meet` of a job and the seconds until its answer, and knows the job by its prompt."""

    def __init__(self, *, chance: random.Random) -> None:
        self._chance = chance
        self.meet: Meet = lambda _job_id, _seconds: None
        self._met: set[str] = set()
        path = "/openai/v1/audio/transcriptions"
        self.app = Starlette(routes=[Route(path, self._transcribe, methods=["POST"])])

    async def _transcribe(self, request: Request) -> Response:
        async with request.form() as form:
            prompt, file = form["prompt"], form["file"]
            assert isinstance(prompt, str)
            assert isinstance(file, UploadFile)
        seconds = self._chance.uniform(0, LONGEST_ANSWER_SECONDS)
        if prompt not in self._met:
            self._met.add(prompt)
            self.meet(prompt, seconds)
        await asyncio.sleep(seconds)
        roll = self._chance.random()
        if roll < STUMBLES:
            return _error(500)
        return _error(400) if roll < STUMBLES + REFUSALS else JSONResponse(VERBOSE)


class RashVisitors:
    """Each sends one recording, and asks for what comes into their head until it is answered."""

    def __init__(self, loop: Background, *, url: str, recording: Path, chance: random.Random) -> None:
        self._loop = loop
        self._recording = recording.read_bytes()
        self._name = recording.name
        self._chance = chance
        self._client = httpx.AsyncClient(base_url=url, timeout=REQUEST_SECONDS, trust_env=False)
        self._asking: list[Future[None]] = []
        self.cancels: Counter[str] = Counter()
        """By what the job was when its cancel was answered: the race is won where it is `cancelled`."""
        self.taken: set[str] = set()
        """Every job whose upload or retry was answered 202: it must never be gone."""

    def meet(self, job_id: str, seconds: float) -> None:
        """Somebody interferes with this job in so many seconds, more or less."""
        for whim in self._chance.choice(WHIMS):
            after = self._chance.uniform(0, 2 * seconds)
            self._asking.append(self._loop.begin(self._interfere(job_id, whim, after)))

    async def send(self, count: int, *, progress: Callable[[], float]) -> None:
        """So many recordings, spread over what `progress`, from 0 to 1, says of the whole."""
        for number in range(count):
            while progress() < number / count:
                await asyncio.sleep(LOOK_SECONDS)
            job_id = f"rash-visitor-{self._chance.getrandbits(96):024x}"
            fields = {"job_id": job_id, "prompt": job_id}
            files = {"file": (self._name, self._recording)}
            await self._ask("POST", "/v1/jobs", {202}, files=files, data=fields)

    @property
    def are_quiet(self) -> bool:
        """Whether everything that was asked for is answered. Raises what one of them failed with."""
        return all(asking.done() and asking.result() is None for asking in list(self._asking))

    async def close(self) -> None:
        await self._client.aclose()

    async def _interfere(self, job_id: str, whim: str, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        if whim == "delete":
            await self._ask("DELETE", f"/v1/jobs/{job_id}", ANSWERS[whim])
            return
        answer = await self._ask("POST", f"/v1/jobs/{job_id}/{whim}", ANSWERS[whim])
        if whim == "cancel":
            self.cancels[answer.json()["status"]] += 1

    async def _ask(self, method: str, path: str, understood: set[int], **content: Any) -> httpx.Response:
        """Until it is answered. Raise RuntimeError at an answer that the page would not understand."""
        while True:
            try:
                answer = await self._client.request(method, path, **content)
            except httpx.TransportError:
                await asyncio.sleep(self._chance.uniform(0, LONGEST_PAUSE_SECONDS))
                continue
            if answer.status_code not in understood:
                raise RuntimeError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
            if answer.status_code == 202:
                self.taken.add(answer.json()["jobId"])
            return answer


def _error(status: int) -> Response:
    return JSONResponse({"error": {"message": "said Groq", "type": "some_error"}}, status)
